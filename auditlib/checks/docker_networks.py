"""NET: the Docker networks themselves: their addresses, what is on them, who declares them."""

import ipaddress
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from posixpath import join
from typing import NamedTuple

from auditlib.facts.snapshot import AbsentTable
from auditlib.facts.table import Rows
from auditlib.facts.tables.compose import ComposeResource, ComposeService
from auditlib.facts.tables.databases import ConnectionString, Database
from auditlib.facts.tables.docker import Connection, Container, ContainerListener, ContainerNetwork, Network
from auditlib.facts.tables.host import HostAddress, HostRoute
from auditlib.findings.check import UNSAID, About, Fault, Fix, check, fact, word
from auditlib.french import listing, quoted
from auditlib.software import is_attached
from auditlib.views.proxy import Proxy, RoutedContainer, traefiks

Subnet = ipaddress.IPv4Network | ipaddress.IPv6Network

# Networks that an engine makes by itself: Docker's, Docker's for swarm, Podman's.
_BUILT_IN = frozenset({"bridge", "host", "none", "ingress", "docker_gwbridge", "podman"})
# Drivers whose networks are, on purpose, on the subnet of one of the machine's own interfaces.
_OUTSIDE = frozenset({"macvlan", "ipvlan"})


def _subnet(text: str) -> Subnet | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _subnets(network: Network) -> list[Subnet]:
    return [subnet for text in network.subnets or () if (subnet := _subnet(text))]


def _overlap(first: Subnet, second: Subnet) -> bool:
    return first.version == second.version and first.overlaps(second)


def _within(inner: Subnet, outer: Subnet) -> bool:
    return _overlap(inner, outer) and inner.prefixlen >= outer.prefixlen


def _is_default(route: Subnet) -> bool:
    """Whether a route is the default one, or one of the halves that a VPN puts before it."""
    return route.prefixlen <= (1 if route.version == 4 else 3)


class Overlap(Fault):
    """A subnet that overlaps another network's, or a route of the machine."""

    network: str
    subnet: str
    other: str = fact("Autre réseau", default=UNSAID)
    other_subnet: str = fact("Autre sous-réseau", default=UNSAID)
    route: str = fact("Route de la machine", default=UNSAID)
    interface: str = fact(default=UNSAID)
    gateway: str | None = fact(default=UNSAID)
    overlapped: str = word()
    effect: str = word()


@check(
    "NET-005",
    "medium",
    "Aucun réseau Docker ne recouvre un autre réseau",
    key=("network",),
    message="Le sous-réseau {subnet} du réseau « {network} » recouvre {overlapped} : {effect}.",
    fix=Fix(
        "Donner au réseau « {network} » un sous-réseau libre (« ipam: » dans le fichier compose, ou « docker network "
        "create --subnet »), et recréer ses conteneurs. Pour les réseaux à venir : régler « default-address-pools » "
        "dans la configuration du démon.",
        (),
        ("docker network inspect --format '{{{{json .IPAM.Config}}}}' {network}",),
    ),
)
def subnets_distinct(
    networks: Rows[Network],
    host_routes: Rows[HostRoute] | None = None,
    host_addresses: Rows[HostAddress] | None = None,
) -> Iterator[Overlap]:
    """Subnets that overlap those of another network, or a route of the machine that is not Docker's own.

    Docker's own routes lead to the bridge of a network: the interface that holds its gateway's address.
    """
    subnets = [(network, subnet) for network in networks for subnet in _subnets(network)]
    yield from _overlapping_networks(subnets)
    if host_routes is None or host_addresses is None:
        raise AbsentTable("host_routes", "les routes de la machine n’ont pas été lues")
    yield from _overlapping_routes(subnets, host_routes, _bridges(networks, host_addresses))


def _overlapping_networks(subnets: Sequence[tuple[Network, Subnet]]) -> Iterator[Overlap]:
    for (network, subnet), (other, overlapped) in combinations(subnets, 2):
        if network.id != other.id and _overlap(subnet, overlapped):
            yield Overlap(
                network=network.name,
                subnet=str(subnet),
                other=other.name,
                other_subnet=str(overlapped),
                subjects=(("network", network.name), ("network", other.name)),
                overlapped=f"{overlapped} du réseau {quoted(other.name)}",
                effect="des paquets destinés à l’un partent vers l’autre",
            )


def _overlapping_routes(
    subnets: Sequence[tuple[Network, Subnet]], routes: Iterable[HostRoute], bridges: Mapping[str, Sequence[Subnet]]
) -> Iterator[Overlap]:
    for route in routes:
        destination = _subnet(route.destination)
        if destination is None or _is_default(destination):
            continue
        if any(_within(destination, subnet) for subnet in bridges.get(route.interface, ())):
            continue
        for network, subnet in subnets:
            if network.driver not in _OUTSIDE and _overlap(subnet, destination):
                yield Overlap(
                    network=network.name,
                    subnet=str(subnet),
                    route=str(destination),
                    interface=route.interface,
                    gateway=route.gateway,
                    subjects=(("network", network.name), ("network", str(destination))),
                    overlapped=f"la route {destination} de la machine (interface {quoted(route.interface)})",
                    effect="des machines de l’un des deux ne sont pas joignables",
                )


