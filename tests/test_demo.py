"""The shipped demo: it is what the normal collection makes of the recorded server, and anyone can run it."""

from pathlib import Path

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


def test_anyone_can_run_it(demo_run: str) -> None:
    """Without Docker, root or a home."""
    report, *others = map(Path, demo_run.splitlines())
    assert [path.name for path in others] == ["rapport.md", "constats.json"]
    assert report.parent.parent.name == "serveur"
    text = report.read_text("utf-8")
    for fact in ("jsr.4lb.ca", "ai-orchestrator-backend.service", "unified-net", "chromadb", "PORT-004"):
        assert fact in text
