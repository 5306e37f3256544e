"""ROUTE: what the rules of routers win, lose, and no longer mean."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from auditlib.checks.routes import AnyRouter
from auditlib.facts.snapshot import AbsentTable
from auditlib.facts.table import Rows
from auditlib.facts.tables.docker import Container
from auditlib.facts.tables.traefik import StaticOption, Traefik, TraefikRouter
from auditlib.findings.check import About, Fault, Fix, check, fact, word
from auditlib.findings.commands import Declared, RouterOption, api_object
from auditlib.french import listing, quoted
from auditlib.traefik.migration import outdated
from auditlib.traefik.routers import MAX_USER_PRIORITY
from auditlib.traefik.tcp_rules import takes_all
from auditlib.views.entrypoints import Entrypoint
from auditlib.views.predicted import PredictedRouter
from auditlib.views.shadowing import Shadowing


def pairs(router: str, others: Iterable[str], entrypoint: str) -> list[str]:
    """A router with each of the others, of which one answers for the other, on an entry point."""
    return [f"{' / '.join(sorted((router, other)))} ({entrypoint})" for other in others if other != router]


class Shadowed(Fault):
    """A router that loses its requests, or some of them, to others; as the first of them takes them."""

    router: str
    entrypoint: str
    verdict: str
    others: tuple[str, ...] = fact("Autres routeurs")
    priority: int | None
    other_priority: int | None
    method: str | None
    url: str | None
    headers: tuple[str, ...]
    loses: str = word()
    remedy: str = word()
    container: str | None = word()
    api: str | None = word()

    @property
    def about(self) -> About:
        """The router with each that takes its requests."""
        return {"pair": pairs(self.router, self.others, self.entrypoint)}


@check(
    "ROUTE-005",
    "high",
    "Aucun routeur n’est masqué par un autre",
    key=("router", "entrypoint"),
    message="Sur le point d’entrée « {entrypoint} », le routeur « {router} » (priorité {priority}) {loses}.",
    fix=Fix("{remedy}", ("{compose} up -d {service}",), ("curl -sS {api}",)),
)
def unshadowed_routers(
    shadowing: Rows[Shadowing],
    traefik_routers: Rows[TraefikRouter],
    traefik: Rows[Traefik],
    predicted_routers: Rows[PredictedRouter] | None = None,
    containers: Rows[Container] | None = None,
) -> Iterator[Shadowed]:
    """Routers that never win, or lose a part of their own domain and path, unless that is a carve-out or Traefik's own.

    What a TCP router takes is told by ROUTE-017.
    """
    declared = Declared.of(predicted_routers, containers)
    http = _http(traefik_routers)
    losses: dict[tuple[str, str], list[Shadowing]] = {}
    for loss in shadowing:
        told_elsewhere = loss.other is not None and loss.other not in http
        if loss.verdict in ("never", "shadowed") and not loss.intended and not told_elsewhere:
            losses.setdefault((loss.router, loss.entrypoint), []).append(loss)
    for (router, entrypoint), own in losses.items():
        # One that never wins says it first.
        own.sort(key=lambda loss: (loss.verdict != "never", loss.other or ""))
        worst, others = own[0], tuple(loss.other for loss in own if loss.other)
        raised = _raised(worst, declared, http[router].entrypoints or () if router in http else ())
        yield Shadowed(
            router=router,
            entrypoint=entrypoint,
            verdict=worst.verdict,
            others=others,
            priority=worst.priority,
            other_priority=worst.other_priority,
            method=worst.method,
            url=worst.url,
            headers=worst.headers or (),
            loses=_loses(worst, others),
            remedy=_raising(worst, raised),
            container=raised.container if raised else None,
            api=api_object(traefik, "http", "router", router),
        )


def _http(routers: Rows[TraefikRouter]) -> dict[str, TraefikRouter]:
    """The HTTP routers by name."""
    return {router.router: router for router in routers if router.protocol == "http"}


def _loses(loss: Shadowing, others: Sequence[str]) -> str:
    if loss.other is None:
        return "ne gagne jamais : aucune requête ne satisfait sa règle"
    example = f"« {loss.method} {loss.url} »"
    if loss.headers:
        example += f" avec {listing(map(quoted, loss.headers))}"
    taker = f"{quoted(loss.other)} (priorité {loss.other_priority})"
    more = f" ; {listing(map(quoted, others[1:]))} en prend aussi" if len(others) > 1 else ""
    if loss.verdict == "never":
        return f"ne gagne jamais : {taker} prend toutes ses requêtes, par exemple {example}{more}"
    return f"perd une partie de son domaine : {taker} prend par exemple {example}{more}"


def _raised(loss: Shadowing, declared: Declared, entrypoints: Sequence[str]) -> RouterOption | None:
    """The option of a priority above the taker's; None where nobody takes, or nothing passes before the taker."""
    if loss.other_priority is None or loss.other_priority >= MAX_USER_PRIORITY:
        return None
    return declared.option("http", loss.router, "priority", loss.other_priority + 1, entrypoints)


