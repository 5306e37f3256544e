"""Default rules and routers of UDP against real Traefiks, which read two containers of a fake Docker engine."""

import contextlib
import http.client
import http.server
import json
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from auditlib.traefik.docker_provider import Container, Settings
from auditlib.traefik.fields import version as version_of
from auditlib.traefik.merge import load
from tests.live import programs

VERSIONS = ("3.0.4", "3.3.6", "3.6.15", "3.7.15")
LABELS = {
    "app": {"domain": "a.fr", "list": "x.y"},
    "ruled": {"traefik.http.routers.ruled.rule": "Host(`r`)", "k": "v"},
}
ADDRESSES = {"app": "172.17.0.2", "ruled": "172.17.0.3"}
TEMPLATES = [
    "Host(`{{ normalize .Name }}.fr`)",
    'Host(`{{ index .Labels "domain" }}`)',
    "Host(`{{ .Labels.domain }}`)",
    "Host(`{{ .Labels.none }}`)",
    "Host(`{{ .Labels.none.deeper }}`)",
    "Host(`{{ .Labels.domain.deeper }}`)",
    "Host(`{{ .Labels.none | upper }}`)",
    'Host(`{{ .Labels.none | default "c" }}`)',
    "{{ if .Labels.none }}Host(`a`){{ else }}Host(`b`){{ end }}",
    "{{ if .Name }}Host(`a`){{ else }}{{ .Unknown }}{{ end }}",
    "{{ if false }}{{ unknown }}{{ end }}Host(`a`)",
    'Host(`{{ index .Labels "list" | splitList "." | last }}`)',
    "Host(`{{ trunc 2 .Name }}`)",
    "Host(`{{ trunc .Name .Name }}`)",
    "Host(`{{ normalize }}`)",
    "Host(`{{ normalize .Name .Name }}`)",
    'Host(`{{ index .Labels "k" "l" }}`)',
    "{{ .Unknown }}",
    "{{ .Name.x }}",
    "{{ .Name",
    "{{ }}",
    "{{ end }}",
    "{{ else }}",
    "{{ if .Name }}Host(`a`)",
    "{{/* nothing */}}Host(`c`)",
    "{{ .Name | uper }}",
    "{{ genPassword 8 }}",
    "",
    "no rule at all",
]


class _Engine(http.server.BaseHTTPRequestHandler):
    """The few answers of Docker's API that Traefik's provider asks for."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Nothing: the tests' output is theirs."""

    def do_HEAD(self) -> None:
        self.answer(b"")

    def do_GET(self) -> None:
        path = "/" + self.path.partition("?")[0].lstrip("/").partition("/")[2]
        if self.path.startswith("/_ping"):
            self.answer(b"OK")
        elif path == "/events":
            self.send_response(200)
            self.end_headers()
            time.sleep(30)
        elif path == "/containers/json":
            self.answer(json.dumps([_listed(name) for name in LABELS]).encode())
        elif path.startswith("/containers/"):
            self.answer(json.dumps(_inspected(path.split("/")[2])).encode())
        else:
            self.answer(json.dumps({"Version": "28.0", "ApiVersion": "1.47", "MinAPIVersion": "1.24"}).encode())

    def answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Api-Version", "1.47")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _networks(name: str) -> dict[str, Any]:
    return {"bridge": {"IPAddress": ADDRESSES[name], "NetworkID": "n"}}


def _listed(name: str) -> dict[str, Any]:
    settings = {"Networks": _networks(name)}
    return {"Id": name, "Names": [f"/{name}"], "State": "running", "Labels": LABELS[name], "NetworkSettings": settings}


def _inspected(name: str) -> dict[str, Any]:
    return {
        "Id": name,
        "Name": f"/{name}",
        "State": {"Status": "running", "Running": True},
        "HostConfig": {"NetworkMode": "bridge"},
        "Config": {"Labels": LABELS[name]},
        "NetworkSettings": {"Ports": {"80/tcp": None}, "Networks": _networks(name)},
    }


@pytest.fixture(scope="module")
def engine() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Engine)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"tcp://127.0.0.1:{server.server_port}"
    server.shutdown()


def _rules(version: str, engine: str, template: str, folder: Path) -> tuple[dict[str, str], str]:
    """The rules of the routers that Traefik makes of the containers, and what it logs meanwhile."""
    (port,) = programs.free_ports(1)
    options = {
        "entrypoints.traefik.address": f"127.0.0.1:{port}",
        "entrypoints.web.address": "127.0.0.1:0",
        "api.insecure": "true",
        "log.level": "ERROR",
        "providers.docker.endpoint": engine,
        "providers.docker.defaultrule": template,
        "providers.providersthrottleduration": "1ms",
    }
    with (folder / "output").open("wb") as output:
        command = [programs.program(version), *(f"--{name}={value}" for name, value in options.items())]
        running = subprocess.Popen(command, stdout=output, stderr=output, cwd=folder, env={"HOME": "/"})
    try:
        end = time.monotonic() + 20
        while time.monotonic() < end:
            time.sleep(0.02)
            log = (folder / "output").read_text("utf-8", "replace")
            with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
                routers = programs.api(f"127.0.0.1:{port}", "/api/rawdata").get("routers", {})
                found = {name: router["rule"] for name, router in routers.items() if name.endswith("@docker")}
                if found or "Error while initializing provider" in log:
                    return found, log
        raise AssertionError(log)
    finally:
        running.kill()
        running.wait(20)


@pytest.mark.parametrize("version", VERSIONS)
def test_default_rules_as_real_traefiks_evaluate_them(version: str, engine: str, tmp_path: Path) -> None:
    at = version_of(version)
    assert at
    containers = [
        Container(name, name, "running", None, "bridge", labels, {"bridge": ADDRESSES[name]}, ("80/tcp",), {})
        for name, labels in LABELS.items()
    ]
    wrong = []
    for template in TEMPLATES:
        decisions, merged = load(containers, Settings(version=at, default_rule=template))
        made = {f"{name}@docker": router["Rule"] for (_, name), router in merged.routers.items()}
        seen, log = _rules(version, engine, template, tmp_path)
        logged = [decision.why.log for decision in decisions if decision.outcome == "dropped"]
        if made != seen or not all(text in log for text in logged):
            wrong.append((template, made, seen, logged, log[-300:]))
    print(f"Traefik {version}: {len(TEMPLATES)} default rules, {len(wrong)} differ")  # noqa: T201
    assert wrong == []
