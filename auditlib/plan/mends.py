"""What mends a fault: the acts, from what the fault says and from the tables. The checks know nothing of it.

A mend gives one or several ways, each a few acts to do together; none when only a person can tell. Where there are
several, the simulation chooses.
"""

from collections.abc import Callable, Sequence
from typing import Any

from auditlib.addresses import is_loopback
from auditlib.checks.acme import OpenStorage
from auditlib.checks.cis_daemon import SocketMode, SocketOwner
from auditlib.checks.compose import GenericName, own_name
from auditlib.checks.containers import Unrestarted
from auditlib.checks.database_access import OpenDatabase as UnlockedDatabase
from auditlib.checks.docker_networks import SharedNetwork
from auditlib.checks.exposure import BypassedProxy, OpenDatabase, OpenInterface
from auditlib.checks.networks import Detached, Unchosen, Unreached
from auditlib.checks.ports import ClaimedPort
from auditlib.checks.route_labels import Misspelt, Unrouted
from auditlib.checks.route_servers import Unheard
from auditlib.checks.route_shields import Unshielded
from auditlib.checks.routes import OpenApi
from auditlib.compose.ports import Published
from auditlib.facts.snapshot import Snapshot
from auditlib.facts.table import Rows
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
from auditlib.plan.acts.flag import Flag
from auditlib.plan.acts.label import Label
from auditlib.plan.acts.name import Name, callers
from auditlib.plan.acts.networks import Create, Join, Leave
from auditlib.plan.acts.publish import Publish
from auditlib.plan.acts.restart import Restart
from auditlib.plan.acts.rights import Mode, Owner
from auditlib.plan.stacks import container, service_of
from auditlib.views.declarations import Declaration
from auditlib.views.ports import claim, free_port, used_ports
from auditlib.views.predicted import PredictedRouter
from auditlib.views.proxy import Proxy, RoutedContainer

Way = tuple[Act, ...]
# A snapshot and a fault of the class that it is registered for, to ways.
Mend = Callable[[Snapshot, Any], Sequence[Way]]
_LOOPBACK = "127.0.0.1"


class ByHand(Exception):  # noqa: N818 - what a person must do first; not a programming error
    """A mend that is not for a program. The message is a French clause that says why."""


def ways(snapshot: Snapshot, finding: Finding) -> list[Way]:
    """The ways to mend a finding that can be written down; none where it is for a person. Raises ByHand."""
    mend = MENDS.get(type(finding.fault))
    offered = mend(snapshot, finding.fault) if mend else ()
    return [way for way in offered if way and all(act.writable for act in way)]


def _near(snapshot: Snapshot, publication: Publication) -> Publish | None:
    """A publication moved to the loopback of the machine."""
    name, number = publication.container, publication.host_port
    service = service_of(snapshot, name)
    if service is None or number is None or publication.host_port_last is not None:
        return None
    port = Published(publication.protocol, number, publication.container_port)
    return Publish(name, service, port, (_LOOPBACK, number))


def _loopback(snapshot: Snapshot, fault: OpenDatabase | OpenInterface | BypassedProxy) -> Sequence[Way]:
    """Published, on this machine alone. Its own programs may call the port."""
    for publication in snapshot.known(Publication) or ():
        place = claim(publication)
        if place and (publication.container, place.name) == (fault.container, fault.port):
            act = _near(snapshot, publication)
            return [(act,)] if act else []
    return []


def _api(snapshot: Snapshot, fault: OpenApi) -> Sequence[Way]:
    """`api.insecure` off, or out of reach of other machines. Other ways to the API need a middleware."""
    options = [row for row in snapshot.known(StaticOption) or () if row.effective and row.key == "api.insecure"]
    by_itself = (fault.router, fault.entrypoint) == ("api@internal", "traefik")
    name = options[0].container if options else None
    if not by_itself or not name:
        return []
    # An entry point that serves somebody else's routers must stay where it is.
    routers = snapshot.known(TraefikRouter) or ()
    busy = any("traefik" in (router.entrypoints or ()) and router.provider != "internal" for router in routers)
    published = (snapshot.known(Publication) or Rows()).grouped(Publication.container).get(name, ())
    open_to_all = [row for row in published if (place := claim(row)) and place.name in fault.places]
    near = dict.fromkeys(_near(snapshot, row) for row in open_to_all)
    offered: list[Way] = [] if busy or not near or None in near else [tuple(act for act in near if act)]
    service = service_of(snapshot, name)
    return [*offered, (Flag(name, service, "api.insecure", None, phase=MOVE),)] if service else offered


