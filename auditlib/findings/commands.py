"""Commands that mend: Compose called the way this server calls it, and what depends on it."""

import posixpath
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import quote

from auditlib.facts.legacy import Record
from auditlib.facts.table import Rows
from auditlib.facts.tables.compose import ComposeService
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


def container_words(container: Container | None, services: Rows[ComposeService]) -> dict[str, Any]:
    """The words of `CONTAINER_WORDS` on a container; None stands for one that is not known.

    `compose` and `service` are None where no project made it. `where` begins a sentence, with file and line if known.
    """
    if container is None or not container.compose_project:
        named = f" {quoted(container.name)}" if container else ""
        where = f"Dans la commande qui crée{named}"
        return {"compose": None, "service": None, "declared": "la commande qui le crée", "where": where}
    command = stack_command(container.compose_project, container.compose_version, container.compose_files or ())
    key = (container.compose_project, container.compose_service)
    written = next(
        (
            service
            for service in services
            if (service.project, service.service) == key
            and f"{service.root}/{service.file}" in (container.compose_files or ())
        ),
        None,
    )
    place = f" ({quoted(written.file)}, ligne {written.line})" if written and written.line else ""
    return {
        "compose": command,
        "service": container.compose_service,
        "declared": "le fichier compose",
        "where": f"Dans le service compose {quoted(container.compose_service)}{place}",
    }


def compose(container: Record) -> Record:
    """Wording for a container's stack: `compose`, its Compose command, `service`, its name there, and `declared`.

    The first two are None for a container that no project made; `declared` is where it is written. The version that
    Compose wrote in the container's labels tells which program made it: `docker-compose` is version 1, a plugin of
    `docker` since version 2.
    """
    if not container["compose_project"]:
        return {"compose": None, "service": None, "declared": "la commande qui le crée"}
    program = "docker-compose" if str(container["compose_version"] or "2").startswith("1.") else "docker compose"
    files = " ".join(f"-f {shlex.quote(file)}" for file in container["compose_files"] or ())
    command = Command(f"{program} -p {shlex.quote(container['compose_project'])} {files}".strip())
    return {"compose": command, "service": container["compose_service"], "declared": "le fichier compose"}


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


def compose_on_disk(project: Record) -> Command:
    """The Compose command on the files of a project of the disk, a row of `compose_projects`."""
    paths = [posixpath.join(project["root"], file) for file in project["files"].split(" + ")]
    files = " ".join(f"-f {shlex.quote(path)}" for path in paths)
    return Command(f"docker compose -p {shlex.quote(project['project'])} {files}")
