"""providers.precedence against a real Traefik: who answers when routers of two providers have the same priority."""

import contextlib
import http.server
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from auditlib.traefik.muxer import Muxer
from auditlib.traefik.requests import Request
from auditlib.traefik.routers import EntryPoint, Router
from tests.live import programs

PAIRS = 16


@contextlib.contextmanager
def _served(configuration: dict[str, Any]) -> Iterator[str]:
    """An address that answers with a configuration, as the HTTP provider asks for it."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(configuration).encode())

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


def _pairs(provider: str, first: int, port: int) -> dict[str, Any]:
    """The half that a provider has: an HTTP and a TCP router of each pair, every one with an answer of its own."""
    names = [f"{provider}{at}" for at in range(PAIRS)]
    tls: dict[str, Any] = {}
    return {
        "http": {
            "routers": {
                name: {
                    "rule": f"Host(`h{at}.fr`)",
                    "entryPoints": ["web"],
                    "service": "noop@internal",
                    "middlewares": [name],
                }
                for at, name in enumerate(names)
            },
            "middlewares": {
                name: {"redirectRegex": {"regex": "^.*$", "replacement": f"http://{name}/"}} for name in names
            },
        },
        "tcp": {
            "routers": {
                name: {"rule": f"HostSNI(`h{at}.fr`)", "entryPoints": ["tcp"], "service": name, "tls": tls}
                for at, name in enumerate(names)
            },
            "services": {
                name: {"loadBalancer": {"servers": [{"address": f"127.1.0.{first + at}:{port}"}]}}
                for at, name in enumerate(names)
            },
        },
    }


def _loaded(address: str) -> list[Router]:
    """The routers of both providers, once Traefik has them all."""
    for _ in range(100):
        shown = programs.api(address, "/api/rawdata")
        routers = [
            Router(name, given["rule"], tuple(given["entryPoints"]), "tls" in given, protocol=protocol)
            for protocol, key in (("http", "routers"), ("tcp", "tcpRouters"))
            for name, given in shown.get(key, {}).items()
            if name.endswith(("@file", "@http"))
        ]
        if len(routers) == 4 * PAIRS:
            return routers
        time.sleep(0.1)
    raise AssertionError("the providers did not give their routers")


@pytest.mark.parametrize("precedence", [["http", "file"], ["File", "HTTP"], ["file"], ["http", "docker"], ["docker"]])
def test_precedence_decides_between_providers_that_it_lists(precedence: list[str], tmp_path: Path) -> None:
    ports = dict(zip(("web", "tcp", "traefik"), programs.free_ports(3), strict=True))
    points = {name: {"address": f"127.0.0.1:{port}"} for name, port in ports.items()}
    with programs.numbered_backends() as port, _served(_pairs("http", PAIRS, port)) as endpoint:
        providers = {"precedence": precedence, "http": {"endpoint": endpoint}}
        static = {"entryPoints": points, "providers": providers}
        with programs.traefik("3.7.15", static, _pairs("file", 0, port), tmp_path) as address:
            lowered = [provider.lower() for provider in precedence]
            muxer = Muxer("3.7.15", [EntryPoint("web"), EntryPoint("tcp")], _loaded(address), lowered)
            answered = set()
            for at in range(PAIRS):
                clear, named = Request(f"h{at}.fr"), Request("", tls=True, sni=f"h{at}.fr")
                number = programs.tcp_backend(named, ports["tcp"])
                seen = {
                    "web": programs.answered(clear, ports["web"]),
                    "tcp": f"{'http' if (number or 0) >= PAIRS else 'file'}{at}",
                }
                for point, request in (("web", clear), ("tcp", named)):
                    winners = {name.partition("@")[0] for name in muxer.decide(request, point).winners}
                    assert seen[point] in winners
                    assert len(winners) == (2 if precedence == ["docker"] else 1)
                    answered.add((point, seen[point].rstrip("0123456789")))
    # Where it lists neither, chance decides: among as many pairs both providers win some.
    assert len(answered) == (4 if precedence == ["docker"] else 2)
