"""Who starts what a plan changes: a container's project or one of the disk, its Compose command and its files."""

import posixpath
from collections.abc import Iterable
from dataclasses import dataclass

from auditlib.facts.snapshot import Snapshot
from auditlib.facts.table import Rows
from auditlib.facts.tables.compose import ComposeProject, ComposeService
from auditlib.facts.tables.docker import Container
from auditlib.findings.check import Command
from auditlib.findings.commands import stack_command
from auditlib.french import visible
from auditlib.views.declarations import on_disk, origin

# A service of a compose file as the tables name it: root, set of files, service.
ServiceKey = tuple[str, str, str]


@dataclass(frozen=True)
class Stack:
    """Who starts a service: a project, its Compose command, and its files relative to a root of the disk.

    `files` are those that may write the service, the most particular first; none when the disk was not read.
    """

    project: str
    compose: Command
    root: str = ""
    files: tuple[str, ...] = ()
    key: ServiceKey | None = None

    @property
    def place(self) -> str:
        """The files, relative to their root; "" when the disk was not read."""
        return self.key[1] if self.key else ""


def container(snapshot: Snapshot, name: str | None) -> Container | None:
    """A container by its name; None for one that is not known."""
    return (snapshot.known(Container) or Rows()).by(Container.name).get(name or "")


def service_of(snapshot: Snapshot, name: str | None) -> str | None:
    """The service that a container runs; its own name where no project made it; None for one that is not known."""
    known = container(snapshot, name)
    return (known.compose_service or known.name) if known else None


def stack_of(snapshot: Snapshot, name: str | None) -> Stack | None:
    """The stack of a container; None for one that no project made, or that is not known."""
    known = container(snapshot, name)
    if known is None or not known.compose_project:
        return None
    command = stack_command(known.compose_project, known.compose_version, known.compose_files or ())
    service = on_disk(snapshot.known(ComposeProject), snapshot.known(ComposeService)).get(origin(known))
    if service is None or visible(service.root) != service.root:
        return _visible(Stack(known.compose_project, command))
    return _visible(_on_disk(known.compose_project, command, service))


def stack_on_disk(snapshot: Snapshot, key: ServiceKey) -> Stack | None:
    """The stack of a service of the disk that does not run; None when its files were not read."""
    services = snapshot.known(ComposeService) or ()
    service = next((service for service in services if (service.root, service.files, service.service) == key), None)
    if service is None or not service.project:
        return None
    versions = (known.compose_version for known in snapshot.known(Container) or () if known.compose_version)
    paths = [posixpath.join(service.root, file) for file in service.files.split(" + ")]
    return _visible(_on_disk(service.project, stack_command(service.project, next(versions, None), paths), service))


def _on_disk(project: str, command: Command, service: ComposeService) -> Stack:
    key = (service.root, service.files, service.service)
    # A file that says a thing last is the one to edit.
    files: Iterable[str] = reversed(service.files.split(" + "))
    return Stack(project, command, service.root, tuple(dict.fromkeys([*files, *filter(None, [service.file])])), key)


def _visible(stack: Stack) -> Stack | None:
    """A stack whose command hides nothing; None for another."""
    return stack if visible(stack.compose) == stack.compose else None
