"""The audit behind a proxy of Docker's socket that lets only GET pass: whole, without the questions of docker exec."""

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from auditlib.facts.tables.host import SourceStatus
from tests.live.conftest import Run, audit
from tests.testbed.paths import SOCKET

REFUSAL = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\nConnection: close\r\n\r\nForbidden"


class GetOnlyProxy:
    """Forwards GET requests to the real engine, one per connection, and refuses the others."""

    def __init__(self, path: Path) -> None:
        self.refused: list[bytes] = []
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(str(path))
        self.server.listen(64)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self.server.accept()
            except OSError:
                return
            threading.Thread(target=self._forward, args=(client,), daemon=True).start()

    def _forward(self, client: socket.socket) -> None:
        with client:
            head = b""
            while b"\r\n\r\n" not in head:
                if not (part := client.recv(65536)):
                    return
                head += part
            line, _, rest = head.partition(b"\r\n")
            if not line.startswith(b"GET "):
                self.refused.append(line)
                client.sendall(REFUSAL)
                return
            with socket.socket(socket.AF_UNIX) as engine:
                engine.connect(str(SOCKET))
                engine.sendall(line + b"\r\nConnection: close\r\n" + rest.replace(b"Connection: keep-alive\r\n", b""))
                while part := engine.recv(65536):
                    client.sendall(part)


@pytest.fixture(scope="module", autouse=True)
def reference(bring_up: Callable[[str], None]) -> None:
    bring_up("faulty")


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[GetOnlyProxy, str]]:
    path = tmp_path_factory.mktemp("p") / "docker.sock"
    one = GetOnlyProxy(path)
    yield one, f"unix://{path}"
    one.server.close()


@pytest.fixture(scope="module")
def run(proxy: tuple[GetOnlyProxy, str], tmp_path_factory: pytest.TempPathFactory) -> Run:
    return audit(tmp_path_factory.mktemp("outputs"), "-p", "docker_host", proxy[1])


def test_every_source_is_read_and_only_get_was_let_through(run: Run, proxy: tuple[GetOnlyProxy, str]) -> None:
    assert run.code == 0, run.told
    unread = {row.source: row.status for row in run.facts.snapshot.rows(SourceStatus) if row.status != "ok"}
    assert unread in ({}, {"systemd": "absent"})
    # What was tried in vain are the questions of docker exec, and they are said.
    assert {line.split(b" ")[0] for line in proxy[0].refused} <= {b"POST"}
    assert all(b"/exec" in line for line in proxy[0].refused)
    databases = next(row for row in run.facts.snapshot.rows(SourceStatus) if row.source == "databases")
    assert "docker exec" in (databases.reason or "")


def test_the_findings_are_those_of_a_direct_audit(run: Run, tmp_path: Path) -> None:
    assert run.found == audit(tmp_path).found
