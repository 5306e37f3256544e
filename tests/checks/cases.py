"""Cases of the checks, as data: one file per check, written with ordinary spaces.

`given` holds the tables that every case of the file starts from; a case gives its own instead, or `null` for a table
that was not read. A table that is nowhere given was not read either.
"""

from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import yaml

from auditlib import checks, views  # noqa: F401 - imported for what they register
from auditlib.facts.snapshot import Snapshot
from auditlib.findings.audit import Finding
from auditlib.findings.audit import audit as judge
from auditlib.findings.check import Check
from auditlib.french import typography
from tests.conftest import snapshot_of

FOLDER = Path(__file__).parent

Tables = dict[str, list[dict[str, Any]]]


@dataclass(frozen=True)
class Case:
    """One case: what is read, and what the check must say of it."""

    check: str
    name: str
    tables: Tables
    verdict: str
    reason: str | None
    findings: list[dict[str, Any]]

    @cached_property
    def snapshot(self) -> Snapshot:
        return snapshot_of(**self.tables)


@cache
def load() -> list[Case]:
    """Every case of every file."""
    return [case for file in sorted(FOLDER.glob("*.yaml")) for case in _read(file)]


def _read(file: Path) -> list[Case]:
    document = yaml.load(file.read_text("utf-8"), yaml.CSafeLoader)
    return [_case(file.stem, document.get("given", {}), **case) for case in document["cases"]]


def _case(
    check: str,
    given: Tables,
    name: str,
    verdict: str,
    tables: dict[str, Any] | None = None,
    reason: str | None = None,
    findings: list[dict[str, Any]] | None = None,
) -> Case:
    read = {table: rows for table, rows in {**given, **(tables or {})}.items() if rows is not None}
    return Case(check, name, read, verdict, reason, findings or [])


def said(check: Check, case: Case) -> tuple[str, str | None, list[dict[str, Any]]]:
    """Verdict, reason and findings of a check, told with the fields that the case tells."""
    audit = judge(case.snapshot, checks=[check])
    result = audit.results[0]
    told = [_told(finding, _fields(case, finding)) for finding in audit.findings]
    return result.verdict, result.reason, told


def expected(case: Case) -> tuple[str, str | None, list[dict[str, Any]]]:
    """What a case expects, in the form of `said`."""
    shown = [
        {field: typography(value) if field in ("message", "fix") else value for field, value in finding.items()}
        for finding in case.findings
    ]
    return case.verdict, case.reason, shown


def _fields(case: Case, finding: Finding) -> set[str]:
    """The fields that the case tells of a finding; all of them for one it did not expect."""
    return next((set(one) for one in case.findings if one["identity"] == finding.identity), set(_told(finding)))


def _told(finding: Finding, fields: set[str] | None = None) -> dict[str, Any]:
    told = {
        "identity": finding.identity,
        "severity": finding.severity,
        "message": finding.message,
        "fix": finding.fix.text,
        "commands": list(finding.fix.commands),
        "verify": list(finding.fix.verify),
        "evidence": finding.evidence,
    }
    return {field: value for field, value in told.items() if fields is None or field in fields}
