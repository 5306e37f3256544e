"""What tests share: the recorded answers of the reference server, and snapshots made of them."""

import contextlib
import ctypes
import datetime as dt
import fcntl
import functools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pandas as pd
import pytest

from auditlib import folders, notebook  # noqa: F401 - the notebook registers every view, in whatever order tests are run
from auditlib.collect import ALL, assemble
from auditlib.collect.source import Outcome, interpret
from auditlib.facts.snapshot import Snapshot
from auditlib.facts.tables import TABLES
from auditlib.findings import findings
from auditlib.report.markdown import report

PAYLOADS = Path(__file__).parent / "payloads"
DEMO = Path("parameters", "demo.yaml")
MOMENT = dt.datetime(2026, 11, 23, 8, 15, tzinfo=dt.UTC)

# The same examples each time; `make test ARGS=--hypothesis-profile=profond` looks for others, and further.
hypothesis.settings.register_profile("project", deadline=None, derandomize=True, max_examples=100)
hypothesis.settings.register_profile("profond", deadline=None, max_examples=2000)
hypothesis.settings.load_profile("project")


def payload(variant: str, source: str) -> Any:
    """A fresh copy of what a source answered on a variant of the reference server."""
    return json.loads((PAYLOADS / variant / f"{source}.json").read_text("utf-8"))


@functools.cache
def replay(variant: str) -> Snapshot:
    """The snapshot that the recorded answers make, those of sources that could not be read included."""
    recorded = payload(variant, "recorded")
    outcomes = {}
    for source in ALL:
        if source.name in recorded["unread"]:
            outcomes[source.name] = Outcome(source, *recorded["unread"][source.name])
        else:
            outcomes[source.name] = interpret(source, payload(variant, source.name))
        outcomes[source.name].duration_s = recorded["durations"][source.name]
    moment = dt.datetime.fromisoformat(recorded["moment"])
    return assemble(outcomes, None, moment, duration_s=0.5, zone="UTC")


_FRAMES: dict[tuple[str, str], pd.DataFrame] = {}


def _frame(name: str, rows: list[dict[str, Any]]) -> pd.DataFrame:
    """The frame of these rows, made once: frames are never changed, and many tests give the same rows."""
    key = name, repr(rows)
    if key not in _FRAMES:
        _FRAMES[key] = TABLES[name].frame(rows)
    return _FRAMES[key]


def snapshot_of(**tables: list[dict[str, Any]]) -> Snapshot:
    """A snapshot of a few rows; the tables that are not given are absent."""
    frames = {name: _frame(name, rows) for name, rows in {"sources": [], **tables}.items()}
    absent = {name: "elle n’a pas été lue" for name in TABLES if name not in frames}
    return Snapshot("serveur", MOMENT, frames, absent)


@contextlib.contextmanager
def unprivileged() -> Iterator[None]:
    """As an ordinary user before files. For root, Linux takes its rights over files from this one thread."""
    if os.geteuid() != 0:
        yield
        return
    libc = ctypes.CDLL(None)
    libc.setfsuid(65534)
    try:
        yield
    finally:
        libc.setfsuid(0)


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that every user may enter: pytest's own are for this user alone."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture(scope="session")
def faulty() -> Snapshot:
    """The reference server with its planted faults."""
    return replay("faulty")


@pytest.fixture(scope="session")
def faulty_report(faulty: Snapshot) -> str:
    """The Markdown report of the reference server with its planted faults."""
    return report(faulty, findings.run(faulty))


@pytest.fixture(scope="session")
def healthy() -> Snapshot:
    """The reference server, repaired."""
    return replay("healthy")


@pytest.fixture(scope="session")
def demo() -> Path:
    """The shipped snapshot of the faulty reference server, on disk."""
    return folders.project() / "parameters" / "demo" / "instantane"


@pytest.fixture(scope="session")
def demo_run(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What `make demo` prints, where the severity of a check is imposed: one run for all workers of pytest-xdist."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "demo"
    folder.mkdir(exist_ok=True)
    with (folder / "stdout").open("a+", encoding="utf-8") as printed:
        fcntl.flock(printed, fcntl.LOCK_EX)
        printed.seek(0)
        if not printed.read():
            command = [sys.executable, "-m", "auditlib", "run", "--fast", "-f", str(folders.project() / DEMO)]
            command += ["-p", "outputs", str(folder / "outputs"), "-p", "severities", "{COMPOSE-001: low}"]
            nowhere = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "DOCKER_HOST": f"unix://{folder}/none.sock"}
            subprocess.run(command, stdout=printed, env=nowhere, check=True)
        printed.seek(0)
        return printed.read()


# What takes longest is begun first, so that the workers end together.
LONGEST = ("test_workbook.py", "test_demo.py", "test_browser.py", "test_each_source.py", "test_engines.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, in this order."""
    rank = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path.name, len(rank)))
