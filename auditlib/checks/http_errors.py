"""HTTP: live routes that always answer an error other than a gateway's, and redirections that lead nowhere."""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from auditlib.addresses import WEB_PORTS, host_and_port
from auditlib.checks.http import ASK, ProbeFault, domain_of, router_of, several, subjects_of, target_of, walked
from auditlib.checks.routes import AnyMiddleware, http_middlewares, in_front
from auditlib.facts.table import Rows
from auditlib.facts.tables.docker import Publication
from auditlib.facts.tables.host import Listener
from auditlib.facts.tables.logs import AccessStat
from auditlib.facts.tables.traefik import TraefikMiddleware, TraefikRouter
from auditlib.facts.tables.web import GATEWAY_ERRORS, HttpProbe
from auditlib.findings.check import Fix, check, fact, word
from auditlib.french import listing, plural, quoted
from auditlib.parameters import Severity
from auditlib.traefik.protection import ALLOW_LISTS
from auditlib.views.predicted import PredictedMiddleware, PredictedRouter
from auditlib.views.probed import ProbeWalk

# Of so many logged requests of a router, this share must be errors too for them to be the rule.
_ENOUGH, _SHARE = 20, 0.95
# Ports that are those of TLS: a server that is called in clear there answers 400.
_TLS_PORTS = frozenset({443, 4443, 6443, 8443, 9443})


class ErrorRoute(ProbeFault):
    """A live route that always answers an error."""

    router: str | None
    urls: tuple[str, ...] = fact("URL")
    status: int
    container: str | None
    server: str | None
    logged: int | None = fact("Requêtes au journal")
    pages: str = word()
    answer: str = word()
    cause: str = word()
    remedy: str = word()


class _Cause(NamedTuple):
    """Why a route answers an error: how grave, and in French, with what to do."""

    severity: Severity
    reason: str
    remedy: str


@check(
    "HTTP-007",
    "critical",
    "Aucune route vivante ne répond toujours par une erreur",
    key=("domain", "router"),
    message="{pages} {answer}. {cause}",
    fix=Fix("{remedy}", ("docker logs --tail 100 {container}",), (ASK,)),
)
def no_lasting_error(
    http_probes: Rows[HttpProbe],
    probe_walks: Rows[ProbeWalk] | None = None,
    access_stats: Rows[AccessStat] | None = None,
    traefik_routers: Rows[TraefikRouter] | None = None,
    traefik_middlewares: Rows[TraefikMiddleware] | None = None,
    predicted_routers: Rows[PredictedRouter] | None = None,
    predicted_middlewares: Rows[PredictedMiddleware] | None = None,
) -> Iterator[ErrorRoute]:
    """Live routes whose probe is answered 5xx, 400 by a server of TLS, or 403 by a list of addresses.

    Where the access log has enough requests of the router, nearly all must have ended so. A refused address may be
    that of the audit alone: 403 is told only when the log says so of others.
    """
    stats = {stat.router: stat for stat in access_stats or ()}
    fronts = _fronts(
        traefik_routers if traefik_routers is not None else predicted_routers,
        traefik_middlewares if traefik_middlewares is not None else predicted_middlewares,
    )
    groups: dict[tuple[str, str, int], list[tuple[HttpProbe, ProbeWalk]]] = {}
    for probe, walk in walked(http_probes, probe_walks):
        router = router_of(probe, walk)
        if probe.status and probe.status not in GATEWAY_ERRORS:
            groups.setdefault((domain_of(probe), router, probe.status), []).append((probe, walk))
    for (domain, router, status), probes in groups.items():
        probe, walk = probes[0]
        stat = stats.get(router)
        cause = _cause(probe, walk, stat, fronts.get(router, ()))
        if cause is None:
            continue
        urls = tuple(one.url for one, _ in probes)
        yield ErrorRoute(
            subjects=subjects_of(domain, router),
            severity=cause.severity,
            confidence="certain" if stat and (stat.requests or 0) >= _ENOUGH else "probable",
            domain=domain,
            router=router or None,
            urls=urls,
            status=status,
            container=walk.container,
            server=walk.server,
            logged=stat.requests if stat else None,
            pages=several(urls),
            answer=f"{'répondent' if len(urls) > 1 else 'répond'} par une erreur {status}"
            + (f" (routeur {quoted(router)})" if router else ""),
            cause=cause.reason,
            remedy=cause.remedy,
            target=target_of(probe),
        )


def _fronts(
    routers: Iterable[TraefikRouter | PredictedRouter] | None, middlewares: Iterable[AnyMiddleware] | None
) -> Mapping[str, list[AnyMiddleware]]:
    """The middlewares in front of each HTTP router, chains replaced by what they hold."""
    known = http_middlewares(middlewares or ())
    return {
        router.router: [known[name] for name in in_front(router, known) if name in known]
        for router in routers or ()
        if router.protocol == "http"
    }


