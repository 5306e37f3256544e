"""Record what the sources answer on the running testbed, raw, as test data, and the demo's snapshot made of it.

`tests/testbed/record.sh` calls it for both variants, in namespaces where nothing of the recording machine but its
kernel's name can be seen.
"""

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from auditlib.collect import ALL, assemble
from auditlib.collect.source import Unreadable, interpret
from auditlib.parameters import Parameters
from tests.conftest import MOMENT
from tests.testbed.canaries import TRAEFIK_AUTH
from tests.testbed.paths import DOCKER_HOST, PROJECTS
from tests.testbed.server import VARIANT

AUTH = "AUDITLIB_TESTBED_AUTH"  # the variable that holds the password of Traefik's API in the healthy variant


def main(folder: Path, demo: Path | None) -> None:
    """Write the payload of every source as `<source>.json`, and the snapshot they make as `demo`."""
    os.environ[AUTH] = TRAEFIK_AUTH
    # The healthy variant serves the API under its name and password only, by a router that no label tells.
    api = "auto" if VARIANT.read_text() == "faulty" else "https://traefik.4lb.ca"
    parameters = Parameters(
        docker_host=DOCKER_HOST, project_roots=[str(PROJECTS)], traefik_api=api, traefik_auth_env=AUTH
    )
    payloads: dict[str, Any] = {}
    folder.mkdir(parents=True, exist_ok=True)
    for source in sorted(ALL, key=lambda source: len(source.after)):
        try:
            payloads[source.name] = source.fetch(parameters, payloads)
        except Unreadable as unreadable:  # the testbed has no systemd
            payloads[source.name] = None
            sys.stdout.write(f"{source.name}: {unreadable.reason}\n")
            continue
        content = json.dumps(payloads[source.name], ensure_ascii=False, indent=1, sort_keys=True)
        (folder / f"{source.name}.json").write_text(content + "\n", "utf-8")
        sys.stdout.write(f"{source.name}: {len(content)} characters\n")
    if demo:
        # By the way that every collection goes, secrets removed; the moment is that of the tests.
        outcomes = {source.name: interpret(source, payloads[source.name]) for source in ALL}
        shutil.rmtree(demo, ignore_errors=True)
        assemble(outcomes, None, MOMENT, duration_s=0.5, zone="UTC").write(demo)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)
