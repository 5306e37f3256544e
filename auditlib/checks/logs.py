"""LOG: what Traefik wrote of itself, and how requests end. Checks have no clock of their own: `now`, `start`."""

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from auditlib.checks.certificates import LOOK, target_of
from auditlib.facts.snapshot import AbsentTable
from auditlib.facts.table import Rows
from auditlib.facts.tables.docker import Container, DockerEngine
from auditlib.facts.tables.logs import CAUSES, KINDS, SUBJECTS, AccessStat, Log, LogEvent
from auditlib.facts.tables.traefik import Traefik
from auditlib.facts.tables.web import Certificate
from auditlib.findings.check import UNSAID, About, Command, Fault, Fix, Subject, check, fact, word
from auditlib.french import instant, listing, number, plural, quoted
from auditlib.views import logs as journal
from auditlib.views.routes import Route

DAY = dt.timedelta(days=1)
# What a log tells counts for so long: certificates are tried again every day at least, a provider every minute.
_RECENT = 7 * DAY

_ACME = ("acme_obtain", "acme_renew")
# An authority dates a certificate an hour before it makes it.
_BACKDATED = dt.timedelta(hours=1)

# What is wrong now is judged from the facts, by the checks of NET, ROUTE and ACME: of these kinds the log repeats it,
# or tells what was mended since. What no other check can know is left.
_LEFT = frozenset(
    {"provider_failed", "plugins_disabled", "tls_default_duplicate", "upstream_tls", "static_invalid", "crash", "other"}
)
# The Docker provider has ROUTE-020.
_JUDGED_PROVIDERS = frozenset({"docker", "swarm"})

# A share of errors says something of that many requests at least.
_ENOUGH = 20
_THRESHOLD = 0.05

_REMEDIES = {
    "rate_limited": "attendre la fin de la limite (une semaine au plus) sans redémarrer Traefik en boucle ; "
    "essayer auprès de l’autorité d’essai d’ici là",
    "dns": "créer l’enregistrement DNS (A ou AAAA) de ce nom vers cette machine",
    "caa": "ajouter l’autorité à l’enregistrement CAA du domaine, ou retirer celui-ci",
    "challenge": "faire arriver à Traefik le défi « /.well-known/acme-challenge/ » sur le port 80, sans autre proxy "
    "ni filtre devant lui",
    "unreachable": "ouvrir le port 80 (http-01) ou 443 (tls-alpn-01) de cette machine à Internet, ou passer au défi "
    "dns-01",
    "authority": "rétablir l’accès de Traefik à l’autorité (DNS du conteneur, pare-feu, adresse « caServer »)",
    "credentials": "compléter les variables d’accès au fournisseur DNS, ou corriger son nom",
    "account": "vérifier l’adresse et les identifiants du compte ACME du résolveur",
    "name": "ne demander de certificat que pour un nom public, sans caractère interdit",
}


def now(docker_engine: Rows[DockerEngine]) -> dt.datetime:
    """The time of the collection, as the engine's clock said it. Raises AbsentTable when it is not known."""
    clock = docker_engine[0].clock if docker_engine else None
    if clock is None:
        raise AbsentTable("docker_engine", "l’heure de la collecte n’est pas connue")
    return clock


def start(traefik: Rows[Traefik] | None) -> dt.datetime | None:
    """The second in which Traefik started, None when that is not known. Its log tells no less than seconds."""
    started = traefik[0].started if traefik else None
    return None if started is None else started.replace(microsecond=0)


def _earliest(moments: Iterable[dt.datetime | None]) -> dt.datetime | None:
    return min((moment for moment in moments if moment), default=None)


def _total(counts: Iterable[int | None]) -> int:
    return sum(count or 0 for count in counts)


@dataclass(frozen=True)
class Span:
    """How many times some events were written, and when first and last. When first may be unknown."""

    count: int
    first: dt.datetime | None
    last: dt.datetime

    @classmethod
    def of(cls, events: Iterable[LogEvent]) -> "Span":
        """That of events whose last time is known."""
        events = list(events)
        return cls(
            sum(event.count or 1 for event in events),
            _earliest(event.first for event in events),
            max(event.last for event in events if event.last),
        )


