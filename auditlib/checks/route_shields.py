"""ROUTE: what protects a router: TLS, and the middlewares that its neighbours have."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from auditlib.addresses import is_public
from auditlib.checks.routes import AnyMiddleware, AnyRouter, beyond_loopback, http_middlewares, in_front
from auditlib.facts.snapshot import AbsentTable
from auditlib.facts.table import Rows
from auditlib.facts.tables.docker import Container, Publication
from auditlib.facts.tables.traefik import Traefik, TraefikEntrypoint, TraefikMiddleware, TraefikRouter
from auditlib.findings.check import About, Fault, Fix, check, fact, word
from auditlib.findings.commands import Declared, api_object
from auditlib.french import listing
from auditlib.traefik.protection import PROTECTIONS, Protection, protection
from auditlib.traefik.rules import RuleError, Syntax, domains, parse
from auditlib.views.predicted import PredictedMiddleware, PredictedRouter
from auditlib.views.proxy import Proxy

_REDIRECTIONS = {"redirectScheme", "redirectRegex"}


def _domains(router: AnyRouter) -> list[str]:
    syntax: Syntax = "v2" if router.rule_syntax == "v2" else "v3"
    try:
        return domains(parse(router.rule or "", syntax))
    except RuleError:
        return []


def _serves(router: AnyRouter, middlewares: Mapping[str, AnyMiddleware]) -> bool:
    """Whether somebody defined an HTTP router that Traefik serves and that does not merely redirect."""
    if router.protocol != "http" or router.provider == "internal" or router.status == "disabled":
        return False
    return not any(
        name in middlewares and middlewares[name].type in _REDIRECTIONS for name in in_front(router, middlewares)
    )


class Clear(Fault):
    """A router of public domains without TLS, on an entry point that other machines reach."""

    router: str
    entrypoint: str
    domains: tuple[str, ...]
    places: tuple[str, ...] = fact("Joignable par")
    where: str = word()
    container: str | None = word()
    host: str = word()
    probe: str = word()

    @property
    def about(self) -> About:
        """The domains in clear on the entry point."""
        return {"clear": [f"{domain} ({self.entrypoint})" for domain in self.domains]}


@check(
    "ROUTE-008",
    "medium",
    "Aucun domaine public n’est servi sans TLS",
    key=("router", "entrypoint"),
    message="Le routeur « {router} » sert {domains} sans TLS sur le point d’entrée « {entrypoint} » ({places}), qui ne "
    "redirige pas vers un autre.",
    fix=Fix(
        "Rediriger ce point d’entrée vers celui de TLS (« entrypoints.{entrypoint}.http.redirections.entrypoint.to »), "
        "ou ne servir le routeur que sur ce dernier, avec {where}.",
        ("{compose} up -d {service}",),
        ("curl -sS -o /dev/null -w '%{{http_code}} %{{redirect_url}}\\n' -H {host} {probe}",),
    ),
)
def served_with_tls(
    traefik_routers: Rows[TraefikRouter],
    traefik_middlewares: Rows[TraefikMiddleware],
    traefik_entrypoints: Rows[TraefikEntrypoint],
    proxy: Rows[Proxy],
    publications: Rows[Publication],
    predicted_routers: Rows[PredictedRouter] | None = None,
    containers: Rows[Container] | None = None,
) -> Iterator[Clear]:
    """Routers of public domains on clear entry points that are published beyond this machine.

    A router that redirects serves nothing. Behind another proxy, which Traefik is told to trust, TLS may end there.
    """
    declared = Declared.of(predicted_routers, containers)
    middlewares = http_middlewares(traefik_middlewares)
    # An entry point that redirects serves nothing either.
    clear = {point.entrypoint: point for point in traefik_entrypoints if not point.redirect_to}
    for router in traefik_routers:
        public = tuple(name for name in _domains(router) if is_public(name))
        if not public or router.tls or router.parents or not _serves(router, middlewares):
            continue
        for point in (clear[name] for name in router.entrypoints or () if name in clear):
            accesses = beyond_loopback(point.address or "", proxy[0], publications)
            if accesses:
                option = declared.option("http", router.router, "tls", "true", router.entrypoints or ())
                yield Clear(
                    router=router.router,
                    entrypoint=point.entrypoint,
                    domains=public,
                    places=tuple(access.name for access in accesses),
                    confidence="probable" if point.trusted else "certain",
                    where=option.where,
                    container=option.container,
                    host=f"Host: {public[0]}",
                    probe=f"http://{accesses[0].address}/",
                )


class Unshielded(Fault):
    """A router without protections that most of its neighbours have."""

    router: str
    entrypoint: str
    domains: tuple[str, ...]
    missing: tuple[str, ...]
    middlewares: tuple[str, ...]
    proposed: tuple[str, ...] = fact("Middlewares proposés")
    siblings: int = fact("Voisins comparés")
    domain: str = word()
    lacks: str = word()
    where: str = word()
    container: str | None = word()
    api: str | None = word()

    @property
    def about(self) -> About:
        """What the router lacks."""
        return {"protection": [f"{self.router} ({kind})" for kind in self.missing]}


@check(
    "ROUTE-009",
    "medium",
    "Chaque routeur a les protections de ses voisins",
    key=("router", "entrypoint"),
    message="Le routeur « {router} »{domain} n’a pas {lacks}, que la plupart des {siblings} autres routeurs du point "
    "d’entrée « {entrypoint} » ont.",
    fix=Fix(
        "Ajouter {where}, si rien ne s’y oppose.",
        ("{compose} up -d {service}",),
        ("curl -sS {api}",),
    ),
)
def protected_alike(
    traefik_routers: Rows[TraefikRouter] | None = None,
    traefik_middlewares: Rows[TraefikMiddleware] | None = None,
    traefik: Rows[Traefik] | None = None,
    predicted_routers: Rows[PredictedRouter] | None = None,
    predicted_middlewares: Rows[PredictedMiddleware] | None = None,
    containers: Rows[Container] | None = None,
) -> Iterator[Unshielded]:
    """Routers without a kind of protection that more than half of their siblings have, of which there are three.

    Siblings: the other routers of the same entry point that somebody defined, that Traefik serves and that do not
    merely redirect. A plugin whose name says nothing may be any protection: its router is not judged. Without the API,
    those that Traefik must have loaded.
    """
    declared = Declared.of(predicted_routers, containers)
    if traefik_routers is not None and traefik_middlewares is not None:
        shields = _shields(traefik_routers, http_middlewares(traefik_middlewares))
    elif predicted_routers is not None and predicted_middlewares is not None:
        shields = _shields(predicted_routers, http_middlewares(predicted_middlewares))
    else:
        raise AbsentTable("traefik_routers", "elle n’a pas été lue")
    for entrypoint, shield, siblings in _neighbours(shields):
        lacks = {} if shield.doubtful or len(siblings) < 3 else shield.lacks(siblings)
        if lacks:
            router, own = shield.router, shield.router.middlewares or ()
            value = ",".join([*lacks.values(), *own])
            option = declared.option("http", router.router, "middlewares", value, router.entrypoints or ())
            names = tuple(_domains(router))
            yield Unshielded(
                router=router.router,
                entrypoint=entrypoint,
                domains=names,
                missing=tuple(PROTECTIONS[kind] for kind in lacks),
                middlewares=own,
                proposed=tuple(lacks.values()),
                siblings=len(siblings),
                domain=f" ({listing(names)})" if names else "",
                lacks=", ni ".join(_of(PROTECTIONS[kind]) for kind in lacks),
                where=option.where,
                container=option.container,
                api=api_object(traefik, "http", "router", router.router),
            )


def _of(words: str) -> str:
    return f"d’{words}" if words[0] in "ae" else f"de {words}"


@dataclass(frozen=True)
class _Shield:
    """What protects a router: the first middleware of each kind, and whether one may be of any kind."""

    router: AnyRouter
    kinds: Mapping[Protection, str]
    doubtful: bool

    def lacks(self, siblings: Sequence["_Shield"]) -> Mapping[Protection, str]:
        """The kinds of protection that most siblings have and it has not, with the middleware that most of them use."""
        lacks = {}
        for kind in PROTECTIONS:
            usual = Counter(sibling.kinds[kind] for sibling in siblings if kind in sibling.kinds)
            if kind not in self.kinds and usual.total() * 2 > len(siblings):
                lacks[kind] = min(usual, key=lambda name: (-usual[name], name))
        return lacks


def _shields(routers: Iterable[AnyRouter], middlewares: Mapping[str, AnyMiddleware]) -> list[_Shield]:
    """What protects each router that serves."""
    serving = (router for router in routers if router.service != "noop@internal" and _serves(router, middlewares))
    return [_shield(router, middlewares) for router in serving]


def _shield(router: AnyRouter, middlewares: Mapping[str, AnyMiddleware]) -> _Shield:
    kinds: dict[Protection, str] = {}
    doubtful = False
    for name in in_front(router, middlewares):
        kind = protection(name, middlewares[name].type) if name in middlewares else "unknown"
        if kind == "unknown":
            doubtful = True
        elif kind:
            kinds.setdefault(kind, name)
    return _Shield(router, kinds, doubtful)


def _neighbours(shields: Iterable[_Shield]) -> Iterator[tuple[str, _Shield, list[_Shield]]]:
    """Each entry point with each router on it, and the other routers on it."""
    on: dict[str, list[_Shield]] = {}
    for shield in shields:
        for entrypoint in shield.router.entrypoints or ():
            on.setdefault(entrypoint, []).append(shield)
    for entrypoint, neighbours in on.items():
        for shield in neighbours:
            yield entrypoint, shield, [sibling for sibling in neighbours if sibling is not shield]
