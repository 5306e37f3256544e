"""Rows of what compose files say. Only what is named here is kept: no value of a variable, no command."""

import contextlib
import posixpath
import re
from collections.abc import Callable, Iterator
from typing import Any

from auditlib.addresses import EVERY_ADDRESS
from auditlib.collect import compose_lines
from auditlib.collect.connections import DATABASE_NAMES, connection
from auditlib.collect.containers import label_value
from auditlib.collect.secrets import REMOVED, redact, secret_name
from auditlib.compose.consistency import needs, replicas
from auditlib.compose.document import Invalid, Map, Place, Text, place_of
from auditlib.compose.load import environment
from auditlib.compose.ports import Port
from auditlib.compose.project import Project
from auditlib.facts.legacy import Record
from auditlib.facts.tables import TABLES

Read = Callable[[str], str]
_VARIABLE = re.compile(r"\$\{[^{}]*\}|\$\w+")
# What tells no secret in a command: variables, and the identifiers of keys.
_WRITTEN = re.compile(r"\$\{[^{}]*\}|\$\w+|\bkid=[\w-]+", re.IGNORECASE)
# A fallback written in the file: ${PASSWORD:-changeme}.
_DEFAULT = re.compile(r"\$\{\w+:?-[^${}]+\}")
# What a name of a secret may hold without being one: a path, a yes or no, a number of seconds.
_PLAIN = re.compile(r"(?:true|false|yes|no|on|off|none|null|\d{0,4}|/[\w./-]*)", re.IGNORECASE)


def relative(path: str, root: str) -> str:
    """A path below its root as people write it; another path whole."""
    inside = path.removeprefix(root.rstrip("/") + "/")
    return "." if path == root else shown(inside if root != "/" else path)


def shown(text: str) -> str:
    """A text without secrets, and without what no encoding can write: names of files are any bytes."""
    return redact(text.encode("utf-8", "replace").decode("utf-8"))


def tables(projects: list[tuple[dict[str, Any], Project]], read: Read) -> dict[str, list[Record]]:
    """The rows of every project, by table."""
    makers: dict[str, Callable[[Project, str, Read], Iterator[Record]]] = {
        "compose_files": _files,
        "compose_problems": _problems,
        "compose_services": _services,
        "compose_ports": _ports,
        "compose_resources": _resources,
        "compose_labels": _labels,
        "compose_environment": _environment,
        "compose_secrets": _secrets,
        "compose_connections": _connections,
    }
    made: dict[str, list[Record]] = {"compose_projects": [_project(one, project) for one, project in projects]}
    for table, maker in makers.items():
        made[table] = [
            {"root": one["root"], "files": _set(one), **row, **(_hash(one, row) if table == "compose_services" else {})}
            for one, project in projects
            for row in _once(table, maker(project, one["root"], read))
        ]
    return made


def lines(projects: list[tuple[dict[str, Any], Project]], read: Read) -> list[Record]:
    """The lines of the compose files that projects are made of, each file once; never of a file of variables."""
    found: dict[tuple[str, str], str] = {}
    for one, project in projects:
        for path, role in project.read.items():
            if role in ("compose", "override", "include", "extends"):
                with contextlib.suppress(OSError):
                    found[one["root"], relative(path, one["root"])] = read(path)
    return [
        {"root": root, "file": file, **line}
        for (root, file), content in found.items()
        for line in compose_lines.lines(content)
    ]


def _once(table: str, found: Iterator[Record]) -> list[Record]:
    """The rows of one project, the first of those with the same key: `[::]:80:80` beside `80:80` says nothing new."""
    rows: dict[tuple[Any, ...], Record] = {}
    for row in found:
        rows.setdefault(tuple(row.get(column) for column in TABLES[table].key), row)
    return list(rows.values())


def _hash(one: dict[str, Any], row: Record) -> Record:
    return {"config_hash": ((one.get("told") or {}).get("hashes") or {}).get(row["service"])}


def _set(one: dict[str, Any]) -> str:
    return " + ".join(relative(file, one["root"]) for file in one["files"])


def _project(one: dict[str, Any], project: Project) -> Record:
    return {
        "root": one["root"],
        "files": _set(one),
        "project": shown(project.name),
        "kind": "compose",
        "folder": relative(one["folder"], one["root"]),
        "file": relative(one["files"][0], one["root"]),
        "path": shown(one["path"]),
        "default": one["default"],
        "named": one["named"],
        "refused": project.refused,
        "profiles": [redact(profile) for profile in project.profiles],
        "services": sorted(str(name) for name in project.services if project.active(name)),
        "inactive": sorted(str(name) for name in project.services if not project.active(name)),
    }


