"""Where each domain leads: domain → router → service → server → container, as Traefik's API holds it."""

import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pandas as pd

from auditlib.addresses import host_and_port, is_loopback, parsed
from auditlib.facts.legacy import Record, records
from auditlib.facts.snapshot import AbsentTable
from auditlib.facts.table import Row, flag, integer, several, table, text, view
from auditlib.facts.tables.traefik import LOADED
from auditlib.traefik.rules import Place, RuleError, Syntax, parse, places

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
    listeners: dict[int, str] | None

    def kind(self, host: str) -> str:
        """What a host of a server is: « machine », « Traefik » or « autre »."""
        if is_loopback(host):
            return self.loopback
        return "machine" if host in self.names else "autre"


@view(Route)
def routes(
    traefik_routers: pd.DataFrame | None = None,
    traefik_services: pd.DataFrame | None = None,
    traefik_servers: pd.DataFrame | None = None,
    predicted_routers: pd.DataFrame | None = None,
    predicted_services: pd.DataFrame | None = None,
    predicted_servers: pd.DataFrame | None = None,
    networks: pd.DataFrame | None = None,
    listeners: pd.DataFrame | None = None,
    proxy: pd.DataFrame | None = None,
) -> Iterator[Record]:
    """One row per domain, path, router and server: as the API tells them, else as Traefik must have loaded them."""
    if traefik_routers is None or traefik_services is None or traefik_servers is None:
        traefik_routers, traefik_services, traefik_servers = predicted_routers, predicted_services, predicted_servers
    if traefik_routers is None or traefik_services is None or traefik_servers is None:
        raise AbsentTable("traefik_routers", "ni l’API de Traefik ni sa configuration n’ont été lues")
    servers: dict[tuple[str, str], list[Record]] = {}
    for row in records(traefik_servers):
        servers.setdefault((row["protocol"], row["service"]), []).append(row)
    services = {(row["protocol"], row["service"]): row for row in records(traefik_services)}
    machine = machine_of(networks, listeners, proxy)
    for router in records(traefik_routers):
        targets = [
            target_of(server, machine)
            for service in leaves(router["service"], router["protocol"], services)
            for server in servers.get((router["protocol"], service), [])
        ] or [_serverless(router)]
        kept = ("protocol", "router", "rule", "priority", "entrypoints", "tls", "cert_resolver", "middlewares")
        told = {name: router[name] for name in (*kept, "service", "status", "errors")}
        for place in _places(router):
            yield from ({**told, "domain": place.domain, "path": place.path, **target} for target in targets)


def machine_of(networks: pd.DataFrame | None, listeners: pd.DataFrame | None, proxy: pd.DataFrame | None) -> Machine:
    """What tells that a server is this machine."""
    names = (
        {gateway for row in records(networks) for gateway in row["gateways"] or ()} if networks is not None else set()
    )
    loopback = "autre"
    if proxy is not None:
        traefik = records(proxy)[0]
        # A container's loopback is its own, unless it shares the machine's network.
        loopback = "Traefik" if traefik["container"] and traefik["network_mode"] != "host" else "machine"
    held = None
    if listeners is not None:
        tcp = [row for row in records(listeners) if row["protocol"] == "tcp"]
        held = {row["port"]: row["container"] or row["unit"] or row["process"] or "inconnu" for row in tcp}
    return Machine(frozenset(names | _HOST_NAMES), loopback, held)


def leaves(service: str | None, protocol: str, services: dict[tuple[str, str], Record]) -> Iterator[str]:
    """The services that hold servers under this one: itself, or the members of a weighted, mirrored or failover one."""
    waiting, seen = [service], set()
    while waiting:
        name = waiting.pop(0)
        known = services.get((protocol, name or ""))
        # A loop between services is Traefik's to report.
        if known is None or name in seen:
            continue
        seen.add(name)
        if not known["children"]:
            yield known["service"]
        waiting += known["children"] or ()


def _serverless(router: Record) -> Record:
    internal = str(router["service"] or "").endswith("@internal")
    return {"server": None, "target": "Traefik" if internal else None, "kind": "Traefik" if internal else "aucune"}


def _places(router: Record) -> list[Place]:
    """Where the router answers; one unnamed place when its rule names none, or cannot be read."""
    syntax: Syntax = "v2" if router["rule_syntax"] == "v2" else "v3"
    try:
        return places(parse(router["rule"] or "", "tcp" if router["protocol"] == "tcp" else syntax))
    except RuleError:
        return [Place(None, None)]


def target_of(server: Record, machine: Machine) -> Record:
    """Who is behind a server: `target` and its `kind`, container, network and port."""
    url = server["url"]
    host, port = host_and_port(url)
    row = {"server": url, "container": server["container"], "network": server["network"], "port": port}
    if server["container"]:
        return {**row, "target": server["container"], "kind": "conteneur"}
    kind = machine.kind(host)
    if kind != "machine":
        return {**row, "target": host, "kind": kind}
    # Unknown: nothing listens there, or what listens was not read.
    return {**row, "target": machine.listeners.get(port or 0) if machine.listeners else None, "kind": kind}


def network_of_address(host: str, networks: Iterable[Record]) -> str | None:
    """The Docker network whose addresses hold a host, if it is an address of one.

    Of the drivers other than bridge, other machines hold addresses too.
    """
    address = parsed(host)
    if address is None:
        return None
    bridges = [row for row in networks if row["driver"] == "bridge"]
    held = ((subnet, row["name"]) for row in bridges for subnet in row["subnets"] or ())
    return next((name for subnet, name in held if address in ipaddress.ip_network(subnet, strict=False)), None)
