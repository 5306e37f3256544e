"""The filesystems that hold the machine's root, Docker's data and the databases' data."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psutil

from auditlib.collect import containers
from auditlib.collect.source import Payloads, Reading, Unreadable
from auditlib.facts.tables.docker import Container, Mount
from auditlib.facts.tables.host import Disk
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
    told = containers.rows(engine)
    databases = {container.name for container in told.of(Container) if _is_database(container)}
    for mount in told.of(Mount):
        if mount.container in databases and mount.writable and mount.type in ("volume", "bind") and mount.source:
            yield mount.source, f"base de données {mount.container}"


def _is_database(container: Container) -> bool:
    ports = (port.partition("/")[0] for port in container.exposed_ports or ())
    return any(database(container.image, int(port)) for port in ports if port.isdecimal())


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
    seen = [one for one in payload["folders"] if "error" not in one]
    hidden = dict.fromkeys(one["role"] for one in payload["folders"] if "error" in one)
    gaps = [f"le disque de {listing(hidden)} reste inconnu"] if hidden else []
    if not seen:
        raise Unreadable("refused", gaps[0], "relancer avec sudo")
    if not payload["engine"]:
        gaps.append("le moteur Docker n’a pas été lu, ses disques restent inconnus")
    disks: dict[str, list[dict[str, Any]]] = {}
    for one in seen:
        disks.setdefault(one["mountpoint"], []).append(one)
    return Reading({"disks": [*map(_disk, disks.values())]}, gaps, "Relancez avec sudo." if hidden else "")


def _disk(folders: list[dict[str, Any]]) -> Disk:
    """The disk that some folders are on."""
    raw = folders[0]
    return Disk(
        mountpoint=raw["mountpoint"],
        holds=tuple(dict.fromkeys(one["role"] for one in folders)),
        device=raw["device"],
        filesystem=raw["filesystem"],
        size=raw["size"],
        used=raw["used"],
        free=raw["free"],
        inodes=raw["inodes"],
        inodes_free=raw["inodes_free"],
    )
