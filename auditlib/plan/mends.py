"""What mends a finding: the acts of each check, from the evidence and the tables. The checks know nothing of it.

A mend gives one or several ways, each a few acts to do together; none when only a person can tell. Where there are
several, the simulation chooses.
"""

from collections.abc import Callable, Sequence

from auditlib.addresses import host_and_port, is_loopback
from auditlib.checks.compose import own_name
from auditlib.compose.edit import Flag, Join, Label, Leave, Name, Publish, Restart
from auditlib.facts.legacy import Record
from auditlib.facts.snapshot import Snapshot
from auditlib.facts.tables.docker import Container
from auditlib.findings.audit import Finding
from auditlib.findings.commands import Declared
from auditlib.french import listing, quoted
from auditlib.plan.acts import MOVE, PREPARE, RENAME, Act, Create, Mode, Owner, container, rows
from auditlib.views.ports import claim, free_port, used_ports
from auditlib.views.predicted import PredictedRouter

Way = tuple[Act, ...]
Mend = Callable[[Snapshot, Finding], Sequence[Way]]
_LOOPBACK = "127.0.0.1"


class ByHand(Exception):  # noqa: N818 - what a person must do first; not a programming error
    """A mend that is not for a program. The message is a French clause that says why."""


def ways(snapshot: Snapshot, finding: Finding) -> list[Way]:
    """The ways to mend a finding that can be written down; none where it is for a person. Raises ByHand."""
    mend = MENDS.get(finding.check)
    found = mend(snapshot, finding) if mend else ()
    return [way for way in found if way and all(act.writable for act in way)]


def _service(snapshot: Snapshot, name: str) -> str | None:
    """The service that a container runs; its own name where no project made it; None for one that is not known."""
    row = container(snapshot, name)
    return (row["compose_service"] or name) if row else None


def _near(snapshot: Snapshot, row: Record) -> Act | None:
    """A publication moved to the loopback of the machine."""
    service = _service(snapshot, row["container"])
    if service is None or row["host_port"] is None or row["host_port_last"] is not None:
        return None
    wanted = (_LOOPBACK, row["host_port"])
    return Act(row["container"], Publish(service, row["protocol"], row["host_port"], row["container_port"], wanted))


def _loopback(snapshot: Snapshot, finding: Finding) -> Sequence[Way]:
    """PORT-004, PORT-005, PORT-006: published, on this machine alone. Its own programs may call the port."""
    for row in rows(snapshot, "publications"):
        one = claim(row)
        if one and (row["container"], one.name) == (finding.evidence.get("container"), finding.evidence["port"]):
            act = _near(snapshot, row)
            return [(act,)] if act else []
    return []


def _api(snapshot: Snapshot, finding: Finding) -> Sequence[Way]:
    """ROUTE-014 by `api.insecure`: off, or out of reach of other machines. Other ways to the API need a middleware."""
    options = [row for row in rows(snapshot, "traefik_static") if row["effective"] and row["key"] == "api.insecure"]
    own = (finding.evidence["router"], finding.evidence["entrypoint"]) == ("api@internal", "traefik")
    if not own or not options or not options[0]["container"]:
        return []
    name = options[0]["container"]
    # An entry point that serves somebody else's routers must stay where it is.
    busy = any(
        "traefik" in (row["entrypoints"] or ()) and row["provider"] != "internal"
        for row in rows(snapshot, "traefik_routers")
    )
    hits = [
        row
        for row in rows(snapshot, "publications")
        if row["container"] == name and (one := claim(row)) and one.name in finding.evidence["places"]
    ]
    near = dict.fromkeys(_near(snapshot, row) for row in hits)
    found: list[Way] = [] if busy or not near or None in near else [tuple(act for act in near if act)]
    service = _service(snapshot, name)
    return [*found, (Act(name, Flag(service, "api.insecure", None), phase=MOVE),)] if service else found


