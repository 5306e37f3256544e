"""What a person decided of an audit: severities, waivers, expectations, how much of the CIS benchmark."""

import datetime as dt
import fnmatch
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from auditlib.facts.snapshot import Snapshot
from auditlib.facts.tables.policy import Expectation
from auditlib.parameters import Parameters, Severity, Waiver


@dataclass(frozen=True)
class Policy:
    """The decisions that an audit is judged by; by default, none."""

    severities: Mapping[str, Severity] = field(default_factory=dict)
    waivers: Sequence[Waiver] = ()
    expected: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    cis: str = "essentiel"

    @classmethod
    def of(cls, parameters: Parameters) -> "Policy":
        """The decisions among the parameters of a run."""
        return cls(parameters.severities, tuple(parameters.waivers), parameters.expected, parameters.cis)

    def told(self, snapshot: Snapshot) -> Snapshot:
        """The snapshot with what is expected as its table `expected`; the same when nothing is."""
        rows = [
            Expectation(kind=kind, name=name, value=value or None)
            for kind, names in self.expected.items()
            for name, value in names.items()
        ]
        return snapshot.changed({Expectation.table.name: rows}) if rows else snapshot


def waives(waiver: Waiver, check: str, subjects: Sequence[tuple[str, str]]) -> bool:
    """Whether a waiver designates a finding of `check` on these subjects: any of them, by its name or `kind=name`.

    The subject of a waiver is exact, or a pattern of the shell (`jsr-*`), or `re:` and a regular expression.
    """
    names = [name for kind, own in subjects for name in (own, f"{kind}={own}")]
    return waiver.check == check and any(_designates(waiver.subject, name) for name in names)


def _designates(pattern: str, name: str) -> bool:
    if pattern.startswith("re:"):
        return bool(re.fullmatch(pattern.removeprefix("re:"), name))
    # An exact name may hold brackets, as tcp/[::]:80 does, that a pattern would read.
    return pattern == name or fnmatch.fnmatchcase(name, pattern)


def expired(waiver: Waiver, day: dt.date) -> bool:
    """Whether a waiver no longer holds on `day`."""
    return waiver.expires is not None and waiver.expires < day
