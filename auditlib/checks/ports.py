"""PORT: host ports, taken or about to be."""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from auditlib.checks.idle import Idle, idle, one_family, starter
from auditlib.facts.snapshot import AbsentTable
from auditlib.facts.table import Rows
from auditlib.facts.tables.compose import ComposePort
from auditlib.facts.tables.docker import Container, Publication
from auditlib.facts.tables.host import Listener
from auditlib.findings.about import given_up, port_number
from auditlib.findings.check import UNSAID, About, Command, Fault, Fix, check, fact, word
from auditlib.french import listing, quoted
from auditlib.software import PORT_HOLDERS, is_up
from auditlib.views.declarations import Declaration
from auditlib.views.ports import Claim, apart, claim, free_port, used_ports, v6only_ports

# What engines from 1.13 to 29 record when a published port is taken.
# « Address already in use » alone is a fixed address of a network that another container took (libnetwork).
_TAKEN = re.compile(
    r"port is already allocated|ports are not available|(?:bind|listen|proxy|exposing).*address already in use",
    re.IGNORECASE | re.DOTALL,
)
_PORT = re.compile(
    r"(?:bind for|bind host port(?: for)?|listen (?P<listen>tcp|udp)[46]?|exposing port (?P<exposing>tcp|udp)) "
    r"(?:\[[^\]]*\]|[\d.]*|::):(?P<port>\d+)(?:\S*/(?P<suffix>tcp|udp))?",
    re.IGNORECASE,
)

_UNHEARD = "les écoutes de la machine n’ont pas été lues"
_UNFILED = "les fichiers compose du disque n’ont pas été lus"


class Holder(NamedTuple):
    """What holds a port: the place, as findings name it, and who, in French."""

    place: str
    title: str


@dataclass(frozen=True)
class Bound:
    """What is bound on the machine, and the (protocol, port) where a `::` leaves IPv4 alone."""

    listeners: Sequence[Listener]
    publications: Sequence[Publication]
    v6only: Collection[tuple[str, int]]

    @classmethod
    def of(cls, listeners: Rows[Listener] | None, publications: Rows[Publication]) -> "Bound":
        """The listeners, as far as they were read, and the publications in force."""
        return cls(listeners or (), [row for row in publications if row.live], v6only_ports(listeners or ()))

    def without(self, containers: Collection[str]) -> "Bound":
        """The same, but for what is of these containers."""
        return replace(
            self,
            listeners=[row for row in self.listeners if row.container not in containers],
            publications=[row for row in self.publications if row.container not in containers],
        )

    def holders(self, claimed: Claim, claimant: str) -> list[Holder]:
        """Who holds what is claimed, apart from the claimant itself."""
        places: dict[str, str] = {}
        held: list[Publication | Listener] = [*self.publications, *apart(self.listeners, self.publications)]
        for row in held:
            place = claim(row)
            if place is None or row.container == claimant:
                continue
            if claimed.overlaps(place, v6only=(place.protocol, place.first) in self.v6only):
                places.setdefault(_holder(row), place.name)
        return [Holder(place, title) for title, place in places.items()]


def _holder(row: Publication | Listener) -> str:
    if row.container:
        return f"le conteneur {quoted(row.container)}"
    unit, process = (row.unit, row.process) if isinstance(row, Listener) else (None, None)
    if unit:
        return f"l’unité {quoted(unit)}"
    return f"le processus {quoted(process)}" if process else "un processus inconnu"


def _proposed(port: int | None) -> str:
    return f" ({port} est libre)" if port else ""


class TakenPort(Fault):
    """A port of a container that another holds."""

    container: str
    port: str
    start_error: str | None
    number: int = word()
    effect: str = word()
    holder: str = word()
    proposal: str = word()

    @property
    def about(self) -> About:
        """A container that does not run, unless it was refused nothing."""
        return {
            "state": (self.container,) if self.start_error else (),
            "step": given_up([self.container], "stopped"),
        }


@check(
    "PORT-001",
    "critical",
    "Aucun port publié n’est pris par un autre",
    key=("container", "port"),
    message="Le conteneur « {container} » {effect} : le port {port} est {holder}.",
    fix=Fix(
        "Libérer le port {number}, ou publier « {container} » sur un autre port de la machine{proposal}, "
        "puis le démarrer.",
        ("ss -Hlntup sport = :{number}", "{compose} up -d {service}", "docker start {container}"),
        ("docker inspect --format '{{{{.State.Status}}}} {{{{.State.Error}}}}' {container}",),
    ),
)
def ports_taken(
    containers: Rows[Container],
    publications: Rows[Publication],
    listeners: Rows[Listener] | None = None,
    declarations: Rows[Declaration] | None = None,
) -> Iterator[TakenPort]:
    """Starts refused for a port, and processes of the machine on the port of a publication in force.

    In the second case one of the two never receives what it should.
    """
    bound = Bound.of(listeners, publications)
    used = used_ports(listeners, publications, declarations)
    published = publications.grouped(Publication.container)
    known = containers.by(Container.name)

    def fault(place: Claim, container: Container, effect: str, holders: list[Holder]) -> TakenPort:
        held = f"tenu par {listing(holder.title for holder in holders)}"
        return TakenPort(
            container=container.name,
            port=place.name,
            start_error=container.start_error,
            number=place.first,
            effect=effect,
            holder=held if holders else "libre à présent, mais ne l’était pas alors",
            proposal=_proposed(free_port(place.first, used)),
        )

    for container in containers:
        for refused in _refused(container, published.get(container.name, ())):
            yield fault(refused, container, "n’a pas pu démarrer", bound.holders(refused, container.name))
    # Without root the owner of a socket may be unknown: docker-proxy itself, as well as an intruder. A container on the
    # machine's own network holds ports as any process does.
    named = [row for row in bound.listeners if row.process and row.process not in PORT_HOLDERS]
    foreign = replace(bound, listeners=named, publications=())
    for publication in bound.publications:
        place = claim(publication)
        if place and (intruders := foreign.holders(place, publication.container)):
            container = known[publication.container]
            yield fault(place, container, "ne reçoit pas tout ce qui lui est destiné", intruders)
    if listeners is None:
        raise AbsentTable("listeners", _UNHEARD)


