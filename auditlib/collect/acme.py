"""Where Traefik's ACME resolvers keep their certificates, and which ones are there.

The storage is read as the container sees it, by a GET of the engine's archive: its owner and mode come with it, and no
access to the disk of the machine is needed. Private keys and accounts are dropped as soon as the file is parsed.
Format: `pkg/provider/acme/{local_store,account}.go`.
"""

import base64
import binascii
import contextlib
import datetime as dt
import io
import json
import posixpath
import re
import tarfile
from collections.abc import Iterator, Mapping
from typing import Any

import requests
from docker.errors import APIError, DockerException

from auditlib.collect import certificates, host_traefik, traefik_static
from auditlib.collect.engine import ReadOnlyClient, address, connect
from auditlib.collect.secrets import redact
from auditlib.collect.source import PATIENCE, Payloads, Reading, connection_fault
from auditlib.facts.tables.web import AcmeStorage, Certificate
from auditlib.french import os_error
from auditlib.parameters import Parameters

MAX_STORAGE = 64_000_000  # bytes; a certificate with its chain and key is about 10 kB
MAX_LINKS = 8
DEFAULT_STORAGE = "acme.json"
DEFAULT_CA = "https://acme-v02.api.letsencrypt.org/directory"
ALLOW = "autoriser GET sur /containers, archive comprise"

_RESOLVER = re.compile(r"certificatesresolvers\.(?P<resolver>[^.]+)\.acme(?:\.(?P<option>.+))?")
# In Traefik's order; the option whose presence chooses it.
_CHALLENGES = {"dnschallenge": "dns-01", "httpchallenge": "http-01", "tlschallenge": "tls-alpn-01"}
_PERSISTENT = ("bind", "volume")


def fetch(parameters: Parameters, payloads: Payloads) -> dict[str, Any]:
    """The resolvers of the static configuration and what their storages are, without accounts and keys."""
    static, container = payloads["traefik_static"], traefik_static.bearer(payloads)
    options, sure = traefik_static.options(static)
    found = resolvers(options, container["Config"].get("WorkingDir") or "/")
    paths = dict.fromkeys(resolver["path"] for resolver in found)
    storages: dict[str, Any] = {}
    if static.get("process"):
        storages = {path: _of_machine(path) for path in paths}
    elif found:
        with contextlib.closing(connect(address(parameters.docker_host), PATIENCE * parameters.timeout_s)) as client:
            storages = {path: _storage(client, container["Id"], path) for path in paths}
    return {
        "container": static["container"],
        "unsure": not sure,
        "resolvers": found,
        "mounts": container.get("Mounts") or [],
        "storages": storages,
    }


def resolvers(options: Mapping[str, str], folder: str) -> list[dict[str, Any]]:
    """The ACME resolvers among static options: name, storage as a path in the container, authority, challenge."""
    grouped: dict[str, dict[str, str]] = {}
    for key, value in options.items():
        if match := _RESOLVER.fullmatch(key):
            grouped.setdefault(match["resolver"], {})[match["option"] or ""] = value
    return [
        {
            "resolver": name,
            "path": posixpath.normpath(posixpath.join("/", folder, given.get("storage") or DEFAULT_STORAGE)),
            "ca_server": given.get("caserver") or DEFAULT_CA,
            "challenge": _challenge(given),
        }
        for name, given in grouped.items()
    ]


def _challenge(given: Mapping[str, str]) -> str | None:
    chosen = {option.partition(".")[0] for option, value in given.items() if value.lower() != "false"}
    return next((kind for option, kind in _CHALLENGES.items() if option in chosen), None)


def _storage(client: ReadOnlyClient, container: str, path: str) -> dict[str, Any]:
    """What stands at a path of the container: its attributes and what was read of it, or the `fault`."""
    try:
        for _ in range(MAX_LINKS):
            entry, content = _entry(client, container, path)
            if not entry.issym():
                return {"path": path} | _attributes(entry) | _held(entry, content)
            path = posixpath.normpath(posixpath.join("/", posixpath.dirname(path), entry.linkname))
        return {"fault": "trop de liens symboliques"}
    except APIError as error:
        # A container that was removed meanwhile has no file either, and tells nothing of its storage.
        if error.status_code == 404 and "no such container" not in str(error.explanation).lower():
            return {"exists": False}
        return {"fault": f"HTTP {error.status_code}", "refused": error.status_code in (401, 403)}
    except (DockerException, requests.RequestException, OSError, tarfile.TarError) as error:
        return {"fault": connection_fault(error) or "réponse du moteur Docker inutilisable"}


