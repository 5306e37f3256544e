"""PORT: how containers publish their ports: on which addresses, under which numbers, where that is written."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

from auditlib.facts.snapshot import AbsentTable
from auditlib.facts.table import Rows
from auditlib.facts.tables.compose import ComposePort
from auditlib.facts.tables.docker import Container, Publication
from auditlib.facts.tables.host import Host
from auditlib.findings.check import UNSAID, Fault, Fix, Subject, check, fact, word
from auditlib.french import listing, quoted
from auditlib.views.declarations import Declaration
from auditlib.views.ports import EVERYWHERE, Claim, claim, ephemeral, exposure


class OpenPort(NamedTuple):
    """A TCP publication in force on every address of a family, and the place that it takes."""

    publication: Publication
    place: Claim


def open_ports(publications: Rows[Publication]) -> list[OpenPort]:
    """The TCP publications in force on every address of a family, those of both families once."""
    ports: dict[tuple[str, int, int], OpenPort] = {}
    for row in publications:
        place = claim(row)
        if place and row.live and row.protocol == "tcp" and exposure([row.host_ip]) == EVERYWHERE:
            ports.setdefault((row.container, row.container_port, place.first), OpenPort(row, place))
    return list(ports.values())


def written(declarations: Iterable[Declaration], container: Container, publication: Publication) -> str:
    """Where a file asks for a publication, as the end of a clause: « dans « fichier », ligne 14 »; "" when unknown."""
    service = (container.compose_project, container.compose_service)
    ports = (publication.container_port, publication.host_port)
    for row in declarations:
        asked = row.kind == "port" and row.file and row.line is not None and row.running
        if asked and (row.project, row.service) == service and (row.container_port, row.host_port) == ports:
            return f" dans {quoted(row.file)}, ligne {row.line}"
    return ""


def binding(container: Container, ports: str) -> str:
    """How a publication is written where the container is declared."""
    return f"{quoted(ports)} sous « ports: »" if container.compose_project else quoted(f"-p {ports}")


def again(container: Container) -> str:
    """What is to be created again for a change of its ports."""
    return "le service" if container.compose_project else "le conteneur"


class EphemeralPort(Fault):
    """A port that a container or a service of a file asks for, in the range that the kernel gives to clients."""

    container: str = fact(default=UNSAID)
    compose_file: str = fact("Fichier compose", default=UNSAID)
    service: str | None = fact(default=UNSAID)
    port: str
    first: int
    last: int
    claimed: str = word()
    place: str = word()


@check(
    "PORT-009",
    "low",
    "Aucun port publié n’est pris dans ceux que le noyau donne aux clients",
    key=("container", "port"),
    message="Le port {port} {claimed} est dans la plage {first}-{last} que le noyau donne aux connexions sortantes : "
    "l’une d’elles peut le tenir au moment où le conteneur démarre.",
    fix=Fix(
        "Publier sur un port inférieur à {first}{place}. Autre remède : réserver le port au noyau, en l’ajoutant à "
        "ceux que « net.ipv4.ip_local_reserved_ports » réserve déjà.",
        ("{compose} up -d {service}",),
        ("docker port {container}",),
    ),
)
def ports_not_ephemeral(
    publications: Rows[Publication],
    containers: Rows[Container],
    host: Rows[Host],
    declarations: Rows[Declaration] | None = None,
    compose_ports: Rows[ComposePort] | None = None,
) -> Iterator[EphemeralPort]:
    """Ports asked for by their number in the kernel's ephemeral range; those that the engine chose are its own."""
    clients = ephemeral(host)
    if clients is not None:
        ports = [*_published(publications, containers, declarations or ()), *_declared(declarations or ())]
        within = [port for port in ports if port.place.first < clients.stop and port.place.last >= clients.start]
        # The two families of one publication are one risk.
        once = {(port.subject, port.place.protocol, port.place.first): port for port in reversed(within)}
        for port in once.values():
            yield _ephemeral(port, clients)
    elif host:
        raise AbsentTable("host", "la plage des ports éphémères n’a pas été lue")
    if compose_ports is None:
        raise AbsentTable("compose_ports", "les fichiers compose du disque n’ont pas été lus")


class NumberedPort(NamedTuple):
    """A port that a container, or a service of a file, asks for by its number; by whom and where, in French."""

    place: Claim
    subject: Subject
    service: str | None
    claimed: str
    where: str


