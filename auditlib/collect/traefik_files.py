"""The files of Traefik's file provider: what they declare, whether or not Traefik has loaded it.

They are read as Traefik's container sees them, by a GET of the engine's archive; where the engine refuses it, through
the container's mounts. A directory wins over a file, and is read with its sub-directories (`pkg/provider/file`).
"""

import contextlib
import datetime as dt
import errno
import functools
import io
import posixpath
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import requests
from docker.errors import DockerException

from auditlib.collect.engine import ReadOnlyClient, address, archive, connect
from auditlib.collect.secrets import hide_users, redact, redact_rule
from auditlib.collect.source import PATIENCE, Payloads, Reading, Unreadable
from auditlib.collect.traefik_static import MAX_LINKS, bearer, fault, file_text, joined
from auditlib.collect.traefik_static import options as static_options
from auditlib.facts.table import Row
from auditlib.facts.tables.traefik import FileMiddleware, FileOption, FileRouter, FileServer, FileService, TraefikFile
from auditlib.french import os_error
from auditlib.parameters import Parameters
from auditlib.traefik.decoding import Tree, json_name
from auditlib.traefik.documents import FileError
from auditlib.traefik.fields import LATEST, Version, version
from auditlib.traefik.files import decode_file, supported
from auditlib.traefik.middlewares import middleware_steps
from auditlib.traefik.services import balancer_kind, service_steps, tls_options_steps
from auditlib.traefik.steps import Steps

MAX_TREE = 20_000_000  # bytes of a directory of configuration files
MAX_FILES = 2_000

Found = dict[str, dict[str, Any]]


def fetch(parameters: Parameters, payloads: Payloads) -> dict[str, Any]:
    """The text of the files that the file provider reads, by their path in Traefik's container."""
    engine, static, container = payloads["engine"], payloads["traefik_static"], bearer(payloads)
    options, sure = static_options(static)
    if not sure:
        raise Unreadable("failed", "la configuration statique en vigueur n’est pas connue", "corriger son fichier")
    folder = container["Config"].get("WorkingDir") or "/"
    wanted = options.get("providers.file.directory") or options.get("providers.file.filename")
    api = payloads["traefik_api"]
    payload: dict[str, Any] = {
        "container": static["container"],
        "version": api["version"]["Version"] if api else _tag(container),
        "path": joined(folder, wanted) if wanted else None,
        "mounts": {mount["Destination"]: mount.get("Source") for mount in container.get("Mounts") or []},
        "files": {},
        "gaps": [],
    }
    if not wanted:
        return payload
    if static.get("process"):
        try:
            payload["files"] = _of_machine(payload["path"])
        except OSError as error:
            payload["gaps"].append(f"{payload['path']} ({os_error(error)})")
        return payload
    whole = bool(options.get("providers.file.directory"))
    with contextlib.closing(connect(address(parameters.docker_host), PATIENCE * parameters.timeout_s)) as client:
        try:
            payload["files"] = _archived(client, container["Id"], payload["path"], whole=whole)
        except (DockerException, requests.RequestException, OSError, tarfile.TarError) as error:
            located = _located(payload["mounts"], payload["path"])
            try:
                payload["files"] = _mounted(located, payload["path"]) if located and engine["local"] else {}
            except OSError:
                payload["files"] = {}
            if not payload["files"]:
                payload["gaps"].append(f"{payload['path']} ({fault(error)})")
    return payload


def _tag(container: dict[str, Any]) -> str | None:
    return str(container["Config"].get("Image") or "").partition("@")[0].rpartition(":")[2] or None


def _archived(client: ReadOnlyClient, container: str, path: str, *, whole: bool) -> Found:
    """The files under a path of a container. Raises OSError when there is too much, or nothing of the kind."""
    if not whole:
        text = file_text(client, container, path)
        return {} if text is None else {path: {"text": text, "modified": None}}
    for _ in range(MAX_LINKS):
        packed = archive(client, container, path, MAX_TREE, "dossier trop gros")
        with tarfile.open(fileobj=io.BytesIO(packed)) as opened:
            members = opened.getmembers()
            if members and members[0].issym():
                path = joined(posixpath.dirname(path), members[0].linkname)
                continue
            return dict(_members(client, container, path, opened, members))
    raise OSError(errno.ELOOP, "trop de liens symboliques")