def _is_recent(event: LogEvent, docker_engine: Rows[DockerEngine], started: dt.datetime | None = None) -> bool:
    """Whether an event was last written in the last days, and since Traefik started where that is known."""
    last = event.last
    return last is not None and now(docker_engine) - last <= _RECENT and (started is None or last >= started)


def _writer(logs: Rows[Log] | None) -> str | None:
    """The container that wrote Traefik's log."""
    log = logs.by(Log.log).get("traefik") if logs else None
    return log.container if log else None


class NoCertificate(Fault):
    """A domain, or what a resolver asks for, that an authority gave no certificate."""

    domain: str = fact(default=UNSAID)
    resolver: str = fact(default=UNSAID, about="resolver")
    causes: tuple[str, ...] = fact("Causes")
    count: int
    first: dt.datetime | None
    last: dt.datetime
    example: str | None
    wanted: str = word()
    failures: str = word()
    remedy: str = word()
    container: str | None = word()
    target: Command | None = word(default=None)
    asked: tuple[str, ...] = word(default=())  # the resolvers that the routers of the domain ask

    @property
    def about(self) -> About:
        """The resolver; those of its routers for a domain that the limits of an authority refuse."""
        return {"resolver": self.asked} if CAUSES["rate_limited"] in self.causes else super().about


@check(
    "LOG-001",
    "high",
    "Aucune demande récente de certificat n’a échoué",
    key=("domain",),
    message="Traefik n’obtient pas de certificat pour {wanted} : {failures}.",
    fix=Fix(
        "Remède : {remedy}. Traefik essaie de nouveau à son démarrage, et une fois par jour pour un renouvellement.",
        ("docker logs --since 48h {container}",),
        LOOK,
    ),
)
def certificates_obtained(
    log_events: Rows[LogEvent],
    docker_engine: Rows[DockerEngine],
    logs: Rows[Log] | None = None,
    certificates: Rows[Certificate] | None = None,
    routes: Rows[Route] | None = None,
) -> Iterator[NoCertificate]:
    """Failures of the last days to get or renew a certificate, by domain, each cause with its dates and count.

    Not those of a domain that was given one since, nor of one that no router serves any more.
    """
    for (kind, name), events in _failures(log_events, docker_engine).items():
        if kind == "resolver":
            wanted = f"ce que demande le résolveur {quoted(name)}"
            fault = _no_certificate(events, wanted, ("source", f"certificatesResolvers.{name}"), _writer(logs))
            yield replace(fault, resolver=name)
        elif _is_routed(name, routes) and not _given_since(name, Span.of(events).last, certificates or ()):
            fault = _no_certificate(events, quoted(name), ("domain", name), _writer(logs))
            asked = {route.cert_resolver for route in routes or () if route.domain == name and route.cert_resolver}
            target = None if "*" in name else target_of(name)
            yield replace(fault, domain=name, target=target, asked=tuple(sorted(asked)))


def _no_certificate(events: Sequence[LogEvent], wanted: str, subject: Subject, container: str | None) -> NoCertificate:
    span, causes = Span.of(events), [*dict.fromkeys(event.cause or "other" for event in events)]
    return NoCertificate(
        subjects=(subject,),
        causes=tuple(CAUSES.get(cause, cause) for cause in causes),
        count=span.count,
        first=span.first,
        last=span.last,
        example=events[0].example,
        wanted=wanted,
        failures=listing(map(_failure, events)),
        remedy=next((_REMEDIES[cause] for cause in causes if cause in _REMEDIES), "lire le message dans la preuve"),
        container=container,
    )


def _failures(log_events: Rows[LogEvent], docker_engine: Rows[DockerEngine]) -> Mapping[Subject, list[LogEvent]]:
    """The recent failures by domain, by resolver where they name no domain; the most frequent of each first."""
    failures: dict[Subject, list[LogEvent]] = {}
    for event in log_events:
        if event.kind in _ACME and _is_recent(event, docker_engine):
            for subject in _concerned(event):
                failures.setdefault(subject, []).append(event)
    for events in failures.values():
        events.sort(key=lambda event: (-Span.of([event]).count, event.cause or ""))
    return failures


