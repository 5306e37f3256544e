"""What a step does, one act at a time: an edit of a service where its stack writes it, or a change of the machine."""

import posixpath
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

from auditlib.compose.edit import Flag, Join, Label, Leave, Name, Operation, Publish, Restart
from auditlib.facts.legacy import Record, records
from auditlib.facts.snapshot import Snapshot
from auditlib.facts.tables.compose import ComposeProject, ComposeService
from auditlib.findings.check import Command
from auditlib.findings.commands import stack_command
from auditlib.french import visible
from auditlib.views.declarations import on_disk, origin

# Phases: what is apart from the rest, and in which order. Names come last, since every other command uses them.
ORDINARY, PREPARE, MOVE, RENAME = range(4)


@dataclass(frozen=True)
class Mode:
    """Give a file of the machine other rights; `restart` is the container that reads them only when it starts."""

    path: str
    was: str
    wanted: str
    restart: str | None = None


@dataclass(frozen=True)
class Owner:
    """Give a file of the machine to somebody else, as `user:group`."""

    path: str
    was: str
    wanted: str


@dataclass(frozen=True)
class Create:
    """Create a Docker network; `internal` has no way out of the machine."""

    network: str
    internal: bool


@dataclass(frozen=True)
class Act:
    """One change, of a container or of a service on the disk that does not run: `disk` is then its root and files."""

    container: str | None
    operation: Operation | Mode | Owner | Create
    disk: tuple[str, str] | None = None
    phase: int = ORDINARY

    @property
    def target(self) -> tuple[Any, ...]:
        """What it changes: two acts of one target cannot both be done."""
        match self.operation:
            case Publish() as one:
                own: tuple[Any, ...] = (one.service, one.protocol, one.host_port, one.container_port)
            case Label() as one:
                own = one.service, one.label
            case Flag() as one:
                own = one.service, one.flag
            case Join() | Leave() as one:
                own = one.service, one.network
            case Name() | Restart() as one:
                own = (one.service,)
            case Create() as one:
                own = (one.network,)
            case one:
                own = (one.path,)
        return type(self.operation).__name__, self.container, self.disk, own

    @property
    def recreates(self) -> bool:
        """Whether a container must be made again for it."""
        edits = isinstance(self.operation, Publish | Join | Leave | Name | Label | Flag)
        return self.container is not None and edits

    @property
    def writable(self) -> bool:
        """Whether all it says can stand in a command: nothing hidden, nothing that a program takes for an option."""
        values = [getattr(self.operation, field.name) for field in fields(self.operation)]
        words = [self.container, *(self.disk or ()), *values]
        texts = [word for value in words for word in (value if isinstance(value, tuple) else (value,))]
        return all(visible(text) == text and not text.startswith("-") for text in texts if isinstance(text, str))


@dataclass(frozen=True)
class Stack:
    """Who starts a service: a project, its Compose command, and its files relative to a root of the disk.

    `files` are those that may write the service, the most particular first; none when the disk was not read.
    """

    project: str
    compose: Command
    root: str = ""
    files: tuple[str, ...] = ()
    key: tuple[str, str, str] | None = None  # root, set of files and service, as the tables name it

    @property
    def place(self) -> str:
        """The files, relative to their root; "" when the disk was not read."""
        return self.key[1] if self.key else ""


def rows(snapshot: Snapshot, table: str) -> list[Record]:
    """The rows of a table or a view; none when it was not read."""
    frame = getattr(snapshot, table, None)
    return [] if frame is None else records(frame)


def container(snapshot: Snapshot, name: str | None) -> Record:
    """A container; empty for one that is not known."""
    return next((row for row in rows(snapshot, "containers") if row["name"] == name), {})


def stack(snapshot: Snapshot, act: Act) -> Stack | None:
    """The stack of an act; None for a container that no project made, and for what is no service's."""
    if act.disk:
        return _of_disk(snapshot, *act.disk, getattr(act.operation, "service", ""))
    row = container(snapshot, act.container)
    if not row or not row["compose_project"]:
        return None
    command = stack_command(row["compose_project"], row["compose_version"], row["compose_files"] or ())
    if visible(command) != command:
        return None
    services = on_disk(snapshot.known(ComposeProject), snapshot.known(ComposeService))
    service = services.get(origin(row))
    if service is None or visible(service["root"]) != service["root"]:
        return Stack(row["compose_project"], command)
    key = (service["root"], service["files"], service["service"])
    return Stack(row["compose_project"], command, service["root"], _candidates(service), key)


def _of_disk(snapshot: Snapshot, root: str, files: str, service: str) -> Stack | None:
    written = next(
        (
            row
            for row in rows(snapshot, "compose_services")
            if (row["root"], row["files"], row["service"]) == (root, files, service)
        ),
        None,
    )
    if written is None:
        return None
    versions = [row["compose_version"] for row in rows(snapshot, "containers") if row["compose_version"]]
    paths = [posixpath.join(root, file) for file in files.split(" + ")]
    if not written["project"]:
        return None
    command = stack_command(written["project"], next(iter(versions), None), paths)
    if visible(command) != command:
        return None
    return Stack(written["project"], command, root, _candidates(written), (root, files, service))


def _candidates(service: Record) -> tuple[str, ...]:
    """What overrides comes first: a file that says a thing last is the one to edit."""
    paths: Iterable[str] = reversed(service["files"].split(" + "))
    return tuple(dict.fromkeys([*paths, *([service["file"]] if service["file"] else [])]))
