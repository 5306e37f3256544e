"""ROUTE: what Traefik loaded, and what it leaves open."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from auditlib.addresses import EVERY_ADDRESS, host_and_port, is_loopback, joined, reachable
from auditlib.facts.snapshot import AbsentTable
from auditlib.facts.table import Rows
from auditlib.facts.tables.docker import Publication
from auditlib.facts.tables.traefik import (
    StaticOption,
    Traefik,
    TraefikEntrypoint,
    TraefikMiddleware,
    TraefikRouter,
    TraefikService,
)
from auditlib.findings.about import port_number
from auditlib.findings.check import UNSAID, About, Fault, Fix, check, fact, word
from auditlib.findings.commands import api_object
from auditlib.french import listing, quoted
from auditlib.traefik.decoding import TRUE
from auditlib.traefik.protection import expanded, protection
from auditlib.views.ports import Claim, claim
from auditlib.views.predicted import PredictedMiddleware, PredictedRouter
from auditlib.views.proxy import Proxy

# Of the API, or as Traefik must have loaded them.
AnyRouter = TraefikRouter | PredictedRouter
AnyMiddleware = TraefikMiddleware | PredictedMiddleware

# What Traefik's own messages mean, and what to do: the first that matches (traefik.md, section 3.3).
_REMEDIES = tuple(
    (re.compile(pattern), remedy)
    for pattern, remedy in (
        (
            r'middleware "([^"@]+)@docker" does not exist',
            "nommer le fournisseur qui déclare le middleware, par exemple « {0}@file », ou le déclarer par étiquettes",
        ),
        (r'middleware "([^"]+)" does not exist', "déclarer le middleware « {0} », ou corriger son nom"),
        (r'service "([^"]+)" does not exist', "déclarer le service « {0} », ou corriger son nom et son fournisseur"),
        (r"entryPoint|entry point", "nommer un point d’entrée qui existe (les majuscules comptent)"),
        (r"parsing rule|adding rule|invalid rule", "corriger la règle selon la syntaxe de cette version de Traefik"),
        (r"unknown TLS options", "déclarer ces options TLS, ou retirer la référence"),
        (r"priority", "donner une priorité plus petite"),
        (r"parsing server URL", "corriger l’adresse du serveur, ou l’étiquette de son port"),
    )
)
# What else those messages tell: what is missing, and that a rule is at fault.
_MISSING = re.compile(r"\b(middleware|service) \"([^\"]+)\" does not exist")
_NO_ENTRYPOINT = re.compile(r"entryPoint \"([^\"]+)\" doesn't exist", re.IGNORECASE)
_BAD_RULE = re.compile(r"(?:parsing|adding|invalid) rule")
# The services of Traefik's own that show its configuration.
API_SERVICES = ("api@internal", "dashboard@internal")


def reads_docker(options: Mapping[str, str]) -> bool:
    """Whether static options enable the Docker provider."""
    return any(key == "providers.docker" or key.startswith("providers.docker.") for key in options)


class Refused(Fault):
    """A router, service or middleware that Traefik does not serve, or not as it was asked."""

    router: str = fact(default=UNSAID)
    service: str = fact(default=UNSAID)
    middleware: str = fact(default=UNSAID)
    protocol: str
    status: str | None
    errors: tuple[str, ...]
    noun: str = word()
    name: str = word()
    effect: str = word()
    remedy: str = word()
    url: str | None = word()
    parts: tuple[str, ...] = word()  # itself, or the middlewares and the service of a router

    @property
    def about(self) -> About:
        """Its parts, and what Traefik's messages miss or call wrong."""
        missing = [found for error in self.errors for found in _MISSING.findall(error)]
        entrypoints = [name for error in self.errors for name in _NO_ENTRYPOINT.findall(error)]
        providers = {name.rpartition("@")[2] for _, name in missing}
        bad_rule = self.router is not UNSAID and any(map(_BAD_RULE.search, self.errors))
        return {
            "object": [*self.parts, *(f"{kind} {name}" for kind, name in missing)],
            "option": [f"point d’entrée {name.lower()}" for name in entrypoints],
            "provider": providers & {"file", "docker"},
            "rule": [self.router] if bad_rule else [],
        }


