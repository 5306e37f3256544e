"""The steps of a plan: what each does, resolves, breaks and interrupts, and its files and commands."""

from collections.abc import Mapping
from dataclasses import dataclass

from auditlib.findings.audit import Finding
from auditlib.plan.acts.act import Act
from auditlib.plan.written import FOLDER


@dataclass(frozen=True)
class Cut:
    """What a step interrupts: containers made again or restarted, domains behind them, databases among them."""

    containers: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    databases: tuple[str, ...] = ()
    proxy: bool = False


@dataclass(frozen=True)
class Step:
    """One step of the plan. Its commands are run from the folder of the run, with bash, in their order.

    `claims` are the identities of the findings that it ends: those that the simulation sees gone after it. Of each step
    alone the simulation says what is gone (`resolved`) and new (`broken`), what it was for and that stays (`kept`), and
    which checks could not be judged any more (`lost`). `renames` are the containers that it gives another name,
    `addresses` those that its containers had.
    `prepares` is the number of the step that needs this one, when it ends nothing by itself.
    """

    number: int
    stack: str
    place: str
    acts: tuple[Act, ...]
    files: Mapping[str, str]
    commands: tuple[str, ...]
    verify: tuple[str, ...]
    back: tuple[str, ...]
    relief: tuple[str, ...]
    claims: tuple[str, ...]
    resolved: tuple[str, ...]
    broken: tuple[str, ...]
    kept: tuple[str, ...]
    lost: tuple[str, ...]
    cut: Cut
    override: bool
    renames: tuple[tuple[str, str], ...]
    addresses: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    prepares: int | None = None

    @property
    def sure(self) -> bool:
        """Whether the simulation found all as claimed, and nothing else wrong."""
        return not (self.broken or self.kept or self.lost) and bool(self.claims or self.prepares)

    @property
    def risky(self) -> bool:
        """Whether something that the audit cannot see may depend on what changes."""
        return not self.sure or any(act.risky for act in self.acts)

    @property
    def safe(self) -> bool:
        """Whether nothing is interrupted and nothing is risked."""
        return not self.risky and not self.cut.containers

    @property
    def patch(self) -> str | None:
        """The file of the step that mends, relative to the folder of the run: the patch first, else the override."""
        return next((f"{FOLDER}/{name}" for name in self.files), None)


@dataclass(frozen=True)
class Left:
    """A finding that no step claims, and why its mend could not be written, if it has one."""

    finding: Finding
    reason: str = ""


@dataclass(frozen=True)
class Plan:
    """The ordered steps, and the findings that are for a person; each live finding is in one of them, once.

    `scores` are those of the audit before the first step and after the last.
    """

    steps: tuple[Step, ...]
    left: tuple[Left, ...]
    findings: Mapping[str, Finding]
    scores: tuple[float | None, float | None] = (None, None)

    @property
    def former(self) -> dict[str, str]:
        """The first name of each container that a step renames, by its last."""
        found: dict[str, str] = {}
        for step in self.steps:
            found |= {new: found.pop(old, old) for old, new in step.renames}
        return found
