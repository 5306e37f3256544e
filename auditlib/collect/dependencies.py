"""Who listens inside the containers, and who depends on whom: rows made of the sockets of all namespaces."""

from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

from auditlib.addresses import EVERY_ADDRESS, is_loopback
from auditlib.collect.listeners import owner
from auditlib.collect.sockets import plain
from auditlib.collect.source import Reading, Unreadable
from auditlib.facts.tables.docker import Connection, ContainerListener
from auditlib.french import listing, number, plural
from auditlib.software import PORT_HOLDERS, database


class Socket(NamedTuple):
    """One socket of the payload; `peer` is None for one that listens."""

    protocol: str
    family: str
    address: str
    port: int
    peer: str | None
    peer_port: int | None
    uid: int
    pid: int | None


class Actor(NamedTuple):
    """An end of a connection: what it is, and its name if it is known."""

    kind: str
    name: str | None


def rows(payload: dict[str, Any]) -> Reading:
    """Rows of `container_listeners` and `connections`.

    Raises Unreadable when there are containers and none could be read.
    """
    spaces = _Spaces(payload)
    gaps = list(_gaps(payload, spaces))
    if gaps and not any(space.names for space in spaces.all) and payload["lost"]:
        raise Unreadable("refused", gaps[0], "relancer avec sudo, sans option hidepid sur /proc")
    return Reading(
        {"container_listeners": list(_listeners(spaces)), "connections": list(_connections(spaces))},
        gaps,
        "" if payload["root"] or not gaps else "Relancez avec sudo.",
    )


def _gaps(payload: dict[str, Any], spaces: "_Spaces") -> Iterator[str]:
    if names := [one["container"] for one in payload["lost"] if one["container"]]:
        yield f"les sockets de {listing(names)} n’ont pas été lus : le processus est arrêté, remplacé ou caché"
    if len(names) < len(payload["lost"]):
        yield "les sockets de la machine n’ont pas été lus"
    if payload["truncated"]:
        total = sum(len(space.sockets) for space in spaces.all)
        yield f"il y a trop de sockets : seuls les {number(total)} premiers ont été lus"
    unknown = sum(one.pid is None for space in spaces.all for one in space.sockets)
    if unknown and not payload["root"]:
        yield f"sans root, le processus de {plural(unknown, 'socket')} reste inconnu"


class _Space:
    """One network namespace: whose it is (nobody's: the machine's), and its sockets."""

    def __init__(self, raw: dict[str, Any]) -> None:
        self.names: list[str] = raw["containers"]
        self.sockets = [Socket(*one) for one in raw["sockets"]]
        self.listening: dict[tuple[str, int], list[Socket]] = {}
        for one in self.sockets:
            if one.peer is None:
                self.listening.setdefault((one.protocol, one.port), []).append(one)

    def listener(self, protocol: str, address: str, port: int) -> Socket | None:
        """The socket that answers there; one bound to the very address before one bound to all."""
        found = self.listening.get((protocol, port), [])
        exact = [one for one in found if plain(one.address) == address]
        return next(iter(exact or [one for one in found if one.address in EVERY_ADDRESS]), None)


class _Spaces:
    """All namespaces, with what tells an address, a process and a publication."""

    def __init__(self, payload: dict[str, Any]) -> None:
        engine = payload["engine"]
        self.all = [_Space(raw) for raw in payload["namespaces"]]
        self.processes = {one["pid"]: one for one in payload["processes"]}
        self.names = {one["id"]: one["name"] for one in engine["containers"]}
        self.images = {one["name"]: one["image"] for one in engine["containers"]}
        self.machine = {*payload["addresses"], *engine["gateways"]}
        self.ephemeral = payload["ephemeral"]
        self.of_container = {name: space for space in self.all for name in space.names}
        self.of_machine = next(
            (space for space in self.all if not space.names), _Space({"containers": [], "sockets": []})
        )
        self.by_address: dict[str, set[str]] = {}
        for end in engine["container_networks"]:
            for address in filter(None, (end["ipv4"], end["ipv6"])):
                self.by_address.setdefault(address, set()).add(end["container"])
        self.published = {
            (one["protocol"], one["host_ip"], one["host_port"]): (one["container"], one["container_port"])
            for one in engine["publications"]
        }

    def process(self, pid: int | None) -> str | None:
        """The name of a process."""
        name: str | None = self.processes.get(pid, {}).get("name")
        return name

    def actor(self, space: _Space, pid: int | None) -> Actor:
        """Who a process of a namespace is; without it, a namespace of one container tells that container."""
        unit, identifier = owner(self.processes.get(pid, {}).get("cgroup") or "")
        if identifier:
            return Actor("container", self.names.get(identifier, identifier[:12]))
        if space.names:  # a process that somebody entered into the namespace counts as the container's
            return Actor("container", space.names[0] if len(space.names) == 1 else None)
        if unit:
            return Actor("unit", unit)
        name = self.process(pid)
        return Actor("process", name) if name else Actor("host", None)

    def publication(self, protocol: str, address: str, port: int) -> tuple[str, int] | None:
        """The container and its port that are published there."""
        everywhere = "::" if ":" in address else EVERY_ADDRESS[0]
        return self.published.get((protocol, address, port)) or self.published.get((protocol, everywhere, port))


