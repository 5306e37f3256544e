"""What mends a fault: the acts for each class of faults, from its fields and the tables. The checks know nothing of it.

A mend gives one or several ways, each a few acts to do together; none when only a person can tell. Where there are
several, the simulation chooses.
"""

import typing
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from auditlib.addresses import is_loopback
from auditlib.checks import database_access, exposure
from auditlib.checks.acme import OpenStorage
from auditlib.checks.cis_daemon import SocketMode, SocketOwner
from auditlib.checks.compose import GenericName, own_name
from auditlib.checks.containers import Unrestarted
from auditlib.checks.docker_networks import SharedNetwork
from auditlib.checks.networks import Detached, Unchosen, Unreached
from auditlib.checks.ports import ClaimedPort
from auditlib.checks.route_labels import Misspelt, Unrouted
from auditlib.checks.route_servers import Unheard
from auditlib.checks.route_shields import Unshielded
from auditlib.checks.routes import OpenApi
from auditlib.compose.ports import PublishedPort
from auditlib.facts.snapshot import Snapshot
from auditlib.facts.tables.compose import ComposePort, ComposeResource, ComposeService
from auditlib.facts.tables.databases import ConnectionString, Database
from auditlib.facts.tables.docker import (
    Connection,
    Container,
    ContainerLabel,
    ContainerListener,
    ContainerNetwork,
    Network,
    Publication,
)
from auditlib.facts.tables.host import DockerDaemon, Listener
from auditlib.facts.tables.traefik import StaticOption, TraefikRouter
from auditlib.findings.audit import Finding
from auditlib.findings.check import UNSAID, Fault
from auditlib.findings.commands import Declared
from auditlib.french import listing, quoted
from auditlib.plan.acts.act import MOVE, PREPARE, RENAME, Act
from auditlib.plan.acts.containers import Name, Restart, callers
from auditlib.plan.acts.networks import Create, Join, Leave
from auditlib.plan.acts.ports import Publish
from auditlib.plan.acts.rights import Mode, Owner
from auditlib.plan.acts.traefik import Flag, Label
from auditlib.plan.stacks import container, service_of
from auditlib.views.declarations import Declaration
from auditlib.views.ports import claim, free_port, used_ports
from auditlib.views.predicted import PredictedRouter
from auditlib.views.proxy import Proxy, RoutedContainer

F = TypeVar("F", bound=Fault)
Way = tuple[Act, ...]
Mend = Callable[[Snapshot, F], Sequence[Way]]

MENDS: dict[type[Fault], Mend[Any]] = {}


class ByHand(Exception):  # noqa: N818 - what a person must do first; not a programming error
    """A mend that is not for a program. The message is a French clause that says why."""


def mend(function: Mend[F]) -> Mend[F]:
    """Register a function as what mends the faults of the class, or of the classes, that it is annotated with."""
    annotation = typing.get_type_hints(function)["fault"]
    MENDS.update(dict.fromkeys(typing.get_args(annotation) or (annotation,), function))
    return function


def ways(snapshot: Snapshot, finding: Finding) -> list[Way]:
    """The ways to mend a finding that can be written down; none where it is for a person. Raises ByHand."""
    function = MENDS.get(type(finding.fault))
    found = function(snapshot, finding.fault) if function else ()
    return [way for way in found if way and all(act.writable for act in way)]


def _near(snapshot: Snapshot, publication: Publication) -> Publish | None:
    """A publication moved to the loopback of the machine."""
    service, port = service_of(snapshot, publication.container), publication.host_port
    if service is None or port is None or publication.host_port_last is not None:
        return None
    published = PublishedPort(publication.protocol, port, publication.container_port)
    return Publish(publication.container, service, published, ("127.0.0.1", port))


@mend
def _loopback(
    snapshot: Snapshot, fault: exposure.OpenDatabase | exposure.OpenInterface | exposure.BypassedProxy
) -> Sequence[Way]:
    """PublishedPort, on this machine alone. Its own programs may call the port."""
    for publication in snapshot.known(Publication) or ():
        place = claim(publication)
        if place and (publication.container, place.name) == (fault.container, fault.port):
            act = _near(snapshot, publication)
            return [(act,)] if act else []
    return []


@mend
def _api(snapshot: Snapshot, fault: OpenApi) -> Sequence[Way]:
    """`api.insecure` off, or out of reach of other machines. Other ways to the API need a middleware."""
    options = [row for row in snapshot.known(StaticOption) or () if row.effective and row.key == "api.insecure"]
    name = options[0].container if options else None
    if (fault.router, fault.entrypoint) != ("api@internal", "traefik") or not name:
        return []
    # An entry point that serves somebody else's routers must stay where it is.
    busy = any(
        "traefik" in (router.entrypoints or ()) and router.provider != "internal"
        for router in snapshot.known(TraefikRouter) or ()
    )
    near = dict.fromkeys(
        _near(snapshot, row)
        for row in snapshot.known(Publication) or ()
        if row.container == name and (place := claim(row)) and place.name in fault.places
    )
    found: list[Way] = [] if busy or not near or None in near else [tuple(filter(None, near))]
    service = service_of(snapshot, name)
    return [*found, (Flag(name, service, "api.insecure", None, phase=MOVE),)] if service else found


