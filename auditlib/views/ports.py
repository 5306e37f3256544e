"""The ports of the machine and of its containers: who holds them, who claims them, when two claims collide."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, Protocol

from auditlib.addresses import EVERY_ADDRESS, is_everywhere, is_loopback, joined, parsed
from auditlib.facts.snapshot import AbsentTable
from auditlib.facts.table import Row, Rows, flag, integer, several, table, text, view
from auditlib.facts.tables.docker import Container, ContainerListener, ContainerNetwork, Publication
from auditlib.facts.tables.host import Host, Listener
from auditlib.software import PORT_HOLDERS, borrows, is_running

EVERYWHERE = "toutes les interfaces"
LOOPBACK = "cette machine seulement"
SPECIFIC = "adresses précises"
# Who can reach a port inside a container.
ITSELF, NETWORKS = "le conteneur seulement", "ses réseaux"


class Claim(NamedTuple):
    """A claim on ports of the machine: one protocol, one address, a range of ports (first and last included)."""

    protocol: str
    address: str
    first: int
    last: int

    def overlaps(self, other: "Claim", *, v6only: bool = False) -> bool:
        """Whether the two cannot both be bound. `v6only`: a `::` of either leaves IPv4 alone."""
        return (
            self.protocol == other.protocol
            and self.first <= other.last
            and other.first <= self.last
            and _same_address(self.address, other.address, v6only=v6only)
        )

    @property
    def name(self) -> str:
        """The claim as a subject of findings: `tcp/0.0.0.0:8002`, `tcp/[::]:8000-8010`."""
        ports = f"{self.first}-{self.last}" if self.last != self.first else str(self.first)
        return f"{self.protocol}/{joined(self.address, ports)}"


def _same_address(one: str, other: str, *, v6only: bool) -> bool:
    first, second = parsed(one), parsed(other)
    if first is None or second is None:
        return one == other
    wildcards = [address for address in (first, second) if address.is_unspecified]
    if first.version == second.version:
        return first == second or bool(wildcards)
    # Across the families, only a :: that takes IPv4 too meets an IPv4 address.
    return not v6only and any(address.version == 6 for address in wildcards)


class Claimant(Protocol):
    """What may claim ports of the machine: a publication, a declaration, a port of a compose file."""

    @property
    def protocol(self) -> str | None:
        """`tcp` or `udp`; None for a declaration that is not of a port."""

    @property
    def host_ip(self) -> str | None:
        """The address of the machine."""

    @property
    def host_port(self) -> int | None:
        """The port, or the first of a range; None when the engine chooses it."""

    @property
    def host_port_last(self) -> int | None:
        """The last port of a range."""


def claim(row: Listener | Claimant) -> Claim | None:
    """What a listener holds or a claimant claims; None when the engine chooses the port, or nothing claims one."""
    if isinstance(row, Listener):
        return Claim(row.protocol, row.address, row.port, row.port)
    if row.protocol is None or row.host_ip is None or row.host_port is None:
        return None
    return Claim(row.protocol, row.host_ip, row.host_port, row.host_port_last or row.host_port)


def v6only_ports(listeners: Iterable[Listener]) -> set[tuple[str, int]]:
    """The (protocol, port) where a `::` socket leaves IPv4 alone: a separate IPv4 wildcard proves it."""
    addresses: dict[tuple[str, int], set[str]] = {}
    for listener in listeners:
        addresses.setdefault((listener.protocol, listener.port), set()).add(listener.address)
    return {place for place, held in addresses.items() if {*EVERY_ADDRESS} <= held}


def free_port(taken: int, used: Collection[int]) -> int | None:
    """The first port above `taken` that nothing uses; above 8000 for a system port, as people do (80 → 8080)."""
    start = taken + 1 if taken >= 1024 else 8000 + taken
    return next((port for port in range(start, 65536) if port not in used), None)


def used_ports(
    listeners: Iterable[Listener] | None,
    publications: Iterable[Publication],
    declarations: Iterable[Claimant] | None = None,
) -> set[int]:
    """Every port that something listens on, publishes, is configured to publish or declares."""
    claimants: list[Claimant] = [*publications, *(declarations or ())]
    claimed = {port for place in map(claim, claimants) if place for port in range(place.first, place.last + 1)}
    return claimed | {listener.port for listener in listeners or ()}


def ephemeral(host: Iterable[Host] | None) -> range | None:
    """The ports that the kernel gives to clients; None when they were not read."""
    for machine in host or ():
        if machine.ephemeral_first is not None and machine.ephemeral_last is not None:
            return range(machine.ephemeral_first, machine.ephemeral_last + 1)
    return None


def exposure(addresses: Iterable[str]) -> str:
    """Who can reach what listens at these addresses, in French."""
    addresses = list(addresses)
    if any(map(is_everywhere, addresses)):
        return EVERYWHERE
    return LOOPBACK if all(map(is_loopback, addresses)) else SPECIFIC


def apart(listeners: Iterable[Listener], publications: Iterable[Publication]) -> list[Listener]:
    """The listeners that are not, as far as is known, the sockets of these publications.

    Without root the process of docker-proxy is not seen: what listens at the very address of a publication is its own.
    """
    published = {(row.protocol, row.host_ip, row.host_port) for row in publications}
    return [
        listener
        for listener in listeners
        if listener.process
        or listener.container
        or (listener.protocol, listener.address, listener.port) not in published
    ]


@table(
    "host_ports",
    "Ports de la machine",
    "Un port de la machine et celui qui le tient : conteneur, unité systemd ou processus.",
    key=("port", "protocol", "owner", "container_port"),
)
class HostPort(Row):
    """A port of the machine and who holds it."""

    port: int = integer("Port")
    protocol: str = text("Protocole")
    owner: str = text("Tenu par")
    kind: str | None = text("Nature", "conteneur, unité, processus ou inconnu.")
    container_port: int | None = integer("Port interne")
    exposure: str | None = text("Exposition")
    addresses: tuple[str, ...] | None = several("Adresses")
    process: str | None = text("Processus")
    user: str | None = text("Utilisateur")

    @property
    def places(self) -> list[str]:
        """Its places, as subjects of findings."""
        return [Claim(self.protocol, address, self.port, self.port).name for address in self.addresses or ()]


def is_client(socket: Listener | HostPort, clients: range | None) -> bool:
    """Whether it is an unconnected UDP socket of the ephemeral range: a client, that listens to nothing."""
    published = isinstance(socket, HostPort) and socket.kind == "conteneur"
    return socket.protocol == "udp" and socket.port in (clients or ()) and not published


@view(HostPort)
def host_ports(
    publications: Rows[Publication] | None = None, listeners: Rows[Listener] | None = None
) -> Iterator[HostPort]:
    """One row per port and owner: publications in force, then the listeners that are not theirs.

    Either alone tells of ports: a machine may have no Docker, and an engine may be elsewhere.
    """
    if publications is None and listeners is None:
        raise AbsentTable("listeners", "ni les écoutes de la machine ni les ports publiés n’ont été lus")
    live = [row for row in publications or () if row.live]
    ports: dict[tuple[int, str, str, int | None], HostPort] = {}
    for socket in _sockets(live, apart(listeners or (), live)):
        key = (socket.port, socket.protocol, socket.owner, socket.container_port)
        port = ports.get(key, socket)
        addresses = tuple(dict.fromkeys([*(port.addresses or ()), *(socket.addresses or ())]))
        ports[key] = replace(port, addresses=addresses, process=port.process or socket.process)
    for port in ports.values():
        yield replace(port, exposure=exposure(port.addresses or ()))


def _sockets(publications: Iterable[Publication], listeners: Iterable[Listener]) -> Iterator[HostPort]:
    """Each address of publications in force, then each socket of listeners that are not theirs."""
    inside: dict[tuple[str, int, str | None], int] = {}
    for publication in publications:
        if publication.host_port is not None:
            key = (publication.protocol, publication.host_port, publication.container)
            inside[key] = publication.container_port
            yield _published(publication, publication.host_port)
    for listener in listeners:
        yield _heard(listener, inside.get((listener.protocol, listener.port, listener.container)))


def _published(publication: Publication, port: int) -> HostPort:
    """One address of a publication in force."""
    return HostPort(
        port=port,
        protocol=publication.protocol,
        owner=publication.container,
        kind="conteneur",
        container_port=publication.container_port,
        addresses=(publication.host_ip,),
    )


def _heard(listener: Listener, container_port: int | None) -> HostPort:
    """One socket that listens; of a proxy of ports, the process and the user are not the container's."""
    owners = (("conteneur", listener.container), ("unité", listener.unit), ("processus", listener.process))
    kind, owner = next(((kind, name) for kind, name in owners if name), ("inconnu", "inconnu"))
    proxied = listener.process in PORT_HOLDERS and listener.container
    return HostPort(
        port=listener.port,
        protocol=listener.protocol,
        owner=owner,
        kind=kind,
        container_port=container_port,
        addresses=(listener.address,),
        process=None if proxied else listener.process,
        user=None if proxied else listener.user,
    )


