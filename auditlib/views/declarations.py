"""What files on the disk and stopped containers claim, and which projects of the disk run."""

import posixpath
from collections.abc import Iterator

import pandas as pd

from auditlib.facts.table import Row, Table, flag, integer, records, several, text, view
from auditlib.french import quoted
from auditlib.software import is_up
from auditlib.views.inventory import ACTIVE, PARTLY, PASSIVE

PROJECTS = Table(
    "projects",
    "Projets sur le disque",
    "Les projets trouvés sur le disque, rapprochés des conteneurs.",
    ("root", "files"),
    (
        text("project", "Projet"),
        text("state", "État", "actif, en partie actif ou passif (rien ne tourne)."),
        text("kind", "Nature", words={"compose": "compose", "dockerfile": "Dockerfile seul"}),
        text("folder", "Dossier", "Relatif à la racine."),
        text("files", "Fichiers"),
        several("running", "En marche", "Services qui tournent."),
        several("missing", "À l’arrêt", "Services qui devraient démarrer avec le projet et ne tournent pas."),
        several("inactive", "Hors profil"),
        flag("refused", "Refusé", "Vrai si Compose refuserait ces fichiers."),
        text("root", "Racine"),
    ),
)


def live_services(containers: pd.DataFrame) -> dict[tuple[str, str], set[str | None]]:
    """The first compose file of each container that is up, by (project, service); None for a label without files."""
    found: dict[tuple[str, str], set[str | None]] = {}
    for row in records(containers):
        if row["compose_project"] and row["compose_service"] and is_up(row["state"]):
            file = row["compose_files"][0] if row["compose_files"] else None
            found.setdefault((row["compose_project"], row["compose_service"]), set()).add(file)
    return found


def runs(live: dict[tuple[str, str], set[str | None]], project: Row, service: str) -> bool:
    """Whether a service of a project of the disk is up, started with the same file: two files may name it alike."""
    files = live.get((project["project"], service), set())
    return bool(files & {project["path"], None})


@view(PROJECTS)
def projects(compose_projects: pd.DataFrame, containers: pd.DataFrame) -> Iterator[Row]:
    """One row per project on the disk, with what runs of it."""
    live = live_services(containers)
    for row in records(compose_projects):
        expected, others = row["services"], row["inactive"]
        # A file that Compose refuses today may have started what runs.
        started = {service for (project, service), _ in live.items() if project == row["project"]}
        up = sorted(service for service in {*expected, *others, *started} if runs(live, row, service))
        missing = sorted(set(expected) - set(up))
        yield {
            **{name: row[name] for name in ("project", "kind", "folder", "files", "inactive", "refused", "root")},
            "state": PASSIVE if not up else PARTLY if missing else ACTIVE,
            "running": up,
            "missing": missing,
        }


DECLARATIONS = Table(
    "declarations",
    "Déclarations",
    "Ce que réclament les fichiers du disque et les conteneurs arrêtés : ports, noms, réseaux et volumes.",
    (
        *("origin", "kind", "root", "files", "project", "service", "container"),
        *("name", "protocol", "host_ip", "host_port", "host_port_last", "container_port"),
    ),
    (
        text("origin", "Origine", words={"file": "fichier", "container": "conteneur"}),
        text(
            "kind",
            "Nature",
            words={"port": "port", "container_name": "nom de conteneur", "network": "réseau", "volume": "volume"},
        ),
        text("project", "Projet"),
        text("service", "Service"),
        text("container", "Conteneur", "Le conteneur arrêté qui réclame."),
        text("name", "Nom", "Du conteneur, du réseau ou du volume, tel que le moteur le porterait."),
        text("protocol", "Protocole"),
        text("host_ip", "Adresse"),
        integer("host_port", "Port", "Inconnu : choisi par le moteur au démarrage."),
        integer("host_port_last", "Dernier port"),
        integer("container_port", "Port interne"),
        flag("chosen", "Choisi", "Vrai si le moteur choisit le port, parmi tous ou dans la plage."),
        flag("external", "Externe", "Vrai si le projet ne crée pas ce réseau ou ce volume."),
        flag("active", "Profil actif", "Faux si le service ne démarre pas avec le projet."),
        flag("running", "En marche", "Vrai si le service qui réclame tourne."),
        text("file", "Fichier", "Relatif à la racine."),
        integer("line", "Ligne"),
        text("files", "Jeu de fichiers"),
        text("root", "Racine"),
    ),
)


