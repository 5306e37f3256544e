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
from pathlib import Path, PurePosixPath
from typing import Any

import requests
from docker.errors import DockerException

from auditlib.collect.engine import ReadOnlyClient, address, archive, connect
from auditlib.collect.secrets import hide_users, redact, redact_rule
from auditlib.collect.source import PATIENCE, Payloads, Reading, Unreadable
from auditlib.collect.traefik_static import MAX_LINKS, bearer, fault, file_text, joined
from auditlib.collect.traefik_static import rows as static_rows
from auditlib.facts.legacy import Record
from auditlib.french import os_error
from auditlib.parameters import Parameters
from auditlib.traefik.decoding import Tree, json_name
from auditlib.traefik.fields import LATEST, Version, version
from auditlib.traefik.files import FileError, decode_file, supported
from auditlib.traefik.middlewares import middleware_steps
from auditlib.traefik.services import balancer_kind, service_steps, tls_options_steps
from auditlib.traefik.steps import Steps

MAX_TREE = 20_000_000  # bytes of a directory of configuration files
MAX_FILES = 2_000

Found = dict[str, dict[str, Any]]


def fetch(parameters: Parameters, payloads: Payloads) -> dict[str, Any]:
    """The text of the files that the file provider reads, by their path in Traefik's container."""
    engine, static, container = payloads["engine"], payloads["traefik_static"], bearer(payloads)
    effective = [row for row in static_rows(static).tables["traefik_static"] if row["effective"] is not False]
    if any(row["effective"] is None for row in effective):
        raise Unreadable("failed", "la configuration statique en vigueur n’est pas connue", "corriger son fichier")
    options = {row["key"]: row["value"] or "" for row in effective}
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
    tables: dict[str, list[Record]] = {
        "traefik_files": [],
        "traefik_file_routers": [],
        "traefik_file_services": [],
        "traefik_file_servers": [],
        "traefik_file_middlewares": [],
        "traefik_file_options": [],
    }
    seen: set[tuple[str, str, str]] = set()
    for position, path in enumerate(sorted(payload["files"], key=_in_order)):
        one = payload["files"][path]
        row: Record = {
            "container": payload["container"],
            "path": path,
            "location": _located(payload["mounts"], path),
            "position": position,
            "modified": dt.datetime.fromtimestamp(one["modified"], dt.UTC) if one.get("modified") else None,
        }
        tree: Tree = {}
        if "error" in one:
            row |= {"status": "unreadable", "error": one["error"]}
        else:
            outcome, tree = _decoded(path, one["text"], running)
            row |= outcome
        tables["traefik_files"].append(row)
        _declared(tables, path, tree, seen, running)
    if not payload["path"]:
        return Reading(tables, note="Traefik n’a pas de fournisseur de fichiers.")
    gaps = [f"fichiers de configuration dynamique illisibles : {gap}" for gap in payload["gaps"]]
    return Reading(
        tables, gaps, "Autorisez GET sur /containers/…/archive, ou lancez l’audit avec sudo." if gaps else ""
    )


def _in_order(path: str) -> tuple[str, ...]:
    """Traefik reads a directory by name, a sub-directory where its name stands."""
    return PurePosixPath(path).parts


def _decoded(path: str, text: str, running: Version) -> tuple[Record, Tree]:
    try:
        declared = decode_file(path, text, running)
    except FileError as error:
        return {"status": "broken", "error": redact(str(error)), "line": error.line}, {}
    return {"status": "templated" if declared.templated else "read"}, declared.tree


