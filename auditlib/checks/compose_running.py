"""COMPOSE: the files of the disk beside what runs."""

import posixpath
from collections.abc import Iterable, Iterator
from typing import TypeVar

from auditlib.checks.compose import lost_projects, summary
from auditlib.facts.table import Rows
from auditlib.facts.tables.compose import (
    ComposeFile,
    ComposeLabel,
    ComposePort,
    ComposeProblem,
    ComposeProject,
    ComposeService,
    ComposeVariable,
)
from auditlib.facts.tables.docker import (
    Container,
    ContainerLabel,
    ContainerNetwork,
    ContainerVariable,
    Mount,
    Publication,
)
from auditlib.findings.check import About, Command, Fault, Fix, check, fact, word
from auditlib.findings.commands import compose_on_disk
from auditlib.french import listing, quoted
from auditlib.software import image_words, is_up
from auditlib.views.compose_drift import Live, Written, differences
from auditlib.views.declarations import Project, on_disk, origin, place
from auditlib.views.inventory import PASSIVE

R = TypeVar("R", ComposePort, ComposeLabel, ComposeVariable)


def _oneoff(labels: Rows[ContainerLabel]) -> set[str]:
    """The containers of `compose run`, which live for one command."""
    return {
        label.container
        for label in labels.grouped(ContainerLabel.label).get("com.docker.compose.oneoff", ())
        if (label.value or "").lower() == "true"
    }


class Drift(Fault):
    """A container that its file would make otherwise."""

    container: str
    file: str | None
    line: int | None
    differences: tuple[str, ...] = fact("Différences")
    place: str = word()
    summary: str = word()


@check(
    "COMPOSE-003",
    "medium",
    "Chaque conteneur en marche est celui que décrit son fichier compose",
    key=("container",),
    message="Le conteneur « {container} » n’est plus celui que décrit {place} : {summary}.",
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
    containers: Rows[Container],
    labels: Rows[ContainerLabel],
    publications: Rows[Publication],
    container_networks: Rows[ContainerNetwork],
    mounts: Rows[Mount],
    container_environment: Rows[ContainerVariable],
    compose_projects: Rows[ComposeProject],
    compose_services: Rows[ComposeService],
    compose_ports: Rows[ComposePort],
    compose_labels: Rows[ComposeLabel],
    compose_environment: Rows[ComposeVariable],
    compose_problems: Rows[ComposeProblem],
) -> Iterator[Drift]:
    """Running containers that their file would make otherwise, compared where both sides are known.

    A hash equal to the one that Compose gave to the container proves them alike; a different one does not prove the
    contrary, since whoever started it had variables of their own. For the same reason, nothing is said of files whose
    variables have no value here.
    """
    services, aside = on_disk(compose_projects, compose_services), _oneoff(labels)
    projects = {(project.root, project.files): project for project in compose_projects}
    vague = {(problem.root, problem.files) for problem in compose_problems if problem.kind == "variable"}
    ports, variables = _by_service(compose_ports), _by_service(compose_environment)
    asked_labels = _by_service(compose_labels)
    for container in containers:
        name, service = container.name, services.get(origin(container))
        if service is None or not is_up(container.state) or name in aside:
            continue
        project, key = (service.root, service.files), (service.root, service.files, service.service)
        own_labels = labels.grouped(ContainerLabel.container).get(name, ())
        if project in vague or _is_current(service.config_hash, own_labels):
            continue
        written = Written(
            projects[project],
            service,
            ports=ports.get(key, ()),
            labels=asked_labels.get(key, ()),
            variables=variables.get(key, ()),
        )
        live = Live(
            container,
            publications=publications.grouped(Publication.container).get(name, ()),
            networks=container_networks.grouped(ContainerNetwork.container).get(name, ()),
            labels=own_labels,
            mounts=mounts.grouped(Mount.container).get(name, ()),
            variables=container_environment.grouped(ContainerVariable.container).get(name, ()),
        )
        if clauses := tuple(differences(written, live)):
            yield Drift(
                container=name,
                file=service.file,
                line=service.line,
                differences=clauses,
                place=place(service),
                summary=summary(clauses),
            )


def _by_service(rows: Rows[R]) -> dict[tuple[str, str, str], list[R]]:
    services: dict[tuple[str, str, str], list[R]] = {}
    for row in rows:
        services.setdefault((row.root, row.files, row.service), []).append(row)
    return services


def _is_current(config_hash: str | None, labels: Iterable[ContainerLabel]) -> bool:
    """Whether Compose itself gave the container the hash that it gives to the service of the file now."""
    hashes = {label.value for label in labels if label.label == "com.docker.compose.config-hash"}
    return bool(config_hash) and config_hash in hashes