def _joined(snapshot: Snapshot, finding: Finding) -> Sequence[Way]:
    """NET-001, NET-002: on a network of Traefik's, and that one designated where Traefik would take another."""
    name = finding.evidence["container"]
    proxy: Record = next(iter(rows(snapshot, "proxy")), {})
    known = [row["name"] for row in rows(snapshot, "networks")]
    own = {row["network"] for row in rows(snapshot, "container_networks") if row["container"] == name}
    label = next((row["network_label"] for row in rows(snapshot, "routed") if row["container"] == name), None)
    # From the machine's own network, every one is reached.
    inside = proxy.get("container") and proxy["network_mode"] != "host"
    reached = sorted({*proxy["networks"]} & {*known}) if inside else known
    designated = label if label is not None else proxy.get("designated")
    others = sorted(reached, key=lambda one: (one not in own, one != proxy.get("designated"), one))
    places = [designated, *(one for one in others if inside or one in own)]
    shared = next((one for one in places if one in reached), None)
    service = _service(snapshot, name)
    if not service or not shared:
        return []
    acts = [] if shared in own else [Act(name, Join(service, shared))]
    if shared != designated and (label is not None or len(own) + len(acts) > 1):
        acts.append(Act(name, Label(service, "traefik.docker.network", shared)))
    return [tuple(acts)]


def _designated(snapshot: Snapshot, finding: Finding) -> Sequence[Way]:
    """NET-003: the network that Traefik is on too."""
    name, shared = finding.evidence["container"], next(iter(finding.evidence["shared"]), None)
    service = _service(snapshot, name)
    return [(Act(name, Label(service, "traefik.docker.network", shared)),)] if service and shared else []


def _port_label(snapshot: Snapshot, name: str, traefik_service: str, port: str) -> Sequence[Way]:
    own, _, provider = traefik_service.rpartition("@")
    service = _service(snapshot, name)
    label = f"traefik.http.services.{own}.loadbalancer.server.port"
    return [(Act(name, Label(service, label, port)),)] if service and provider == "docker" else []


def _heard(snapshot: Snapshot, finding: Finding) -> Sequence[Way]:
    """ROUTE-006: the only port that the container listens to."""
    heard, said = finding.evidence["listened"], finding.evidence
    if len(heard) != 1 or said["loopback"] or said["transport"] != "tcp":
        return []
    return _port_label(snapshot, said["container"], said["service"], heard[0])


def _spelled(snapshot: Snapshot, finding: Finding) -> Sequence[Way]:
    """ROUTE-021: the labels as they should be written, when each has such a spelling."""
    name, said = finding.evidence["container"], finding.evidence
    service = _service(snapshot, name)
    values = {row["label"]: row["value"] for row in rows(snapshot, "labels") if row["container"] == name}
    if service is None or len(said["labels"]) != len(said["proposals"]):
        return []
    acts = []
    for shown, proposal in zip(said["labels"], said["proposals"], strict=True):
        label, _, wanted = proposal.partition("=")
        value = wanted or values.get(shown)
        # A name that is only an example, a value that is not known or another label in its place are for a person.
        if value is None or "<" in label or (label in values and label != shown.partition("=")[0]):
            return []
        acts.append(Act(name, Label(service, label, value, None if "=" in proposal else shown)))
    return [tuple(acts)]


def _shielded(snapshot: Snapshot, finding: Finding) -> Sequence[Way]:
    """ROUTE-009: the middlewares of the siblings in front of its own, where one service alone declares the router."""
    said = finding.evidence
    router = said["router"]
    declared = Declared.of(snapshot.known(PredictedRouter), snapshot.known(Container))
    owners = [owner.name for owner in declared.owners("http", router)]
    own, _, provider = router.rpartition("@")
    if len(owners) != 1 or provider != "docker":
        return []
    prefix = f"traefik.http.routers.{own}."
    labels = {row["label"].lower() for row in rows(snapshot, "labels") if row["container"] == owners[0]}
    service = _service(snapshot, owners[0])
    # A router that has no label of its own name was named by Traefik: after its entry point, or its service.
    if service is None or not any(label.startswith(prefix.lower()) for label in labels):
        return []
    value = ",".join([*said["proposed"], *said["middlewares"]])
    return [(Act(owners[0], Label(service, f"{prefix}middlewares", value)),)]


