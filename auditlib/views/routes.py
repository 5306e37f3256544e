"""Where each domain leads: domain → router → service → server → container, as Traefik's API holds it."""

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from auditlib.addresses import host_and_port, is_loopback, parsed
from auditlib.facts.snapshot import AbsentTable
from auditlib.facts.table import Row, Rows, flag, integer, several, table, text, view
from auditlib.facts.tables.docker import Network
from auditlib.facts.tables.host import Listener
from auditlib.facts.tables.traefik import LOADED, TraefikRouter, TraefikServer, TraefikService
from auditlib.traefik.rules import Place, RuleError, Syntax, parse, places
from auditlib.views.predicted import PredictedRouter, PredictedServer, PredictedService, Server
from auditlib.views.proxy import Proxy

# Names by which a container reaches the machine it runs on.
_HOST_NAMES = {"host.docker.internal", "host.containers.internal", "gateway.docker.internal"}


@table(
    "routes",
    "Routes",
    "Le chemin de chaque domaine, du routeur au serveur.",
    key=("domain", "path", "protocol", "router", "server"),
)
class Route(Row):
    """The way of a domain and path: router, service, one server."""

    domain: str | None = text("Domaine", "~ précède une expression régulière.", missing="tout domaine")
    path: str | None = text("Chemin", missing="/")
    protocol: str = text("Protocole")
    router: str = text("Routeur")
    rule: str | None = text("Règle")
    priority: int | None = integer("Priorité")
    entrypoints: tuple[str, ...] | None = several("Points d’entrée")
    tls: bool | None = flag("TLS")
    cert_resolver: str | None = text("Résolveur ACME")
    middlewares: tuple[str, ...] | None = several("Middlewares")
    service: str | None = text("Service")
    server: str | None = text("Serveur", missing="aucun")
    target: str | None = text("Cible", "Le conteneur, l’unité ou le processus qui reçoit la requête.")
    kind: str | None = text("Nature", "conteneur, machine, Traefik, autre ou aucune.")
    container: str | None = text("Conteneur")
    network: str | None = text("Réseau")
    port: int | None = integer("Port")
    status: str | None = text("État", "L’état du routeur.", words=LOADED)
    errors: tuple[str, ...] | None = several("Erreurs")


@dataclass(frozen=True)
class Machine:
    """What tells that a server is this machine, and what listens there. None: not known."""

    names: frozenset[str]
    loopback: str  # what a loopback address of a server means: « machine », « Traefik » or « autre »
    listeners: Mapping[int, str] | None

    def kind(self, host: str) -> str:
        """What a host of a server is: « machine », « Traefik » or « autre »."""
        if is_loopback(host):
            return self.loopback
        return "machine" if host in self.names else "autre"


class Target(NamedTuple):
    """Who is behind a server: a container, what listens on the machine, or a host; None: nothing, or it is not known.

    `kind` is conteneur, machine, Traefik, autre, or aucune without a server; `port` the one that is called.
    """

    name: str | None
    kind: str
    port: int | None = None


@view(Route)
def routes(
    traefik_routers: Rows[TraefikRouter] | None = None,
    traefik_services: Rows[TraefikService] | None = None,
    traefik_servers: Rows[TraefikServer] | None = None,
    predicted_routers: Rows[PredictedRouter] | None = None,
    predicted_services: Rows[PredictedService] | None = None,
    predicted_servers: Rows[PredictedServer] | None = None,
    networks: Rows[Network] | None = None,
    listeners: Rows[Listener] | None = None,
    proxy: Rows[Proxy] | None = None,
) -> Iterator[Route]:
    """One row per domain, path, router and server: as the API tells them, else as Traefik must have loaded them."""
    live = None not in (traefik_routers, traefik_services, traefik_servers)
    routers = traefik_routers if live else predicted_routers
    services = traefik_services if live else predicted_services
    servers: Rows[Server] | None = traefik_servers if live else predicted_servers
    if routers is None or services is None or servers is None:
        raise AbsentTable("traefik_routers", "ni l’API de Traefik ni sa configuration n’ont été lues")
    served: dict[tuple[str, str], list[Server]] = {}
    for server in servers:
        served.setdefault((server.protocol, server.service), []).append(server)
    by_name = {(service.protocol, service.service): service for service in services}
    machine = machine_of(networks, listeners, proxy)
    for router in routers:
        below = leaves(router.service, router.protocol, by_name)
        reached = [server for leaf in below for server in served.get((router.protocol, leaf), ())]
        targets = [(server, target_of(server, machine)) for server in reached]
        for place in places_of(router):
            if not targets:
                yield _route(place, router, None, _without_server(router))
            for server, target in targets:
                yield _route(place, router, server, target)