def _concerned(event: LogEvent) -> list[Subject]:
    """What a failure is about: its domains, else its resolver."""
    if event.domains:
        return [("domain", domain) for domain in event.domains]
    if event.subject and event.subject_kind in ("resolver", "domain"):
        return [(event.subject_kind, event.subject)]
    return []


def _given_since(domain: str, failed: dt.datetime, certificates: Iterable[Certificate]) -> bool:
    """Whether a domain was given a certificate after a failure."""
    since = (row for row in certificates if row.not_before is not None and row.not_before > failed - _BACKDATED)
    return any(domain in (certificate.domains or ()) for certificate in since)


def _is_routed(domain: str, routes: Rows[Route] | None) -> bool:
    """Whether a router in force may ask for a certificate of this name, or routes are not known.

    A wildcard, and a name that « tls.domains » asks for, are those of no route: one below their parent counts then.
    """
    if routes is None:
        return True
    parent = domain.removeprefix("*.")
    live = {route.domain for route in routes if route.status != "disabled"}
    return any(name is None or name == domain or name.startswith("~") or name.endswith(f".{parent}") for name in live)


def _failure(event: LogEvent) -> str:
    """A cause with its count and dates."""
    cause, span = event.cause or "other", Span.of([event])
    when = f"le {instant(span.last)}"
    if span.count > 1 and span.first is not None and span.first != span.last:
        when = f"du {instant(span.first)} au {instant(span.last)}"
    title = "cause non reconnue" if cause == "other" else CAUSES.get(cause, cause)
    return f"{title} ({number(span.count)} fois, {when})"


# What the log names and findings do not know as a kind of thing.
_KINDS = {"provider": "source", "resolver": "source"}


class LoggedError(Fault):
    """Errors of one kind, about one thing, that Traefik wrote."""

    kind: str
    subject: str | None
    level: str | None
    count: int
    first: dt.datetime | None
    last: dt.datetime
    example: str | None
    error: str = word()
    named: str = word()
    number: str = word()
    latest: str = word()
    container: str | None = word()


@check(
    "LOG-002",
    "medium",
    "Le journal de Traefik ne contient aucune erreur récente inexpliquée",
    key=(),
    confidence="probable",
    message="Le journal de Traefik signale {error} ({named}{number} fois, la dernière le {latest}) : « {example} ».",
    fix=Fix(
        "Lire le message et ce qui l’entoure dans le journal de Traefik, et corriger ce qu’il signale.",
        ("docker logs --since 24h {container}",),
    ),
)
def unexplained_errors(
    log_events: Rows[LogEvent],
    docker_engine: Rows[DockerEngine],
    traefik: Rows[Traefik] | None = None,
    logs: Rows[Log] | None = None,
) -> Iterator[LoggedError]:
    """Errors of the last days, and of this run of Traefik, of kinds that no other check judges from the facts."""
    groups: dict[tuple[str, str, str], list[LogEvent]] = {}
    for event in journal.errors(log_events):
        if _is_unexplained(event) and _is_recent(event, docker_engine, start(traefik)):
            key = (event.kind, event.subject_kind or "source", event.subject or "traefik")
            groups.setdefault(key, []).append(event)
    for (kind, subject_kind, subject), events in groups.items():
        is_named, span = subject_kind != "source", Span.of(events)
        yield LoggedError(
            subjects=((_KINDS.get(subject_kind, subject_kind), subject), ("source", f"log {kind}")),
            kind=KINDS[kind],
            subject=subject if is_named else None,
            level=events[0].level,
            count=span.count,
            first=span.first,
            last=span.last,
            example=events[0].example,
            error="une erreur" if kind == "other" else quoted(KINDS[kind]),
            named=f"{SUBJECTS.get(subject_kind, subject_kind)} « {subject} », " if is_named else "",
            number=number(span.count),
            latest=instant(span.last),
            container=_writer(logs),
        )


def _is_unexplained(event: LogEvent) -> bool:
    """Whether an event is a grave error of a kind that no other check judges."""
    judged = event.kind == "provider_failed" and event.provider in _JUDGED_PROVIDERS
    return event.kind in _LEFT and event.level in journal.GRAVE and not judged


