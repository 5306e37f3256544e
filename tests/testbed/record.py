"""Record what the sources answer on the running testbed, raw, as test data: `python -m tests.testbed.record FOLDER`.

Run it under `unshare --net --uts`, with the testbed started in there, so that nothing of the recording machine but
its kernel's name is in the data:

    unshare --net --uts bash -c 'ip link set lo up && hostname serveur && python -m tests.testbed up --variant faulty &&
        python -m tests.testbed.record tests/payloads/faulty; python -m tests.testbed down'
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

from auditlib.collect import ALL
from auditlib.parameters import Parameters
from tests.testbed.canaries import TRAEFIK_AUTH
from tests.testbed.paths import DOCKER_HOST, PROJECTS
from tests.testbed.server import VARIANT

AUTH = "AUDITLIB_TESTBED_AUTH"  # the variable that holds the password of Traefik's API in the healthy variant


def main(folder: Path) -> None:
    """Write the payload of every source as `<source>.json`."""
    os.environ[AUTH] = TRAEFIK_AUTH
    # The healthy variant serves the API under its name and password only, by a router that no label tells.
    api = "auto" if VARIANT.read_text() == "faulty" else "https://traefik.4lb.ca"
    parameters = Parameters(
        docker_host=DOCKER_HOST, project_roots=[str(PROJECTS)], traefik_api=api, traefik_auth_env=AUTH
    )
    payloads: dict[str, Any] = {}
    folder.mkdir(parents=True, exist_ok=True)
    for source in sorted(ALL, key=lambda source: len(source.after)):
        payloads[source.name] = source.fetch(parameters, payloads)
        content = json.dumps(payloads[source.name], ensure_ascii=False, indent=1, sort_keys=True)
        (folder / f"{source.name}.json").write_text(content + "\n", "utf-8")
        sys.stdout.write(f"{source.name}: {len(content)} characters\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
