"""Running checks: verdicts, score, coverage, identities, and what fills the sentences and the commands."""

import dataclasses
import datetime as dt
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from auditlib import checks as _registered  # noqa: F401 - imported for what it registers
from auditlib.facts.snapshot import AbsentTable
from auditlib.findings.audit import Audit, CheckResult, Finding, Result
from auditlib.findings.audit import audit as judge
from auditlib.findings.check import (
    CHECKS,
    UNSAID,
    Check,
    Command,
    Fault,
    Fix,
    NotApplicable,
    Verdict,
    check,
    fact,
    word,
)
from auditlib.findings.policy import Policy
from auditlib.parameters import Severity
from auditlib.report.blocks import Grid
from tests.conftest import snapshot_of

FACTS = snapshot_of(volumes=[])


class Wrong(Fault):
    """A container at fault."""

    container: str = fact(default="a")
    why: Any = fact(default="x")


def _check(faults: Iterable[Fault | Exception] = (), **given: Any) -> Check:
    """A check that yields these faults; an exception among them is raised in its turn."""

    def function() -> Iterator[Fault]:
        for fault in faults:
            if isinstance(fault, Exception):
                raise fault
            yield fault

    parts = {
        "id": "TEST-001",
        "severity": "medium",
        "title": "Rien",
        "key": ("container",),
        "message": "Le conteneur « {container} » : {why}.",
        "fix": Fix("Corriger {container}."),
        "function": function,
        **given,
    }
    return Check(**parts)


def _run(*checks: Check, severities: dict[str, Severity] | None = None) -> Audit:
    return judge(FACTS, Policy(severities=severities or {}), checks)


def _only(check: Check) -> Finding:
    (finding,) = _run(check).findings
    return finding


# Verdicts


def test_no_row_passes_and_a_row_fails() -> None:
    audit = _run(_check(), _check([Wrong()], id="TEST-002"))
    assert [(result.check, result.verdict) for result in audit.results] == [("TEST-001", "pass"), ("TEST-002", "fail")]


def test_a_missing_table_is_unknown_with_its_reason() -> None:
    result = _run(_check(function=lambda volumes, listeners: [])).results[0]
    assert (result.verdict, result.reason) == ("unknown", "Elle n’a pas été lue.")


def test_what_was_found_before_a_missing_table_is_wrong_all_the_same() -> None:
    audit = _run(_check([Wrong(), AbsentTable("listeners", "muettes")]))
    assert audit.results[0].verdict == "fail" and len(audit.findings) == 1
    assert _run(_check([AbsentTable("listeners", "muettes")])).results[0].verdict == "unknown"


def test_nothing_to_judge_is_not_applicable() -> None:
    result = _run(_check([NotApplicable("aucun réseau désigné")])).results[0]
    assert (result.verdict, result.reason) == ("na", "Aucun réseau désigné.")


def test_two_rows_of_one_identity_are_one_finding() -> None:
    assert len(_run(_check([Wrong(), Wrong(why="y")])).findings) == 1


# Score and coverage, as the contract defines them


def _result(severity: Severity, verdict: Verdict, number: int) -> Result:
    return Result(f"TEST-{number:03}", "Rien", verdict, severity)


@pytest.mark.parametrize(
    ("results", "score", "coverage"),
    [
        ([], None, 0),
        ([("high", "unknown")], None, 0),
        ([("high", "na")], None, 0),
        ([("high", "pass")], 100, 1),
        ([("critical", "fail")], 0, 1),
        (
            [("critical", "fail"), ("high", "pass"), ("medium", "pass"), ("low", "pass"), ("info", "pass")],
            100 * 14 / 30,
            1,
        ),
        ([("critical", "pass"), ("high", "fail")], 100 * 16 / 24, 1),
        # Unknown lowers the coverage, and a score is not given of too little; not applicable counts in neither.
        ([("high", "pass"), ("critical", "unknown")], None, 1 / 2),
        ([*[("high", "pass")] * 4, ("critical", "unknown")], 100, 4 / 5),
        ([("high", "pass"), ("critical", "na")], 100, 1),
        ([*[("low", "pass")] * 3, ("low", "fail"), ("critical", "unknown"), ("critical", "na")], 75, 4 / 5),
        # Checks without weight say nothing of a score.
        ([("info", "pass"), ("info", "fail")], None, 1),
    ],
)
def test_score_and_coverage(results: list[tuple[Severity, Verdict]], score: float | None, coverage: float) -> None:
    audit = Audit([_result(*result, number) for number, result in enumerate(results)], [])
    assert audit.score == (None if score is None else pytest.approx(score))
    assert audit.coverage == pytest.approx(coverage)


