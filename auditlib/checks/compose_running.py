"""COMPOSE: the files of the disk beside what runs."""

import posixpath
from collections.abc import Iterator

import pandas as pd

from auditlib.checks.compose import told
from auditlib.facts.legacy import Record, records
from auditlib.findings.check import Fix, check
from auditlib.findings.commands import compose, compose_on_disk
from auditlib.french import listing, quoted
from auditlib.software import image_words, is_up
from auditlib.views.compose_drift import differences
from auditlib.views.declarations import on_disk, origin, place
from auditlib.views.inventory import PASSIVE


def _oneoff(labels: pd.DataFrame) -> set[str]:
    """The containers of `compose run`, which live for one command."""
    return {
        row["container"]
        for row in records(labels)
        if row["label"] == "com.docker.compose.oneoff" and str(row["value"]).lower() == "true"
    }


@check(
    "COMPOSE-003",
    "medium",
    "Chaque conteneur en marche est celui que décrit son fichier compose",
    key=("container",),
    message="Le conteneur « {container} » n’est plus celui que décrit {file} : {told}.",
    fix=Fix(
        "Recréer le service pour appliquer le fichier, ou reporter dans le fichier ce qui a été changé à la main : "
        "le prochain « up » le changerait.",
        ("{compose} up -d {service}",),
        (
            "{compose} config --hash {service}",
            "docker inspect --format '{{{{index .Config.Labels \"com.docker.compose.config-hash\"}}}}' {container}",
        ),
    ),
)
def as_written(
    containers: pd.DataFrame,
    labels: pd.DataFrame,
    publications: pd.DataFrame,
    container_networks: pd.DataFrame,
    mounts: pd.DataFrame,
    container_environment: pd.DataFrame,
    compose_projects: pd.DataFrame,
    compose_services: pd.DataFrame,
    compose_ports: pd.DataFrame,
    compose_labels: pd.DataFrame,
    compose_environment: pd.DataFrame,
    compose_problems: pd.DataFrame,
) -> Iterator[Record]:
    """Running containers that their file would make otherwise, compared where both sides are known.

    A hash equal to the one that Compose gave to the container proves them alike; a different one does not prove the
    contrary, since whoever started it had variables of their own. For the same reason, nothing is said of files whose
    variables have no value here.
    """
    files, aside = on_disk(compose_projects, compose_services), _oneoff(labels)
    vague = {(row["root"], row["files"]) for row in records(compose_problems) if row["kind"] == "variable"}
    ours = {
        name: _by(frame, "root", "files", "service")
        for name, frame in (("ports", compose_ports), ("labels", compose_labels), ("environment", compose_environment))
    }
    theirs = {
        name: _by(frame, "container")
        for name, frame in (
            ("publications", publications),
            ("labels", labels),
            ("networks", container_networks),
            ("mounts", mounts),
            ("environment", container_environment),
        )
    }
    for container in records(containers):
        service = files.get(origin(container))
        if service is None or not is_up(container["state"]) or container["name"] in aside:
            continue
        key = (service["root"], service["files"], service["service"])
        if key[:2] in vague:
            continue
        written = {name: rows.get(key, []) for name, rows in ours.items()}
        live = {name: rows.get((container["name"],), []) for name, rows in theirs.items()}
        hashes = [row["value"] for row in live["labels"] if row["label"] == "com.docker.compose.config-hash"]
        if service["config_hash"] and service["config_hash"] in hashes:
            continue
        if found := list(differences(service, written, container, live)):
            yield {
                "container": container["name"],
                "file": service["file"],
                "line": service["line"],
                "differences": found,
                "wording": {"file": place(service), "told": told(found), **compose(container)},
            }


def _by(frame: pd.DataFrame, *columns: str) -> dict[tuple[str, ...], list[Record]]:
    found: dict[tuple[str, ...], list[Record]] = {}
    for row in records(frame):
        found.setdefault(tuple(row[column] for column in columns), []).append(row)
    return found


