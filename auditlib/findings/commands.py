"""Commands that mend: Compose called the way this server calls it, and what depends on it."""

import posixpath
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import quote

from auditlib.facts.table import Rows
from auditlib.facts.tables.compose import ComposeProject, ComposeService
from auditlib.facts.tables.docker import Container
from auditlib.facts.tables.traefik import Traefik
from auditlib.findings.check import Command
from auditlib.french import listing, quoted
from auditlib.views.predicted import PredictedRouter


def stack_command(project: str, version: str | None, files: Iterable[str]) -> Command:
    """The Compose command on the files of a project, as this server calls it.

    The version that Compose wrote in a container's labels tells which program made it: `docker-compose` is version 1, a
    plugin of `docker` since version 2.
    """
    program = "docker-compose" if (version or "2").startswith("1.") else "docker compose"
    named = " ".join(f"-f {shlex.quote(file)}" for file in files)
    return Command(f"{program} -p {shlex.quote(project)} {named}".strip())


class ContainerWords(NamedTuple):
    """The words of `CONTAINER_WORDS` on a container. `compose` and `service` are None where no project made it.

    `declared` is what declares it; `where` begins a sentence, with the place to edit.
    """

    compose: Command | None
    service: str | None
    declared: str
    where: str


def container_words(container: Container | None, services: Iterable[ComposeService]) -> ContainerWords:
    """The words on a container; None stands for one that is not known. Of `services`, its own gives file and line."""
    if container is None or not container.compose_project:
        named = f" {quoted(container.name)}" if container else ""
        return ContainerWords(None, None, "la commande qui le crée", f"Dans la commande qui crée{named}")
    command = stack_command(container.compose_project, container.compose_version, container.compose_files or ())
    written = next((service for service in services if _is_of(container, service)), None)
    place = f" ({quoted(written.file)}, ligne {written.line})" if written and written.line else ""
    where = f"Dans le service compose {quoted(container.compose_service)}{place}"
    return ContainerWords(command, container.compose_service, "le fichier compose", where)


def _is_of(container: Container, service: ComposeService) -> bool:
    """Whether a container was made from a service of a file."""
    if (service.project, service.service) != (container.compose_project, container.compose_service):
        return False
    return f"{service.root}/{service.file}" in (container.compose_files or ())


def api_url(traefik: Rows[Traefik] | None, path: str) -> str | None:
    """An address of Traefik's API; None when it was not read."""
    return f"{traefik[0].url}/api/{path}" if traefik else None


def api_object(traefik: Rows[Traefik] | None, protocol: str, kind: str, name: str) -> str | None:
    """Where Traefik's API tells one of its objects: a router, a service, a middleware."""
    return api_url(traefik, f"{protocol}/{kind}s/{quote(name, safe='@', errors='surrogatepass')}")


class RouterOption(NamedTuple):
    """Where an option of a router is written, in French, and the first container whose labels declare the router."""

    where: str
    container: str | None


@dataclass(frozen=True)
class Declared:
    """Who declares the routers, and so where an option of theirs is written."""

    routers: Mapping[tuple[str, str], PredictedRouter]
    containers: Mapping[str, Container]

    @classmethod
    def of(cls, predicted_routers: Rows[PredictedRouter] | None, containers: Rows[Container] | None) -> "Declared":
        """From what labels and files declare, as far as they were read."""
        routers = {(router.protocol, router.router): router for router in predicted_routers or ()}
        return cls(routers, containers.by(Container.name) if containers else {})

    def owners(self, protocol: str, router: str) -> list[Container]:
        """The containers whose labels declare a router."""
        declaration = self.routers.get((protocol, router))
        names = declaration.containers or () if declaration else ()
        return [self.containers[name] for name in names if name in self.containers]

    def option(
        self, protocol: str, router: str, key: str, value: object, entrypoints: Iterable[str] = ()
    ) -> RouterOption:
        """Where to write one option of a router, with its value.

        A router that Traefik split over `entrypoints` is named after one of them: its own name is what follows.
        """
        own, _, provider = router.rpartition("@")
        if provider != "docker":
            declaration = self.routers.get((protocol, router))
            file = f" du fichier {quoted(declaration.file)}" if declaration and declaration.file else ""
            return RouterOption(f"{quoted(f'{key}: {value}')} au routeur {quoted(own)}{file}", None)
        owners = self.owners(protocol, router)
        label = quoted(f"traefik.{protocol}.routers.{_unsplit(own, owners, entrypoints)}.{key}={value}")
        bearers = listing(quoted(owner.name) for owner in owners)
        where = f"l’étiquette {label}" + (f" sur {bearers}" if bearers else "")
        return RouterOption(where, owners[0].name if owners else None)


def _unsplit(own: str, owners: Sequence[Container], entrypoints: Iterable[str]) -> str:
    """The name of a router without the entry point that Traefik put before it; that of a container is its own."""
    if not owners or any(own in (owner.name, owner.compose_service) for owner in owners):
        return own
    split = next((f"{name}-" for name in entrypoints if own.startswith(f"{name}-")), "")
    return own.removeprefix(split)


def compose_on_disk(project: ComposeProject) -> Command | None:
    """The Compose command on the files of a project of the disk; None for one without a name."""
    paths = [posixpath.join(project.root, file) for file in project.files.split(" + ")]
    return stack_command(project.project, None, paths) if project.project else None
