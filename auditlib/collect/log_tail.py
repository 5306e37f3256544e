"""The end of a log, wherever it is: a file behind a mount, a file inside a container, or the engine's own record.

At most `MAX_BYTES` and `MAX_LINES` are kept, and of a file on this machine no more is read.
"""

import contextlib
import errno
import io
import os
import posixpath
import stat
import tarfile
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from docker.errors import APIError

from auditlib.collect.engine import ReadOnlyClient, bounded
from auditlib.collect.source import Unreadable
from auditlib.french import size as octets

MAX_BYTES = 8 * 2**20
MAX_LINES = 50_000
MAX_LINKS = 8
NO_FILE = "ce n’est pas un fichier ordinaire"

STANDARD = ("/dev/stdout", "/dev/stderr", "/proc/self/fd/1", "/proc/self/fd/2", "/proc/1/fd/1", "/proc/1/fd/2")


@dataclass(frozen=True)
class Tail:
    """The end of a log. `size` is the whole log's, if known."""

    text: str
    complete: bool
    size: int | None = None


class StandardOutputError(Exception):
    """A log's path that is a link to the container's own standard output."""


def _tail(content: bytes, *, complete: bool, size: int | None) -> Tail:
    """The last lines of `content`; its first line is a part of one if `content` is not complete."""
    if not complete:
        content = content.partition(b"\n")[2]
    lines = content.split(b"\n")
    kept = lines[-MAX_LINES - 1 :]  # what follows the last line break is most often nothing
    whole = complete and len(kept) == len(lines)
    return Tail(b"\n".join(kept).decode("utf-8", "replace"), whole, size)


def of_mount(container: Mapping[str, Any], path: str) -> Tail | None:
    """The end of a container's file, read on this machine through the mount that holds it.

    None when no mount holds it, or when a link leads out of the mount: what it means there, the engine must tell.
    Raises OSError when it cannot be read; FileNotFoundError when it does not exist.
    """
    found = _behind_mount(container, path)
    if found is None:
        return None
    root, inside = found
    real = Path(os.path.realpath(root / inside))
    if not real.is_relative_to(os.path.realpath(root)):
        return None
    # O_NONBLOCK: the path may be a pipe, which would wait for a writer. O_NOFOLLOW: it may have become a link.
    descriptor = os.open(real, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        told = os.fstat(descriptor)
        if not stat.S_ISREG(told.st_mode):
            raise Unreadable("partial", NO_FILE)
        start = max(0, told.st_size - MAX_BYTES)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            file.seek(start)
            return _tail(file.read(MAX_BYTES), complete=start == 0, size=told.st_size)
    finally:
        os.close(descriptor)


def _behind_mount(container: Mapping[str, Any], path: str) -> tuple[Path, str] | None:
    """The folder or file of this machine that holds a container's path, and the rest of the path."""
    mounts = [
        (mount["Destination"].rstrip("/"), mount["Source"])
        for mount in container.get("Mounts") or []
        if mount.get("Type") in ("bind", "volume") and mount.get("Source")
    ]
    holding = [(place, source) for place, source in mounts if path == place or path.startswith(f"{place}/")]
    if not holding:
        return None
    place, source = max(holding, key=lambda one: len(one[0]))
    rest = path[len(place) :].lstrip("/")
    # A file that is mounted by itself stands in its own folder.
    return (Path(source), rest) if rest else (Path(source).parent, Path(source).name)


def of_archive(client: ReadOnlyClient, container: str, path: str) -> Tail:
    """The end of a container's file, through the engine, which gives whole files only: small ones are read.

    Raises StandardOutputError for a link to the standard output, Unreadable for what is too big or no file,
    FileNotFoundError for none, and what docker-py and `tarfile` raise.
    """
    for _ in range(MAX_LINKS):
        if path in STANDARD:
            raise StandardOutputError(path)
        try:
            chunks, told = client.get_archive(container, path)
        except APIError as error:
            if error.status_code == 404:
                raise FileNotFoundError(errno.ENOENT, path) from error
            raise
        with contextlib.closing(chunks):
            if (length := int(told.get("size") or 0)) > MAX_BYTES:
                raise Unreadable("partial", f"fichier de {octets(length)}, trop gros pour passer par le moteur Docker")
            link, content = _member(chunks)
        if content is not None:
            return _tail(content, complete=True, size=len(content))
        path = posixpath.normpath(posixpath.join(posixpath.dirname(path), link))
    raise OSError(errno.ELOOP, path)


def _member(chunks: Iterator[bytes]) -> tuple[str, bytes | None]:
    """What an archive of one file holds, or where its link leads."""
    packed = bounded(chunks, MAX_BYTES + 2**20, "")  # beyond, it grew since its size was told
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        member = archive.next()
        if member is not None and member.issym():
            return member.linkname, None
        content = archive.extractfile(member) if member is not None and member.isreg() else None
        if content is None:
            raise Unreadable("partial", NO_FILE)
        return "", content.read()


def of_engine(client: ReadOnlyClient, container: Mapping[str, Any], timeout_s: float) -> Tail:
    """The end of what a container wrote on its standard output and error, as the engine recorded it.

    Raises Unreadable when the engine does not give it: its logging driver may be one that cannot be read.
    """
    # docker-py's own `logs` reads a terminal's output byte by byte, and without any limit in time.
    url = f"{client.base_url}/v{client.api_version}/containers/{container['Id']}/logs"
    asked = {"stdout": 1, "stderr": 1, "follow": 0, "tail": MAX_LINES}
    kept: deque[bytes] = deque()
    length, dropped = 0, False
    with contextlib.closing(client.get(url, params=asked, stream=True, timeout=timeout_s)) as response:
        if response.status_code != 200:
            raise Unreadable("partial", _refusal(response, container))
        chunks = response.iter_content(2**16)
        for piece in chunks if container["Config"].get("Tty") else unframed(chunks):
            kept.append(piece)
            length += len(piece)
            while length > MAX_BYTES and len(kept) > 1:
                length -= len(kept.popleft())
                dropped = True
    content = b"".join(kept)
    tail = _tail(content, complete=not dropped, size=None)
    # The engine was asked for so many lines: when it gave as many, there may be more.
    return Tail(tail.text, tail.complete and content.count(b"\n") < MAX_LINES, None)


def _refusal(response: requests.Response, container: Mapping[str, Any]) -> str:
    said = response.raw.read(10_000, decode_content=True)
    if b"not support reading" in said:
        driver = container["HostConfig"].get("LogConfig", {}).get("Type")
        return f"le pilote de journaux « {driver} » de Docker ne se relit pas"
    return f"le moteur Docker répond HTTP {response.status_code}"


def unframed(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The payloads of Docker's multiplexed stream: frames of eight bytes (stream, 0, 0, 0, length) and so many bytes.

    Raises ValueError for what is no such stream. A last frame that is cut is left out.
    """
    buffer = bytearray()
    for chunk in chunks:
        buffer += chunk
        while len(buffer) >= 8:
            length = int.from_bytes(buffer[4:8], "big")
            if buffer[0] > 3 or buffer[1:4] != b"\0\0\0" or length > MAX_BYTES:
                raise ValueError("no multiplexed stream")
            if len(buffer) < 8 + length:
                break
            yield bytes(buffer[8 : 8 + length])
            del buffer[: 8 + length]
