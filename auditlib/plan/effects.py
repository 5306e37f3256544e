"""What a snapshot would say after an act: the tables that tell of what changed, and nothing else."""

import ipaddress
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from auditlib.addresses import EVERY_ADDRESS, joined
from auditlib.compose.document import NOWHERE, Invalid
from auditlib.compose.edit import Flag, Join, Label, Leave, Name, Publish, Restart, publishes, short
from auditlib.compose.ports import parse
from auditlib.facts.legacy import Record
from auditlib.facts.snapshot import Snapshot
from auditlib.facts.tables import TABLES
from auditlib.plan.acts import Act, Create, Mode, Owner, container, rows, stack
from auditlib.plan.proxy import reloaded

Changed = dict[str, list[Record]]
_API_GONE = "l’API de Traefik n’est plus servie sans mot de passe"


def applied(snapshot: Snapshot, *acts: Act) -> Snapshot:
    """The snapshot after the acts of one step, as a collection made then would find it.

    A container keeps its name until the last of what is done to it, and its networks until it has others.
    """
    after = snapshot
    for act in sorted(acts, key=lambda act: (isinstance(act.operation, Name), isinstance(act.operation, Leave))):
        changed = _EFFECTS[type(act.operation)](after, act, act.operation)
        after = after.changed({name: made for name, made in changed.items() if name in after.tables}, _lost(act))
    return reloaded(snapshot, after) if any(not isinstance(act.operation, _APART) for act in acts) else after


def _lost(act: Act) -> dict[str, str]:
    """The tables that could not be read any more."""
    api = isinstance(act.operation, Flag) and act.operation.flag == "api.insecure"
    return {name: _API_GONE for name, table in TABLES.items() if api and table.source == "traefik_api"}


def _written(snapshot: Snapshot, act: Act, table: str, change: Callable[[Record], Iterable[Record]]) -> list[Record]:
    """The rows of a table of compose files, those of the act's service changed."""
    home = stack(snapshot, act)
    key = home.key if home else None
    found: list[Record] = []
    for row in rows(snapshot, table):
        found += change(row) if key == (row["root"], row["files"], row["service"]) else [row]
    return found


def _publish(snapshot: Snapshot, act: Act, one: Publish) -> Changed:
    home = stack(snapshot, act)
    key = home.key if home else None

    def claimed(row: Record) -> bool:
        own = (row["protocol"], row["container_port"], row["host_port"], row["host_port_last"])
        return own == (one.protocol, one.container_port, one.host_port, None)

    def live(row: Record) -> bool:
        return act.container is not None and row["container"] == act.container

    def heard(row: Record) -> bool:
        return live(row) and (row["protocol"], row["port"]) == (one.protocol, one.host_port)

    def written(row: Record) -> bool:
        return key == (row["root"], row["files"], row["service"]) and claimed(row)

    publications = rows(snapshot, "publications")
    publications = _moved(publications, lambda row: live(row) and claimed(row), one, "host_ip", "host_port")
    listeners = _moved(rows(snapshot, "listeners"), heard, one, "address", "port")
    for row in listeners:
        row["family"] = "ipv6" if ":" in row["address"] else "ipv4"
    return {
        "publications": publications,
        "listeners": listeners,
        "databases": list(_reachable(snapshot, act.container, publications)),
        "compose_ports": _moved(rows(snapshot, "compose_ports"), written, one, "host_ip", "host_port"),
        "compose_services": _written(
            snapshot, act, "compose_services", lambda row: [{**row, "ports": tuple(_ports(row["ports"] or (), one))}]
        ),
    }


def _moved(found: list[Record], same: Callable[[Record], bool], one: Publish, address: str, port: str) -> list[Record]:
    """The rows, with one for each address where a port is to be in place of those where it is."""
    hits = [row for row in found if same(row)]
    if not hits:
        return found
    places = () if one.wanted is None else (one.wanted[0],) if one.wanted[0] else EVERY_ADDRESS
    number = one.wanted[1] if one.wanted else None
    alike = {place: next((r for r in hits if (":" in r[address]) == (":" in place)), hits[0]) for place in places}
    return [
        *(row for row in found if not same(row)),
        *({**row, address: place, port: number} for place, row in alike.items()),
    ]


