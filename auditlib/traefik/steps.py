"""What Traefik does to build one object, in its order: each step is a fault, a reference, or something not known here.

A step is kept in a table as a text: its kind, a space, its value.
"""

from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple, cast

from auditlib.traefik.decoding import HIDDEN

Kind = Literal[
    "fault", "unknown", "service", "child", "updater", "middleware", "transport", "proxy", "prober", "plugin"
]


class Step(NamedTuple):
    """One step: `value` is Traefik's error (fault), what would have to be known (unknown, French), or a name.

    A `child` is a service whose error Traefik wraps; an `updater` a service that must be able to tell its health;
    `transport`, `proxy` (a name, a space, the address of a server) and `prober` ask for a servers transport, with
    three wordings of its absence.
    """

    kind: Kind
    value: str

    def __str__(self) -> str:
        return f"{self.kind} {self.value}"


Steps = tuple[Step, ...]


def read_steps(texts: Iterable[str] | None) -> Steps | None:
    """The steps of a column; None when they are not known."""
    if texts is None:
        return None
    parts = (text.partition(" ") for text in texts)
    return tuple(Step(cast(Kind, kind), value) for kind, _, value in parts)


def faults(fault: str | None, within: str = "") -> Iterator[Step]:
    """The step of a fault that was found, or none; `within`: what Traefik writes before it."""
    if fault is not None:
        yield Step("fault", f"{within}{fault}")


def hidden(*values: str) -> Iterator[Step]:
    """A step that is not known, when the audit did not keep all of a value."""
    if any(HIDDEN in value for value in values):
        yield Step("unknown", "une valeur que l’audit n’a pas gardée")
