"""HTTP: what the local proxy answers for the domains in use."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import urlsplit

from auditlib.addresses import host_and_port
from auditlib.checks.route_rules import pairs
from auditlib.facts.table import Rows
from auditlib.facts.tables.web import GATEWAY_ERRORS, HttpProbe
from auditlib.findings.check import About, Command, Fault, Fix, Subject, check, fact, word
from auditlib.french import duration, listing, quoted
from auditlib.views.probed import ProbeWalk

_LATE = "délai dépassé"

# How to ask for a page again: curl tells its status, and where it redirects to.
ASK = "curl -ksS -o /dev/null -w '%{{http_code}} %{{redirect_url}}\\n' --max-time 35 {target}"


class ProbeFault(Fault):
    """A domain whose answer is at fault, and what curl is told to ask for it again."""

    domain: str
    target: Command = word()


def domain_of(probe: HttpProbe) -> str:
    """The domain that a probe asked for, which its URL names too."""
    return probe.domain or host_and_port(probe.url)[0]


def router_of(probe: HttpProbe, walk: ProbeWalk) -> str:
    """The router that answered a probe, else the one that must have; "" when neither is known."""
    return probe.router or next(iter(walk.routers or ()), "")


def subjects_of(domain: str, router: str) -> tuple[Subject, ...]:
    """What a fault of a route is about: its router too, where it is known."""
    return (("domain", domain), ("router", router)) if router else (("domain", domain),)


def target_of(probe: HttpProbe) -> Command:
    """What curl is told to ask this machine's proxy as a probe did."""
    host, port = host_and_port(probe.url)
    address = (probe.address or "127.0.0.1:443").rpartition(":")[0]
    return Command(f"--resolve {shlex.quote(f'{host}:{port}:{address}')} {shlex.quote(probe.url)}")


def several(urls: Sequence[str]) -> str:
    """« a, b et c et 2 autres »."""
    return listing(urls[:3]) + (f" et {len(urls) - 3} autres" if len(urls) > 3 else "")


def walked(http_probes: Rows[HttpProbe], probe_walks: Rows[ProbeWalk] | None) -> Iterator[tuple[HttpProbe, ProbeWalk]]:
    """Each probe with the walk that it should have made; one of which nothing is known when it was not worked out."""
    walks = {(walk.url, walk.entrypoint): walk for walk in probe_walks or ()}
    for probe in http_probes:
        unknown = ProbeWalk(url=probe.url, entrypoint=probe.entrypoint)
        yield probe, walks.get((probe.url, probe.entrypoint), unknown)


def comes_back(probe: HttpProbe) -> bool:
    """Whether a redirection of a probe leads to its own domain and path."""
    own = (domain_of(probe), probe.path or "/")
    parts = map(urlsplit, probe.redirects or ())
    return any((location.hostname, location.path or "/") == own for location in parts)


class DeadRoute(ProbeFault):
    """A live route whose probe had no answer, or a gateway's error."""

    router: str | None
    urls: tuple[str, ...] = fact("URL", about="url")
    status: int | None
    error: str | None
    latency_ms: int | None
    container: str | None = fact(about="container")
    server: str | None
    faults: tuple[str, ...]
    pages: str = word()
    answer: str = word()
    routed: str = word()
    cause: str = word()
    remedy: str = word()
    reached: bool = word()  # an application answered by itself

    @property
    def about(self) -> About:
        """Its pages, and the faults on the way; what lies on the way is not at fault where an application answered."""
        faults = [fault.split(" ", 2) for fault in self.faults]
        way: About = {"service": (), "target": ()} if self.reached else {}
        return {**super().about, **way, "fault": [f"{check} ({name})" for check, _, name in faults]}


@check(
    "HTTP-001",
    "critical",
    "Chaque route vivante répond",
    key=("domain", "router"),
    message="{pages} {answer}{routed}. {cause}",
    fix=Fix("{remedy}", ("docker logs --tail 100 {container}",), (ASK,)),
)
def routes_answer(http_probes: Rows[HttpProbe], probe_walks: Rows[ProbeWalk] | None = None) -> Iterator[DeadRoute]:
    """Live routes whose probe timed out or was answered 502, 503 or 504, with the broken hop where it is known.

    A timeout alone may be a stream that waits for an event: it is certain only when a hop is broken too.
    """
    for (domain, router), probes in _failed(http_probes, probe_walks).items():
        probe, walk = probes[0]
        urls, broken = tuple(probe.url for probe, _ in probes), _broken(walk)
        yield DeadRoute(
            subjects=subjects_of(domain, router),
            domain=domain,
            router=router or None,
            confidence="certain" if broken or probe.status else "probable",
            urls=urls,
            status=probe.status,
            error=probe.error,
            latency_ms=probe.latency_ms,
            container=walk.container,
            server=walk.server,
            faults=walk.faults or (),
            pages=several(urls),
            answer=_answer(probe, plural=len(urls) > 1),
            routed=f" (routeur « {router} »)" if router else "",
            cause=broken or _cause(probe),
            remedy=_remedy(walk, broken),
            target=target_of(probe),
            reached=any(failed.own_answer is False for failed, _ in probes),
        )


def _failed(
    http_probes: Rows[HttpProbe], probe_walks: Rows[ProbeWalk] | None
) -> Mapping[tuple[str, str], list[tuple[HttpProbe, ProbeWalk]]]:
    """The probes that failed, with their walks, by domain and router; "" is a router that is not known."""
    groups: dict[tuple[str, str], list[tuple[HttpProbe, ProbeWalk]]] = {}
    for probe, walk in walked(http_probes, probe_walks):
        late = probe.status is None and probe.error == _LATE
        if late or probe.status in GATEWAY_ERRORS:
            router = router_of(probe, walk)
            groups.setdefault((domain_of(probe), router), []).append((probe, walk))
    return groups


