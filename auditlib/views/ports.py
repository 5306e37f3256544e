"""The ports of the machine: who holds them, who claims them, when two claims collide."""

from collections.abc import Container, Iterable, Iterator
from typing import NamedTuple

import pandas as pd

from auditlib.addresses import EVERY_ADDRESS, is_everywhere, is_loopback, joined, parsed
from auditlib.facts.legacy import Record, records
from auditlib.facts.snapshot import AbsentTable
from auditlib.facts.table import Row, integer, several, table, text, view
from auditlib.software import PORT_HOLDERS, is_running

EVERYWHERE = "toutes les interfaces"
LOOPBACK = "cette machine seulement"
SPECIFIC = "adresses précises"


class Claim(NamedTuple):
    """A claim on ports of the machine: one protocol, one address, a range of ports (first and last included)."""

    protocol: str
    address: str
    first: int
    last: int

    def overlaps(self, other: "Claim", *, v6only: bool = False) -> bool:
        """Whether the two cannot both be bound. `v6only`: a `::` of either leaves IPv4 alone."""
        return (
            self.protocol == other.protocol
            and self.first <= other.last
            and other.first <= self.last
            and _same_address(self.address, other.address, v6only=v6only)
        )

    @property
    def name(self) -> str:
        """The claim as a subject of findings: `tcp/0.0.0.0:8002`, `tcp/[::]:8000-8010`."""
        ports = f"{self.first}-{self.last}" if self.last != self.first else str(self.first)
        return f"{self.protocol}/{joined(self.address, ports)}"


def _same_address(one: str, other: str, *, v6only: bool) -> bool:
    first, second = parsed(one), parsed(other)
    if first is None or second is None:
        return one == other
    wildcards = [address for address in (first, second) if address.is_unspecified]
    if first.version == second.version:
        return first == second or bool(wildcards)
    # Across the families, only a :: that takes IPv4 too meets an IPv4 address.
    return not v6only and any(address.version == 6 for address in wildcards)


def claim(row: Record) -> Claim | None:
    """What a row of publications or listeners claims; None when the engine chooses the port."""
    if "host_port" not in row:
        return Claim(row["protocol"], row["address"], row["port"], row["port"])
    if row["host_port"] is None:
        return None
    return Claim(row["protocol"], row["host_ip"], row["host_port"], row["host_port_last"] or row["host_port"])


def v6only_ports(listeners: Iterable[Record]) -> set[tuple[str, int]]:
    """The (protocol, port) where a `::` socket leaves IPv4 alone: a separate IPv4 wildcard proves it."""
    found: dict[tuple[str, int], set[str]] = {}
    for row in listeners:
        found.setdefault((row["protocol"], row["port"]), set()).add(row["address"])
    return {key for key, addresses in found.items() if {*EVERY_ADDRESS} <= addresses}


def free_port(wanted: int, used: Container[int]) -> int | None:
    """The first port above `wanted` that nothing uses; above 8000 for a system port, as people do (80 → 8080)."""
    start = wanted + 1 if wanted >= 1024 else 8000 + wanted
    return next((port for port in range(start, 65536) if port not in used), None)


def used_ports(
    listeners: pd.DataFrame | None, publications: pd.DataFrame, declarations: pd.DataFrame | None = None
) -> set[int]:
    """Every port that something listens on, publishes, is configured to publish or declares."""
    used = set() if listeners is None else {row["port"] for row in records(listeners)}
    declared = [] if declarations is None else [row for row in records(declarations) if row["kind"] == "port"]
    claims = filter(None, (claim(row) for row in [*records(publications), *declared]))
    return used | {port for one in claims for port in range(one.first, one.last + 1)}


def exposure(addresses: Iterable[str]) -> str:
    """Who can reach what listens at these addresses, in French."""
    addresses = list(addresses)
    if any(map(is_everywhere, addresses)):
        return EVERYWHERE
    return LOOPBACK if all(map(is_loopback, addresses)) else SPECIFIC


def apart(listeners: list[Record], publications: Iterable[Record]) -> list[Record]:
    """The listeners that are not, as far as is known, the sockets of these publications.

    Without root the process of docker-proxy is not seen: what listens at the very address of a publication is its own.
    """
    published = {(row["protocol"], row["host_ip"], row["host_port"]) for row in publications}
    hidden = [row for row in listeners if not row["process"] and not row["container"]]
    own = {id(row) for row in hidden if (row["protocol"], row["address"], row["port"]) in published}
    return [row for row in listeners if id(row) not in own]


