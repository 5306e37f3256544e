"""Connection strings in the environment of containers, and what each one's host is for the container that holds it.

Only scheme, host, port and database leave this file. Where a password makes the address ambiguous, the host is
unknown: a wrong guess could show a piece of it.
"""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from auditlib.addresses import is_everywhere, is_loopback, parsed
from auditlib.collect.containers import name
from auditlib.collect.databases.found import find, namespace
from auditlib.facts.tables.databases import ConnectionString
from auditlib.software import DATABASES

Container = dict[str, Any]

# RabbitMQ is told with the databases: it is called as they are.
_BROKER = "AMQP"
_KINDS = {scheme: kind for kind, known in DATABASES.items() for scheme in known.schemes}
_KINDS |= {"amqp": _BROKER, "amqps": _BROKER}
_PORTS = {kind: known.ports[0] for kind, known in DATABASES.items()} | {_BROKER: 5672}
# The words of a variable's name that tell what its host is, in `*_HOST`.
_WORDS = {word: kind for kind, known in DATABASES.items() for word in known.words}
_WORDS |= {"RABBITMQ": _BROKER, "AMQP": _BROKER}
_OVER_HTTP = [(word, kind) for kind, known in DATABASES.items() if known.over_http for word in known.words]
_URL = re.compile(r"(?:jdbc:)?([a-z][a-z0-9+]{1,40})://(.*)", re.IGNORECASE | re.DOTALL)
_HOST = re.compile(r"\[([0-9a-fA-F:.]{2,45})\]|([A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252}))")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,63}")
_DB_HOST = re.compile(r"(?:(.*)_)?(?:HOST|HOSTNAME)|(PG)HOST")

_WITHOUT_DNS = ("bridge", "host", "none")  # Docker's own networks

# Names that Docker Desktop gives; on a server only `extra_hosts` does.
_DESKTOP = ".docker.internal"

MAX_HOSTS = 20


class Address(NamedTuple):
    """What a variable says of a database: its kind, and how it is called; unknown is None."""

    kind: str | None
    scheme: str | None
    host: str | None
    port: int | None
    database: str | None


class Target(NamedTuple):
    """What a host is: container, several, host (this machine), external, unresolved; unknown is None."""

    kind: str | None
    containers: list[str]
    networks: list[str]


def strings(containers: list[Container]) -> list[ConnectionString]:
    """One row per variable and host that it names, for every container."""
    kinds = {one.container: one.kind for one in find(containers, [], local=False)}
    table = []
    for container in containers:
        environment = dict(line.partition("=")[::2] for line in container["Config"].get("Env") or [])
        for variable, value in environment.items():
            for one in [*_url(variable, value), *_pair(variable, environment, kinds.get(name(container)))]:
                target = resolve(container, one.host, containers)
                table.append(
                    ConnectionString(
                        container=name(container),
                        variable=variable,
                        kind=one.kind,
                        scheme=one.scheme,
                        host=one.host,
                        port=one.port,
                        database=one.database,
                        target=target.kind,
                        targets=tuple(target.containers),
                        networks=tuple(target.networks),
                    )
                )
    return table


def _url(variable: str, value: str) -> Iterator[Address]:
    """The hosts of a variable that is wholly one address."""
    match = _URL.fullmatch(value.strip().strip("\"'"))
    if not match:
        return
    scheme = match[1].lower()
    kind = _KINDS.get(scheme) or _KINDS.get(scheme.partition("+")[0])
    if scheme in ("http", "https"):
        kind = next((kind for word, kind in _OVER_HTTP if word in variable.upper()), None)
    if not kind:
        return
    for host, port, database in _places(match[2]):
        yield Address(kind, scheme, host, port or (_PORTS[kind] if host else None), database)


def _places(rest: str) -> list[tuple[str | None, int | None, str | None]]:
    """Host, port and database of what follows `scheme://`; unknown where a password may be mistaken for them."""
    nothing: list[tuple[str | None, int | None, str | None]] = [(None, None, None)]
    head = re.split(r"[?#]", rest, maxsplit=1)[0]
    if "@" in rest[len(head) :]:
        return nothing  # a password with ? or #, or an option with @
    netloc, _, path = head.rpartition("@")[2].partition("/")
    found: list[tuple[str | None, int | None, str | None]] = []
    database = path if _NAME.fullmatch(path) else None
    for one in netloc.split(",")[:MAX_HOSTS]:
        host, port = _split(one)
        if host is None:
            return nothing
        found.append((host, port, database))
    return found


def _split(place: str) -> tuple[str | None, int | None]:
    """The host and port of `host:port`, `[v6]:port` or `host`; unknown for anything else."""
    match = re.fullmatch(rf"(?:{_HOST.pattern})(?::(\d{{1,5}}))?", place)
    if not match:
        return None, None
    return (match[1] or match[2]).lower(), int(match[3]) if match[3] else None


