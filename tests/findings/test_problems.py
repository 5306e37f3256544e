"""Problems: what each rule joins and what it leaves apart, and that every finding is in exactly one."""

import copy
import dataclasses
import json
import random
import re
from collections import defaultdict
from collections.abc import Iterator
from graphlib import TopologicalSorter
from itertools import product
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from auditlib import notebook
from auditlib.derived import Facts
from auditlib.facts.snapshot import Snapshot
from auditlib.facts.table import Rows
from auditlib.facts.tables.logs import SUBJECTS
from auditlib.findings.about import Scene, about
from auditlib.findings.audit import Audit, Finding
from auditlib.findings.audit import audit as judge
from auditlib.findings.check import CHECKS, WEIGHTS, Fault, Fix, Kind, Subject
from auditlib.findings.problems import NOUNS, RULES, Problem, Rule, forms, problems
from auditlib.french import typography
from auditlib.parameters import Severity
from auditlib.report.constats import constats
from tests.checks.cases import FOLDER as CASES
from tests.checks.cases import Case, load
from tests.conftest import snapshot_of

DOCUMENT = yaml.safe_load((Path(__file__).parent / "problems.yaml").read_text("utf-8"))
GIVEN = snapshot_of(**DOCUMENT["given"])


def finding(
    identity: str, facts: dict[str, Any] | None = None, severity: Severity | None = None, snapshot: Snapshot = GIVEN
) -> Finding:
    """A finding as a check makes it, of its identity and of some fields of its fault."""
    check, *parts = identity.split("|")
    subjects = tuple((kind, name) for kind, _, name in (part.partition("=") for part in parts))
    declared, facts = CHECKS[check], facts or {}
    fault, grave = _fault(declared.fault, subjects, facts), severity or declared.severity
    evidence = {name: value for name, value in facts.items() if declared.fault.fields()[name]}
    named = about(check, subjects, fault, Scene(snapshot))
    message = f"Constat {check}."
    return Finding(identity, check, grave, "certain", subjects, message, evidence, Fix(""), fault=fault, about=named)


def _fault(declared: type[Fault], subjects: tuple[Subject, ...], facts: dict[str, Any]) -> Fault:
    """A fault of some fields; its subjects are fields of theirs, the others are empty."""
    fields = {field.name: field for field in dataclasses.fields(declared) if field.name in declared.fields()}
    lacking = {name: field for name, field in fields.items() if field.default is dataclasses.MISSING}
    empty = {name: () if str(field.type).startswith("tuple") else None for name, field in lacking.items()}
    own = {kind: name for kind, name in subjects if kind in fields}
    told = {name: tuple(value) if isinstance(value, list) else value for name, value in facts.items()}
    return declared(**empty | own | told, subjects=subjects)


@dataclasses.dataclass(frozen=True)
class Pair:
    """A cause, and a finding that it explains by a thing of this kind, or that is about another."""

    shared: str
    cause: Finding
    other: Finding
    facts: Snapshot

    def __str__(self) -> str:
        return f"{self.cause.identity} → {self.other.identity}"

    def made(self) -> list[Problem]:
        return problems(self.facts, Audit([], [self.other, self.cause]))


def _pairs(causes: str, others: str) -> Iterator[Pair]:
    for case in DOCUMENT["cases"]:
        facts = snapshot_of(**DOCUMENT["given"] | case["tables"]) if "tables" in case else GIVEN
        made = (
            [finding(*one, snapshot=facts) for each in case.get(key, []) for one in each.items()]
            for key in (causes, others)
        )
        yield from (Pair(case["shared"], *pair, facts) for pair in product(*made))


JOINED = list(_pairs("causes", "symptoms"))
APART = [*_pairs("causes", "apart"), *_pairs("uncaused", "apart")]
# Every finding of the cases, as often as its evidence differs.
FOUND = [one for pair in [*JOINED, *APART] for one in (pair.cause, pair.other)]
POOL = list({one.identity: one for one in FOUND}.values())
# The cases of the checks themselves.
REAL = defaultdict[str, list[Case]](list)
for one in load():
    if one.verdict == "fail":
        REAL[one.check].append(one)


