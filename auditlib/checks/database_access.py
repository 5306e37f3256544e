"""DB: databases that open to whoever shares their network, or the machine's."""

from collections.abc import Iterator

import pandas as pd

import auditlib.views.databases  # noqa: F401 - what tells from where they can be reached
from auditlib.addresses import host_and_port, is_loopback, parsed
from auditlib.checks.databases import UNREAD, inside, known_containers, shown, stack
from auditlib.facts.snapshot import AbsentTable
from auditlib.facts.table import Row, records
from auditlib.findings.findings import Fix, check
from auditlib.french import listing, quoted
from auditlib.views.declarations import on_disk, origin, place
from auditlib.views.ports import EVERYWHERE, LOOPBACK, SPECIFIC

_PASSWORDS = {
    "Redis": "Donner un mot de passe (« --requirepass », lu d’une variable du fichier .env)",
    "PostgreSQL": "Retirer « trust » de pg_hba.conf (et POSTGRES_HOST_AUTH_METHOD) au profit de « scram-sha-256 »",
    "MongoDB": "Créer un compte administrateur et démarrer avec « --auth »",
    "ChromaDB": "Placer devant elle un proxy qui authentifie, car ChromaDB 1.x ne le fait pas",
}


@check(
    "DB-004",
    "high",
    "Aucune base ne répond sans mot de passe hors de son projet",
    key=("database",),
    message="{shown} répond sans mot de passe {reach} : qui l’atteint y lit et y écrit tout.",
    fix=Fix(
        "{password}, et {apart}{where}.",
        ("{compose} up -d {service}",),
        (
            "docker exec {redis} {redis_cli} PING",
            "docker exec {postgres} grep -n trust {data_dir}/pg_hba.conf",
            "docker exec {mongo} mongosh --quiet --eval 'db.adminCommand({{{{listDatabases: 1}}}})'",
            "curl -sS -o /dev/null -w '%{{http_code}}\\n' {heartbeat}",
            "ss -Hlntp sport = :{host_port}",
        ),
    ),
)
def closed(
    databases: pd.DataFrame,
    database_reach: pd.DataFrame,
    containers: pd.DataFrame | None = None,
    compose_projects: pd.DataFrame | None = None,
    compose_services: pd.DataFrame | None = None,
) -> Iterator[Row]:
    """Databases that need no password, on a network of other projects or on the machine's beyond its loopback.

    « Refused from here » and « not told » (MySQL) are no answer. Of a database asked through its own loopback, only
    ChromaDB's word holds elsewhere too: the others admit the loopback apart (pg_hba.conf, protected mode, MongoDB's
    localhost exception).
    """
    known, files = known_containers(containers), on_disk(compose_projects, compose_services)
    reach = {row["database"]: row for row in records(database_reach)}
    for row in records(databases):
        far = reach[row["database"]]
        own_loopback = row["asked_via"] == "host" and is_loopback(row["asked_from"])
        if row["authentication"] != "none" or not row["running"] or (own_loopback and row["kind"] != "ChromaDB"):
            continue
        beyond = [one for one in row["addresses"] or () if not is_loopback(host_and_port(one)[0])]
        if not far["projects"] and not beyond:
            continue
        container = known.get(row["container"])
        yield {
            "database": row["database"],
            "kind": row["kind"],
            "networks": far["networks"],
            "projects": far["projects"],
            "addresses": beyond,
            "wording": {
                "shown": shown(row),
                "reach": _reach(far, beyond),
                "apart": _apart(row, far, beyond),
                "password": _PASSWORDS.get(row["kind"], "Exiger un mot de passe"),
                "where": inside(place(files.get(origin(container)))) if container else "",
                **stack(container),
                **_trials(row),
            },
        }
    if containers is None:
        raise AbsentTable("containers", UNREAD)


def _reach(far: Row, beyond: list[str]) -> str:
    ways = []
    if far["projects"]:
        ways.append(
            f"aux conteneurs de {listing(map(quoted, far['projects']))} "
            f"(réseau {listing(map(quoted, far['networks']))})"
        )
    if beyond:
        ways.append(f"au réseau de la machine ({listing(beyond)})")
    return " et ".join(ways)


def _apart(row: Row, far: Row, beyond: list[str]) -> str:
    if row["place"] == "host":
        return "ne la faire écouter que sur 127.0.0.1"
    clients = f" ({listing(far['references'])})" if far["references"] else ""
    unpublished = ", sans publier son port" if beyond and row["published"] else ""
    return f"ne la relier qu’à ses clients{clients} par un réseau à elle{unpublished}"


def _trials(row: Row) -> Row:
    """Names for the verification of each kind; None leaves a command out."""
    names = {"redis": "Redis", "postgres": "PostgreSQL", "mongo": "MongoDB"}
    heartbeat = row["asked_at"] if row["kind"] == "ChromaDB" else None
    return {
        **{name: row["container"] if row["kind"] == kind else None for name, kind in names.items()},
        "redis_cli": "valkey-cli" if row["product"] == "Valkey" else "redis-cli",
        "data_dir": row["data_dir"],
        "heartbeat": f"http://{heartbeat}/api/v2/heartbeat" if heartbeat else None,
        "host_port": row["port"] if row["place"] == "host" else None,
    }


# The option that says where a server of the machine listens, and the file it usually stands in.
_BINDS = {
    "PostgreSQL": "« listen_addresses = localhost » dans postgresql.conf",
    "MySQL": "« bind-address = 127.0.0.1 » sous [mysqld]",
    "Redis": "« bind 127.0.0.1 -::1 » dans redis.conf",
    "MongoDB": "« net.bindIp: 127.0.0.1 » dans mongod.conf",
    "ChromaDB": "l’option « --host 127.0.0.1 »",
}


@check(
    "DB-005",
    "high",
    "Aucune base de la machine n’écoute au-delà de la boucle locale",
    key=("database",),
    message="{shown}, hors de Docker, écoute sur {listened} : {effect}.",
    fix=Fix(
        "Régler {bind}, puis redémarrer le service. Si des conteneurs s’en servent, la faire écouter sur l’adresse de "
        "la passerelle de leur réseau Docker seulement, et fermer le port au reste par le pare-feu.",
        ("systemctl restart {unit}",),
        ("ss -Hlntp sport = :{port}",),
    ),
)
def machine_private(databases: pd.DataFrame, database_reach: pd.DataFrame) -> Iterator[Row]:
    """Databases of the machine on every interface or a public address; `medium` on private addresses only."""
    reach = {row["database"]: row for row in records(database_reach)}
    for row in records(databases):
        exposure = reach[row["database"]]["exposure"]
        if row["place"] != "host" or exposure in (None, LOOPBACK):
            continue
        beyond = [one for one in row["addresses"] or () if not is_loopback(host_and_port(one)[0])]
        private = exposure == SPECIFIC and all(
            (address := parsed(host_and_port(one)[0])) and address.is_private for one in beyond
        )
        yield {
            "severity": "medium" if private else "high",
            "database": row["database"],
            "kind": row["kind"],
            "port": row["port"],
            "addresses": beyond,
            "wording": {
                "shown": shown(row),
                "listened": f"{EVERYWHERE} ({listing(beyond)})" if exposure == EVERYWHERE else listing(beyond),
                "effect": "tout ce réseau privé peut l’appeler" if private else "tout le réseau peut l’appeler",
                "bind": _BINDS.get(row["kind"], "son adresse d’écoute sur 127.0.0.1"),
                "unit": row["unit"],
            },
        }
