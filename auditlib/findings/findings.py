"""Checks and findings: how a check is declared, run on a snapshot, and what it says.

A check is a pure function whose parameters name the tables it needs and which returns the offending rows. The
sentence, the fix and the identity are all formatted from the offending row, so that they cannot disagree with it.
"""

import dataclasses
import datetime as dt
import inspect
import re
import shlex
import string
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

from auditlib.facts.frames import is_unknown
from auditlib.facts.legacy import Record
from auditlib.facts.snapshot import AbsentTable, Snapshot
from auditlib.facts.table import Row, prose, table, text
from auditlib.facts.tables.policy import WaiverState
from auditlib.findings.policy import expired, waives
from auditlib.french import listing, sentence, typography, visible
from auditlib.parameters import Severity, Waiver

Verdict = Literal["pass", "fail", "unknown", "na"]
Confidence = Literal["certain", "probable", "hint"]

# Weight of a check in the score, by severity; also the order of findings.
WEIGHTS: dict[Severity, int] = {"critical": 16, "high": 8, "medium": 4, "low": 2, "info": 0}
SEVERITIES_FR: dict[Severity, str] = {
    "critical": "critique",
    "high": "élevée",
    "medium": "moyenne",
    "low": "faible",
    "info": "information",
}
VERDICTS_FR: dict[Verdict, str] = {
    "pass": "conforme",
    "fail": "non conforme",
    "unknown": "non évaluable",
    "na": "non applicable",
}
CONFIDENCES_FR: dict[Confidence, str] = {"certain": "certaine", "probable": "probable", "hint": "indice"}


class NotApplicable(Exception):  # noqa: N818 - a verdict, not an error
    """Raised by a check that has nothing to judge. The message is a French clause that says why."""


class Command(str):
    """A fragment of shell that is already quoted; every other value put into a command is quoted."""

    __slots__ = ()


@dataclass(frozen=True)
class Fix:
    """How to mend: a French text, commands, and the commands that verify. Templates in a check, text in a finding.

    A command whose template names a field that the row does not know is left out.
    """

    text: str
    commands: tuple[str, ...] = ()
    verify: tuple[str, ...] = ()
    patch: str | None = None