def test_a_cause_explains_what_is_about_the_same_thing() -> None:
    for pair in JOINED:
        made = pair.made()
        assert (str(pair), len(made)) == (str(pair), 1)
        [evidence] = made[0].evidence
        assert (made[0].cause, evidence.finding, evidence.cause) == (pair.cause, pair.other, pair.cause.check)
        assert evidence.shared.startswith(typography(f"{NOUNS[pair.shared]} « "))


def test_what_is_about_another_thing_stands_for_itself() -> None:
    made = [(str(pair), [problem.evidence for problem in pair.made()]) for pair in APART]
    assert [(pair, evidence) for pair, evidence in made if evidence != [(), ()]] == []


# The table


def _told(rule: Rule, pairs: list[Pair]) -> list[Pair]:
    """The pairs that a rule is about."""
    causes, symptoms = set(rule.causes.split()), set(rule.symptoms.split())
    return [
        pair
        for pair in pairs
        if pair.shared == rule.shared and forms(pair.cause) & causes and forms(pair.other) & symptoms
    ]


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_every_rule_has_cases_of_each_check_and_one_apart(rule: Rule) -> None:
    told = _told(rule, JOINED)
    assert set(rule.causes.split()) <= {form for pair in told for form in forms(pair.cause)}
    assert set(rule.symptoms.split()) <= {form for pair in told for form in forms(pair.other)}
    assert _told(rule, APART)


def test_rules_name_checks_that_exist_and_things_that_are_known() -> None:
    named = {one for rule in RULES for one in f"{rule.causes} {rule.symptoms}".split()}
    assert {one.partition(":")[0] for one in named} <= set(CHECKS)
    assert {rule.shared for rule in RULES} == set(NOUNS) == set(get_args(Kind))


def _expanded(name: str, names: set[str]) -> set[str]:
    """A check and its forms: the check alone stands for all of them."""
    return {one for one in names if one == name or one.startswith(f"{name}:")}


def test_no_chain_of_rules_comes_back() -> None:
    names = {one for rule in RULES for one in f"{rule.causes} {rule.symptoms}".split()}
    tree = defaultdict[str, set[str]](set)
    for rule in RULES:
        for cause, symptom in product(rule.causes.split(), rule.symptoms.split()):
            for one, other in product(_expanded(cause, names), _expanded(symptom, names)):
                tree[other].add(one)
    assert list(TopologicalSorter(tree).static_order())


@pytest.mark.parametrize("check", sorted({one.check for one in POOL}))
def test_the_findings_of_the_cases_are_such_as_their_check_makes(check: str) -> None:
    """A case of facts that no check gives any more would prove nothing, and nobody would see it."""
    mine = [one for one in FOUND if one.check == check]
    names = {name for one in mine for name in one.evidence}
    kinds = {tuple(kind for kind, _ in one.subjects) for one in mine}
    # A log may be about any of its kinds of subjects.
    kinds -= {(kind, "source") for kind in SUBJECTS} if check == "LOG-002" else set()
    for case in REAL[check]:
        for found in judge(case.snapshot, checks=[CHECKS[check]]).findings if names or kinds else ():
            names -= set(found.evidence)
            kinds.discard(tuple(kind for kind, _ in found.subjects))
    assert (names, kinds) == (set(), set())


# Problems


def _groups(made: list[Problem]) -> list[tuple[str, list[str]]]:
    return [(problem.cause.identity, [one.finding.identity for one in problem.evidence]) for problem in made]


@given(
    st.lists(st.sampled_from(POOL), unique_by=lambda one: one.identity, max_size=40), st.randoms(use_true_random=False)
)
def test_every_finding_is_in_one_problem_whatever_the_order(found: list[Finding], chance: random.Random) -> None:
    made = problems(GIVEN, Audit([], found))
    assert sorted(one.identity for problem in made for one in problem.findings) == sorted(one.identity for one in found)
    assert problems(GIVEN, Audit([], chance.sample(found, len(found)))) == made
    ranks = [(list(WEIGHTS).index(one.severity), -len(one.findings), one.cause.identity) for one in made]
    assert ranks == sorted(ranks)


def test_the_order_of_rows_changes_nothing(faulty: Snapshot) -> None:
    chance, audit = random.Random(7), judge(faulty)
    shuffled = copy.copy(faulty)
    shuffled.tables = {name: Rows(chance.sample(rows, len(rows))) for name, rows in faulty.tables.items()}
    shuffled._views = {}
    assert _groups(problems(shuffled, audit)) == _groups(problems(faulty, audit))


