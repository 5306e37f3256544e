"""Where databases can be reached from, who is configured to reach them, and how to test them by hand."""

import shlex
from collections.abc import Iterator

import pandas as pd

from auditlib.addresses import host_and_port, joined, reachable
from auditlib.facts.legacy import Record, records
from auditlib.facts.table import Row, integer, several, table, text, view
from auditlib.french import visible
from auditlib.software import command, database_of, is_attached
from auditlib.views.ports import exposure

UNPUBLISHED = "réseaux Docker seulement"


@table(
    "database_reach",
    "D’où les bases sont joignables",
    "Les adresses de la machine et les réseaux Docker par lesquels une base peut être atteinte, et par qui.",
    key=("database",),
)
class DatabaseReach(Row):
    """From where a database can be reached."""

    database: str = text("Base")
    kind: str | None = text("Sorte")
    port: int | None = integer("Port")
    exposure: str | None = text("Exposition", "Sur la machine ; inconnue si ses adresses le sont.")
    addresses: tuple[str, ...] | None = several("Adresses sur la machine")
    networks: tuple[str, ...] | None = several("Réseaux")
    neighbours: tuple[str, ...] | None = several(
        "Voisins", "Les conteneurs en marche ou en pause qui partagent un de ces réseaux."
    )
    projects: tuple[str, ...] | None = several("Autres projets", "Les projets compose de ces voisins, hors du sien.")
    references: tuple[str, ...] | None = several(
        "Désignée par", "Conteneur et variable dont une chaîne de connexion mène à elle."
    )


@view(DatabaseReach)
def database_reach(
    databases: pd.DataFrame,
    containers: pd.DataFrame | None = None,
    container_networks: pd.DataFrame | None = None,
    connection_strings: pd.DataFrame | None = None,
) -> Iterator[Record]:
    """One row per database. Without the engine, only what the machine itself tells."""
    known = {row["name"]: row for row in _rows(containers)}
    ends = _rows(container_networks)
    strings = _rows(connection_strings)
    for row in records(databases):
        name = row["container"]
        networks = sorted({end["network"] for end in ends if end["container"] == name})
        neighbours = {end["container"] for end in ends if end["network"] in networks} - {name}
        attached = sorted(one for one in neighbours if is_attached(known.get(one, {}).get("state")))
        own = known.get(name, {}).get("compose_project")
        yield {
            "database": row["database"],
            "kind": row["kind"],
            "port": row["port"],
            "exposure": _exposure(row),
            "addresses": row["addresses"],
            "networks": networks,
            "neighbours": attached,
            "projects": sorted({known[one]["compose_project"] or one for one in attached} - {own}),
            "references": [f"{one['container']} {one['variable']}" for one in strings if _leads(one, row)],
        }


def _rows(frame: pd.DataFrame | None) -> list[Record]:
    return [] if frame is None else records(frame)


def _exposure(row: Record) -> str | None:
    hosts = [host_and_port(address)[0] for address in row["addresses"] or ()]
    if hosts:
        return exposure(hosts)
    return UNPUBLISHED if row["published"] is False else None


def _leads(string: Record, database: Record) -> bool:
    """Whether a connection string leads to a database: to its container, or to the machine on its port."""
    if string["target"] == "host":
        return string["port"] in {host_and_port(address)[1] for address in database["addresses"] or ()}
    inside = database["container"] is not None and database["container"] in (string["targets"] or ())
    # One container may hold several servers on one loopback: the kind tells them apart.
    return inside and string["kind"] in (None, database["kind"])


def trial_commands(row: Record) -> list[str]:
    """The commands that show by hand that a database works, as an operator would type them."""
    known = database_of(row["kind"])
    host, port = _place(row)
    inside = bool(row["container"]) and not known.over_http
    user = row["user"] or known.account
    facts = {
        **{"user": user, "name": next(iter(row["names"] or ()), user), "client": known.program(row["product"])},
        **{"host": host, "port": port, "place": joined(host, port)},
        "api": "v1" if row["note"] == "API v1." else "v2",
    }
    prefix = ["docker", "exec", row["container"]] if inside else []
    commands = ([*prefix, *command(one, **facts)] for one in (known.inside if inside else known.outside))
    return [" ".join(shlex.quote(visible(word)) for word in words) for words in commands]


def _place(row: Record) -> tuple[str, str]:
    """Where this machine reaches a database: as it is published or listens, else where it was asked."""
    place = next(iter(row["addresses"] or ()), None) or row["asked_at"] or f"127.0.0.1:{row['port']}"
    host, port = host_and_port(place)
    return reachable(host), str(port or row["port"])