def _route(place: Place, router: TraefikRouter, server: Server | None, target: Target) -> Route:
    return Route(
        domain=place.domain,
        path=place.path,
        protocol=router.protocol,
        router=router.router,
        rule=router.rule,
        priority=router.priority,
        entrypoints=router.entrypoints,
        tls=router.tls,
        cert_resolver=router.cert_resolver,
        middlewares=router.middlewares,
        service=router.service,
        server=server.url if server else None,
        target=target.name,
        kind=target.kind,
        container=server.container if server else None,
        network=server.network if server else None,
        port=target.port,
        status=router.status,
        errors=router.errors,
    )


def machine_of(
    networks: Iterable[Network] | None, listeners: Iterable[Listener] | None, proxy: Iterable[Proxy] | None
) -> Machine:
    """What tells that a server is this machine."""
    gateways = {gateway for network in networks or () for gateway in network.gateways or ()}
    loopback = "autre"
    for traefik in proxy or ():
        loopback = "Traefik" if traefik.apart else "machine"
    holders = None
    if listeners is not None:
        tcp = (listener for listener in listeners if listener.protocol == "tcp")
        holders = {socket.port: socket.container or socket.unit or socket.process or "inconnu" for socket in tcp}
    return Machine(frozenset(gateways | _HOST_NAMES), loopback, holders)


def leaves(service: str | None, protocol: str, services: Mapping[tuple[str, str], TraefikService]) -> Iterator[str]:
    """The services that hold servers under this one: itself, or the members of a weighted, mirrored or failover one."""
    waiting, seen = [service], set()
    while waiting:
        name = waiting.pop(0)
        found = services.get((protocol, name or ""))
        # A loop between services is Traefik's to report.
        if found is None or name in seen:
            continue
        seen.add(name)
        if not found.children:
            yield found.service
        waiting += found.children or ()


def _without_server(router: TraefikRouter) -> Target:
    internal = (router.service or "").endswith("@internal")
    return Target("Traefik", "Traefik") if internal else Target(None, "aucune")


def syntax_of(protocol: str, rule_syntax: str | None) -> Syntax:
    """The syntax of a router's rule."""
    return "tcp" if protocol == "tcp" else "v2" if rule_syntax == "v2" else "v3"


def places_of(router: TraefikRouter) -> list[Place]:
    """Where the router answers; one unnamed place when its rule names none, or cannot be read."""
    try:
        return places(parse(router.rule or "", syntax_of(router.protocol, router.rule_syntax)))
    except RuleError:
        return [Place(None, None)]


def target_of(server: Server, machine: Machine) -> Target:
    """Who is behind a server."""
    host, port = host_and_port(server.url)
    if server.container:
        return Target(server.container, "conteneur", port)
    kind = machine.kind(host)
    if kind != "machine":
        return Target(host, kind, port)
    # Unknown: nothing listens there, or what listens was not read.
    return Target(machine.listeners.get(port or 0) if machine.listeners else None, kind, port)


def network_of_address(host: str, networks: Iterable[Network]) -> str | None:
    """The Docker network whose addresses hold a host, if it is an address of one.

    Of the drivers other than bridge, other machines hold addresses too.
    """
    address = parsed(host)
    if address is None:
        return None
    bridges = [network for network in networks if network.driver == "bridge"]
    subnets = ((subnet, network.name) for network in bridges for subnet in network.subnets or ())
    return next((name for subnet, name in subnets if address in ipaddress.ip_network(subnet, strict=False)), None)
