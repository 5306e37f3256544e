"""The sockets inside the containers, without entering them: the kernel shows each network namespace in `/proc`.

A network namespace is read once, through the first process of one of its containers, whose number the engine tells;
containers may share one (`container:<id>`), and those on the machine's own are read with the machine.
"""

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil

from auditlib.collect import containers, processes, sockets
from auditlib.collect.listeners import own_processes, owner, process_facts
from auditlib.collect.network import ephemeral_ports, interface_addresses
from auditlib.collect.source import Payloads, Reading, Unreadable
from auditlib.facts.tables.docker import Container, ContainerNetwork, Network, Publication
from auditlib.parameters import Parameters
from auditlib.software import PORT_HOLDERS, joined_container

# Over all namespaces; a server of a hundred containers has some thousands.
MAX_SOCKETS = 100_000
# Namespaces under way at once.
WORKERS = 4

Namespace = dict[str, Any]
Lost = dict[str, str | None]  # a container whose sockets were not read, and why


def fetch(parameters: Parameters, payloads: Payloads) -> dict[str, Any]:
    """The sockets of the machine's namespace and of each running container's, and who holds them.

    With them, what the engine says of addresses and publications, by which the other ends are told.
    Raises Unreadable when the engine was not read or runs elsewhere.
    """
    engine = payloads["engine"]
    if engine is None:
        raise Unreadable("absent", "le moteur Docker n’a pas été lu", "rendre le moteur Docker lisible")
    if not engine["local"]:
        raise Unreadable("absent", "le moteur Docker est sur une autre machine", "lancer l’audit sur cette machine")
    known = containers.rows(engine)
    proc = Path(psutil.PROCFS_PATH)
    found, lost = _namespaces([one for one in known.of(Container) if one.pid], proc)
    truncated = _read_sockets(found, lost, proc)
    own = own_processes()
    inodes = {one.inode for namespace in found for one in namespace["sockets"]} - {0}
    held = processes.holders(inodes, proc)
    for namespace in found:
        if not namespace["containers"]:
            namespace["sockets"] = _lasting(namespace["sockets"], held, proc)
    facts: dict[int, dict[str, Any]] = {}
    for namespace in found:
        namespace["sockets"] = [*_held(namespace, held, own, facts)]
    return {
        "engine": _told(known),
        "addresses": [one.address for one in interface_addresses()],
        "ephemeral": ephemeral_ports(proc),
        "root": os.geteuid() == 0,
        "namespaces": found,
        "processes": [{"pid": pid, **told} for pid, told in sorted(facts.items())],
        "lost": lost,
        "truncated": truncated,
    }


def _namespaces(running: list[Container], proc: Path) -> tuple[list[Namespace], list[Lost]]:
    """The machine's namespace, then those of the containers, and the containers whose process is not theirs."""
    theirs = [one for one in running if _named(proc / str(one.pid), one.id)]
    lost: list[Lost] = [{"container": one.name, "reason": "process"} for one in running if one not in theirs]
    machine = {"containers": [], "pid": "self"}
    # Who may follow the links (root) is told the truth by the kernel; others believe the network mode.
    identities: dict[str, int | str | None] = {one.name: _identity(proc / str(one.pid)) for one in theirs}
    own: int | str | None = _identity(proc / "self")
    if own is None or None in identities.values():
        identities = {one.name: _owner_by_mode(one, running) for one in theirs}
        own = "host"
    groups: dict[Any, Namespace] = {}
    for one in theirs:
        if identities[one.name] != own:
            group = groups.setdefault(identities[one.name], {"containers": [], "pid": one.pid})
            group["containers"].append(one.name)
    return [machine, *groups.values()], lost


def _named(process: Path, identifier: str | None) -> bool:
    """Whether a process is still the container's: a number is used again once its process is gone."""
    try:
        return owner((process / "cgroup").read_text("utf-8", "replace"))[1] == identifier
    except OSError:
        return False


