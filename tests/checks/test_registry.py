"""What every check must hold, whatever it looks for."""

import random
import re
import shlex
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytest

from auditlib.facts.table import VIEWS, inputs
from auditlib.facts.tables import TABLES
from auditlib.findings.audit import audit as judge
from auditlib.findings.check import CHECKS, SEVERITIES_FR, Check
from auditlib.french import typography
from auditlib.report.shown import fact_labels
from tests.checks.cases import GIVEN, Case, load
from tests.conftest import snapshot_of

CASES: dict[str, list[Case]] = defaultdict(list)
for one in load():
    CASES[one.check].append(one)
FAILING = {check: [case for case in cases if case.verdict == "fail"] for check, cases in CASES.items()}
EVERY_FAILING = [case for cases in FAILING.values() for case in cases]
EVERY = pytest.mark.parametrize("check", CHECKS.values(), ids=list(CHECKS))

NOT_READ = "Elle n’a pas été lue."


def needed(function: Callable[..., Any]) -> set[str]:
    """The tables that a check or a view cannot do without, and that a snapshot may lack."""
    names = [name for name, optional in inputs(function).items() if not optional]
    tables = [{name} if name in TABLES else needed(VIEWS[name].compute) for name in names]
    return set().union(*tables) - {"sources", "waivers"}


def test_every_check_has_cases_of_each_kind() -> None:
    """Those where a table that it needs was not read are made below; a check that needs none gives its own."""
    lacking = {}
    for check in CHECKS.values():
        other = {"na"} if check.id in GIVEN else set() if needed(check.function) else {"unknown"}
        lacking[check.id] = ({"pass", "fail"} | other) - {case.verdict for case in CASES[check.id]}
    assert {check: kinds for check, kinds in lacking.items() if kinds} == {}


def test_no_case_is_of_an_unknown_check() -> None:
    assert set(CASES) == set(CHECKS)


def test_the_cases_tell_every_command_of_a_check() -> None:
    for check in CHECKS.values():
        told = [finding for case in CASES[check.id] for finding in case.findings]
        for field, templates in (("commands", check.fix.commands), ("verify", check.fix.verify)):
            commands = {command for finding in told for command in finding.get(field, [])}
            programs = {shlex.split(command)[0] for command in commands}
            assert programs >= {template.split()[0] for template in templates if template[0].isalpha()}
        assert any("fix" in finding for finding in told) and any("evidence" in finding for finding in told)


@EVERY
def test_nothing_there_is_conforming_and_nothing_read_is_unknown(check: Check) -> None:
    there = snapshot_of(**{name: [] for name in TABLES})
    assert judge(there, checks=[check]).results[0].verdict in ("pass", "na")
    unread = judge(snapshot_of(), checks=[check]).results[0]
    if check.id in GIVEN:
        assert unread.verdict == "na"
    else:
        assert (unread.verdict, unread.reason) == ("unknown", NOT_READ)


NEEDY = [check for check in CHECKS.values() if needed(check.function)]


@pytest.mark.parametrize("check", NEEDY, ids=[check.id for check in NEEDY])
def test_each_table_that_a_check_needs_makes_it_unknown_when_it_was_not_read(check: Check) -> None:
    """On a server where the check fails: what is wrong there is not told without it."""
    tables = FAILING[check.id][0].tables
    for name in needed(check.function):
        others = {table: rows for table, rows in tables.items() if table != name}
        [result] = judge(snapshot_of(**others), checks=[check]).results
        assert (name, result.verdict) == (name, "unknown")
        assert result.reason in {NOT_READ, *(case.reason for case in CASES[check.id])}


CIS_OF_CONTAINERS = [check for check in CHECKS.values() if check.id.startswith("CIS-") and check.key == ("container",)]


@pytest.mark.parametrize("check", CIS_OF_CONTAINERS, ids=[check.id for check in CIS_OF_CONTAINERS])
def test_a_container_of_no_project_is_as_much_at_fault_and_told_by_its_command(check: Check) -> None:
    """Paused, and made by hand; compose files were not read."""
    alone = {"state": "paused", "compose_project": None, "compose_service": None, "compose_files": None}
    case = FAILING[check.id][0]
    tables = {name: rows for name, rows in case.tables.items() if name != "compose_services"}
    tables["containers"] = [{**row, **alone} for row in tables["containers"]]
    told = judge(snapshot_of(**tables), checks=[check]).findings
    assert [(one.identity, one.message) for one in told] == [(one.identity, one.message) for one in case.audit.findings]
    assert told[0].fix.text.startswith(typography("Dans la commande qui crée « app », "))
    assert told[0].fix.commands == ()


# What a finding may be about: the contract of constats.json.
KINDS = {
    "container", "image", "volume", "network", "port", "router", "service", "middleware", "entrypoint", "domain",
    "certificate", "database", "compose_project", "compose_file", "listener", "unit", "source", "host",
}  # fmt: skip


def test_a_finding_is_about_things_of_known_kinds_that_have_a_name() -> None:
    told = [finding for case in EVERY_FAILING for finding in case.audit.findings]
    assert [one.identity for one in told if not {kind for kind, _ in one.subjects} <= KINDS] == []
    assert [one.identity for one in told if "None" in {name for _, name in one.subjects}] == []


def test_each_fact_of_the_evidence_has_a_french_label() -> None:
    labels = fact_labels().keys()
    findings = [finding for case in EVERY_FAILING for finding in case.audit.findings]
    without = {
        (one.check, name) for one in findings for name in one.evidence.keys() - one.fault.fact_labels().keys() - labels
    }
    assert without == set()


@EVERY
def test_the_order_of_rows_changes_nothing(check: Check) -> None:
    for case in FAILING[check.id]:
        shuffled = {name: random.Random(7).sample(rows, len(rows)) for name, rows in case.tables.items()}
        assert judge(snapshot_of(**shuffled), checks=[check]).findings == case.audit.findings


# French, as it is written


def test_titles_are_sentences_of_the_compliant_state() -> None:
    for check in CHECKS.values():
        assert re.match(r"[A-ZÀÉ][^.!?]*[^.!? ]$", check.title)
        assert _well_written(typography(check.title))


def test_what_is_said_is_well_written() -> None:
    for finding in (finding for case in EVERY_FAILING for finding in case.audit.findings):
        machine = sorted(filter(None, _words(finding.evidence)), key=len, reverse=True)
        own = re.sub("|".join(map(re.escape, machine)), "x", finding.message)
        assert _well_written(own)
        assert finding.message.endswith((".", "»."))
        assert _well_written(finding.fix.text) and finding.fix.text.endswith(".")
        assert finding.severity in SEVERITIES_FR


def _words(value: Any) -> list[str]:
    if isinstance(value, dict | list):
        return [word for item in (value.values() if isinstance(value, dict) else value) for word in _words(item)]
    return [typography(str(value))] if value is not None else []


def _well_written(text: str) -> bool:
    """No breakable space where French forbids one, no straight apostrophe, no double space."""
    return not re.search(r" [;:!?%»]|« |'| {2}|\.\.\.|\bNone\b|\bnan\b|<NA>", re.sub(r"`[^`]*`", "", text))
