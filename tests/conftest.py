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
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from auditlib import folders, notebook  # noqa: F401 - the notebook registers every view, in whatever order tests are run
from auditlib.collect import ALL, assemble
from auditlib.collect.source import Outcome, interpret
from auditlib.derived import Facts
from auditlib.facts.snapshot import Snapshot
from auditlib.facts.table import Row, Rows
from auditlib.facts.tables import TABLES
from auditlib.findings.audit import Audit
from auditlib.plan import Plan
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


_ROWS: dict[tuple[str, str], Rows[Row]] = {}


def _rows(name: str, rows: Sequence[Row | Mapping[str, Any]]) -> Rows[Row]:
    """The typed rows of these, made once: rows are never changed, and many tests give the same."""
    key = name, repr(rows)
    if key not in _ROWS:
        _ROWS[key] = TABLES[name].rows(rows)
    return _ROWS[key]


def snapshot_of(**tables: Sequence[Row | Mapping[str, Any]]) -> Snapshot:
    """A snapshot of a few rows; the tables that are not given are absent."""
    read = {name: _rows(name, rows) for name, rows in {"sources": [], **tables}.items()}
    absent = {name: "elle n’a pas été lue" for name in TABLES if name not in read}
    return Snapshot("serveur", MOMENT, read, absent)


def derived(snapshot: Snapshot, audit: Audit, plan: Plan | None = None) -> Facts:
    """The facts of a snapshot with an audit, and perhaps a plan, that are given rather than computed."""
    facts = Facts(snapshot)
    vars(facts).update({"audit": audit, **({"plan": plan} if plan else {})})
    return facts


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
    return report(Facts(faulty))


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
