"""ROUTE: where Traefik's configuration comes from: its static sources, its files, and the Docker engine."""

from collections.abc import Iterator

import pandas as pd

from auditlib.facts.legacy import Record, records
from auditlib.facts.snapshot import AbsentTable
from auditlib.facts.table import Rows
from auditlib.facts.tables.docker import Container
from auditlib.facts.tables.traefik import StaticOption, Traefik
from auditlib.findings.check import Fix, check
from auditlib.findings.commands import compose
from auditlib.french import listing, plural, quoted
from auditlib.traefik.fields import UNTOLD
from auditlib.traefik.versions import number
from auditlib.views.decisions import running_version
from auditlib.views.entrypoints import options


@check(
    "ROUTE-013",
    "low",
    "Chaque domaine est déclaré en un seul endroit",
    key=("domain",),
    message="Les routes de « {domain} » sont réparties sans nécessité entre les étiquettes ({labels}) et les fichiers "
    "({files}), alors que ces derniers ne mènent qu’à des conteneurs ({containers}), dont les étiquettes suffiraient.",
    fix=Fix(
        "Déclarer ces routes ({files}) par les étiquettes des conteneurs ({containers}), puis les retirer des fichiers "
        "de Traefik.",
        ("docker inspect --format '{{{{json .Config.Labels}}}}' {first}",),
        ("curl -sS {api}",),
    ),
)
def one_place(
    routes: pd.DataFrame, traefik_services: pd.DataFrame, traefik: pd.DataFrame | None = None
) -> Iterator[Record]:
    """Domains with routers of labels, and of files that labels could declare as well.

    A file is needed for what is not a container of this engine and for services made of others, which no label can
    declare. Its middlewares are no routes.
    """
    simple = {row["service"] for row in records(traefik_services) if row["type"] in (None, "loadBalancer")}
    domains: dict[str, dict[str, list[Record]]] = {}
    for row in records(routes):
        if row["domain"] and not row["domain"].startswith("~") and row["status"] != "disabled":
            domains.setdefault(row["domain"], {}).setdefault(row["router"], []).append(row)
    api = next((row["url"] for row in records(traefik)), None) if traefik is not None else None
    for domain, routers in domains.items():
        labels = sorted(name for name in routers if name.endswith("@docker"))
        files = sorted(
            name
            for name, rows in routers.items()
            if name.endswith("@file") and all(row["kind"] == "conteneur" and row["service"] in simple for row in rows)
        )
        if labels and files:
            owners = sorted({row["container"] for name in files for row in routers[name]})
            yield {
                "domain": domain,
                "labels": labels,
                "files": files,
                "containers": owners,
                "wording": {"first": owners[0], "api": f"{api}/api/rawdata" if api else None},
            }


@check(
    "ROUTE-018",
    "high",
    "Chaque fichier de configuration dynamique est valide",
    key=("source",),
    message="Le fichier {source}{line_told} est refusé par Traefik ({error}) : {effect}.",
    fix=Fix(
        "Corriger {where}, puis vérifier que Traefik le relit. Une écriture en deux temps (vider, puis "
        "remplir) peut lui faire appliquer un fichier vide : écrire à côté, puis renommer.",
        (),
        ("curl -sS {api}",),
    ),
)
def valid_files(
    traefik_files: pd.DataFrame,
    traefik_file_routers: pd.DataFrame | None = None,
    traefik_routers: pd.DataFrame | None = None,
    traefik: pd.DataFrame | None = None,
) -> Iterator[Record]:
    """Files that Traefik refuses: one, and the provider gives nothing, or keeps what it had read before."""
    declared = records(traefik_file_routers) if traefik_file_routers is not None else []
    api = next((row["url"] for row in records(traefik)), None) if traefik is not None else None
    held = None
    if traefik_routers is not None:
        held = [row["router"] for row in records(traefik_routers) if row["provider"] == "file"]
    for row in records(traefik_files):
        if row["status"] == "broken":
            others = [one["router"] for one in declared if one["path"] != row["path"]]
            yield {
                "source": row["path"],
                "location": row["location"],
                "line": row["line"],
                "error": row["error"],
                "wording": {
                    "line_told": f", ligne {row['line']}," if row["line"] else "",
                    "where": (row["location"] or row["path"]) + (f", ligne {row['line']}" if row["line"] else ""),
                    "effect": _file_effect(held, others),
                    "api": f"{api}/api/rawdata" if api else None,
                },
            }
    if any(row["status"] == "unreadable" for row in records(traefik_files)):
        raise AbsentTable("traefik_files", "un fichier de configuration dynamique n’a pas pu être lu")