@table(
    "host_ports",
    "Ports de la machine",
    "Un port de la machine et celui qui le tient : conteneur, unité systemd ou processus.",
    key=("port", "protocol", "owner", "container_port"),
)
class HostPort(Row):
    """A port of the machine and who holds it."""

    port: int = integer("Port")
    protocol: str = text("Protocole")
    owner: str = text("Tenu par")
    kind: str | None = text("Nature", "conteneur, unité, processus ou inconnu.")
    container_port: int | None = integer("Port interne")
    exposure: str | None = text("Exposition")
    addresses: tuple[str, ...] | None = several("Adresses")
    process: str | None = text("Processus")
    user: str | None = text("Utilisateur")


@view(HostPort)
def host_ports(publications: pd.DataFrame | None = None, listeners: pd.DataFrame | None = None) -> Iterator[Record]:
    """One row per port and owner: publications in force, then the listeners that are not theirs.

    Either alone tells of ports: a machine may have no Docker, and an engine may be elsewhere.
    """
    if publications is None and listeners is None:
        raise AbsentTable("listeners", "ni les écoutes de la machine ni les ports publiés n’ont été lus")
    merged: dict[tuple[int, str, str, int | None], Record] = {}

    def add(row: Record, address: str) -> None:
        known = merged.setdefault(
            (row["port"], row["protocol"], row["owner"], row.get("container_port")), {**row, "addresses": ()}
        )
        known["addresses"] = tuple(dict.fromkeys([*known["addresses"], address]))
        known["process"] = known.get("process") or row.get("process")

    published = {}
    live = [row for row in records(publications) if row["live"]] if publications is not None else []
    for row in live:
        published[row["protocol"], row["host_port"], row["container"]] = row["container_port"]
        place = {"port": row["host_port"], "protocol": row["protocol"], "container_port": row["container_port"]}
        add({**place, "owner": row["container"], "kind": "conteneur"}, row["host_ip"])
    for row in apart(records(listeners), live) if listeners is not None else []:
        inside = published.get((row["protocol"], row["port"], row["container"]))
        place = {"port": row["port"], "protocol": row["protocol"], "container_port": inside}
        told = (
            {}
            if row["process"] in PORT_HOLDERS and row["container"]
            else {"process": row["process"], "user": row["user"]}
        )
        add({**place, **_owner(row), **told}, row["address"])
    for row in merged.values():
        yield {**row, "exposure": exposure(row["addresses"])}


def _owner(listener: Record) -> Record:
    for kind, name in (("conteneur", "container"), ("unité", "unit"), ("processus", "process")):
        if listener[name]:
            return {"kind": kind, "owner": listener[name]}
    return {"kind": "inconnu", "owner": "inconnu"}


@table(
    "internal_ports",
    "Ports internes",
    "Ports qu’un conteneur en marche déclare sans les publier : joignables par ses réseaux Docker seulement.",
    key=("container", "container_port", "protocol"),
)
class InternalPort(Row):
    """A port that a running container declares and does not publish."""

    container: str = text("Conteneur")
    container_port: int = integer("Port interne")
    protocol: str = text("Protocole")
    networks: tuple[str, ...] | None = several("Réseaux")


@view(InternalPort)
def internal_ports(
    containers: pd.DataFrame, container_networks: pd.DataFrame, publications: pd.DataFrame
) -> Iterator[Record]:
    """Ports of running containers that are exposed to their networks and not published."""
    published = {
        (row["container"], row["container_port"], row["protocol"]) for row in records(publications) if row["live"]
    }
    networks: dict[str, list[str]] = {}
    for row in records(container_networks):
        networks.setdefault(row["container"], []).append(row["network"])
    for row in records(containers):
        if not is_running(row["state"]) or row["network_mode"] == "host":
            continue
        for exposed in row["exposed_ports"] or ():
            port, _, protocol = exposed.partition("/")
            # An image may declare a range.
            first, _, last = port.partition("-")
            for number in range(int(first), int(last or first) + 1):
                if (row["name"], number, protocol or "tcp") not in published:
                    place = {"container": row["name"], "container_port": number, "protocol": protocol or "tcp"}
                    yield {**place, "networks": networks.get(row["name"], ())}