def _listeners(spaces: _Spaces) -> Iterator[ContainerListener]:
    for space in spaces.all:
        for one in space.sockets if space.names else []:
            if one.peer is None:
                yield ContainerListener(
                    container=spaces.actor(space, one.pid).name,
                    network_of=", ".join(sorted(space.names)),
                    protocol=one.protocol,
                    family=one.family,
                    address=one.address,
                    port=one.port,
                    pid=one.pid,
                    process=spaces.process(one.pid),
                    uid=one.uid,
                )


def _connections(spaces: _Spaces) -> Iterator[Connection]:
    """One row per client, server and port, with the number of sockets: only the client's end of each counts."""
    counted: Counter[tuple[Actor, str | None, str, str, int, Actor, str | None]] = Counter()
    for space in spaces.all:
        for one in space.sockets:
            process = spaces.process(one.pid)
            # What relays a published port is no client: whoever called that port is one, where it called from.
            if one.peer is None or one.peer_port is None or (not space.names and process in PORT_HOLDERS):
                continue
            if not _is_client(one, space, spaces):
                continue
            client = spaces.actor(space, one.pid)
            answer = _server(plain(one.peer), one.peer_port, one, space, spaces)
            if answer and answer[0] != client:
                counted[client, process, one.protocol, plain(one.peer), one.peer_port, *answer] += 1
    for (client, process, protocol, address, port, server, kind), count in counted.items():
        yield Connection(
            source=client.name,
            source_kind=client.kind,
            process=process,
            target=server.name,
            target_kind=server.kind,
            database=kind,
            protocol=protocol,
            address=address,
            port=port,
            sockets=count,
        )


def _is_client(one: Socket, space: _Space, spaces: _Spaces) -> bool:
    """Whether this end of a connection called the other: who listens was called.

    When neither listens any more, or the other end cannot be seen, the end whose port the kernel gives to clients.
    """
    if one.peer is None or one.peer_port is None or space.listener(one.protocol, plain(one.address), one.port):
        return False
    other = _place(plain(one.peer), one, space, spaces)
    if other and other.listener(one.protocol, plain(one.peer), one.peer_port):
        return True
    first, last = spaces.ephemeral or (32768, 60999)  # the kernel's own default
    return first <= one.port <= last or not first <= one.peer_port <= last


def _place(address: str, one: Socket, space: _Space, spaces: _Spaces) -> _Space | None:
    """The namespace that has an address, seen from another; None for one outside, unread or ambiguous."""
    if address == plain(one.address) or is_loopback(address):
        return space
    if names := spaces.by_address.get(address):
        return spaces.of_container.get(next(iter(names))) if len(names) == 1 else None
    return spaces.of_machine if address in spaces.machine else None


def _server(address: str, port: int, one: Socket, space: _Space, spaces: _Spaces) -> tuple[Actor, str | None] | None:
    """Who answers at the other end, and the kind of database it is; None for what stays inside a namespace, unknown."""
    place = _place(address, one, space, spaces)
    if place is None:
        return _unseen(address, port, spaces)
    found = place.listener(one.protocol, address, port)
    relayed = not place.names and (not found or spaces.process(found.pid) in {*PORT_HOLDERS, None})
    if relayed and (published := spaces.publication(one.protocol, address, port)):
        # Docker's proxy holds the port (whose process only root sees), or its rules take the packets before anything.
        return Actor("container", published[0]), database(spaces.images.get(published[0]), published[1])
    if found is None and place is space:
        return None
    actor = spaces.actor(place, found.pid if found else None)
    image = spaces.images.get(actor.name or "") if actor.kind == "container" else None
    return actor, database(image, port)


def _unseen(address: str, port: int, spaces: _Spaces) -> tuple[Actor, str | None]:
    """An address outside, or of a container whose namespace was not read (unnamed if several have that address)."""
    names = spaces.by_address.get(address)
    if not names:
        return Actor("outside", address), database(None, port)
    name = next(iter(names)) if len(names) == 1 else None
    return Actor("container", name), database(spaces.images.get(name or ""), port)
