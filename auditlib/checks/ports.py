"""PORT: host ports, taken or about to be."""

import re
from collections.abc import Iterable, Iterator

import pandas as pd

from auditlib.checks.idle import Idle, commands, idle, one_family
from auditlib.facts.legacy import Record, records
from auditlib.facts.snapshot import AbsentTable
from auditlib.facts.table import Rows
from auditlib.facts.tables.host import Listener
from auditlib.findings.check import Fix, check
from auditlib.findings.commands import compose
from auditlib.french import listing, quoted
from auditlib.software import PORT_HOLDERS, database, is_up
from auditlib.views.ports import EVERYWHERE, Claim, apart, claim, exposure, free_port, used_ports, v6only_ports

# What engines from 1.13 to 29 record when a published port is taken.
_TAKEN = re.compile(r"port is already allocated|address already in use|ports are not available", re.IGNORECASE)
_PORT = re.compile(
    r"(?:bind for|bind host port(?: for)?|listen (?P<listen>tcp|udp)[46]?|exposing port (?P<exposing>tcp|udp)) "
    r"(?:\[[^\]]*\]|[\d.]*|::):(?P<port>\d+)(?:\S*/(?P<suffix>tcp|udp))?",
    re.IGNORECASE,
)

_UNHEARD = "les écoutes de la machine n’ont pas été lues"
_UNFILED = "les fichiers compose du disque n’ont pas été lus"


def _holders(
    wanted: Claim,
    listeners: Iterable[Listener],
    publications: list[Record],
    v6only: set[tuple[str, int]],
    claimant: str,
) -> list[tuple[str, str]]:
    """Who holds what `wanted` claims, as (claim, French name), apart from the claimant itself."""
    held: dict[str, str] = {}
    for row in [*publications, *apart(listeners, publications)]:
        one = claim(row)
        alone = one is not None and (one.protocol, one.first) in v6only
        if one is None or not wanted.overlaps(one, v6only=alone) or row["container"] == claimant:
            continue
        held.setdefault(_holder(row), one.name)
    return [(place, holder) for holder, place in held.items()]


def _holder(row: Record) -> str:
    if row["container"]:
        return f"le conteneur {quoted(row['container'])}"
    if row.get("unit"):
        return f"l’unité {quoted(row['unit'])}"
    return f"le processus {quoted(row['process'])}" if row.get("process") else "un processus inconnu"


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
    containers: pd.DataFrame,
    publications: pd.DataFrame,
    listeners: Rows[Listener] | None = None,
    declarations: pd.DataFrame | None = None,
) -> Iterator[Record]:
    """Starts refused for a port, and processes of the machine on the port of a publication in force.

    In the second case one of the two never receives what it should.
    """
    published, listening = records(publications), listeners or ()
    v6only, asked = v6only_ports(listening), records(declarations) if declarations is not None else ()
    used = used_ports(listening, published, asked)
    live = [row for row in published if row["live"]]
    known = {row["name"]: row for row in records(containers)}

    def finding(one: Claim, container: Record, effect: str, holders: list[str]) -> Record:
        proposal = free_port(one.first, used)
        return {
            "container": container["name"],
            "port": one.name,
            "start_error": container["start_error"],
            "wording": {
                "number": one.first,
                "effect": effect,
                "holder": f"tenu par {listing(holders)}" if holders else "libre à présent, mais ne l’était pas alors",
                "proposal": f" ({proposal} est libre)" if proposal else "",
                **compose(container),
            },
        }

    for container in known.values():
        error = container["start_error"] or ""
        if not is_up(container["state"]) and _TAKEN.search(error):
            for one in _refused(error, [row for row in published if row["container"] == container["name"]]):
                holders = [holder for _, holder in _holders(one, listening, live, v6only, container["name"])]
                yield finding(one, container, "n’a pas pu démarrer", holders)
    # A container on the machine's own network holds ports as any process does.
    foreign = [row for row in listening if row["process"] not in PORT_HOLDERS]
    for one, row in [(own, row) for row in live if (own := claim(row))]:
        # Without root the owner of a socket may be unknown: docker-proxy itself, as well as an intruder.
        intruders = _holders(one, [r for r in foreign if r["process"]], [], v6only, row["container"])
        if intruders:
            holders = [holder for _, holder in intruders]
            yield finding(one, known[row["container"]], "ne reçoit pas tout ce qui lui est destiné", holders)
    if listeners is None:
        raise AbsentTable("listeners", _UNHEARD)


