"""LOG: what Traefik wrote of itself, and how requests end."""

import datetime as dt
from collections.abc import Iterator

import pandas as pd

from auditlib.checks.moments import RECENT, now, start
from auditlib.facts.legacy import Record, records
from auditlib.facts.tables.logs import CAUSES, KINDS, SUBJECTS
from auditlib.findings.check import Fix, check
from auditlib.findings.commands import compose
from auditlib.french import instant, listing, number, plural, quoted
from auditlib.views import logs as journal

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


@check(
    "LOG-001",
    "high",
    "Aucune demande récente de certificat n’a échoué",
    key=("domain",),
    message="Traefik n’obtient pas de certificat pour {about} : {failures}.",
    fix=Fix(
        "Remède : {remedy}. Traefik essaie de nouveau à son démarrage, et une fois par jour pour un renouvellement.",
        ("docker logs --since 48h {container}",),
        ("curl -kvsS -o /dev/null --resolve {resolve} {url}",),
    ),
)
def certificates_obtained(
    log_events: pd.DataFrame,
    docker_engine: pd.DataFrame,
    logs: pd.DataFrame | None = None,
    certificates: pd.DataFrame | None = None,
    routes: pd.DataFrame | None = None,
) -> Iterator[Record]:
    """Failures of the last days to get or renew a certificate, by domain, each cause with its dates and count.

    Not those of a domain that was given one since, nor of one that no router serves any more.
    """
    failures: dict[tuple[str, str], list[Record]] = {}
    for event in records(log_events):
        if event["kind"] not in _ACME or not _recent(event, docker_engine):
            continue
        for domain in event["domains"] or ():
            failures.setdefault(("domain", domain), []).append(event)
        if not event["domains"] and event["subject_kind"] in ("resolver", "domain"):
            failures.setdefault((event["subject_kind"], event["subject"]), []).append(event)
    live = None if routes is None else {row["domain"] for row in records(routes) if row["status"] != "disabled"}
    for (kind, name), events in failures.items():
        events.sort(key=lambda event: (-event["count"], event["cause"] or ""))
        if kind == "domain" and _given_since(name, events, certificates):
            continue
        # A wildcard, and a name that « tls.domains » asks for, are those of no route.
        if kind == "domain" and live is not None and name not in live and not _beside(name, live):
            continue
        causes = [*dict.fromkeys(event["cause"] or "other" for event in events)]
        yield {
            "subjects": (("domain", name) if kind == "domain" else ("source", f"certificatesResolvers.{name}"),),
            kind: name,
            "causes": [CAUSES.get(cause, cause) for cause in causes],
            "count": sum(event["count"] for event in events),
            "first": min(filter(None, (event["first"] for event in events)), default=None),
            "last": max(filter(None, (event["last"] for event in events)), default=None),
            "example": events[0]["example"],
            "wording": {
                "about": quoted(name) if kind == "domain" else f"ce que demande le résolveur {quoted(name)}",
                "failures": listing(_failure(event) for event in events),
                "remedy": next(
                    (_REMEDIES[one] for one in causes if one in _REMEDIES), "lire le message dans la preuve"
                ),
                "container": _writer(logs),
                "resolve": f"{name}:443:127.0.0.1" if kind == "domain" and "*" not in name else None,
                "url": f"https://{name}/",
            },
        }


def _recent(event: Record, docker_engine: pd.DataFrame) -> bool:
    return event["last"] is not None and now(docker_engine) - event["last"] <= RECENT


def _given_since(domain: str, events: list[Record], certificates: pd.DataFrame | None) -> bool:
    last = max(event["last"] for event in events)
    held = [] if certificates is None else records(certificates)
    return any(
        row["not_before"] is not None and row["not_before"] > last - _BACKDATED and domain in (row["domains"] or ())
        for row in held
    )


def _beside(name: str, live: set[str | None]) -> bool:
    """Whether a router in force may ask for a name that it does not write: a wildcard, or its parent domain."""
    parent = name.removeprefix("*.")
    return any(domain is None or domain.startswith("~") or domain.endswith(f".{parent}") for domain in live)


def _failure(event: Record) -> str:
    span = f"le {instant(event['last'])}"
    if event["count"] > 1 and event["first"] is not None and event["first"] != event["last"]:
        span = f"du {instant(event['first'])} au {instant(event['last'])}"
    return f"{_cause(event)} ({number(event['count'])} fois, {span})"


def _cause(event: Record) -> str:
    cause = event["cause"] or "other"
    return "cause non reconnue" if cause == "other" else CAUSES.get(cause, cause)


# What the log names and findings do not know as a kind of thing.
_KINDS = {"provider": "source", "resolver": "source"}


def _writer(logs: pd.DataFrame | None) -> str | None:
    """The container that wrote Traefik's log."""
    rows = [] if logs is None else records(logs)
    return next((row["container"] for row in rows if row["log"] == "traefik"), None)