def _file_effect(held: list[str] | None, others: list[str]) -> str:
    if held:
        return "Traefik garde ce qu’il avait lu avant, et ne verra aucun changement, d’aucun fichier"
    lost = f" ({listing(map(quoted, others[:3]))}{'…' if len(others) > 3 else ''})" if others else ""
    if held is None:
        return f"Traefik ne prend plus rien d’aucun fichier{lost}, ou garde ce qu’il avait lu avant"
    return f"Traefik ne sert plus rien d’aucun fichier{lost}"


_ORIGINS = {"file": "le fichier statique", "flags": "les options de lancement", "environment": "l’environnement"}


@check(
    "ROUTE-019",
    "medium",
    "Toute la configuration statique de Traefik est prise en compte",
    key=(),
    message="Traefik{named} ignore {count} ({shown}) que donne {ignored} : {winner} l’emporte, et Traefik ne réunit "
    "pas ces origines.",
    fix=Fix(
        "Mettre ces options dans {winner_place}, ou les retirer, puis relancer Traefik.",
        ("{compose} up -d {service}",),
        ("docker inspect --format '{{{{json .Args}}}}' {container}",),
    ),
)
def effective_options(traefik_static: pd.DataFrame, containers: pd.DataFrame | None = None) -> Iterator[Record]:
    """Sources of static options that another one makes void (`cmd/traefik/traefik.go`): `low` when they say the same.

    `configfile` only tells where the file is, and is read from the options whatever wins.
    """
    known = {row["name"]: row for row in records(containers)} if containers is not None else {}
    ignored: dict[tuple[str | None, str], list[Record]] = {}
    effective: dict[str | None, dict[str, Record]] = {}
    for row in records(traefik_static):
        if row["effective"]:
            effective.setdefault(row["container"], {})[row["key"]] = row
        elif row["effective"] is False and row["key"] != "configfile":
            ignored.setdefault((row["container"], row["origin"]), []).append(row)
    for (container, origin), rows in ignored.items():
        winners = effective.get(container, {})
        winner = next(iter(winners.values()), None)
        if winner is None:
            continue
        keys = [row["key"] for row in rows]
        same = all(row["key"] in winners and winners[row["key"]]["value"] == row["value"] for row in rows)
        subject = ("container", container) if container else ("source", "traefik_static")
        place = _ORIGINS[winner["origin"]]
        yield {
            "subjects": (subject,) if origin != "environment" else (subject, ("source", "environment")),
            "container": container,
            "origin": origin,
            "winner": winner["origin"],
            "location": winner["location"],
            "keys": keys,
            "severity": "low" if same else "medium",
            "wording": {
                "named": f" ({quoted(container)})" if container else "",
                "count": plural(len(keys), "option"),
                "shown": [*keys[:3], f"{len(keys) - 3} autres"] if len(keys) > 4 else keys,
                "ignored": _origin(origin, rows[0]["location"]),
                "winner": _origin(winner["origin"], winner["location"]),
                "winner_place": f"{place} ({winner['location']})" if winner["location"] else place,
                **(compose(known[container]) if container in known else {"compose": None, "service": None}),
            },
        }
    if any(row["effective"] is None for row in records(traefik_static)):
        raise AbsentTable("traefik_static", "la configuration statique en vigueur n’est pas connue avec certitude")


def _origin(origin: str, location: str | None) -> str:
    words = {"file": "son fichier", "flags": "sa ligne de commande", "environment": "son environnement"}
    return words[origin] + (f" {location}" if location else "")


# The first engine whose oldest API is beyond what older versions of Traefik speak (traefik.md, section 1.8).
_ENGINE_29 = 29
_VERSION_REMEDY = (
    "Passer Traefik à la version 3.6.1 ou plus (2.11.31 pour la version 2), qui s’accorde avec le moteur sur la "
    "version de l’API."
)