def _refused(container: Container, publications: Sequence[Publication]) -> list[Claim]:
    """The claims for which a start was refused: those that the engine names, all of them when it names none."""
    if not is_refused(container):
        return []
    claims = list({place.name: place for place in map(claim, publications) if place}.values())
    match = _PORT.search(container.start_error or "")
    named = [place for place in claims if match and _is_named(place, match)]
    # The two families of one publication are one refusal.
    return list({(place.protocol, place.first): place for place in reversed(named or claims)}.values())


def is_refused(container: Container) -> bool:
    """Whether a container is stopped because a port it wants was taken when it started."""
    return not is_up(container.state) and bool(_TAKEN.search(container.start_error or ""))


def _is_named(place: Claim, named: re.Match[str]) -> bool:
    protocol = named["listen"] or named["exposing"] or named["suffix"] or place.protocol
    return place.first <= int(named["port"]) <= place.last and place.protocol == protocol.lower()


class ClaimedPort(Fault):
    """A port that something at rest claims, a container or services of a file, and that another holds."""

    container: str = fact(default=UNSAID)
    state: str | None = fact(default=UNSAID)
    compose_file: str = fact("Fichier compose", default=UNSAID)
    lines: tuple[str, ...] = fact("Lignes", default=UNSAID)
    services: tuple[str, ...] = fact(default=UNSAID)
    project: str | None = fact("Projet", default=UNSAID)
    root: str | None = fact(default=UNSAID)
    port: str
    held: tuple[str, ...] = fact("Déjà tenu")
    claimant: str = word()
    claimed: str = word()
    number: int = word()
    holder: str = word()
    effect: str = word()
    proposal: str = word()
    place: str = word()
    compose: Command | None = word()
    service: str | None = word()

    @property
    def about(self) -> About:
        """The port that it claims, and the services of a file that cannot start."""
        files = () if self.compose_file is UNSAID else self.compose_file.split(" + ")
        return {
            "claim": [f"{self.subjects[0][1]} {port_number(self.port)}"],
            "start": [f"{file} ({service})" for file in files for service in self.services],
        }


@check(
    "PORT-002",
    "medium",
    "Rien de ce qui est à l’arrêt ne réclame un port déjà pris",
    key=("container", "port"),
    message="{claimant} réclame le port {port} que tient {holder} : {effect}.",
    fix=Fix(
        "Publier {claimed} sur un autre port de la machine{proposal}{place}, ou le supprimer s’il ne sert plus.",
        ("{compose} up -d {service}", "docker rm {container}"),
        ("docker port {container}", "ss -Hlntup sport = :{number}"),
    ),
)
def claims_free(
    containers: Rows[Container],
    publications: Rows[Publication],
    declarations: Rows[Declaration],
    listeners: Rows[Listener] | None = None,
    compose_ports: Rows[ComposePort] | None = None,
) -> Iterator[ClaimedPort]:
    """Ports that stopped containers and files claim, and that a listener or publication of another owner holds.

    A container of the same compose service is no other owner: it took this one's place.
    """
    used = used_ports(listeners, publications, declarations)
    known = containers.by(Container.name)
    held = dict(_held(declarations, containers, Bound.of(listeners, publications)))
    for claimant in one_family(held):
        kind, name = claimant.subject
        # A range wants several free ports in a row.
        proposal = free_port(claimant.claim.first, used) if claimant.claim.first == claimant.claim.last else None
        compose, service = starter(claimant, containers)
        fault = ClaimedPort(
            port=claimant.claim.name,
            held=tuple(holder.place for holder in held[claimant]),
            subjects=(claimant.subject, ("port", claimant.claim.name)),
            severity=None if claimant.active else "info",
            claimant=claimant.title,
            claimed=listing(map(quoted, claimant.names)),
            number=claimant.claim.first,
            holder=listing(holder.title for holder in held[claimant]),
            effect="il ne pourra pas démarrer" if claimant.active else "il ne pourrait pas démarrer",
            proposal=_proposed(proposal),
            place=f" dans {claimant.place}" if claimant.place else "",
            compose=compose,
            service=service,
        )
        if kind == "container":
            yield replace(fault, container=name, state=known[name].state)
        else:
            row, lines = claimant.rows[0], tuple(map(str, claimant.lines))
            services = claimant.names
            yield replace(fault, compose_file=name, lines=lines, services=services, project=row.project, root=row.root)
    if listeners is None:
        raise AbsentTable("listeners", _UNHEARD)
    if compose_ports is None:
        raise AbsentTable("compose_ports", _UNFILED)