def _raising(loss: Shadowing, raised: RouterOption | None) -> str:
    if loss.other is None:
        return "Corriger la règle, ou retirer ce routeur."
    if raised is None:
        return f"Restreindre la règle de {quoted(loss.other)} : aucune priorité permise ne passe avant la sienne."
    return f"Ajouter {raised.where}, ou restreindre la règle de {quoted(loss.other)} à ce qui lui revient."


class OldSyntax(Fault):
    """A rule that the running version deprecates, refuses for its old syntax, or takes without meaning it."""

    router: str = fact(about="rule")
    rule: str
    version: str
    proposal: str | None = fact("Règle proposée")
    why: str = word()
    remedy: str = word()
    container: str | None = word()
    api: str | None = word()


@check(
    "ROUTE-010",
    "medium",
    "Chaque règle est écrite dans la syntaxe de la version en service",
    key=("router",),
    message="La règle du routeur « {router} », {rule}, {why}.",
    fix=Fix("{remedy}", ("{compose} up -d {service}",), ("curl -sS {api}",)),
)
def current_syntax(
    traefik_routers: Rows[TraefikRouter],
    traefik: Rows[Traefik],
    predicted_routers: Rows[PredictedRouter] | None = None,
    containers: Rows[Container] | None = None,
) -> Iterator[OldSyntax]:
    """HTTP rules that the running version deprecates, refuses for their old syntax, or takes without meaning them."""
    version = traefik[0].version if traefik else None
    if version is None:
        return
    declared = Declared.of(predicted_routers, containers)
    for router in traefik_routers:
        if router.protocol != "http" or router.provider == "internal" or not router.rule:
            continue
        old = outdated(router.rule, router.rule_syntax, version)
        if old is None:
            continue
        option = declared.option("http", router.router, "rule", old.proposal, router.entrypoints or ())
        drop = ", et retirer « ruleSyntax » (ou « core.defaultRuleSyntax »)" if router.rule_syntax == "v2" else ""
        yield OldSyntax(
            router=router.router,
            rule=router.rule,
            version=version,
            proposal=old.proposal,
            why=old.why,
            remedy=f"Écrire {option.where}{drop}."
            if old.proposal
            else f"Récrire cette règle dans la syntaxe de Traefik 3{drop}.",
            container=option.container,
            api=api_object(traefik, "http", "router", router.router),
        )


class Tie(Fault):
    """Two routers that take the same requests with the same priority."""

    routers: tuple[str, str] = fact("Routeurs")
    entrypoint: str
    priority: int | None
    method: str | None
    url: str | None
    headers: tuple[str, ...]
    harmless: str = word()
    where: str = word()
    container: str | None = word()
    api: str | None = word()

    @property
    def about(self) -> About:
        """The two routers."""
        return {"pair": pairs(self.routers[0], self.routers[1:], self.entrypoint)}


@check(
    "ROUTE-011",
    "high",
    "Aucune requête ne revient à deux routeurs de même priorité",
    key=(),
    message="Sur le point d’entrée « {entrypoint} », {routers:quoted} prennent les mêmes requêtes avec la même "
    "priorité ({priority}), par exemple « {method} {url} » : Traefik choisit au hasard, à chaque "
    "rechargement.{harmless}",
    fix=Fix(
        "Donner une priorité plus grande à celui qui doit gagner, par exemple {where}.",
        ("{compose} up -d {service}",),
        ("curl -sS {api}",),
    ),
)
def no_ties(
    shadowing: Rows[Shadowing],
    traefik_routers: Rows[TraefikRouter],
    traefik: Rows[Traefik],
    predicted_routers: Rows[PredictedRouter] | None = None,
    containers: Rows[Container] | None = None,
) -> Iterator[Tie]:
    """Pairs of routers that are tied; `low` when both do the same with the request."""
    declared = Declared.of(predicted_routers, containers)
    http = _http(traefik_routers)
    for tie in shadowing:
        if tie.verdict != "tie" or tie.other is None or tie.priority is None or tie.router > tie.other:
            continue
        router, other = http.get(tie.router), http.get(tie.other)
        if router is None or other is None:
            continue
        same = (router.service, router.middlewares) == (other.service, other.middlewares)
        option = declared.option("http", tie.router, "priority", tie.priority + 1, router.entrypoints or ())
        yield Tie(
            subjects=(("router", tie.router), ("router", tie.other), ("entrypoint", tie.entrypoint)),
            severity="low" if same else "high",
            routers=(tie.router, tie.other),
            entrypoint=tie.entrypoint,
            priority=tie.priority,
            method=tie.method,
            url=tie.url,
            headers=tie.headers or (),
            harmless=" Les deux mènent au même service par les mêmes middlewares." if same else "",
            where=option.where,
            container=option.container,
            api=api_object(traefik, "http", "router", tie.router),
        )


