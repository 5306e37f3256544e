"""What the checks say of a snapshot: findings, verdicts, coverage, score."""

import dataclasses
import datetime as dt
import re
import shlex
import string
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from auditlib.facts.snapshot import AbsentTable, Snapshot
from auditlib.facts.table import Row, inputs, prose, table, text
from auditlib.facts.tables.compose import ComposeService
from auditlib.facts.tables.docker import Container
from auditlib.facts.tables.policy import WaiverState
from auditlib.findings.about import Scene, about
from auditlib.findings.check import (
    CHECKS,
    SEVERITIES_FR,
    VERDICTS_FR,
    WEIGHTS,
    Check,
    Command,
    Confidence,
    Fault,
    Fix,
    Kind,
    NotApplicable,
    Subject,
    Verdict,
    family,
)
from auditlib.findings.commands import container_words
from auditlib.findings.policy import Policy, expired, waives
from auditlib.french import listing, quoted, sentence, typography, visible
from auditlib.parameters import Severity, Waiver

NO_FAULT = Fault()  # of a finding that no check made


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: what, how grave, how sure, and how to mend it.

    `fault` is what its check found, and `about` names the things by which another finding may explain it, by kind.
    """

    identity: str
    check: str
    severity: Severity
    confidence: Confidence
    subjects: tuple[Subject, ...]
    message: str
    evidence: Mapping[str, Any]
    fix: Fix
    waived: Mapping[str, str | None] | None = None
    fault: Fault = NO_FAULT
    about: Mapping[Kind, frozenset[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """The verdict of one check; `reason` says why it is not evaluable or not applicable."""

    check: str
    title: str
    verdict: Verdict
    severity: Severity
    reason: str | None = None


@table("results", "Contrôles", "Le verdict de chaque contrôle.", key=("check",))
class CheckResult(Row):
    """The verdict of a check."""

    check: str = text("Contrôle")
    title: str | None = prose("Ce qui est vérifié")
    verdict: str | None = text("Verdict", words=VERDICTS_FR)
    severity: str | None = text("Gravité", words=SEVERITIES_FR)
    reason: str | None = prose("Motif")


# No score where less of the checks could be judged; and what it is at most beside a live finding of a severity.
LEAST_COVERAGE = 0.8
_CAPS: Mapping[Severity, float] = {"critical": 49, "high": 79}


@dataclass(frozen=True)
class Audit:
    """What the checks say of one snapshot."""

    results: Sequence[Result]
    findings: Sequence[Finding]

    @property
    def coverage(self) -> float:
        """Share of the checks that could be judged, of those that apply; 0 when none applies."""
        judged = [result for result in self.results if result.verdict in ("pass", "fail")]
        unknown = [result for result in self.results if result.verdict == "unknown"]
        return len(judged) / total if (total := len(judged) + len(unknown)) else 0.0

    @property
    def score(self) -> float | None:
        """100 × weight of passing checks / weight of judged checks, capped by the worst finding.

        None under 80 % coverage: a score of the little that was judged says nothing of the machine.
        """
        judged = [result for result in self.results if result.verdict in ("pass", "fail")]
        passing = sum(WEIGHTS[result.severity] for result in judged if result.verdict == "pass")
        total = sum(WEIGHTS[result.severity] for result in judged)
        cap = _CAPS.get(self.worst, 100) if self.worst else 100
        return min(100 * passing / total, cap) if total and self.coverage >= LEAST_COVERAGE else None

    @property
    def worst(self) -> Severity | None:
        """The gravest severity among the findings that no waiver accepts."""
        return next((severity for severity in WEIGHTS if any(f.severity == severity for f in self.live)), None)

    @property
    def live(self) -> list[Finding]:
        """The findings that no waiver accepts."""
        return [finding for finding in self.findings if not finding.waived]

    @property
    def waived(self) -> list[Finding]:
        """The findings that a waiver accepts."""
        return [finding for finding in self.findings if finding.waived]

    def at_least(self, severity: Severity) -> list[Finding]:
        """The findings of this severity or worse that no waiver accepts."""
        order = list(WEIGHTS)
        return [finding for finding in self.live if order.index(finding.severity) <= order.index(severity)]

    def of_families(self, families: Sequence[str]) -> "Audit":
        """The part that some families say; all of it when none is given."""
        kept = [result for result in self.results if not families or family(result.check) in families]
        names = {result.check for result in kept}
        return Audit(kept, [finding for finding in self.findings if finding.check in names])

    @property
    def by_family(self) -> dict[str, dict[str, int]]:
        """The number of live findings by family, then by French severity; families without findings included."""
        counts: dict[str, dict[str, int]] = {family(result.check): {} for result in self.results}
        for finding in self.live:
            severity = SEVERITIES_FR[finding.severity]
            counts[family(finding.check)][severity] = counts[family(finding.check)].get(severity, 0) + 1
        return counts


def audit(snapshot: Snapshot, policy: Policy | None = None, checks: Iterable[Check] | None = None) -> Audit:
    """Run every check on a snapshot, or those given, by a policy: severities, waivers, what is expected.

    The checks of the waivers themselves come last, since they need to know what the waivers designate.
    """
    policy = policy or Policy()
    snapshot = policy.told(snapshot)
    chosen = [one for one in CHECKS.values() if not one.extra or policy.cis == "complet"]
    chosen = chosen if checks is None else [*checks]
    last = [one for one in chosen if WaiverState.table.name in inputs(one.function)]
    results, findings = _run(snapshot, policy, [one for one in chosen if one not in last])
    if last:
        more, found = _run(with_waivers(snapshot, policy, findings), policy, last)
        results, findings = results + more, findings + found
    order = list(WEIGHTS)
    findings.sort(key=lambda finding: (order.index(finding.severity), finding.check, finding.identity))
    return Audit(sorted(results, key=lambda result: result.check), findings)


def _run(snapshot: Snapshot, policy: Policy, checks: Sequence[Check]) -> tuple[list[Result], list[Finding]]:
    results, findings, scene = [], [], Scene(snapshot)
    for one in checks:
        result, found = _judge(scene, policy, one)
        results.append(result)
        findings += found
    return results, findings


def with_waivers(snapshot: Snapshot, policy: Policy, findings: Sequence[Finding]) -> Snapshot:
    """The snapshot with the table `waivers`, unless it has one: what each waiver of a policy designates."""
    if WaiverState.table.name in snapshot.tables:
        return snapshot
    day = snapshot.collected.date()
    return snapshot.changed({WaiverState.table.name: [_waiver(one, findings, day) for one in policy.waivers]})


def _waiver(waiver: Waiver, findings: Sequence[Finding], day: dt.date) -> WaiverState:
    return WaiverState(
        check=waiver.check,
        subject=waiver.subject,
        reason=waiver.reason,
        author=waiver.author,
        expires=dt.datetime.combine(waiver.expires, dt.time(), dt.UTC) if waiver.expires else None,
        expired=expired(waiver, day),
        days_left=(waiver.expires - day).days if waiver.expires else None,
        matches=sum(waives(waiver, finding.check, finding.subjects) for finding in findings),
    )


def _judge(scene: Scene, policy: Policy, one: Check) -> tuple[Result, list[Finding]]:
    snapshot = scene.snapshot
    severity = policy.severities.get(one.id)
    imposed = severity or one.severity
    faults: list[Fault] = []
    try:
        for fault in snapshot.call(one.function):
            faults.append(fault)
    except AbsentTable as absent:
        # What was found before the missing table was missed is wrong all the same.
        if not faults:
            return Result(one.id, one.title, "unknown", imposed, sentence([absent.reason])), []
    except NotApplicable as reason:
        return Result(one.id, one.title, "na", imposed, sentence([str(reason)])), []
    made = (_waived(_finding(one, fault, severity, scene), snapshot, policy) for fault in faults)
    findings = list({finding.identity: finding for finding in made}.values())
    return _result(one, imposed, findings), findings


def _result(one: Check, severity: Severity, findings: Sequence[Finding]) -> Result:
    """The verdict of a check that was judged. What is accepted counts neither for nor against."""
    if findings and all(finding.waived for finding in findings):
        return Result(one.id, one.title, "na", severity, "Tout ce qui est constaté a une dérogation.")
    return Result(one.id, one.title, "fail" if findings else "pass", severity)


def _waived(finding: Finding, snapshot: Snapshot, policy: Policy) -> Finding:
    """The finding with the waiver that accepts it, if one does that has not expired."""
    for waiver in policy.waivers:
        current = not expired(waiver, snapshot.collected.date())
        if current and waives(waiver, finding.check, finding.subjects):
            told = {"reason": waiver.reason, "author": waiver.author}
            until = {"expires": waiver.expires.isoformat() if waiver.expires else None}
            return dataclasses.replace(finding, waived={**told, **until})
    return finding


def identity(check_id: str, subjects: Iterable[Subject]) -> str:
    """The stable identity of a finding: its check and its subjects, percent-escaped."""
    parts = (f"{kind}={quote(name, safe=' /:@.[]*~', errors='surrogatepass')}" for kind, name in subjects)
    return "|".join([check_id, *parts])


def _finding(one: Check, fault: Fault, imposed: Severity | None, scene: Scene) -> Finding:
    words = _words(one, fault, scene.snapshot)
    subjects = fault.subjects or tuple((kind, str(words[kind])) for kind in one.key)
    return Finding(
        identity(one.id, subjects),
        one.id,
        imposed or fault.severity or one.severity,
        fault.confidence or one.confidence,
        subjects,
        _prose(one.message, words),
        {name: _plain(value) for name, value in fault.evidence.items()},
        Fix(_prose(one.fix.text, words), _commands(one.fix.commands, words), _commands(one.fix.verify, words)),
        fault=fault,
        about=about(one.id, subjects, fault, scene),
    )


def _words(one: Check, fault: Fault, snapshot: Snapshot) -> dict[str, Any]:
    """What fills the templates of a fault: its own fields, and how the stack of its container is called."""
    words = fault.words
    if one.of_container:
        containers = snapshot.known(Container)
        container = containers.by(Container.name).get(words.get("container", "")) if containers else None
        words = {**container_words(container, snapshot.known(ComposeService) or ())._asdict(), **words}
    return words


class _Prose(string.Formatter):
    """Fills a French sentence: lists are enumerated, and text from the machine cannot hide or move anything.

    `{networks:quoted}` puts each item between « ».
    """

    def format_field(self, value: Any, format_spec: str) -> str:
        if format_spec == "quoted":
            return listing(quoted(visible(item)) for item in (value if isinstance(value, list | tuple) else [value]))
        if isinstance(value, list | tuple):
            return listing(visible(item) for item in value)
        return visible("inconnu" if value is None else value)


class _Shell(string.Formatter):
    """Fills a command: every value is quoted for the shell, unless it is a `Command`."""

    def format_field(self, value: Any, format_spec: str) -> str:
        return value if isinstance(value, Command) else shlex.quote(str(value))


def _prose(template: str, words: Mapping[str, Any]) -> str:
    # A clause that does not apply is an empty field: the space before it must go.
    return typography(re.sub(" {2,}", " ", _Prose().vformat(template, (), words)).strip())


def _commands(templates: tuple[str, ...], words: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(_Shell().vformat(template, (), words) for template in templates if _writable(template, words))


def _writable(template: str, words: Mapping[str, Any]) -> bool:
    """Whether a command can be written: its fields are known, and none hides a control character."""
    values = [words.get(name) for _, name, _, _ in string.Formatter().parse(template) if name]
    return not any(value is None or visible(value) != str(value) for value in values)


def _plain(value: Any) -> Any:
    """A value of evidence as JSON holds it."""
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