def _held(
    declarations: Rows[Declaration], containers: Rows[Container], bound: Bound
) -> Iterator[tuple[Idle, list[Holder]]]:
    """The claims of what is at rest that another owner holds, with who does."""
    known = containers.by(Container.name)
    # A start already refused for its port is a collision, not a risk of one: PORT-001 tells it.
    refused = {_service(container) for container in containers if is_refused(container)}
    for claimant in idle(declarations):
        kind, name = claimant.subject
        if is_refused(known[name]) if kind == "container" else claimant.owners & refused:
            continue
        # Containers of no project are not of the same service.
        twins = {row.name for row in containers if row.compose_project and _service(row) in claimant.owners}
        if holders := _holders(claimant, bound.without(twins)):
            yield claimant, holders


def _holders(claimant: Idle, bound: Bound) -> list[Holder]:
    """Who holds what is claimed; of a range where it chooses, the engine takes a port that nobody does."""
    place, name = claimant.claim, claimant.subject[1]
    ports = range(place.first, place.last + 1) if claimant.chosen else ()
    if all(bound.holders(place._replace(first=port, last=port), name) for port in ports):
        return bound.holders(place, name)
    return []


def _service(container: Container) -> tuple[str | None, str | None]:
    return container.compose_project, container.compose_service


class ContendedPort(Fault):
    """A port that several at rest claim."""

    port: str
    claimants: tuple[str, ...] = fact("Réclamé par")
    contenders: str = word()
    number: int = word()
    proposal: str = word()

    @property
    def about(self) -> About:
        """The port, as each claims it."""
        return {"claim": [f"{name} {port_number(self.port)}" for name in self.claimants]}


@check(
    "PORT-003",
    "low",
    "Rien de ce qui est à l’arrêt ne réclame le même port qu’un autre",
    key=("port",),
    message="Le port {port} est réclamé à la fois par {contenders} : un seul pourra démarrer.",
    fix=Fix(
        "Ne laisser ce port qu’à l’un, et publier les autres ailleurs{proposal}.", (), ("ss -Hlntup sport = :{number}",)
    ),
)
def claims_distinct(
    publications: Rows[Publication],
    declarations: Rows[Declaration],
    listeners: Rows[Listener] | None = None,
    compose_ports: Rows[ComposePort] | None = None,
) -> Iterator[ContendedPort]:
    """Ports that several stopped containers or files claim; `info` where a profile that is not active keeps them apart.

    Services of one project of which a profile is not active are alternatives, meant to be started in turn.
    """
    used = used_ports(listeners, publications, declarations)
    # Of a range where it chooses, the engine takes a port that is free.
    for group in _rivalries(claimant for claimant in idle(declarations) if not claimant.chosen):
        if _is_contended(group):
            yield _contended(group, used)
    if compose_ports is None:
        raise AbsentTable("compose_ports", _UNFILED)


def _contended(group: list[Idle], used: Collection[int]) -> ContendedPort:
    claims = [claimant.claim for claimant in group]
    place = min(claims, key=lambda place: (place.first, ":" in place.address, place.address))
    single = all(place.first == place.last for place in claims)
    return ContendedPort(
        port=place.name,
        claimants=tuple(sorted({claimant.subject[1] for claimant in group})),
        severity=None if _is_contended([claimant for claimant in group if claimant.active]) else "info",
        contenders=listing(sorted({claimant.short for claimant in group})),
        number=place.first,
        proposal=_proposed(free_port(place.first, used) if single else None),
    )


def _rivalries(claimants: Iterable[Idle]) -> list[list[Idle]]:
    """The claims in groups: each claim of a group is a rival of another, and of none outside."""
    groups: list[list[Idle]] = []
    for claimant in claimants:
        met = [group for group in groups if any(_are_rivals(claimant, other) for other in group)]
        others = [group for group in groups if group not in met]
        groups = [*others, [*(other for group in met for other in group), claimant]]
    return groups


def _is_contended(group: list[Idle]) -> bool:
    """Whether a claim of the group cannot be satisfied along with another."""
    return any(claimant.crowded or _are_rivals(claimant, other) for claimant in group for other in group)


def _are_rivals(claimant: Idle, other: Idle) -> bool:
    """Whether two claims cannot both be satisfied, and are meant to be."""
    if not claimant.claim.overlaps(other.claim) or claimant is other or claimant.same_service(other):
        return False
    projects = {project for project, _ in claimant.owners | other.owners}
    return len(projects) > 1 or None in projects or (claimant.active and other.active)
