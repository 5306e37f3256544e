"""What listens on this machine: the kernel's own list of sockets, and the process, user and unit behind each."""

import contextlib
import os
import pwd
import re
import shutil
import socket
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from auditlib.collect.source import Payloads, Reading
from auditlib.facts.tables.host import Listener
from auditlib.french import plural
from auditlib.parameters import Parameters

# The programs of the audit: their sockets would otherwise be reported as the machine's.
_KERNEL = "ipykernel_launcher"
_AUDIT = {"auditlib", "papermill", _KERNEL, "jupyter", "jupyter-lab", "jupyter-notebook", "jupyter-server"}

_UNIT = re.compile(r"[^/]+\.(?:service|socket|scope)(?=/|$)")
_CONTAINER = re.compile(r"(?:^|[/-])([0-9a-f]{64})(?=\.scope|/|$)", re.MULTILINE)


def fetch(parameters: Parameters, payloads: Payloads) -> dict[str, Any]:
    """Sockets that listen, with what `/proc` says of their processes; and what `ss` adds when `/proc` is closed."""
    own = own_processes()
    connections = [c for c in psutil.net_connections("inet") if _listens(c) and c.pid not in own]
    sockets = [
        {
            "protocol": _protocol(c),
            "family": "ipv4" if c.family == socket.AF_INET else "ipv6",
            "address": c.laddr[0],
            "port": c.laddr[1],
            "pid": c.pid,
        }
        for c in connections
        if c.laddr
    ]
    processes = [{"pid": pid, **process_facts(pid)} for pid in sorted({c.pid for c in connections if c.pid})]
    hidden = any(one["pid"] is None for one in sockets) and os.geteuid() != 0
    return {
        "sockets": sockets,
        "processes": processes,
        "root": os.geteuid() == 0,
        "ss": _ss(parameters.timeout_s) if hidden else None,
    }


def rows(payload: dict[str, Any]) -> Reading:
    """Rows of `listeners`. `container` is an engine id here, which the attribution turns into a name."""
    known = {(s.protocol, s.address, s.port): s for s in _parse_ss(payload["ss"] or "")}
    processes = {process["pid"]: process for process in payload["processes"]}
    found: dict[tuple[Any, ...], Listener] = {}
    for one in payload["sockets"]:
        process = processes.get(one["pid"], {})
        told = known.get((one["protocol"], one["address"], one["port"]))
        unit, container = owner(process.get("cgroup") or (told.cgroup if told else ""))
        # Several sockets of one process on one port (SO_REUSEPORT) are one listener.
        found[tuple(one.values())] = Listener(
            **one,
            process=process.get("name"),
            user=process.get("user") or (_user(told.uid) if told else None),
            unit=unit,
            container=container,
        )
    tables = {"listeners": list(found.values())}
    unknown = sum(listener.pid is None for listener in found.values())
    if payload["root"] or not unknown:
        return Reading(tables)
    gap = f"sans root, le processus de {plural(unknown, 'écoute')} reste inconnu"
    gap += ", l’utilisateur et l’unité sont connus par ss" if known else ", et ss n’est pas utilisable"
    return Reading(tables, [gap], "Relancez avec sudo.")


def owner(cgroup: str) -> tuple[str | None, str | None]:
    """The systemd unit and the container id that a `/proc/PID/cgroup` names (v1: many lines, v2: one, "0::").

    A container's own scope is no unit: it tells the container.
    """
    container = _CONTAINER.search(cgroup)
    if container:
        return None, container[1]
    for line in cgroup.splitlines():
        controller, _, path = line.partition(":")[2].partition(":")
        units = _UNIT.findall(path) if controller in ("", "name=systemd") else []
        if units:
            return units[-1], None
    return None, None


def own_processes() -> set[int]:
    """This process, the programs of the audit that it descends from, and the kernels they started."""
    own = {os.getpid()}
    for parent in psutil.Process().parents():
        if not _AUDIT & _programs(parent):
            break
        own.add(parent.pid)
        own |= {child.pid for child in _children(parent) if _KERNEL in _programs(child)}
    return own | {child.pid for child in _children(psutil.Process())}


def _programs(process: psutil.Process) -> set[str]:
    """What a process runs: `python -m auditlib`, `python /bin/papermill`; never a file named further on the line."""
    try:
        return {Path(argument).name for argument in process.cmdline()[:3]}
    except psutil.Error:
        return set()


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []


def _protocol(connection: Any) -> str:
    return "tcp" if connection.type == socket.SOCK_STREAM else "udp"


def _listens(connection: Any) -> bool:
    """A TCP socket that listens, or a UDP one that is connected to nobody."""
    if _protocol(connection) == "tcp":
        return bool(connection.status == psutil.CONN_LISTEN)
    return not connection.raddr


def process_facts(pid: int) -> dict[str, str | None]:
    """Name, user and cgroup of a process; what cannot be read is missing."""
    told: dict[str, str | None] = {}
    with contextlib.suppress(psutil.Error, OSError):
        process = psutil.Process(pid)
        with process.oneshot():
            told |= {"name": process.name(), "user": process.username()}
    with contextlib.suppress(OSError):
        told["cgroup"] = Path(f"{psutil.PROCFS_PATH}/{pid}/cgroup").read_text()
    return told


@dataclass(frozen=True)
class _Socket:
    """What `ss` knows of a socket without seeing its process."""

    protocol: str
    address: str
    port: int
    uid: int
    cgroup: str


def _ss(timeout_s: float) -> str | None:
    """The output of `ss`, which is told the user and cgroup of every socket by the kernel; None without it."""
    program = shutil.which("ss")
    if not program:
        return None
    command = [program, "-Hlntue", "--cgroup"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout


def _parse_ss(output: str) -> Iterable[_Socket]:
    for line in output.splitlines():
        fields = line.split()
        address, _, port = (fields[4] if len(fields) > 4 else "").rpartition(":")
        if not port.isdigit():
            continue
        # 127.0.0.53%lo, [fe80::1]%br-lan: the interface is no part of the address.
        address = address.partition("%")[0].strip("[]")
        uid = re.search(r"\buid:(\d+)", line)
        group = re.search(r"\bcgroup:(\S+)", line)
        # ss leaves out "uid:" for root, and writes * for a socket of both families.
        yield _Socket(
            fields[0],
            "::" if address == "*" else address,
            int(port),
            int(uid[1]) if uid else 0,
            f"0::{group[1]}" if group else "",
        )


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
