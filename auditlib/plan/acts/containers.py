"""A container given another name, or a restart policy; who calls it by the name that it has."""

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from auditlib.addresses import host_and_port
from auditlib.compose import edit
from auditlib.compose.overrides import Override
from auditlib.compose.written import Line
from auditlib.facts.snapshot import Snapshot
from auditlib.facts.table import Row, asdict
from auditlib.facts.tables import TABLES
from auditlib.facts.tables.compose import ComposeService
from auditlib.facts.tables.databases import ConnectionString, Database, ExecCommand
from auditlib.facts.tables.docker import Connection, Container, ContainerNetwork
from auditlib.facts.tables.traefik import TraefikServer
from auditlib.french import listing, quoted
from auditlib.plan.acts.act import Changes, Commands, Edit
from auditlib.plan.stacks import Stack, container

R = TypeVar("R", bound=Row)

# The columns that hold the names of containers, by table.
_NAMING = ("container", "targets", "network_of")
_BEARERS: dict[type[Row], tuple[str, ...]] = {
    table.row: tuple(name for name in table.names if name in _NAMING) for table in TABLES.values()
}
_BEARERS |= {Container: ("name",), ExecCommand: ("container", "database")}


@dataclass(frozen=True)
class Restart(Edit):
    """Give a service a restart policy."""

    policy: str

    by_engine = True

    @property
    def recreated(self) -> str | None:
        return None

    def edited(self, lines: Sequence[Line]) -> list[Line]:
        return edit.restart(lines, self.service, self.policy)

    def override(self, file: Override) -> None:
        file.restart(self.service, self.policy)

    def effect(self, snapshot: Snapshot) -> Changes:
        return {
            Container: [
                replace(row, restart_policy=self.policy) if row.name == self.container else row
                for row in snapshot.known(Container) or ()
            ],
            ComposeService: self.services(snapshot, lambda service: replace(service, restart=self.policy)),
        }

    def commands(self, snapshot: Snapshot, home: Stack | None) -> Commands:
        known, name = container(snapshot, self.container), shlex.quote(self.container or "")
        former = (known and known.restart_policy) or "no"
        forth, back = (f"docker update --restart {shlex.quote(policy)} {name}" for policy in (self.policy, former))
        return Commands([forth], [back])

    def describe(self) -> str:
        return f"Faire redémarrer {self.who} de lui-même (« restart: {self.policy} »)."


@dataclass(frozen=True)
class Name(Edit):
    """Give another `container_name` to a service, or none: Compose then names its container."""

    wanted: str | None

    turn = 2
    reloads = True

    def edited(self, lines: Sequence[Line]) -> list[Line]:
        return edit.rename(lines, self.service, self.wanted)

    def override(self, file: Override) -> None:
        file.rename(self.service, self.wanted)

    @property
    def renamed(self) -> tuple[str, str] | None:
        return (self.container, self.wanted) if self.container and self.wanted else None

    def effect(self, snapshot: Snapshot) -> Changes:
        services = self.services(snapshot, lambda service: replace(service, container_name=self.wanted))
        if self.container is None:
            return {ComposeService: services}
        known = container(snapshot, self.container)
        new = self.wanted or f"{known.compose_project if known else None}-{self.service}-1"
        renaming = Renaming(self.service, self.container, new)
        bearers = {row: renaming.rows(snapshot.known(row), columns) for row, columns in _BEARERS.items() if columns}
        return {
            **bearers,
            Connection: [renaming.connection(row) for row in snapshot.known(Connection) or ()],
            ConnectionString: [renaming.string(row) for row in snapshot.known(ConnectionString) or ()],
            ContainerNetwork: [renaming.place(row) for row in snapshot.known(ContainerNetwork) or ()],
            Database: [renaming.database(row) for row in snapshot.known(Database) or ()],
            ComposeService: services,
        }

    def describe(self) -> str:
        if self.wanted is None:
            return f"Laisser Compose nommer le conteneur {self.who}."
        return f"Nommer {quoted(self.wanted)} le conteneur {self.who}."

    @property
    def risky(self) -> bool:
        return True

    def remarks(self, snapshot: Snapshot) -> Iterable[str]:
        if self.container is None:
            return
        yield f"Ce qui appelle {self.who} depuis la machine (« docker exec », scripts, sauvegardes) doit suivre."
        if self.container == self.service and (calling := callers(snapshot, self.container)):
            verb = "l’appelle" if len(calling) == 1 else "l’appellent"
            stays = "ce nom reste, c’est celui du service sur leurs réseaux"
            yield f"{listing(map(quoted, calling))} {verb} {quoted(self.service)} : {stays}."


@dataclass(frozen=True)
class Renaming:
    """What the tables say of a container of a service once its name is another."""

    service: str
    old: str
    new: str

    def rows(self, rows: Iterable[R] | None, columns: Iterable[str]) -> list[R]:
        """The rows of a table, some columns of which hold names of containers."""
        return [self._row(row, columns) for row in rows or ()]

    def _row(self, row: R, columns: Iterable[str]) -> R:
        values = asdict(row)
        renamed = values | {name: self._value(values[name]) for name in columns}
        return row if renamed == values else type(row)(**renamed)

    def _value(self, value: str | tuple[str, ...] | None) -> str | tuple[str, ...] | None:
        if isinstance(value, tuple):
            return tuple(self.new if name == self.old else name for name in value)
        return self.new if value == self.old else value

    def connection(self, row: Connection) -> Connection:
        """A connection: its ends may be no containers, and of the same name."""
        source = self.new if (row.source_kind, row.source) == ("container", self.old) else row.source
        target = self.new if (row.target_kind, row.target) == ("container", self.old) else row.target
        return replace(row, source=source, target=target)

    def database(self, row: Database) -> Database:
        """A database, which is called as its container is."""
        return replace(row, container=self.new, database=self.new) if row.container == self.old else row

    def place(self, row: ContainerNetwork) -> ContainerNetwork:
        """A place on a network, where the name of the service stays."""
        if row.container != self.old:
            return row
        others = (alias for alias in row.aliases or () if alias != self.old)
        return replace(row, container=self.new, aliases=tuple(dict.fromkeys([self.new, self.service, *others])))

    def string(self, row: ConnectionString) -> ConnectionString:
        """A connection string, which leads nowhere any more when it names the container, and not its service."""
        container = self.new if row.container == self.old else row.container
        if row.host == self.old != self.service and self.old in (row.targets or ()):
            return replace(row, container=container, target="unresolved", targets=(), networks=())
        targets = row.targets and tuple(self.new if name == self.old else name for name in row.targets)
        return replace(row, container=container, targets=targets)


def callers(snapshot: Snapshot, name: str) -> list[str]:
    """Who calls a container by its name, as far as the audit sees: variables, and files that Traefik reads."""
    strings = [
        f"{string.container} ({string.variable})"
        for string in snapshot.known(ConnectionString) or ()
        if string.host == name and name in (string.targets or ())
    ]
    servers = snapshot.known(TraefikServer) or ()
    return list(dict.fromkeys([*strings, *(row.service for row in servers if host_and_port(row.url)[0] == name)]))
