"""The kernel's lists of sockets, `/proc/PID/net/{tcp,tcp6,udp,udp6}`: what psutil reads of one namespace only, its own.

The form of the lines is the kernel's (Documentation/networking/proc_net_tcp.rst; `get_tcp4_sock` and
`get_tcp6_sock`): an address is written as the words that memory holds, so their bytes are in the machine's order; a
port is a plain number.
"""

import contextlib
import socket
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

Order = Literal["little", "big"]

FILES = ("tcp", "tcp6", "udp", "udp6")

_ESTABLISHED, _LISTEN, _CLOSE = "01", "0A", "07"
_MAPPED = bytes(10) + b"\xff\xff"  # ::ffff:0:0/96


class Socket(NamedTuple):
    """One socket. Without a peer (`peer` None) it listens: a TCP one that does, or a UDP one connected to nobody."""

    protocol: str
    family: str
    address: str
    port: int
    peer: str | None
    peer_port: int | None
    uid: int
    inode: int


def parse(lines: Iterable[str], file: str, order: Order = sys.byteorder) -> Iterator[Socket]:
    """The sockets that listen or are connected, of the lines of one of `FILES` (heading included or not).

    Sockets that open or close (SYN-SENT, TIME-WAIT…) are passed over, and so are lines of another form.
    """
    protocol, family = file[:3], "ipv6" if file.endswith("6") else "ipv4"
    connected, silent = (_ESTABLISHED, _LISTEN) if protocol == "tcp" else (_ESTABLISHED, _CLOSE)
    for line in lines:
        fields = line.split(None, 10)
        if len(fields) < 10 or fields[3] not in (connected, silent):
            continue
        try:
            address, port = endpoint(fields[1], order)
            peer, peer_port = endpoint(fields[2], order) if fields[3] == connected else (None, None)
            yield Socket(protocol, family, address, port, peer, peer_port, int(fields[7]), int(fields[9]))
        except ValueError:
            continue


def endpoint(text: str, order: Order = sys.byteorder) -> tuple[str, int]:
    """An address and port as the kernel writes them: `0100007F:1F90` is 127.0.0.1, 8080 on a little-endian machine.

    Raises ValueError for anything else.
    """
    words, _, port = text.partition(":")
    if len(words) not in (8, 32) or len(port) != 4:
        raise ValueError(f"no socket address: {text!r}")
    packed = bytes.fromhex(words)
    if order == "little":
        packed = b"".join(packed[start : start + 4][::-1] for start in range(0, len(packed), 4))
    family = socket.AF_INET if len(packed) == 4 else socket.AF_INET6
    return socket.inet_ntop(family, packed), int(port, 16)


def plain(address: str) -> str:
    """An address without its form: `::ffff:192.0.2.1`, as a socket of both families shows it, is 192.0.2.1."""
    if not address.startswith("::ffff:"):
        return address
    packed = socket.inet_pton(socket.AF_INET6, address)
    return socket.inet_ntop(socket.AF_INET, packed[12:]) if packed.startswith(_MAPPED) else address


def _idle(folder: Path) -> set[str]:
    """Which of `FILES` would hold no socket that we keep, as the namespace's own counters say.

    To write one of the TCP lists the kernel walks a hash table of the whole machine (3.5 ms with 262 144 buckets),
    and most containers use one family: the counters (`sockstat_seq_show`) halve the cost.
    """
    counts: dict[str, str] = {}
    for name in ("sockstat", "sockstat6"):
        with contextlib.suppress(OSError):
            lines = (folder / name).read_text("ascii", "replace").splitlines()
            counts |= {kind.lower(): told for kind, _, told in (line.partition(":") for line in lines)}
    return {file for file in FILES if counts.get(file, "").split()[:2] == ["inuse", "0"]}


def read(folder: Path, limit: int) -> tuple[list[Socket], bool]:
    """The sockets of the network namespace whose `/proc/PID/net` is `folder`; whether more than `limit` were left.

    A family that the kernel lacks (IPv6 switched off) has no file, and no sockets. Raises OSError when the lists
    cannot be read: the process is gone, or hidden.
    """
    found: list[Socket] = []
    idle = _idle(folder)
    for file in FILES:
        if file in idle:
            continue
        try:
            with (folder / file).open(encoding="ascii", errors="replace") as lines:
                for one in parse(lines, file):
                    if len(found) >= limit:
                        return found, True
                    found.append(one)
        except FileNotFoundError:
            if file == "tcp":
                raise
    return found, False