def _refused(error: str, publications: list[Record]) -> list[Claim]:
    """The claims that the engine's message names; all of the container's when it names none."""
    claims = {one.name: one for one in map(claim, publications) if one}
    hit = [one for one in claims.values() if (named := _PORT.search(error)) and _is_named(one, named)]
    # The two families of one publication are one refusal.
    return list({(one.protocol, one.first): one for one in reversed(hit or list(claims.values()))}.values())


def _is_named(one: Claim, named: re.Match[str]) -> bool:
    protocol = named["listen"] or named["exposing"] or named["suffix"] or one.protocol
    return one.first <= int(named["port"]) <= one.last and one.protocol == protocol.lower()


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
    containers: pd.DataFrame,
    publications: pd.DataFrame,
    declarations: pd.DataFrame,
    listeners: Rows[Listener] | None = None,
    compose_ports: pd.DataFrame | None = None,
) -> Iterator[Record]:
    """Ports that stopped containers and files claim, and that a listener or publication of another owner holds.

    A container of the same compose service is no other owner: it took this one's place.
    """
    published, listening = records(publications), listeners or ()
    v6only, used = v6only_ports(listening), used_ports(listening, published, records(declarations))
    known = {row["name"]: row for row in records(containers)}
    # A start already refused for its port is a collision, not a risk of one: PORT-001 tells it.
    refused = {_service(row) for row in known.values() if not is_up(row["state"]) and _refused_start(row)}
    found = []
    for one in idle(declarations):
        kind, name = one.subject
        container = known[name] if kind == "container" else {}
        if _refused_start(container) or (kind == "compose_file" and one.owners & refused):
            continue
        # Containers of no project are not of the same service.
        twins = {row["name"] for row in known.values() if _service(row) in one.owners and row["compose_project"]}
        live = [row for row in published if row["live"] and row["container"] not in twins]
        others = [row for row in listening if row["container"] not in twins]
        holders = _holders(one.claim, others, live, v6only, name if container else "")
        # Of a range where it chooses, the engine takes a port that is free.
        each = (one.claim._replace(first=port, last=port) for port in range(one.claim.first, one.claim.last + 1))
        if holders and (not one.chosen or all(_holders(single, others, live, v6only, name) for single in each)):
            found.append((one, container.get("state"), holders))
    held = {one: (state, holders) for one, state, holders in found}
    for one in one_family(held):
        state, holders = held[one]
        # A range wants several free ports in a row.
        proposal = free_port(one.claim.first, used) if one.claim.first == one.claim.last else None
        own = {"container": one.subject[1], "state": state} if state else _written(one)
        yield {
            **own,
            "port": one.claim.name,
            "held": [place for place, _ in holders],
            "subjects": (one.subject, ("port", one.claim.name)),
            "severity": None if one.active else "info",
            "wording": {
                "claimant": one.title,
                "claimed": listing(map(quoted, one.names)),
                "number": one.claim.first,
                "holder": listing(holder for _, holder in holders),
                "effect": "il ne pourra pas démarrer" if one.active else "il ne pourrait pas démarrer",
                "proposal": f" ({proposal} est libre)" if proposal else "",
                "place": f" dans {one.place}" if one.place else "",
                **commands(one, known),
            },
        }
    if listeners is None:
        raise AbsentTable("listeners", _UNHEARD)
    if compose_ports is None:
        raise AbsentTable("compose_ports", _UNFILED)


def _service(container: Record) -> tuple[str | None, str | None]:
    return container["compose_project"], container["compose_service"]


def _refused_start(container: Record) -> bool:
    return bool(_TAKEN.search(container.get("start_error") or ""))


def _written(one: Idle) -> Record:
    """What a finding tells of claims that a file writes."""
    row = one.rows[0]
    services = list(one.names)
    return {"compose_file": one.subject[1], "lines": list(map(str, one.lines)), "services": services} | {
        name: row[name] for name in ("project", "root")
    }


