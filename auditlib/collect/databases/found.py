"""Which databases there are, from what the engine and the kernel say: by image, program, port and volume."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from auditlib.addresses import EVERY_ADDRESS, is_loopback, joined, reachable
from auditlib.collect.containers import name
from auditlib.collect.databases import health
from auditlib.facts.tables.databases import Database
from auditlib.facts.tables.host import Listener
from auditlib.software import (
    DATABASE_PROGRAMS,
    DATABASES,
    PORT_HOLDERS,
    TELLING_FOLDERS,
    database,
    database_image,
    database_port,
    image_words,
    is_tool,
    joined_container,
)
from auditlib.software import Database as Server

Container = dict[str, Any]

_AS_USER = {"gosu", "su-exec"}
_WRAPPERS = {"tini", "dumb-init", "catatonit", "docker-init", "init", "env", "exec", *_AS_USER}
_SHELLS = {"sh", "bash", "ash", "dash"}
_STARTED = re.compile(
    rf"(?:^|[;&|]|\bexec|\s-\w*c)\s*(?:/\S*/)?({'|'.join(map(re.escape, DATABASE_PROGRAMS))})(?![\w.-])"
)
# What runs in a container of a database's image without being its server.
_OTHERS = {*_SHELLS, "sleep", "tail", "cat", "true", "cron", "crond", "supercronic"}
_OTHERS |= {tool for known in DATABASES.values() for tool in known.tools}


@dataclass(frozen=True)
class Door:
    """An address to ask at, and what it is: `container`, `published` or `host`."""

    host: str
    port: int
    via: str

    @property
    def shown(self) -> str:
        """The address as it is written: `127.0.0.1:5432`, `[::1]:5432`."""
        return joined(self.host, self.port)

    def plain(self) -> dict[str, Any]:
        """The door as JSON holds it."""
        return asdict(self)


@dataclass(frozen=True)
class Found:
    """A database that was found: the facts that need no question, and the doors to ask it at."""

    name: str
    kind: str
    place: str  # container or host
    by: tuple[str, ...]
    port: int
    running: bool
    facts: Database  # its row, as far as it is known
    container: str | None = None
    container_id: str | None = None
    doors: tuple[Door, ...] = ()


def find(containers: list[Container], listeners: Iterable[Listener], *, local: bool) -> list[Found]:
    """The databases of the engine's containers, then those of the machine.

    Without `local`, the containers are on another machine: there is no door.
    """
    known = {c["Id"]: c for c in containers}
    found = [_located(one, listeners) for c in containers if (one := _of_container(c, known, local=local))]
    taken = {one.name for one in found}
    published = {number for c in containers for _, _, number in _bindings(c)}
    for one in _of_machine(listeners, set(known), published):
        unique = one.name if one.name not in taken else f"{one.name}:{one.port}"
        taken.add(unique)
        found.append(replace(one, name=unique))
    return found


def _located(one: Found, listeners: Iterable[Listener]) -> Found:
    """A database whose addresses, on the machine's own network, the listeners tell."""
    if one.facts.published is not None:
        return one
    heard = [row for row in listeners if row.container == one.container_id and row.port == one.port]
    addresses = tuple(Door(row.address, one.port, "host").shown for row in heard)
    return replace(one, facts=replace(one.facts, addresses=addresses))


# In a container


def _of_container(container: Container, known: dict[str, Container], *, local: bool) -> Found | None:
    ways = dict(_ways(container))
    if not ways:
        return None
    # The program tells most, then the image; a port or a folder alone is a hint.
    kind = next(ways[way] for way in ("programme", "image", "port", "volume") if way in ways)
    server = DATABASES[kind]
    environment = _environment(container, server)
    words = _command(container)
    port = _number(_option(words, server.port_options)) or _exposed(container, kind) or server.ports[0]
    folder = _folder(container, server, words, environment)
    mount = _mount(container, folder)
    check, user, base = health.read(container["Config"].get("Healthcheck"), environment)
    running = bool(container["State"].get("Running"))
    owner = namespace(container, known)
    bindings = list(_published(owner, port))
    facts = Database(
        database=name(container),
        image=container["Config"].get("Image"),
        addresses=tuple(shown for shown, _ in bindings),
        # On the machine's own network nothing is published: the listeners tell its addresses.
        published=None if _on_host(owner) else bool(bindings),
        data_dir=folder,
        volume=_source(mount),
        persistent=mount is not None and mount["Type"] in ("volume", "bind"),
        user=_first(environment, server.users) or user,
        names=tuple(one for one in [_first(environment, server.names) or base] if one),
        healthcheck=check,
    )
    return Found(
        name(container),
        kind,
        "container",
        tuple(way for way, told in ways.items() if told == kind),
        port,
        running,
        facts,
        name(container),
        container["Id"],
        tuple(_doors(owner, port, bindings)) if running and local else (),
    )