def _pair(variable: str, environment: dict[str, str], own: str | None) -> Iterator[Address]:
    """`X_HOST`, with `X_PORT` and `X_DB` beside it, when X names a kind of database."""
    match = _DB_HOST.fullmatch(variable)
    prefix = (match[1] or match[2] or "") if match else ""
    words = prefix.upper().split("_")
    kind = next((_WORDS[word] for word in words if word in _WORDS), None)
    generic = {"DB", "DATABASE"} & set(words)
    host, port = _split(environment[variable].strip())
    # A database's own variables are what it listens on; « localhost » and the like are told by the resolution.
    if not match or not host or is_everywhere(host) or not (kind or generic) or (own and own == kind):
        return
    beside = prefix if match[2] else f"{prefix}_"
    bases = (environment.get(f"{beside}{word}", "") for word in ("DB", "NAME", "DATABASE", "DB_NAME"))
    database = next((base for base in bases if _NAME.fullmatch(base)), None)
    port = port or _number(environment.get(f"{beside}PORT", "")) or (_PORTS[kind] if kind else None)
    yield Address(kind, None, host, port, database)


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"\d{1,5}", text) else None


# Resolution


def resolve(container: Container, host: str | None, containers: list[Container]) -> Target:
    """What `host` is for `container`: by its own loopback, `extra_hosts`, links, then the names of shared networks.

    Docker's DNS answers names on user-defined networks only, and asks the machine's for every other name.
    """
    if host is None:
        return Target(None, [], [])
    known = {c["Id"]: c for c in containers}
    owner = namespace(container, known)
    on_host = owner["HostConfig"].get("NetworkMode") == "host"
    host = host.rstrip(".")
    if is_loopback(host):
        return Target("host", [], []) if on_host else Target("container", _same(owner, containers, known), [])
    extra = dict(_extra(owner))
    address = extra.get(host, host)
    if address == "host-gateway":
        return Target("host", [], [])
    ends = _ends(owner)
    if (ip := parsed(address)) is not None:
        return _by_address(str(ip), ends, containers)
    linked = [other for other, alias in _links(owner) if alias == host]
    if linked:
        return Target("container", linked, [])
    if target := _by_name(host, ends, containers):
        return target
    if "." in host and not host.endswith(_DESKTOP):
        return Target("external", [], [])
    # A name of one word on the machine's own network is the machine's business: its hosts file, its domain.
    return Target(None if on_host else "unresolved", [], [])


def _same(owner: Container, containers: list[Container], known: dict[str, Container]) -> list[str]:
    """The containers that share one loopback."""
    return sorted(name(c) for c in containers if namespace(c, known)["Id"] == owner["Id"])


def _extra(container: Container) -> Iterator[tuple[str, str]]:
    for line in container["HostConfig"].get("ExtraHosts") or []:
        host, _, address = str(line).partition(":")
        yield host.lower(), address


def _links(container: Container) -> Iterator[tuple[str, str]]:
    """`/redis:/app/cache`: the container and the name it is given."""
    for link in container["HostConfig"].get("Links") or []:
        other, _, alias = str(link).partition(":")
        yield other.strip("/"), alias.rpartition("/")[2].lower()


def _ends(container: Container) -> dict[str, dict[str, Any]]:
    return (container["NetworkSettings"] or {}).get("Networks") or {}


def _names(container: Container, end: dict[str, Any]) -> set[str]:
    """What Docker's DNS answers to on one network, whatever the case."""
    names = [*(end.get("DNSNames") or []), *(end.get("Aliases") or []), name(container), container["Id"][:12]]
    return {str(one).lower() for one in names}


def _by_name(host: str, ends: dict[str, dict[str, Any]], containers: list[Container]) -> Target | None:
    """The containers that Docker's DNS answers with, on the networks of these ends."""
    matches = [
        (name(other), network)
        for other in containers
        for network, end in _ends(other).items()
        if network in ends and network not in _WITHOUT_DNS and host in _names(other, end)
    ]
    running = {name(c) for c in containers if c["State"].get("Running")}
    # The DNS forgets a stopped container: it counts only where nothing that runs has the name.
    alive = [match for match in matches if match[0] in running] or matches
    return _containers(alive, alive) if alive else None


def _containers(matches: list[tuple[str, str]], shared: list[tuple[str, str]]) -> Target:
    """The containers among matches of a container and a network, and the networks among those that are shared."""
    found = sorted({other for other, _ in matches})
    return Target("container" if len(found) == 1 else "several", found, sorted({network for _, network in shared}))


def _by_address(address: str, ends: dict[str, dict[str, Any]], containers: list[Container]) -> Target:
    """An address: a container's, the gateway of one of one's own networks (this machine), or another machine's."""
    if any(address in (end.get("Gateway"), end.get("IPv6Gateway")) for end in ends.values()):
        return Target("host", [], [])
    matches = [
        (name(other), network)
        for other in containers
        for network, end in _ends(other).items()
        if address in (end.get("IPAddress"), end.get("GlobalIPv6Address"))
    ]
    shared = [match for match in matches if match[1] in ends]
    return _containers(shared or matches, shared) if matches else Target("external", [], [])
