"""Where databases can be reached from, who is configured to reach them, and how to test them by hand."""

import shlex
from collections.abc import Iterator

from auditlib.addresses import host_and_port, joined, reachable
from auditlib.facts.table import Row, Rows, integer, several, table, text, view
from auditlib.facts.tables.databases import ConnectionString, Database
from auditlib.facts.tables.docker import Container, ContainerNetwork
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
    databases: Rows[Database],
    containers: Rows[Container] | None = None,
    container_networks: Rows[ContainerNetwork] | None = None,
    connection_strings: Rows[ConnectionString] | None = None,
) -> Iterator[DatabaseReach]:
    """One row per database. Without the engine, only what the machine itself tells."""
    attachments = container_networks or ()
    for database in databases:
        networks = {row.network for row in attachments if row.container == database.container}
        neighbours = _neighbours(database, containers, [row for row in attachments if row.network in networks])
        own = {container.compose_project for container in containers or () if container.name == database.container}
        strings = (string for string in connection_strings or () if _leads(string, database))
        yield DatabaseReach(
            database=database.database,
            kind=database.kind,
            port=database.port,
            exposure=_exposure(database),
            addresses=database.addresses,
            networks=tuple(sorted(networks)),
            neighbours=tuple(neighbour.name for neighbour in neighbours),
            projects=tuple(sorted({neighbour.compose_project or neighbour.name for neighbour in neighbours} - own)),
            references=tuple(f"{string.container} {string.variable}" for string in strings),
        )


def _neighbours(
    database: Database, containers: Rows[Container] | None, attachments: list[ContainerNetwork]
) -> list[Container]:
    """The containers in service, but for that of a database, that have one of these attachments."""
    names = {attachment.container for attachment in attachments} - {database.container}
    return [container for container in containers or () if container.name in names and is_attached(container.state)]


def _exposure(database: Database) -> str | None:
    hosts = [host_and_port(address)[0] for address in database.addresses or ()]
    if hosts:
        return exposure(hosts)
    return UNPUBLISHED if database.published is False else None


def _leads(string: ConnectionString, database: Database) -> bool:
    """Whether a connection string leads to a database: to its container, or to the machine on its port."""
    if string.target == "host":
        return string.port in {host_and_port(address)[1] for address in database.addresses or ()}
    inside = database.container is not None and database.container in (string.targets or ())
    # One container may hold several servers on one loopback: the kind tells them apart.
    return inside and string.kind in (None, database.kind)


def trial_commands(database: Database) -> list[str]:
    """The commands that show by hand that a database works, as an operator would type them."""
    software = database_of(database.kind or "")
    host, port = _place(database)
    inside = None if software.over_http else database.container
    user = database.user or software.account
    facts = {
        "user": user,
        "name": next(iter(database.names or ()), user),
        "client": software.program(database.product),
        "host": host,
        "port": port,
        "place": joined(host, port),
        "api": "v1" if database.note == "API v1." else "v2",
    }
    prefix = ["docker", "exec", inside] if inside else []
    templates = software.inside if inside else software.outside
    commands = ([*prefix, *command(template, **facts)] for template in templates)
    return [" ".join(shlex.quote(visible(word)) for word in words) for words in commands]


def _place(database: Database) -> tuple[str, str]:
    """Where this machine reaches a database: as it is published or listens, else where it was asked."""
    place = next(iter(database.addresses or ()), None) or database.asked_at or f"127.0.0.1:{database.port}"
    host, port = host_and_port(place)
    return reachable(host), str(port or database.port)
