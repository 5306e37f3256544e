"""DB: databases that do not answer, lose their data, or open to whoever shares their network."""

import json
from collections.abc import Iterable, Iterator

import pandas as pd

from auditlib.facts.legacy import Record, records
from auditlib.facts.snapshot import AbsentTable
from auditlib.findings.check import Fix, check
from auditlib.findings.commands import compose
from auditlib.french import listing, quoted
from auditlib.software import command, database_of, is_up
from auditlib.views.declarations import on_disk, origin, place

# Without the engine, the databases of its containers are not known: those of the machine are not all.
UNREAD = "le moteur Docker n’a pas été lu"


def _certain(row: Record) -> bool:
    """Whether a database is known as one by its image or its program: a port may be anything's."""
    return bool({"image", "programme"} & {*(row["found_by"] or ())})


def shown(row: Record) -> str:
    """« La base Redis « cache » »."""
    return f"La base {row['product'] or row['kind']} {quoted(row['database'])}"


def known_containers(containers: pd.DataFrame | None) -> dict[str | None, Record]:
    """The containers by name; none when they were not read."""
    return {row["name"]: row for row in records(containers)} if containers is not None else {}


def stack(container: Record | None) -> Record:
    """Wording for commands on the stack of a container, if it is known."""
    return compose(container) if container else {"compose": None, "service": None}


@check(
    "DB-001",
    "critical",
    "Chaque base de données répond à son propre protocole",
    key=("database",),
    message="{shown} ne répond pas à son propre protocole sur le port {port}{said}.",
    fix=Fix(
        "Lire les journaux de « {database} », corriger ce qui l’empêche de répondre, puis la redémarrer.",
        (
            "docker logs --tail 100 {container}",
            "docker restart {container}",
            "journalctl --no-pager -n 100 -u {unit}",
            "systemctl restart {unit}",
        ),
        (
            "docker inspect --format '{{{{.State.Status}}}} {{{{json .State.Health}}}}' {container}",
            "ss -Hlntp sport = :{host_port}",
        ),
    ),
)
def answering(databases: pd.DataFrame, containers: pd.DataFrame | None = None) -> Iterator[Record]:
    """Running databases that were reached and did not speak their protocol, unless they are still starting."""
    known, unasked = known_containers(containers), []
    for row in records(databases):
        starting = known.get(row["container"], {}).get("health") == "starting"
        if not row["running"] or not _certain(row) or starting:
            continue
        if row["answers"] is None:
            unasked.append(row["database"])
        elif not row["answers"]:
            note = (row["note"] or "").rstrip(".")
            yield {
                **{name: row[name] for name in ("database", "kind", "port", "asked_at", "note")},
                "wording": {
                    "shown": shown(row),
                    "said": f" : {note[:1].lower()}{note[1:]}" if note else "",
                    "container": row["container"],
                    "unit": row["unit"],
                    "host_port": row["port"] if row["place"] == "host" else None,
                },
            }
    if unasked:
        raise AbsentTable("databases", f"aucune question n’a pu être posée à {listing(map(quoted, unasked))}")
    if containers is None:
        raise AbsentTable("containers", UNREAD)


@check(
    "DB-002",
    "low",
    "Chaque base de données en conteneur a un contrôle de santé",
    key=("database",),
    message="{shown} n’a pas de contrôle de santé : une base bloquée passerait pour bonne, et ce qui en dépend "
    "démarrerait trop tôt.",
    fix=Fix(
        "Ajouter un « healthcheck » au service{where}, par exemple `test: {test}`, puis le recréer.",
        ("{compose} up -d {service}",),
        ("docker inspect --format '{{{{json .State.Health}}}}' {container}",),
    ),
)
def with_health_check(
    databases: pd.DataFrame,
    containers: pd.DataFrame,
    compose_projects: pd.DataFrame | None = None,
    compose_services: pd.DataFrame | None = None,
) -> Iterator[Record]:
    """Containers of databases that run without a health check, of their own or of their image."""
    known, files = known_containers(containers), on_disk(compose_projects, compose_services)
    for row in records(databases):
        container = known.get(row["container"])
        if container is None or not row["running"] or not _certain(row) or container["healthcheck"] is not False:
            continue
        yield {
            "database": row["database"],
            "kind": row["kind"],
            "image": row["image"],
            "wording": {
                "shown": shown(row),
                "container": row["container"],
                "where": inside(place(files.get(origin(container)))),
                "test": _test(row),
                **compose(container),
            },
        }


def _test(row: Record) -> str:
    """The health check of a kind of database, as a compose file holds it."""
    known = database_of(row["kind"])
    user = row["user"] or known.account
    facts = {"user": user, "name": next(iter(row["names"] or ()), user), "port": row["port"]}
    words = command(known.health, client=known.program(row["product"]), **facts)
    return json.dumps(["CMD", *words], ensure_ascii=False)


def inside(where: str) -> str:
    """« , dans … », or nothing when the place is not known."""
    return f", dans {where}" if where else ""


