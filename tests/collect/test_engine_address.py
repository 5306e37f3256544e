"""Which engine is asked: the parameter, the environment, the contexts of the Docker client, TLS."""

import contextlib
import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from auditlib.collect import engine
from auditlib.collect.source import Unreadable
from auditlib.parameters import Parameters
from tests.conftest import payload

from .certificates import Authority
from .fake_engine import FakeEngine


@pytest.fixture
def contexts(tmp_path: Path) -> Path:
    """The folder of the Docker client's configuration."""
    return tmp_path / "docker"


def context(folder: Path, name: str, host: str, *, tls: Path | None = None, content: str = "") -> None:
    """Make a context as `docker context create` does, or one whose description is `content`."""
    identifier = hashlib.sha256(name.encode()).hexdigest()
    meta = folder / "contexts/meta" / identifier
    meta.mkdir(parents=True)
    endpoint = {"Host": host, "SkipTLSVerify": False}
    told = json.dumps({"Name": name, "Metadata": {}, "Endpoints": {"docker": endpoint}})
    (meta / "meta.json").write_text(content or told)
    (folder / "config.json").touch()  # docker-py finds the contexts beside it
    if tls:
        shutil.copytree(tls, folder / "contexts/tls" / identifier / "docker")


def choose(folder: Path, name: str) -> None:
    (folder / "config.json").write_text(json.dumps({"currentContext": name}))


def reached(docker_host: str = "") -> str:
    """The containers' engine that is reached, by its own name."""
    return str(engine.fetch(Parameters(docker_host=docker_host), {})["info"]["Name"])


@pytest.fixture
def servers() -> Iterator[dict[str, str]]:
    """The addresses of three engines, by their names."""
    with contextlib.ExitStack() as stack:
        urls = {}
        for name in ("un", "deux", "trois"):
            one = FakeEngine(payload("faulty", "engine"))
            one.payload["info"]["Name"] = name
            urls[name] = stack.enter_context(one.over_socket())
        yield urls


def test_the_parameter_comes_before_the_environment_and_the_contexts(
    servers: dict[str, str], contexts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context(contexts, "trois", servers["trois"])
    choose(contexts, "trois")
    assert reached() == "trois"
    monkeypatch.setenv("DOCKER_HOST", servers["deux"])
    assert reached() == "deux"
    assert reached(servers["un"]) == "un"


def test_docker_context_comes_before_the_current_context(
    servers: dict[str, str], contexts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context(contexts, "un", servers["un"])
    context(contexts, "deux", servers["deux"])
    choose(contexts, "un")
    monkeypatch.setenv("DOCKER_CONTEXT", "deux")
    assert reached() == "deux"


def test_without_anything_the_local_socket_is_meant() -> None:
    assert engine.address("").url == "unix:///var/run/docker.sock"


def refused(docker_host: str = "") -> Unreadable:
    with pytest.raises(Unreadable) as unreadable:
        engine.fetch(Parameters(docker_host=docker_host, timeout_s=5), {})
    assert unreadable.value.status == "failed"
    return unreadable.value


def test_a_context_that_does_not_exist_is_not_replaced_by_the_local_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONTEXT", "perdu")
    assert refused().reason == "le contexte Docker « perdu » n’existe pas"


def test_a_current_context_that_does_not_exist_is_named(contexts: Path) -> None:
    choose(contexts, "perdu")
    assert refused().reason == "le contexte Docker « perdu » n’existe pas"


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"Name": "x", "Endpoints": {"docker": 3}}'])
def test_a_context_whose_file_is_broken_is_one_sentence(contexts: Path, content: str) -> None:
    context(contexts, "x", "", content=content)
    choose(contexts, "x")
    assert refused().reason.startswith("configuration du client Docker inutilisable (")


@pytest.mark.parametrize(
    "url",
    [
        "tcp://",
        "tcp://serveur",
        "tcp://serveur:port",
        "tcp://serveur:99999",
        "tcp://[::1",
        "http://[::1",
        "/var/run/docker.sock",
        "ftp://serveur:2375",
        "fd://",
        "ssh://serveur/chemin",
        "ssh://serveur:port",
        "n'importe quoi",
    ],
)
def test_a_malformed_address_is_one_sentence(url: str) -> None:
    told = refused(url)
    assert told.reason.startswith("l’adresse du moteur Docker est mal formée ou d’une sorte inconnue : ")
    assert told.remedy == "vérifier docker_host, DOCKER_HOST ou le contexte Docker"


def test_a_password_in_an_address_is_not_repeated() -> None:
    told = refused("ssh://root:h4rd-t0-gu3ss@serveur")
    assert "h4rd" not in told.reason + told.remedy


def test_without_ssh_a_remote_engine_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    told = refused("ssh://audit@serveur.exemple:2222")
    assert told.reason == "le moteur Docker à l’adresse ssh://serveur.exemple:2222 ne répond pas par ssh"
    assert told.remedy == "vérifier que « ssh serveur.exemple:2222 docker version » répond sans poser de question"


def test_an_ssh_that_fails_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "ssh"
    program.write_text("#!/bin/sh\nexit 255\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert refused("ssh://serveur").reason == "le moteur Docker à l’adresse ssh://serveur ne répond pas par ssh"


@pytest.fixture
def secured(authority: Authority) -> Iterator[str]:
    """The address of an engine that speaks TLS, certified by `authority`."""
    one = FakeEngine(payload("faulty", "engine"), authority.server("localhost", "127.0.0.1"))
    with one.over_tcp() as url:
        yield url


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that certified nothing of what is asked."""
    other = Authority(tmp_path_factory.mktemp("autre"))
    other.server("localhost")
    return other


def test_tls_with_the_right_authority(secured: str, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(authority.folder))
    assert reached(secured) == "serveur"


def test_the_authorities_of_the_web_are_not_those_of_the_engine(
    secured: str, authority: Authority, stranger: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(authority.folder))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(stranger.folder / "ca.pem"))
    assert reached(secured) == "serveur"


def test_tls_of_a_context(secured: str, authority: Authority, contexts: Path) -> None:
    only_docker = contexts / "tls"
    only_docker.mkdir()
    for name in ("ca.pem", "cert.pem", "key.pem"):
        shutil.copy(authority.folder / name, only_docker)
    context(contexts, "sûr", secured, tls=only_docker)
    choose(contexts, "sûr")
    assert reached() == "serveur"


def test_tls_with_another_authority_is_refused(
    secured: str, stranger: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(stranger.folder))
    told = refused(secured)
    assert told.reason == (
        f"le moteur Docker à l’adresse {secured} ne répond pas (le certificat TLS n’est pas reconnu)"
    )


def test_tls_towards_an_engine_without_it(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(authority.folder))
    with FakeEngine(payload("faulty", "engine")).over_tcp() as url:
        assert refused(url).reason.endswith("ne répond pas (la connexion TLS échoue)")


def test_tls_files_that_are_missing_are_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(tmp_path))
    assert refused("tcp://localhost:2376").reason.startswith("configuration du client Docker inutilisable (")


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("unix:///var/run/docker.sock", True),
        ("tcp://localhost:2375", True),
        ("tcp://127.0.0.2:2375", True),
        ("tcp://[::1]:2375", True),
        ("tcp://:2375", True),
        ("tcp://10.0.0.1:2375", False),
        ("tcp://localhost.exemple:2375", False),
        ("https://serveur:2376", False),
        ("ssh://audit@serveur", False),
    ],
)
def test_an_address_is_on_this_machine_or_not(url: str, here: bool) -> None:
    assert engine.here(url) is here