_LEGACY = "compose_file=ai-tools/ai-orchestrator/docker-compose.legacy.yml"
_WELCOME = "COMPOSE-004|compose_project=4lb-welcome|compose_file=web-apps/4lb-welcome/docker-compose.yml"


def test_the_problems_of_the_reference_server(faulty: Snapshot) -> None:
    audit = judge(faulty)
    made = problems(faulty, audit)
    assert _groups(made) == [
        (
            "PORT-004|container=chromadb|port=tcp/0.0.0.0:8000",
            ["DB-004|database=chromadb", "NET-007|database=chromadb", "CIS-5.14|container=chromadb"],
        ),
        (
            "ROUTE-014|entrypoint=traefik|router=api@internal",
            ["PORT-005|container=traefik|port=tcp/0.0.0.0:8080", "CIS-5.14|container=traefik"],
        ),
        ("DB-004|database=redis", ["NET-007|database=redis"]),
        ("NET-001|container=jsr-dev", []),
        (f"PORT-002|{_LEGACY}|port=tcp/0.0.0.0:8002", [f"COMPOSE-004|compose_project=ai-orchestrator|{_LEGACY}"]),
        (
            "PORT-005|container=nvidia-gpu-exporter|port=tcp/0.0.0.0:9835",
            ["CIS-5.14|container=nvidia-gpu-exporter"],
        ),
        (
            "PORT-006|container=ai-orchestrator-frontend|port=tcp/0.0.0.0:8002",
            ["CIS-5.14|container=ai-orchestrator-frontend"],
        ),
        ("ROUTE-009|router=jsr-dev@docker|entrypoint=websecure", ["HTTP-003|domain=jsr.4lb.ca"]),
        ("COMPOSE-001|container=postgres", []),
        ("COMPOSE-001|container=redis", []),
        ("NET-007|database=postgres", []),
        ("CIS-5.14|container=agent-zero", []),
        ("CIS-5.32|container=traefik", []),
        ("CONT-007|host=serveur", []),
        (_WELCOME, ["ROUTE-012|domain=4lb.ca"]),
        ("COMPOSE-004|compose_project=Robin_IA|compose_file=Robin_IA/Dockerfile", []),
        ("DB-007|database=chromadb", []),
        ("DB-007|database=mariadb.service", []),
        ("LOG-003|container=traefik", []),
    ]
    assert sum(len(one.findings) for one in made) == len(audit.live)
    [network] = [one for one in made if one.cause.check == "NET-001"]
    # How often depends on how long the recorded server had run.
    assert [re.sub(r", \d+ fois, la dernière .*", "", one) for one in network.log] == [
        typography("Journal de Traefik : repli sur un autre réseau « traefik-net »"),
        typography("Journal de Traefik : réseau désigné absent du conteneur « unified-net »"),
    ]


def test_a_504_a_missing_network_and_a_line_of_the_log_are_one_problem() -> None:
    """Three findings of three sources, and what the log repeats beside them."""
    said = {"count": 3, "first": "2026-11-23T07:00:00Z", "last": "2026-11-23T08:00:00Z", "subject_kind": "container"}
    said |= {"subject": "app", "containers": ["app"]}
    tables = yaml.safe_load((CASES / "HTTP-001.yaml").read_text("utf-8"))["given"]
    tables |= {
        "docker_engine": [{"name": "serveur", "clock": "2026-11-23T08:15:00Z"}],
        "log_events": [
            {"kind": "other", "level": "error", "example": "cannot reach app", **said},
            {"kind": "network_missing", "level": "warning", "named": "shop", "example": "no network", **said},
        ],
    }
    facts = snapshot_of(**tables)
    audit = judge(facts, checks=[CHECKS[name] for name in ("NET-002", "HTTP-001", "LOG-002", "CONT-004")])
    [problem] = problems(facts, audit)
    assert _groups([problem]) == [
        (
            "NET-002|container=app",
            ["HTTP-001|domain=app.fr|router=app@docker", "LOG-002|container=app|source=log other"],
        )
    ]
    assert [(one.cause, one.shared) for one in problem.evidence] == [("NET-002", typography("conteneur « app »"))] * 2
    assert problem.explains == typography(
        "Explique aussi : HTTP-001 https://app.fr/ répond par une erreur 504 (routeur « app@docker ») ; LOG-002 Le "
        "journal de Traefik signale une erreur (conteneur « app », 3 fois, la dernière le 23 novembre 2026 à 8 h 00 "
        "(UTC))."
    )
    assert problem.log == (
        typography(
            "Journal de Traefik : réseau désigné absent du conteneur « shop », 3 fois, la dernière le 23 novembre "
            "2026 à 8 h 00 (UTC)."
        ),
    )


