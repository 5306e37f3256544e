"""HOST: the accounts, disks, memory, units and firewall of the machine."""

from collections.abc import Iterable, Iterator

from auditlib.checks.cis import machine_name
from auditlib.facts.snapshot import AbsentTable
from auditlib.facts.table import Rows
from auditlib.facts.tables.docker import DockerEngine, Publication
from auditlib.facts.tables.host import Disk, DockerDaemon, DockerUsage, Firewall, GroupMember, Host, Listener, Unit
from auditlib.findings.check import Confidence, Fault, Fix, NotApplicable, check, fact, word
from auditlib.french import listing, number, quoted, size
from auditlib.views.ports import EVERYWHERE, exposure
from auditlib.views.routes import Route


class Commanders(Fault):
    """Accounts that may command Docker, root aside."""

    host: str
    users: tuple[str, ...] = fact("Usagers")
    first: str = word()
    group: str = word()


@check(
    "HOST-001",
    "info",
    "Seul root commande Docker",
    key=("host",),
    message="Sur « {host} », des comptes du groupe de Docker ont par lui tous les droits de root : {users}.",
    fix=Fix(
        "Retirer du groupe les comptes qui n’ont pas à administrer la machine ; pour les autres, accepter ce constat.",
        ("sudo gpasswd --delete {first} {group}",),
        ("getent group {group}",),
    ),
)
def commanding(docker_group: Rows[GroupMember], host: Rows[Host]) -> Iterator[Commanders]:
    """Members of the group that holds Docker's socket, root aside."""
    if docker_group:
        users = tuple(sorted({member.user for member in docker_group}))
        first = docker_group[0]
        yield Commanders(host=machine_name(host), users=users, first=first.user, group=first.group)


# A disk is nearly full from this share on, if less than this is left: a tenth of a large disk is a lot of room.
_FULL, _ROOM = 0.90, 50 * 1024**3
_INODES_LEFT = 0.05


class FullDisk(Fault):
    """A disk that holds Docker's data or a database's, and is nearly full."""

    host: str
    disk: str = fact("Disque")
    holds: tuple[str, ...]
    used: int | None
    free: int | None
    inodes_free: int | None
    source: str = word()
    measure: str = word()


@check(
    "HOST-002",
    "high",
    "Les disques de Docker et des bases de données ont de la place",
    key=("host", "source"),
    message="Sur « {host} », le disque « {disk} » ({holds}) est presque plein : {measure}.",
    fix=Fix(
        "Libérer de la place sur « {disk} » (images inutiles, journaux sans limite, sauvegardes) ou l’agrandir.",
        ("docker system df", "sudo du -xh --max-depth=2 {disk}"),
        ("df -h {disk}", "df -i {disk}"),
    ),
)
def room(disks: Rows[Disk], host: Rows[Host]) -> Iterator[FullDisk]:
    """File systems that hold Docker's data or a database's, with little room or few inodes left."""
    for disk in disks:
        holds = tuple(what for what in disk.holds or () if what != "racine")
        if holds and (measure := _measure(disk)):
            yield FullDisk(
                host=machine_name(host),
                disk=disk.mountpoint,
                holds=holds,
                used=disk.used,
                free=disk.free,
                inodes_free=disk.inodes_free,
                source=disk.mountpoint,
                measure=measure,
            )


def _measure(disk: Disk) -> str:
    """What shows that a disk is nearly full, as a French clause; "" when it is not.

    The share is that of `df`: what root alone may use counts as used.
    """
    used, free, inodes, left = disk.used, disk.free, disk.inodes, disk.inodes_free
    if used is not None and free is not None and used + free > 0:
        share = used / (used + free)
        if share >= _FULL and free < _ROOM:
            return f"{number(100 * share)} % utilisés, {size(free)} libres"
    if inodes and left is not None and left < _INODES_LEFT * inodes:
        return f"{number(100 - 100 * left / inodes)} % des inodes sont pris"
    return ""


_MEMORY_LEFT = 0.10


class LittleMemory(Fault):
    """A machine whose memory is nearly all in use."""

    host: str
    memory: int
    memory_available: int
    swap_free: int | None
    left: str = word()
    total: str = word()
    swap: str = word()