@table(
    "internal_ports",
    "Ports internes",
    "Ports qu’un conteneur en marche déclare sans les publier : joignables par ses réseaux Docker seulement.",
    key=("container", "container_port", "protocol"),
)
class InternalPort(Row):
    """A port that a running container declares and does not publish."""

    container: str = text("Conteneur")
    container_port: int = integer("Port interne")
    protocol: str = text("Protocole")
    networks: tuple[str, ...] | None = several("Réseaux")


@view(InternalPort)
def internal_ports(
    containers: Rows[Container], container_networks: Rows[ContainerNetwork], publications: Rows[Publication]
) -> Iterator[InternalPort]:
    """Ports of running containers that are exposed to their networks and not published."""
    published = {(row.container, row.container_port, row.protocol) for row in publications if row.live}
    attachments = container_networks.grouped(ContainerNetwork.container)
    for container in containers:
        if is_running(container.state) and container.network_mode != "host":
            networks = tuple(attachment.network for attachment in attachments.get(container.name, ()))
            for place in _declared(container):
                if place not in published:
                    yield InternalPort(
                        container=place.container,
                        container_port=place.port,
                        protocol=place.protocol,
                        networks=networks,
                    )


class _Place(NamedTuple):
    """A port inside a container."""

    container: str
    port: int
    protocol: str