def _joined(snapshot: Snapshot, fault: Detached | Unreached) -> Sequence[Way]:
    """On a network of Traefik's, and that one designated where Traefik would take another."""
    name = fault.container
    proxy = next(iter(snapshot.known(Proxy) or ()), None)
    known = [network.name for network in snapshot.known(Network) or ()]
    own = {place.network for place in snapshot.known(ContainerNetwork) or () if place.container == name}
    label = next((row.network_label for row in snapshot.known(RoutedContainer) or () if row.container == name), None)
    # From the machine's own network, every one is reached.
    inside = proxy is not None and proxy.apart
    reached = sorted({*((proxy and proxy.networks) or ())} & {*known}) if inside else known
    by_default = proxy.designated if proxy else None
    designated = label if label is not None else by_default
    others = sorted(reached, key=lambda network: (network not in own, network != by_default, network))
    places = [designated, *(network for network in others if inside or network in own)]
    shared = next((network for network in places if network in reached), None)
    service = service_of(snapshot, name)
    if not service or not shared:
        return []
    acts: list[Act] = [] if shared in own else [Join(name, service, shared)]
    if shared != designated and (label is not None or len(own) + len(acts) > 1):
        acts.append(Label(name, service, "traefik.docker.network", shared))
    return [tuple(acts)]


def _designated(snapshot: Snapshot, fault: Unchosen) -> Sequence[Way]:
    """The network that Traefik is on too."""
    service, shared = service_of(snapshot, fault.container), next(iter(fault.shared), None)
    return [(Label(fault.container, service, "traefik.docker.network", shared),)] if service and shared else []


def _port_label(snapshot: Snapshot, name: str, traefik_service: str, port: str) -> Sequence[Way]:
    own, _, provider = traefik_service.rpartition("@")
    service = service_of(snapshot, name)
    label = f"traefik.http.services.{own}.loadbalancer.server.port"
    return [(Label(name, service, label, port),)] if service and provider == "docker" else []


def _heard(snapshot: Snapshot, fault: Unheard) -> Sequence[Way]:
    """The only port that the container listens to."""
    if len(fault.listened) != 1 or fault.loopback or fault.transport != "tcp":
        return []
    return _port_label(snapshot, fault.container, fault.service, fault.listened[0])


def _spelled(snapshot: Snapshot, fault: Misspelt) -> Sequence[Way]:
    """The labels as they should be written, when each has such a spelling."""
    name, service = fault.container, service_of(snapshot, fault.container)
    labels = (snapshot.known(ContainerLabel) or Rows()).grouped(ContainerLabel.container).get(name, ())
    values = {row.label: row.value for row in labels}
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


def _shielded(snapshot: Snapshot, fault: Unshielded) -> Sequence[Way]:
    """The middlewares of the siblings in front of its own, where one service alone declares the router."""
    declared = Declared.of(snapshot.known(PredictedRouter), snapshot.known(Container))
    owners = [owner.name for owner in declared.owners("http", fault.router)]
    own, _, provider = fault.router.rpartition("@")
    if len(owners) != 1 or provider != "docker":
        return []
    [name] = owners
    prefix = f"traefik.http.routers.{own}."
    labels = {row.label.lower() for row in snapshot.known(ContainerLabel) or () if row.container == name}
    service = service_of(snapshot, name)
    # A router that has no label of its own name was named by Traefik: after its entry point, or its service.
    if service is None or not any(label.startswith(prefix.lower()) for label in labels):
        return []
    return [(Label(name, service, f"{prefix}middlewares", ",".join([*fault.proposed, *fault.middlewares])),)]


def _enabled(snapshot: Snapshot, fault: Unrouted) -> Sequence[Way]:
    """The label that enables it, or the only port that it listens to."""
    name, service = fault.container, service_of(snapshot, fault.container)
    if service and fault.step == "disabled":
        return [(Label(name, service, "traefik.enable", "true"),)]
    heard = {
        str(listener.port)
        for listener in snapshot.known(ContainerListener) or ()
        if listener.container == name and listener.protocol == "tcp" and not is_loopback(listener.address)
    }
    routers = fault.routers or ()
    if service and fault.step == "port" and len(heard) == 1 and len(routers) == 1:
        return _port_label(snapshot, name, f"{routers[0].partition('@')[0]}@docker", heard.pop())
    return []


def _lasting(snapshot: Snapshot, fault: Unrestarted) -> Sequence[Way]:
    """A restart policy."""
    service = service_of(snapshot, fault.container)
    return [(Restart(fault.container, service, "unless-stopped"),)] if service else []


def _private(snapshot: Snapshot, fault: OpenStorage) -> Sequence[Way]:
    """Rights of its owner alone. Traefik reads the storage only when it starts."""
    if not fault.host_path or not fault.container:
        return []
    return [(Mode(fault.host_path, fault.mode, "600", fault.container),)]


def _socket_mode(snapshot: Snapshot, fault: SocketMode) -> Sequence[Way]:
    """The rights of others taken from the socket."""
    return [(Mode(fault.listener, fault.mode, f"{int(fault.mode, 8) & 0o660:o}"),)]


def _socket_owner(snapshot: Snapshot, fault: SocketOwner) -> Sequence[Way]:
    """The socket given back to root and its group."""
    group = next((daemon.group for daemon in snapshot.known(DockerDaemon) or () if daemon.group), "docker")
    return [(Owner(fault.listener, f"{fault.owner}:{fault.group}", f"root:{group}"),)]


