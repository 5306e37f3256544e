"""Whatever one source does, the others are read, the audit is judged and reported, and what is missing is said."""

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from auditlib.collect import ALL, assemble
from auditlib.collect.source import Outcome, Source, Unreadable, gather
from auditlib.derived import Facts
from auditlib.facts import snapshot
from auditlib.facts.legacy import records
from auditlib.facts.snapshot import Snapshot
from auditlib.facts.table import VIEWS
from auditlib.facts.tables import TABLES
from auditlib.findings.audit import audit as judge
from auditlib.parameters import Parameters
from auditlib.plan import Plan, plan
from auditlib.report.markdown import report
from auditlib.report.shown import show
from tests.conftest import MOMENT, derived, payload

RECORDED = payload("faulty", "recorded")
Fetch = Callable[..., Any]


def _refused(*given: Any) -> Any:
    raise Unreadable("refused", "l’accès est interdit", "relancer avec sudo")


def _hung(*given: Any) -> Any:
    time.sleep(3)


MISBEHAVIOURS: dict[str, tuple[Fetch, str, str]] = {
    "refused": (_refused, "refused", "L’accès est interdit."),
    "hung": (_hung, "failed", "Aucune réponse complète en 0,5 s."),
    "garbage": (lambda *given: {"garbage": ["\x1b[31m", None, 1e308]}, "failed", "La réponse n’a pas la forme"),
}


def _answering(source: Source) -> Source:
    """The source, with the answer that the reference server gave; its rows are made once."""
    if source.name in RECORDED["unread"]:
        status, reason, remedy = RECORDED["unread"][source.name]
        return dataclasses.replace(source, fetch=_unreadable(status, reason, remedy))
    answer = payload("faulty", source.name)
    reading = source.rows(answer)
    return dataclasses.replace(source, fetch=lambda *given: answer, rows=lambda payload: reading)


def _unreadable(status: Any, reason: str, remedy: str) -> Fetch:
    def fetch(*given: Any) -> Any:
        raise Unreadable(status, reason.lower(), remedy.lower())

    return fetch


PLANS: dict[str, Plan] = {}
ANSWERING = [_answering(source) for source in ALL]


def _collected(name: str, fetch: Fetch) -> tuple[dict[str, Outcome], Snapshot]:
    sources = [
        dataclasses.replace(source, fetch=fetch) if source.name == name else answering
        for source, answering in zip(ALL, ANSWERING, strict=True)
    ]
    outcomes = gather(sources, Parameters(timeout_s=0.5), lambda outcome: None)
    return outcomes, assemble(outcomes, None, MOMENT, duration_s=1, zone="UTC")


@pytest.mark.parametrize("misbehaviour", MISBEHAVIOURS)
@pytest.mark.parametrize("name", [source.name for source in ALL])
def test_one_source_misbehaves_and_the_audit_goes_on(name: str, misbehaviour: str, tmp_path: Path) -> None:
    fetch, status, said = MISBEHAVIOURS[misbehaviour]
    outcomes, facts = _collected(name, fetch)
    assert outcomes[name].status == status
    assert outcomes[name].reason.startswith(said)
    for other in outcomes.values():
        expected = RECORDED["unread"].get(other.source.name, ["ok"])[0]
        assert other.source.name == name or other.status == expected
    facts.write(tmp_path / "instantane")
    again = snapshot.read(tmp_path / "instantane")
    audit = judge(again)
    told = {row["source"]: row for row in records(again.sources)}
    assert told[name]["status"] == status and told[name]["duration_s"] < 1.5
    # What is planned rests on what was read, not on why the rest was not: it is made once for a source.
    if name not in PLANS:
        PLANS[name] = plan(again, audit)
    assert f"| {name} |" in report(derived(again, audit, PLANS[name])).replace("\\_", "_")
    # Nothing that a notebook shows fails, and nothing that was not read is shown as an empty table.
    lost = set(outcomes[name].source.tables) - {"certificates"}
    for table in TABLES:
        shown = repr(show(Facts(again), table))
        assert table not in lost or "non évaluable" in shown
    for view in VIEWS:
        assert repr(show(Facts(again), view))