def _ports(ports: Iterable[str], one: Publish) -> Iterator[str]:
    for port in ports:
        try:
            same = publishes(parse(port, NOWHERE), one)
        except Invalid:
            same = False
        if not same:
            yield port
        elif one.wanted:
            yield short(one.container_port, one.protocol, *one.wanted)


def _reachable(snapshot: Snapshot, own: str | None, publications: list[Record]) -> Iterator[Record]:
    """The databases, that of the container with the addresses where its port is published now."""
    for row in rows(snapshot, "databases"):
        if own is None or row["container"] != own:
            yield row
            continue
        live = [one for one in publications if one["container"] == own and one["live"]]
        ends = [(one["host_ip"], one["host_port"]) for one in live if one["container_port"] == row["port"]]
        places = [joined(ip, port) for ip, port in ends]
        yield {**row, "addresses": tuple(places), "published": bool(places)}


def _join(snapshot: Snapshot, act: Act, one: Join) -> Changed:
    changed: Changed = {
        "compose_services": _written(snapshot, act, "compose_services", lambda row: [_on(row, one.network)])
    }
    home = stack(snapshot, act)
    if home and home.key:
        resources = rows(snapshot, "compose_resources")
        own = [row for row in resources if (row["root"], row["files"], row["kind"]) == (*home.key[:2], "network")]
        if not any(row["name"] == one.network for row in own):
            made = {"root": home.root, "files": home.key[1], "project": home.project, "kind": "network"}
            fresh = {
                **made,
                "key": one.network,
                "name": one.network,
                "external": True,
                "used": True,
                "file": home.files[0],
            }
            changed["compose_resources"] = [*resources, fresh]
    attached = rows(snapshot, "container_networks")
    if act.container and not any(
        (row["container"], row["network"]) == (act.container, one.network) for row in attached
    ):
        names = next((row["aliases"] for row in attached if row["container"] == act.container), None)
        place = {"container": act.container, "network": one.network, "aliases": names or (act.container,)}
        attached = [*attached, {**place, "ipv4": _free_address(snapshot, one.network, attached)}]
        changed["container_networks"] = attached
    changed["connection_strings"] = list(_resolved(snapshot, attached))
    return changed


def _on(service: Record, network: str) -> Record:
    return {**service, "networks": tuple(sorted({*(service["networks"] or ()), network}))}


def _free_address(snapshot: Snapshot, network: str, attached: list[Record]) -> str | None:
    """An address that the engine could give on a network; None when its subnets are not known."""
    known: Record = next((row for row in rows(snapshot, "networks") if row["name"] == network), {})
    taken = {row["ipv4"] for row in attached if row["network"] == network} | set(known.get("gateways") or ())
    for subnet in known.get("subnets") or ():
        if ":" not in subnet:
            hosts = ipaddress.ip_network(subnet, strict=False).hosts()
            return next((str(host) for host in hosts if str(host) not in taken), None)
    return None


def _leave(snapshot: Snapshot, act: Act, one: Leave) -> Changed:
    attached = [
        row
        for row in rows(snapshot, "container_networks")
        if (row["container"], row["network"]) != (act.container, one.network)
    ]

    def left(row: Record) -> list[Record]:
        return [{**row, "networks": tuple(name for name in row["networks"] or () if name != one.network)}]

    return {
        "container_networks": attached,
        "compose_services": _written(snapshot, act, "compose_services", left),
        "connection_strings": list(_resolved(snapshot, attached)),
    }


def _resolved(snapshot: Snapshot, attached: list[Record]) -> Iterator[Record]:
    """The connection strings, with the networks by which a name still leads to its containers."""
    places: dict[str, set[str]] = {}
    for row in attached:
        places.setdefault(row["container"], set()).add(row["network"])
    for row in rows(snapshot, "connection_strings"):
        if row["target"] not in ("container", "several"):
            yield row
            continue
        own = places.get(row["container"], set())
        reached = tuple(name for name in row["targets"] or () if places.get(name, set()) & own)
        common = sorted({network for name in reached for network in places[name] & own})
        state = {0: "unresolved", 1: "container"}.get(len(reached), "several")
        yield {**row, "target": state, "targets": reached, "networks": tuple(common)}


