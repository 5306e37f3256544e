"""Rows of what compose files say. Only what is named here is kept: no value of a variable, no command."""

import contextlib
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from auditlib.addresses import EVERY_ADDRESS
from auditlib.collect import compose_lines, compose_secrets
from auditlib.collect.connections import DATABASE_NAMES, connection
from auditlib.collect.containers import label_value
from auditlib.collect.secrets import redact
from auditlib.compose.consistency import needs, replicas
from auditlib.compose.document import Invalid, Map, Place, Text, place_of
from auditlib.compose.environment import environment
from auditlib.compose.ports import Port
from auditlib.compose.project import Project
from auditlib.facts.table import Row
from auditlib.facts.tables.compose import (
    ComposeConnection,
    ComposeFile,
    ComposeLabel,
    ComposeLine,
    ComposePort,
    ComposeProblem,
    ComposeProject,
    ComposeResource,
    ComposeSecret,
    ComposeService,
    ComposeVariable,
)

Read = Callable[[str], str]


def relative(path: str, root: str) -> str:
    """A path below its root as people write it; another path whole."""
    inside = path.removeprefix(root.rstrip("/") + "/")
    return "." if path == root else shown(inside if root != "/" else path)


def shown(text: str) -> str:
    """A text without secrets, and without what no encoding can write: names of files are any bytes."""
    return redact(text.encode("utf-8", "replace").decode("utf-8"))


class Where(NamedTuple):
    """The file and line of what was written, each None when it is not known."""

    file: str | None
    line: int | None


@dataclass(frozen=True)
class FileSet:
    """A set of files that was found, the project that it makes, and what gives the text of a file."""

    raw: dict[str, Any]
    project: Project
    read: Read

    @property
    def root(self) -> str:
        """The folder where it was searched."""
        return str(self.raw["root"])

    @cached_property
    def files(self) -> str:
        """Its files, as one name."""
        return " + ".join(relative(file, self.root) for file in self.raw["files"])

    @cached_property
    def name(self) -> str:
        """What Compose calls the project."""
        return shown(self.project.name)

    def where(self, place: Place) -> Where:
        """A place, as people write it."""
        return Where(relative(place.file, self.root) if place.file else None, place.line or None)

    def variables(self, service: Map) -> list[tuple[str, Text | None]]:
        """The variables of a service; those of its file alone when an `env_file` cannot be read."""
        try:
            return list(environment(self.project, service, self.read))
        except (Invalid, OSError):
            return list((service.get("environment") or {}).items())