@check(
    "HOST-003",
    "medium",
    "La machine a de la mémoire disponible",
    key=("host",),
    message="La machine « {host} » n’a plus que {left} de mémoire disponible sur {total}{swap}.",
    fix=Fix(
        "Trouver ce qui consomme la mémoire, limiter les conteneurs qui ne le sont pas, ou ajouter de la mémoire.",
        ("docker stats --no-stream", "ps -eo pid,rss,comm --sort=-rss"),
        ("free -h",),
    ),
)
def memory(host: Rows[Host]) -> Iterator[LittleMemory]:
    """Less than a tenth of the memory can still be given: the kernel will soon have to kill."""
    for machine in host:
        total, left = machine.memory, machine.memory_available
        if total and left is not None and left < _MEMORY_LEFT * total:
            yield LittleMemory(
                host=machine.name,
                memory=total,
                memory_available=left,
                swap_free=machine.swap_free,
                left=size(left),
                total=size(total),
                swap=_swap(machine),
            )


def _swap(machine: Host) -> str:
    """What is left of the swap, as the end of a clause; "" without swap, or when it is not known."""
    if not machine.swap or machine.swap_free is None:
        return ""
    if not machine.swap_free:
        return ", et plus de swap"
    return f", et {size(machine.swap_free)} de swap libre sur {size(machine.swap)}"


# What every container needs.
_ENGINE_UNITS = ("docker.service", "docker.socket", "containerd.service")
_STARTED = ("enabled", "enabled-runtime", "generated", "static", "alias", "linked")


class FailedUnit(Fault):
    """A unit that failed, and of which something depends."""

    unit: str
    result: str | None
    exit_status: int | None
    dependents: tuple[str, ...] = fact("En dépendent")
    services: tuple[str, ...] = fact(about="service")
    outcome: str = word()


@check(
    "HOST-004",
    "high",
    "Aucune unité dont un service dépend n’est en échec",
    key=("unit",),
    message="L’unité « {unit} », lancée au démarrage, est en échec{outcome} ; en dépend : {dependents}.",
    fix=Fix(
        "Lire le journal de « {unit} », corriger la cause de son échec, puis la relancer.",
        ("journalctl -u {unit} -n 100 --no-pager", "sudo systemctl restart {unit}"),
        ("systemctl status --no-pager {unit}",),
    ),
)
def units_needed(
    units: Rows[Unit], routes: Rows[Route] | None = None, listeners: Rows[Listener] | None = None
) -> Iterator[FailedUnit]:
    """Failed units of which something depends: the engine's own; and behind a route to a port of the machine.

    A unit that failed listens no more: it is taken for a route's when that route leads to a port where nothing listens
    and a name in it has the unit's, or when it is a socket unit of that port. The first is probable only.
    """
    silent = _silent(routes, listeners)
    unsure = False
    for unit in units:
        if unit.active != "failed" or unit.enabled not in _STARTED:
            continue
        ports = _ports(unit)
        certain = [route for route in silent if route.port in ports]
        routed = certain or [route for route in silent if _is_namesake(unit, route)]
        if unit.unit in _ENGINE_UNITS:
            yield _failed(unit, "certain", {"tous les conteneurs et leurs ports publiés"}, ())
        elif routed:
            yield _failed(unit, "certain" if certain else "probable", set(map(_described, routed)), routed)
        else:
            unsure |= routes is None or listeners is None
    if unsure:
        raise AbsentTable("routes", "des unités sont en échec, et on ne sait pas si un routeur dépend d’elles")


def _failed(unit: Unit, confidence: Confidence, dependents: set[str], routes: Iterable[Route]) -> FailedUnit:
    return FailedUnit(
        unit=unit.unit,
        confidence=confidence,
        result=unit.result,
        exit_status=unit.exit_status,
        dependents=tuple(sorted(dependents)),
        services=tuple(sorted({route.service for route in routes if route.service})),
        outcome=f" ({unit.result})" if unit.result else "",
    )


def _silent(routes: Rows[Route] | None, listeners: Rows[Listener] | None) -> list[Route]:
    """The routes to a port of the machine where nothing listens."""
    if routes is None or listeners is None:
        return []
    heard = {listener.port for listener in listeners if listener.protocol == "tcp"}
    return [route for route in routes if route.kind == "machine" and route.port and route.port not in heard]


def _ports(unit: Unit) -> set[int]:
    """The ports of a socket unit."""
    ends = [listen.rpartition(":")[2] for listen in unit.listens or ()]
    return {int(end) for end in ends if end.isdecimal()}


