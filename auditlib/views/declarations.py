"""What files on the disk and stopped containers claim, and which projects of the disk run."""

import posixpath
from collections.abc import Iterator

import pandas as pd

from auditlib.facts.legacy import Record, records
from auditlib.facts.table import Row, flag, integer, several, table, text, view
from auditlib.french import quoted
from auditlib.software import is_up
from auditlib.views.inventory import ACTIVE, PARTLY, PASSIVE


@table(
    "projects",
    "Projets sur le disque",
    "Les projets trouvés sur le disque, rapprochés des conteneurs.",
    key=("root", "files"),
)
class Project(Row):
    """A set of compose files on the disk and what runs of it."""

    project: str | None = text("Projet")
    state: str | None = text("État", "actif, en partie actif ou passif (rien ne tourne).")
    kind: str | None = text("Nature", words={"compose": "compose", "dockerfile": "Dockerfile seul"})
    folder: str | None = text("Dossier", "Relatif à la racine.")
    files: str = text("Fichiers")
    running: tuple[str, ...] | None = several("En marche", "Services qui tournent.")
    missing: tuple[str, ...] | None = several(
        "À l’arrêt", "Services qui devraient démarrer avec le projet et ne tournent pas."
    )
    inactive: tuple[str, ...] | None = several("Hors profil")
    refused: bool | None = flag(
        "Refusé",
        "Vrai si Compose refuserait ces fichiers ; faux s’il en tourne et que seules des variables leur manquent.",
    )
    root: str = text("Racine")


def live_services(containers: pd.DataFrame) -> dict[tuple[str, str], set[str | None]]:
    """The first compose file of each container that is up, by (project, service); None for a label without files."""
    found: dict[tuple[str, str], set[str | None]] = {}
    for row in records(containers):
        if row["compose_project"] and row["compose_service"] and is_up(row["state"]):
            file = row["compose_files"][0] if row["compose_files"] else None
            found.setdefault((row["compose_project"], row["compose_service"]), set()).add(file)
    return found


def runs(live: dict[tuple[str, str], set[str | None]], project: Record, service: str) -> bool:
    """Whether a service of a project of the disk is up, started with the same file: two files may name it alike."""
    files = live.get((project["project"], service), set())
    return bool(files & {project["path"], None})


def _lacking(compose_problems: pd.DataFrame | None) -> set[tuple[str, str]]:
    """The root and the files of the projects that Compose refuses for want of variables alone."""
    alone: dict[tuple[str, str], bool] = {}
    for row in records(compose_problems) if compose_problems is not None else ():
        if row["kind"] != "variable":
            key = (row["root"], row["files"])
            alone[key] = alone.get(key, True) and bool(row["variable"])
    return {key for key, named in alone.items() if named}


@view(Project)
def projects(
    compose_projects: pd.DataFrame, containers: pd.DataFrame, compose_problems: pd.DataFrame | None = None
) -> Iterator[Record]:
    """One row per project on the disk, with what runs of it."""
    live = live_services(containers)
    lacking = _lacking(compose_problems)
    for row in records(compose_projects):
        expected, others = row["services"], row["inactive"]
        # A file that Compose refuses today may have started what runs.
        started = {service for (project, service), _ in live.items() if project == row["project"]}
        up = sorted(service for service in {*expected, *others, *started} if runs(live, row, service))
        missing = sorted(set(expected) - set(up))
        yield {
            **{name: row[name] for name in ("project", "kind", "folder", "files", "inactive", "root")},
            # Whoever started what runs gave the variables that are missing here.
            "refused": row["refused"] and not (up and (row["root"], row["files"]) in lacking),
            "state": PASSIVE if not up else PARTLY if missing else ACTIVE,
            "running": up,
            "missing": missing,
        }