def _published(
    publications: Rows[Publication], containers: Rows[Container], declarations: Iterable[Declaration]
) -> Iterator[NumberedPort]:
    known = containers.by(Container.name)
    for row in publications:
        # Unknown in snapshots that are older than this column: then who chose is not known either.
        if row.chosen is False and (place := claim(row)):
            container = known[row.container]
            title, where = f"du conteneur {quoted(container.name)}", written(declarations, container, row)
            yield NumberedPort(place, ("container", container.name), None, title, where)


def _declared(declarations: Iterable[Declaration]) -> Iterator[NumberedPort]:
    for row in declarations:
        at_rest = row.kind == "port" and row.origin == "file" and not row.running
        if at_rest and not row.chosen and row.file and (place := claim(row)):
            file = quoted(row.file) + (f", ligne {row.line}" if row.line is not None else "")
            title = f"que réclame le service {quoted(row.service)} de {file},"
            yield NumberedPort(place, ("compose_file", row.file), row.service, title, f" dans {file}")


def _ephemeral(port: NumberedPort, clients: range) -> EphemeralPort:
    kind, name = port.subject
    fault = EphemeralPort(
        port=port.place.name,
        first=clients.start,
        last=clients.stop - 1,
        subjects=(port.subject, ("port", port.place.name)),
        claimed=port.claimed,
        place=port.where,
    )
    if kind == "container":
        return replace(fault, container=name)
    return replace(fault, compose_file=name, service=port.service)


class ServedPort(NamedTuple):
    """A port inside a container, and the one of the machine that leads there."""

    container: str
    protocol: str
    inside: int
    number: int


class OneFamily(Fault):
    """A port open to all addresses of one family, when all others of its project are to both."""

    container: str
    port: str
    host_port: int
    siblings: tuple[str, ...] = fact("Voisins comparés")
    family: str = word()
    other: str = word()
    neighbours: str = word()
    binding: str = word()
    again: str = word()
    place: str = word()


@check(
    "PORT-010",
    "info",
    "Chaque service est publié sur les mêmes familles d’adresses que ses voisins",
    key=("container", "port"),
    message="Le conteneur « {container} » n’est publié qu’en {family} sur le port {host_port}, quand {neighbours} le "
    "sont en IPv4 et en IPv6 : qui l’appelle en {other} n’a pas de réponse.",
    fix=Fix(
        "Si ce n’est pas voulu, retirer l’adresse devant le port ({binding}){place}, puis recréer {again}.",
        ("{compose} up -d {service}",),
        ("docker port {container}",),
    ),
)
def both_families(
    publications: Rows[Publication], containers: Rows[Container], declarations: Rows[Declaration] | None = None
) -> Iterator[OneFamily]:
    """Publications on every address of one family, while all others of the project are on both.

    A precise address is a choice, and tells nothing of the other family.
    """
    known = containers.by(Container.name)
    served = _served(publications)
    both = {port for port, families in served.items() if len(families) > 1}
    for port, families in served.items():
        container, publication = known[port.container], families[0]
        siblings = _siblings(port, served, known)
        if port in both or not siblings or not siblings <= both:
            continue
        names = tuple(sorted({sibling.container for sibling in siblings}))
        alone = names == (port.container,)
        family, other = ("IPv6", "IPv4") if ":" in publication.host_ip else ("IPv4", "IPv6")
        protocol = "" if port.protocol == "tcp" else f"/{port.protocol}"
        yield OneFamily(
            container=port.container,
            port=Claim(port.protocol, publication.host_ip, port.number, port.number).name,
            host_port=port.number,
            siblings=names,
            family=family,
            other=other,
            neighbours="ses autres ports" if alone else f"les ports de {listing(map(quoted, names))}",
            binding=binding(container, f"{port.number}:{port.inside}{protocol}"),
            again=again(container),
            place=written(declarations or (), container, publication),
        )


def _siblings(port: ServedPort, served: Iterable[ServedPort], containers: Mapping[str, Container]) -> set[ServedPort]:
    """The other ports of the project of a port."""
    project = containers[port.container].compose_project
    return {other for other in served if other != port and containers[other.container].compose_project == project}


def _served(publications: Rows[Publication]) -> dict[ServedPort, list[Publication]]:
    """What is published on every address of a family: for each port, a publication by family."""
    served: dict[ServedPort, dict[str, Publication]] = {}
    for row in publications:
        if row.live and row.host_port is not None and exposure([row.host_ip]) == EVERYWHERE:
            port = ServedPort(row.container, row.protocol, row.container_port, row.host_port)
            served.setdefault(port, {})[row.host_ip] = row
    return {port: list(families.values()) for port, families in served.items()}