class PassiveProject(Fault):
    """A project of the disk of which nothing runs."""

    compose_project: str
    compose_file: str = fact("Fichier compose")
    services: tuple[str, ...] | None
    what: str = word()
    compose: Command | None = word()
    columns: str | None = word()

    @property
    def about(self) -> About:
        """Its files, and what does not run of each."""
        files = self.compose_file.split(" + ")
        return {"start": [*files, *(f"{file} ({service})" for file in files for service in self.services or ())]}


@check(
    "COMPOSE-004",
    "info",
    "Chaque projet du disque a quelque chose en marche",
    key=("compose_project", "compose_file"),
    message="Le projet « {compose_project} » (« {compose_file} ») est passif : {what}.",
    fix=Fix(
        "Rien à faire s’il est gardé pour plus tard ; sinon, l’archiver hors du dossier des projets pour qu’il ne soit "
        "pas démarré par mégarde.",
        (),
        ("{compose} ps --all", "docker ps --all --format {columns}"),
    ),
)
def at_work(
    projects: Rows[Project],
    compose_projects: Rows[ComposeProject],
    containers: Rows[Container],
    mounts: Rows[Mount],
) -> Iterator[PassiveProject]:
    """Projects of the disk of which nothing runs.

    A folder with a Dockerfile alone may run under any name: an image or a container of its name, or a mount from its
    folder, is enough to say nothing.
    """
    paths = {(project.root, project.files): project for project in compose_projects}
    names, sources = _names(containers), [mount.source or "" for mount in mounts if mount.type == "bind"]
    for project in projects:
        if project.state != PASSIVE:
            continue
        name = project.project or project.files
        if project.kind != "dockerfile":
            missing = listing(map(quoted, project.missing or ()))
            yield PassiveProject(
                compose_project=name,
                compose_file=project.files,
                services=project.missing,
                what=f"aucun conteneur de {missing} n’est en marche" if missing else "aucun conteneur n’est en marche",
                compose=compose_on_disk(paths[project.root, project.files]),
                columns=None,
            )
        elif _plain(name) not in names and not _is_mounted(project, sources):
            yield PassiveProject(
                confidence="hint",
                compose_project=name,
                compose_file=project.files,
                services=project.missing,
                what="un Dockerfile, et aucun conteneur en marche",
                compose=None,
                columns="{{.Names}} {{.Image}}",
            )


def _names(containers: Rows[Container]) -> set[str]:
    """The names of the containers in service, and of their images."""
    up = [container for container in containers if is_up(container.state)]
    return {_plain(container.name) for container in up} | {"-".join(image_words(container.image)) for container in up}


def _plain(name: str) -> str:
    return name.lower().replace("_", "-")


def _is_mounted(project: Project, sources: Iterable[str]) -> bool:
    """Whether a source of a mount is the folder of a project, or is inside."""
    folder = posixpath.join(project.root, project.folder or "")
    return any(source == folder or source.startswith(f"{folder}/") for source in sources)


class OrphanContainer(Fault):
    """A running container whose file, or whose service in it, is gone."""

    container: str
    project: str | None = fact("Projet")
    file: str | None
    cause: str = word()
    filter: str = word()


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
    containers: Rows[Container],
    labels: Rows[ContainerLabel],
    compose_projects: Rows[ComposeProject],
    compose_files: Rows[ComposeFile],
) -> Iterator[OrphanContainer]:
    """Running containers whose first file is gone, or whose file, as Compose takes it, has their service no more."""
    projects = {(row.project, row.path, row.files.count(" + ") + 1): row for row in compose_projects}
    gone, aside = lost_projects(compose_files), _oneoff(labels)
    for container in containers:
        project = projects.get(origin(container)[:3])
        if project is None or not is_up(container.state) or container.name in aside:
            continue
        if (project.root, project.files) in gone:
            cause = f"son fichier compose {quoted(project.path)} n’existe plus"
        elif _lacks(project, container.compose_service):
            cause = f"le service {quoted(container.compose_service)} n’est plus dans {quoted(project.file)}"
        else:
            continue
        yield OrphanContainer(
            container=container.name,
            project=container.compose_project,
            file=project.file,
            cause=cause,
            filter=f"name=^/{container.name}$",
        )


def _lacks(project: ComposeProject, service: str | None) -> bool:
    """Whether the files of a project, as far as Compose takes them, have no such service."""
    if project.refused or project.services is None or project.inactive is None:
        return False
    return service not in (*project.services, *project.inactive)
