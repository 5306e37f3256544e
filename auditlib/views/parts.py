"""What building the services, middlewares and TLS options goes through, as labels and files declare them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from auditlib.facts.table import Rows
from auditlib.facts.tables.traefik import FileMiddleware, FileOption, FileRouter, FileServer, FileService, TraefikFile
from auditlib.traefik.building import Part, References
from auditlib.traefik.decoding import Tree, unmarked
from auditlib.traefik.merge import Merged
from auditlib.traefik.middlewares import middleware_steps
from auditlib.traefik.services import balancer_kind, service_steps
from auditlib.traefik.steps import read_steps
from auditlib.traefik.versions import Version
from auditlib.views.decisions import Prediction

Key = tuple[str, str]  # protocol and full name


class Files(NamedTuple):
    """The tables of the file provider. None: not read."""

    files: Rows[TraefikFile] | None
    routers: Rows[FileRouter] | None
    services: Rows[FileService] | None
    servers: Rows[FileServer] | None
    middlewares: Rows[FileMiddleware] | None
    options: Rows[FileOption] | None

    @property
    def broken(self) -> bool:
        """Whether Traefik takes nothing at all of the files, since one of them is broken."""
        return any(file.status == "broken" for file in self.files or ())


@dataclass
class Parts:
    """By protocol and full name. `options`: TLS options under « tls », servers transports under their protocol."""

    services: dict[Key, Part] = field(default_factory=dict)
    middlewares: dict[Key, Part] = field(default_factory=dict)
    options: dict[Key, Part] | None = field(default_factory=dict)


def parts(merged: Merged, version: Version, tables: Files) -> Parts:
    """What labels and files declare, as far as they were read."""
    found = Parts()
    for key, tree in merged.services.items():
        name, urls = f"{key[1]}@docker", [unmarked(server.urls[0]) for server in merged.servers[key] if server.urls]
        whole = _with_servers(unmarked(tree), urls)
        steps = service_steps(name, whole, version, key[0])
        found.services[key[0], name] = Part(steps, balancer_kind(whole, version))
    for key, tree in merged.middlewares.items():
        name = f"{key[1]}@docker"
        found.middlewares[key[0], name] = Part(middleware_steps(name, unmarked(tree), version, key[0]))
    if tables.files is not None and not tables.broken:
        _add_files(found, tables)
    return found


def _with_servers(tree: Tree, urls: Sequence[str]) -> Tree:
    """A service with the servers that the provider gave it."""
    return {**tree, "LoadBalancer": {**(tree.get("LoadBalancer") or {}), "Servers": [{"URL": url} for url in urls]}}


def _add_files(found: Parts, tables: Files) -> None:
    for service in tables.services or ():
        if service.effective:
            part = Part(read_steps(service.steps), service.silent)
            found.services[service.protocol, f"{service.service}@file"] = part
    for middleware in tables.middlewares or ():
        if middleware.effective:
            part = Part(read_steps(middleware.steps))
            found.middlewares[middleware.protocol, f"{middleware.middleware}@file"] = part
    if tables.options is None:
        found.options = None
        return
    named = [option for option in tables.options if option.effective]
    found.options = {
        (option.kind, option.name if option.name == "default" else f"{option.name}@file"): Part(
            read_steps(option.steps)
        )
        for option in named
    }


def references(found: Parts, prediction: Prediction, *, files_known: bool) -> dict[str, References]:
    """What the routers of each protocol may refer to."""
    options = found.options
    return {
        protocol: References(
            {name: part for (theirs, name), part in found.services.items() if theirs == protocol},
            {name: part for (theirs, name), part in found.middlewares.items() if theirs == protocol},
            None if options is None else {name: part for (kind, name), part in options.items() if kind == "tls"},
            None if options is None else {name for kind, name in options if kind == protocol},
            providers={"docker", "file"} if files_known else {"docker"},
            plugins=prediction.plugins,
            internal=prediction.internal,
        )
        for protocol in ("http", "tcp", "udp")
    }