def _members(
    client: ReadOnlyClient, container: str, folder: str, opened: tarfile.TarFile, members: list[tarfile.TarInfo]
) -> Iterator[tuple[str, dict[str, Any]]]:
    for member in members:
        path = posixpath.join(folder, member.name.partition("/")[2])
        if not supported(path) or member.isdir():
            continue
        if member.issym():
            # Traefik follows a link to a file, wherever it leads.
            try:
                text = file_text(client, container, path)
                yield path, {"text": text, "modified": None} if text is not None else {"error": "lien sans cible"}
            except (DockerException, requests.RequestException, OSError, tarfile.TarError) as error:
                yield path, {"error": fault(error)}
        elif content := opened.extractfile(member):
            yield path, {"text": content.read().decode("utf-8", "replace"), "modified": int(member.mtime)}


def _located(mounts: dict[str, str | None], path: str) -> str | None:
    """Where a path of the container is on the machine, or None."""
    for destination in sorted(mounts, key=len, reverse=True):
        source = mounts[destination]
        if source and (path == destination or path.startswith(destination.rstrip("/") + "/")):
            below = path[len(destination.rstrip("/")) :]
            return posixpath.normpath(source.rstrip("/") + below)
    return None


def _of_machine(path: str) -> Found:
    """The files under a path of the machine. Raises OSError when there is none, or when it may not be read."""
    # A folder that may not be listed would pass for an empty one.
    for _ in [*Path(path).iterdir()] if Path(path).is_dir() else [Path(path).stat()]:
        break
    return _mounted(path, path)


def _mounted(located: str, path: str) -> Found:
    """The files under a place of the machine, under the paths that the container gives them."""
    root = Path(located)
    if root.is_file():
        return {path: _read(root)}
    found = sorted(one for one in root.rglob("*") if supported(one.name) and one.is_file())
    return {posixpath.join(path, str(one.relative_to(root))): _read(one) for one in found[:MAX_FILES]}


def _read(file: Path) -> dict[str, Any]:
    with file.open("rb") as stream:
        text = stream.read(MAX_TREE).decode("utf-8", "replace")
    return {"text": text, "modified": int(file.stat().st_mtime)}


def rows(payload: dict[str, Any]) -> Reading:
    """Rows of the files and of what they declare. Only names, rules, references and addresses are kept."""
    running = version(payload["version"]) or LATEST
    kinds = (TraefikFile, FileRouter, FileService, FileServer, FileMiddleware, FileOption)
    tables: dict[str, list[Row]] = {kind.table.name: [] for kind in kinds}
    seen: set[tuple[str, str, str]] = set()
    for position, path in enumerate(sorted(payload["files"], key=_in_order)):
        one = payload["files"][path]
        file = TraefikFile(
            container=payload["container"],
            path=path,
            location=_located(payload["mounts"], path),
            position=position,
            modified=dt.datetime.fromtimestamp(one["modified"], dt.UTC) if one.get("modified") else None,
        )
        file, tree = _decoded(file, one, running)
        for row in (file, *_declared(path, tree, seen, running)):
            tables[row.table.name].append(row)
    if not payload["path"]:
        return Reading(tables, note="Traefik n’a pas de fournisseur de fichiers.")
    gaps = [f"fichiers de configuration dynamique illisibles : {gap}" for gap in payload["gaps"]]
    return Reading(
        tables, gaps, "Autorisez GET sur /containers/…/archive, ou lancez l’audit avec sudo." if gaps else ""
    )


def _in_order(path: str) -> tuple[str, ...]:
    """Traefik reads a directory by name, a sub-directory where its name stands."""
    return PurePosixPath(path).parts


def _decoded(file: TraefikFile, one: dict[str, Any], running: Version) -> tuple[TraefikFile, Tree]:
    """The row of a file with how reading it went, and what it declares."""
    if "error" in one:
        return replace(file, status="unreadable", error=one["error"]), {}
    try:
        declared = decode_file(file.path, one["text"], running)
    except FileError as error:
        return replace(file, status="broken", error=redact(str(error)), line=error.line), {}
    return replace(file, status="templated" if declared.templated else "read"), declared.tree