def _elsewhere(snapshot: Snapshot, fault: ClaimedPort) -> Sequence[Way]:
    """Of a file whose services do not run: other ports that nothing uses."""
    protocol, _, place = fault.port.partition("/")
    number = place.rpartition(":")[2]
    if fault.compose_file is UNSAID or not number.isdecimal():
        return []
    used = used_ports(snapshot.known(Listener), snapshot.known(Publication) or (), snapshot.known(Declaration))
    taken = int(number)
    addresses: dict[tuple[str, str, str, int], list[str]] = {}
    for port in snapshot.known(ComposePort) or ():
        claimed = (port.root, port.file, port.protocol, port.host_port, port.host_port_last)
        if claimed == (fault.root, fault.compose_file, protocol, taken, None) and port.service in fault.services:
            key = (port.root, port.files, port.service, port.container_port)
            addresses.setdefault(key, []).append(port.host_ip)
    acts = []
    for (root, files, service, target), own in addresses.items():
        free = free_port(taken, used)
        if free is None:
            return []
        used.add(free)
        # Both families mean that the file gives no address.
        wanted = (own[0] if len(own) == 1 else "", free)
        acts.append(Publish(None, service, Published(protocol, taken, target), wanted, disk=(root, files)))
    return [tuple(acts)]


def _named(snapshot: Snapshot, fault: GenericName) -> Sequence[Way]:
    """The name of its project in front."""
    known = container(snapshot, fault.container)
    if known is None or not known.compose_project or not known.compose_service:
        return []
    wanted = own_name(known.compose_project, known.name)
    taken = {other.name for other in snapshot.known(Container) or ()}
    if wanted in taken | {service.container_name for service in snapshot.known(ComposeService) or ()}:
        return []
    calling = [] if known.name == known.compose_service else callers(snapshot, known.name)
    if calling:
        verb = "l’appelle" if len(calling) == 1 else "l’appellent"
        instead = f"celui du service, {quoted(known.compose_service)}"
        raise ByHand(f"{listing(map(quoted, calling))} {verb} par ce nom : y écrire d’abord {instead}")
    return [(Name(known.name, known.compose_service, wanted, phase=RENAME),)]


def _apart(snapshot: Snapshot, fault: SharedNetwork | UnlockedDatabase) -> Sequence[Way]:
    """In a container: a network of its own, with those that refer to the database and nobody else.

    Those of other stacks join it first: between the steps, each still reaches the database by the network it leaves.
    """
    databases = snapshot.known(Database) or ()
    base = next((database for database in databases if database.database == fault.database), None)
    own = container(snapshot, base.container if base else None)
    shared = fault.networks or ()
    if own is None or not shared or own.name in {route.container for route in snapshot.known(RoutedContainer) or ()}:
        return []
    proxy = next((row.network_container for row in snapshot.known(Proxy) or ()), None)
    users = _users(snapshot, own.name)
    network = f"{own.compose_service or own.name}-net"
    known = {row.name for row in (*(snapshot.known(Network) or ()), *(snapshot.known(ComposeResource) or ()))}
    service = service_of(snapshot, own.name)
    if network in known or proxy in users or service is None:
        return []
    published = own.name in {publication.container for publication in snapshot.known(Publication) or ()}
    acts: list[Act] = [Create(network, internal=not published, phase=PREPARE)]
    for user in sorted(users):
        client, named = container(snapshot, user), service_of(snapshot, user)
        if client is None or named is None:
            return []
        same = client.compose_project and client.compose_project == own.compose_project
        acts.append(Join(user, named, network, phase=MOVE if same else PREPARE))
    acts.append(Join(own.name, service, network, phase=MOVE))
    acts += [Leave(own.name, service, name, phase=MOVE) for name in shared]
    return [tuple(acts)]


def _users(snapshot: Snapshot, name: str) -> set[str]:
    """The other containers that refer to one, or are connected to it."""
    strings, connections = snapshot.known(ConnectionString) or (), snapshot.known(Connection) or ()
    users: set[str | None] = {string.container for string in strings if name in (string.targets or ())}
    users |= {
        connection.source
        for connection in connections
        if connection.target == name and connection.source_kind == connection.target_kind == "container"
    }
    return {user for user in users if user and user != name}


MENDS: dict[type[Fault], Mend] = {
    ClaimedPort: _elsewhere,
    OpenDatabase: _loopback,
    OpenInterface: _loopback,
    BypassedProxy: _loopback,
    Detached: _joined,
    Unreached: _joined,
    Unchosen: _designated,
    SharedNetwork: _apart,
    UnlockedDatabase: _apart,
    Unrouted: _enabled,
    Unheard: _heard,
    Unshielded: _shielded,
    OpenApi: _api,
    Misspelt: _spelled,
    Unrestarted: _lasting,
    GenericName: _named,
    OpenStorage: _private,
    SocketMode: _socket_mode,
    SocketOwner: _socket_owner,
}