@check(
    "ROUTE-020",
    "critical",
    "Traefik peut interroger le moteur Docker",
    key=(),
    message="Traefik{named} n’obtient rien du moteur Docker ({why}) : {effect}.",
    fix=Fix("{remedy}", ("{compose} up -d {service}",), ("docker logs --tail 20 {container}", "curl -sS {api}")),
)
def engine_answers(
    traefik_static: Rows[StaticOption],
    containers: Rows[Container],
    docker_engine: pd.DataFrame | None = None,
    traefik: Rows[Traefik] | None = None,
    traefik_services: pd.DataFrame | None = None,
    predicted_services: pd.DataFrame | None = None,
    log_events: pd.DataFrame | None = None,
) -> Iterator[Record]:
    """A Docker provider that gives Traefik nothing, though containers ask for it or its log says that it fails.

    With the API read, what Traefik holds decides: a refusal in the log may be over since. Without it, only a refusal
    later than Traefik's last start counts.
    """
    static = options(traefik_static)
    if not any(key == "providers.docker" or key.startswith("providers.docker.") for key in static):
        return
    if traefik_services is None and log_events is None:
        raise AbsentTable("traefik_services", "ni l’API de Traefik ni son journal n’ont été lus")
    event = _refusal(log_events)
    held = _of_docker(traefik_services)
    wanted = _of_docker(predicted_services)
    if held or (event is None and (held is None or not wanted)):
        return
    version = running_version(traefik, traefik_static, containers)
    # An image's tag may leave the last number out.
    told = ".".join(map(str, version[:2] if version[2] == UNTOLD else version)) if version else None
    engine = next((row["version"] for row in records(docker_engine)), None) if docker_engine is not None else None
    old = version is not None and (version < (2, 11, 31) or (3, 0, 0) <= version < (3, 6, 1))
    refused = bool(event and event["kind"] == "docker_version")
    outdated = refused or (old and engine is not None and number(engine)[0] >= _ENGINE_29)
    name = next((row["container"] for row in records(traefik_static)), None)
    own = next((row for row in records(containers) if row["name"] == name), None)
    api = next((row["url"] for row in records(traefik)), None) if traefik is not None else None
    yield {
        "subjects": (("container", name),) if name else (("source", "traefik_api"),),
        "container": name,
        "version": told,
        "engine": engine,
        "cause": "version" if outdated else (event or {}).get("cause"),
        "confidence": "certain" if held is not None else "probable",
        "example": (event or {}).get("example"),
        "wording": {
            "named": f" ({quoted(name)})" if name else "",
            "why": _disagreement(told, engine) if outdated else _why(event),
            "effect": f"ce que les étiquettes déclarent ({plural(len(wanted), 'service')}) ne répond pas"
            if wanted
            else "aucun conteneur ne peut être routé",
            "remedy": _VERSION_REMEDY if outdated else _socket(event),
            "api": f"{api}/api/overview" if api else None,
            **(compose(own) if own else {"compose": None, "service": None}),
        },
    }


def _disagreement(version: str | None, engine: str | None) -> str:
    spoken = f"sa version {version}" if version else "sa version"
    return f"{spoken} parle une API trop ancienne pour le moteur {engine or 'en service'}"


def _of_docker(services: pd.DataFrame | None) -> list[str] | None:
    if services is None:
        return None
    return [row["service"] for row in records(services) if row["provider"] == "docker"]


def _refusal(log_events: pd.DataFrame | None) -> Record | None:
    """The last refusal of the Docker engine since Traefik's last start, as its log tells."""
    rows = records(log_events) if log_events is not None else []
    started = max((row["last"] for row in rows if row["kind"] == "started" and row["last"] is not None), default=None)
    refusals = [
        row
        for row in rows
        if row["kind"] == "docker_version" or (row["kind"] == "provider_failed" and row["provider"] == "docker")
    ]
    current = [row for row in refusals if row["last"] is not None and (started is None or row["last"] >= started)]
    return max(current, key=lambda row: (row["kind"] == "docker_version", row["last"]), default=None)


def _why(event: Record | None) -> str:
    words = {"permission": "accès refusé au socket", "connection": "connexion impossible au socket"}
    return words.get((event or {}).get("cause") or "", "rien de ce que les étiquettes déclarent n’est chargé")


def _socket(event: Record | None) -> str:
    if event is not None and event["cause"] == "permission":
        return (
            "Donner à Traefik le droit de lire le socket (groupe de /var/run/docker.sock), ou autoriser CONTAINERS, "
            "NETWORKS, EVENTS, INFO et VERSION sur le mandataire du socket."
        )
    return (
        "Monter le socket dans le conteneur de Traefik (« /var/run/docker.sock:/var/run/docker.sock:ro »), ou corriger "
        "« providers.docker.endpoint »."
    )
