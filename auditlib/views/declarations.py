"""What files on the disk and stopped containers claim, and which projects of the disk run."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple, Protocol

from auditlib.facts.table import Row, Rows, flag, integer, several, table, text, view
from auditlib.facts.tables.compose import ComposePort, ComposeProblem, ComposeProject, ComposeResource, ComposeService
from auditlib.facts.tables.docker import Container, ContainerNetwork, Mount, Publication
from auditlib.french import quoted
from auditlib.software import is_up
from auditlib.views.inventory import ACTIVE, PARTLY, PASSIVE
from auditlib.views.ports import claim


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


# The first compose file of each container that is up, by project and service; None for a label without files.
Live = Mapping[tuple[str | None, str], set[str | None]]


def live_services(containers: Iterable[Container]) -> Live:
    """What runs of compose projects."""
    files: dict[tuple[str | None, str], set[str | None]] = {}
    for container in containers:
        if container.compose_project and container.compose_service and is_up(container.state):
            first = next(iter(container.compose_files or ()), None)
            files.setdefault((container.compose_project, container.compose_service), set()).add(first)
    return files


def runs(live: Live, project: ComposeProject, service: str) -> bool:
    """Whether a service of a project of the disk is up, started with the same file: two files may name it alike."""
    return bool(live.get((project.project, service), set()) & {project.path, None})


def _lacking(problems: Iterable[ComposeProblem]) -> set[tuple[str, str]]:
    """The root and the files of the projects that Compose refuses for want of variables alone."""
    alone: dict[tuple[str, str], bool] = {}
    for problem in problems:
        if problem.kind != "variable":
            key = (problem.root, problem.files)
            alone[key] = alone.get(key, True) and bool(problem.variable)
    return {key for key, named in alone.items() if named}


@view(Project)
def projects(
    compose_projects: Rows[ComposeProject],
    containers: Rows[Container],
    compose_problems: Rows[ComposeProblem] | None = None,
) -> Iterator[Project]:
    """One row per project on the disk, with what runs of it."""
    live, lacking = live_services(containers), _lacking(compose_problems or ())
    for project in compose_projects:
        expected, others = project.services or (), project.inactive or ()
        # A file that Compose refuses today may have started what runs.
        started = [service for (name, service), _ in live.items() if name == project.project]
        up = {service for service in (*expected, *others, *started) if runs(live, project, service)}
        missing = {*expected} - up
        yield Project(
            project=project.project,
            state=PASSIVE if not up else PARTLY if missing else ACTIVE,
            kind=project.kind,
            folder=project.folder,
            files=project.files,
            running=tuple(sorted(up)),
            missing=tuple(sorted(missing)),
            inactive=project.inactive,
            # Whoever started what runs gave the variables that are missing here.
            refused=project.refused and not (up and (project.root, project.files) in lacking),
            root=project.root,
        )


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
    containers: Rows[Container],
    publications: Rows[Publication],
    container_networks: Rows[ContainerNetwork],
    mounts: Rows[Mount],
    compose_projects: Rows[ComposeProject] | None = None,
    compose_services: Rows[ComposeService] | None = None,
    compose_ports: Rows[ComposePort] | None = None,
    compose_resources: Rows[ComposeResource] | None = None,
) -> Iterator[Declaration]:
    """One row per claim. Without the files of the disk, the claims of stopped containers alone."""
    yield from _of_containers(containers, publications, container_networks, mounts)
    if compose_projects is None or compose_services is None or compose_ports is None or compose_resources is None:
        return
    live, owners = live_services(containers), {(row.root, row.files): row for row in compose_projects}
    yield from _of_services(live, owners, compose_services, compose_ports)
    for resource in compose_resources:
        project = owners[resource.root, resource.files]
        services = (*(project.services or ()), *(project.inactive or ()))
        yield Declaration(
            origin="file",
            kind=resource.kind,
            project=resource.project,
            name=resource.name,
            external=resource.external,
            active=resource.used,
            running=any(runs(live, project, service) for service in services),
            file=resource.file,
            line=resource.line,
            files=resource.files,
            root=resource.root,
        )


def _of_containers(
    containers: Rows[Container],
    publications: Rows[Publication],
    container_networks: Rows[ContainerNetwork],
    mounts: Rows[Mount],
) -> Iterator[Declaration]:
    """What stopped containers claim."""
    for container in containers:
        if is_up(container.state):
            continue
        own = Declaration(
            origin="container",
            kind="container_name",
            project=container.compose_project,
            service=container.compose_service,
            container=container.name,
            active=True,
            running=False,
        )
        yield replace(own, name=container.name)
        for publication in publications.grouped(Publication.container).get(container.name, ()):
            # On the machine's own network the engine publishes nothing, whatever was asked.
            if container.network_mode != "host":
                yield replace(
                    own,
                    kind="port",
                    protocol=publication.protocol,
                    host_ip=publication.host_ip,
                    host_port=publication.host_port,
                    host_port_last=publication.host_port_last,
                    container_port=publication.container_port,
                    chosen=publication.host_port is None or publication.host_port_last is not None,
                )
        for attachment in container_networks.grouped(ContainerNetwork.container).get(container.name, ()):
            yield replace(own, kind="network", name=attachment.network)
        for mount in mounts.grouped(Mount.container).get(container.name, ()):
            if mount.volume:
                yield replace(own, kind="volume", name=mount.volume)


def _of_services(
    live: Live,
    projects: Mapping[tuple[str, str], ComposeProject],
    services: Iterable[ComposeService],
    ports: Iterable[ComposePort],
) -> Iterator[Declaration]:
    """What services of files claim: a name, and ports unless they are on the machine's own network."""
    publishing: dict[tuple[str, str, str], Declaration] = {}
    for service in services:
        own = Declaration(
            origin="file",
            kind="port",
            project=service.project,
            service=service.service,
            active=service.active,
            running=runs(live, projects[service.root, service.files], service.service),
            files=service.files,
            root=service.root,
        )
        if service.network_mode != "host":
            publishing[service.root, service.files, service.service] = own
        if service.container_name:
            yield replace(
                own,
                kind="container_name",
                name=service.container_name,
                file=service.container_name_file,
                line=service.container_name_line,
            )
    for port in ports:
        if owner := publishing.get((port.root, port.files, port.service)):
            yield replace(
                owner,
                protocol=port.protocol,
                host_ip=port.host_ip,
                host_port=port.host_port,
                host_port_last=port.host_port_last,
                container_port=port.container_port,
                chosen=port.chosen,
                file=port.file,
                line=port.line,
            )


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
    active: bool | None = flag("Profil actif")
    place: str | None = text("Fichier", "Avec la ligne ; inconnu pour un conteneur arrêté.")