@dataclass(frozen=True)
class Check:
    """One declared check. `key` names the fields of a row that identify a finding; each is a kind of subject."""

    id: str
    severity: Severity
    title: str
    key: tuple[str, ...]
    message: str
    fix: Fix
    function: Callable[..., Iterable[Record]]
    confidence: Confidence = "certain"
    extra: bool = False  # run only when the whole CIS benchmark is asked for


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: what, how grave, how sure, and how to mend it."""

    identity: str
    check: str
    severity: Severity
    confidence: Confidence
    subjects: tuple[tuple[str, str], ...]
    message: str
    evidence: Mapping[str, Any]
    fix: Fix
    waived: Mapping[str, str | None] | None = None


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
        """100 × weight of passing checks / weight of judged checks; None when nothing could be judged."""
        judged = {
            result.check: WEIGHTS[result.severity] for result in self.results if result.verdict in ("pass", "fail")
        }
        passing = sum(judged[result.check] for result in self.results if result.verdict == "pass")
        return 100 * passing / total if (total := sum(judged.values())) else None

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


def family(check_id: str) -> str:
    """The family of a check: PORT-001 is of the family PORT."""
    return check_id.partition("-")[0]


def of_families(audit: Audit, families: Sequence[str]) -> Audit:
    """The part of an audit that some families say; all of it when none is given."""
    kept = [result for result in audit.results if not families or family(result.check) in families]
    names = {result.check for result in kept}
    return Audit(kept, [finding for finding in audit.findings if finding.check in names])


def by_family(audit: Audit) -> dict[str, dict[str, int]]:
    """The number of findings by family, then by French severity; families without findings included."""
    counts: dict[str, dict[str, int]] = {family(result.check): {} for result in audit.results}
    for finding in audit.live:
        severity = SEVERITIES_FR[finding.severity]
        counts[family(finding.check)][severity] = counts[family(finding.check)].get(severity, 0) + 1
    return counts


CHECKS: dict[str, Check] = {}


def check(  # a declaration reads better with its parts named on the spot
    id: str,
    severity: Severity,
    title: str,
    *,
    key: tuple[str, ...],
    message: str,
    fix: Fix,
    confidence: Confidence = "certain",
    extra: bool = False,
) -> Callable[[Callable[..., Iterable[Record]]], Callable[..., Iterable[Record]]]:
    """Register the decorated function as the check `id`.

    The function returns offending rows. The fields of a row are the evidence, and fill the templates with those of
    its `wording`: clauses and commands that only the sentences need. A row may also hold `severity`, `confidence` or
    `subjects`, which override the declared ones. A function
    that lacks a table only for a part of its work yields what it found, then raises `AbsentTable`.
    """

    def register(function: Callable[..., Iterable[Record]]) -> Callable[..., Iterable[Record]]:
        if id in CHECKS:
            raise ValueError(f"check {id} is declared twice")
        CHECKS[id] = Check(id, severity, title, key, message, fix, function, confidence, extra)
        return function

    return register


def run(snapshot: Snapshot, checks: Iterable[Check] | None = None) -> Audit:
    """Run every check on a snapshot, or those given, by its policy: severities imposed, findings waived, expectations.

    The checks of the waivers themselves come last, since they need to know what the waivers designate.
    """
    policy = snapshot.policy
    wanted = [one for one in CHECKS.values() if not one.extra or policy.cis == "complet"]
    asked = wanted if checks is None else [*checks]
    last = [one for one in asked if _reads(one, WaiverState.table.name)]
    results, findings = _run(snapshot, [one for one in asked if one not in last])
    if last:
        more, found = _run(with_waivers(snapshot, findings), last)
        results, findings = results + more, findings + found
    order = list(WEIGHTS)
    findings.sort(key=lambda finding: (order.index(finding.severity), finding.check, finding.identity))
    return Audit(sorted(results, key=lambda result: result.check), findings)


def _run(snapshot: Snapshot, checks: Sequence[Check]) -> tuple[list[Result], list[Finding]]:
    results, findings = [], []
    for one in checks:
        result, found = _judge(snapshot, one, snapshot.policy.severities.get(one.id))
        results.append(result)
        findings += found
    return results, findings


def _reads(one: Check, table: str) -> bool:
    return table in inspect.signature(one.function).parameters


def with_waivers(snapshot: Snapshot, findings: Sequence[Finding]) -> Snapshot:
    """The snapshot with the table `waivers`, unless it has one: what each waiver of its policy designates."""
    if WaiverState.table.name in snapshot.tables:
        return snapshot
    return snapshot.changed(
        {WaiverState.table.name: [_waiver(one, findings, snapshot) for one in snapshot.policy.waivers]}
    )


def _waiver(waiver: Waiver, findings: Sequence[Finding], snapshot: Snapshot) -> Record:
    """A row of the table `waivers`."""
    left = waiver.expires - snapshot.collected.date() if waiver.expires else None
    return {
        **waiver.model_dump(),
        "expires": dt.datetime.combine(waiver.expires, dt.time(), dt.UTC) if waiver.expires else None,
        "expired": expired(waiver, snapshot.collected.date()),
        "days_left": None if left is None else left.days,
        "matches": sum(waives(waiver, finding.check, finding.subjects) for finding in findings),
    }


def _judge(snapshot: Snapshot, one: Check, imposed: Severity | None) -> tuple[Result, list[Finding]]:
    severity = imposed or one.severity
    rows: list[Record] = []
    try:
        for row in snapshot.call(one.function):
            rows.append(row)
    except AbsentTable as absent:
        # What was found before the missing table was missed is wrong all the same.
        if not rows:
            return Result(one.id, one.title, "unknown", severity, sentence([absent.reason])), []
    except NotApplicable as reason:
        return Result(one.id, one.title, "na", severity, sentence([str(reason)])), []
    made = (_waived(_finding(one, row, imposed), snapshot) for row in rows)
    findings = list({finding.identity: finding for finding in made}.values())
    if findings and all(finding.waived for finding in findings):
        # What is accepted counts neither for nor against.
        return Result(one.id, one.title, "na", severity, "Tout ce qui est constaté a une dérogation."), findings
    return Result(one.id, one.title, "fail" if findings else "pass", severity), findings


def _waived(finding: Finding, snapshot: Snapshot) -> Finding:
    """The finding with the waiver that accepts it, if one does that has not expired."""
    for waiver in snapshot.policy.waivers:
        current = not expired(waiver, snapshot.collected.date())
        if current and waives(waiver, finding.check, finding.subjects):
            told = {"reason": waiver.reason, "author": waiver.author}
            until = {"expires": waiver.expires.isoformat() if waiver.expires else None}
            return dataclasses.replace(finding, waived={**told, **until})
    return finding


def identity(check_id: str, subjects: Iterable[tuple[str, str]]) -> str:
    """The stable identity of a finding: its check and its subjects, percent-escaped."""
    parts = (f"{kind}={quote(name, safe=' /:@.[]*~', errors='surrogatepass')}" for kind, name in subjects)
    return "|".join([check_id, *parts])


_RESERVED = ("severity", "confidence", "subjects", "wording")


def _finding(one: Check, row: Record, imposed: Severity | None) -> Finding:
    subjects = row.get("subjects") or tuple((kind, str(row[kind])) for kind in one.key)
    words = {**row, **row.get("wording", {})}
    evidence = {name: _plain(value) for name, value in row.items() if name not in _RESERVED}
    return Finding(
        identity(one.id, subjects),
        one.id,
        imposed or row.get("severity") or one.severity,
        row.get("confidence") or one.confidence,
        subjects,
        _prose(one.message, words),
        evidence,
        Fix(_prose(one.fix.text, words), _commands(one.fix.commands, words), _commands(one.fix.verify, words)),
    )


class _Prose(string.Formatter):
    """Fills a French sentence: lists are enumerated, and text from the machine cannot hide or move anything."""

    def format_field(self, value: Any, format_spec: str) -> str:
        if isinstance(value, list | tuple):
            return listing(visible(item) for item in value)
        return visible("inconnu" if is_unknown(value) else value)


class _Shell(string.Formatter):
    """Fills a command: every value is quoted for the shell, unless it is a `Command`."""

    def format_field(self, value: Any, format_spec: str) -> str:
        return value if isinstance(value, Command) else shlex.quote(str(value))


def _prose(template: str, row: Record) -> str:
    # A clause that does not apply is an empty field: the space before it must go.
    return typography(re.sub(" {2,}", " ", _Prose().vformat(template, (), row)).strip())


def _commands(templates: tuple[str, ...], row: Record) -> tuple[str, ...]:
    return tuple(_Shell().vformat(template, (), row) for template in templates if _writable(template, row))


def _writable(template: str, row: Record) -> bool:
    """Whether a command can be written: its fields are known, and none hides a control character."""
    values = [row.get(name) for _, name, _, _ in string.Formatter().parse(template) if name]
    return not any(is_unknown(value) or visible(value) != str(value) for value in values)


def _plain(value: Any) -> Any:
    """A value of evidence as JSON holds it."""
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if is_unknown(value):
        return None
    return value if isinstance(value, bool | int | float | str) else str(value)