@table(
    "declarations",
    "Déclarations",
    "Ce que réclament les fichiers du disque et les conteneurs arrêtés : ports, noms, réseaux et volumes.",
    key=(
        "origin",
        "kind",
        "root",
        "files",
        "project",
        "service",
        "container",
        "name",
        "protocol",
        "host_ip",
        "host_port",
        "host_port_last",
        "container_port",
    ),
)
class Declaration(Row):
    """A claim on a port or a name by a file or a stopped container."""

    origin: str = text("Origine", words={"file": "fichier", "container": "conteneur"})
    kind: str = text(
        "Nature", words={"port": "port", "container_name": "nom de conteneur", "network": "réseau", "volume": "volume"}
    )
    project: str | None = text("Projet")
    service: str | None = text("Service")
    container: str | None = text("Conteneur", "Le conteneur arrêté qui réclame.")
    name: str | None = text("Nom", "Du conteneur, du réseau ou du volume, tel que le moteur le porterait.")
    protocol: str | None = text("Protocole")
    host_ip: str | None = text("Adresse")
    host_port: int | None = integer("Port", "Inconnu : choisi par le moteur au démarrage.")
    host_port_last: int | None = integer("Dernier port")
    container_port: int | None = integer("Port interne")
    chosen: bool | None = flag("Choisi", "Vrai si le moteur choisit le port, parmi tous ou dans la plage.")
    external: bool | None = flag("Externe", "Vrai si le projet ne crée pas ce réseau ou ce volume.")
    active: bool | None = flag("Profil actif", "Faux si le service ne démarre pas avec le projet.")
    running: bool | None = flag("En marche", "Vrai si le service qui réclame tourne.")
    file: str | None = text("Fichier", "Relatif à la racine.")
    line: int | None = integer("Ligne")
    files: str | None = text("Jeu de fichiers")
    root: str | None = text("Racine")


@view(Declaration)
def declarations(
    containers: pd.DataFrame,
    publications: pd.DataFrame,
    container_networks: pd.DataFrame,
    mounts: pd.DataFrame,
    compose_projects: pd.DataFrame | None = None,
    compose_services: pd.DataFrame | None = None,
    compose_ports: pd.DataFrame | None = None,
    compose_resources: pd.DataFrame | None = None,
) -> Iterator[Record]:
    """One row per claim. Without the files of the disk, the claims of stopped containers alone."""
    yield from _of_containers(containers, publications, container_networks, mounts)
    tables = (compose_projects, compose_services, compose_ports, compose_resources)
    if not any(table is None for table in tables):
        yield from _of_files(live_services(containers), *(records(table) for table in tables if table is not None))


def _of_containers(
    containers: pd.DataFrame, publications: pd.DataFrame, container_networks: pd.DataFrame, mounts: pd.DataFrame
) -> Iterator[Record]:
    stopped = {row["name"]: row for row in records(containers) if not is_up(row["state"])}

    def claim(container: str, kind: str, **facts: object) -> Record:
        row = stopped[container]
        owner = {"project": row["compose_project"], "service": row["compose_service"], "container": container}
        return {"origin": "container", "kind": kind, **owner, "active": True, "running": False, **facts}

    for name in stopped:
        yield claim(name, "container_name", name=name)
    for row in records(publications):
        # On the machine's own network the engine publishes nothing, whatever was asked.
        if row["container"] in stopped and stopped[row["container"]]["network_mode"] != "host":
            columns = ("protocol", "host_ip", "host_port", "host_port_last", "container_port")
            chosen = row["host_port"] is None or row["host_port_last"] is not None
            yield claim(row["container"], "port", chosen=chosen, **{name: row[name] for name in columns})
    for row in records(container_networks):
        if row["container"] in stopped:
            yield claim(row["container"], "network", name=row["network"])
    for row in {(row["container"], row["volume"]): row for row in records(mounts)}.values():
        if row["container"] in stopped and row["volume"]:
            yield claim(row["container"], "volume", name=row["volume"])


