"""How a check is declared: what it looks at, what is wrong as typed facts, and how it is said and mended.

    class Overlap(Fault):
        network: str
        subnet: str
        effect: str = word()

    @check("NET-005", "medium", "Aucun réseau Docker ne recouvre un autre réseau", key=("network",),
           message="Le sous-réseau {subnet} du réseau « {network} » …: {effect}.", fix=Fix("Donner au réseau …"))
    def subnets_distinct(networks: Rows[Network]) -> Iterator[Overlap]: ...

A check is a pure function whose parameters name the tables it needs, and which returns its faults. Sentence, fix and
identity are formatted from the fault, so that they cannot disagree with it. A template or a key that names no field of
the fault is refused when the check is declared.
"""

import dataclasses
import functools
import string
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar, dataclass_transform

from auditlib.facts.table import inputs
from auditlib.parameters import Severity

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

# A kind of thing and its name, as findings name what they are about.
Subject = tuple[str, str]

# What two findings must share for one to explain the other.
Kind = Literal[
    "alias",
    "attachment",
    "claim",
    "clear",
    "container",
    "database",
    "default",
    "domain",
    "fault",
    "file",
    "mount",
    "object",
    "option",
    "owner",
    "pair",
    "protection",
    "provider",
    "publication",
    "resolver",
    "router",
    "rule",
    "service",
    "start",
    "state",
    "step",
    "target",
    "url",
]
About = Mapping[Kind, Iterable[str]]

# Words that any template may use of a fault that names a container: the Compose command of its stack, its service,
# what declares it, and where to edit that.
CONTAINER_WORDS = frozenset({"compose", "service", "declared", "where"})


class NotApplicable(Exception):  # noqa: N818 - a verdict, not an error
    """Raised by a check that has nothing to judge. The message is a French clause that says why."""


class Command(str):
    """A fragment of shell that is already quoted; every other value put into a command is quoted."""

    __slots__ = ()


class _Unsaid:
    """The value of a field of evidence that does not apply to a fault, and is left out."""

    def __repr__(self) -> str:
        return "UNSAID"


UNSAID: Any = _Unsaid()


def fact(label: str = "", *, default: Any = dataclasses.MISSING, about: Kind | None = None) -> Any:
    """A field of the evidence: its French label, where no column of its name has one, and its default.

    `about`: it names what the fault is about, of this kind.
    """
    return field(default=default, metadata={"label": label, "about": about})


def word(*, default: Any = dataclasses.MISSING, about: Kind | None = None) -> Any:
    """A field that only sentences, commands and causes need: it is no evidence. `about` is that of `fact`."""
    return field(default=default, metadata={"word": True, "about": about})


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(fact, word))
@dataclass(frozen=True, kw_only=True)
class Fault:
    """One thing that is wrong, as facts. The fields of a subclass are the evidence, but for its `word`s.

    `severity`, `confidence` and `subjects` override those of the check.
    """

    severity: Severity | None = None
    confidence: Confidence | None = None
    subjects: tuple[Subject, ...] = ()

    def __init_subclass__(cls) -> None:
        """Make each subclass a frozen dataclass, whose arguments are named."""
        dataclass(frozen=True, kw_only=True)(cls)

    @classmethod
    def fact_labels(cls) -> dict[str, str]:
        """The French labels of the facts that have one of their own."""
        return {one.name: one.metadata["label"] for one in dataclasses.fields(cls) if one.metadata.get("label")}

    @classmethod
    def fields(cls) -> dict[str, bool]:
        """The fields that templates may name, and whether each is evidence."""
        own = [one for one in dataclasses.fields(cls) if one.name not in _OVERRIDES]
        return {one.name: "word" not in one.metadata for one in own}

    @property
    def evidence(self) -> dict[str, Any]:
        """The facts, as Python holds them, in the order of their declaration."""
        told = ((name, getattr(self, name)) for name, is_fact in self.fields().items() if is_fact)
        return {name: value for name, value in told if value is not UNSAID}

    @property
    def about(self) -> About:
        """What it is about, by kind, beside what its subjects tell and instead of it: the fields that declare it.

        A subclass composes what no field names.
        """
        names: dict[Kind, list[str]] = {}
        for declared in dataclasses.fields(self):
            value = getattr(self, declared.name)
            if (kind := declared.metadata.get("about")) and value and value is not UNSAID:
                names.setdefault(kind, []).extend(value if isinstance(value, tuple) else (value,))
        return names

    @property
    def form(self) -> str | None:
        """What tells it from the other faults of its check, where causes do."""
        return None

    @property
    def words(self) -> dict[str, Any]:
        """What fills the templates; a fact that does not apply fills none."""
        told = ((name, getattr(self, name)) for name in self.fields())
        return {name: value for name, value in told if value is not UNSAID}