@check(
    "LOG-002",
    "medium",
    "Le journal de Traefik ne contient aucune erreur récente inexpliquée",
    key=(),
    confidence="probable",
    message="Le journal de Traefik signale {kind} ({about}{number} fois, la dernière le {last}) : « {example} ».",
    fix=Fix(
        "Lire le message et ce qui l’entoure dans le journal de Traefik, et corriger ce qu’il signale.",
        ("docker logs --since 24h {container}",),
    ),
)
def unexplained_errors(
    log_events: pd.DataFrame,
    docker_engine: pd.DataFrame,
    traefik: pd.DataFrame | None = None,
    logs: pd.DataFrame | None = None,
) -> Iterator[Record]:
    """Errors of the last days, and of this run of Traefik, of kinds that no other check judges from the facts."""
    started, groups = start(traefik), dict[tuple[str, str, str], list[Record]]()
    for event in journal.errors(records(log_events)):
        if event["kind"] not in _LEFT or event["level"] not in journal.GRAVE or not _recent(event, docker_engine):
            continue
        if event["kind"] == "provider_failed" and event["provider"] in _JUDGED_PROVIDERS:
            continue
        if started is not None and event["last"] < started:
            continue
        about = (event["subject_kind"] or "source", event["subject"] or "traefik")
        groups.setdefault((event["kind"], *about), []).append(event)
    for (kind, subject_kind, subject), events in groups.items():
        named = subject_kind != "source"
        yield {
            "subjects": ((_KINDS.get(subject_kind, subject_kind), subject), ("source", f"log {kind}")),
            "kind": KINDS[kind],
            "subject": subject if named else None,
            "level": events[0]["level"],
            "count": sum(event["count"] for event in events),
            "first": min(filter(None, (event["first"] for event in events)), default=None),
            "last": max(event["last"] for event in events),
            "example": events[0]["example"],
            "wording": {
                "kind": "une erreur" if kind == "other" else f"« {KINDS[kind]} »",
                "about": f"{SUBJECTS.get(subject_kind, subject_kind)} « {subject} », " if named else "",
                "number": number(sum(event["count"] for event in events)),
                "last": instant(max(event["last"] for event in events)),
                "container": _writer(logs),
            },
        }


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
    log_events: pd.DataFrame,
    traefik: pd.DataFrame | None = None,
    logs: pd.DataFrame | None = None,
    containers: pd.DataFrame | None = None,
) -> Iterator[Record]:
    """A version announced that is above the one that runs. Traefik looks once a day (`version.CheckNewVersion`)."""
    rows = [] if traefik is None else records(traefik)
    running = next((row["version"] for row in rows), None)
    newer = journal.newer_version(records(log_events), running)
    if newer is None:
        return
    container = next((row["container"] for row in rows if row["container"]), None) or _writer(logs)
    known = {} if containers is None else {row["name"]: row for row in records(containers)}
    one = known.get(container or "")
    yield {
        "subjects": (("container", container),) if container else (("source", "traefik"),),
        "container": container,
        "version": running,
        "announced": newer,
        "wording": {
            "named": f" (conteneur « {container} »)" if container else "",
            "running": f" ; la version {running} est en service" if running else "",
            "image": (one or {}).get("image") or "traefik",
            **(compose(one) if one else {"compose": None, "service": None}),
        },
    }


@check(
    "LOG-004",
    "medium",
    "Aucun routeur ne répond trop souvent par une erreur de serveur",
    key=("router",),
    message="Le routeur « {router} » répond par une erreur de serveur (5xx) à {share} % de {requests}{origin}{since}.",
    fix=Fix(
        "{remedy}",
        ("docker logs --since 24h {container}",),
    ),
)
def few_server_errors(access_stats: pd.DataFrame, routes: pd.DataFrame | None = None) -> Iterator[Record]:
    """Routers with a share of 5xx answers of 5 % or more, of twenty requests at least, in the access log."""
    stats: dict[str, list[Record]] = {}
    for row in records(access_stats):
        if row["router"]:
            stats.setdefault(row["router"], []).append(row)
    behind = {} if routes is None else {row["router"]: row["container"] for row in records(routes)}
    for router, rows in stats.items():
        asked, share = sum(row["requests"] for row in rows), journal.share_of_5xx(rows) or 0
        if asked < _ENOUGH or share < _THRESHOLD:
            continue
        own = sum(row["traefik_5xx"] or 0 for row in rows)
        failed = sum(row["status_5xx"] for row in rows)
        first = min(filter(None, (row["first"] for row in rows)), default=None)
        yield {
            "router": router,
            "requests": asked,
            "status_5xx": failed,
            "traefik_5xx": own,
            "application_5xx": sum(row["application_5xx"] or 0 for row in rows),
            "first": first,
            "last": max(filter(None, (row["last"] for row in rows)), default=None),
            "wording": {
                "share": number(100 * share, 1),
                "requests": plural(asked, "requête"),
                "origin": f", dont {number(own)} sans réponse d’aucun serveur" if own else "",
                "since": f", depuis le {instant(first)}" if first else "",
                "container": behind.get(router),
                "remedy": "Chercher pourquoi Traefik ne joint pas le serveur (arrêté, port, réseau, délai)."
                if own > failed / 2
                else "Chercher l’erreur dans les journaux de l’application : c’est elle qui répond ainsi.",
            },
        }
