"""Commands that mend: Compose called the way this server calls it, and what depends on it."""

import posixpath
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pandas as pd

from auditlib.facts.legacy import Record, records
from auditlib.facts.table import Rows
from auditlib.facts.tables.compose import ComposeService
from auditlib.facts.tables.docker import Container
from auditlib.findings.check import Command
from auditlib.french import listing, quoted


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


def asked(traefik: pd.DataFrame | None, protocol: str, kind: str, name: str) -> str | None:
    """Where Traefik's API tells one of its objects; None when its API is not known."""
    api = next((row["url"] for row in records(traefik)), None) if traefik is not None else None
    return f"{api}/api/{protocol}/{kind}s/{quote(name, safe='@', errors='surrogatepass')}" if api else None


@dataclass(frozen=True)
class Declared:
    """Who declares the routers, and so where an option of theirs is written."""

    rows: dict[tuple[str, str], Record]
    containers: dict[str, Record]

    @classmethod
    def of(cls, predicted_routers: pd.DataFrame | None, containers: pd.DataFrame | None) -> "Declared":
        """From what labels and files declare, as far as they were read."""
        rows = records(predicted_routers) if predicted_routers is not None else []
        known = records(containers) if containers is not None else []
        return cls({(row["protocol"], row["router"]): row for row in rows}, {row["name"]: row for row in known})

    def option(self, protocol: str, router: str, key: str, value: object, entrypoints: Iterable[str] = ()) -> Record:
        """Wording of the change of one option: `where`, with `compose` and `service` to apply it.

        A router that Traefik split over `entrypoints` is named after one of them: its own name is what follows.
        """
        declared = self.rows.get((protocol, router), {})
        own, _, provider = router.rpartition("@")
        owners = [self.containers[name] for name in declared.get("containers") or () if name in self.containers]
        applied = compose(owners[0]) if owners else {"compose": None, "service": None}
        if provider == "docker":
            named = listing(quoted(row["name"]) for row in owners)
            split = next((name for name in entrypoints if owners and own.startswith(f"{name}-")), None)
            label = own if split is None or _bears(owners, own) else own.removeprefix(f"{split}-")
            option = f"traefik.{protocol}.routers.{label}.{key}={value}"
            return {"where": f"l’étiquette {quoted(option)}" + (f" sur {named}" if named else ""), **applied}
        file = f" du fichier {quoted(declared['file'])}" if declared.get("file") else ""
        return {"where": f"{quoted(f'{key}: {value}')} au routeur {quoted(own)}{file}", **applied}


def _bears(owners: Iterable[Record], own: str) -> bool:
    """Whether containers bear the name of a router themselves, so that no entry point gave it its prefix."""
    return any(own in (row["name"], row["compose_service"]) for row in owners)


def compose_on_disk(project: Record) -> Command:
    """The Compose command on the files of a project of the disk, a row of `compose_projects`."""
    paths = [posixpath.join(project["root"], file) for file in project["files"].split(" + ")]
    files = " ".join(f"-f {shlex.quote(path)}" for path in paths)
    return Command(f"docker compose -p {shlex.quote(project['project'])} {files}")
