"""`constats.json`: the findings for other programs. Its form is a contract; codes in it are English."""

import json
import platform
from importlib.metadata import version
from typing import Any

from auditlib.derived import Facts
from auditlib.facts.snapshot import Snapshot
from auditlib.facts.tables.docker import DockerEngine
from auditlib.facts.tables.traefik import Traefik
from auditlib.findings.audit import Finding
from auditlib.plan import Plan, attached
from auditlib.version import __version__

SCHEMA = 1


def constats(facts: Facts, plan: Plan | None = None) -> str:
    """The findings as JSON, each with the file of a plan that mends it. `run.duration_s` is the collection’s."""
    snapshot, audit = facts.snapshot, attached(plan, facts.audit) if plan else facts.audit
    document = {
        "schema": SCHEMA,
        "run": {
            "id": snapshot.origin,
            "host": snapshot.hostname,
            "collected": snapshot.collected.isoformat().replace("+00:00", "Z"),
            "duration_s": snapshot.duration_s,
            "versions": _versions(snapshot),
        },
        "coverage": round(audit.coverage, 4),
        "score": None if audit.score is None else round(audit.score, 1),
        "results": [
            {
                "check": result.check,
                "title": result.title,
                "verdict": result.verdict,
                "severity": result.severity,
                "reason": result.reason,
            }
            for result in audit.results
        ],
        "findings": [_finding(finding) for finding in audit.findings],
        "problems": [
            {
                "cause": problem.cause.identity,
                "findings": [finding.identity for finding in problem.findings],
                "severity": problem.severity,
            }
            for problem in facts.problems
        ],
    }
    return json.dumps(document, ensure_ascii=False, indent=1) + "\n"


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "identity": finding.identity,
        "check": finding.check,
        "severity": finding.severity,
        "confidence": finding.confidence,
        "subjects": [{"kind": kind, "name": name} for kind, name in finding.subjects],
        "message": finding.message,
        "evidence": dict(finding.evidence),
        "fix": {
            "text": finding.fix.text,
            "commands": list(finding.fix.commands),
            "verify": list(finding.fix.verify),
            "patch": finding.fix.patch,
        },
        "waived": None if finding.waived is None else dict(finding.waived),
    }


def _versions(snapshot: Snapshot) -> dict[str, str | None]:
    """Versions of what audits and of what is audited; None for what was not read."""
    return {
        "auditlib": __version__,
        "python": platform.python_version(),
        "pandas": version("pandas"),
        "papermill": version("papermill"),
        "docker": next((engine.version for engine in snapshot.known(DockerEngine) or ()), None),
        "traefik": next((traefik.version for traefik in snapshot.known(Traefik) or ()), None),
    }
