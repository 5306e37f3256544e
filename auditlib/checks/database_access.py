"""DB: databases that open to whoever shares their network, or the machine's."""

import shlex
import string
from collections.abc import Iterator, Sequence

from auditlib.addresses import host_and_port, is_loopback, parsed
from auditlib.checks.databases import UNREAD, DatabaseFault, container_of, shown, written
from auditlib.facts.snapshot import AbsentTable
from auditlib.facts.table import Rows
from auditlib.facts.tables.compose import ComposeProject, ComposeService
from auditlib.facts.tables.databases import Database
from auditlib.facts.tables.docker import Container
from auditlib.findings.check import About, Command, Fix, check, word
from auditlib.french import listing, quoted
from auditlib.software import command, database_of
from auditlib.views.databases import DatabaseReach
from auditlib.views.ports import EVERYWHERE, LOOPBACK, SPECIFIC


def _beyond(database: Database) -> tuple[str, ...]:
    """The addresses of the machine where a database answers others than the machine itself."""
    return tuple(address for address in database.addresses or () if not is_loopback(host_and_port(address)[0]))


class OpenDatabase(DatabaseFault):
    """A database that asks for no password where others than its project reach it."""

    networks: tuple[str, ...] | None
    projects: tuple[str, ...] | None
    addresses: tuple[str, ...]
    reach: str = word()
    password: str = word()
    apart: str = word()
    place: str = word()
    proof: Command | None = word()
    host_port: int | None = word()

    @property
    def about(self) -> About:
        """Its networks, and where its container is published."""
        ports = [address.rpartition(":")[2] for address in self.addresses]
        return {
            **super().about,
            "attachment": [f"{self.database} ({network})" for network in self.networks or ()],
            "publication": [f"{self.container} tcp/{port}" for port in ports] if self.container else [],
        }


@check(
    "DB-004",
    "high",
    "Aucune base ne répond sans mot de passe hors de son projet",
    key=("database",),
    message="{shown} répond sans mot de passe {reach} : qui l’atteint y lit et y écrit tout.",
    fix=Fix(
        "{password}, et {apart}{place}.",
        ("{compose} up -d {service}",),
        (
            "{proof}",
            "ss -Hlntp sport = :{host_port}",
        ),
    ),
)
def closed(
    databases: Rows[Database],
    database_reach: Rows[DatabaseReach],
    containers: Rows[Container] | None = None,
    compose_projects: Rows[ComposeProject] | None = None,
    compose_services: Rows[ComposeService] | None = None,
) -> Iterator[OpenDatabase]:
    """Databases that need no password, on a network of other projects or on the machine's beyond its loopback.

    « Refused from here » and « not told » (MySQL) are no answer. Of a database asked through its own loopback, only
    ChromaDB's word holds elsewhere too: the others admit the loopback apart (pg_hba.conf, protected mode, MongoDB's
    localhost exception).
    """
    reaches = database_reach.by(DatabaseReach.database)
    for database in databases:
        known, reach, beyond = database_of(database.kind or ""), reaches[database.database], _beyond(database)
        own_loopback = database.asked_via == "host" and is_loopback(database.asked_from)
        if database.authentication != "none" or not database.running or (own_loopback and known.trusts_loopback):
            continue
        if reach.projects or beyond:
            yield OpenDatabase(
                database=database.database,
                kind=database.kind,
                networks=reach.networks,
                projects=reach.projects,
                addresses=beyond,
                shown=shown(database),
                container=database.container,
                reach=_reach(reach, beyond),
                password=known.guard,
                apart=_apart(database, reach, beyond),
                place=written(container_of(database, containers), compose_projects, compose_services),
                proof=_proof(database),
                host_port=database.port if database.place == "host" else None,
            )
    if containers is None:
        raise AbsentTable("containers", UNREAD)


def _reach(reach: DatabaseReach, beyond: Sequence[str]) -> str:
    ways = []
    if reach.projects:
        ways.append(
            f"aux conteneurs de {listing(map(quoted, reach.projects))} "
            f"(réseau {listing(map(quoted, reach.networks or ()))})"
        )
    if beyond:
        ways.append(f"au réseau de la machine ({listing(beyond)})")
    return " et ".join(ways)


def _apart(database: Database, reach: DatabaseReach, beyond: Sequence[str]) -> str:
    if database.place == "host":
        return "ne la faire écouter que sur 127.0.0.1"
    clients = f" ({listing(reach.references)})" if reach.references else ""
    unpublished = ", sans publier son port" if beyond and database.published else ""
    return f"ne la relier qu’à ses clients{clients} par un réseau à elle{unpublished}"


def _proof(database: Database) -> Command | None:
    """What shows that a database asks for no password; None for one of which a fact that it needs is not known."""
    known = database_of(database.kind or "")
    facts = {"container": database.container, "data_dir": database.data_dir, "place": database.asked_at}
    needed = {name for _, name, _, _ in string.Formatter().parse(known.proof) if name in facts}
    if not known.proof or any(facts[name] is None for name in needed):
        return None
    return Command(shlex.join(command(known.proof, client=known.program(database.product), **facts)))


class OpenListener(DatabaseFault):
    """A database of the machine that listens beyond the loopback."""

    port: int | None
    addresses: tuple[str, ...]
    listened: str = word()
    effect: str = word()
    bind: str = word()
    unit: str | None = word()


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
def machine_private(databases: Rows[Database], database_reach: Rows[DatabaseReach]) -> Iterator[OpenListener]:
    """Databases of the machine on every interface or a public address; `medium` on private addresses only."""
    reaches = database_reach.by(DatabaseReach.database)
    for database in databases:
        exposure = reaches[database.database].exposure
        if database.place != "host" or exposure in (None, LOOPBACK):
            continue
        beyond = _beyond(database)
        private = exposure == SPECIFIC and all(map(_is_private, beyond))
        yield OpenListener(
            severity="medium" if private else "high",
            database=database.database,
            kind=database.kind,
            port=database.port,
            addresses=beyond,
            shown=shown(database),
            listened=f"{EVERYWHERE} ({listing(beyond)})" if exposure == EVERYWHERE else listing(beyond),
            effect="tout ce réseau privé peut l’appeler" if private else "tout le réseau peut l’appeler",
            bind=database_of(database.kind or "").bind,
            unit=database.unit,
        )


def _is_private(address: str) -> bool:
    """Whether an address with its port is of a private network."""
    host = parsed(host_and_port(address)[0])
    return host is not None and host.is_private
