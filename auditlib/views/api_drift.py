"""Where Traefik's API and the prediction disagree, and why they may: what Traefik missed, or what it dropped."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from auditlib.addresses import host_and_port
from auditlib.facts.legacy import Record, records
from auditlib.facts.table import Row, prose, several, table, text, view

SIDES = {"api": "dans Traefik seulement", "predicted": "prévu seulement", "changed": "différent"}
CAUSES = {
    "stale_address": "adresse périmée",
    "missed_event": "événement manqué",
    "file_broken": "fichier cassé",
    "file_changed": "fichier changé",
    "provider_silent": "fournisseur muet",
}


@table(
    "provider_differences",
    "Écarts entre Traefik et ses sources",
    "Ce que Traefik a chargé et que les étiquettes et fichiers ne disent pas, et l’inverse, avec l’explication.",
    key=("kind", "protocol", "name", "detail"),
)
class ProviderDifference(Row):
    """Something that Traefik loaded otherwise than predicted."""

    kind: str = text("Nature", words={"router": "routeur", "service": "service", "server": "serveur"})
    protocol: str = text("Protocole")
    name: str = text("Nom")
    detail: str | None = text("Valeur", "L’adresse d’un serveur, ou la propriété qui diffère.", missing="")
    side: str | None = text("Où", words=SIDES)
    cause: str | None = text("Cause", words=CAUSES)
    reason: str | None = prose("Explication")
    containers: tuple[str, ...] | None = several("Conteneurs")
    file: str | None = text("Fichier")


@dataclass(frozen=True)
class _Sources:
    """What explains a difference."""

    addresses: frozenset[str]  # those of the containers, now
    broken: Record | None  # a file that Traefik refuses
    silent: bool  # Traefik has nothing at all of its Docker provider


@view(ProviderDifference)
def provider_differences(
    traefik_routers: pd.DataFrame,
    traefik_services: pd.DataFrame,
    traefik_servers: pd.DataFrame,
    predicted_routers: pd.DataFrame,
    predicted_services: pd.DataFrame,
    predicted_servers: pd.DataFrame,
    container_networks: pd.DataFrame,
    entrypoints: pd.DataFrame,
    traefik_files: pd.DataFrame | None = None,
) -> Iterator[Record]:
    """One row per router, service or server that only one side has, or that differs.

    Only what labels and files declare is compared; files are left out when they were not read.
    """
    providers = {"docker"} | ({"file"} if traefik_files is not None else set())
    points = [re.escape(row["entrypoint"]) for row in records(entrypoints)]
    prefix = re.compile(rf"^(?:{'|'.join(points)})-(?:conflicted-)?") if points else re.compile(r"^(?!)")
    files = records(traefik_files) if traefik_files is not None else []
    real = [row for row in records(traefik_services) if row["provider"] == "docker"]
    made = [row for row in records(predicted_services) if row["provider"] == "docker"]
    addresses = {end for row in records(container_networks) for end in (row["ipv4"], row["ipv6"]) if end}
    sources = _Sources(
        frozenset(addresses),
        next((row for row in files if row["status"] == "broken"), None),
        bool(made) and not real,
    )
    templated = any(row["status"] == "templated" for row in files)
    compared = {"docker"} if templated else providers
    for kind, api, prediction in (
        ("router", records(traefik_routers), records(predicted_routers)),
        ("service", records(traefik_services), records(predicted_services)),
    ):
        yield from _objects(kind, api, prediction, compared, prefix, sources)
    common = {(row["protocol"], row["service"]) for row in records(traefik_services)}
    common &= {(row["protocol"], row["service"]) for row in records(predicted_services) if row["provider"] in compared}
    yield from _servers(records(traefik_servers), records(predicted_servers), common, sources)


def _objects(
    kind: str,
    api: list[Record],
    prediction: list[Record],
    providers: set[str],
    prefix: re.Pattern[str],
    sources: _Sources,
) -> Iterator[Record]:
    """Routers or services that only one side has, and routers whose rule or service differ."""

    def keyed(rows: list[Record]) -> dict[tuple[str, str], Record]:
        return {(row["protocol"], row[kind]): row for row in rows if row["provider"] in providers}

    def stem(key: tuple[str, str]) -> tuple[str, str]:
        # A router that was split over its entry points is the same router.
        return key[0], prefix.sub("", key[1]) if kind == "router" else key[1]

    real, made = keyed(api), keyed(prediction)
    for side, mine, twin in (("api", real, made), ("predicted", made, real)):
        stems = {stem(key) for key in twin}
        for key, row in mine.items():
            if stem(key) not in stems:
                yield _row(kind, key, "", side, row, sources)
    for key in sorted({*real} & {*made}) if kind == "router" else []:
        for column in ("rule", "service"):
            if made[key][column] is not None and real[key][column] != made[key][column]:
                yield _row(kind, key, column, "changed", made[key], sources)


def _servers(
    api: list[Record], prediction: list[Record], common: set[tuple[str, str]], sources: _Sources
) -> Iterator[Record]:
    """Servers of services that both sides have: an address that is no longer anybody's, or one that is missing."""

    def urls(rows: list[Record]) -> dict[tuple[str, str], list[Record]]:
        found: dict[tuple[str, str], list[Record]] = {}
        for row in rows:
            if (row["protocol"], row["service"]) in common:
                found.setdefault((row["protocol"], row["service"]), []).append(row)
        return found

    real, made = urls(api), urls(prediction)
    for key in sorted(common):
        possible = {row["url"] for row in made.get(key, [])}
        held = {row["url"] for row in real.get(key, [])}
        for url in sorted(held - possible):
            yield _row("server", key, url, "api", {"containers": (), "file": None}, sources)
        for row in made.get(key, []):
            if row["certain"] and row["url"] not in held:
                named = {"containers": (row["container"],) if row["container"] else (), "file": None}
                yield _row("server", key, row["url"], "predicted", named, sources)