def tables(sets: list[FileSet]) -> dict[str, list[Row]]:
    """The rows of every project, by table."""
    makers: dict[str, Callable[[FileSet], Iterator[Row]]] = {
        "compose_projects": _projects,
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
    return {table: [row for one in sets for row in _once(make(one))] for table, make in makers.items()}


def lines(sets: list[FileSet]) -> list[ComposeLine]:
    """The lines of the compose files that projects are made of, each file once; never of a file of variables."""
    found: dict[tuple[str, str], str] = {}
    for one in sets:
        for path, role in one.project.read.items():
            if role in ("compose", "override", "include", "extends"):
                with contextlib.suppress(OSError):
                    found[one.root, relative(path, one.root)] = one.read(path)
    return [line for (root, file), content in found.items() for line in compose_lines.lines(root, file, content)]


def _once(found: Iterator[Row]) -> Iterable[Row]:
    """The rows of one project, the first of those with the same key: `[::]:80:80` beside `80:80` says nothing new."""
    rows: dict[tuple[Any, ...], Row] = {}
    for row in found:
        rows.setdefault(tuple(getattr(row, column) for column in row.table.key), row)
    return rows.values()


def _projects(one: FileSet) -> Iterator[ComposeProject]:
    project, raw = one.project, one.raw
    active = {str(name): project.active(name) for name in project.services}
    yield ComposeProject(
        root=one.root,
        files=one.files,
        project=one.name,
        kind="compose",
        folder=relative(raw["folder"], one.root),
        file=relative(raw["files"][0], one.root),
        path=shown(raw["path"]),
        default=raw["default"],
        named=raw["named"],
        refused=project.refused,
        profiles=tuple(redact(profile) for profile in project.profiles if profile),
        services=tuple(sorted(name for name in active if active[name])),
        inactive=tuple(sorted(name for name in active if not active[name])),
    )


def dockerfiles(found: list[dict[str, str]], projects: list[Project]) -> Iterator[ComposeProject]:
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
            yield ComposeProject(
                root=one["root"],
                files=file,
                project=shown(posixpath.basename(folder)),
                kind="dockerfile",
                folder=relative(folder, one["root"]),
                file=file,
                path=shown(posixpath.join(folder, one["name"])),
                default=False,
                named=False,
                refused=False,
                profiles=(),
                services=(),
                inactive=(),
            )


def _parents(folder: str, root: str) -> list[str]:
    found = []
    while folder not in (root, "/"):
        folder = posixpath.dirname(folder)
        found.append(folder)
    # A Dockerfile in a project's root folder is no reason to drop every folder below.
    return [one for one in found if one != root]


def _files(one: FileSet) -> Iterator[ComposeFile]:
    for path, role in one.project.read.items():
        error: OSError | None = None
        try:
            one.read(path)
        except OSError as fault:
            error = fault
        yield ComposeFile(
            root=one.root,
            files=one.files,
            file=relative(path, one.root),
            role=role,
            read=error is None,
            missing=isinstance(error, FileNotFoundError),
        )


def _problems(one: FileSet) -> Iterator[ComposeProblem]:
    for problem in one.project.problems:
        where = one.where(problem.place)
        yield ComposeProblem(
            root=one.root,
            files=one.files,
            project=one.name,
            kind=problem.kind,
            file=where.file,
            line=where.line,
            reason=shown(problem.reason),
            variable=problem.name or None,
        )


def _services(one: FileSet) -> Iterator[ComposeService]:
    return (_service(one, name, service) for name, service in one.project.services.items())


def _service(one: FileSet, name: Any, service: Map) -> ComposeService:
    project, image, chosen = one.project, service.get("image"), service.get("container_name") or None
    build = service.get("build")
    where, naming = one.where(place_of(name)), one.where(place_of(chosen))
    hashes = (one.raw.get("told") or {}).get("hashes") or {}
    return ComposeService(
        root=one.root,
        files=one.files,
        project=one.name,
        service=str(name),
        active=project.active(name),
        image=redact(image) if isinstance(image, str) and image else None,
        image_line=_line(image),
        build=build is not None,
        build_context=redact(str(build["context"])) if isinstance(build, Map) and build.get("context") else None,
        container_name=redact(chosen) if isinstance(chosen, str) else None,
        container_name_line=naming.line,
        container_name_file=naming.file,
        replicas=replicas(service),
        ports=tuple(_short(port) for port in _items(service, "ports")),
        ports_line=_line(service.get("ports")),
        expose=tuple(str(port) for port in _items(service, "expose")),
        networks=tuple(sorted(redact(str(network["name"])) for network in _networks(project, service))),
        networks_line=_line(service.get("networks")),
        network_mode=redact(str(service["network_mode"])) if service.get("network_mode") else None,
        mounts=tuple(redact(_mount(project, mount)) for mount in _items(service, "volumes")),
        mounts_line=_line(service.get("volumes")),
        more_mounts=any(service.get(key) for key in ("secrets", "configs", "volumes_from", "use_api_socket")),
        # A name that nothing gives a value to is not passed to the container.
        environment=tuple(sorted(redact(name) for name, value in one.variables(service) if value is not None)),
        profiles=tuple(str(profile) for profile in _items(service, "profiles")),
        depends_on=tuple(sorted({str(wanted) for wanted in needs(service)})),
        restart=str(service["restart"]) if service.get("restart") else None,
        healthcheck=_is_checked(service.get("healthcheck") or {}),
        config_hash=hashes.get(str(name)),
        file=where.file,
        line=where.line,
    )


def _items(service: Map, key: str) -> Any:
    return service.get(key) or ()


def _is_checked(check: Map | dict[str, Any]) -> bool:
    """Whether a health check is asked for, and not switched off."""
    return bool(check) and check.get("disable") is not True and check.get("test") not in (["NONE"], "NONE")


def _line(value: Any) -> int | None:
    return place_of(value).line or None


def _networks(project: Project, service: Map) -> list[Map]:
    return [project.networks[key] for key in _items(service, "networks") if key in project.networks]


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


def _ports(one: FileSet) -> Iterator[ComposePort]:
    for name, service in one.project.services.items():
        for port in _items(service, "ports"):
            where = one.where(port.place)
            for address in [port.address] if port.address else EVERY_ADDRESS:
                yield ComposePort(
                    root=one.root,
                    files=one.files,
                    project=one.name,
                    service=str(name),
                    protocol=port.protocol,
                    host_ip=address,
                    # 0 asks for any port, as nothing does.
                    host_port=port.first or None,
                    host_port_last=port.last if port.last != port.first else None,
                    container_port=port.target,
                    container_port_last=port.target_last if port.target_last != port.target else None,
                    chosen=port.chosen,
                    file=where.file,
                    line=where.line,
                )


def _resources(one: FileSet) -> Iterator[ComposeResource]:
    project = one.project
    active = [service for name, service in project.services.items() if project.active(name)]
    networks = {str(key) for service in active for key in _items(service, "networks")}
    volumes = {str(mount.get("source")) for service in active for mount in _items(service, "volumes")}
    for kind, resources, used in (("network", project.networks, networks), ("volume", project.volumes, volumes)):
        for key, resource in resources.items():
            where = one.where(place_of(key, place_of(resource)))
            yield ComposeResource(
                root=one.root,
                files=one.files,
                project=one.name,
                kind=kind,
                key=str(key),
                name=redact(str(resource["name"])),
                external=resource.get("external") is True,
                used=str(key) in used,
                driver=str(resource["driver"]) if resource.get("driver") else None,
                file=where.file,
                line=where.line,
            )


def _labels(one: FileSet) -> Iterator[ComposeLabel]:
    for name, service in one.project.services.items():
        for label, value in (service.get("labels") or {}).items():
            where = one.where(place_of(value, place_of(label)))
            yield ComposeLabel(
                root=one.root,
                files=one.files,
                service=str(name),
                label=redact(label),
                value=label_value(str(label), str(value or "")),
                file=where.file,
                line=where.line,
            )


def _environment(one: FileSet) -> Iterator[ComposeVariable]:
    for name, service in one.project.services.items():
        for variable, value in one.variables(service):
            where = one.where(place_of(value, place_of(variable)))
            kept = variable in DATABASE_NAMES and value is not None and re.fullmatch(r"[\w.-]{1,63}", value)
            yield ComposeVariable(
                root=one.root,
                files=one.files,
                service=str(name),
                variable=redact(variable),
                value=str(value) if kept else None,
                file=where.file,
                line=where.line,
            )


def _connections(one: FileSet) -> Iterator[ComposeConnection]:
    for name, service in one.project.services.items():
        for variable, value in one.variables(service):
            if value and (found := connection(value)):
                where = one.where(place_of(value, place_of(variable)))
                yield ComposeConnection(
                    root=one.root,
                    files=one.files,
                    project=one.name,
                    service=str(name),
                    variable=redact(variable),
                    scheme=found.scheme,
                    host=found.host,
                    port=found.port,
                    database=found.database,
                    file=where.file,
                    line=where.line,
                )


def _secrets(one: FileSet) -> Iterator[ComposeSecret]:
    """Secrets written in the compose files themselves, by name and place."""
    for name, service in one.project.services.items():
        for secret in compose_secrets.written(service):
            place = place_of(secret.value, place_of(secret.name))
            yield ComposeSecret(
                root=one.root,
                files=one.files,
                project=one.name,
                service=str(name),
                kind=secret.kind,
                name=redact(str(secret.name)),
                default=secret.default,
                file=relative(place.file, one.root),
                line=place.line,
            )