def _enabled(snapshot: Snapshot, finding: Finding) -> Sequence[Way]:
    """ROUTE-002: the label that enables it, or the only port that it listens to."""
    name, step = finding.evidence["container"], finding.evidence["step"]
    service = _service(snapshot, name)
    if service and step == "disabled":
        return [(Act(name, Label(service, "traefik.enable", "true")),)]
    heard = {
        str(row["port"])
        for row in rows(snapshot, "container_listeners")
        if row["container"] == name and row["protocol"] == "tcp" and not is_loopback(row["address"])
    }
    routers = [*(finding.evidence.get("routers") or ())]
    if service and step == "port" and len(heard) == 1 and len(routers) == 1:
        return _port_label(snapshot, name, f"{routers[0].partition('@')[0]}@docker", heard.pop())
    return []


def _lasting(snapshot: Snapshot, finding: Finding) -> Sequence[Way]:
    """CONT-004."""
    name = finding.evidence["container"]
    service = _service(snapshot, name)
    return [(Act(name, Restart(service, "unless-stopped")),)] if service else []


def _private(snapshot: Snapshot, finding: Finding) -> Sequence[Way]:
    """ACME-001: Traefik reads the storage only when it starts."""
    path, mode, name = (finding.evidence[key] for key in ("host_path", "mode", "container"))
    return [(Act(None, Mode(path, mode, "600", name)),)] if path and name else []


def _socket_mode(snapshot: Snapshot, finding: Finding) -> Sequence[Way]:
    """CIS-3.16."""
    path, mode = finding.subjects[0][1], finding.evidence["mode"]
    return [(Act(None, Mode(path, mode, f"{int(mode, 8) & 0o660:o}")),)]


def _socket_owner(snapshot: Snapshot, finding: Finding) -> Sequence[Way]:
    """CIS-3.15."""
    path, said = finding.subjects[0][1], finding.evidence
    group = next((row["group"] for row in rows(snapshot, "docker_daemon") if row["group"]), "docker")
    return [(Act(None, Owner(path, f"{said['owner']}:{said['group']}", f"root:{group}")),)]


def _elsewhere(snapshot: Snapshot, finding: Finding) -> Sequence[Way]:
    """PORT-002 of a file whose services do not run: other ports that nothing uses."""
    said = finding.evidence
    if finding.subjects[0][0] != "compose_file":
        return []
    used = used_ports(*(rows(snapshot, name) for name in ("listeners", "publications", "declarations")))
    protocol, _, place = said["port"].partition("/")
    wanted = (said["root"], said["compose_file"], protocol, place.rpartition(":")[2])
    found: dict[tuple[str, str, str, int], list[str]] = {}
    for row in rows(snapshot, "compose_ports"):
        own = (row["root"], row["file"], row["protocol"], str(row["host_port"]))
        if own == wanted and row["service"] in said["services"] and row["host_port_last"] is None:
            found.setdefault((row["root"], row["files"], row["service"], row["container_port"]), []).append(
                row["host_ip"]
            )
    acts = []
    for (root, files, service, port), addresses in found.items():
        number = free_port(int(wanted[3]), used)
        if number is None:
            return []
        used.add(number)
        # Both families mean that the file gives no address.
        address = addresses[0] if len(addresses) == 1 else ""
        acts.append(Act(None, Publish(service, protocol, int(wanted[3]), port, (address, number)), (root, files)))
    return [tuple(acts)]


