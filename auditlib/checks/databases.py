"""DB: databases that do not answer, lose their data, or that nothing leads to."""

import json
from collections.abc import Iterator

from auditlib.facts.snapshot import AbsentTable
from auditlib.facts.table import Rows
from auditlib.facts.tables.compose import ComposeConnection, ComposeProject, ComposeService
from auditlib.facts.tables.databases import ConnectionString, Database
from auditlib.facts.tables.docker import Connection, Container, ContainerNetwork
from auditlib.facts.tables.traefik import TraefikServer
from auditlib.findings.check import Fault, Fix, check, fact, word
from auditlib.french import listing, quoted
from auditlib.software import command, database_of, is_up
from auditlib.views.databases import DatabaseReach
from auditlib.views.declarations import on_disk, origin, place

# Without the engine, the databases of its containers are not known: those of the machine are not all.
UNREAD = "le moteur Docker n’a pas été lu"


class DatabaseFault(Fault):
    """A database at fault. `shown` is its name, as sentences begin with it."""

    database: str
    kind: str | None
    shown: str = word()
    container: str | None = word(default=None, about="container")


def shown(database: Database) -> str:
    """« La base Redis « cache » »."""
    return f"La base {database.product or database.kind} {quoted(database.database)}"


def container_of(database: Database, containers: Rows[Container] | None) -> Container | None:
    """The container of a database, if it has one that is known."""
    return containers.by(Container.name).get(database.container) if containers and database.container else None


def written(
    container: Container | None,
    compose_projects: Rows[ComposeProject] | None,
    compose_services: Rows[ComposeService] | None,
) -> str:
    """Where a file declares a container, as the end of a clause: « , dans … »; "" when it is not known."""
    services = on_disk(compose_projects, compose_services)
    where = place(services.get(origin(container))) if container else ""
    return f", dans {where}" if where else ""


def _is_certain(database: Database) -> bool:
    """Whether a database is known as one by its image or its program: a port may be anything's."""
    return bool({"image", "programme"} & {*(database.found_by or ())})


class Silent(DatabaseFault):
    """A database that was reached, and does not speak its protocol."""

    port: int | None
    asked_at: str | None
    note: str | None
    reason: str = word()
    unit: str | None = word()
    host_port: int | None = word()