@view(DECLARATIONS)
def declarations(
    containers: pd.DataFrame,
    publications: pd.DataFrame,
    container_networks: pd.DataFrame,
    mounts: pd.DataFrame,
    compose_projects: pd.DataFrame | None = None,
    compose_services: pd.DataFrame | None = None,
    compose_ports: pd.DataFrame | None = None,
    compose_resources: pd.DataFrame | None = None,
) -> Iterator[Row]:
    """One row per claim. Without the files of the disk, the claims of stopped containers alone."""
    yield from _of_containers(containers, publications, container_networks, mounts)
    tables = (compose_projects, compose_services, compose_ports, compose_resources)
    if not any(table is None for table in tables):
        yield from _of_files(live_services(containers), *(records(table) for table in tables if table is not None))


def _of_containers(
    containers: pd.DataFrame, publications: pd.DataFrame, container_networks: pd.DataFrame, mounts: pd.DataFrame
) -> Iterator[Row]:
    stopped = {row["name"]: row for row in records(containers) if not is_up(row["state"])}

    def claim(container: str, kind: str, **facts: object) -> Row:
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
    projects: list[Row],
    services: list[Row],
    ports: list[Row],
    resources: list[Row],
) -> Iterator[Row]:
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


def _owner(row: Row, kind: str) -> Row:
    return {
        "origin": "file",
        "kind": kind,
        "project": row["project"],
        "service": row.get("service"),
        "files": row["files"],
        "root": row["root"],
    }


IDLE_PORTS = Table(
    "idle_ports",
    "Ports réclamés",
    "Les ports que rien ne publie encore, et que réclament un fichier du disque ou un conteneur arrêté.",
    ("host_port", "protocol", "claimant", "container_port", "host_port_last", "active", "place"),
    (
        integer("host_port", "Port"),
        integer("host_port_last", "Dernier port"),
        text("protocol", "Protocole"),
        several("addresses", "Adresses"),
        text("claimant", "Réclamé par"),
        integer("container_port", "Port interne"),
        flag("active", "Profil actif"),
        text("place", "Fichier", "Avec la ligne ; inconnu pour un conteneur arrêté."),
    ),
)


@view(IDLE_PORTS)
def idle_ports(declarations: pd.DataFrame) -> Iterator[Row]:
    """One row per port that a claimant which does not run asks for, its addresses together."""
    merged: dict[tuple[object, ...], Row] = {}
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


def on_disk(compose_projects: pd.DataFrame | None, compose_services: pd.DataFrame | None) -> dict[Origin, Row]:
    """The services of files that Compose takes, by (project, path of the first file, service)."""
    if compose_projects is None or compose_services is None:
        return {}
    projects = {(row["root"], row["files"]): row for row in records(compose_projects) if not row["refused"]}
    found: dict[Origin, Row] = {}
    for row in records(compose_services):
        if project := projects.get((row["root"], row["files"])):
            count = row["files"].count(" + ") + 1
            found[project["project"], project["path"], count, row["service"]] = {**row, "folder": _folder(project)}
    return found


def origin(container: Row) -> Origin:
    """What a container was made from, as `on_disk` names it."""
    files = container["compose_files"] or ()
    return container["compose_project"], next(iter(files), None), len(files), container["compose_service"]


def _folder(project: Row) -> str:
    """The whole path of a project's folder."""
    return posixpath.normpath(posixpath.join(str(project["root"]), str(project["folder"])))


def place(row: Row | None) -> str:
    """Where a thing is written: « multimedia/compose.yml » (ligne 12); "" when it is not known."""
    if row is None or not row["file"]:
        return ""
    return quoted(row["file"]) + (f" (ligne {row['line']})" if row["line"] else "")
