"""The filesystems that hold the machine's root, Docker's data and the databases' data."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psutil

from auditlib.collect import containers
from auditlib.collect.source import Payloads, Reading, Unreadable
from auditlib.french import listing
from auditlib.parameters import Parameters
from auditlib.software import database


def fetch(parameters: Parameters, payloads: Payloads) -> dict[str, Any]:
    """The filesystem of each folder that matters; the root alone when the engine was not read."""
    engine = payloads["engine"]
    wanted = [("/", "racine"), *(_of_engine(engine) if engine and engine["local"] else ())]
    mounted = {one.mountpoint: one for one in psutil.disk_partitions(all=True)}
    return {"engine": engine is not None, "folders": [_filesystem(path, role, mounted) for path, role in wanted]}


def _of_engine(engine: dict[str, Any]) -> Iterable[tuple[str, str]]:
    """The folders of Docker's data and of the databases in containers, each with what it holds."""
    if folder := engine.get("info", {}).get("DockerRootDir"):
        yield folder, "données de Docker"
    tables = containers.rows(engine).tables
    databases = {row["name"] for row in tables["containers"] if _is_database(row["image"], row["exposed_ports"])}
    for row in tables["mounts"]:
        if row["container"] in databases and row["writable"] and row["type"] in ("volume", "bind") and row["source"]:
            yield row["source"], f"base de données {row['container']}"


def _is_database(image: str | None, exposed: list[str]) -> bool:
    ports = (port.partition("/")[0] for port in exposed)
    return any(database(image, int(port)) for port in ports if port.isdecimal())


def _filesystem(path: str, role: str, mounted: dict[str, Any]) -> dict[str, Any]:
    """What the system says of the filesystem of a folder; `error` when it may not be looked at."""
    try:
        told = os.statvfs(path)
        folder = Path(path).resolve()
        while not folder.is_mount():
            folder = folder.parent
    except OSError as error:
        return {"path": path, "role": role, "error": error.errno}
    where = mounted.get(str(folder))
    return {
        "path": path,
        "role": role,
        "mountpoint": str(folder),
        "device": where.device if where else None,
        "filesystem": where.fstype if where else None,
        "size": told.f_blocks * told.f_frsize,
        "used": (told.f_blocks - told.f_bfree) * told.f_frsize,
        "free": told.f_bavail * told.f_frsize,
        "inodes": told.f_files or None,
        "inodes_free": told.f_favail if told.f_files else None,
    }


def rows(payload: dict[str, Any]) -> Reading:
    """Rows of `disks`: one per filesystem, with all it holds. Raises Unreadable when none could be looked at."""
    disks: dict[str, dict[str, Any]] = {}
    hidden = []
    for one in payload["folders"]:
        if "error" in one:
            hidden.append(one["role"])
            continue
        told = {name: value for name, value in one.items() if name not in ("path", "role")}
        disk = disks.setdefault(one["mountpoint"], {**told, "holds": []})
        if one["role"] not in disk["holds"]:
            disk["holds"].append(one["role"])
    gaps = [f"le disque de {listing(dict.fromkeys(hidden))} reste inconnu"] if hidden else []
    if not disks:
        raise Unreadable("refused", gaps[0], "relancer avec sudo")
    if not payload["engine"]:
        gaps.append("le moteur Docker n’a pas été lu, ses disques restent inconnus")
    return Reading({"disks": list(disks.values())}, gaps, "Relancez avec sudo." if hidden else "")
