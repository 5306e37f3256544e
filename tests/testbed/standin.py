"""A small HTTP server that stands in for a program with no Debian or PyPI package: same ports, plausible answers.

It runs inside containers, alone: only the standard library, and nothing else of this package.
"""

import json
import os
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Reply:
    """What one path answers."""

    body: str = ""
    content_type: str = "text/html; charset=utf-8"
    status: HTTPStatus = HTTPStatus.OK
    location: str | None = None


@dataclass(frozen=True)
class Profile:
    """What one program looks like from outside."""

    port: int
    replies: dict[str, Reply]
    banner_ports: dict[int, str] = field(default_factory=dict)


def page(title: str) -> Reply:
    """Return a web page."""
    return Reply(f'<!doctype html><html lang="fr"><meta charset="utf-8"><title>{title}</title><h1>{title}</h1></html>')


def data(**values: Any) -> Reply:
    """Return a JSON document."""
    return Reply(json.dumps(values), "application/json")


def metrics(**values: float) -> Reply:
    """Return gauges in Prometheus's text format."""
    lines = [f"# TYPE {name} gauge\n{name} {value}\n" for name, value in values.items()]
    return Reply("".join(lines), "text/plain; version=0.0.4")


def redirect(location: str) -> Reply:
    """Return a redirection."""
    return Reply(status=HTTPStatus.FOUND, location=location)


OK = Reply("ok", "text/plain")
PROFILES = {
    "grafana": Profile(3000, {
        "/": redirect("/login"), "/login": page("Grafana"), "/api/health": data(database="ok", version="standin"),
        "/metrics": metrics(grafana_build_info=1),
    }),
    "code-server": Profile(8080, {
        "/": redirect("/login"), "/login": page("code-server"), "/healthz": data(status="alive", lastHeartbeat=0),
    }),
    "cadvisor": Profile(8080, {
        "/": redirect("/containers/"), "/containers/": page("cAdvisor"), "/healthz": OK,
        "/metrics": metrics(cadvisor_version_info=1, machine_cpu_cores=os.cpu_count() or 1),
    }),
    "nvidia-gpu-exporter": Profile(9835, {
        "/": page("Nvidia GPU Exporter"), "/metrics": metrics(nvidia_smi_utilization_gpu_ratio=0.07),
    }),
    "media-api": Profile(8000, {
        "/": data(service="media-api"), "/health": data(status="ok"), "/api": data(service="media-api"),
        "/api/health": data(status="ok"), "/api/videos": data(videos=["vacances.mp4", "concert.mp4"]),
    }),
    "agent-zero": Profile(80, {"/": page("Agent Zero"), "/health": data(status="ok")},
                          banner_ports={22: "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u7\r\n"}),
}  # fmt: skip


def handler(profile: Profile) -> type[BaseHTTPRequestHandler]:
    """Return the request handler of a profile."""

    class Handler(BaseHTTPRequestHandler):
        server_version = "testbed-standin"
        sys_version = ""
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            missing = Reply('{"detail": "Not Found"}', "application/json", HTTPStatus.NOT_FOUND)
            reply = profile.replies.get(path) or profile.replies.get(path.rstrip("/")) or missing
            body = reply.body.encode()
            self.send_response(reply.status)
            self.send_header("Content-Type", reply.content_type)
            self.send_header("Content-Length", str(len(body)))
            if reply.location:
                self.send_header("Location", reply.location)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815 - the names are http.server's

    return Handler


def announce(port: int, banner: str) -> None:
    """Greet whoever connects, as a server that speaks first does."""
    with socket.create_server(("", port)) as server:
        while True:
            connection, _ = server.accept()
            with connection, suppress(OSError):
                connection.sendall(banner.encode())
                connection.settimeout(2)
                connection.recv(1024)


def use_redis(url: str) -> None:
    """Hold a connection to Redis, as an application does: the audit can see who uses it."""
    target = urlsplit(url)
    commands = f"AUTH {target.password}\r\nPING\r\n" if target.password else "PING\r\n"
    while True:
        with suppress(OSError), socket.create_connection((target.hostname or "", target.port or 6379), 5) as connection:
            while True:
                connection.sendall(commands.encode())
                if not connection.recv(256):
                    break
                time.sleep(10)
        time.sleep(2)


def main() -> None:
    """Serve the profile that the image names."""
    name = os.environ["STANDIN"]
    profile = PROFILES[name]
    # As the first process of a container, it would ignore the signal.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    for port, banner in profile.banner_ports.items():
        threading.Thread(target=announce, args=(port, banner), daemon=True).start()
    if url := os.environ.get("REDIS_URL"):
        threading.Thread(target=use_redis, args=(url,), daemon=True).start()
    # Careless programs print their settings when they start: so does this one.
    settings = {key: value for key, value in os.environ.items() if key.endswith(("_URL", "_KEY", "_TOKEN"))}
    sys.stdout.write(f"{name}: listening on port {profile.port}, arguments {sys.argv[1:]}, settings {settings}\n")
    ThreadingHTTPServer(("", profile.port), handler(profile)).serve_forever()


if __name__ == "__main__":
    main()
