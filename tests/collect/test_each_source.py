"""Whatever one source does, the others are read, the audit is judged and reported, and what is missing is said."""

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from auditlib.collect import ALL, assemble
from auditlib.collect.source import Outcome, Source, Unreadable, gather, interpret
from auditlib.derived import Facts
from auditlib.facts.snapshot import Snapshot
from auditlib.facts.table import VIEWS
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
    time.sleep(7)


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


def _outcome(source: Source) -> Outcome:
    """How the reading of a source of the reference server went."""
    if source.name in RECORDED["unread"]:
        return Outcome(source, *RECORDED["unread"][source.name])
    return interpret(source, payload("faulty", source.name))


@pytest.fixture(scope="module")
def outcomes() -> dict[str, Outcome]:
    return {source.name: _outcome(source) for source in ALL}


@pytest.mark.parametrize("misbehaviour", MISBEHAVIOURS)
@pytest.mark.parametrize("half", [0, 1])
def test_sources_that_misbehave_cost_themselves_alone(misbehaviour: str, half: int) -> None:
    """One source of two misbehaves, then the others."""
    fetch, status, said = MISBEHAVIOURS[misbehaviour]
    wrong = {source.name for source in ALL[half::2]}
    sources = [
        dataclasses.replace(source, fetch=fetch) if source.name in wrong else _answering(source) for source in ALL
    ]
    for name, outcome in gather(sources, Parameters(timeout_s=0.5), lambda outcome: None).items():
        assert outcome.status == (status if name in wrong else RECORDED["unread"].get(name, ["ok"])[0])
        assert outcome.reason.startswith(said) or name not in wrong
        assert outcome.duration_s < 6


def _without(outcomes: dict[str, Outcome], names: Sequence[str]) -> Snapshot:
    """The reference server, where some sources were refused."""
    refused = {name: Outcome(outcomes[name].source, "refused", "L’accès est interdit.", "", 0.1) for name in names}
    return assemble({**outcomes, **refused}, None, MOMENT, duration_s=1, zone="UTC")


@pytest.mark.parametrize("name", [source.name for source in ALL])
def test_the_audit_goes_on_without_a_source(outcomes: dict[str, Outcome], name: str) -> None:
    facts = _without(outcomes, [name])
    audit = judge(facts)
    assert f"| {name} | refusée |" in report(derived(facts, audit, Plan((), (), {}, (None, None)))).replace("\\_", "_")
    # Nothing that a notebook shows fails, and nothing that was not read is shown as an empty table.
    for table in set(outcomes[name].source.tables) - {"certificates"}:
        assert "non évaluable" in repr(show(Facts(facts), table))
    for view in VIEWS:
        assert repr(show(Facts(facts), view))


# What the plan of this server has little to do with is lost all at once.
ASIDE = ("logs", "tls", "probes", "network", "disks", "engine_usage", "systemd", "traefik_files", "acme", "host")
ASIDE += ("docker_access",)


@pytest.mark.parametrize("names", [ASIDE, *((one.name,) for one in ALL if one.name not in ASIDE)], ids=" ".join)
def test_the_plan_is_made_without_sources(outcomes: dict[str, Outcome], names: Sequence[str]) -> None:
    facts = _without(outcomes, names)
    audit = judge(facts)
    made = plan(facts, audit)
    claimed = [identity for step in made.steps for identity in step.claims]
    assert sorted([*claimed, *(one.finding.identity for one in made.left)]) == sorted(f.identity for f in audit.live)
    assert "## 7." in report(derived(facts, audit, made))