def _bridges(networks: Rows[Network], addresses: Rows[HostAddress]) -> Mapping[str, list[Subnet]]:
    """The subnets that Docker itself routes, by interface."""
    bridges: dict[str, list[Subnet]] = {}
    holders = addresses.grouped(HostAddress.address)
    for network in networks:
        if network.driver not in _OUTSIDE:
            interfaces = {f"br-{network.id[:12]}"} if network.id else set()
            interfaces |= {held.interface for gateway in network.gateways or () for held in holders.get(gateway, ())}
            interfaces |= {"docker0"} if network.name == "bridge" else set()
            for interface in interfaces:
                bridges.setdefault(interface, []).extend(_subnets(network))
    return bridges


class Unused(Fault):
    """A network without a container that no file declares."""

    network: str
    driver: str | None
    project: str | None
    subnets: tuple[str, ...] | None


@check(
    "NET-006",
    "info",
    "Chaque réseau Docker sert à un conteneur",
    key=("network",),
    confidence="probable",
    message="Le réseau « {network} » n’a aucun conteneur, et aucun fichier compose lu ne le déclare.",
    fix=Fix(
        "Le supprimer s’il ne sert plus : le moteur refuse tant qu’un conteneur y est attaché.",
        ("docker network rm {network}",),
        ("docker network inspect --format '{{{{json .Containers}}}}' {network}",),
    ),
)
def networks_used(
    networks: Rows[Network], container_networks: Rows[ContainerNetwork], compose_resources: Rows[ComposeResource]
) -> Iterator[Unused]:
    """Networks without a container, stopped ones included, that no file declares.

    Swarm's are left out: the tasks that use them may run elsewhere.
    """
    used = {attachment.network for attachment in container_networks}
    declared = {resource.name for resource in compose_resources if resource.kind == "network"}
    for network in networks:
        if network.name not in used | declared | _BUILT_IN and network.scope != "swarm":
            yield Unused(
                network=network.name, driver=network.driver, project=network.compose_project, subnets=network.subnets
            )


class SharedNetwork(Fault):
    """A database on networks with the proxy, or with projects, that do not refer to it."""

    database: str
    kind: str | None
    container: str
    networks: tuple[str, ...]
    proxy: str | None
    strangers: tuple[str, ...]
    users: tuple[str, ...]
    others: str = word()
    clients: str = word()
    place: str = word()

    @property
    def about(self) -> About:
        """The networks of the database."""
        return {"attachment": [f"{self.database} ({network})" for network in self.networks]}


@check(
    "NET-007",
    "medium",
    "Aucune base ne partage de réseau avec qui ne s’en sert pas",
    key=("database",),
    confidence="probable",
    message="La base « {database} » ({kind}) partage le réseau {networks:quoted} avec {others}, sans que rien ne les "
    "relie à elle : ni chaîne de connexion, ni connexion observée, ni route.",
    fix=Fix(
        "Mettre « {database} » sur un réseau à part, y attacher {clients}, et retirer la base de "
        "{networks:quoted}{place}, puis recréer ces services.",
        ("{compose} up -d {service}",),
        ("docker inspect --format '{{{{json .NetworkSettings.Networks}}}}' {container}",),
    ),
)
def databases_apart(
    databases: Rows[Database],
    containers: Rows[Container],
    container_networks: Rows[ContainerNetwork],
    connection_strings: Rows[ConnectionString],
    connections: Rows[Connection],
    proxy: Rows[Proxy] | None = None,
    routed: Rows[RoutedContainer] | None = None,
    compose_services: Rows[ComposeService] | None = None,
    container_listeners: Rows[ContainerListener] | None = None,
) -> Iterator[SharedNetwork]:
    """Databases on a network with the proxy, or with other projects, when nobody of them refers to the database.

    To refer: a connection string, a connection that was observed, for the proxy a route. A configuration file may
    hold an address that the audit does not see: hence only probable.
    """
    known = containers.by(Container.name)
    members = _members(container_networks, known)
    stacks = {container.name: container.compose_project or container.name for container in containers}
    traefik = proxy[0].network_container if proxy else None
    routes = {row.container for row in routed or ()}
    for database in databases:
        container = known.get(database.container or "")
        if container is None or not is_attached(container.state):
            continue
        users = _users(container.name, connection_strings, connections)
        users |= {traefik} if traefik and container.name in routes else set()
        shared = _shared(container.name, users, members, stacks, traefik)
        if shared.networks:
            proxied = traefik if shared.proxied else None
            yield SharedNetwork(
                database=database.database,
                kind=database.kind,
                container=container.name,
                networks=tuple(sorted(shared.networks)),
                proxy=proxied,
                strangers=tuple(sorted(shared.strangers)),
                users=tuple(sorted(users)),
                others=_neighbours(proxied, sorted({stacks[stranger] for stranger in shared.strangers})),
                clients=listing(map(quoted, sorted(users))) or "les conteneurs qui s’en servent",
                place=_networks_place(compose_services or (), container),
            )
    if proxy is None and traefiks(containers, container_listeners):
        raise AbsentTable("traefik_static", "la configuration de Traefik n’a pas été lue")


