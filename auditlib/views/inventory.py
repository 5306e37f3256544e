"""What runs and what does not: stacks of containers, and services of the machine outside Docker."""

from collections.abc import Iterator

import pandas as pd

from auditlib.addresses import joined
from auditlib.facts.legacy import Record, records
from auditlib.facts.table import Row, flag, integer, several, table, text, view
from auditlib.french import listing
from auditlib.software import is_up
from auditlib.views.ports import exposure

ACTIVE, PARTLY, PASSIVE = "actif", "en partie actif", "passif"
PLURALS = {ACTIVE: "actifs", PARTLY: "en partie actifs", PASSIVE: "passifs"}


@table(
    "stacks",
    "Ensembles de conteneurs",
    "Les projets compose, et les conteneurs lancés seuls.",
    key=("stack", "compose"),
)
class Stack(Row):
    """What runs of a Compose project, or a container without one."""

    stack: str = text("Ensemble")
    compose: bool = flag("Projet compose")
    state: str | None = text("État", "actif, en partie actif ou passif (rien ne tourne).")
    running: int | None = integer("En marche")
    total: int | None = integer("Conteneurs")
    containers: tuple[str, ...] | None = several("Noms")
    stopped: tuple[str, ...] | None = several("Arrêtés")
    networks: tuple[str, ...] | None = several("Réseaux")
    ports: tuple[str, ...] | None = several("Ports publiés")
    folder: str | None = text("Dossier")


@view(Stack)
def stacks(containers: pd.DataFrame, container_networks: pd.DataFrame, publications: pd.DataFrame) -> Iterator[Record]:
    """One row per compose project, and one per container that belongs to none."""
    groups: dict[tuple[str, bool], list[Record]] = {}
    for row in records(containers):
        project = row["compose_project"]
        groups.setdefault((project or row["name"], bool(project)), []).append(row)
    networks = _by_container(container_networks, "network")
    ports: dict[str, set[str]] = {}
    for row in records(publications):
        if row["live"]:
            suffix = "" if row["protocol"] == "tcp" else f"/{row['protocol']}"
            ports.setdefault(row["container"], set()).add(f"{row['host_port']}→{row['container_port']}{suffix}")
    for (stack, compose), members in groups.items():
        names = [row["name"] for row in members]
        up = [row["name"] for row in members if is_up(row["state"])]
        yield {
            "stack": stack,
            "compose": compose,
            "state": ACTIVE if len(up) == len(names) else PARTLY if up else PASSIVE,
            "running": len(up),
            "total": len(names),
            "containers": sorted(names),
            "stopped": sorted(set(names) - set(up)),
            "networks": sorted({network for name in names for network in networks.get(name, ())}),
            "ports": sorted({port for name in names for port in ports.get(name, ())}, key=_port_order),
            "folder": next((row["compose_dir"] for row in members if row["compose_dir"]), None),
        }


def _by_container(frame: pd.DataFrame, column: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for row in records(frame):
        found.setdefault(row["container"], set()).add(row[column])
    return found


def _port_order(published: str) -> tuple[int, str]:
    return int(published.partition("→")[0]), published


@table(
    "host_services",
    "Services de la machine",
    "Ce qui écoute sur la machine hors des conteneurs, par unité systemd ou par processus.",
    key=("service", "process"),
)
class HostService(Row):
    """A service of the machine that listens."""

    service: str = text("Service", "L’unité systemd, sinon le processus.")
    unit: str | None = text("Unité systemd")
    process: str | None = text("Processus")
    user: str | None = text("Utilisateur")
    addresses: tuple[str, ...] | None = several("Écoutes")
    exposure: str | None = text("Exposition")


@view(HostService)
def host_services(listeners: pd.DataFrame) -> Iterator[Record]:
    """One row per unit and process that listens, containers and their port proxies aside."""
    groups: dict[tuple[str, str | None], list[Record]] = {}
    for row in records(listeners):
        if not row["container"]:
            groups.setdefault((row["unit"] or row["process"] or "inconnu", row["process"]), []).append(row)
    for (service, process), rows in groups.items():
        users = sorted({row["user"] for row in rows if row["user"]})
        yield {
            "service": service,
            "unit": rows[0]["unit"],
            "process": process,
            "user": listing(users) or None,
            "addresses": list(dict.fromkeys(_address(row) for row in rows)),
            "exposure": exposure(row["address"] for row in rows),
        }


def _address(row: Record) -> str:
    return joined(row["address"], row["port"]) + ("" if row["protocol"] == "tcp" else f"/{row['protocol']}")