def _identity(process: Path) -> int | None:
    try:
        return (process / "ns/net").stat().st_ino
    except OSError:
        return None


def _owner_by_mode(container: Container, running: Iterable[Container]) -> str:
    """Whose namespace a container is in, as its network mode says: an id, or "host"."""
    if container.network_mode == "host":
        return "host"
    asked = joined_container(container.network_mode)
    if asked is None:
        return str(container.id)
    others = [one for one in running if one is not container]
    owners = (one for one in others if (one.id or "").startswith(asked) or one.name == asked)
    return next((_owner_by_mode(one, others) for one in owners), asked)


def _read_sockets(found: list[Namespace], lost: list[Lost], proc: Path) -> bool:
    """Put its sockets into each namespace; take away those that are gone. Whether some sockets were left.

    The kernel takes some milliseconds for each, outside Python's lock: several at a time cost less.
    """
    left, truncated = MAX_SOCKETS, False
    with ThreadPoolExecutor(WORKERS) as pool:
        lists = list(pool.map(lambda one: _sockets(proc / str(one.pop("pid")) / "net"), found))
    for namespace, (read, cut) in zip([*found], lists, strict=True):
        if read is None:
            found.remove(namespace)
            lost += [{"container": name, "reason": "sockets"} for name in namespace["containers"] or [None]]
            continue
        namespace["sockets"] = read[:left]
        truncated |= cut or len(read) > left
        left -= len(namespace["sockets"])
    return truncated


def _sockets(folder: Path) -> tuple[list[sockets.Socket] | None, bool]:
    """The sockets of a namespace, or None when its process is gone."""
    try:
        return sockets.read(folder, MAX_SOCKETS)
    except OSError:
        return None, False


def _lasting(read: list[sockets.Socket], held: dict[int, list[int]], proc: Path) -> list[sockets.Socket]:
    """The machine's sockets, but those that closed before their holder was found.

    The audit asks databases meanwhile: a question of its own that just ended is nobody's dependency.
    """
    if all(one.inode in held for one in read):
        return read
    again = {*(_sockets(proc / "self/net")[0] or ())}
    return [one for one in read if one.inode in held or one in again]


def _held(
    namespace: Namespace, held: dict[int, list[int]], own: set[int], facts: dict[int, dict[str, Any]]
) -> Iterator[list[Any]]:
    """The sockets of a namespace with the process that holds each; those of the audit and of Docker's DNS are left out.

    `facts` is filled with what is known of these processes.
    """
    for one in namespace["sockets"]:
        pids = held.get(one.inode, [])
        if own & {*pids} or (namespace["containers"] and one.address == "127.0.0.11"):
            continue
        for pid in pids:
            if pid not in facts:
                facts[pid] = process_facts(pid)
        inside = [pid for pid in pids if owner(facts[pid].get("cgroup") or "")[1]]
        holder = next(iter(inside or pids), None)
        # The engine asks name servers on behalf of its containers, inside their namespaces.
        if namespace["containers"] and holder and facts[holder].get("name") in PORT_HOLDERS:
            continue
        yield [*one[:-1], holder]


def _told(known: Reading) -> dict[str, Any]:
    """What the resolution of addresses needs of the engine's tables."""
    # Of the other drivers the gateway is a router, not this machine.
    bridges = [one for one in known.of(Network) if one.driver == "bridge"] if "networks" in known.tables else []
    return {
        "containers": [{"id": one.id, "name": one.name, "image": one.image} for one in known.of(Container)],
        "container_networks": [
            {"container": one.container, "ipv4": one.ipv4, "ipv6": one.ipv6} for one in known.of(ContainerNetwork)
        ],
        "publications": [
            {
                "container": one.container,
                "protocol": one.protocol,
                "container_port": one.container_port,
                "host_ip": one.host_ip,
                "host_port": one.host_port,
            }
            for one in known.of(Publication)
            if one.live
        ],
        "gateways": [gateway for network in bridges for gateway in network.gateways or ()],
    }
