"""Recommendations: what the findings and the facts of one server advise, under the four headings of an audit.

A rule names the checks it rests on and the tables it reads, and says nothing that these do not show. One module per
heading; importing this package registers them all.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from auditlib.facts.snapshot import AbsentTable, Snapshot
from auditlib.facts.table import VIEWS
from auditlib.facts.tables import TABLES
from auditlib.findings.audit import Audit, Finding, with_waivers
from auditlib.findings.check import Fault
from auditlib.findings.policy import Policy
from auditlib.french import listing, plural, quoted

NETWORKS, ROUTING, SECURITY, OBSERVABILITY = "Réseaux", "Routage", "Sécurité", "Observabilité"
HEADINGS = (NETWORKS, ROUTING, SECURITY, OBSERVABILITY)


@dataclass(frozen=True)
class Advice:
    """What a rule says: French sentences, and the findings it rests on, when not on all that it was given."""

    seen: str
    why: str
    todo: str
    findings: Sequence[Finding] | None = None


@dataclass(frozen=True)
class Recommendation:
    """One recommendation. `rests` names the checks whose findings it rests on, else the tables that show it."""

    title: str
    seen: str
    why: str
    todo: str
    rests: str


@dataclass(frozen=True)
class Section:
    """What is advised under one heading, what is good and should stay, and what could not be judged."""

    heading: str
    advised: Sequence[Recommendation]
    kept: Sequence[Recommendation]
    unknown: Sequence[str]

    @property
    def nothing(self) -> str | None:
        """The sentence for a heading under which nothing is advised; None when something is."""
        if self.advised:
            return None
        if self.unknown:
            return "Rien à recommander parmi ce qui a pu être évalué."
        checks = {check for rule in RULES if rule.heading == self.heading for check in rule.checks}
        return f"Rien à recommander : aucun des {len(checks)} contrôles concernés ne trouve rien à redire."


@dataclass(frozen=True)
class Rule:
    """One declared rule: `function` takes the findings of its checks, then the tables that its parameters name."""

    heading: str
    title: str
    checks: tuple[str, ...]
    function: Callable[..., Iterator[Advice]]
    keep: bool


RULES: list[Rule] = []


def rule(
    heading: str, title: str, *checks: str, keep: bool = False
) -> Callable[[Callable[..., Iterator[Advice]]], Callable[..., Iterator[Advice]]]:
    """Register the decorated function as a rule under `heading`; `keep` when it tells what should stay as it is."""

    def register(function: Callable[..., Iterator[Advice]]) -> Callable[..., Iterator[Advice]]:
        RULES.append(Rule(heading, title, checks, function, keep))
        return function

    return register


def recommend(
    snapshot: Snapshot, audit: Audit, policy: Policy | None = None, rules: Sequence[Rule] = RULES
) -> list[Section]:
    """What is advised under each heading by all rules, or those given, from what an audit by a policy found."""
    snapshot = with_waivers(snapshot, policy or Policy(), audit.findings)
    sections = []
    for heading in HEADINGS:
        advised: list[Recommendation] = []
        kept: list[Recommendation] = []
        unknown: dict[str, None] = {}
        for rule in rules:
            if rule.heading == heading:
                recommendations, reasons = _apply(rule, snapshot, audit)
                (kept if rule.keep else advised).extend(recommendations)
                unknown |= dict.fromkeys(reasons)
        sections.append(Section(heading, advised, kept, list(unknown)))
    return sections


def _apply(rule: Rule, snapshot: Snapshot, audit: Audit) -> tuple[list[Recommendation], list[str]]:
    """What a rule says, and why a part of it could not be judged."""
    findings = of(audit.live, *rule.checks)
    verdicts = {result.check: result for result in audit.results}
    unknown = [
        f"{check} : {verdicts[check].reason if check in verdicts else 'ce contrôle n’a pas été exécuté.'}"
        for check in rule.checks
        if check not in verdicts or verdicts[check].verdict == "unknown"
    ]
    bound = partial(rule.function, findings)
    recommendations = []
    try:
        for advice in snapshot.call(bound):
            rests = _rests(findings if advice.findings is None else advice.findings, _read(snapshot, bound))
            recommendations.append(Recommendation(rule.title, advice.seen, advice.why, advice.todo, rests))
    except AbsentTable as absent:
        unknown.append(f"« {rule.title} » : {absent.reason}.")
    return recommendations, unknown


def _read(snapshot: Snapshot, function: Callable[..., object]) -> list[str]:
    """The titles of the tables that a rule reads and that the snapshot has."""
    titles = []
    for name in inspect.signature(function).parameters:
        with suppress(AbsentTable):
            snapshot.named(name)
            titles.append((TABLES[name] if name in TABLES else VIEWS[name].table).title)
    return titles


def _rests(findings: Iterable[Finding], titles: Iterable[str]) -> str:
    """What a recommendation rests on: checks, else tables."""
    checks = sorted({finding.check for finding in findings})
    return f"Repose sur {listing(checks)}." if checks else f"Repose sur {listing(map(quoted, titles))}, sans constat."


# What rules are written with.


def of(findings: Iterable[Finding], *checks: str) -> list[Finding]:
    """The findings of these checks."""
    return [finding for finding in findings if finding.check in checks]


F = TypeVar("F", bound=Fault)


def faults(findings: Iterable[Finding], kind: type[F]) -> list[F]:
    """The faults of a class that findings are about."""
    return [finding.fault for finding in findings if isinstance(finding.fault, kind)]


def unique(items: Iterable[str]) -> list[str]:
    """Each once, in the order of the first."""
    return list(dict.fromkeys(items))


def names(items: Iterable[str], most: int = 8) -> str:
    """« a », « b » et « c »; beyond `most`, how many more."""
    once = unique(items)
    shown = [quoted(name) for name in once[:most]]
    rest = len(once) - len(shown)
    return listing([*shown, plural(rest, "autre")] if rest else shown)


def sentences(findings: Sequence[Finding], most: int = 3) -> str:
    """What findings say, the first few."""
    rest = len(findings) - most
    more = [f"Et {plural(rest, 'autre constat', 'autres constats')} de même nature."] if rest > 0 else []
    return " ".join([*(finding.message for finding in findings[:most]), *more])


def fixes(findings: Sequence[Finding], most: int = 3) -> str:
    """How findings are mended, each fix once, the first few."""
    return " ".join(unique(finding.fix.text for finding in findings)[:most])


for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
