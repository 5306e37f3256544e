"""PORT: what the ports of the machine open to the network."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

from auditlib.addresses import host_and_port, is_loopback
from auditlib.checks.publications import again, binding, open_ports, written
from auditlib.facts.snapshot import AbsentTable
from auditlib.facts.table import Rows
from auditlib.facts.tables.docker import Container, ContainerListener, Publication
from auditlib.facts.tables.host import Listener
from auditlib.facts.tables.traefik import StaticOption, TraefikMiddleware
from auditlib.findings.check import UNSAID, Command, Fault, Fix, check, fact, word
from auditlib.findings.commands import container_words
from auditlib.french import listing, quoted
from auditlib.software import database, interface
from auditlib.traefik.decoding import TRUE
from auditlib.traefik.protection import expanded, protection
from auditlib.views.declarations import Declaration
from auditlib.views.entrypoints import Entrypoint
from auditlib.views.ports import EVERYWHERE, Claim, exposure
from auditlib.views.predicted import PredictedRouter, PredictedServer
from auditlib.views.proxy import Proxy, traefiks
from auditlib.views.routes import Route


class OpenDatabase(Fault):
    """A database's own port, published on every address."""

    container: str
    port: str
    kind: str
    image: str | None
    container_port: int
    host_port: int
    binding: str = word()


@check(
    "PORT-004",
    "critical",
    "Aucun port de base de données n’est publié sur toutes les interfaces",
    key=("container", "port"),
    message="{kind} (conteneur « {container} ») est publié sur toutes les interfaces, port {host_port} : la base est "
    "joignable de tout le réseau, et d’Internet sans pare-feu.",
    fix=Fix(
        "Ne pas publier le port : les conteneurs joignent la base par leur réseau Docker. S’il faut y accéder depuis "
        "la machine, le publier sur 127.0.0.1 (« {binding} » sous « ports: »), puis recréer le service.",
        ("{compose} up -d {service}",),
        ("docker port {container}", "ss -Hlnt sport = :{host_port}"),
    ),
)
def databases_private(publications: Rows[Publication], containers: Rows[Container]) -> Iterator[OpenDatabase]:
    """Publications in force of a database's own port on every address of a family."""
    known = containers.by(Container.name)
    for publication, place in open_ports(publications):
        image = known[publication.container].image
        if kind := database(image, publication.container_port):
            yield OpenDatabase(
                container=publication.container,
                port=place.name,
                kind=kind,
                image=image,
                container_port=publication.container_port,
                host_port=place.first,
                binding=f"127.0.0.1:{place.first}:{publication.container_port}",
            )


_NOUNS = {"container": "conteneur", "unit": "unité", "listener": "processus"}


class OpenInterface(Fault):
    """An internal interface on every address, published by a container or heard on the machine's own network."""

    container: str = fact(default=UNSAID)
    port: str
    host_port: int
    container_port: int = fact(default=UNSAID)
    image: str | None = fact(default=UNSAID)
    process: str | None = fact(default=UNSAID)
    interface: str
    of: str = word()
    holder: str = word()
    protection: str = word()
    mend: str = word()
    compose: Command | None = word()
    service: str | None = word()


@check(
    "PORT-005",
    "medium",
    "Aucune interface interne n’est ouverte sur toutes les interfaces",
    key=("container", "port"),
    message="L’interface {of} ({holder}) est ouverte à tout le réseau par le port {host_port} de la machine, "
    "{protection}.",
    fix=Fix(
        "{mend}",
        ("{compose} up -d {service}",),
        ("docker port {container}", "ss -Hlntup sport = :{host_port}"),
    ),
)
def interfaces_private(
    publications: Rows[Publication],
    containers: Rows[Container],
    listeners: Rows[Listener] | None = None,
    traefik_static: Rows[StaticOption] | None = None,
    declarations: Rows[Declaration] | None = None,
    entrypoints: Rows[Entrypoint] | None = None,
    traefik_middlewares: Rows[TraefikMiddleware] | None = None,
    container_listeners: Rows[ContainerListener] | None = None,
) -> Iterator[OpenInterface]:
    """Interfaces of the list of `software.interface` on every address, and Traefik's metrics and ping.

    They are published, or listened to by a process or a container that is on the machine's own network. Traefik's
    API and Docker's own socket have their own checks.
    """
    known = containers.by(Container.name)
    entrances = _entrances(traefik_static or (), _screened(entrypoints or (), traefik_middlewares or ()))
    for row, place in open_ports(publications):
        container = known[row.container]
        title = entrances.get((row.container, row.container_port))
        if served := (title, False) if title else interface(container.image, row.container_port):
            local = f"127.0.0.1:{place.first}:{row.container_port}"
            mend = (
                "Ne pas publier ce port : ce qui le lit le joint par un réseau Docker. S’il faut y accéder depuis la "
                f"machine, le publier sur 127.0.0.1 ({binding(container, local)})"
                f"{written(declarations or (), container, row)}, puis recréer {again(container)}."
            )
            yield replace(
                _opened(place, *served, f"conteneur {quoted(row.container)}", mend, container),
                container=row.container,
                container_port=row.container_port,
                image=container.image,
            )
    yield from _listened(listeners or (), known, entrances)
    if listeners is None:
        raise AbsentTable("listeners", "les écoutes de la machine n’ont pas été lues")
    if traefik_static is None and traefiks(containers, container_listeners):
        raise AbsentTable("traefik_static", "la configuration statique de Traefik n’a pas été lue")