def _of_machine(path: str) -> dict[str, Any]:
    """What stands at a path of the machine, told as `_storage` tells it."""
    try:
        with tarfile.TarFile(fileobj=io.BytesIO(), mode="w", dereference=True) as archive:
            entry = archive.gettarinfo(path)
        _, content = host_traefik.content(path, MAX_STORAGE, "fichier trop gros")
    except FileNotFoundError:
        return {"exists": False}
    except OSError as error:
        return {"fault": os_error(error), "refused": isinstance(error, PermissionError)}
    return {"path": posixpath.realpath(path)} | _attributes(entry) | _held(entry, content)


def _entry(client: ReadOnlyClient, container: str, path: str) -> tuple[tarfile.TarInfo, bytes | None]:
    """The archive's entry for a path and, of a file, its content. What a folder holds is not read."""
    chunks, _ = client.get_archive(container, path)
    with contextlib.closing(chunks), tarfile.open(fileobj=io.BufferedReader(_Chunks(chunks)), mode="r|") as archive:
        entry = archive.next()
        if entry is None:
            raise tarfile.ReadError("empty archive")
        file = archive.extractfile(entry) if entry.isfile() and entry.size <= MAX_STORAGE else None
        return entry, file.read() if file else None


def _held(entry: tarfile.TarInfo, content: bytes | None) -> dict[str, Any]:
    if content is not None:
        return parsed(content)
    return {"fault": "fichier trop gros"} if entry.isfile() else {"cause": "ce n’est pas un fichier"}