@pytest.mark.parametrize(("severity", "most"), [("critical", 49), ("high", 79), ("medium", 100)])
def test_a_score_is_capped_by_the_worst_live_finding(severity: Severity, most: float) -> None:
    results = [_result("critical", "pass", number) for number in range(10)]
    finding = Finding("X", "TEST-001", severity, "certain", (), "Un constat.", {}, Fix(""))
    assert Audit(results, [finding]).score == most
    assert Audit(results, [dataclasses.replace(finding, waived={"reason": "voulu"})]).score == 100


# Severities


ROWS = [Wrong(), Wrong(container="b", severity="low")]


def test_a_row_may_lower_its_severity() -> None:
    found = _run(_check(ROWS)).findings
    assert [finding.severity for finding in found] == ["medium", "low"]
    assert found[1].evidence == {"container": "b", "why": "x"}


def test_an_imposed_severity_is_that_of_the_check_and_of_all_its_findings() -> None:
    audit = _run(_check(ROWS), _check(ROWS, id="TEST-002"), severities={"TEST-001": "critical"})
    assert [finding.severity for finding in audit.findings] == ["critical", "critical", "medium", "low"]
    assert [result.severity for result in audit.results] == ["critical", "medium"]


def test_a_row_may_be_less_sure() -> None:
    assert _only(_check([Wrong(confidence="hint")])).confidence == "hint"


def test_findings_come_by_severity_then_check_then_identity() -> None:
    checks = [
        _check([Wrong(container="b"), Wrong()], id="TEST-002"),
        _check([Wrong(container="c")], id="TEST-001"),
        _check([Wrong(container="d")], id="TEST-003", severity="critical"),
        _check([Wrong(container="e")], id="TEST-000", severity="info"),
    ]
    audit = _run(*checks)
    told = [(finding.check, finding.subjects[0][1]) for finding in audit.findings]
    assert told == [("TEST-003", "d"), ("TEST-001", "c"), ("TEST-002", "a"), ("TEST-002", "b"), ("TEST-000", "e")]
    assert [result.check for result in audit.results] == ["TEST-000", "TEST-001", "TEST-002", "TEST-003"]
    assert audit.worst == "critical"
    assert [finding.check for finding in audit.at_least("medium")] == ["TEST-003", "TEST-001", "TEST-002", "TEST-002"]
    assert _run(_check()).worst is None


# Identities


@pytest.mark.parametrize(
    ("name", "escaped"),
    [
        ("web", "web"),
        ("tcp/0.0.0.0:8002", "tcp/0.0.0.0:8002"),
        ("tcp/[::]:80", "tcp/[::]:80"),
        ("app@docker", "app@docker"),
        ("~^.+[.]fr", "~%5E.%2B[.]fr"),
        ("a|b=c%7C", "a%7Cb%3Dc%257C"),
        ("été\n", "%C3%A9t%C3%A9%0A"),
        ("\ud800", "%ED%A0%80"),
    ],
)
def test_an_identity_is_escaped(name: str, escaped: str) -> None:
    assert _only(_check([Wrong(container=name)])).identity == f"TEST-001|container={escaped}"


def test_subjects_may_depend_on_the_row() -> None:
    found = _only(_check([Wrong(subjects=(("router", "r@file"), ("entrypoint", "web")))]))
    assert found.identity == "TEST-001|router=r@file|entrypoint=web"
    assert found.subjects == (("router", "r@file"), ("entrypoint", "web"))


def test_evidence_does_not_change_an_identity() -> None:
    one, other = (_only(_check([Wrong(why=why)])) for why in ("x", "y"))
    assert one.identity == other.identity and one.message != other.message


# Sentences and commands


class Worded(Fault):
    """A container at fault, and a word for sentences."""

    container: str
    why: str = word()


def test_the_sentence_is_filled_from_the_facts_and_the_words() -> None:
    found = _only(_check([Worded(container="a\x1b", why="{container} ; vu")]))
    assert found.message == "Le conteneur «\u00a0a⟨1B⟩\u00a0»\u00a0: {container}\u202f; vu."
    assert found.fix.text == "Corriger a⟨1B⟩."
    assert found.evidence == {"container": "a\x1b"}