def _declared(
    tables: dict[str, list[Record]], path: str, tree: Tree, seen: set[tuple[str, str, str]], running: Version
) -> None:
    """Add what one file declares."""
    for protocol in ("http", "tcp", "udp"):
        part = tree.get(protocol.upper(), {})
        makers: dict[str, Callable[[str, Tree], Record]] = {
            "routers": lambda _, one: _router(one),
            "services": functools.partial(_service, protocol=protocol, running=running),
            "middlewares": functools.partial(_middleware, protocol=protocol, running=running),
        }
        for kind, make in makers.items():
            for own, one in part.get(kind.capitalize(), {}).items():
                key = (protocol, kind, own)
                made = make(f"{own}@file", one or {})
                row = {"path": path, "protocol": protocol, kind[:-1]: own, "effective": key not in seen, **made}
                seen.add(key)
                tables[f"traefik_file_{kind}"].append(row)
                if kind == "services":
                    tables["traefik_file_servers"] += [
                        {"path": path, "protocol": protocol, "service": own, "url": url} for url in _urls(one)
                    ]
    options: dict[str, Tree] = {
        "tls": tree.get("TLS", {}).get("Options") or {},
        "http": tree.get("HTTP", {}).get("ServersTransports") or {},
        "tcp": tree.get("TCP", {}).get("ServersTransports") or {},
    }
    for kind, named in options.items():
        for own, one in named.items():
            steps = _kept(tls_options_steps(one or {}, running)) if kind == "tls" else []
            row = {
                "path": path,
                "kind": kind,
                "name": own,
                "steps": steps,
                "effective": (kind, "options", own) not in seen,
            }
            seen.add((kind, "options", own))
            tables["traefik_file_options"].append(row)


def _kept(steps: Steps) -> list[str]:
    """The steps of a building, without the secrets that their texts may quote."""
    return [redact(str(step)) for step in steps]


def _router(one: Tree) -> Record:
    rule = one.get("Rule")
    shown = redact_rule(rule) if rule else None
    # Traefik's own priority is the length of the rule: it cannot be computed again from what is left of it.
    computed = len(rule.encode("utf-8", "surrogatepass")) if rule and shown != rule else None
    return {
        "rule": shown,
        "rule_syntax": one.get("RuleSyntax"),
        "priority": one.get("Priority") or computed,
        "entrypoints": one.get("EntryPoints") or [],
        "tls": "TLS" in one,
        "cert_resolver": (one.get("TLS") or {}).get("CertResolver"),
        "tls_options": (one.get("TLS") or {}).get("Options"),
        "service": one.get("Service"),
        "middlewares": one.get("Middlewares") or [],
        "parents": one.get("ParentRefs") or [],
        "observed": "Observability" in one,
    }


def _service(name: str, one: Tree, *, protocol: str, running: Version) -> Record:
    kind = next(iter(one), None)
    body = one.get(kind or "") or {}
    members = [*(body.get("Services") or []), *(body.get("Mirrors") or [])]
    children = [member["Name"] for member in members if member.get("Name")]
    children += [body[key] for key in ("Service", "Fallback") if body.get(key)]
    return {
        "type": kind and json_name(kind),
        "health_check": "HealthCheck" in body,
        "children": children,
        "steps": _kept(service_steps(name, one, running, protocol)),
        "silent": balancer_kind(one, running),
    }


def _middleware(name: str, one: Tree, *, protocol: str, running: Version) -> Record:
    kind = next(iter(one), None)
    chain = (one.get("Chain") or {}).get("Middlewares") or []
    # Traefik quotes a user that it cannot read, and what it quotes may be the password.
    shown = {type_: _without_users(body) for type_, body in one.items()}
    steps = _kept(middleware_steps(name, shown, running, protocol))
    return {"type": kind and json_name(kind), "chain": chain, "steps": steps}


def _without_users(body: Tree | None) -> Tree:
    users = (body or {}).get("Users")
    return {**(body or {}), **({"Users": [hide_users(user) for user in users]} if users else {})}


def _urls(one: Tree) -> list[str]:
    balancer = one.get("LoadBalancer") or {}
    found = [server.get("URL") or server.get("Address") for server in balancer.get("Servers") or []]
    shown = [redact(url) if "://" in url else redact(f"tcp://{url}").removeprefix("tcp://") for url in found if url]
    return list(dict.fromkeys(shown))
