"""What tests share: the recorded answers of the reference server, and snapshots made of them."""

import datetime as dt
import json
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

PAYLOADS = Path(__file__).parent / "payloads"
MOMENT = dt.datetime(2026, 11, 23, 8, 15, tzinfo=dt.UTC)

hypothesis.settings.register_profile("project", deadline=None, derandomize=True, max_examples=200)
hypothesis.settings.load_profile("project")


def payload(variant: str, source: str) -> Any:
    """A fresh copy of what a source answered on a variant of the reference server."""
    return json.loads((PAYLOADS / variant / f"{source}.json").read_text("utf-8"))


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


def _rows(name: str, rows: list[dict[str, Any]]) -> Rows[Row]:
    """The typed rows of these, made once: rows are never changed, and many tests give the same."""
    key = name, repr(rows)
    if key not in _ROWS:
        _ROWS[key] = TABLES[name].rows(rows)
    return _ROWS[key]


def snapshot_of(**tables: list[dict[str, Any]]) -> Snapshot:
    """A snapshot of a few rows; the tables that are not given are absent."""
    read = {name: _rows(name, rows) for name, rows in {"sources": [], **tables}.items()}
    absent = {name: "elle n’a pas été lue" for name in TABLES if name not in read}
    return Snapshot("serveur", MOMENT, read, absent)


def derived(snapshot: Snapshot, audit: Audit, plan: Plan | None = None) -> Facts:
    """The facts of a snapshot with an audit, and perhaps a plan, that are given rather than computed."""
    facts = Facts(snapshot)
    vars(facts).update({"audit": audit, **({"plan": plan} if plan else {})})
    return facts


@pytest.fixture(scope="session")
def faulty() -> Snapshot:
    """The reference server with its planted faults."""
    return replay("faulty")


@pytest.fixture(scope="session")
def healthy() -> Snapshot:
    """The reference server, repaired."""
    return replay("healthy")


@pytest.fixture(scope="session")
def demo() -> Path:
    """The shipped snapshot of the faulty reference server, on disk."""
    return folders.project() / "parameters" / "demo" / "instantane"