def dockerfiles(found: list[dict[str, str]], projects: list[Project]) -> Iterator[Record]:
    """Folders that have a Dockerfile and that no compose project builds or holds: the highest ones."""
    held = {project.folder for project in projects}
    for project in projects:
        held |= {str((service.get("build") or {}).get("context")) for service in project.services.values()}
    told: set[str] = set()
    for one in sorted(found, key=lambda one: (one["folder"], one["name"])):
        folder = one["folder"]
        above = _parents(folder, one["root"])
        if not held & {*above, folder} and not told & {*above, folder}:
            told.add(folder)
            file = relative(posixpath.join(folder, one["name"]), one["root"])
            yield {
                "root": one["root"],
                "files": file,
                "project": shown(posixpath.basename(folder)),
                "kind": "dockerfile",
                "folder": relative(folder, one["root"]),
                "file": file,
                "path": shown(posixpath.join(folder, one["name"])),
                "default": False,
                "named": False,
                "refused": False,
                "profiles": [],
                "services": [],
                "inactive": [],
            }


def _parents(folder: str, root: str) -> list[str]:
    found = []
    while folder not in (root, "/"):
        folder = posixpath.dirname(folder)
        found.append(folder)
    # A Dockerfile in a project's root folder is no reason to drop every folder below.
    return [one for one in found if one != root]


def _place(place: Place, root: str) -> Record:
    return {"file": relative(place.file, root) if place.file else None, "line": place.line or None}


def _files(project: Project, root: str, read: Read) -> Iterator[Record]:
    for path, role in project.read.items():
        told = {"read": True, "missing": False}
        try:
            read(path)
        except OSError as error:
            told = {"read": False, "missing": isinstance(error, FileNotFoundError)}
        yield {"file": relative(path, root), "role": role, **told}


def _problems(project: Project, root: str, read: Read) -> Iterator[Record]:
    for problem in project.problems:
        yield {
            "project": shown(project.name),
            "kind": problem.kind,
            **_place(problem.place, root),
            "reason": shown(problem.reason),
            "variable": problem.name or None,
        }


def _services(project: Project, root: str, read: Read) -> Iterator[Record]:
    for name, one in project.services.items():
        chosen = one.get("container_name") or None
        health = one.get("healthcheck") or {}
        build = one.get("build")
        where = _place(place_of(chosen), root)
        yield {
            "project": shown(project.name),
            "service": str(name),
            "active": project.active(name),
            "image": redact(one["image"]) if isinstance(one.get("image"), str) and one["image"] else None,
            "image_line": _line(one.get("image")),
            "build": build is not None,
            "build_context": redact(str(build["context"])) if isinstance(build, Map) and build.get("context") else None,
            "container_name": redact(chosen) if isinstance(chosen, str) else None,
            "container_name_line": where["line"],
            "container_name_file": where["file"],
            "replicas": replicas(one),
            "ports": [_short(port) for port in one.get("ports") or ()],
            "ports_line": _line(one.get("ports")),
            "expose": [str(port) for port in one.get("expose") or ()],
            "networks": sorted(redact(str(network["name"])) for network in _networks(project, one)),
            "networks_line": _line(one.get("networks")) if one.get("networks") is not None else None,
            "network_mode": redact(str(one["network_mode"])) if one.get("network_mode") else None,
            "mounts": [redact(_mount(project, mount)) for mount in one.get("volumes") or ()],
            "mounts_line": _line(one.get("volumes")),
            "more_mounts": any(one.get(key) for key in ("secrets", "configs", "volumes_from", "use_api_socket")),
            # A name that nothing gives a value to is not passed to the container.
            "environment": sorted(
                redact(variable) for variable, value in _variables(project, one, read) if value is not None
            ),
            "profiles": [str(profile) for profile in one.get("profiles") or ()],
            "depends_on": sorted({str(wanted) for wanted in needs(one)}),
            "restart": str(one["restart"]) if one.get("restart") else None,
            "healthcheck": bool(health)
            and health.get("disable") is not True
            and health.get("test") not in (["NONE"], "NONE"),
            **_place(place_of(name), root),
        }


def _line(value: Any) -> int | None:
    return place_of(value).line or None


def _networks(project: Project, service: Map) -> list[Map]:
    return [project.networks[key] for key in service.get("networks") or () if key in project.networks]


def _short(port: Port) -> str:
    """A port in Compose's short form."""
    address = f"[{port.address}]:" if ":" in port.address else f"{port.address}:" if port.address else ""
    host = "" if port.first is None else _range(port.first, port.last)
    suffix = "" if port.protocol == "tcp" else f"/{port.protocol}"
    return f"{address}{host}{':' if host or address else ''}{_range(port.target, port.target_last)}{suffix}"


def _range(first: int, last: int | None) -> str:
    return f"{first}-{last}" if last is not None and last != first else str(first)


def _mount(project: Project, mount: Map) -> str:
    source = str(mount.get("source") or "")
    if mount.get("type") == "volume" and source in project.volumes:
        source = str(project.volumes[source]["name"])
    end = ":ro" if mount.get("read_only") is True else ""
    return f"{mount.get('type')} {source}:{mount.get('target')}{end}"


