"""DB: databases that open to whoever shares their network, or the machine's."""

import shlex
import string
from collections.abc import Iterator

import pandas as pd

import auditlib.views.databases  # noqa: F401 - what tells from where they can be reached
from auditlib.addresses import host_and_port, is_loopback, parsed
from auditlib.checks.databases import UNREAD, inside, known_containers, shown, stack
from auditlib.facts.legacy import Record, records
from auditlib.facts.snapshot import AbsentTable
from auditlib.findings.check import Command, Fix, check
from auditlib.french import listing, quoted
from auditlib.software import command, database_of
from auditlib.views.declarations import on_disk, origin, place
from auditlib.views.ports import EVERYWHERE, LOOPBACK, SPECIFIC


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
            "{proof}",
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
) -> Iterator[Record]:
    """Databases that need no password, on a network of other projects or on the machine's beyond its loopback.

    « Refused from here » and « not told » (MySQL) are no answer. Of a database asked through its own loopback, only
    ChromaDB's word holds elsewhere too: the others admit the loopback apart (pg_hba.conf, protected mode, MongoDB's
    localhost exception).
    """
    named, files = known_containers(containers), on_disk(compose_projects, compose_services)
    reach = {row["database"]: row for row in records(database_reach)}
    for row in records(databases):
        far = reach[row["database"]]
        own_loopback = row["asked_via"] == "host" and is_loopback(row["asked_from"])
        known = database_of(row["kind"])
        if row["authentication"] != "none" or not row["running"] or (own_loopback and known.trusts_loopback):
            continue
        beyond = [one for one in row["addresses"] or () if not is_loopback(host_and_port(one)[0])]
        if not far["projects"] and not beyond:
            continue
        container = named.get(row["container"])
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
                "password": known.guard,
                "where": inside(place(files.get(origin(container)))) if container else "",
                **stack(container),
                "proof": _proof(row),
                "host_port": row["port"] if row["place"] == "host" else None,
            },
        }
    if containers is None:
        raise AbsentTable("containers", UNREAD)


def _reach(far: Record, beyond: list[str]) -> str:
    ways = []
    if far["projects"]:
        ways.append(
            f"aux conteneurs de {listing(map(quoted, far['projects']))} "
            f"(réseau {listing(map(quoted, far['networks']))})"
        )
    if beyond:
        ways.append(f"au réseau de la machine ({listing(beyond)})")
    return " et ".join(ways)


def _apart(row: Record, far: Record, beyond: list[str]) -> str:
    if row["place"] == "host":
        return "ne la faire écouter que sur 127.0.0.1"
    clients = f" ({listing(far['references'])})" if far["references"] else ""
    unpublished = ", sans publier son port" if beyond and row["published"] else ""
    return f"ne la relier qu’à ses clients{clients} par un réseau à elle{unpublished}"


def _proof(row: Record) -> Command | None:
    """What shows that a database asks for no password; None for one of which a fact that it needs is not known."""
    known = database_of(row["kind"])
    facts = {name: row[name] for name in ("container", "data_dir")} | {"place": row["asked_at"]}
    needed = {name for _, name, _, _ in string.Formatter().parse(known.proof) if name in facts}
    if not known.proof or any(facts[name] is None for name in needed):
        return None
    return Command(shlex.join(command(known.proof, client=known.program(row["product"]), **facts)))


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
def machine_private(databases: pd.DataFrame, database_reach: pd.DataFrame) -> Iterator[Record]:
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
                "bind": database_of(row["kind"]).bind,
                "unit": row["unit"],
            },
        }