def _opened(
    place: Claim, kind: str, authenticates: bool, holder: str, mend: str, container: Container | None
) -> OpenInterface:
    words = container_words(container, Rows())
    return OpenInterface(
        port=place.name,
        host_port=place.first,
        interface=kind,
        severity="info" if authenticates else None,
        of=kind if kind.startswith("de ") else f"d’{kind}" if kind[0].lower() in "aeiou" else f"de {kind}",
        holder=holder,
        protection="et n’a que son mot de passe pour la protéger" if authenticates else "sans mot de passe",
        mend=mend,
        compose=words.compose,
        service=words.service,
    )


def _listened(
    listeners: Iterable[Listener], containers: Mapping[str, Container], entrances: Mapping[tuple[str, int], str]
) -> Iterator[OpenInterface]:
    """Interfaces that are heard on the machine's own network, without a publication."""
    faults: dict[tuple[str, int], OpenInterface] = {}
    for row in listeners:
        container = containers.get(row.container or "")
        name = row.container or row.unit or row.process
        if not name or not _is_heard(row, container):
            continue
        title = entrances.get((name, row.port)) if container else None
        program = container.image if container else name.removesuffix(".service")
        if served := (title, False) if title else interface(program, row.port):
            kind = "container" if container else "unit" if row.unit else "listener"
            place = Claim(row.protocol, row.address, row.port, row.port)
            mend = (
                "Le faire écouter sur 127.0.0.1, ou sur l’adresse du réseau Docker de ce qui le lit, puis le "
                "redémarrer."
            )
            holder = f"{_NOUNS[kind]} {quoted(name)}"
            opened = _opened(place, *served, holder, mend, container)
            subjects = ((kind, name), ("port", place.name))
            faults.setdefault((name, row.port), replace(opened, process=row.process, subjects=subjects))
    yield from faults.values()


def _is_heard(listener: Listener, container: Container | None) -> bool:
    """Whether a TCP socket is open on every address of the machine's own network, without a publication."""
    inside = listener.container and (container is None or container.network_mode != "host")
    return not inside and listener.protocol == "tcp" and exposure([listener.address]) == EVERYWHERE


def _screened(entrypoints: Iterable[Entrypoint], middlewares: Iterable[TraefikMiddleware]) -> set[str]:
    """The entry points whose middlewares let only some pass, or may: Traefik's API did not tell what each one is."""
    http = {row.middleware: row for row in middlewares if row.protocol == "http"}
    chains = {name: row.chain for name, row in http.items()}

    def screens(name: str) -> bool:
        return name not in http or protection(name, http[name].type) in ("authentication", "filter", "unknown")

    return {row.entrypoint.lower() for row in entrypoints if any(map(screens, expanded(row.middlewares or (), chains)))}


def _entrances(options: Iterable[StaticOption], screened: Collection[str]) -> dict[tuple[str, int], str]:
    """What Traefik serves to anybody of its metrics and its ping, by its container and the port of their entry point.

    Both are on the entry point « traefik » unless `entryPoint` says otherwise, and on none with `manualRouting`
    (`pkg/provider/traefik/internal.go`). The middlewares of an entry point apply to them.
    """
    effective = [row for row in options if row.effective]
    values = {row.key: row.value or "" for row in effective}
    container = next((row.container for row in effective if row.container), None)
    titles: dict[tuple[str, int], list[str]] = {}
    for option, title in (("metrics.prometheus", "de métriques"), ("ping", "de ping")):
        port = _entrance(option, values, screened)
        if container and port is not None:
            titles.setdefault((container, port), []).append(title)
    return {place: f"{listing(several)} de Traefik" for place, several in titles.items()}


def _entrance(option: str, values: Mapping[str, str], screened: Collection[str]) -> int | None:
    """The port where an option, if it is on, has Traefik answer anybody of another machine."""
    on = any(re.match(rf"{option}(\.|$)", key) for key in values) and values.get(option, "true") in TRUE
    entrypoint = (values.get(f"{option}.entrypoint") or "traefik").lower()
    if not on or entrypoint in screened or values.get(f"{option}.manualrouting") in TRUE:
        return None
    default = ":8080" if entrypoint == "traefik" else ""
    address, port = host_and_port(values.get(f"entrypoints.{entrypoint}.address") or default)
    return None if is_loopback(address) else port


