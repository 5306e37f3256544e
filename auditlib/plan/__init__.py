"""The plan: from findings to ordered steps, simulated on the tables, with the files and commands that do them."""

import dataclasses
from collections.abc import Mapping

from auditlib.findings.audit import Audit
from auditlib.plan.simulation import first_identity, plan
from auditlib.plan.steps import Plan, Step
from auditlib.plan.written import FOLDER

__all__ = ["FOLDER", "Plan", "Step", "attached", "exported", "first_identity", "plan"]


def exported(made: Plan) -> Mapping[str, str]:
    """The files of a plan, by their name under `correctifs/`."""
    return {name: content for step in made.steps for name, content in step.files.items()}


def attached(made: Plan, audit: Audit) -> Audit:
    """The findings, each with the file that mends it, relative to the folder of the run."""
    patches = {one: step.patch for step in made.steps for one in step.claims if one not in step.kept}
    return Audit(
        audit.results,
        [
            dataclasses.replace(one, fix=dataclasses.replace(one.fix, patch=patches.get(one.identity)))
            for one in audit.findings
        ],
    )