class Capture(Fault):
    """A TCP router that takes the requests of HTTP routers on an entry point."""

    router: str
    entrypoint: str
    rule: str | None
    victims: tuple[str, ...] = fact("Routeurs privés de requêtes")
    silenced: str = word()
    where: str = word()
    container: str | None = word()
    api: str | None = word()

    @property
    def about(self) -> About:
        """The router with each of those that it silences, and all that is in clear on the entry point."""
        return {
            "clear": [f"tous ({self.entrypoint})"],
            "pair": pairs(self.router, self.victims, self.entrypoint),
        }


@check(
    "ROUTE-017",
    "high",
    "Aucun routeur TCP ne prend les requêtes HTTP d’un point d’entrée",
    key=("router", "entrypoint"),
    message="Le routeur TCP « {router} » prend toute connexion en clair du point d’entrée « {entrypoint} » "
    "(règle {rule}, sans TLS) : {silenced} plus.",
    fix=Fix(
        "Donner à ce routeur un point d’entrée à lui, par exemple {where}, ou la règle d’un domaine avec TLS.",
        ("{compose} up -d {service}",),
        ("curl -sS {api}",),
    ),
)
def no_tcp_capture(
    traefik_static: Rows[StaticOption],
    entrypoints: Rows[Entrypoint],
    traefik_routers: Rows[TraefikRouter] | None = None,
    traefik: Rows[Traefik] | None = None,
    predicted_routers: Rows[PredictedRouter] | None = None,
    containers: Rows[Container] | None = None,
) -> Iterator[Capture]:
    """TCP routers that take every clear connection of an entry point on which HTTP routers answer too.

    Traefik tries TCP routers without TLS before HTTP (`pkg/server/router/tcp/router.go`). An HTTP router that names
    no entry point is on all of them: that alone does not make one an entry point of HTTP.
    """
    routers = traefik_routers if traefik_routers is not None else predicted_routers
    if routers is None:
        raise AbsentTable("traefik_routers", "ni l’API de Traefik ni sa configuration n’ont été lues")
    declared = Declared.of(predicted_routers, containers)
    for router, entrypoint, victims in _captures(routers, entrypoints):
        option = declared.option("tcp", router.router, "entrypoints", "<point d’entrée>", router.entrypoints or ())
        yield Capture(
            router=router.router,
            entrypoint=entrypoint,
            rule=router.rule,
            victims=victims,
            silenced=_silenced(victims),
            where=option.where,
            container=option.container,
            api=api_object(traefik, "tcp", "router", router.router),
        )


def _captures(
    routers: Iterable[AnyRouter], entrypoints: Rows[Entrypoint]
) -> Iterator[tuple[AnyRouter, str, tuple[str, ...]]]:
    """The TCP routers that take all on an entry point of HTTP, and the HTTP routers that have nothing left there."""
    points = _Entrypoints.of(entrypoints)
    clear = [router for router in routers if router.status != "disabled" and not router.tls]
    http = [router for router in clear if router.protocol == "http"]
    for router in clear:
        if router.protocol == "tcp" and takes_all(router.rule or ""):
            for entrypoint in router.entrypoints or ():
                victims = [victim for victim in http if entrypoint in (victim.entrypoints or ())]
                if points.meant_for_http(entrypoint, victims, router):
                    yield router, entrypoint, tuple(victim.router for victim in victims)


class _Entrypoints(NamedTuple):
    """The default entry points, and those that redirect, by name."""

    default: set[str]
    redirected: set[str]

    @classmethod
    def of(cls, entrypoints: Rows[Entrypoint]) -> "_Entrypoints":
        default = {point.entrypoint for point in entrypoints if point.default and point.protocol != "udp"}
        return cls(default, {point.entrypoint for point in entrypoints if point.redirect_to})

    def meant_for_http(self, entrypoint: str, victims: Iterable[AnyRouter], captor: AnyRouter) -> bool:
        """Whether an entry point serves HTTP: it redirects, or HTTP routers name it, or are on all as the captor is."""
        everywhere = self._all_of(captor)
        return entrypoint in self.redirected or any(everywhere or self._named_by(victim) for victim in victims)

    def _all_of(self, router: AnyRouter) -> bool:
        """Whether a router is on all the default entry points, of which there are several."""
        return len(self.default) > 1 and self.default <= {*(router.entrypoints or ())}

    def _named_by(self, router: AnyRouter) -> bool:
        """Whether a router seems to name its entry points: Traefik neither put it on all nor split it over them."""
        split = len(self.default) > 1 and any(router.router.startswith(f"{name}-") for name in self.default)
        return not split and not self._all_of(router)


def _silenced(names: Sequence[str]) -> str:
    if not names:
        return "les routeurs HTTP n’y répondent"
    shown = [*map(quoted, names[:3]), *([f"{len(names) - 3} autres"] if len(names) > 3 else [])]
    return f"{listing(shown)} n’y {'répond' if len(names) == 1 else 'répondent'}"
