"""The machine itself: what the kernel and the distribution say of it."""

import datetime as dt
import os
import platform
from pathlib import Path
from typing import Any

import psutil

from auditlib.collect.network import ephemeral_ports
from auditlib.collect.source import Payloads, Reading
from auditlib.facts.tables.host import Host
from auditlib.parameters import Parameters


def fetch(parameters: Parameters, payloads: Payloads) -> dict[str, Any]:
    """Name, system, kernel, memory and processors of this machine."""
    try:
        system = platform.freedesktop_os_release().get("PRETTY_NAME")
    except OSError:
        system = None
    memory, swap = psutil.virtual_memory(), psutil.swap_memory()
    return {
        "name": platform.node(),
        "os": system or platform.system(),
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "cpus": os.cpu_count(),
        "memory": memory.total,
        "memory_available": memory.available,
        "swap": swap.total,
        "swap_free": swap.free,
        "ephemeral": ephemeral_ports(Path(psutil.PROCFS_PATH)),
        "booted": psutil.boot_time(),
        "root": os.geteuid() == 0,
    }


def rows(payload: dict[str, Any]) -> Reading:
    """The row of `host`."""
    first, last = payload["ephemeral"] or (None, None)
    host = Host(
        name=payload["name"],
        os=payload["os"],
        kernel=payload["kernel"],
        architecture=payload["architecture"],
        cpus=payload["cpus"],
        memory=payload["memory"],
        memory_available=payload["memory_available"],
        swap=payload["swap"],
        swap_free=payload["swap_free"],
        ephemeral_first=first,
        ephemeral_last=last,
        booted=dt.datetime.fromtimestamp(int(payload["booted"]), dt.UTC),
        root=payload["root"],
    )
    return Reading({"host": [host]})