@check(
    "DB-003",
    "high",
    "Les données de chaque base en conteneur sont sur un volume ou un dossier monté",
    key=("database",),
    message="{shown} garde ses données dans le conteneur ({data_dir}) : elles disparaîtront à sa prochaine "
    "re-création.",
    fix=Fix(
        "Figer d’abord le conteneur dans une image, qui gardera ses données, et en faire un export ; monter ensuite un "
        "volume nommé sur « {data_dir} »{where}, recréer le service et y remettre les données.",
        ("docker commit {container} sauvegarde-avant-volume", "{compose} up -d {service}"),
        ("docker inspect --format '{{{{json .Mounts}}}}' {container}",),
    ),
)
def persistent(
    databases: pd.DataFrame,
    containers: pd.DataFrame | None = None,
    compose_projects: pd.DataFrame | None = None,
    compose_services: pd.DataFrame | None = None,
) -> Iterator[Record]:
    """Databases of containers, stopped ones too, whose data folder is on no mount that outlives the container."""
    known, files = known_containers(containers), on_disk(compose_projects, compose_services)
    for row in records(databases):
        if row["place"] == "container" and row["persistent"] is False and _certain(row):
            container = known.get(row["container"])
            yield {
                "database": row["database"],
                "kind": row["kind"],
                "data_dir": row["data_dir"],
                "wording": {
                    "shown": shown(row),
                    "container": row["container"],
                    "where": inside(place(files.get(origin(container)))) if container else "",
                    **stack(container),
                },
            }
    if containers is None:
        raise AbsentTable("containers", UNREAD)


@check(
    "DB-006",
    "medium",
    "Chaque chaîne de connexion mène à une seule base",
    key=("container",),
    message="Dans le conteneur « {container} », {faults}.",
    fix=Fix(
        "Nommer dans la variable le service ou le conteneur voulu, sans ambiguïté, et relier les deux à un même "
        "réseau{where}, puis recréer « {container} ».",
        ("{compose} up -d {service}",),
        ("docker exec {container} getent hosts {host}",),
    ),
)
def resolved_strings(
    connection_strings: pd.DataFrame,
    containers: pd.DataFrame,
    compose_projects: pd.DataFrame | None = None,
    compose_services: pd.DataFrame | None = None,
) -> Iterator[Record]:
    """Variables of running containers whose host their own DNS does not know, or knows as several containers."""
    known, files = known_containers(containers), on_disk(compose_projects, compose_services)
    found: dict[str, list[Record]] = {}
    for row in records(connection_strings):
        container = known.get(row["container"])
        if container and is_up(container["state"]) and row["target"] in ("unresolved", "several"):
            found.setdefault(row["container"], []).append(row)
    for name, rows in found.items():
        yield {
            "container": name,
            "variables": [row["variable"] for row in rows],
            "hosts": [row["host"] for row in rows],
            "targets": sorted({one for row in rows for one in row["targets"] or ()}),
            "wording": {
                "faults": " ; ".join(_fault(row) for row in rows),
                "host": rows[0]["host"],
                "where": inside(place(files.get(origin(known[name])))),
                **compose(known[name]),
            },
        }


def _fault(row: Record) -> str:
    start = f"la variable {row['variable']} désigne {quoted(row['host'])}"
    if row["target"] == "unresolved":
        return f"{start}, que ce conteneur ne sait pas résoudre"
    return f"{start}, que portent {listing(map(quoted, row['targets'] or ()))} à la fois"


@check(
    "DB-007",
    "info",
    "Chaque base de données sert à quelque chose",
    key=("database",),
    confidence="hint",
    message="Rien ne désigne {shown} : ni chaîne de connexion, ni connexion observée, ni routeur.",
    fix=Fix(
        "Si elle ne sert plus, en sauvegarder les données puis l’arrêter ; sinon, rien à faire : un client peut la "
        "nommer dans un fichier, ou ne l’appeler que de temps en temps.",
        ("{compose} stop {service}",),
        ("ss -Hntp sport = :{port}", "docker logs --tail 20 {container}"),
    ),
)
def useful(
    databases: pd.DataFrame,
    database_reach: pd.DataFrame,
    connection_strings: pd.DataFrame,
    connections: pd.DataFrame,
    containers: pd.DataFrame | None = None,
    container_networks: pd.DataFrame | None = None,
    compose_connections: pd.DataFrame | None = None,
    traefik_servers: pd.DataFrame | None = None,
) -> Iterator[Record]:
    """Running databases that no variable, file, connection under way or server of Traefik leads to."""
    known = known_containers(containers)
    referred = {row["database"] for row in records(database_reach) if row["references"]}
    called = {row["target"] for row in records(connections)}
    served = {row["container"] for row in _rows(traefik_servers)}
    written = {row["host"] for row in _rows(compose_connections)}
    aliases: dict[str, set[str]] = {}
    for row in _rows(container_networks):
        aliases.setdefault(row["container"], {row["container"]}).update(row["aliases"] or ())
    for row in records(databases):
        names = {row["container"], row["unit"], row["process"]} - {None}
        pointed = row["database"] in referred or names & (called | served)
        if row["running"] and _certain(row) and not pointed and not aliases.get(row["container"], names) & written:
            yield {
                "database": row["database"],
                "kind": row["kind"],
                "wording": {
                    "shown": f"la base {row['product'] or row['kind']} {quoted(row['database'])}",
                    "container": row["container"],
                    "port": row["port"] if row["place"] == "host" else None,
                    **stack(known.get(row["container"])),
                },
            }


def _rows(frame: pd.DataFrame | None) -> Iterable[Record]:
    return [] if frame is None else records(frame)