def _ways(container: Container) -> Iterator[tuple[str, str]]:
    """How a container shows that it is a database, and of which kind."""
    image = container["Config"].get("Image")
    if is_tool(image_words(image)):
        return
    exposed = [int(port.partition("/")[0]) for port in container["Config"].get("ExposedPorts") or {} if _plain(port)]
    program = _program(container)
    if program in _OTHERS:
        return  # a backup, or a task that uses the image for its client
    told = database_image(image)
    folders = (TELLING_FOLDERS.get(mount["Destination"]) for mount in container.get("Mounts") or [])
    ways = {
        "image": told,
        "programme": DATABASE_PROGRAMS.get(program or ""),
        "port": next((kind for port in exposed if (kind := database(image, port) or database_port(port))), None),
        "volume": next((kind for kind in folders if kind), None),
    }
    # A folder alone may be a copy's: a backup mounts the volume of the database that it saves.
    if any(ways[way] for way in ("image", "programme", "port")):
        yield from ((way, kind) for way, kind in ways.items() if kind)


def _plain(port: str) -> bool:
    return bool(re.fullmatch(r"\d{1,5}(?:/tcp)?", port))


def _program(container: Container) -> str | None:
    """The program that a container starts, behind entry points and inside a shell's script; None for the default."""
    words = _command(container)
    while words and (_wrapper(words[0]) or words[0].startswith("-")):
        # gosu and su-exec are given a user first.
        words = words[2:] if PurePosixPath(words[0]).name in _AS_USER else words[1:]
    if not words or not words[0]:
        return None
    first = PurePosixPath(words[0]).name
    if first in _SHELLS and (started := _STARTED.search(" ".join(words[1:]))):
        return started[1]
    return first


def _wrapper(word: str) -> bool:
    base = PurePosixPath(word).name
    return "entrypoint" in base or base in _WRAPPERS


def _command(container: Container) -> list[str]:
    return [str(word) for word in [container.get("Path") or "", *(container.get("Args") or [])]]


def _option(words: list[str], names: Iterable[str]) -> str | None:
    """The last value of an option: `--port 1`, `--port=1`, PostgreSQL's `-c port=1` and `-p1`."""
    value = None
    for index, word in enumerate(words):
        for option in names:
            following = words[index + 1] if index + 1 < len(words) else None
            if word == option and option.startswith("-") and following is not None:
                value = following
            elif word.startswith(f"{option}="):
                value = word.partition("=")[2]
    return value


def _number(value: str | None) -> int | None:
    return int(value) if value and re.fullmatch(r"\d{1,5}", value) and 0 < int(value) < 65536 else None


def _exposed(container: Container, kind: str) -> int | None:
    """The port that the image declares, when it declares one only and is of this kind by its name."""
    ports = [int(port.partition("/")[0]) for port in container["Config"].get("ExposedPorts") or {} if _plain(port)]
    return ports[0] if len(ports) == 1 and database_image(container["Config"].get("Image")) == kind else None


def _environment(container: Container, server: Server) -> dict[str, str]:
    """The variables that the audit may read: names of accounts, databases and folders, never a password."""
    allowed = {*server.users, *server.names, *server.data}
    pairs = (line.partition("=") for line in container["Config"].get("Env") or [])
    return {key: value for key, _, value in pairs if key in allowed and value}


def _first(environment: dict[str, str], names: Iterable[str]) -> str | None:
    return next((environment[key] for key in names if key in environment), None)


def _folder(container: Container, server: Server, words: list[str], environment: dict[str, str]) -> str:
    """Where the data is: an option, a variable, else the folder of the image, preferably one that is mounted."""
    given = _option(words, server.folder_options) or _first(environment, server.data)
    if given and given.startswith("/"):
        return given
    mounted = {mount["Destination"] for mount in container.get("Mounts") or []}
    return next((folder for folder in server.folders if folder in mounted), server.folders[0])


