"""What the plan asks of an act: what it changes, in files and in the tables, its commands, and what is said of it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import ClassVar, NamedTuple

from auditlib.compose.overrides import Override
from auditlib.compose.written import Line, Unsafe
from auditlib.facts.snapshot import Snapshot
from auditlib.facts.table import Row
from auditlib.facts.tables.compose import ComposeService
from auditlib.french import quoted, visible
from auditlib.plan.stacks import ServiceKey, Stack, stack_of, stack_on_disk

# Phases: what is apart from the rest, and in which order. Names come last, since every other command uses them.
ORDINARY, PREPARE, MOVE, RENAME = range(4)

# The rows of the tables that an act changes, by their class; tables that the snapshot does not hold count for nothing.
Changes = Mapping[type[Row], Iterable[Row]]


class Commands(NamedTuple):
    """The commands that do a thing and those that undo it, each in their order."""

    forth: Sequence[str] = ()
    back: Sequence[str] = ()


@dataclass(frozen=True)
class Act(ABC):
    """One change of the machine."""

    phase: int = field(default=ORDINARY, kw_only=True)

    # The fields that tell what it changes; the others are how it is to be.
    own: ClassVar[tuple[str, ...]] = ()
    # When its effect comes among those of one step: networks are left once others are joined, names change last.
    turn: ClassVar[int] = 0
    # Whether what Traefik must load may be another after it.
    reloads: ClassVar[bool] = False
    # Whether it is done before all else in a step, and undone last. Such an act alone makes no step.
    first: ClassVar[bool] = False

    @property
    def target(self) -> Hashable:
        """What it changes: two acts of one target cannot both be done."""
        return type(self), *(getattr(self, name) for name in self.own)

    @abstractmethod
    def effect(self, snapshot: Snapshot) -> Changes:
        """What a collection made after it would find in the tables that tell of what changed."""

    @abstractmethod
    def describe(self) -> str:
        """The act as a French sentence."""

    def stack(self, snapshot: Snapshot) -> Stack | None:
        """The stack whose step it belongs to; None for what belongs to no stack."""
        return None

    @property
    def writable(self) -> bool:
        """Whether all it says can stand in a command: nothing hidden, nothing that a program takes for an option."""
        values = [getattr(self, one.name) for one in fields(self)]
        words = [word for value in values for word in (value if isinstance(value, tuple) else (value,))]
        return all(visible(word) == word and not word.startswith("-") for word in words if isinstance(word, str))

    def unread(self) -> Mapping[str, str]:
        """The tables that could not be read any more after it, each with its reason."""
        return {}

    @property
    def risky(self) -> bool:
        """Whether what changes may be called by something that the audit does not see."""
        return False

    def remarks(self, snapshot: Snapshot) -> Iterable[str]:
        """What a person should know before it: who may be hindered by it, as far as the audit sees."""
        return ()

    @property
    def recreated(self) -> str | None:
        """The container that must be made again for it."""
        return None

    @property
    def restarted(self) -> str | None:
        """The container that must be restarted after it."""
        return None

    @property
    def renamed(self) -> tuple[str, str] | None:
        """The container that it gives another name, by the former and the new one."""
        return None

    def prepares(self, other: "Act") -> bool:
        """Whether another act needs it done before."""
        return False

    def commands(self, snapshot: Snapshot, home: Stack | None) -> Commands:
        """What does it by itself, besides the files of its stack and what Compose makes of them."""
        return Commands()

    def relief(self) -> Sequence[str]:
        """What may be done at once, until the step is, without making anything again."""
        return ()

    def verify(self) -> Sequence[str]:
        """How to see that it is done, where no finding tells."""
        return ()


@dataclass(frozen=True)
class Edit(Act):
    """A change of a service where its stack writes it.

    It is that of a container, or one of the disk that does not run: `container` is then None, and `disk` the root and
    the set of files.
    """

    container: str | None
    service: str
    disk: tuple[str, str] | None = field(default=None, kw_only=True)

    # Whether the engine itself can do it to a container that no project made.
    by_engine: ClassVar[bool] = False
    # Whether an override of it lists a key anew: then also what other acts of its kind change in the files.
    whole: ClassVar[bool] = False

    @property
    def target(self) -> Hashable:
        return super().target, self.container, self.disk, self.service

    @abstractmethod
    def edited(self, lines: Sequence[Line]) -> list[Line]:
        """The lines of a compose file after it. Raises Unsafe."""

    def override(self, file: Override) -> None:
        """Say it in a file that is named after the others. Raises Unsafe for what only the files can say."""
        raise Unsafe("une surcharge ajoute à ce que disent les fichiers, et n’en retire rien sûrement")

    def stack(self, snapshot: Snapshot) -> Stack | None:
        return stack_on_disk(snapshot, (*self.disk, self.service)) if self.disk else stack_of(snapshot, self.container)

    @property
    def recreated(self) -> str | None:
        return self.container

    @property
    def who(self) -> str:
        """Its container, or its service, as sentences name it."""
        return quoted(self.container or self.service)

    def key(self, snapshot: Snapshot) -> ServiceKey | None:
        """Its service as the tables of compose files name it; None when the disk was not read."""
        home = self.stack(snapshot)
        return home.key if home else None

    def services(
        self, snapshot: Snapshot, change: Callable[[ComposeService], ComposeService]
    ) -> Iterator[ComposeService]:
        """The services of the compose files, its own changed."""
        key = self.key(snapshot)
        for service in snapshot.known(ComposeService) or ():
            yield change(service) if key == (service.root, service.files, service.service) else service