def _declared(path: str, tree: Tree, seen: set[tuple[str, str, str]], running: Version) -> Iterator[Row]:
    """The rows of what one file declares; `seen` is filled with the names that it takes."""
    makers: dict[str, Callable[..., Row]] = {
        "Routers": _router,
        "Services": functools.partial(_service, running=running),
        "Middlewares": functools.partial(_middleware, running=running),
    }
    for protocol in ("http", "tcp", "udp"):
        part = tree.get(protocol.upper(), {})
        for kind, make in makers.items():
            for own, one in part.get(kind, {}).items():
                key = (protocol, kind, own)
                yield make(path, protocol, own, one or {}, effective=key not in seen)
                seen.add(key)
        for own, one in part.get("Services", {}).items():
            yield from (FileServer(path=path, protocol=protocol, service=own, url=url) for url in _urls(one))
    options: dict[str, Tree] = {
        "tls": tree.get("TLS", {}).get("Options") or {},
        "http": tree.get("HTTP", {}).get("ServersTransports") or {},
        "tcp": tree.get("TCP", {}).get("ServersTransports") or {},
    }
    for kind, named in options.items():
        for own, one in named.items():
            key = (kind, "options", own)
            steps = _kept(tls_options_steps(one or {}, running)) if kind == "tls" else ()
            yield FileOption(path=path, kind=kind, name=own, steps=steps, effective=key not in seen)
            seen.add(key)


def _kept(steps: Steps) -> tuple[str, ...]:
    """The steps of a building, without the secrets that their texts may quote."""
    return tuple(redact(str(step)) for step in steps)


def _router(path: str, protocol: str, own: str, one: Tree, *, effective: bool) -> FileRouter:
    rule, tls = one.get("Rule"), one.get("TLS") or {}
    shown = redact_rule(rule) if rule else None
    # Traefik's own priority is the length of the rule: it cannot be computed again from what is left of it.
    computed = len(rule.encode("utf-8", "surrogatepass")) if rule and shown != rule else None
    return FileRouter(
        path=path,
        protocol=protocol,
        router=own,
        rule=shown,
        rule_syntax=one.get("RuleSyntax"),
        priority=one.get("Priority") or computed,
        entrypoints=one.get("EntryPoints") or (),
        tls="TLS" in one,
        cert_resolver=tls.get("CertResolver"),
        tls_options=tls.get("Options"),
        service=one.get("Service"),
        middlewares=one.get("Middlewares") or (),
        parents=one.get("ParentRefs") or (),
        effective=effective,
        observed="Observability" in one,
    )


def _service(path: str, protocol: str, own: str, one: Tree, *, effective: bool, running: Version) -> FileService:
    kind = next(iter(one), None)
    body = one.get(kind or "") or {}
    members = [*(body.get("Services") or []), *(body.get("Mirrors") or [])]
    children = [member["Name"] for member in members if member.get("Name")]
    children += [body[key] for key in ("Service", "Fallback") if body.get(key)]
    return FileService(
        path=path,
        protocol=protocol,
        service=own,
        type=kind and json_name(kind),
        health_check="HealthCheck" in body,
        children=tuple(children),
        effective=effective,
        steps=_kept(service_steps(f"{own}@file", one, running, protocol)),
        silent=balancer_kind(one, running),
    )


def _middleware(path: str, protocol: str, own: str, one: Tree, *, effective: bool, running: Version) -> FileMiddleware:
    kind = next(iter(one), None)
    chain = (one.get("Chain") or {}).get("Middlewares") or ()
    # Traefik quotes a user that it cannot read, and what it quotes may be the password.
    shown = {type_: _without_users(body) for type_, body in one.items()}
    return FileMiddleware(
        path=path,
        protocol=protocol,
        middleware=own,
        type=kind and json_name(kind),
        chain=chain,
        effective=effective,
        steps=_kept(middleware_steps(f"{own}@file", shown, running, protocol)),
    )


def _without_users(body: Tree | None) -> Tree:
    users = (body or {}).get("Users")
    return {**(body or {}), **({"Users": [hide_users(user) for user in users]} if users else {})}


def _urls(one: Tree) -> list[str]:
    balancer = one.get("LoadBalancer") or {}
    found = [server.get("URL") or server.get("Address") for server in balancer.get("Servers") or []]
    shown = [redact(url) if "://" in url else redact(f"tcp://{url}").removeprefix("tcp://") for url in found if url]
    return list(dict.fromkeys(shown))
