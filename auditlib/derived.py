"""What derives from a snapshot under a policy: the audit, the problems, the advice and the plan, each computed once."""

import functools
from collections.abc import Sequence

import pandas as pd

from auditlib import checks, views  # noqa: F401 - imported for what they register
from auditlib.facts.snapshot import Snapshot
from auditlib.findings.audit import Audit, audit
from auditlib.findings.policy import Policy
from auditlib.findings.problems import Problem, problems
from auditlib.plan import Plan, plan
from auditlib.recommendations import Section, recommend


class Facts:
    """The facts of one machine at one moment, and what they come to.

    Each table and each view is an attribute, a pandas frame to be read and never changed (`facts.listeners`); one that
    was not read raises `AbsentTable`, which is an `AttributeError`. What a policy expects is the table `expected`.
    """

    def __init__(self, snapshot: Snapshot, policy: Policy | None = None) -> None:
        self.policy = policy or Policy()
        self.snapshot = self.policy.told(snapshot)

    def __getattr__(self, name: str) -> pd.DataFrame:
        if name.startswith("_"):
            raise AttributeError(name)
        frame: pd.DataFrame = getattr(self.snapshot, name)
        return frame

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *dir(self.snapshot)})

    def __repr__(self) -> str:
        return repr(self.snapshot)

    @functools.cached_property
    def audit(self) -> Audit:
        """What the checks find."""
        return audit(self.snapshot, self.policy)

    @functools.cached_property
    def problems(self) -> Sequence[Problem]:
        """The findings joined by what causes them."""
        return problems(self.snapshot, self.audit)

    @functools.cached_property
    def advice(self) -> Sequence[Section]:
        """What the findings and the facts advise."""
        return recommend(self.snapshot, self.audit, self.policy)

    @functools.cached_property
    def plan(self) -> Plan:
        """The ordered steps that mend what was found, simulated."""
        return plan(self.snapshot, self.audit, self.policy)