def _of_files(
    live: dict[tuple[str, str], set[str | None]],
    projects: list[Record],
    services: list[Record],
    ports: list[Record],
    resources: list[Record],
) -> Iterator[Record]:
    known = {(row["root"], row["files"]): row for row in projects}
    states = {
        (row["root"], row["files"], row["service"]): {
            "active": row["active"],
            "running": runs(live, known[row["root"], row["files"]], row["service"]),
        }
        for row in services
    }
    for row in services:
        if row["container_name"]:
            yield {
                **_owner(row, "container_name"),
                **states[row["root"], row["files"], row["service"]],
                "name": row["container_name"],
                "file": row["container_name_file"],
                "line": row["container_name_line"],
            }
    hosts = {(row["root"], row["files"], row["service"]) for row in services if row["network_mode"] == "host"}
    for row in ports:
        key = (row["root"], row["files"], row["service"])
        if key not in hosts:
            columns = ("protocol", "host_ip", "host_port", "host_port_last", "container_port", "chosen", "file", "line")
            yield {**_owner(row, "port"), **states[key], **{name: row[name] for name in columns}}
    for row in resources:
        project = known[row["root"], row["files"]]
        yield {
            **_owner(row, row["kind"]),
            "name": row["name"],
            "external": row["external"],
            "active": row["used"],
            "running": any(runs(live, project, service) for service in (*project["services"], *project["inactive"])),
            "file": row["file"],
            "line": row["line"],
        }


def _owner(row: Record, kind: str) -> Record:
    return {
        "origin": "file",
        "kind": kind,
        "project": row["project"],
        "service": row.get("service"),
        "files": row["files"],
        "root": row["root"],
    }


@table(
    "idle_ports",
    "Ports réclamés",
    "Les ports que rien ne publie encore, et que réclament un fichier du disque ou un conteneur arrêté.",
    key=("host_port", "protocol", "claimant", "container_port", "host_port_last", "active", "place"),
)
class IdlePort(Row):
    """A port claimed by what does not run."""

    host_port: int = integer("Port")
    host_port_last: int | None = integer("Dernier port")
    protocol: str = text("Protocole")
    addresses: tuple[str, ...] | None = several("Adresses")
    claimant: str = text("Réclamé par")
    container_port: int = integer("Port interne")
    active: bool = flag("Profil actif")
    place: str = text("Fichier", "Avec la ligne ; inconnu pour un conteneur arrêté.")


@view(IdlePort)
def idle_ports(declarations: pd.DataFrame) -> Iterator[Record]:
    """One row per port that a claimant which does not run asks for, its addresses together."""
    merged: dict[tuple[object, ...], Record] = {}
    for row in records(declarations):
        if row["kind"] == "port" and not row["running"] and row["host_port"] is not None:
            place = f"{row['file']}:{row['line']}" if row["file"] else None
            made = {
                **{name: row[name] for name in ("host_port", "host_port_last", "protocol", "container_port", "active")},
                "claimant": row["container"] or f"{row['project']} / {row['service']}",
                "place": place,
            }
            known = merged.setdefault(tuple(made.values()), {**made, "addresses": ()})
            known["addresses"] = (*known["addresses"], row["host_ip"])
    yield from merged.values()


# A project, the path of its first file and how many there are, a service.
Origin = tuple[str | None, str | None, int, str | None]


def on_disk(compose_projects: pd.DataFrame | None, compose_services: pd.DataFrame | None) -> dict[Origin, Record]:
    """The services of files that Compose takes, by (project, path of the first file, service)."""
    if compose_projects is None or compose_services is None:
        return {}
    projects = {(row["root"], row["files"]): row for row in records(compose_projects) if not row["refused"]}
    found: dict[Origin, Record] = {}
    for row in records(compose_services):
        if project := projects.get((row["root"], row["files"])):
            count = row["files"].count(" + ") + 1
            found[project["project"], project["path"], count, row["service"]] = {**row, "folder": _folder(project)}
    return found


def origin(container: Record) -> Origin:
    """What a container was made from, as `on_disk` names it."""
    files = container["compose_files"] or ()
    return container["compose_project"], next(iter(files), None), len(files), container["compose_service"]


def _folder(project: Record) -> str:
    """The whole path of a project's folder."""
    return posixpath.normpath(posixpath.join(str(project["root"]), str(project["folder"])))


def place(row: Record | None) -> str:
    """Where a thing is written: « multimedia/compose.yml » (ligne 12); "" when it is not known."""
    if row is None or not row["file"]:
        return ""
    return quoted(row["file"]) + (f" (ligne {row['line']})" if row["line"] else "")