def test_a_chain_yields_to_its_deepest_cause_and_a_symptom_to_its_first() -> None:
    found = [
        finding("PORT-001|container=app|port=tcp/0.0.0.0:80", {"start_error": "port is already allocated"}),
        finding("CONT-003|container=app"),
        finding("ROUTE-002|container=app", {"step": "stopped", "routers": []}),
        finding("ROUTE-012|domain=app.fr", {"file": "other/compose.yml"}),
        finding("TLS-006|certificate=app.fr@le", {"domains": ["app.fr"]}),
    ]
    [problem] = problems(GIVEN, Audit([], found))
    assert problem.cause is found[0]
    assert [(one.finding.check, one.cause) for one in problem.evidence] == [
        ("CONT-003", "PORT-001"),
        ("ROUTE-002", "PORT-001"),
        ("TLS-006", "ROUTE-002"),
        ("ROUTE-012", "PORT-001"),
    ]


def test_a_problem_is_as_grave_as_its_gravest_symptom() -> None:
    cause = finding("ROUTE-021|container=app", {"proposals": [], "drops": True})
    symptom = finding("ROUTE-002|container=app", {"step": "labels", "routers": []})
    made = problems(GIVEN, Audit([], [cause, finding("NET-005|network=a|network=b"), symptom]))
    assert [(one.severity, one.cause.check) for one in made] == [("high", "ROUTE-021"), ("medium", "NET-005")]


def test_what_is_waived_is_in_no_problem() -> None:
    waived = dataclasses.replace(finding("DB-005|database=app", {"addresses": []}), waived={"reason": "x"})
    symptom = finding("DB-004|database=app", {"addresses": [], "networks": []})
    assert [one.findings for one in problems(GIVEN, Audit([], [waived, symptom]))] == [[symptom]]


def test_nothing_read_joins_nothing_more_than_the_findings_themselves_say() -> None:
    assert _groups(problems(snapshot_of(), Audit([], POOL[:1]))) == [(POOL[0].identity, [])]
    for one in POOL:
        assert len(problems(snapshot_of(), Audit([], [one]))) == 1


# What is written of them


def test_the_report_names_grave_problems_by_their_cause(faulty_report: str) -> None:
    chapter = faulty_report[faulty_report.index("## 6.") : faulty_report.index("## 7.")]
    assert re.findall(r"^- \*\*(\S+)\*\*", chapter, re.MULTILINE) == ["PORT-004", "ROUTE-014", "DB-004", "NET-001"]
    assert re.findall(r"^    - \*\*(\S+)\*\*", chapter, re.MULTILINE) == [
        *("DB-004", "NET-007", "CIS-5.14"),
        *("PORT-005", "CIS-5.14"),
        "NET-007",
    ]
    assert typography("même publication « chromadb tcp/8000 » que PORT-004") in chapter


def test_the_findings_in_json_are_joined_too(faulty: Snapshot) -> None:
    document = json.loads(constats(Facts(faulty)))
    assert document["problems"][2] == {
        "cause": "DB-004|database=redis",
        "findings": ["DB-004|database=redis", "NET-007|database=redis"],
        "severity": "high",
    }
    told = sorted(identity for one in document["problems"] for identity in one["findings"])
    assert told == sorted(one["identity"] for one in document["findings"])


def test_a_notebook_shows_them_or_says_that_nothing_was_judged(faulty: Snapshot) -> None:
    shown = notebook.problems(Facts(faulty))._repr_html_()
    assert shown.count("<article") == len(problems(faulty, judge(faulty)))
    assert repr(notebook.problems(Facts(snapshot_of(sources=[])))) == "Aucun contrôle n’a pu être évalué."
