"""What runs and what does not: stacks of containers, and services of the machine outside Docker."""

from collections.abc import Iterable, Iterator

from auditlib.addresses import joined
from auditlib.facts.table import Row, Rows, flag, integer, several, table, text, view
from auditlib.facts.tables.docker import Container, ContainerNetwork, Publication
from auditlib.facts.tables.host import Listener
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
def stacks(
    containers: Rows[Container], container_networks: Rows[ContainerNetwork], publications: Rows[Publication]
) -> Iterator[Stack]:
    """One row per compose project, and one per container that belongs to none."""
    groups: dict[tuple[str, bool], list[Container]] = {}
    for container in containers:
        project = container.compose_project
        groups.setdefault((project or container.name, bool(project)), []).append(container)
    attachments = container_networks.grouped(ContainerNetwork.container)
    published = publications.grouped(Publication.container)
    for (stack, compose), members in groups.items():
        names = [member.name for member in members]
        up = [member.name for member in members if is_up(member.state)]
        networks = {attachment.network for name in names for attachment in attachments.get(name, ())}
        yield Stack(
            stack=stack,
            compose=compose,
            state=ACTIVE if len(up) == len(names) else PARTLY if up else PASSIVE,
            running=len(up),
            total=len(names),
            containers=tuple(sorted(names)),
            stopped=tuple(sorted({*names} - {*up})),
            networks=tuple(sorted(networks)),
            ports=_ports(publication for name in names for publication in published.get(name, ())),
            folder=next((member.compose_dir for member in members if member.compose_dir), None),
        )


def _ports(publications: Iterable[Publication]) -> tuple[str, ...]:
    """The ports of publications in force, as people write them, in the order of the machine's: `53→53/udp`."""
    ports: set[tuple[int, str]] = set()
    for publication in publications:
        if publication.live and publication.host_port is not None:
            suffix = "" if publication.protocol == "tcp" else f"/{publication.protocol}"
            shown = f"{publication.host_port}→{publication.container_port}{suffix}"
            ports.add((publication.host_port, shown))
    return tuple(shown for _, shown in sorted(ports))


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
def host_services(listeners: Rows[Listener]) -> Iterator[HostService]:
    """One row per unit and process that listens, containers and their port proxies aside."""
    groups: dict[tuple[str, str | None], list[Listener]] = {}
    for listener in listeners:
        if not listener.container:
            service = listener.unit or listener.process or "inconnu"
            groups.setdefault((service, listener.process), []).append(listener)
    for (service, process), sockets in groups.items():
        yield HostService(
            service=service,
            unit=sockets[0].unit,
            process=process,
            user=listing(sorted({socket.user for socket in sockets if socket.user})) or None,
            addresses=tuple(dict.fromkeys(map(_address, sockets))),
            exposure=exposure(socket.address for socket in sockets),
        )


def _address(listener: Listener) -> str:
    suffix = "" if listener.protocol == "tcp" else f"/{listener.protocol}"
    return f"{joined(listener.address, listener.port)}{suffix}"