@mend
def _joined(snapshot: Snapshot, fault: Detached | Unreached) -> Sequence[Way]:
    """On a network of Traefik's, and that one designated where Traefik would take another."""
    name = fault.container
    proxy = next(iter(snapshot.known(Proxy) or ()), None)
    known = [network.name for network in snapshot.known(Network) or ()]
    own = {place.network for place in snapshot.known(ContainerNetwork) or () if place.container == name}
    label = next((row.network_label for row in snapshot.known(RoutedContainer) or () if row.container == name), None)
    # From the machine's own network, every one is reached.
    inside = proxy is not None and proxy.apart
    reached = sorted({*(proxy.networks or ())} & {*known}) if proxy and inside else known
    default = proxy.designated if proxy else None
    designated = label if label is not None else default
    others = sorted(reached, key=lambda network: (network not in own, network != default, network))
    places = [designated, *(network for network in others if inside or network in own)]
    shared = next((network for network in places if network in reached), None)
    service = service_of(snapshot, name)
    if not service or not shared:
        return []
    acts: list[Act] = [] if shared in own else [Join(name, service, shared)]
    if shared != designated and (label is not None or len(own) + len(acts) > 1):
        acts.append(Label(name, service, "traefik.docker.network", shared))
    return [tuple(acts)]


@mend
def _designated(snapshot: Snapshot, fault: Unchosen) -> Sequence[Way]:
    """The network that Traefik is on too."""
    service = service_of(snapshot, fault.container)
    if not service or not fault.shared:
        return []
    return [(Label(fault.container, service, "traefik.docker.network", fault.shared[0]),)]


def _port_label(snapshot: Snapshot, name: str, traefik_service: str, port: str) -> Sequence[Way]:
    own, _, provider = traefik_service.rpartition("@")
    service = service_of(snapshot, name)
    label = f"traefik.http.services.{own}.loadbalancer.server.port"
    return [(Label(name, service, label, port),)] if service and provider == "docker" else []


@mend
def _heard(snapshot: Snapshot, fault: Unheard) -> Sequence[Way]:
    """The only port that the container listens to."""
    if len(fault.listened) != 1 or fault.loopback or fault.transport != "tcp":
        return []
    return _port_label(snapshot, fault.container, fault.service, fault.listened[0])


@mend
def _spelled(snapshot: Snapshot, fault: Misspelt) -> Sequence[Way]:
    """The labels as they should be written, when each has such a spelling."""
    name, service = fault.container, service_of(snapshot, fault.container)
    values = {row.label: row.value for row in snapshot.known(ContainerLabel) or () if row.container == name}
    if service is None or len(fault.labels) != len(fault.proposals):
        return []
    acts = []
    for shown, proposal in zip(fault.labels, fault.proposals, strict=True):
        label, _, wanted = proposal.partition("=")
        value = wanted or values.get(shown)
        # A name that is only an example, a value that is not known or another label in its place are for a person.
        if value is None or "<" in label or (label in values and label != shown.partition("=")[0]):
            return []
        acts.append(Label(name, service, label, value, None if "=" in proposal else shown))
    return [tuple(acts)]


@mend
def _shielded(snapshot: Snapshot, fault: Unshielded) -> Sequence[Way]:
    """The middlewares of the siblings in front of its own, where one service alone declares the router."""
    declared = Declared.of(snapshot.known(PredictedRouter), snapshot.known(Container))
    owners = [owner.name for owner in declared.owners("http", fault.router)]
    own, _, provider = fault.router.rpartition("@")
    if len(owners) != 1 or provider != "docker":
        return []
    prefix = f"traefik.http.routers.{own}."
    labels = {row.label.lower() for row in snapshot.known(ContainerLabel) or () if row.container == owners[0]}
    service = service_of(snapshot, owners[0])
    # A router that has no label of its own name was named by Traefik: after its entry point, or its service.
    if service is None or not any(label.startswith(prefix.lower()) for label in labels):
        return []
    value = ",".join([*fault.proposed, *fault.middlewares])
    return [(Label(owners[0], service, f"{prefix}middlewares", value),)]


@mend
def _enabled(snapshot: Snapshot, fault: Unrouted) -> Sequence[Way]:
    """The label that enables it, or the only port that it listens to."""
    name, service = fault.container, service_of(snapshot, fault.container)
    if service and fault.step == "disabled":
        return [(Label(name, service, "traefik.enable", "true"),)]
    heard = {
        str(row.port)
        for row in snapshot.known(ContainerListener) or ()
        if row.container == name and row.protocol == "tcp" and not is_loopback(row.address)
    }
    routers = fault.routers or ()
    if service and fault.step == "port" and len(heard) == 1 and len(routers) == 1:
        return _port_label(snapshot, name, f"{routers[0].partition('@')[0]}@docker", heard.pop())
    return []


@mend
def _lasting(snapshot: Snapshot, fault: Unrestarted) -> Sequence[Way]:
    service = service_of(snapshot, fault.container)
    return [(Restart(fault.container, service, "unless-stopped"),)] if service else []