_OVERRIDES = {one.name for one in dataclasses.fields(Fault)}


@dataclass(frozen=True)
class Fix:
    """How to mend: a French text, commands, and the commands that verify. Templates in a check, text in a finding.

    A command whose template names a field that the fault does not know is left out.
    """

    text: str
    commands: tuple[str, ...] = ()
    verify: tuple[str, ...] = ()
    patch: str | None = None


@dataclass(frozen=True)
class Check:
    """One declared check. `key` names the fields of a fault that identify a finding; each is a kind of subject."""

    id: str
    severity: Severity
    title: str
    key: tuple[str, ...]
    message: str
    fix: Fix
    function: Callable[..., Iterable[Fault]]
    confidence: Confidence = "certain"
    extra: bool = False  # run only when the whole CIS benchmark is asked for
    fault: type[Fault] = Fault

    def __post_init__(self) -> None:
        """Refuse, by ValueError, templates and keys that name no field of the fault."""
        if self.fault is Fault:
            return
        known = {*self.fault.fields(), *(CONTAINER_WORDS if "container" in self.fault.fields() else ())}
        if wrong := ({*self._named, *self.key} - known):
            raise ValueError(f"check {self.id}: {sorted(wrong)} are no fields of {self.fault.__name__}")

    @property
    def _named(self) -> set[str]:
        """The fields that the templates name."""
        templates = (self.message, self.fix.text, *self.fix.commands, *self.fix.verify)
        return {name for one in templates for _, name, _, _ in string.Formatter().parse(one) if name}

    @functools.cached_property
    def of_container(self) -> bool:
        """Whether the templates want the words of the fault's container."""
        return bool(self._named & CONTAINER_WORDS - self.fault.fields().keys())


CHECKS: dict[str, Check] = {}

Judge = TypeVar("Judge", bound=Callable[..., Iterable[Fault]])


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
    fault: type[Fault] | None = None,
) -> Callable[[Judge], Judge]:
    """Register the decorated function as the check `id`.

    The function returns faults, of the class `fault`, else of the one that its annotation names. One that lacks a table
    only for a part of its work yields what it found, then raises `AbsentTable`. Raises ValueError for an id that is
    taken, a parameter that names no table, or a template or key that names no field of the fault.
    """

    def register(function: Judge) -> Judge:
        if id in CHECKS:
            raise ValueError(f"check {id} is declared twice")
        inputs(function)
        faults = fault or fault_class(function) or Fault
        CHECKS[id] = Check(id, severity, title, key, message, fix, function, confidence, extra, faults)
        return function

    return register


def fault_class(function: Callable[..., Any]) -> type[Fault] | None:
    """The class of the fault or faults that a function returns, by its annotation."""
    returned = typing.get_args(function.__annotations__.get("return"))
    return returned[0] if returned and isinstance(returned[0], type) and issubclass(returned[0], Fault) else None


def family(check_id: str) -> str:
    """The family of a check: PORT-001 is of the family PORT."""
    return check_id.partition("-")[0]
