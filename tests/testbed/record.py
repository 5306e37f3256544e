"""Record what the sources answer on the running testbed, raw, as test data, and the demo's snapshot made of it.

`tests/testbed/record.sh` calls it for both variants, in namespaces where nothing of the recording machine but its
kernel's name can be seen.
"""

import datetime as dt
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from auditlib.collect import ALL, assemble
from auditlib.collect.source import gather
from auditlib.parameters import Parameters
from tests.testbed.canaries import TRAEFIK_AUTH
from tests.testbed.paths import DOCKER_HOST, PROJECTS
from tests.testbed.server import VARIANT

AUTH = "AUDITLIB_TESTBED_AUTH"  # the variable that holds the password of Traefik's API in the healthy variant
RECORDED = "recorded.json"  # when, how long each source took, and what those that could not be read said


def main(folder: Path, demo: Path | None) -> None:
    """Write the payload of every source as `<source>.json`, and the snapshot they make as `demo`."""
    os.environ[AUTH] = TRAEFIK_AUTH
    # The healthy variant serves the API under its name and password only, by a router that no label tells.
    api = "auto" if VARIANT.read_text() == "faulty" else "https://traefik.4lb.ca"
    parameters = Parameters(
        docker_host=DOCKER_HOST, project_roots=[str(PROJECTS)], traefik_api=api, traefik_auth_env=AUTH
    )
    moment = dt.datetime.now(dt.UTC).replace(microsecond=0)
    outcomes = gather(ALL, parameters, lambda outcome: None)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    unread = {}
    for name, outcome in outcomes.items():
        sys.stdout.write(f"{name}: {outcome.status} {outcome.reason}\n")
        if outcome.payload is None:
            unread[name] = [outcome.status, outcome.reason, outcome.remedy]
        else:
            write(folder / f"{name}.json", outcome.payload)
    durations = {name: outcome.duration_s for name, outcome in outcomes.items()}
    write(folder / RECORDED, {"moment": moment.isoformat(), "unread": unread, "durations": durations})
    if demo:
        # By the way that every collection goes, secrets removed.
        shutil.rmtree(demo, ignore_errors=True)
        assemble(outcomes, None, moment, duration_s=0.5, zone="UTC").write(demo)


def write(path: Path, content: Any) -> None:
    """Write JSON as it is compared: sorted, one value a line."""
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1, sort_keys=True) + "\n", "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)