class BypassedProxy(Fault):
    """A port that Traefik routes to, and that is open to all besides."""

    container: str
    port: str
    host_port: int
    container_port: int
    routers: tuple[str, ...] = fact("Routeurs")
    middlewares: tuple[str, ...]
    bypassed: str = word()
    mend: str = word()
    again: str = word()


@check(
    "PORT-006",
    "medium",
    "Aucun conteneur routé n’est joignable sans passer par Traefik",
    key=("container", "port"),
    message="Le conteneur « {container} » reçoit les requêtes de Traefik sur son port {container_port}, et publie ce "
    "port sur toutes les interfaces, port {host_port} de la machine : ce chemin contourne {bypassed}.",
    fix=Fix(
        "{mend} Puis recréer {again}.",
        ("{compose} up -d {service}",),
        ("docker port {container}", "ss -Hlntup sport = :{host_port}"),
    ),
)
def proxy_not_bypassed(
    publications: Rows[Publication],
    containers: Rows[Container],
    routes: Rows[Route] | None = None,
    predicted_servers: Rows[PredictedServer] | None = None,
    predicted_routers: Rows[PredictedRouter] | None = None,
    declarations: Rows[Declaration] | None = None,
    proxy: Rows[Proxy] | None = None,
) -> Iterator[BypassedProxy]:
    """Publications on every address of the very port that a route of Traefik leads to.

    Without Traefik's API, the routes are those that it must have made. Traefik's own ports are its entry points, even
    where it routes to itself. A Traefik that calls the publication itself needs it, on one address.
    """
    if routes is not None:
        ways = _by_end(_ways(routes))
    elif predicted_servers is not None and predicted_routers is not None:
        ways = _by_end(_predicted(predicted_servers, predicted_routers))
    else:
        raise AbsentTable("traefik_routers", "les routes de Traefik n’ont pas été lues")
    known = containers.by(Container.name)
    traefik = {row.network_container or row.container for row in proxy or ()}
    for row, place in open_ports(publications):
        inside = ways.get(End(row.container, row.container_port, machine=False), [])
        leading = inside or ways.get(End(row.container, place.first, machine=True), [])
        if leading and row.container not in traefik:
            container = known[row.container]
            where = written(declarations or (), container, row)
            middlewares = tuple(sorted({name for way in leading for name in way.middlewares}))
            bypassed = listing(map(quoted, middlewares)) or "Traefik, son TLS et son journal"
            yield BypassedProxy(
                container=row.container,
                port=place.name,
                host_port=place.first,
                container_port=row.container_port,
                routers=tuple(sorted({way.router for way in leading})),
                middlewares=middlewares,
                bypassed=bypassed,
                mend=_private(container, row, where, None if inside else leading[0].server),
                again=again(container),
            )


class End(NamedTuple):
    """Where a route of Traefik leads: a port of a container, or of the machine, which a container's publication is."""

    container: str
    port: int
    machine: bool


class Way(NamedTuple):
    """A route of Traefik: its router, the server that it calls, and where this leads."""

    router: str
    middlewares: tuple[str, ...]
    server: str
    end: End


def _by_end(ways: Iterable[Way]) -> Mapping[End, list[Way]]:
    groups: dict[End, list[Way]] = {}
    for way in ways:
        groups.setdefault(way.end, []).append(way)
    return groups


def _ways(routes: Rows[Route]) -> Iterator[Way]:
    """The routes that lead to a port that is known."""
    for route in routes:
        machine = route.kind == "machine"
        holder = route.target if machine else route.container
        if holder and route.port is not None and route.protocol != "udp":
            end = End(holder, route.port, machine)
            yield Way(route.router, route.middlewares or (), route.server or "", end)


def _predicted(servers: Rows[PredictedServer], routers: Rows[PredictedRouter]) -> Iterator[Way]:
    """The routes of a prediction, as far as one router leads straight to one server."""
    for server in servers:
        port = host_and_port(server.url)[1]
        for router in routers:
            same = (router.service, router.protocol) == (server.service, server.protocol)
            if same and server.container and port is not None and router.protocol != "udp":
                end = End(server.container, port, machine=False)
                yield Way(router.router, router.middlewares or (), server.url, end)


def _private(container: Container, publication: Publication, where: str, server: str | None) -> str:
    """How to publish no more than Traefik needs: nothing, or at the address by which the publication is its server.

    `where` is where the publication is written, as the end of a clause.
    """
    ports = f"{publication.host_port}:{publication.container_port}"
    if server is None:
        return (
            f"Retirer cette publication{where} : Traefik joint le conteneur par leur réseau Docker. S’il faut y "
            f"accéder depuis la machine, publier sur 127.0.0.1 ({binding(container, f'127.0.0.1:{ports}')})."
        )
    called = host_and_port(server)[0]
    address = "127.0.0.1" if called == "localhost" else f"[{called}]" if ":" in called else called
    example = f" ({binding(container, f'{address}:{ports}')})" if re.fullmatch(r"[\d.]+|\[.*\]", address) else ""
    return f"Ne publier ce port{where} que sur l’adresse que Traefik appelle, {called}{example}."
