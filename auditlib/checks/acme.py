"""ACME: where certificates are kept, and the resolvers that routers name."""

import posixpath
import re
from collections.abc import Iterator

import pandas as pd

from auditlib.checks.moments import start
from auditlib.facts.legacy import Record, records
from auditlib.facts.snapshot import AbsentTable
from auditlib.findings.check import Fix, NotApplicable, check
from auditlib.french import instant, listing, quoted

_RESOLVER = re.compile(r"certificatesresolvers\.([^.]+)\.[^.]+")


@check(
    "ACME-001",
    "critical",
    "Le stockage ACME n’est lisible que de son propriétaire",
    key=("container", "source"),
    message="Le stockage « {path} » du résolveur « {resolver} »{bearer} a les droits {mode} : {effect}.",
    fix=Fix(
        "Ôter tout droit au groupe et aux autres, puis redémarrer Traefik : il ne relit le stockage qu’à son "
        "démarrage.{where}",
        ("chmod 600 {file}", "docker restart {container}"),
        ("docker exec {container} ls -ln {path}", "stat -c %a {own}"),
    ),
)
def private_storage(
    acme_storage: pd.DataFrame, log_events: pd.DataFrame | None = None, traefik: pd.DataFrame | None = None
) -> Iterator[Record]:
    """Storages that others may read. Traefik then skips the resolver, at its start only (`local_store.go`).

    Critical once the log says that it did; until then, its next start will.
    """
    skipped = _skipped(log_events, traefik)
    for row in records(acme_storage):
        if row["mode"] is None or not int(row["mode"], 8) & 0o077 or row["kind"] == "directory":
            continue
        seen = row["resolver"] in skipped
        yield {
            "subjects": _subjects(row),
            "container": row["container"],
            "resolver": row["resolver"],
            "path": row["path"],
            "host_path": row["host_path"],
            "mode": row["mode"],
            "owner": row["owner"],
            "severity": "critical" if seen else "high",
            "wording": {
                "bearer": _bearer(row),
                "effect": "Traefik a écarté ce résolveur, et sert son certificat par défaut"
                if seen
                else "au prochain démarrage, Traefik écartera ce résolveur et servira son certificat par défaut",
                "file": row["host_path"],
                "own": None if row["container"] else row["host_path"],
                "where": "" if row["host_path"] else " Ce fichier n’est sur aucun montage de la machine.",
            },
        }


def _skipped(log_events: pd.DataFrame | None, traefik: pd.DataFrame | None) -> dict[str, Record]:
    """The resolvers that this run of Traefik says it skipped, as far as its log tells them by name."""
    started = start(traefik)
    events = [] if log_events is None else records(log_events)
    return {
        row["subject"]: row
        for row in events
        if row["kind"] == "resolver_skipped"
        and row["subject_kind"] == "resolver"
        and (started is None or row["last"] is None or row["last"] >= started)
    }


@check(
    "ACME-002",
    "high",
    "Le stockage ACME est présent, valide et garni",
    key=("container", "source"),
    message="Le stockage « {path} » du résolveur « {resolver} »{bearer} {state}{users}.",
    fix=Fix(
        "{remedy}",
        ("docker logs --since 24h {container}",),
        ("docker exec {container} ls -ln {path}",),
    ),
)
def stored_certificates(
    acme_storage: pd.DataFrame, routes: pd.DataFrame | None = None, tls_probes: pd.DataFrame | None = None
) -> Iterator[Record]:
    """Storages that are missing, are no file, cannot be read by Traefik, or are empty while routers use the resolver.

    A domain that is served a certificate of its own has it from elsewhere: it misses nothing in the storage. Whether
    a resolver is in use is not known without the routes, and an empty storage is then nothing.
    """
    served = {row["domain"] for row in (records(tls_probes) if tls_probes is not None else []) if _fit(row)}
    for row in records(acme_storage):
        lacking = sorted(_users(routes, row["resolver"]) - served)
        broken = row["exists"] is False or row["valid"] is False
        if not broken and not (row["certificates"] == 0 and lacking):
            continue
        yield {
            "subjects": _subjects(row),
            "container": row["container"],
            "resolver": row["resolver"],
            "path": row["path"],
            "exists": row["exists"],
            "valid": row["valid"],
            "cause": row["cause"],
            "certificates": row["certificates"],
            "domains": lacking,
            "wording": {
                "bearer": _bearer(row),
                "state": _state(row),
                "users": f", alors que {listing(map(quoted, lacking[:5]))}{'…' if len(lacking) > 5 else ''} "
                f"{'attend' if len(lacking) == 1 else 'attendent'} un certificat"
                if lacking
                else "",
                "remedy": _remedy(row),
            },
        }
    if routes is None:
        raise AbsentTable("traefik_routers", "les routeurs de Traefik n’ont pas été lus")


def _subjects(storage: Record) -> tuple[tuple[str, str], ...]:
    resolver = ("source", f"certificatesResolvers.{storage['resolver']}")
    return (("container", storage["container"]), resolver) if storage["container"] else (resolver,)


def _bearer(storage: Record) -> str:
    """Whose storage it is; nothing for a Traefik of the machine itself."""
    return f" (conteneur {quoted(storage['container'])})" if storage["container"] else ""


def _fit(probe: Record) -> bool:
    return probe["covers"] is True and probe["default"] is False


def _users(routes: pd.DataFrame | None, resolver: str) -> set[str]:
    """The domains whose routers ask this resolver for a certificate. Patterns ask for none."""
    return {
        row["domain"]
        for row in (records(routes) if routes is not None else [])
        if row["cert_resolver"] == resolver
        and row["status"] != "disabled"
        and row["domain"]
        and not row["domain"].startswith(("~", "*"))
    }