def _label(snapshot: Snapshot, act: Act, one: Label) -> Changed:
    def bears(row: Record) -> bool:
        return row["label"] in (one.label, one.instead)

    said = {"label": one.label, "value": one.value}
    live = [row for row in rows(snapshot, "labels") if row["container"] != act.container or not bears(row)]
    home = stack(snapshot, act)
    written = _written(snapshot, act, "compose_labels", lambda row: [] if bears(row) else [row])
    if home and home.key:
        place = dict(zip(("root", "files", "service"), home.key, strict=True))
        written.append({**place, **said, "file": home.files[0]})
    return {"labels": [*live, {"container": act.container, **said}], "compose_labels": written}


def _restart(snapshot: Snapshot, act: Act, one: Restart) -> Changed:
    return {
        "containers": [
            {**row, "restart_policy": one.policy} if row["name"] == act.container else row
            for row in rows(snapshot, "containers")
        ],
        "compose_services": _written(snapshot, act, "compose_services", lambda row: [{**row, "restart": one.policy}]),
    }


def _flag(snapshot: Snapshot, act: Act, one: Flag) -> Changed:
    found = []
    for row in rows(snapshot, "traefik_static"):
        if (row["container"], row["origin"], row["key"]) != (act.container, "flags", one.flag):
            found.append(row)
        elif one.wanted is not None:
            found.append({**row, "value": one.wanted})
    return {"traefik_static": found}


def _name(snapshot: Snapshot, act: Act, one: Name) -> Changed:
    old, row = act.container, container(snapshot, act.container)
    new = one.wanted or f"{row.get('compose_project')}-{one.service}-1"

    def renamed(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(new if item == old else item for item in value)
        return new if value == old else value

    changed: Changed = {}
    for table, columns in _BEARERS.items():
        changed[table] = [
            {**line, **{name: renamed(line[name]) for name in columns if name in line}}
            for line in rows(snapshot, table)
        ]
    for line in changed["connections"]:
        for end in ("source", "target"):
            line[end] = renamed(line[end]) if line[f"{end}_kind"] == "container" else line[end]
    for line in changed["databases"]:
        line["database"] = line["container"] if line["container"] == new else line["database"]
    for line in changed["container_networks"]:
        if line["container"] == new:
            # The name of the service stays, on every network.
            line["aliases"] = tuple(dict.fromkeys([new, one.service, *(n for n in line["aliases"] or () if n != old)]))
    for line in changed["connection_strings"]:
        if line["host"] == old != one.service and new in (line["targets"] or ()):
            line.update(target="unresolved", targets=(), networks=())
    changed["compose_services"] = _written(
        snapshot, act, "compose_services", lambda line: [{**line, "container_name": one.wanted}]
    )
    return changed


# The columns that hold the names of containers.
_BEARERS: dict[str, tuple[str, ...]] = {
    name: tuple(column.name for column in table.columns if column.name in ("container", "targets", "network_of"))
    for name, table in TABLES.items()
}
_BEARERS |= {"containers": ("name",), "exec_commands": ("container", "database")}
_BEARERS = {name: columns for name, columns in _BEARERS.items() if columns or name == "connections"}


def _mode(snapshot: Snapshot, act: Act, one: Mode) -> Changed:
    def changed(table: str, column: str) -> list[Record]:
        return [{**row, "mode": one.wanted} if row[column] == one.path else row for row in rows(snapshot, table)]

    return {"acme_storage": changed("acme_storage", "host_path"), "docker_sockets": changed("docker_sockets", "path")}


def _owner(snapshot: Snapshot, act: Act, one: Owner) -> Changed:
    user, _, group = one.wanted.partition(":")
    sockets = rows(snapshot, "docker_sockets")
    return {"docker_sockets": [{**r, "owner": user, "group": group} if r["path"] == one.path else r for r in sockets]}


def _create(snapshot: Snapshot, act: Act, one: Create) -> Changed:
    made = {"name": one.network, "driver": "bridge", "scope": "local", "internal": one.internal, "ipv6": False}
    return {"networks": [*rows(snapshot, "networks"), made]}


# What changes nothing of what Traefik must load.
_APART = Flag | Mode | Owner | Create | Publish | Restart
_EFFECTS: dict[type, Callable[[Snapshot, Act, Any], Changed]] = {
    Publish: _publish,
    Join: _join,
    Leave: _leave,
    Label: _label,
    Restart: _restart,
    Flag: _flag,
    Name: _name,
    Mode: _mode,
    Owner: _owner,
    Create: _create,
}