def _declared(container: Container) -> Iterator[_Place]:
    """The ports that a container or its image declares."""
    for exposed in container.exposed_ports or ():
        ports, _, protocol = exposed.partition("/")
        first, _, last = ports.partition("-")  # an image may declare a range
        for port in range(int(first), int(last or first) + 1):
            yield _Place(container.name, port, protocol or "tcp")


@table(
    "container_ports",
    "Ports dans les conteneurs",
    "Les ports que chaque conteneur en marche écoute, déclare (EXPOSE) ou publie. Un port déclaré ou publié sans "
    "écoute ne répond à personne.",
    key=("container", "port", "protocol"),
)
class ContainerPort(Row):
    """A port inside a running container."""

    container: str = text("Conteneur")
    port: int = integer("Port interne")
    protocol: str = text("Protocole")
    listening: bool | None = flag("Écouté", "Inconnu si les sockets de ce conteneur n’ont pas été lus.")
    processes: tuple[str, ...] | None = several("Processus")
    reach: str | None = text(
        "Joignable par", "Ses réseaux, ou le conteneur seul s’il n’écoute que sur sa boucle locale."
    )
    declared: bool | None = flag("Déclaré")
    published: tuple[str, ...] | None = several("Publié sur", "Ports de la machine.")


@view(ContainerPort)
def container_ports(
    containers: Rows[Container], container_listeners: Rows[ContainerListener], publications: Rows[Publication]
) -> Iterator[ContainerPort]:
    """One row per port inside a running container that has a network of its own."""
    heard: dict[_Place, list[ContainerListener]] = {}
    for listener in container_listeners:
        # Of a network that several share, it is not always known which one listens: all are named.
        place = _Place(listener.container or listener.network_of, listener.port, listener.protocol)
        heard.setdefault(place, []).append(listener)
    each = {_Place(name, port, protocol) for names, port, protocol in heard for name in names.split(", ")}
    read = {name for listener in container_listeners for name in listener.network_of.split(", ")}
    published = _published_inside(publications)
    declared = {place for container in containers if _has_own_network(container) for place in _declared(container)}
    for place in sorted({*heard, *published, *declared}):
        listeners = heard.get(place, ())
        yield ContainerPort(
            container=place.container,
            port=place.port,
            protocol=place.protocol,
            # A container of which no socket at all was seen may not have been read.
            listening=True if place in heard or place in each else False if place.container in read else None,
            processes=tuple(dict.fromkeys(listener.process for listener in listeners if listener.process)),
            reach=_reach(listeners),
            declared=place in declared,
            published=tuple(map(str, sorted(published.get(place, ())))),
        )


def _published_inside(publications: Iterable[Publication]) -> Mapping[_Place, set[int]]:
    """The ports of the machine that lead to each port inside a container."""
    published: dict[_Place, set[int]] = {}
    for row in publications:
        if row.live and row.host_port is not None:
            published.setdefault(_Place(row.container, row.container_port, row.protocol), set()).add(row.host_port)
    return published


def _has_own_network(container: Container) -> bool:
    """Whether a container runs, on networks that are neither the machine's nor another container's."""
    return is_running(container.state) and not borrows(container.network_mode)


def _reach(listeners: Sequence[ContainerListener]) -> str | None:
    if not listeners:
        return None
    return ITSELF if exposure(listener.address for listener in listeners) == LOOPBACK else NETWORKS


def silent_ports(container_ports: Iterable[ContainerPort]) -> list[str]:
    """The published ports that nothing listens on, as people write them: `api 8000/tcp`."""
    return [
        f"{row.container} {row.port}/{row.protocol}"
        for row in container_ports
        if row.published and row.listening is False
    ]
