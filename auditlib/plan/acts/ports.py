"""A published port moved elsewhere, or published no more."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from auditlib.addresses import EVERY_ADDRESS, joined
from auditlib.compose import edit
from auditlib.compose.document import NOWHERE, Invalid
from auditlib.compose.overrides import Override
from auditlib.compose.ports import PublishedPort, parse
from auditlib.compose.written import Line
from auditlib.facts.snapshot import Snapshot
from auditlib.facts.table import Row
from auditlib.facts.tables.compose import ComposePort, ComposeService
from auditlib.facts.tables.databases import Database
from auditlib.facts.tables.docker import Publication
from auditlib.facts.tables.host import Listener
from auditlib.french import quoted
from auditlib.plan.acts.act import Changes, Edit

R = TypeVar("R", bound=Row)


@dataclass(frozen=True)
class Publish(Edit):
    """Publish a port elsewhere: at an address ("" for every one) and port of the machine; None: publish it no more."""

    port: PublishedPort
    wanted: tuple[str, int] | None

    whole = True
    own = ("port",)

    def edited(self, lines: Sequence[Line]) -> list[Line]:
        return edit.publish(lines, self.service, self.port, self.wanted)

    def override(self, file: Override) -> None:
        file.publish(self.service, self.port, self.wanted)

    def effect(self, snapshot: Snapshot) -> Changes:
        key = self.key(snapshot)
        publications = self._moved(
            snapshot.known(Publication) or (),
            lambda row: self._runs(row.container) and self._claimed(row),
            lambda row: row.host_ip,
            lambda row, address, port: replace(row, host_ip=address, host_port=port),
        )
        listeners = self._moved(
            snapshot.known(Listener) or (),
            lambda row: self._runs(row.container) and (row.protocol, row.port) == (self.port.protocol, self.port.host),
            lambda row: row.address,
            lambda row, address, port: replace(row, address=address, port=port, family=_family(address)),
        )
        ports = self._moved(
            snapshot.known(ComposePort) or (),
            lambda row: key == (row.root, row.files, row.service) and self._claimed(row),
            lambda row: row.host_ip,
            lambda row, address, port: replace(row, host_ip=address, host_port=port),
        )
        return {
            Publication: publications,
            Listener: listeners,
            Database: self._reachable(snapshot.known(Database) or (), publications),
            ComposePort: ports,
            ComposeService: self.services(
                snapshot, lambda row: replace(row, ports=tuple(self._ports(row.ports or ())))
            ),
        }

    def _runs(self, container: str | None) -> bool:
        return container is not None and container == self.container

    def _claimed(self, row: Publication | ComposePort) -> bool:
        claim = (row.protocol, row.host_port, row.container_port)
        return claim == self.port and row.host_port_last is None

    def _moved(
        self,
        rows: Iterable[R],
        same: Callable[[R], bool],
        address: Callable[[R], str],
        at: Callable[[R, str, int], R],
    ) -> list[R]:
        """The rows, with one for each address where the port is to be in place of those that are the `same`."""
        moved, others = list[R](), list[R]()
        for row in rows:
            (moved if same(row) else others).append(row)
        if not moved or self.wanted is None:
            return others
        places, number = (self.wanted[0],) if self.wanted[0] else EVERY_ADDRESS, self.wanted[1]
        for place in places:
            alike = (row for row in moved if (":" in address(row)) == (":" in place))
            others.append(at(next(alike, moved[0]), place, number))
        return others

    def _ports(self, ports: Iterable[str]) -> Iterator[str]:
        """The ports of a service in short form."""
        for port in ports:
            try:
                same = self.port.matches(parse(port, NOWHERE))
            except Invalid:
                same = False
            if not same:
                yield port
            elif self.wanted:
                yield self.port.at(*self.wanted)

    def _reachable(self, databases: Iterable[Database], publications: Iterable[Publication]) -> Iterator[Database]:
        """The databases, that of the container with the addresses where its port is published now."""
        live = [row for row in publications if self._runs(row.container) and row.live]
        for database in databases:
            if self._runs(database.container):
                ends = [(row.host_ip, row.host_port) for row in live if row.container_port == database.port]
                addresses = tuple(joined(host, port) for host, port in ends if port is not None)
                yield replace(database, addresses=addresses, published=bool(addresses))
            else:
                yield database

    def describe(self) -> str:
        port = f"{self.port.target}/{self.port.protocol}"
        if self.wanted is None:
            return f"Ne plus publier le port {port} de {self.who} sur la machine."
        address, number = self.wanted
        place = joined(address, number) if address else f"le port {number}"
        former = f"{self.port.host}" if number != self.port.host else "toutes les interfaces"
        where = f", dans {quoted(self.disk[1])}" if self.disk else ""
        return f"Publier le port {port} de {self.who} sur {place} au lieu de {former}{where}."

    def remarks(self, snapshot: Snapshot) -> Iterable[str]:
        if self.container and self.wanted and self.wanted[0] == "127.0.0.1":
            yield f"Depuis une autre machine, {self.who} ne répondra plus sur le port {self.wanted[1]}."

    @property
    def risky(self) -> bool:
        # What is idle has no caller.
        return self.container is not None and (self.wanted is None or self.wanted[1] != self.port.host)


def _family(address: str) -> str:
    return "ipv6" if ":" in address else "ipv4"