@pytest.mark.parametrize(
    ("value", "shown"),
    [(("a", "b\n", "c"), "a, b⟨0A⟩ et c"), ((), ""), (None, "inconnu"), (8080, "8080"), (True, "True")],
)
def test_values_in_a_sentence(value: Any, shown: str) -> None:
    found = _only(_check([Wrong(why=value)], message="Vu : [{why}]."))
    assert found.message == f"Vu\u00a0: [{shown}]."


def test_a_clause_that_does_not_apply_leaves_no_space() -> None:
    found = _only(_check([Wrong(why="")], message="{why} Conteneur {container}. {why} Fin. {why}"))
    assert found.message == "Conteneur a. Fin."


class Called(Wrong):
    """A container at fault, with what commands name."""

    name: str | None = fact(default="x y")
    call: Command | None = fact(default=Command("a b"))


@pytest.mark.parametrize(
    ("row", "commands"),
    [
        ({}, ("docker restart a", "tool 'x y'", "run a b")),
        ({"name": None}, ("docker restart a", "run a b")),
        ({"name": "x\ny"}, ("docker restart a", "run a b")),
        ({"name": "$(x)'"}, ("docker restart a", "tool '$(x)'\"'\"''", "run a b")),
        ({"call": None}, ("docker restart a", "tool 'x y'")),
    ],
)
def test_commands_are_quoted_and_written_only_when_they_can_be(row: dict[str, Any], commands: tuple[str, ...]) -> None:
    fix = Fix(
        "Corriger.", ("docker restart {container}", "tool {name}", "run {call}", "lost {nowhere}"), ("see {name}",)
    )
    found = _only(_check([Called(**row)], fix=fix))
    assert found.fix.commands == commands
    assert len(found.fix.verify) == sum("tool" in command for command in commands)


class Stopped(Fault):
    """A thing that is stopped."""

    name: str
    container: str = fact(default=UNSAID)


def test_a_fact_that_does_not_apply_is_no_evidence_and_writes_no_command() -> None:
    fix = Fix("", ("docker rm {container}", "docker rm {name}", "{compose} up"))
    rows = [Stopped(name="a"), Stopped(name="b", container="b")]
    audit = _run(_check(rows, fault=Stopped, key=("name",), message="{name}", fix=fix))
    assert [(finding.evidence, finding.fix.commands) for finding in audit.findings] == [
        ({"name": "a"}, ("docker rm a",)),
        ({"name": "b", "container": "b"}, ("docker rm b", "docker rm b")),
    ]


class Rich(Wrong):
    """A fault whose facts JSON does not hold as they are."""

    ports: tuple[int | None, ...]
    names: set[str]
    at: dt.datetime


def test_evidence_is_plain_json() -> None:
    evidence = _only(_check([Rich(ports=(80, None), names={"b"}, at=snapshot_of().collected)])).evidence
    assert evidence["ports"] == [80, None] and evidence["names"] == ["b"]
    assert evidence["at"] == "2026-11-23 08:15:00+00:00"


# Parts of an audit


def test_families() -> None:
    audit = _run(
        _check([Wrong()], id="PORT-001", severity="high"),
        _check([Wrong(), Wrong(container="b")], id="PORT-002"),
        _check(id="NET-001"),
    )
    assert audit.by_family == {"NET": {}, "PORT": {"élevée": 1, "moyenne": 2}}
    part = audit.of_families(["NET"])
    assert ([result.check for result in part.results], part.findings) == (["NET-001"], [])
    assert audit.of_families([]).findings == audit.findings


def test_results_are_a_table_in_french() -> None:
    audit = _run(_check(), _check([AbsentTable("listeners", "muettes")], id="TEST-002", severity="info"))
    rows = CheckResult.table.rows(dataclasses.asdict(result) for result in audit.results)
    assert Grid(rows, CheckResult.table).markdown().splitlines() == [
        "| Contrôle | Ce qui est vérifié | Verdict | Gravité | Motif |",
        "| --- | --- | --- | --- | --- |",
        "| TEST-001 | Rien | conforme | moyenne | — |",
        "| TEST-002 | Rien | non évaluable | information | Muettes. |",
    ]


def test_a_check_is_declared_once() -> None:
    known = next(iter(CHECKS.values()))
    with pytest.raises(ValueError, match=f"{known.id} is declared twice"):
        check(known.id, "low", "Rien", key=(), message="", fix=Fix(""))(lambda: [])
    assert CHECKS[known.id] is known


def test_a_finding_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        _only(_check([Wrong()])).severity = "info"  # type: ignore[misc]