def _state(row: Record) -> str:
    if row["exists"] is False:
        return "est absent"
    if row["valid"] is False:
        return f"ne peut être lu par Traefik ({row['cause'] or 'contenu non valide'})"
    return "ne contient aucun certificat"


def _remedy(row: Record) -> str:
    if row["exists"] is False:
        folder = posixpath.dirname(row["path"] or "") or "/"
        return (
            f"Monter dans le conteneur un dossier de la machine sur « {folder} », où Traefik puisse écrire, puis le "
            "redémarrer : il crée le fichier lui-même."
        )
    if row["kind"] == "directory":
        return (
            "Docker crée un dossier quand le fichier à monter n’existe pas : le supprimer, créer à sa place un "
            "fichier vide aux droits 600, puis recréer le conteneur."
        )
    if row["valid"] is False:
        return (
            "Restaurer ce fichier d’une sauvegarde, ou le vider (droits 600) pour que Traefik redemande tous les "
            "certificats, puis le redémarrer ; une autorité limite le nombre de demandes par semaine."
        )
    return "Chercher dans le journal de Traefik pourquoi aucun certificat n’est obtenu, et corriger cette cause."


@check(
    "ACME-003",
    "high",
    "Le stockage ACME est sur un montage persistant",
    key=("container", "source"),
    message="Le stockage « {path} » du résolveur « {resolver} » n’est sur aucun montage persistant du conteneur "
    "« {container} » : recréer le conteneur perd les certificats et le compte, et l’autorité limite les nouvelles "
    "demandes.",
    fix=Fix(
        "Copier le fichier hors du conteneur avant de le recréer, puis monter sur « {folder} » un dossier de la "
        "machine qui le contient (droits 600).",
        ("docker cp {source} acme.json",),
        ("docker inspect --format '{{{{json .Mounts}}}}' {container}",),
    ),
)
def persistent_storage(acme_storage: pd.DataFrame) -> Iterator[Record]:
    """Storages on no volume and no bind mount."""
    for row in records(acme_storage):
        if row["persistent"] is False and row["container"]:
            yield {
                "subjects": _subjects(row),
                "container": row["container"],
                "resolver": row["resolver"],
                "path": row["path"],
                "certificates": row["certificates"],
                "wording": {
                    "folder": posixpath.dirname(row["path"] or "") or "/",
                    # Nothing to copy of a file that is not there.
                    "source": None if row["exists"] is False else f"{row['container']}:{row['path']}",
                },
            }


@check(
    "ACME-004",
    "high",
    "Chaque résolveur nommé par un routeur existe",
    key=("router",),
    message="Le routeur « {router} » demande ses certificats au résolveur « {resolver} », {fault} : {effect}.",
    fix=Fix("{remedy}", ("docker restart {proxy}",), ("docker logs --since 10m {proxy}",)),
)
def known_resolvers(
    routes: pd.DataFrame,
    traefik_static: pd.DataFrame,
    log_events: pd.DataFrame | None = None,
    traefik: pd.DataFrame | None = None,
) -> Iterator[Record]:
    """Routers that name a resolver that the static configuration lacks, or that Traefik says it skipped.

    Traefik serves them all the same, with another certificate; its API reports nothing of it.
    """
    asking: dict[str, list[Record]] = {}
    for row in records(routes):
        if row["cert_resolver"] and row["tls"] and row["status"] != "disabled":
            asking.setdefault(row["router"], []).append(row)
    if not asking:
        raise NotApplicable("aucun routeur ne demande de certificat à un résolveur")
    static = records(traefik_static)
    if any(row["effective"] is None for row in static):
        raise AbsentTable("traefik_static", "la configuration statique en vigueur n’est pas connue avec certitude")
    known = {found[1] for row in static if row["effective"] and (found := _RESOLVER.match(row["key"]))}
    skipped = _skipped(log_events, traefik)
    container = next((row["container"] for row in static), None)
    for router, rows in asking.items():
        resolver = rows[0]["cert_resolver"]
        if resolver in known and resolver not in skipped:
            continue
        domains = sorted({row["domain"] for row in rows if row["domain"]})
        yield {
            "router": router,
            "resolver": resolver,
            "domains": domains,
            "known": sorted(known),
            "wording": _wording(resolver, known, skipped.get(resolver))
            | {"proxy": container, "effect": _without(domains)},
        }


def _without(domains: list[str]) -> str:
    if not domains:
        return "aucun certificat ne vient de lui"
    shown = listing(map(quoted, domains[:5])) + ("…" if len(domains) > 5 else "")
    return f"{shown} {'ne peut' if len(domains) == 1 else 'ne peuvent'} avoir de certificat par lui"


def _wording(resolver: str, known: set[str], event: Record | None) -> Record:
    if resolver in known:
        when = f" le {instant(event['last'])}" if event and event["last"] else ""
        return {
            "fault": f"que Traefik a écarté à son démarrage{when}",
            "remedy": "Corriger ce qui fait écarter le résolveur, le plus souvent les droits de son stockage (600), "
            "puis redémarrer Traefik.",
        }
    near = next((name for name in known if name.lower() == resolver.lower()), None)
    told = f"les noms tiennent compte des majuscules : écrire « {near} »" if near else ""
    others = f"nommer un résolveur qui existe ({listing(map(quoted, sorted(known)))})" if known else ""
    ways = [told or others, f"déclarer « certificatesResolvers.{resolver} » dans la configuration statique"]
    remedy = ", ou ".join(filter(None, ways))
    return {
        "fault": "qui n’existe pas",
        "remedy": f"{remedy[:1].upper()}{remedy[1:]}, puis redémarrer Traefik.",
    }
