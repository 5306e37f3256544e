"""Tiny servers on the loopback that replay a database's bytes, or behave as badly as a peer can."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

Talk = Callable[[socket.socket, threading.Event], None]


def replay(*replies: bytes, first: bool = False) -> Talk:
    """Answer each question with the next reply, then wait for the other to leave. `first` speaks unasked."""

    def talk(link: socket.socket, closing: threading.Event) -> None:
        for index, reply in enumerate(replies):
            if not (first and index == 0) and not link.recv(4096):
                return
            link.sendall(reply)
        link.recv(4096)

    return talk


def hang(link: socket.socket, closing: threading.Event) -> None:
    """Take everything, say nothing."""
    closing.wait(30)


def close(link: socket.socket, closing: threading.Event) -> None:
    """Leave at once, after the question was read, so that the end is orderly."""
    link.recv(4096)


def reset(link: socket.socket, closing: threading.Event) -> None:
    """Leave with the question unread: the connection is reset."""
    link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def half_closed(link: socket.socket, closing: threading.Event) -> None:
    """Say that nothing more comes, and stay."""
    link.shutdown(socket.SHUT_WR)
    closing.wait(30)


def drip(link: socket.socket, closing: threading.Event) -> None:
    """One byte now and then, for ever."""
    with contextlib.suppress(OSError):
        while not closing.wait(0.02):
            link.sendall(b"+")


def flood(link: socket.socket, closing: threading.Event) -> None:
    """Bytes without end."""
    with contextlib.suppress(OSError):
        while not closing.is_set():
            link.sendall(b"$999999\r\n" * 4096)


@contextlib.contextmanager
def peer(*talks: Talk) -> Iterator[tuple[int, list[int]]]:
    """Serve each connection by the next talk (the last one for ever); gives the port, and the connections so far."""
    server = socket.create_server(("127.0.0.1", 0))
    closing, seen = threading.Event(), list[int]()

    def serve(link: socket.socket, talk: Talk) -> None:
        with contextlib.suppress(OSError), link:
            talk(link, closing)

    def accept() -> None:
        while not closing.is_set():
            with contextlib.suppress(OSError):
                link, _ = server.accept()
                seen.append(1)
                talk = talks[min(len(seen), len(talks)) - 1]
                threading.Thread(target=serve, args=(link, talk), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield server.getsockname()[1], seen
    finally:
        closing.set()
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
        server.close()