def _mount(container: Container, folder: str) -> dict[str, Any] | None:
    """The mount that a folder is on: the deepest that is the folder or holds it."""
    path = PurePosixPath(folder)
    holding = [
        mount
        for mount in container.get("Mounts") or []
        if path == PurePosixPath(mount["Destination"]) or PurePosixPath(mount["Destination"]) in path.parents
    ]
    return max(holding, key=lambda mount: len(PurePosixPath(mount["Destination"]).parts), default=None)


def _source(mount: dict[str, Any] | None) -> str | None:
    return (mount.get("Name") or mount.get("Source") or None) if mount else None


def _on_host(container: Container) -> bool:
    return bool(container["HostConfig"].get("NetworkMode") == "host")


def _bindings(container: Container) -> Iterator[tuple[str, str, int]]:
    """The publications in force of TCP ports: the port of the container, the address and the port of the machine."""
    for port, bindings in ((container["NetworkSettings"] or {}).get("Ports") or {}).items():
        for binding in bindings or [] if port.endswith("/tcp") else []:
            if number := _number(str(binding.get("HostPort") or "")):
                yield port.removesuffix("/tcp"), binding.get("HostIp") or EVERY_ADDRESS[0], number


def _published(container: Container, port: int) -> Iterator[tuple[str, Door]]:
    """The publications in force of a port: as they are written, and where this machine asks them."""
    for inside, address, number in _bindings(container):
        if inside == str(port):
            yield Door(address, number, "published").shown, Door(reachable(address), number, "published")


def _doors(owner: Container, port: int, bindings: list[tuple[str, Door]]) -> Iterator[Door]:
    """Where to ask: at the addresses of the network's owner, as another container does; then as it is published."""
    if _on_host(owner):
        yield Door("127.0.0.1", port, "host")
        return
    for end in ((owner["NetworkSettings"] or {}).get("Networks") or {}).values():
        if end.get("IPAddress"):
            yield Door(end["IPAddress"], port, "container")
    yield from (door for _, door in bindings)


def namespace(container: Container, known: dict[str, Container]) -> Container:
    """The container whose network this one uses: itself, but for `network_mode: container:…`."""
    for _ in range(8):
        other = known.get(joined_container(container["HostConfig"].get("NetworkMode")) or "")
        if other is None:
            break
        container = other
    return container


# On the machine


def _of_machine(listeners: Iterable[Listener], containers: set[str], published: set[int]) -> Iterator[Found]:
    """Listeners whose process is a database's server, or whose process is unknown on a port that tells one."""
    groups: dict[tuple[str, int | str], list[Listener]] = {}
    for one in listeners:
        foreign = one.process in PORT_HOLDERS or one.container in containers
        kind = _told_by(one, published)
        if one.protocol == "tcp" and kind and not foreign:
            groups.setdefault((kind, one.pid or one.unit or one.port), []).append(one)
    return (_of_listeners(kind, group) for (kind, _), group in groups.items())


def _told_by(listener: Listener, published: set[int]) -> str | None:
    """The kind of database that a listener is."""
    if listener.process is None and listener.port not in published:
        return database_port(listener.port)
    return DATABASE_PROGRAMS.get(listener.process or "")


def _of_listeners(kind: str, group: list[Listener]) -> Found:
    """The database that some listeners of one process are."""
    # MySQL's X protocol, a cluster's bus: the port that is the kind's own, else the lowest.
    ports, usual = {one.port for one in group}, DATABASES[kind].ports[0]
    port = usual if usual in ports else min(ports)
    own = sorted((one for one in group if one.port == port), key=lambda one: _preference(one.address))
    unit, process = own[0].unit, own[0].process
    name = unit or process or kind
    addresses = tuple(Door(one.address, port, "host").shown for one in own)
    return Found(
        name,
        kind,
        "host",
        ("programme",) if process else ("port",),
        port,
        True,
        Database(database=name, unit=unit, process=process, addresses=addresses),
        doors=tuple(Door(reachable(one.address), port, "host") for one in own),
    )


def _preference(address: str) -> tuple[bool, str]:
    """The loopback first: it is what every tool of the machine uses."""
    return not is_loopback(reachable(address)), address
