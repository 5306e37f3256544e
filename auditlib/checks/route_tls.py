"""ROUTE: routers that no client can use: without TLS where clients speak it, or by a name that no client says."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from auditlib.addresses import host_and_port
from auditlib.checks.routes import published
from auditlib.facts.snapshot import AbsentTable
from auditlib.facts.table import Rows
from auditlib.facts.tables.docker import Container, Publication
from auditlib.facts.tables.traefik import Traefik, TraefikRouter, TraefikServer, TraefikService
from auditlib.findings.check import Fault, Fix, NotApplicable, check, fact, word
from auditlib.findings.commands import Declared, RouterOption, api_object
from auditlib.french import listing, quoted
from auditlib.software import first_speaker
from auditlib.traefik.rules import RuleError, domains, parse
from auditlib.views.entrypoints import Entrypoint
from auditlib.views.predicted import PredictedRouter, PredictedServer, PredictedService
from auditlib.views.proxy import Proxy
from auditlib.views.routes import leaves

HTTPS = 443


class WithoutTls(Fault):
    """A router without TLS on an entry point where clients speak TLS."""

    router: str
    entrypoint: str
    rule: str | None
    siblings: tuple[str, ...] = fact("Routeurs qui y ont TLS")
    why: str = word()
    where: str = word()
    container: str | None = word()
    api: str | None = word()


@check(
    "ROUTE-022",
    "high",
    "Chaque routeur d’un point d’entrée HTTPS a TLS",
    key=("router", "entrypoint"),
    message="Le routeur « {router} » n’a pas TLS sur le point d’entrée « {entrypoint} », {why} : en HTTPS, Traefik "
    "répond 404 à sa place.",
    fix=Fix(
        "Ajouter {where}, ou donner TLS à tout le point d’entrée par son option « http.tls ».",
        ("{compose} up -d {service}",),
        ("curl -sS {api}",),
    ),
)
def routers_have_tls(
    entrypoints: Rows[Entrypoint],
    proxy: Rows[Proxy],
    publications: Rows[Publication],
    traefik_routers: Rows[TraefikRouter] | None = None,
    predicted_routers: Rows[PredictedRouter] | None = None,
    containers: Rows[Container] | None = None,
    traefik: Rows[Traefik] | None = None,
) -> Iterator[WithoutTls]:
    """HTTP routers without TLS on entry points of HTTPS, unless a clear entry point that does not redirect serves them.

    Traefik gives a TLS connection to the routers that have TLS only (`pkg/server/router/tcp/manager.go`).
    """
    served = [router for router in _known(traefik_routers, predicted_routers, "http") if router.provider != "internal"]
    https = _https(entrypoints, proxy, publications, served)
    if not https and not any(point.tls for point in entrypoints):
        raise NotApplicable("Aucun point d’entrée n’est celui de HTTPS.")
    redirecting = {point.entrypoint for point in entrypoints if point.redirect_to or point.tls}
    with_tls = {(router.rule, name): router for router in served if router.tls for name in router.entrypoints or ()}
    declared = Declared.of(predicted_routers, containers)
    for router in served:
        own = router.entrypoints or ()
        for entrypoint in own if not router.tls and {*own} <= https.keys() | redirecting else ():
            if entrypoint in redirecting or (router.rule, entrypoint) in with_tls:
                continue
            siblings = tuple(sorted(one.router for (_, name), one in with_tls.items() if name == entrypoint))
            option = _tls(router, declared)
            yield WithoutTls(
                router=router.router,
                entrypoint=entrypoint,
                rule=router.rule,
                siblings=siblings,
                why=https[entrypoint],
                where=option.where,
                container=option.container,
                api=api_object(traefik, "http", "router", router.router),
                confidence="probable" if traefik_routers is None else "certain",
            )


def _known(
    live: Rows[TraefikRouter] | None, predicted: Rows[PredictedRouter] | None, protocol: str
) -> Sequence[TraefikRouter | PredictedRouter]:
    """The routers of a protocol that Traefik serves, else those that it must serve."""
    routers = predicted if live is None else live
    if routers is None:
        raise AbsentTable(
            "traefik_routers", "ni l’API de Traefik ni ce que déclarent étiquettes et fichiers ne sont connus"
        )
    return [router for router in routers if router.protocol == protocol and router.status != "disabled"]


def _https(
    entrypoints: Iterable[Entrypoint],
    proxy: Rows[Proxy],
    publications: Rows[Publication],
    routers: Iterable[TraefikRouter | PredictedRouter],
) -> Mapping[str, str]:
    """The entry points without TLS of their own on which clients speak TLS all the same, and what shows it."""
    secured: dict[str, list[str]] = {}
    for router in routers:
        for name in router.entrypoints or () if router.tls else ():
            secured.setdefault(name, []).append(router.router)
    redirected = {point.redirect_to: point.entrypoint for point in entrypoints if point.redirect_to}
    shown = {}
    for point in entrypoints:
        if point.tls or point.protocol != "tcp":
            continue
        if HTTPS in _ports(point, proxy[0], publications):
            shown[point.entrypoint] = f"joint par le port {HTTPS}"
        elif point.entrypoint in redirected:
            shown[point.entrypoint] = f"où « {redirected[point.entrypoint]} » redirige en HTTPS"
        elif names := secured.get(point.entrypoint):
            shown[point.entrypoint] = f"où {listing(map(quoted, sorted(names)[:3]))} {_HAVE[len(names) > 1]} TLS"
    return shown


_HAVE = ("a", "ont")


def _ports(point: Entrypoint, traefik: Proxy, publications: Rows[Publication]) -> set[int | None]:
    """The ports of the machine that lead to an entry point: its own where Traefik is on the machine's network."""
    if not traefik.apart or point.port is None:
        return {point.port}
    return {held.first for held in published(point.port, traefik, publications)}


