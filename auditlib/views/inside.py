"""What is inside the containers: ports really listened to, beside those that are declared or published."""

from collections.abc import Iterator

import pandas as pd

from auditlib.facts.legacy import Record, records
from auditlib.facts.table import Row, Rows, flag, integer, several, table, text, view
from auditlib.software import is_running
from auditlib.views.ports import LOOPBACK, exposure

ITSELF, NETWORKS = "le conteneur seulement", "ses réseaux"


@table(
    "container_ports",
    "Ports dans les conteneurs",
    "Les ports que chaque conteneur en marche écoute, déclare (EXPOSE) ou publie. Un port déclaré ou publié sans "
    "écoute ne répond à personne.",
    key=("container", "port", "protocol"),
)
class ContainerPort(Row):
    """A port inside a running container."""

    container: str = text("Conteneur")
    port: int = integer("Port interne")
    protocol: str = text("Protocole")
    listening: bool | None = flag("Écouté", "Inconnu si les sockets de ce conteneur n’ont pas été lus.")
    processes: tuple[str, ...] | None = several("Processus")
    reach: str | None = text(
        "Joignable par", "Ses réseaux, ou le conteneur seul s’il n’écoute que sur sa boucle locale."
    )
    declared: bool | None = flag("Déclaré")
    published: tuple[str, ...] | None = several("Publié sur", "Ports de la machine.")


@view(ContainerPort)
def container_ports(
    containers: pd.DataFrame, container_listeners: pd.DataFrame, publications: pd.DataFrame
) -> Iterator[Record]:
    """One row per port inside a running container that has a network of its own."""
    heard: dict[tuple[str, int, str], list[Record]] = {}
    for row in records(container_listeners):
        # Of a network that several share, it is not always known which one listens: all are named.
        place = (row["container"] or row["network_of"], row["port"], row["protocol"])
        heard.setdefault(place, []).append(row)
    shared = {(name, *place[1:]) for place in heard for name in place[0].split(", ") if ", " in place[0]}
    read = {name for row in records(container_listeners) for name in row["network_of"].split(", ")}
    published: dict[tuple[str, int, str], set[str]] = {}
    for row in records(publications):
        if row["live"]:
            place = (row["container"], row["container_port"], row["protocol"])
            published.setdefault(place, set()).add(str(row["host_port"]))
    declared = {place for row in records(containers) for place in _declared(row)}
    for place in sorted({*heard, *published, *declared}):
        container, port, protocol = place
        rows = heard.get(place, [])
        processes = dict.fromkeys(row["process"] for row in rows if row["process"])
        yield {
            "container": container,
            "port": port,
            "protocol": protocol,
            # A container of which no socket at all was seen may not have been read.
            "listening": True if rows or place in shared else False if container in read else None,
            "processes": list(processes),
            "reach": _reach(rows),
            "declared": place in declared,
            "published": sorted(published.get(place, ()), key=int),
        }


def silent_ports(container_ports: Rows[ContainerPort]) -> list[str]:
    """The published ports that nothing listens on, as people write them: `api 8000/tcp`."""
    return [
        f"{row['container']} {row['port']}/{row['protocol']}"
        for row in records(container_ports)
        if row["published"] and row["listening"] is False
    ]


def _declared(container: Record) -> Iterator[tuple[str, int, str]]:
    mode = container["network_mode"] or ""
    if not is_running(container["state"]) or mode == "host" or mode.startswith("container:"):
        return
    for exposed in container["exposed_ports"] or ():
        ports, _, protocol = exposed.partition("/")
        first, _, last = ports.partition("-")  # an image may declare a range
        for port in range(int(first), int(last or first) + 1):
            yield container["name"], port, protocol or "tcp"


def _reach(rows: list[Record]) -> str | None:
    if not rows:
        return None
    return ITSELF if exposure(row["address"] for row in rows) == LOOPBACK else NETWORKS