def _cause(probe: HttpProbe, walk: ProbeWalk, stat: AccessStat | None, front: Iterable[AnyMiddleware]) -> _Cause | None:
    """Why a probe's answer is a lasting error; None when it is none, or the log says otherwise."""
    status, requests = probe.status or 0, (stat.requests if stat else None) or 0
    if status >= 500:
        failed = stat.status_5xx if stat else None
        return _server_error(walk, front) if _lasting(failed, requests) else None
    if status == 400 and _clear_to_tls(walk.server):
        return _Cause(
            "high",
            f"Traefik parle en clair à {walk.server}, dont le port est celui de TLS.",
            "Donner « https » au service (étiquette « loadbalancer.server.scheme=https », avec un serversTransport si "
            "son certificat n’est pas reconnu), ou le port où il répond en clair.",
        )
    lists = [one.middleware for one in front if (one.type or "").lower() in ALLOW_LISTS]
    if status == 403 and lists and stat and requests >= _ENOUGH and _lasting(stat.refused, requests):
        names = listing(map(quoted, lists))
        return _Cause(
            "high",
            f"La liste d’adresses de {names} refuse tout le monde : {plural(stat.refused or 0, 'requête')} sur "
            f"{requests} au journal. Traefik voit l’adresse du relais ou de la passerelle, pas celle du client.",
            "Admettre dans cette liste le réseau d’où viennent les clients tels que Traefik les voit, ou régler "
            "« ipStrategy » et les relais de confiance du point d’entrée.",
        )
    return None


def _lasting(failed: int | None, requests: int) -> bool:
    """Whether the log does not speak against an error that lasts."""
    return requests < _ENOUGH or failed is None or failed >= _SHARE * requests


def _clear_to_tls(server: str | None) -> bool:
    """Whether a server is called in clear on a port of TLS."""
    return bool(server and server.startswith("http://") and host_and_port(server)[1] in _TLS_PORTS)


def _server_error(walk: ProbeWalk, front: Iterable[AnyMiddleware]) -> _Cause:
    """The cause of an error of the server: the broken hop, a middleware that asks another program, or not known."""
    asking = [one.middleware for one in front if (one.type or "").lower() == "forwardauth"]
    if walk.stop and walk.reason:
        reason = f"Étape rompue : {walk.reason}"
    elif asking:
        reason = f"Le middleware {quoted(asking[0])} demande à un autre programme, qui peut ne pas répondre."
    else:
        reason = "Rien de ce qui a été lu n’explique cette erreur."
    remedy = (
        "Lire le journal de Traefik et celui du conteneur qui doit répondre, puis demander de nouveau cette adresse."
    )
    return _Cause("critical", reason, remedy)


class DeadRedirection(ProbeFault):
    """A redirection to a port of this machine where nothing answers."""

    url: str
    entrypoint: str
    router: str | None
    location: str = fact("Redirige vers")
    port: int
    remedy: str = word()


@check(
    "HTTP-008",
    "high",
    "Aucune redirection ne mène là où rien ne répond",
    key=("domain", "entrypoint"),
    message="Le point d’entrée « {entrypoint} » redirige {url} vers {location}, sur le port {port} que rien n’ouvre "
    "sur cette machine : le navigateur n’arrive nulle part.",
    fix=Fix("{remedy}", (), (ASK,)),
)
def redirections_arrive(
    http_probes: Rows[HttpProbe], publications: Rows[Publication], listeners: Rows[Listener]
) -> Iterator[DeadRedirection]:
    """Redirections to a domain that this proxy serves, on a TCP port that nothing publishes nor listens to."""
    served = {probe.domain for probe in http_probes}
    held = {row.host_port for row in publications if row.live and row.protocol == "tcp"}
    held |= {row.port for row in listeners if row.protocol == "tcp"}
    seen: set[tuple[str, str]] = set()
    for probe in http_probes:
        for location in (probe.redirects or ())[-1:]:
            port = _port(location)
            key = (domain_of(probe), probe.entrypoint)
            if port is None or port in held or key in seen or urlsplit(location).hostname not in served:
                continue
            seen.add(key)
            yield DeadRedirection(
                domain=key[0],
                entrypoint=probe.entrypoint,
                url=probe.url,
                router=probe.router,
                location=location,
                port=port,
                remedy="Rediriger vers un port ouvert (pour un point d’entrée : « redirections.entryPoint.to=:443 », "
                f"le port publié), ou publier le port {port}.",
                target=target_of(probe),
            )


def _port(location: str) -> int | None:
    """The port that an address asks for; None for what is no web address."""
    try:
        parts = urlsplit(location)
        return parts.port or WEB_PORTS.get(parts.scheme)
    except ValueError:
        return None
