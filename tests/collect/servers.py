"""A small web server for tests: over TCP, TLS or a socket file, answering what a test tells it to."""

import contextlib
import json
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Request:
    """What was asked. `target` is the request's own, with its query."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes = b""

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(urlsplit(self.target).query).items()}


@dataclass(frozen=True)
class Reply:
    """What is answered. `raw` bytes are sent as they are; a reply that hangs never comes."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    hangs: bool = False


HANG = Reply(hangs=True)
GARBAGE = Reply(raw=b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n")
HTML = Reply(200, b"<html><title>Bienvenue</title></html>", {"Content-Type": "text/html"})
TRUNCATED = Reply(raw=b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n{"a": [')
SILENT = Reply(raw=b"")


def as_json(value: Any, status: int = 200) -> Reply:
    return Reply(status, json.dumps(value).encode(), {"Content-Type": "application/json"})


class Web:
    """A server that records every request. `names` are the server names that TLS clients asked for (SNI)."""

    def __init__(self, respond: Callable[[Request], Reply], tls: ssl.SSLContext | None = None) -> None:
        self.respond = respond
        self.requests: list[Request] = []
        self.names: list[str | None] = []
        self.closing = threading.Event()
        self.tls = tls
        if tls:
            tls.sni_callback = lambda connection, name, context: self.names.append(name)

    @contextlib.contextmanager
    def over_tcp(self, address: str = "127.0.0.1") -> Iterator[int]:
        """Serve on a free port of the loopback; gives the port."""
        server = _TcpServer((address, 0), _handler(self))
        server.web = self
        with self._serving(server):
            yield server.server_address[1]

    @contextlib.contextmanager
    def over_socket(self, path: Path) -> Iterator[None]:
        with self._serving(_SocketServer(str(path), _handler(self))):
            yield

    @contextlib.contextmanager
    def _serving(self, server: socketserver.BaseServer) -> Iterator[None]:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield
        finally:
            self.closing.set()
            server.shutdown()
            server.server_close()


class _TcpServer(ThreadingHTTPServer):
    daemon_threads = True
    web: Web

    def finish_request(self, request: Any, client_address: Any) -> None:
        # In the connection's own thread: a slow handshake must not hold the others.
        with contextlib.suppress(OSError):
            connection = self.web.tls.wrap_socket(request, server_side=True) if self.web.tls else request
            super().finish_request(connection, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients under test leave when they like."""


class _SocketServer(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients under test leave when they like."""


def _handler(web: Web) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            headers = {key.lower(): value for key, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length", "0")))
            request = Request(self.command, self.path, headers, body)
            web.requests.append(request)
            reply = web.respond(request)
            if reply.hangs:
                web.closing.wait(30)
            if reply.hangs or reply.raw is not None:
                self.wfile.write(reply.raw or b"")
                self.close_connection = True
                return
            self.send_response(reply.status)
            for key, value in {**reply.headers, "Content-Length": str(len(reply.body))}.items():
                self.send_header(key, value)
            self.end_headers()
            self.wfile.write(reply.body)

        def __getattr__(self, name: str) -> Any:
            if name.startswith("do_"):  # do_GET, do_POST…: how http.server calls a method
                return self.handle_any
            raise AttributeError(name)

        def log_message(self, *args: Any) -> None:
            """Nothing on the terminal."""

        def address_string(self) -> str:
            return "client"  # a socket file's client has no address

    return Handler