@mend
def _private(snapshot: Snapshot, fault: OpenStorage) -> Sequence[Way]:
    """Traefik reads the storage only when it starts."""
    path, name = fault.host_path, fault.container
    return [(Mode(path, fault.mode, "600", name),)] if path and name else []


@mend
def _socket_mode(snapshot: Snapshot, fault: SocketMode) -> Sequence[Way]:
    return [(Mode(fault.listener, fault.mode, f"{int(fault.mode, 8) & 0o660:o}"),)]


@mend
def _socket_owner(snapshot: Snapshot, fault: SocketOwner) -> Sequence[Way]:
    if fault.owner is None or fault.group is None:
        return []
    group = next((daemon.group for daemon in snapshot.known(DockerDaemon) or () if daemon.group), "docker")
    return [(Owner(fault.listener, f"{fault.owner}:{fault.group}", f"root:{group}"),)]


@mend
def _elsewhere(snapshot: Snapshot, fault: ClaimedPort) -> Sequence[Way]:
    """Of a file whose services do not run: other ports that nothing uses."""
    if fault.compose_file is UNSAID:
        return []
    used = used_ports(snapshot.known(Listener), snapshot.known(Publication) or (), snapshot.known(Declaration))
    protocol, _, place = fault.port.partition("/")
    taken = place.rpartition(":")[2]
    claimed: dict[tuple[str, str, str, int], list[str]] = {}
    for row in snapshot.known(ComposePort) or ():
        written = (row.root, row.file) == (fault.root, fault.compose_file) and row.service in fault.services
        if written and (row.protocol, str(row.host_port), row.host_port_last) == (protocol, taken, None):
            claimed.setdefault((row.root, row.files, row.service, row.container_port), []).append(row.host_ip)
    acts = []
    for (root, files, service, port), addresses in claimed.items():
        number = free_port(int(taken), used)
        if number is None:
            return []
        used.add(number)
        # Both families mean that the file gives no address.
        address = addresses[0] if len(addresses) == 1 else ""
        published = PublishedPort(protocol, int(taken), port)
        acts.append(Publish(None, service, published, (address, number), disk=(root, files)))
    return [tuple(acts)]


@mend
def _named(snapshot: Snapshot, fault: GenericName) -> Sequence[Way]:
    """The name of its project in front."""
    known = container(snapshot, fault.container)
    if known is None or not known.compose_project or not known.compose_service:
        return []
    name, service = known.name, known.compose_service
    wanted = own_name(known.compose_project, name)
    taken = {other.name for other in snapshot.known(Container) or ()}
    if wanted in taken | {other.container_name for other in snapshot.known(ComposeService) or ()}:
        return []
    if name != service and (calling := callers(snapshot, name)):
        verb = "l’appelle" if len(calling) == 1 else "l’appellent"
        instead = f"celui du service, {quoted(service)}"
        raise ByHand(f"{listing(map(quoted, calling))} {verb} par ce nom : y écrire d’abord {instead}")
    return [(Name(name, service, wanted, phase=RENAME),)]


@mend
def _apart(snapshot: Snapshot, fault: SharedNetwork | database_access.OpenDatabase) -> Sequence[Way]:
    """In containers: a network of its own, with those that refer to the database and nobody else.

    Those of other stacks join it first: between the steps, each still reaches the database by the network it leaves.
    """
    bases = {base.database: base.container for base in snapshot.known(Database) or ()}
    own = container(snapshot, bases.get(fault.database))
    routed = {row.container for row in snapshot.known(RoutedContainer) or ()}
    if own is None or own.name in routed or not fault.networks:
        return []
    users = _users(snapshot, own.name) - {own.name}
    proxies = {proxy.network_container for proxy in snapshot.known(Proxy) or ()}
    service = own.compose_service or own.name
    network = f"{service}-net"
    known = {row.name for row in snapshot.known(Network) or ()}
    known |= {row.name for row in snapshot.known(ComposeResource) or () if row.name}
    if network in known or proxies & users:
        return []
    published = any(row.container == own.name for row in snapshot.known(Publication) or ())
    acts: list[Act] = [Create(network, internal=not published, phase=PREPARE)]
    for name in sorted(users, key=str):
        user = container(snapshot, name)
        if user is None:
            return []
        same = user.compose_project and user.compose_project == own.compose_project
        acts.append(Join(user.name, user.compose_service or user.name, network, phase=MOVE if same else PREPARE))
    acts.append(Join(own.name, service, network, phase=MOVE))
    acts += [Leave(own.name, service, shared, phase=MOVE) for shared in fault.networks]
    return [tuple(acts)]


def _users(snapshot: Snapshot, database: str) -> set[str | None]:
    """The containers that refer to a database in one, or are seen to call it; None for one that is not known."""
    strings = snapshot.known(ConnectionString) or ()
    connections = snapshot.known(Connection) or ()
    seen = {row.source for row in connections if row.target == database and _within(row)}
    return seen | {string.container for string in strings if database in (string.targets or ())}


def _within(connection: Connection) -> bool:
    return connection.source_kind == connection.target_kind == "container"