@check(
    "ROUTE-001",
    "critical",
    "Traefik sert tous les routeurs, services et middlewares déclarés",
    key=(),
    message="{noun} « {name} » {effect} : {errors}.",
    fix=Fix("Remède : {remedy}.", (), ("curl -sS {url}",)),
)
def loaded(
    traefik_routers: Rows[TraefikRouter],
    traefik_services: Rows[TraefikService],
    traefik_middlewares: Rows[TraefikMiddleware],
    traefik: Rows[Traefik],
) -> Iterator[Refused]:
    """Objects that Traefik's API reports as disabled (not served) or in warning (served, but not as asked)."""
    named: list[tuple[str, str, str, TraefikRouter | TraefikService | TraefikMiddleware]] = [
        *(("router", "Le routeur", router.router, router) for router in traefik_routers),
        *(("service", "Le service", service.service, service) for service in traefik_services),
        *(("middleware", "Le middleware", middleware.middleware, middleware) for middleware in traefik_middlewares),
    ]
    for kind, noun, name, target in named:
        if target.status in ("disabled", "warning"):
            disabled = target.status == "disabled"
            yield Refused(
                subjects=((kind, name),),
                severity="critical" if disabled else "medium",
                router=name if kind == "router" else UNSAID,
                service=name if kind == "service" else UNSAID,
                middleware=name if kind == "middleware" else UNSAID,
                protocol=target.protocol,
                status=target.status,
                errors=target.errors or ("sans motif donné",),
                noun=noun,
                name=name,
                effect="est désactivé par Traefik" if disabled else "est servi, mais Traefik avertit",
                remedy=_remedy(target.errors or ()),
                url=api_object(traefik, target.protocol, kind, name),
                parts=_parts(target) if isinstance(target, TraefikRouter) else (f"{kind} {name}",),
            )


def _parts(router: TraefikRouter) -> tuple[str, ...]:
    """The middlewares and the service of a router."""
    service = [f"service {router.service}"] if router.service else []
    return (*(f"middleware {name}" for name in router.middlewares or ()), *service)


def _remedy(errors: Iterable[str]) -> str:
    for error in errors:
        for pattern, remedy in _REMEDIES:
            if match := pattern.search(error):
                return remedy.format(*match.groups())
    return "corriger ce que Traefik signale"


class OpenApi(Fault):
    """A way to Traefik's API, from other machines, that authenticates nobody."""

    entrypoint: str
    router: str
    places: tuple[str, ...] = fact("Joignable par")
    cause: str = word()
    mend: str = word()
    probe: str | None = word()
    proxy: str | None = word()

    @property
    def about(self) -> About:
        """The ports of Traefik's container, and what the router lacks."""
        ports = [port_number(place) for place in self.places]
        return {
            "protection": [f"{self.router} (authentification)"],
            "publication": [f"{self.proxy} {port}" for port in ports] if self.proxy else [],
        }


@check(
    "ROUTE-014",
    "high",
    "L’API de Traefik n’est pas servie sans authentification au-delà de la machine",
    key=("entrypoint", "router"),
    message="L’API de Traefik répond sans authentification sur le point d’entrée « {entrypoint} » ({cause}), joignable "
    "au-delà de cette machine par {places} : n’importe qui y lit les domaines, les services et les middlewares.",
    fix=Fix(
        "{mend} Sans attendre : publier ce port sur 127.0.0.1 seulement.",
        (),
        ("curl -sS -o /dev/null -w '%{{http_code}}\\n' {probe}",),
    ),
)
def api_protected(
    proxy: Rows[Proxy],
    traefik_static: Rows[StaticOption],
    publications: Rows[Publication],
    traefik_routers: Rows[TraefikRouter] | None = None,
    traefik_middlewares: Rows[TraefikMiddleware] | None = None,
    traefik_entrypoints: Rows[TraefikEntrypoint] | None = None,
) -> Iterator[OpenApi]:
    """Ways to `api@internal` with no authentication, on entry points published beyond the loopback.

    `api.insecure` makes such routers by itself on the entry point « traefik », port 8080 unless it is defined
    (`pkg/provider/traefik/internal.go`); middlewares of the entry point apply to them too (`aggregator.go`,
    applyModel). Without the API, the static configuration alone may tell it. A filter of intrusions, of addresses or
    of rates asks nobody who he is; of a plugin whose name says nothing, nobody can tell.
    """
    options = {option.key: option.value for option in traefik_static if option.effective}
    addresses = {"traefik": options.get("entrypoints.traefik.address") or ":8080"}
    addresses |= {entrypoint.entrypoint: entrypoint.address or "" for entrypoint in traefik_entrypoints or ()}
    read = traefik_routers is not None and traefik_middlewares is not None
    # What the entry point's middlewares do, only the API says.
    screened = not read and any(key.startswith("entrypoints.traefik.http.middlewares") for key in options)
    insecure = options.get("api.insecure") in TRUE and not screened
    doubtful: set[str] = set()
    for (entrypoint, router), plugins in _ways(traefik_routers, traefik_middlewares, insecure=insecure).items():
        accesses = beyond_loopback(addresses.get(entrypoint, ""), proxy[0], publications)
        if accesses and plugins:
            doubtful |= {*plugins}
        elif accesses:
            yield _open(entrypoint, router, accesses, proxy[0].network_container)
    if not read:
        raise AbsentTable("traefik_routers", "les routeurs de Traefik n’ont pas été lus")
    if doubtful:
        named = listing((f"le plugin {quoted(name)}" for name in sorted(doubtful)), "ou")
        raise AbsentTable("traefik_middlewares", f"rien ne dit si {named} authentifie qui demande l’API")


