"""PORT: host ports, taken or about to be."""

import re
from collections.abc import Iterator

import pandas as pd

from auditlib.findings import Fix, check
from auditlib.fixes import compose
from auditlib.french import listing, quoted
from auditlib.inventory import is_up
from auditlib.ports import EVERYWHERE, Claim, claim, exposure, free_port, used_ports, v6only_ports
from auditlib.schema import Row, records
from auditlib.snapshot import AbsentTable
from auditlib.software import PORT_HOLDERS, database

# What engines from 1.13 to 29 record when a published port is taken.
_TAKEN = re.compile(r"port is already allocated|address already in use|ports are not available", re.IGNORECASE)
_PORT = re.compile(
    r"(?:bind for|bind host port(?: for)?|listen (?P<listen>tcp|udp)[46]?|exposing port (?P<exposing>tcp|udp)) "
    r"(?:\[[^\]]*\]|[\d.]*|::):(?P<port>\d+)(?:\S*/(?P<suffix>tcp|udp))?",
    re.IGNORECASE,
)

_UNHEARD = "les écoutes de la machine n’ont pas été lues"


def _holders(
    wanted: Claim, listeners: list[Row], publications: list[Row], v6only: set[tuple[str, int]], claimant: str
) -> list[tuple[str, str]]:
    """Who holds what `wanted` claims, as (claim, French name), apart from the claimant itself."""
    held: dict[str, str] = {}
    for row in [*publications, *listeners]:
        one = claim(row)
        alone = one is not None and (one.protocol, one.first) in v6only
        if one is None or not wanted.overlaps(one, v6only=alone) or row["container"] == claimant:
            continue
        held.setdefault(_holder(row), one.name)
    return [(place, holder) for holder, place in held.items()]


def _holder(row: Row) -> str:
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
    containers: pd.DataFrame, publications: pd.DataFrame, listeners: pd.DataFrame | None = None
) -> Iterator[Row]:
    """Starts refused for a port, and processes of the machine on the port of a publication in force.

    In the second case one of the two never receives what it should.
    """
    published, listening = records(publications), records(listeners) if listeners is not None else []
    v6only, used = v6only_ports(listening), used_ports(listeners, publications)
    live = [row for row in published if row["live"]]
    known = {row["name"]: row for row in records(containers)}

    def finding(one: Claim, container: Row, effect: str, holders: list[str]) -> Row:
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


def _refused(error: str, publications: list[Row]) -> list[Claim]:
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
    "Aucun conteneur arrêté ne réclame un port déjà pris",
    key=("container", "port"),
    message="Le conteneur « {container} », arrêté, réclame le port {port} que tient {holder} : "
    "il ne pourra pas démarrer.",
    fix=Fix(
        "Publier « {container} » sur un autre port de la machine{proposal}, ou le supprimer s’il ne sert plus.",
        ("{compose} up -d {service}", "docker rm {container}"),
        ("docker port {container}", "ss -Hlntup sport = :{number}"),
    ),
)
def claims_free(
    containers: pd.DataFrame, publications: pd.DataFrame, listeners: pd.DataFrame | None = None
) -> Iterator[Row]:
    """Publications of stopped containers that overlap a live listener or publication of another owner.

    A container of the same compose service is no other owner: it took this one's place.
    """
    published, listening = records(publications), records(listeners) if listeners is not None else []
    v6only, used = v6only_ports(listening), used_ports(listeners, publications)
    known = {row["name"]: row for row in records(containers)}
    for name, container in known.items():
        # A start already refused for its port is a collision, not a risk of one: PORT-001 tells it. On the machine's
        # own network the engine publishes nothing, whatever was asked.
        refused = _TAKEN.search(container["start_error"] or "")
        if is_up(container["state"]) or refused or container["network_mode"] == "host":
            continue
        service = (container["compose_project"], container["compose_service"])
        twins = {
            row["name"]
            for row in known.values()
            if service[0] and service == (row["compose_project"], row["compose_service"])
        }
        live = [row for row in published if row["live"] and row["container"] not in twins]
        others = [row for row in listening if row["container"] not in twins]
        told = set()
        for one in filter(None, (claim(row) for row in published if row["container"] == name)):
            holders = _holders(one, others, live, v6only, name)
            # Of a range, the engine takes a port that is free.
            each = (one._replace(first=port, last=port) for port in range(one.first, one.last + 1))
            taken = holders and all(_holders(single, others, live, v6only, name) for single in each)
            if taken and (one.protocol, one.first) not in told:
                told.add((one.protocol, one.first))
                proposal = free_port(one.first, used)
                yield {
                    "container": name,
                    "port": one.name,
                    "state": container["state"],
                    "held": [place for place, _ in holders],
                    "wording": {
                        "number": one.first,
                        "holder": listing(holder for _, holder in holders),
                        "proposal": f" ({proposal} est libre)" if proposal else "",
                        **compose(container),
                    },
                }
    if listeners is None:
        raise AbsentTable("listeners", _UNHEARD)


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
def databases_private(publications: pd.DataFrame, containers: pd.DataFrame) -> Iterator[Row]:
    """Publications in force of a database's own port on every address of a family."""
    known = {row["name"]: row for row in records(containers)}
    found: dict[tuple[str, int], Row] = {}
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
