"""What the tests of the collection share: an engine and an authority of their own, and an empty Docker client."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from auditlib.collect import compose_program, host_traefik
from tests.conftest import payload

from .certificates import Authority
from .fake_engine import FakeEngine


@pytest.fixture(autouse=True)
def _own_client(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The Docker client of the machine that runs the tests, and its web proxy, are not asked."""
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    (tmp_path / "docker").mkdir()
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))


@pytest.fixture(autouse=True)
def _no_compose(monkeypatch: pytest.MonkeyPatch) -> None:
    """Docker Compose is not asked, but where a test gives it."""
    monkeypatch.setattr(compose_program, "PLACES", ())


@pytest.fixture(autouse=True)
def _no_traefik(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A Traefik of the machine that runs the tests is not found, but where a test gives one."""
    monkeypatch.setattr(host_traefik, "PROC", tmp_path / "proc")


@pytest.fixture
def engine() -> FakeEngine:
    """An engine with the containers of the reference server."""
    return FakeEngine(payload("faulty", "engine"))


@pytest.fixture
def address(engine: FakeEngine) -> Iterator[str]:
    """The address of `engine`, which answers."""
    with engine.over_socket() as url:
        yield url


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A test authority and its folder."""
    return Authority(tmp_path_factory.mktemp("autorite"))