def _ways(
    routers: Rows[TraefikRouter] | None, middlewares: Rows[TraefikMiddleware] | None, *, insecure: bool
) -> Mapping[tuple[str, str], list[str]]:
    """The ways to the API that authenticate nobody, as (entry point, router), and the plugins on each that may do it.

    `insecure`: Traefik makes a router by itself.
    """
    ways: dict[tuple[str, str], list[str]] = {("traefik", "api@internal"): []} if insecure else {}
    if routers is None or middlewares is None:
        return ways
    http = http_middlewares(middlewares)
    for router in routers:
        kinds = {name: protection(name, http[name].type) for name in in_front(router, http) if name in http}
        for entrypoint in _api_entrypoints(router, insecure=insecure):
            if "authentication" in kinds.values():
                ways.pop((entrypoint, router.router), None)
            else:
                ways[entrypoint, router.router] = [name for name, kind in kinds.items() if kind == "unknown"]
    return ways


def _api_entrypoints(router: TraefikRouter, *, insecure: bool) -> tuple[str, ...]:
    """The entry points on which a router serves the API; `insecure`: Traefik's own one does too."""
    if insecure and router.router == "api@internal":
        return ("traefik",)
    serves = router.service in API_SERVICES and router.status != "disabled" and router.provider != "internal"
    return router.entrypoints or () if serves else ()


def http_middlewares(middlewares: Iterable[AnyMiddleware]) -> Mapping[str, AnyMiddleware]:
    """The middlewares of HTTP routers, by name."""
    return {middleware.middleware: middleware for middleware in middlewares if middleware.protocol == "http"}


def in_front(router: AnyRouter, middlewares: Mapping[str, AnyMiddleware]) -> list[str]:
    """The middlewares in front of a router, in order, each chain replaced by what it holds."""
    chains = {name: middleware.chain for name, middleware in middlewares.items()}
    return expanded(router.middlewares or (), chains)


class Access(NamedTuple):
    """Where an entry point is reached from other machines: the port, as a subject of findings, and host:port."""

    name: str
    address: str


def _open(entrypoint: str, router: str, accesses: list[Access], proxy: str | None) -> OpenApi:
    by_itself = router == "api@internal"
    return OpenApi(
        entrypoint=entrypoint,
        router=router,
        places=tuple(access.name for access in accesses),
        cause="« api.insecure » est activé"
        if by_itself
        else f"routeur {quoted(router)}, sans middleware d’authentification",
        mend="Retirer « api.insecure », et servir l’API par un routeur vers « api@internal » protégé par un middleware "
        "d’authentification (basicAuth ou forwardAuth)."
        if by_itself
        else f"Ajouter au routeur {quoted(router)} un middleware d’authentification (basicAuth ou forwardAuth).",
        probe=f"http://{accesses[0].address}/api/rawdata" if by_itself else None,
        proxy=proxy,
    )


def beyond_loopback(address: str, traefik: Proxy, publications: Rows[Publication]) -> list[Access]:
    """Where an entry point of Traefik is reached from other machines."""
    host, port = host_and_port(address)
    # In a container too, an entry point bound to the loopback is out of reach, published or not.
    if port is None or is_loopback(host):
        return []
    if traefik.apart:
        claims = published(port, traefik, publications)
    else:
        claims = [Claim("tcp", host or EVERY_ADDRESS[0], port, port)]
    return [
        Access(held.name, joined(reachable(held.address), held.first))
        for held in claims
        if not is_loopback(held.address)
    ]


def published(port: int, traefik: Proxy, publications: Rows[Publication]) -> list[Claim]:
    """What holds a TCP port of a Traefik apart on the machine, by the publications in force of whose network it has."""
    own = publications.grouped(Publication.container).get(traefik.network_container or "", ())
    live = [publication for publication in own if publication.live and publication.container_port == port]
    return [held for publication in live if (held := claim(publication)) and held.protocol == "tcp"]