def _tls(router: TraefikRouter, declared: Declared) -> RouterOption:
    """The option that gives TLS to a router: a flag in a label, an empty section in a file."""
    return declared.option("http", router.router, "tls", "true" if router.provider == "docker" else "{}")


class ServerFirst(Fault):
    """A TCP router that waits for a name in front of a server whose clients wait for its greeting."""

    router: str
    rule: str | None
    server: str
    protocol: str = fact("Protocole du serveur")
    port: int | None
    container: str | None
    holder: str = word()
    where: str = word()


@check(
    "ROUTE-024",
    "high",
    "Aucun routeur TCP n’attend un nom devant un serveur qui parle le premier",
    key=("router",),
    message="Le routeur TCP « {router} » attend un nom TLS ({rule}) devant {holder}, un serveur {protocol} : ce "
    "protocole fait parler le serveur le premier, le client ne dit aucun nom, et la connexion reste muette.",
    fix=Fix(
        "Donner à ce serveur un point d’entrée à lui, et écrire {where} sans TLS ; ou publier son port, sans Traefik.",
        ("{compose} up -d {service}",),
    ),
)
def names_are_said(
    containers: Rows[Container],
    traefik_routers: Rows[TraefikRouter] | None = None,
    traefik_services: Rows[TraefikService] | None = None,
    traefik_servers: Rows[TraefikServer] | None = None,
    predicted_routers: Rows[PredictedRouter] | None = None,
    predicted_services: Rows[PredictedService] | None = None,
    predicted_servers: Rows[PredictedServer] | None = None,
) -> Iterator[ServerFirst]:
    """TCP routers with TLS and a server name, to a server of a protocol in which the server speaks first.

    PostgreSQL is none: Traefik answers the request for TLS of its clients (`pkg/server/router/tcp/postgres.go`).
    """
    routers = _known(traefik_routers, predicted_routers, "tcp")
    if not routers:
        raise NotApplicable("Aucun routeur TCP.")
    services = traefik_services if traefik_routers is not None else predicted_services
    servers = traefik_servers if traefik_routers is not None else predicted_servers
    if services is None or servers is None:
        raise AbsentTable("traefik_services", "les services de Traefik ne sont pas connus")
    images = {container.name: container.image for container in containers}
    named = {(service.protocol, service.service): service for service in services}
    declared = Declared.of(predicted_routers, containers)
    for router in routers:
        names = {*leaves(router.service, "tcp", named)} if router.tls and _names(router.rule) else set()
        for server in servers:
            port = host_and_port(server.url)[1]
            protocol = first_speaker(images.get(server.container or ""), port)
            if server.protocol == "tcp" and server.service in names and protocol:
                yield ServerFirst(
                    router=router.router,
                    rule=router.rule,
                    server=server.url,
                    protocol=protocol,
                    port=port,
                    container=server.container,
                    holder=quoted(server.container or server.url),
                    where=declared.option("tcp", router.router, "rule", "HostSNI(`*`)").where,
                    confidence="certain" if server.container and images.get(server.container) else "probable",
                )
                break


def _names(rule: str | None) -> list[str]:
    """The server names that a rule waits for, but for the one that stands for any."""
    try:
        return [name for name in domains(parse(rule or "", "tcp")) if name != "*"]
    except RuleError:
        return []
