"""Asking a database over its own protocol, without credentials: one connection, a few packets, two seconds at most.

A server that hangs, closes, or speaks anything else gives a transcript too, with the fault that ended it.
"""

import contextlib
import errno
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from auditlib.collect.databases import chroma, mongo, wire
from auditlib.collect.databases.found import Door
from auditlib.collect.databases.wire import FOREIGN, Answer
from auditlib.collect.network import require_near
from auditlib.collect.source import causes, connection_fault

LIMIT_S = 2.0  # for all that is asked at one address
MAX_REPLY = 64_000  # bytes; the longest honest reply, Redis's INFO, is about two thousand

# The address is not reached from here, which says nothing of the database.
_UNREACHED = {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EACCES, errno.EPERM, errno.ETIMEDOUT}

Transcript = dict[str, Any]
_Talk = Callable[["_Line", list[bytes]], Any]


@dataclass
class _Line:
    """A connection with a deadline, and all that came through it."""

    link: socket.socket
    deadline: float
    secured: bool = False

    def send(self, raw: bytes) -> None:
        self._patience()
        self.link.sendall(raw)

    def receive(self, whole: Callable[[bytes], bool]) -> bytes:
        """What comes until `whole` says so, the end, the deadline or the limit."""
        got = b""
        while not whole(got) and len(got) < MAX_REPLY:
            try:
                self._patience()
                piece = self.link.recv(min(16_384, MAX_REPLY - len(got)))
            except (TimeoutError, ConnectionError, ssl.SSLError):
                if not got:
                    raise
                break  # what came is worth reading: a peer may answer, then reset
            if not piece:
                break
            got += piece
        return got

    def secure(self) -> None:
        """Go on in TLS, whatever the certificate: nothing secret is sent."""
        self._patience()
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self.link = context.wrap_socket(self.link)
        self.secured = True

    def _patience(self) -> None:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self.link.settimeout(left)


def ask(kind: str, door: Door, limit_s: float = LIMIT_S) -> Transcript:
    """What a database of this kind answers at `door`, its replies in hexadecimal.

    `source` is this machine's address as the database sees it. `fault` is a French clause, `reached` whether a
    connection was made at all, unknown (None) when the address cannot be reached from here.
    """
    told: Transcript = {
        "door": door.plain(),
        "source": None,
        "replies": [],
        "reached": False,
        "secured": False,
        "fault": "",
    }
    deadline = time.monotonic() + limit_s
    try:
        again = _begin(kind, door, deadline, told)
        if again:
            with _connected(door, deadline) as line:
                told["source"] = line.link.getsockname()[0]
                try:
                    again(line, told["replies"])
                finally:
                    told["secured"] = line.secured
    except OSError as error:
        told["fault"] = connection_fault(error) or "connexion coupée"
        if not told["reached"] and _unreachable(error):
            told["reached"] = None
    told["replies"] = [reply.hex() for reply in told["replies"]]
    return told


def _begin(kind: str, door: Door, deadline: float, told: Transcript) -> "_Talk | None":
    """Ask on a first connection; gives what to say on a second one, where there is more to ask."""
    try:
        with _connected(door, deadline) as line:
            told["reached"], told["source"] = True, line.link.getsockname()[0]
            again: _Talk | None = _TALKS[kind](line, told["replies"])
            return again
    except (ConnectionResetError, ConnectionAbortedError, BrokenPipeError):
        # A server may cut so quickly that the opening itself fails: something is there all the same.
        told["reached"] = True
        if kind not in _ONCE_CUT:
            raise
        told["replies"].append(b"")
        return _ONCE_CUT[kind]


@contextlib.contextmanager
def _connected(door: Door, deadline: float) -> Iterator[_Line]:
    require_near(door.host)
    left = max(0.01, deadline - time.monotonic())
    line = _Line(socket.create_connection((door.host, door.port), timeout=left), deadline)
    try:
        yield line
    finally:
        line.link.close()  # TLS may have taken the place of the first socket


def _unreachable(error: BaseException) -> bool:
    return any(
        isinstance(cause, TimeoutError) or (isinstance(cause, OSError) and cause.errno in _UNREACHED)
        for cause in causes(error)
    )


def _postgres(line: _Line, replies: list[bytes]) -> None:
    line.send(wire.SSL_REQUEST)
    replies.append(line.receive(lambda got: len(got) >= 1))
    if replies[0][:1] == b"S":
        line.secure()
    elif replies[0][:1] != b"N":
        return
    line.send(wire.startup())
    replies.append(line.receive(wire.postgres_told))


def _mysql(line: _Line, replies: list[bytes]) -> None:
    # The server speaks first. Leaving without an answer counts as one aborted connection there.
    replies.append(line.receive(wire.mysql_whole))


def _redis(line: _Line, replies: list[bytes]) -> "_Talk | None":
    """Ask in clear; gives what to say on a second connection when a server that wants TLS closes this one."""
    line.send(wire.REDIS)
    replies.append(line.receive(wire.redis_told))
    return None if replies[0] else _redis_secured


def _redis_secured(line: _Line, replies: list[bytes]) -> None:
    line.secure()
    line.send(wire.REDIS)
    replies.append(line.receive(wire.redis_told))


def _mongo(line: _Line, replies: list[bytes]) -> None:
    for message in mongo.MONGO:
        line.send(message)
        replies.append(line.receive(mongo.mongo_whole))
        if mongo.mongo_document(replies[-1]) is None:
            return


def _chroma(line: _Line, replies: list[bytes]) -> "_Talk | None":
    """Ask API v2; gives what to say on a second connection when it is not there."""
    line.send(chroma.requests("v2", "localhost"))
    replies.append(line.receive(lambda got: len(chroma.replies(got)) > 2))
    return None if chroma.alive(replies[0]) else _chroma_before


def _chroma_before(line: _Line, replies: list[bytes]) -> None:
    line.send(chroma.requests("v1", "localhost"))
    replies.append(line.receive(lambda got: len(chroma.replies(got)) > 2))


_TALKS: dict[str, _Talk] = {
    "PostgreSQL": _postgres,
    "MySQL": _mysql,
    "Redis": _redis,
    "MongoDB": _mongo,
    "ChromaDB": _chroma,
}
# What to say on a second connection when the server cuts the first, instead of closing it.
_ONCE_CUT: dict[str, _Talk] = {"Redis": _redis_secured}
# What their replies say, of which there are three at least, empty or not.
_READERS: dict[str, Callable[[list[bytes]], Answer]] = {
    "PostgreSQL": lambda raw: wire.postgres(raw[0], raw[1]),
    "MySQL": lambda raw: wire.mysql(raw[0]),
    "Redis": lambda raw: wire.redis(raw[0]),
    "MongoDB": lambda raw: mongo.mongo(*raw[:3]),
    "ChromaDB": chroma.chroma,
}


def understand(kind: str, transcript: Transcript) -> Answer:
    """What a transcript says, whatever came."""
    raw = [bytes.fromhex(reply) for reply in transcript["replies"]]
    raw += [b""] * (3 - len(raw))
    if kind == "Redis" and transcript["secured"]:
        return wire.redis_secured(raw[1])
    if not any(raw):
        return Answer(note=FOREIGN.note if transcript["reached"] and not transcript["fault"] else "")
    return _READERS[kind](raw)