@check(
    "PORT-003",
    "low",
    "Rien de ce qui est à l’arrêt ne réclame le même port qu’un autre",
    key=("port",),
    message="Le port {port} est réclamé à la fois par {claimants} : un seul pourra démarrer.",
    fix=Fix(
        "Ne laisser ce port qu’à l’un, et publier les autres ailleurs{proposal}.", (), ("ss -Hlntup sport = :{number}",)
    ),
)
def claims_distinct(
    publications: pd.DataFrame,
    declarations: pd.DataFrame,
    listeners: Rows[Listener] | None = None,
    compose_ports: pd.DataFrame | None = None,
) -> Iterator[Record]:
    """Ports that several stopped containers or files claim; `info` where a profile that is not active keeps them apart.

    Services of one project of which a profile is not active are alternatives, meant to be started in turn.
    """
    used = used_ports(listeners, records(publications), records(declarations))
    groups: list[list[Idle]] = []
    # Of a range where it chooses, the engine takes a port that is free.
    for one in [one for one in idle(declarations) if not one.chosen]:
        met = [group for group in groups if any(_rivals(one, other) for other in group)]
        groups = [*(group for group in groups if group not in met), [*(other for group in met for other in group), one]]
    for group in groups:
        if not _contended(group):
            continue
        firm = _contended([one for one in group if one.active])
        first = min((one.claim for one in group), key=lambda one: (one.first, ":" in one.address, one.address))
        single = all(one.claim.first == one.claim.last for one in group)
        proposal = free_port(first.first, used) if single else None
        yield {
            "port": first.name,
            "claimants": sorted({one.subject[1] for one in group}),
            "subjects": (("port", first.name),),
            "severity": None if firm else "info",
            "wording": {
                "claimants": listing(sorted({one.short for one in group})),
                "number": first.first,
                "proposal": f" ({proposal} est libre)" if proposal else "",
            },
        }
    if compose_ports is None:
        raise AbsentTable("compose_ports", _UNFILED)


def _contended(group: list[Idle]) -> bool:
    """Whether a claim of the group cannot be satisfied along with another."""
    return any(one.crowded for one in group) or any(_rivals(one, other) for one in group for other in group)


def _rivals(one: Idle, other: Idle) -> bool:
    """Whether two claims cannot both be satisfied, and are meant to be."""
    if not one.claim.overlaps(other.claim) or one is other or one.same_service(other):
        return False
    projects = {project for project, _ in one.owners | other.owners}
    return len(projects) > 1 or None in projects or (one.active and other.active)


@check(
    "PORT-004",
    "critical",
    "Aucun port de base de données n’est publié sur toutes les interfaces",
    key=("container", "port"),
    message="{kind} (conteneur « {container} ») est publié sur toutes les interfaces, port {host_port} : la base est "
    "joignable de tout le réseau, et d’Internet sans pare-feu.",
    fix=Fix(
        "Ne pas publier le port : les conteneurs joignent la base par leur réseau Docker. S’il faut y accéder depuis "
        "la machine, le publier sur 127.0.0.1 (« {binding} » sous « ports: »), puis recréer le service.",
        ("{compose} up -d {service}",),
        ("docker port {container}", "ss -Hlnt sport = :{host_port}"),
    ),
)
def databases_private(publications: pd.DataFrame, containers: pd.DataFrame) -> Iterator[Record]:
    """Publications in force of a database's own port on every address of a family."""
    known = {row["name"]: row for row in records(containers)}
    found: dict[tuple[str, int], Record] = {}
    for row in records(publications):
        container = known[row["container"]]
        kind = database(container["image"], row["container_port"])
        if not (row["live"] and row["protocol"] == "tcp" and kind and exposure([row["host_ip"]]) == EVERYWHERE):
            continue
        one = claim(row)
        # 0.0.0.0 and :: of one publication are one finding.
        found.setdefault(
            (row["container"], row["host_port"]),
            {
                "container": row["container"],
                "port": one.name if one else "",
                "kind": kind,
                "image": container["image"],
                "container_port": row["container_port"],
                "host_port": row["host_port"],
                "wording": {"binding": f"127.0.0.1:{row['host_port']}:{row['container_port']}", **compose(container)},
            },
        )
    yield from found.values()