def _is_namesake(unit: Unit, route: Route) -> bool:
    """Whether a route's service or router is named after a unit."""
    name = unit.unit.rpartition(".")[0].partition("@")[0].lower()
    return any(name == (named or "").partition("@")[0].lower() for named in (route.service, route.router))


def _described(route: Route) -> str:
    where = f"{route.domain or ''}{route.path or ''}"
    return f"le routeur {quoted(route.router)}" + (f" ({where})" if where else "")


class BypassedFirewall(Fault):
    """An active firewall, and the ports that Docker opens without it."""

    host: str
    firewalls: tuple[str, ...] = fact("Pare-feu")
    ports: tuple[str, ...]


@check(
    "HOST-005",
    "info",
    "Le pare-feu voit tout ce qui entre",
    key=("host",),
    message="Le pare-feu de « {host} » ({firewalls}) est actif, mais Docker ouvre ses ports publiés sans passer par "
    "lui : {ports}.",
    fix=Fix(
        "Publier sur « 127.0.0.1 » ce qui n’a pas à être joint de l’extérieur, ou filtrer dans la chaîne "
        "« DOCKER-USER », la seule que Docker consulte avant ses propres règles.",
        (),
        ("sudo iptables -S DOCKER-USER", "docker ps --format '{{{{.Names}}}} {{{{.Ports}}}}'"),
    ),
)
def bypassed(
    firewalls: Rows[Firewall],
    publications: Rows[Publication],
    host: Rows[Host],
    docker_engine: Rows[DockerEngine],
    docker_daemon: Rows[DockerDaemon] | None = None,
) -> Iterator[BypassedFirewall]:
    """An active firewall beside ports published on every interface.

    Docker redirects them before the chain that such a firewall rules. It does not when it may not touch iptables, nor
    in a rootless engine, whose ports are those of an ordinary process.
    """
    active = tuple(sorted(firewall.name for firewall in firewalls if firewall.active))
    if not active:
        raise NotApplicable("aucun pare-feu actif n’a été vu sur cette machine")
    if not _redirects(docker_engine, docker_daemon or ()):
        raise NotApplicable("les ports que ce moteur publie passent par le pare-feu, ou sont ceux d’une autre machine")
    wide = {
        (publication.host_port, publication.protocol, publication.container)
        for publication in publications
        if publication.live and publication.host_port and exposure([publication.host_ip]) == EVERYWHERE
    }
    if wide:
        ports = tuple(f"{port}/{protocol} ({container})" for port, protocol, container in sorted(wide))
        yield BypassedFirewall(host=machine_name(host), firewalls=active, ports=ports)


def _redirects(engines: Rows[DockerEngine], daemons: Iterable[DockerDaemon]) -> bool:
    """Whether the engine of this machine redirects what comes for a published port before the firewall sees it."""
    hands_off = any(daemon.iptables is False for daemon in daemons)
    rootless = any("name=rootless" in (engine.security_options or ()) for engine in engines)
    return not hands_off and not rootless and any(engine.local for engine in engines)


# Less than this is not worth a line.
_WORTH = 1024**3


class Reclaimable(Fault):
    """Room that Docker takes without need."""

    host: str
    reclaimable: int
    total: str = word()
    parts: str = word()


@check(
    "HOST-006",
    "info",
    "Docker n’occupe pas de place inutile",
    key=("host",),
    message="Sur « {host} », Docker peut rendre {total} : {parts}.",
    fix=Fix(
        "Relire ce qui ne sert plus, puis nettoyer. Les volumes inutilisés portent peut-être des données : ne les "
        "supprimer qu’un par un.",
        ("docker builder prune", "docker image prune --all"),
        ("docker system df",),
    ),
)
def reclaimable(docker_usage: Rows[DockerUsage], docker_engine: Rows[DockerEngine]) -> Iterator[Reclaimable]:
    """What a clean-up would free, as the engine counts it."""
    kinds = DockerUsage.table.column("kind").words
    parts = [(usage.kind, usage.reclaimable) for usage in docker_usage if usage.reclaimable]
    total = sum(octets for _, octets in parts)
    if total >= _WORTH:
        shown = listing(f"{kinds.get(kind, kind)} {size(octets)}" for kind, octets in parts)
        for engine in docker_engine:
            yield Reclaimable(host=engine.name, reclaimable=total, total=size(total), parts=shown)
