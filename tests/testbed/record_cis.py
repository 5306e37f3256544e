"""Record what docker-bench-security said of an engine, and what the audit's own sources answer on it, as test data.

`tests/testbed/record_cis.sh` calls it, in the namespaces of that engine.
"""

import datetime as dt
import json
import shutil
import sys
from pathlib import Path

from auditlib.collect import ALL
from auditlib.collect.source import gather
from auditlib.parameters import Parameters
from tests.testbed.record import write

SOURCES = ("host", "engine", "docker_access", "namespaces")


def main(log: Path, folder: Path, commit: str) -> None:
    """Write `peer.json`, the verdicts of the log, and the payload of each source as `<source>.json`."""
    told = json.loads(log.read_text("utf-8"))
    results = {
        one["id"]: {"result": one["result"], "items": one.get("items", [])}
        for section in told["tests"]
        for one in section["results"]
    }
    moment = dt.datetime.now(dt.UTC).replace(microsecond=0)
    outcomes = gather([source for source in ALL if source.name in SOURCES], Parameters(), lambda outcome: None)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, outcome in outcomes.items():
        sys.stdout.write(f"{name}: {outcome.status} {outcome.reason}\n")
        write(folder / f"{name}.json", outcome.payload)
    peer = {"version": told["dockerbenchsecurity"], "commit": commit, "moment": moment.isoformat(), "results": results}
    write(folder / "peer.json", peer)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
