"""What a person decides of an audit: waivers accept findings, and are themselves judged."""

import datetime as dt
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditlib import checks, views  # noqa: F401 - imported for what they register
from auditlib.facts.snapshot import Snapshot
from auditlib.findings.audit import Audit
from auditlib.findings.audit import audit as judge
from auditlib.findings.check import WEIGHTS
from auditlib.findings.policy import Policy, waives
from auditlib.french import day
from auditlib.parameters import Parameters, Waiver
from auditlib.report.constats import constats
from auditlib.report.shown import FindingList
from tests.conftest import derived


def _waiver(check: str = "PORT-004", subject: str = "chromadb", expires: dt.date | None = None) -> Waiver:
    return Waiver(check=check, subject=subject, reason="accès du bureau", author="Ana", expires=expires)


def _audit(facts: Snapshot, *waivers: Waiver) -> Audit:
    return judge(facts, Policy(waivers=waivers))


@pytest.mark.parametrize(
    ("subject", "accepts"),
    [
        ("chromadb", True),
        ("chroma", False),
        ("chroma*", True),
        ("container=chromadb", True),
        ("port=chromadb", False),
        ("tcp/[::]:8000", True),
        ("re:tcp/.*:8000", True),
        ("re:chroma", False),
        ("re:.*", True),
    ],
)
def test_what_a_subject_designates(subject: str, accepts: bool) -> None:
    subjects = [("container", "chromadb"), ("port", "tcp/[::]:8000")]
    assert waives(_waiver(subject=subject), "PORT-004", subjects) is accepts
    assert not waives(_waiver("PORT-005", subject), "PORT-004", subjects)


@given(st.text(min_size=1))
def test_any_name_designates_itself(name: str) -> None:
    if not name.startswith("re:"):
        assert waives(_waiver(subject=name), "PORT-004", [("container", name)])


def test_an_accepted_finding_is_shown_apart_and_counts_nowhere(faulty: Snapshot) -> None:
    before, after = judge(faulty), _audit(faulty, _waiver(expires=faulty.collected.date()))
    (waived,) = after.waived
    assert waived.check == "PORT-004"
    assert waived.waived == {
        "reason": "accès du bureau",
        "author": "Ana",
        "expires": faulty.collected.date().isoformat(),
    }
    assert len(after.live) == len(before.live) - 1
    assert after.worst != "critical" == before.worst
    verdicts = {result.check: result.verdict for result in after.results}
    assert verdicts["PORT-004"] == "na" and verdicts["WAIVER-001"] == verdicts["WAIVER-002"] == "pass"
    weights = [WEIGHTS[one.severity] for one in after.results if one.verdict in ("pass", "fail")]
    passing = [WEIGHTS[one.severity] for one in after.results if one.verdict == "pass"]
    assert after.score == pytest.approx(min(100 * sum(passing) / sum(weights), 79))
    told = json.loads(constats(derived(faulty, after)))["findings"]
    assert [one["waived"]["author"] for one in told if one["waived"]] == ["Ana"]
    shown = FindingList(after.waived)
    assert f"Accepté par Ana, jusqu’au {day(faulty.collected)}" in shown._repr_html_().replace("\u00a0", " ")
    assert "Dérogation" in shown.markdown()


def test_an_expired_waiver_lets_its_finding_back_and_is_a_finding(faulty: Snapshot) -> None:
    after = _audit(faulty, _waiver(expires=faulty.collected.date() - dt.timedelta(days=1)))
    assert after.waived == []
    told = {finding.check: finding for finding in after.live}
    assert told["PORT-004"].severity == "critical"
    assert told["WAIVER-001"].severity == "medium" and "sont revenus" in told["WAIVER-001"].message
    assert "WAIVER-002" not in told


def test_a_waiver_that_matches_nothing_is_a_finding(faulty: Snapshot) -> None:
    told = [finding.identity for finding in _audit(faulty, _waiver(subject="rien")).live]
    assert "WAIVER-002|source=waivers PORT-004 rien" in told


def test_a_policy_is_made_of_the_parameters() -> None:
    asked = Parameters(severities={"NET-001": "low"}, waivers=[_waiver()], cis="complet")
    assert Policy.of(asked) == Policy({"NET-001": "low"}, (_waiver(),), {}, "complet")
