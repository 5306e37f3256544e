"""Cases of the checks, as data: one file per check, written with ordinary spaces.

`given` holds the tables that every case of the file starts from; a case gives its own instead, or `null` for a table
that was not read. A table that is nowhere given was not read either. `change` gives fields to every row of a table.
`shared.yaml` holds the cases that read alike for several checks.
"""

from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import yaml

from auditlib import checks, views  # noqa: F401 - imported for what they register
from auditlib.facts.snapshot import Snapshot
from auditlib.findings.audit import Audit, Finding
from auditlib.findings.audit import audit as judge
from auditlib.findings.check import CHECKS
from auditlib.french import typography
from tests.conftest import snapshot_of

FOLDER = Path(__file__).parent
SHARED = "shared"
# Waivers and expectations are given with the parameters, sources with every snapshot: these checks need no other table.
GIVEN = {"WAIVER-001", "WAIVER-002", "COLLECT-001", "PORT-008", "EXPECT-001"}

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

    @cached_property
    def audit(self) -> Audit:
        """What the check says of it."""
        return judge(self.snapshot, checks=[CHECKS[self.check]])


@cache
def load() -> list[Case]:
    """Every case of every check, those that it shares with others last."""
    documents = {file.stem: yaml.load(file.read_text("utf-8"), yaml.CSafeLoader) for file in FOLDER.glob("*.yaml")}
    shared = [(case.pop("checks"), case) for case in documents.pop(SHARED)["cases"]]
    return [
        _case(check, document.get("given", {}), **case)
        for check, document in sorted(documents.items())
        for case in [*document["cases"], *(case for sharing, case in shared if check in sharing)]
    ]


def _case(
    check: str,
    given: Tables,
    name: str,
    verdict: str,
    tables: dict[str, Any] | None = None,
    change: dict[str, dict[str, Any]] | None = None,
    reason: str | None = None,
    findings: list[dict[str, Any]] | None = None,
) -> Case:
    read = {table: rows for table, rows in {**given, **(tables or {})}.items() if rows is not None}
    for table, fields in (change or {}).items():
        read[table] = [{**row, **fields} for row in read[table]]
    return Case(check, name, read, verdict, reason, findings or [])


def said(case: Case) -> tuple[str, str | None, list[dict[str, Any]]]:
    """Verdict, reason and findings of the check of a case, told with the fields that the case tells."""
    [result] = case.audit.results
    told = [_told(finding, _fields(case, finding)) for finding in case.audit.findings]
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
        "confidence": finding.confidence,
        "message": finding.message,
        "fix": finding.fix.text,
        "commands": list(finding.fix.commands),
        "verify": list(finding.fix.verify),
        "evidence": finding.evidence,
        "about": {kind: sorted(names) for kind, names in finding.fault.about.items()},
    }
    return {field: value for field, value in told.items() if fields is None or field in fields}