def _members(attachments: Rows[ContainerNetwork], containers: Mapping[str, Container]) -> Mapping[str, set[str]]:
    """The containers on each network that is one, those that have it now."""
    members: dict[str, set[str]] = {}
    for row in attachments:
        there = row.container in containers and is_attached(containers[row.container].state)
        if there and row.network not in ("host", "none"):
            members.setdefault(row.network, set()).add(row.container)
    return members


def _users(database: str, strings: Iterable[ConnectionString], connections: Iterable[Connection]) -> set[str]:
    """The containers that refer to that of a database."""
    referring = {string.container for string in strings if database in (string.targets or ())}
    return referring | {seen.source for seen in connections if seen.source and _reaches(seen, database)}


class _Shared(NamedTuple):
    """The networks that a database shares with who does not use it: containers of other stacks, perhaps the proxy."""

    networks: list[str]
    strangers: set[str]
    proxied: bool


def _shared(
    database: str,
    users: Collection[str],
    members: Mapping[str, set[str]],
    stacks: Mapping[str, str],
    traefik: str | None,
) -> _Shared:
    """What the container of a database shares; `members` are the containers of each network."""
    networks, strangers, proxied = [], set(), False
    for network, ends in members.items():
        others = {end for end in ends - {database, traefik} if stacks[end] != stacks[database]}
        exposed = traefik in ends and traefik not in users
        # One of them that refers to it is a reason to share the network, which the proxy takes away.
        if database in ends and (exposed or (others and others.isdisjoint(users))):
            networks.append(network)
            strangers |= others.difference(users)
            proxied = proxied or exposed
    return _Shared(networks, strangers, proxied)


def _reaches(connection: Connection, database: str) -> bool:
    return connection.target == database and connection.source_kind == connection.target_kind == "container"


def _neighbours(traefik: str | None, projects: list[str]) -> str:
    noun = "le projet" if len(projects) == 1 else "les projets"
    parts = [f"le proxy {quoted(traefik)}"] if traefik else []
    return listing([*parts, f"{noun} {listing(map(quoted, projects))}"] if projects else parts)


def _networks_place(services: Iterable[ComposeService], container: Container) -> str:
    """Where the file of a container writes its networks, as the end of a clause; "" when it is not known."""
    for service in services:
        same = (service.project, service.service) == (container.compose_project, container.compose_service)
        path = join(service.root, service.files.partition(" + ")[0])
        if same and service.networks_line is not None and path in (container.compose_files or ()):
            return f" dans {quoted(service.file)}, ligne {service.networks_line}"
    return ""


class MissingNetwork(Fault):
    """An external network of a compose file that the engine does not have."""

    compose_file: str
    network: str
    line: int | None
    project: str | None
    root: str
    where: str = word()
    effect: str = word()
    hint: str = word()
    place: str = word()
    used: bool = word()

    @property
    def about(self) -> About:
        """A file whose project cannot start."""
        return {"start": self.compose_file.split(" + ") if self.used else ()}


@check(
    "NET-008",
    "medium",
    "Chaque réseau externe d’un fichier compose existe",
    key=("compose_file", "network"),
    message="Le fichier « {compose_file} » déclare{where} le réseau externe « {network} », qui n’existe pas : "
    "{effect}.{hint}",
    fix=Fix(
        "Créer le réseau « {network} », ou corriger son nom{place}.",
        ("docker network create {network}",),
        ("docker network inspect --format '{{{{.Name}}}}' {network}",),
    ),
)
def external_networks_exist(
    compose_resources: Rows[ComposeResource], networks: Rows[Network]
) -> Iterator[MissingNetwork]:
    """External networks that the engine does not have; `info` when no service that starts asks for them.

    Compose refuses to start a project for a missing one that a service uses, and does not look at the others.
    """
    there = {network.name for network in networks} | {network.id for network in networks}
    missing: dict[tuple[str, str], list[ComposeResource]] = {}
    for row in compose_resources:
        if row.kind == "network" and row.external and row.name and row.name not in there:
            missing.setdefault((row.file or row.files, row.name), []).append(row)
    for (file, name), rows in missing.items():
        used, line = any(row.used for row in rows), rows[0].line
        # Compose prefixes the name of a network that is not external by its project.
        near = sorted(network.name for network in networks if network.name.endswith(f"_{name}"))
        yield MissingNetwork(
            compose_file=file,
            network=name,
            line=line,
            project=rows[0].project,
            root=rows[0].root,
            severity=None if used else "info",
            where=f", ligne {line}," if line is not None else "",
            effect="le projet ne pourra pas démarrer" if used else "aucun service qui démarre ne le demande",
            hint=f" Le moteur a {listing(map(quoted, near))}." if near else "",
            place=f" dans {quoted(file)}{f', ligne {line}' if line is not None else ''}",
            used=used,
        )