class OldVersion(Fault):
    """A Traefik below the version that its log announces."""

    container: str | None
    version: str | None
    announced: str = fact("Version annoncée")
    named: str = word()
    running: str = word()
    image: str = word()


@check(
    "LOG-003",
    "info",
    "Traefik est à jour de ce que son journal annonce",
    key=("container",),
    message="Le journal de Traefik{named} annonce la version {announced}{running}.",
    fix=Fix(
        "Lire les notes de version, puis remplacer « {image} » par la nouvelle version là où l’image est nommée, et "
        "recréer le conteneur.",
        ("{compose} up -d {service}",),
        ("docker exec {container} traefik version",),
    ),
)
def up_to_date(
    log_events: Rows[LogEvent],
    traefik: Rows[Traefik] | None = None,
    logs: Rows[Log] | None = None,
    containers: Rows[Container] | None = None,
) -> Iterator[OldVersion]:
    """A version announced that is above the one that runs. Traefik looks once a day (`version.CheckNewVersion`)."""
    api = traefik[0] if traefik else Traefik(url="")
    newer = journal.newer_version(log_events, api.version)
    if newer is None:
        return
    name = api.container or _writer(logs)
    container = containers.by(Container.name).get(name) if containers and name else None
    yield OldVersion(
        subjects=(("container", name) if name else ("source", "traefik"),),
        container=name,
        version=api.version,
        announced=newer,
        named=f" (conteneur « {name} »)" if name else "",
        running=f" ; la version {api.version} est en service" if api.version else "",
        image=(container.image if container else None) or "traefik",
    )


class ServerErrors(Fault):
    """A router that answers too often by an error of the server."""

    router: str
    requests: int
    status_5xx: int
    traefik_5xx: int
    application_5xx: int
    first: dt.datetime | None
    last: dt.datetime | None
    share: str = word()
    total: str = word()
    origin: str = word()
    since: str = word()
    container: str | None = word()
    remedy: str = word()

    @property
    def about(self) -> About:
        """What lies on the way to the application, unless it gave all these answers."""
        return {} if self.traefik_5xx else {"service": (), "target": ()}


@check(
    "LOG-004",
    "medium",
    "Aucun routeur ne répond trop souvent par une erreur de serveur",
    key=("router",),
    message="Le routeur « {router} » répond par une erreur de serveur (5xx) à {share} % de {total}{origin}{since}.",
    fix=Fix(
        "{remedy}",
        ("docker logs --since 24h {container}",),
    ),
)
def few_server_errors(access_stats: Rows[AccessStat], routes: Rows[Route] | None = None) -> Iterator[ServerErrors]:
    """Routers with a share of 5xx answers of 5 % or more, of twenty requests at least, in the access log."""
    behind = {route.router: route.container for route in routes or ()}
    for router, stats in access_stats.grouped(AccessStat.router).items():
        many = _total(stat.requests for stat in stats) >= _ENOUGH
        if router and many and (share := journal.share_of_5xx(stats) or 0) >= _THRESHOLD:
            yield _server_errors(router, stats, share, behind.get(router))


def _server_errors(router: str, stats: Rows[AccessStat], share: float, container: str | None) -> ServerErrors:
    requests, failed = _total(stat.requests for stat in stats), _total(stat.status_5xx for stat in stats)
    unserved, first = _total(stat.traefik_5xx for stat in stats), _earliest(stat.first for stat in stats)
    return ServerErrors(
        router=router,
        requests=requests,
        status_5xx=failed,
        traefik_5xx=unserved,
        application_5xx=_total(stat.application_5xx for stat in stats),
        first=first,
        last=max((stat.last for stat in stats if stat.last), default=None),
        share=number(100 * share, 1),
        total=plural(requests, "requête"),
        origin=f", dont {number(unserved)} sans réponse d’aucun serveur" if unserved else "",
        since=f", depuis le {instant(first)}" if first else "",
        container=container,
        remedy="Chercher pourquoi Traefik ne joint pas le serveur (arrêté, port, réseau, délai)."
        if unserved > failed / 2
        else "Chercher l’erreur dans les journaux de l’application : c’est elle qui répond ainsi.",
    )
