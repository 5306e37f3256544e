"""Whether Docker Compose itself makes the same project of the same files: its answer and ours, in the same words."""

from collections.abc import Iterator, Mapping
from typing import Any

from auditlib.compose.consistency import needs
from auditlib.compose.document import Map
from auditlib.compose.environment import environment
from auditlib.compose.project import Project, Reader

RESOURCES = ("networks", "volumes", "secrets", "configs")
_KINDS = {"networks": "réseaux", "volumes": "volumes", "secrets": "secrets", "configs": "configurations"}


def told(answer: dict[str, Any]) -> dict[str, Any]:
    """What `docker compose config --format json` says, reduced to what is compared."""
    resources = {
        kind: {name: (one.get("name"), one.get("external", False)) for name, one in (answer.get(kind) or {}).items()}
        for kind in RESOURCES
    }
    services = {name: _told(one) for name, one in (answer.get("services") or {}).items()}
    return {"name": answer.get("name"), "services": services, **resources}


def _told(one: dict[str, Any]) -> dict[str, Any]:
    return {
        **_alike(one),
        "container_name": one.get("container_name"),
        "ports": sorted(
            (p["protocol"], p.get("host_ip", ""), str(p.get("published", "")), p["target"])
            for p in one.get("ports") or []
        ),
        "labels": one.get("labels") or {},
        "environment": one.get("environment") or {},
        "depends_on": sorted(one.get("depends_on") or {}),
        "healthcheck": (one.get("healthcheck") or {}).get("test"),
        "args": (one.get("build") or {}).get("args") or {},
    }


def _alike(one: Mapping[str, Any]) -> dict[str, Any]:
    """What a service says in the same form on both sides."""
    return {
        "image": one.get("image"),
        "network_mode": one.get("network_mode"),
        "restart": one.get("restart"),
        "networks": sorted(one.get("networks") or {}),
        "profiles": sorted(one.get("profiles") or []),
        "context": (one.get("build") or {}).get("context") or None,
        "replicas": one.get("scale", (one.get("deploy") or {}).get("replicas")),
        "expose": [str(port) for port in one.get("expose") or []],
        "cap_add": one.get("cap_add") or [],
        "dns": one.get("dns") or [],
        "secrets": sorted(secret["source"] for secret in one.get("secrets") or []),
        "logging": one.get("logging"),
        "volumes": sorted(
            (v["type"], v.get("source", ""), v.get("target", ""), v.get("read_only", False))
            for v in one.get("volumes") or []
        ),
    }


def ours(project: Project, read: Reader) -> dict[str, Any]:
    """What our loader says of the services that start, in the same words. Raises OSError and Invalid."""
    active = {name: one for name, one in project.services.items() if project.active(name)}
    services = {str(name): _service(project, one, read) for name, one in active.items()}
    resources = {
        kind: {str(name): (one["name"], one.get("external") is True) for name, one in getattr(project, kind).items()}
        for kind in RESOURCES
    }
    return {"name": project.name, "services": services, **resources}


def _service(project: Project, one: Map, read: Reader) -> dict[str, Any]:
    health = (one.get("healthcheck") or {}).get("test")
    return {
        **_alike(one),
        "container_name": one.get("container_name") or None,
        "ports": sorted(port for entry in one.get("ports") or [] for port in entry.each()),
        "labels": {str(key): str(value or "") for key, value in (one.get("labels") or {}).items()},
        "environment": {str(key): value for key, value in environment(project, one, read)},
        "depends_on": sorted(set(needs(one))),
        "healthcheck": ["CMD-SHELL", health] if isinstance(health, str) else health,
        # A build argument that nothing gives a value to is not passed.
        "args": {key: arg for key, arg in ((one.get("build") or {}).get("args") or {}).items() if arg is not None},
    }


def disagreements(project: Project, answer: dict[str, Any] | None, read: Reader) -> Iterator[str]:
    """What Compose makes otherwise, as French clauses that hold no value. `answer` is None when it refuses."""
    if project.refused or answer is None:
        if project.refused and answer is not None:
            yield "elle l’accepte, et l’audit non"
        elif answer is None and not project.refused:
            yield "elle le refuse, et l’audit non"
        return
    theirs, made = told(answer), ours(project, read)
    if theirs["name"] != made["name"]:
        yield "nom du projet"
    for name in sorted(theirs["services"].keys() | made["services"].keys()):
        one, other = theirs["services"].get(name), made["services"].get(name)
        if one is None or other is None:
            yield f"service « {name} » {'en trop' if one is None else 'manquant'}"
        elif fields := sorted(field for field in one if one[field] != other[field]):
            yield f"service « {name} » ({', '.join(fields)})"
    for kind in RESOURCES:
        # Compose leaves out what no service that starts asks for.
        if not theirs[kind].items() <= made[kind].items():
            yield _KINDS[kind]