@view(IdlePort)
def idle_ports(declarations: Rows[Declaration]) -> Iterator[IdlePort]:
    """One row per port that a claimant which does not run asks for, its addresses together."""
    addresses: dict[IdlePort, list[str]] = {}
    for row in declarations:
        claimed = claim(row)
        if claimed is None or row.running or row.container_port is None:
            continue
        port = IdlePort(
            host_port=claimed.first,
            host_port_last=row.host_port_last,
            protocol=claimed.protocol,
            claimant=row.container or f"{row.project} / {row.service}",
            container_port=row.container_port,
            active=row.active,
            place=f"{row.file}:{row.line}" if row.file else None,
        )
        addresses.setdefault(port, []).append(claimed.address)
    for port, held in addresses.items():
        yield replace(port, addresses=tuple(held))


class Origin(NamedTuple):
    """What a container is made from: a project, the path of its first file and how many there are, a service."""

    project: str | None
    path: str | None
    files: int
    service: str | None


def on_disk(
    compose_projects: Iterable[ComposeProject] | None, compose_services: Iterable[ComposeService] | None
) -> dict[Origin, ComposeService]:
    """The services of files that Compose takes, by what a container of theirs is made from."""
    projects = {(row.root, row.files): row for row in compose_projects or () if not row.refused}
    services: dict[Origin, ComposeService] = {}
    for service in compose_services or ():
        if project := projects.get((service.root, service.files)):
            count = service.files.count(" + ") + 1
            services[Origin(project.project, project.path, count, service.service)] = service
    return services


def origin(container: Container) -> Origin:
    """What a container was made from."""
    files = container.compose_files or ()
    return Origin(container.compose_project, next(iter(files), None), len(files), container.compose_service)


class Located(Protocol):
    """What has a place in a file of the disk."""

    @property
    def file(self) -> str | None:
        """The file, relative to its root."""

    @property
    def line(self) -> int | None:
        """The line."""


def place(written: Located | None) -> str:
    """Where a thing is written: « multimedia/compose.yml » (ligne 12); "" when it is not known."""
    if written is None or not written.file:
        return ""
    return quoted(written.file) + (f" (ligne {written.line})" if written.line else "")