@check(
    "DB-001",
    "critical",
    "Chaque base de données répond à son propre protocole",
    key=("database",),
    message="{shown} ne répond pas à son propre protocole sur le port {port}{reason}.",
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
def answering(databases: Rows[Database], containers: Rows[Container] | None = None) -> Iterator[Silent]:
    """Running databases that were reached and did not speak their protocol, unless they are still starting."""
    unasked = []
    for database in databases:
        container = container_of(database, containers)
        starting = container is not None and container.health == "starting"
        if not database.running or not _is_certain(database) or starting:
            continue
        if database.answers is None:
            unasked.append(database.database)
        elif not database.answers:
            yield _silent(database)
    if unasked:
        raise AbsentTable("databases", f"aucune question n’a pu être posée à {listing(map(quoted, unasked))}")
    if containers is None:
        raise AbsentTable("containers", UNREAD)


def _silent(database: Database) -> Silent:
    note = (database.note or "").rstrip(".")
    return Silent(
        database=database.database,
        kind=database.kind,
        port=database.port,
        asked_at=database.asked_at,
        note=database.note,
        shown=shown(database),
        reason=f" : {note[:1].lower()}{note[1:]}" if note else "",
        container=database.container,
        unit=database.unit,
        host_port=database.port if database.place == "host" else None,
    )


class NoHealthCheck(DatabaseFault):
    """A database in a container without a health check."""

    image: str | None
    place: str = word()
    test: str = word()


@check(
    "DB-002",
    "low",
    "Chaque base de données en conteneur a un contrôle de santé",
    key=("database",),
    message="{shown} n’a pas de contrôle de santé : une base bloquée passerait pour bonne, et ce qui en dépend "
    "démarrerait trop tôt.",
    fix=Fix(
        "Ajouter un « healthcheck » au service{place}, par exemple `test: {test}`, puis le recréer.",
        ("{compose} up -d {service}",),
        ("docker inspect --format '{{{{json .State.Health}}}}' {container}",),
    ),
)
def with_health_check(
    databases: Rows[Database],
    containers: Rows[Container],
    compose_projects: Rows[ComposeProject] | None = None,
    compose_services: Rows[ComposeService] | None = None,
) -> Iterator[NoHealthCheck]:
    """Containers of databases that run without a health check, of their own or of their image."""
    for database in databases:
        container = container_of(database, containers)
        unchecked = container is not None and container.healthcheck is False
        if unchecked and database.running and _is_certain(database):
            yield NoHealthCheck(
                database=database.database,
                kind=database.kind,
                image=database.image,
                shown=shown(database),
                container=database.container,
                place=written(container, compose_projects, compose_services),
                test=_test(database),
            )


def _test(database: Database) -> str:
    """The health check of a kind of database, as a compose file holds it."""
    known = database_of(database.kind or "")
    user = database.user or known.account
    facts = {"user": user, "name": next(iter(database.names or ()), user), "port": database.port}
    words = command(known.health, client=known.program(database.product), **facts)
    return json.dumps(["CMD", *words], ensure_ascii=False)


class LostData(DatabaseFault):
    """A database whose data go with its container."""

    data_dir: str | None
    place: str = word()


@check(
    "DB-003",
    "high",
    "Les données de chaque base en conteneur sont sur un volume ou un dossier monté",
    key=("database",),
    message="{shown} garde ses données dans le conteneur ({data_dir}) : elles disparaîtront à sa prochaine "
    "re-création.",
    fix=Fix(
        "Figer d’abord le conteneur dans une image, qui gardera ses données, et en faire un export ; monter ensuite un "
        "volume nommé sur « {data_dir} »{place}, recréer le service et y remettre les données.",
        ("docker commit {container} sauvegarde-avant-volume", "{compose} up -d {service}"),
        ("docker inspect --format '{{{{json .Mounts}}}}' {container}",),
    ),
)
def persistent(
    databases: Rows[Database],
    containers: Rows[Container] | None = None,
    compose_projects: Rows[ComposeProject] | None = None,
    compose_services: Rows[ComposeService] | None = None,
) -> Iterator[LostData]:
    """Databases of containers, stopped ones too, whose data folder is on no mount that outlives the container."""
    for database in databases:
        if database.place == "container" and database.persistent is False and _is_certain(database):
            yield LostData(
                database=database.database,
                kind=database.kind,
                data_dir=database.data_dir,
                shown=shown(database),
                container=database.container,
                place=written(container_of(database, containers), compose_projects, compose_services),
            )
    if containers is None:
        raise AbsentTable("containers", UNREAD)


class LostStrings(Fault):
    """Connection strings of a container whose hosts are not one database."""

    container: str
    variables: tuple[str, ...] = fact("Variables")
    hosts: tuple[str | None, ...]
    targets: tuple[str, ...]
    reasons: str = word()
    host: str | None = word()
    place: str = word()
    aliases: tuple[str, ...] = word(about="alias")  # names that several containers answer to, with their network


@check(
    "DB-006",
    "medium",
    "Chaque chaîne de connexion mène à une seule base",
    key=("container",),
    message="Dans le conteneur « {container} », {reasons}.",
    fix=Fix(
        "Nommer dans la variable le service ou le conteneur voulu, sans ambiguïté, et relier les deux à un même "
        "réseau{place}, puis recréer « {container} ».",
        ("{compose} up -d {service}",),
        ("docker exec {container} getent hosts {host}",),
    ),
)
def resolved_strings(
    connection_strings: Rows[ConnectionString],
    containers: Rows[Container],
    compose_projects: Rows[ComposeProject] | None = None,
    compose_services: Rows[ComposeService] | None = None,
) -> Iterator[LostStrings]:
    """Variables of running containers whose host their own DNS does not know, or knows as several containers."""
    strings = connection_strings.grouped(ConnectionString.container)
    for name, container in containers.by(Container.name).items():
        lost = [string for string in strings.get(name, ()) if string.target in ("unresolved", "several")]
        if lost and is_up(container.state):
            yield LostStrings(
                container=name,
                variables=tuple(string.variable for string in lost),
                hosts=tuple(string.host for string in lost),
                targets=tuple(sorted({target for string in lost for target in string.targets or ()})),
                reasons=" ; ".join(map(_reason, lost)),
                host=lost[0].host,
                place=written(container, compose_projects, compose_services),
                aliases=tuple(alias for string in lost if string.target == "several" for alias in _ambiguous(string)),
            )


def _ambiguous(string: ConnectionString) -> list[str]:
    """The name that a string designates, on each network where the name is known."""
    return [f"{string.host.lower()} ({network})" for network in string.networks or ()] if string.host else []


def _reason(string: ConnectionString) -> str:
    start = f"la variable {string.variable} désigne {quoted(string.host)}"
    if string.target == "unresolved":
        return f"{start}, que ce conteneur ne sait pas résoudre"
    return f"{start}, que portent {listing(map(quoted, string.targets or ()))} à la fois"


class Unused(DatabaseFault):
    """A database that nothing leads to."""

    port: int | None = word()


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
    databases: Rows[Database],
    database_reach: Rows[DatabaseReach],
    connection_strings: Rows[ConnectionString],
    connections: Rows[Connection],
    container_networks: Rows[ContainerNetwork] | None = None,
    compose_connections: Rows[ComposeConnection] | None = None,
    traefik_servers: Rows[TraefikServer] | None = None,
) -> Iterator[Unused]:
    """Running databases that no variable, file, connection under way or server of Traefik leads to."""
    referred = {reach.database for reach in database_reach if reach.references}
    called = _called(connections, traefik_servers)
    hosts = {connection.host for connection in compose_connections or ()}
    for database in databases:
        names = {database.container, database.unit, database.process} - {None}
        aliases = _aliases(database, container_networks) or names
        pointed = database.database in referred or names & called or aliases & hosts
        if database.running and _is_certain(database) and not pointed:
            yield Unused(
                database=database.database,
                kind=database.kind,
                shown=f"la base {database.product or database.kind} {quoted(database.database)}",
                container=database.container,
                port=database.port if database.place == "host" else None,
            )


def _called(connections: Rows[Connection], traefik_servers: Rows[TraefikServer] | None) -> set[str | None]:
    """The names of what connections under way and Traefik's servers lead to."""
    servers = {server.container for server in traefik_servers or ()}
    return servers | {connection.target for connection in connections}


def _aliases(database: Database, container_networks: Rows[ContainerNetwork] | None) -> set[str]:
    """The names of a database's container on its networks; none when it is on no network that is known."""
    own = [row for row in container_networks or () if row.container == database.container]
    return {name for row in own for name in (row.container, *(row.aliases or ()))}