class _Chunks(io.RawIOBase):
    """The chunks of an answer as a file, read no further than what is asked of it."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self.chunks = chunks
        self.waiting = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self.waiting = self.waiting or next(self.chunks, b"")
        given, self.waiting = self.waiting[: len(buffer)], self.waiting[len(buffer) :]
        buffer[: len(given)] = given
        return len(given)


def _attributes(entry: tarfile.TarInfo) -> dict[str, Any]:
    return {
        "exists": True,
        "kind": "file" if entry.isfile() else "directory" if entry.isdir() else "other",
        "mode": f"{entry.mode & 0o7777:03o}",
        "owner": entry.uname or str(entry.uid),
        "group": entry.gname or str(entry.gid),
        "size": entry.size if entry.isfile() else None,
        "modified": dt.datetime.fromtimestamp(entry.mtime, dt.UTC).isoformat(),
    }


def parsed(content: bytes) -> dict[str, Any]:
    """What a storage holds: `resolvers`, each a list of certificates, and the `cause` when Traefik cannot read it.

    Only the names and the leaf of each certificate leave this function: no key, no account, no mail address.
    """
    if not content.strip():
        # A new file: Traefik makes it itself, or is given it, with nothing in it.
        return {"cause": None, "resolvers": {}}
    try:
        document = json.loads(content.decode("utf-8", "replace"))
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", None)
        return {"cause": "JSON mal formé" + (f" (ligne {line})" if line else ""), "resolvers": {}}
    if not isinstance(document, dict):
        return {"cause": "ce n’est pas un stockage ACME", "resolvers": {}}
    # Traefik 1 knew one resolver, without a name; no one calls a resolver so.
    if {"DomainsCertificate", "Certificates", "Account"} & document.keys():
        return {"cause": "format de Traefik 1", "resolvers": {}}
    kept: dict[str, Any] = {}
    faults = []
    for resolver, data in document.items():
        listed = data.get("Certificates") or [] if isinstance(data, dict) else []
        if not isinstance(listed, list) or not isinstance(data, dict | None):
            faults.append(f"résolveur « {resolver} » d’une autre forme")
            continue
        kept[resolver] = [_stored(one) for one in listed]
        # Go refuses the whole document for one wrong base64.
        faults += [f"{one['fault']}, résolveur « {resolver} »" for one in kept[resolver] if one["fault"]]
    return {"cause": " ; ".join(faults[:3]) or None, "resolvers": kept}


def _stored(one: Any) -> dict[str, Any]:
    """One stored certificate: its names and its leaf, in PEM. `fault` is what makes the whole storage unreadable."""
    told = one if isinstance(one, dict) else {}
    domain = told.get("domain") if isinstance(told.get("domain"), dict) else {}
    main, encoded = (domain or {}).get("main"), told.get("certificate") or ""
    stored = {"main": main if isinstance(main, str) else None, "leaf": "", "fault": None}
    try:
        # Go ignores the ends of lines, and nothing else.
        chain = base64.b64decode(re.sub(r"[\r\n]", "", encoded), validate=True)
    except (binascii.Error, ValueError, TypeError):
        return {**stored, "fault": "base64 invalide"}
    return {**stored, "leaf": (certificates.leaf(chain) or b"").decode("ascii", "replace")}


def rows(payload: dict[str, Any]) -> Reading:
    """Rows of `acme_storage` and `certificates`. A storage that could not be read leaves its row unknown, and a gap."""
    gaps, refused = [], False
    if payload["unsure"]:
        gaps.append("la configuration de Traefik en vigueur n’est pas connue avec certitude")
    for path, storage in payload["storages"].items():
        if "fault" in storage:
            gaps.append(f"stockage ACME illisible : {path} ({storage['fault']})")
            refused = refused or storage.get("refused", False)
    # A certificate stored twice counts once, and so do two that cannot be told apart.
    stored = {
        (row.resolver, row.domain, row.fingerprint): row
        for storage in payload["storages"].values()
        for resolver, listed in storage.get("resolvers", {}).items()
        for row in (_certificate(resolver, one) for one in listed)
    }
    storages = [_row(payload, resolver) for resolver in payload["resolvers"]]
    ways = f"{ALLOW[:1].upper()}{ALLOW[1:]}." if payload["container"] else "Lancez l’audit avec sudo."
    remedy = ways if refused else ""
    return Reading({"acme_storage": storages, "certificates": list(stored.values())}, gaps, remedy)


def _certificate(resolver: str, one: dict[str, Any]) -> Certificate:
    place = Certificate(origin="acme", resolver=redact(resolver), domain=one["main"])
    if one["fault"]:
        return certificates.unreadable(place, one["fault"])
    return certificates.from_pem(one["leaf"].encode(), place)


def _row(payload: dict[str, Any], resolver: dict[str, Any]) -> AcmeStorage:
    storage = payload["storages"][resolver["path"]]
    held, modified = storage.get("resolvers"), storage.get("modified")
    unread = held is None or storage.get("cause")
    host_path, persistent = _place(payload["mounts"], storage.get("path", resolver["path"]))
    return AcmeStorage(
        container=payload["container"],
        resolver=resolver["resolver"],
        path=redact(resolver["path"]),
        host_path=host_path,
        persistent=persistent,
        exists=storage.get("exists"),
        kind=storage.get("kind"),
        mode=storage.get("mode"),
        owner=storage.get("owner"),
        group=storage.get("group"),
        size=storage.get("size"),
        modified=dt.datetime.fromisoformat(modified) if modified is not None else None,
        valid=storage["cause"] is None if "cause" in storage and "fault" not in storage else None,
        cause=storage.get("cause"),
        certificates=None if unread else len(held.get(resolver["resolver"], [])),
        challenge=resolver["challenge"],
        ca_server=redact(resolver["ca_server"]),
    )


def _place(mounts: list[dict[str, Any]], path: str) -> tuple[str | None, bool]:
    """Where a path of the container is on the machine, through its deepest mount, and whether what is there stays."""
    covering = [one for one in mounts if f"{path}/".startswith(f"{one['Destination'].rstrip('/')}/")]
    mount = max(covering, key=lambda one: len(one["Destination"]), default=None)
    if mount is None or mount["Type"] not in _PERSISTENT:
        return None, False
    source = mount.get("Source")
    below = path[len(mount["Destination"].rstrip("/")) :]
    return f"{source.rstrip('/')}{below}" if source else None, True