def _row(kind: str, key: tuple[str, str], detail: str, side: str, row: Record, sources: _Sources) -> Record:
    protocol, name = key
    cause, reason = _explained(kind, name, detail, side, sources)
    return {
        "kind": kind,
        "protocol": protocol,
        "name": name,
        "detail": detail or None,
        "side": side,
        "cause": cause,
        "reason": reason,
        "containers": row.get("containers") or (),
        "file": row.get("file"),
    }


# Why, by what differs: kind of provider or object, and side.
_REASONS = {
    "file_broken": {
        "api": "Le fichier {where} est cassé : Traefik garde ce qu’il avait lu avant.",
        "predicted": "Le fichier {where} est cassé : Traefik ne prend plus rien des fichiers.",
    },
    "file_changed": {
        "api": "Aucun fichier ne le déclare plus : Traefik n’a pas relu ses fichiers.",
        "predicted": "Traefik n’a pas relu ce fichier (il ne surveille pas les sous-dossiers).",
        "changed": "Le fichier dit autre chose que ce que Traefik a chargé : il ne l’a pas relu.",
    },
    "provider_silent": {
        "predicted": "Traefik n’a rien du moteur Docker : version d’API refusée, ou socket fermé.",
    },
    "stale_address": {
        "api": "Aucun conteneur n’a plus cette adresse : Traefik ne l’apprend qu’au prochain événement.",
    },
    "missed_event": {
        "api": "Aucun conteneur en marche ne le déclare plus : Traefik n’a pas appris le changement.",
        "predicted": "Un conteneur le déclare et Traefik ne l’a pas : il a manqué l’événement de son démarrage.",
        "changed": "Les étiquettes disent autre chose que ce que Traefik a chargé : il ne les a pas relues.",
    },
}


def _explained(kind: str, name: str, detail: str, side: str, sources: _Sources) -> tuple[str, str]:
    cause, where = "missed_event", ""
    if name.endswith("@file"):
        cause = "file_changed"
        if sources.broken is not None and side != "changed":
            line = sources.broken["line"]
            cause, where = "file_broken", sources.broken["path"] + (f", ligne {line}," if line else "")
    elif sources.silent and side == "predicted":
        cause = "provider_silent"
    elif kind == "server" and side == "api":
        host, _ = host_and_port(detail)
        cause = "missed_event" if host in sources.addresses else "stale_address"
    return cause, _REASONS[cause][side].format(where=where)