def _answer(probe: HttpProbe, *, plural: bool) -> str:
    verb = "répondent" if plural else "répond"
    if probe.status is None:
        after = f" ({duration(probe.latency_ms / 1000)})" if probe.latency_ms is not None else ""
        return f"ne {verb} pas dans le délai de la sonde{after}"
    return f"{verb} par une erreur {probe.status}"


_HOPS = {
    "port": "port",
    "entrypoint": "point d’entrée",
    "router": "routeur",
    "middleware": "middleware",
    "service": "service",
    "server": "serveur",
    "container": "conteneur",
    "network": "réseau",
    "listening": "port écouté",
}


def _broken(walk: ProbeWalk) -> str | None:
    """The first broken hop of a walk, as a French sentence; None when no hop is."""
    if not walk.stop or not walk.reason:
        return None
    name = f" {quoted(walk.stop_name)}" if walk.stop_name else ""
    return f"Étape rompue, {_HOPS.get(walk.stop, walk.stop)}{name} : {walk.reason}"


def _cause(probe: HttpProbe) -> str:
    """Why a probe failed when no hop of its way is broken."""
    if probe.status is not None and probe.own_answer is False:
        return "C’est l’application elle-même qui répond ainsi."
    if probe.status == 503:
        return "Traefik n’a aucun serveur en état pour cette route."
    return "Rien d’autre de ce qui a été lu n’explique cette panne."


def _remedy(walk: ProbeWalk, broken: str | None) -> str:
    if walk.faults:
        checks = listing(dict.fromkeys(fault.partition(" ")[0] for fault in walk.faults))
        return f"Appliquer le correctif de {checks}, qui nomme la cause, puis demander de nouveau cette adresse."
    if broken:
        return "Rétablir l’étape rompue, puis demander de nouveau cette adresse."
    return "Lire les journaux du conteneur qui doit répondre, et vérifier qu’il écoute sur le port que Traefik utilise."


class OtherRouter(ProbeFault):
    """A page that another router serves than the one that must."""

    router: str
    url: str
    entrypoint: str
    predicted: tuple[str, ...] = fact("Routeurs prévus")
    status: int | None
    designated: str = word()

    @property
    def about(self) -> About:
        """The router with each that should answer."""
        return {"pair": pairs(self.router, self.predicted, self.entrypoint)}


@check(
    "HTTP-002",
    "high",
    "Chaque route est servie par le routeur prévu",
    key=("domain", "router"),
    message="{url} est servi par le routeur « {router} », alors que les règles et les priorités désignent "
    "{designated}.",
    fix=Fix(
        "Comparer les règles et les priorités de ces routeurs sur le point d’entrée « {entrypoint} » ; si elles sont "
        "justes, Traefik sert une configuration plus ancienne que celle de son API : le redémarrer.",
        (),
        (ASK,),
    ),
)
def predicted_routers(http_probes: Rows[HttpProbe], probe_walks: Rows[ProbeWalk]) -> Iterator[OtherRouter]:
    """Probes that the access log attributes to another router than the simulation.

    What a redirection leads to on the same domain and path cannot be told apart from the probe itself, and a rule
    that depends on the client's address, or whose text held a secret, is not decided.
    """
    seen: set[tuple[str, str]] = set()
    for probe, walk in walked(http_probes, probe_walks):
        domain, router, predicted = domain_of(probe), probe.router, walk.routers
        if not router or not predicted or not walk.certain or comes_back(probe):
            continue
        if router in predicted or (domain, router) in seen:
            continue
        seen.add((domain, router))
        yield OtherRouter(
            domain=domain,
            router=router,
            url=probe.url,
            entrypoint=probe.entrypoint,
            predicted=predicted,
            status=probe.status,
            designated=listing(map(quoted, predicted), "ou"),
            target=target_of(probe),
        )


class Loop(ProbeFault):
    """A page that redirects without end."""

    url: str = fact(about="url")
    entrypoint: str
    router: str | None
    redirects: tuple[str, ...]
    status: int | None
    hops: str = word()
    remedy: str = word()


@check(
    "HTTP-006",
    "critical",
    "Aucune redirection ne tourne en rond",
    key=("domain",),
    message="{url} redirige sans fin ({hops}) : aucun navigateur n’affiche la page.",
    fix=Fix(
        "{remedy}",
        (),
        (ASK,),
    ),
)
def no_loop(http_probes: Rows[HttpProbe]) -> Iterator[Loop]:
    """Redirections that come back to an address already asked, cookies kept, or never end."""
    seen: set[str] = set()
    for probe in http_probes:
        domain, redirects = domain_of(probe), probe.redirects or ()
        if not probe.loop or domain in seen:
            continue
        seen.add(domain)
        yield Loop(
            domain=domain,
            url=probe.url,
            entrypoint=probe.entrypoint,
            router=probe.router,
            redirects=redirects,
            status=probe.status,
            hops=listing(redirects, most=3),
            remedy=_unlooped(probe.url, redirects),
            target=target_of(probe),
        )


def _unlooped(url: str, redirects: Sequence[str]) -> str:
    """What ends a loop: one that changes nothing but the scheme is made by the application."""
    if redirects and {location.partition("://")[2] for location in redirects} == {url.partition("://")[2]}:
        return (
            "L’application redirige vers l’adresse d’où l’on vient : lui dire qu’elle est derrière un proxy HTTPS "
            "(en-têtes X-Forwarded, adresse publique), ou retirer l’une des deux redirections."
        )
    return "Corriger l’une des redirections : middleware de Traefik, ou adresse publique réglée dans l’application."
