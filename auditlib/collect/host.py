"""The machine itself: what the kernel and the distribution say of it."""

import os
import platform
from typing import Any

import psutil

from auditlib.collect.source import Payloads, Reading
from auditlib.parameters import Parameters


def fetch(parameters: Parameters, payloads: Payloads) -> dict[str, Any]:
    """Name, system, kernel, memory and processors of this machine."""
    try:
        system = platform.freedesktop_os_release().get("PRETTY_NAME")
    except OSError:
        system = None
    return {
        "name": platform.node(),
        "os": system or platform.system(),
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "cpus": os.cpu_count(),
        "memory": psutil.virtual_memory().total,
        "booted": psutil.boot_time(),
        "root": os.geteuid() == 0,
    }


def rows(payload: dict[str, Any]) -> Reading:
    """The row of `host`."""
    return Reading({"host": [{**payload, "booted": int(payload["booted"]) * 1_000_000_000}]})
