"""What Docker's objects take on the disk: `GET /system/df`, which may be slow, and so stands alone."""

import contextlib
from collections.abc import Callable
from typing import Any

from auditlib.collect.engine import address, connect, explained
from auditlib.collect.source import PATIENCE, Payloads, Reading
from auditlib.facts.tables.host import DockerUsage
from auditlib.parameters import Parameters
from auditlib.software import is_up

# Engine API 1.52 counts by itself, under these names; older ones list the objects.
_COUNTED = {
    "images": "ImageUsage",
    "containers": "ContainerUsage",
    "volumes": "VolumeUsage",
    "build_cache": "BuildCacheUsage",
}


def fetch(parameters: Parameters, payloads: Payloads) -> dict[str, Any]:
    """What the engine says of its disk usage: sizes and counts, no names."""
    where = address(parameters.docker_host)
    client = connect(where, PATIENCE * parameters.timeout_s)
    with contextlib.closing(client), explained(where):
        return {"df": _sizes(client.df())}


def _sizes(told: dict[str, Any]) -> dict[str, Any]:
    """The answer without what names or describes an object."""
    kept = ("Size", "SharedSize", "Containers", "SizeRw", "State", "UsageData", "InUse", "Shared")
    lists: dict[str, Any] = {
        name: [{key: one[key] for key in kept if key in one} for one in told.get(name) or []]
        for name in ("Images", "Containers", "Volumes", "BuildCache")
        if name in told
    }
    counted = {
        name: {key: value for key, value in told[name].items() if isinstance(value, int)}
        for name in _COUNTED.values()
        if isinstance(told.get(name), dict)
    }
    return {"LayersSize": told.get("LayersSize"), **lists, **counted}


def rows(payload: dict[str, Any]) -> Reading:
    """Rows of `docker_usage`; a sort that the engine says nothing of has no row."""
    df = payload["df"]
    counted = {kind: _of_counts(kind, df[name]) for kind, name in _COUNTED.items() if name in df}
    listed = {kind: make(df) for kind, (name, make) in _LISTED.items() if name in df}
    found = {**listed, **counted}
    missing = len(_COUNTED) - len(found)
    gaps = ["le moteur Docker ne dit pas la place de toutes les sortes d’objets"] if missing else []
    return Reading({"docker_usage": list(found.values())}, gaps)


def _of_counts(kind: str, counts: dict[str, int]) -> DockerUsage:
    return DockerUsage(
        kind=kind,
        count=counts.get("TotalCount"),
        active=counts.get("ActiveCount"),
        size=counts.get("TotalSize"),
        reclaimable=counts.get("Reclaimable"),
    )


def _images(df: dict[str, Any]) -> DockerUsage:
    """`docker system df` also calls reclaimable the layers that used images share with one another: not here."""
    unused = [one for one in df["Images"] if not one.get("Containers")]
    return DockerUsage(
        kind="images",
        count=len(df["Images"]),
        active=len(df["Images"]) - len(unused),
        size=df.get("LayersSize"),
        reclaimable=sum(one["Size"] - max(one.get("SharedSize", 0), 0) for one in unused),
    )


def _containers(df: dict[str, Any]) -> DockerUsage:
    stopped = [one for one in df["Containers"] if not is_up(one.get("State"))]
    return DockerUsage(
        kind="containers",
        count=len(df["Containers"]),
        active=len(df["Containers"]) - len(stopped),
        size=sum(one.get("SizeRw") or 0 for one in df["Containers"]),
        reclaimable=sum(one.get("SizeRw") or 0 for one in stopped),
    )


def _volumes(df: dict[str, Any]) -> DockerUsage:
    usages = [one.get("UsageData") or {} for one in df["Volumes"]]
    unused = [usage for usage in usages if usage.get("RefCount") == 0]
    return DockerUsage(
        kind="volumes",
        count=len(usages),
        active=sum((usage.get("RefCount") or 0) > 0 for usage in usages),
        # -1: this driver does not tell.
        size=sum(max(usage.get("Size", 0), 0) for usage in usages),
        reclaimable=sum(max(usage.get("Size", 0), 0) for usage in unused),
    )


def _build_cache(df: dict[str, Any]) -> DockerUsage:
    idle = [one for one in df["BuildCache"] if not one.get("InUse")]
    return DockerUsage(
        kind="build_cache",
        count=len(df["BuildCache"]),
        active=len(df["BuildCache"]) - len(idle),
        # A shared record is part of an image, and counted there.
        size=sum(one.get("Size", 0) for one in df["BuildCache"] if not one.get("Shared")),
        reclaimable=sum(one.get("Size", 0) for one in idle if not one.get("Shared")),
    )


_LISTED: dict[str, tuple[str, Callable[[dict[str, Any]], DockerUsage]]] = {
    "images": ("Images", _images),
    "containers": ("Containers", _containers),
    "volumes": ("Volumes", _volumes),
    "build_cache": ("BuildCache", _build_cache),
}