@check(
    "COMPOSE-004",
    "info",
    "Chaque projet du disque a quelque chose en marche",
    key=("compose_project", "compose_file"),
    message="Le projet « {compose_project} » ({file}) est passif : {what}.",
    fix=Fix(
        "Rien à faire s’il est gardé pour plus tard ; sinon, l’archiver hors du dossier des projets pour qu’il ne soit "
        "pas démarré par mégarde.",
        (),
        ("{compose} ps --all", "docker ps --all --format {columns}"),
    ),
)
def at_work(
    projects: pd.DataFrame, compose_projects: pd.DataFrame, containers: pd.DataFrame, mounts: pd.DataFrame
) -> Iterator[Record]:
    """Projects of the disk of which nothing runs.

    A folder with a Dockerfile alone may run under any name: an image or a container of its name, or a mount from its
    folder, is enough to say nothing.
    """
    paths = {(row["root"], row["files"]): row for row in records(compose_projects)}
    names = {"-".join(image_words(row["image"])) for row in records(containers) if is_up(row["state"])}
    names |= {row["name"].lower().replace("_", "-") for row in records(containers) if is_up(row["state"])}
    sources = [row["source"] for row in records(mounts) if row["type"] == "bind" and row["source"]]
    for row in records(projects):
        alone = row["kind"] == "dockerfile"
        project = paths[row["root"], row["files"]]
        folder = posixpath.join(row["root"], row["folder"])
        used = row["project"].lower().replace("_", "-") in names or any(
            one == folder or one.startswith(f"{folder}/") for one in sources
        )
        if row["state"] == PASSIVE and not (alone and used):
            yield {
                "confidence": "hint" if alone else "certain",
                "compose_project": row["project"],
                "compose_file": row["files"],
                "services": row["missing"],
                "wording": {
                    "file": quoted(row["files"]),
                    "what": "un Dockerfile, et aucun conteneur en marche"
                    if alone
                    else f"aucun conteneur de {listing(map(quoted, row['missing']))} n’est en marche"
                    if row["missing"]
                    else "aucun conteneur n’est en marche",
                    "compose": None if alone else compose_on_disk(project),
                    "columns": "{{.Names}} {{.Image}}" if alone else None,
                },
            }


@check(
    "COMPOSE-006",
    "low",
    "Chaque conteneur en marche a encore son service dans un fichier compose",
    key=("container",),
    message="Le conteneur « {container} » tourne, mais {cause} : rien ne permet plus de le recréer tel quel.",
    fix=Fix(
        "Remettre le service dans son fichier s’il sert encore (depuis une sauvegarde ou le dépôt) ; sinon, l’arrêter "
        "et le supprimer.",
        ("docker stop {container}", "docker rm {container}"),
        ("docker ps --all --filter {filter} --format '{{{{.Names}}}}'",),
    ),
)
def still_written(
    containers: pd.DataFrame, labels: pd.DataFrame, compose_projects: pd.DataFrame, compose_files: pd.DataFrame
) -> Iterator[Record]:
    """Running containers whose first file is gone, or whose file, as Compose takes it, has their service no more."""
    sets = {(row["project"], row["path"], row["files"].count(" + ") + 1): row for row in records(compose_projects)}
    gone = {
        (row["root"], row["files"]) for row in records(compose_files) if row["role"] == "compose" and row["missing"]
    }
    aside = _oneoff(labels)
    for row in records(containers):
        project = sets.get(origin(row)[:3])
        if project is None or not is_up(row["state"]) or row["name"] in aside:
            continue
        missing = (project["root"], project["files"]) in gone
        services = {*project["services"], *project["inactive"]}
        if not missing and (project["refused"] or row["compose_service"] in services):
            continue
        yield {
            "container": row["name"],
            "project": row["compose_project"],
            "file": project["file"],
            "wording": {
                "cause": f"son fichier compose {quoted(project['path'])} n’existe plus"
                if missing
                else f"le service {quoted(row['compose_service'])} n’est plus dans {quoted(project['file'])}",
                "filter": f"name=^/{row['name']}$",
            },
        }