def _named(snapshot: Snapshot, finding: Finding) -> Sequence[Way]:
    """COMPOSE-001: the name of its project in front."""
    row = container(snapshot, finding.evidence["container"])
    if not row or not row["compose_project"]:
        return []
    wanted = own_name(row["compose_project"], row["name"])
    taken = {one["name"] for one in rows(snapshot, "containers")}
    taken |= {one["container_name"] for one in rows(snapshot, "compose_services")}
    if wanted in taken:
        return []
    calling = [] if row["name"] == row["compose_service"] else callers(snapshot, row["name"])
    if calling:
        verb = "l’appelle" if len(calling) == 1 else "l’appellent"
        instead = f"celui du service, {quoted(row['compose_service'])}"
        raise ByHand(f"{listing(map(quoted, calling))} {verb} par ce nom : y écrire d’abord {instead}")
    return [(Act(row["name"], Name(row["compose_service"], wanted), phase=RENAME),)]


def callers(snapshot: Snapshot, name: str) -> list[str]:
    """Who calls a container by its name, as far as the audit sees: variables, and files that Traefik reads."""
    strings = [
        f"{row['container']} ({row['variable']})"
        for row in rows(snapshot, "connection_strings")
        if row["host"] == name and name in (row["targets"] or ())
    ]
    servers = [row["service"] for row in rows(snapshot, "traefik_servers") if host_and_port(row["url"])[0] == name]
    return list(dict.fromkeys([*strings, *servers]))


def _apart(snapshot: Snapshot, finding: Finding) -> Sequence[Way]:
    """NET-007, DB-004 in containers: a network of its own, with those that refer to the database and nobody else.

    Those of other stacks join it first: between the steps, each still reaches the database by the network it leaves.
    """
    base: Record = next(
        (row for row in rows(snapshot, "databases") if row["database"] == finding.evidence["database"]), {}
    )
    own = container(snapshot, base.get("container"))
    shared = finding.evidence["networks"] or ()
    proxy = next((row["network_container"] for row in rows(snapshot, "proxy")), None)
    routed = {row["container"] for row in rows(snapshot, "routed")}
    if not own or not shared or own["name"] in routed:
        return []
    users = {row["container"] for row in rows(snapshot, "connection_strings") if own["name"] in (row["targets"] or ())}
    users |= {
        row["source"]
        for row in rows(snapshot, "connections")
        if row["target"] == own["name"] and row["source_kind"] == row["target_kind"] == "container"
    }
    network = f"{own['compose_service'] or own['name']}-net"
    known = {row["name"] for row in rows(snapshot, "networks")}
    known |= {row["name"] for row in rows(snapshot, "compose_resources")}
    service = _service(snapshot, own["name"])
    if network in known or proxy in users or service is None:
        return []
    published = any(row["container"] == own["name"] for row in rows(snapshot, "publications"))
    acts = [Act(None, Create(network, internal=not published), phase=PREPARE)]
    for user in sorted(users - {own["name"]}):
        row, named = container(snapshot, user), _service(snapshot, user)
        if named is None:
            return []
        same = row["compose_project"] and row["compose_project"] == own["compose_project"]
        acts.append(Act(user, Join(named, network), phase=MOVE if same else PREPARE))
    acts.append(Act(own["name"], Join(service, network), phase=MOVE))
    acts += [Act(own["name"], Leave(service, name), phase=MOVE) for name in shared]
    return [tuple(acts)]


MENDS: dict[str, Mend] = {
    "PORT-002": _elsewhere,
    "PORT-004": _loopback,
    "PORT-005": _loopback,
    "PORT-006": _loopback,
    "NET-001": _joined,
    "NET-002": _joined,
    "NET-003": _designated,
    "NET-007": _apart,
    "DB-004": _apart,
    "ROUTE-002": _enabled,
    "ROUTE-006": _heard,
    "ROUTE-009": _shielded,
    "ROUTE-014": _api,
    "ROUTE-021": _spelled,
    "CONT-004": _lasting,
    "COMPOSE-001": _named,
    "ACME-001": _private,
    "CIS-3.15": _socket_owner,
    "CIS-3.16": _socket_mode,
}