def _ports(project: Project, root: str, read: Read) -> Iterator[Record]:
    for name, one in project.services.items():
        for port in one.get("ports") or ():
            for address in [port.address] if port.address else EVERY_ADDRESS:
                yield {
                    "project": shown(project.name),
                    "service": str(name),
                    "protocol": port.protocol,
                    "host_ip": address,
                    # 0 asks for any port, as nothing does.
                    "host_port": port.first or None,
                    "host_port_last": port.last if port.last != port.first else None,
                    "container_port": port.target,
                    "container_port_last": port.target_last if port.target_last != port.target else None,
                    "chosen": port.chosen,
                    **_place(port.place, root),
                }


def _resources(project: Project, root: str, read: Read) -> Iterator[Record]:
    active = [one for name, one in project.services.items() if project.active(name)]
    used = {
        "network": {str(key) for one in active for key in one.get("networks") or ()},
        "volume": {str(mount.get("source")) for one in active for mount in one.get("volumes") or ()},
    }
    for kind, resources in (("network", project.networks), ("volume", project.volumes)):
        for key, one in resources.items():
            yield {
                "project": shown(project.name),
                "kind": kind,
                "key": str(key),
                "name": redact(str(one["name"])),
                "external": one.get("external") is True,
                "used": str(key) in used[kind],
                "driver": str(one["driver"]) if one.get("driver") else None,
                **_place(place_of(key, place_of(one)), root),
            }


def _labels(project: Project, root: str, read: Read) -> Iterator[Record]:
    for name, one in project.services.items():
        for label, value in (one.get("labels") or {}).items():
            yield {
                "service": str(name),
                "label": redact(label),
                "value": label_value(str(label), str(value or "")),
                **_place(place_of(value, place_of(label)), root),
            }


def _variables(project: Project, service: Map, read: Read) -> list[tuple[str, Text | None]]:
    """The variables of a service; those of its file alone when an `env_file` cannot be read."""
    try:
        return list(environment(project, service, read))
    except (Invalid, OSError):
        return list((service.get("environment") or {}).items())


def _environment(project: Project, root: str, read: Read) -> Iterator[Record]:
    for name, one in project.services.items():
        for variable, value in _variables(project, one, read):
            kept = variable in DATABASE_NAMES and value is not None and re.fullmatch(r"[\w.-]{1,63}", value)
            yield {
                "service": str(name),
                "variable": redact(variable),
                "value": str(value) if kept else None,
                **_place(place_of(value, place_of(variable)), root),
            }


def _connections(project: Project, root: str, read: Read) -> Iterator[Record]:
    for name, one in project.services.items():
        for variable, value in _variables(project, one, read):
            if value and (found := connection(value)):
                where = _place(place_of(value, place_of(variable)), root)
                yield {
                    "project": shown(project.name), "service": str(name), "variable": redact(variable), **found, **where
                }  # fmt: skip


def _secrets(project: Project, root: str, read: Read) -> Iterator[Record]:
    """Secrets written in the compose files themselves, by name and place."""
    for name, one in project.services.items():
        build = one.get("build") or {}
        for kind, values in (("environment", one.get("environment")), ("build", build.get("args"))):
            for variable, value in (values or {}).items():
                yield from _secret(project, root, str(name), kind, variable, value)
        for label, value in (one.get("labels") or {}).items():
            if value and (label_value(str(label), str(value)) or "").startswith(REMOVED) and _literal(value):
                yield _row(project, root, str(name), "label", label, value, default=False)
        for key in ("command", "entrypoint"):
            parts = one.get(key)
            for part in [parts] if isinstance(parts, Text) else parts or ():
                if isinstance(part, Text) and (written := _WRITTEN.sub("", part.raw)) != redact(written):
                    yield _row(project, root, str(name), "command", key, part, default=False)


def _secret(project: Project, root: str, service: str, kind: str, variable: Any, value: Any) -> Iterator[Record]:
    if not isinstance(value, Text) or not value:
        return
    raw = value.raw
    default = bool(_DEFAULT.fullmatch(raw))
    named = secret_name(variable) and not variable.upper().endswith(("_FILE", "_PATH", "_URL", "_URI"))
    content = raw.partition("-")[2][:-1] if default else raw
    if named and not _PLAIN.fullmatch(content) and (default or _literal(value)):
        yield _row(project, root, service, kind, variable, value, default=default)
    elif re.search(r"://[^/\s@:$]*:[^@\s/$]+@", raw):
        yield _row(project, root, service, kind, variable, value, default=False)


def _literal(value: Text) -> bool:
    """Whether the file holds the value itself, and no variable."""
    return bool(value.raw) and not _VARIABLE.search(value.raw.replace("$$", ""))


def _row(project: Project, root: str, service: str, kind: str, name: Any, value: Any, *, default: bool) -> Record:
    return {
        "project": shown(project.name),
        "service": service,
        "kind": kind,
        "name": redact(str(name)),
        "default": default,
        **_place(place_of(value, place_of(name)), root),
    }
