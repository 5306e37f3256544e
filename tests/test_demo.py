"""The shipped demo: it is what the normal collection makes of the recorded server, and anyone can run it."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from auditlib.facts import snapshot
from auditlib.facts.snapshot import Snapshot
from auditlib.folders import project
from auditlib.parameters import read

DEMO = project() / "parameters" / "demo.yaml"


def test_it_holds_the_recorded_facts_and_no_other(demo: Path, faulty: Snapshot) -> None:
    shipped = snapshot.read(demo)
    assert list(shipped.tables) == list(faulty.tables)
    assert (shipped.hostname, shipped.collected, shipped.absent) == (faulty.hostname, faulty.collected, faulty.absent)
    assert shipped.tables == faulty.tables


def test_its_parameters_are_known_and_explained() -> None:
    assert read(DEMO).snapshot == "parameters/demo"
    assert [line for line in DEMO.read_text("utf-8").splitlines() if ":" in line and "#" not in line] == []
    assert set(yaml.safe_load(DEMO.read_text("utf-8"))) == {"snapshot"}


@pytest.mark.timeout(90)
def test_anyone_can_run_it(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "auditlib", "run", "--fast", "-f", str(DEMO), "-p", "outputs", str(tmp_path)]
    nowhere = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "DOCKER_HOST": f"unix://{tmp_path}/none.sock"}
    done = subprocess.run(command, capture_output=True, text=True, env=nowhere, check=False)
    assert done.returncode == 0, done.stderr
    report = Path(done.stdout.splitlines()[0])
    assert report.parent.parent == tmp_path / "serveur"
    text = report.read_text("utf-8")
    for fact in ("jsr.4lb.ca", "ai-orchestrator-backend.service", "unified-net", "chromadb", "PORT-004"):
        assert fact in text
