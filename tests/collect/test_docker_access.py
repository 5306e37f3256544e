"""Who may command Docker, and how the daemon is set: whole trees of files, made up."""

import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditlib.collect import docker_access
from auditlib.collect.source import Reading
from auditlib.facts.snapshot import Snapshot
from auditlib.facts.tables import TABLES
from auditlib.facts.tables.host import DockerDaemon, GroupMember
from auditlib.parameters import Parameters
from tests.frames import rows

UID, GID = os.getuid(), os.getgid()
GROUP = f"root:x:0:\ndocker:x:{GID or 4242}:alpha,ghost\nusers:x:100:alpha,beta\nbroken\n"
PASSWD = "root:x:0:0:root:/root:/bin/bash\nalpha:x:1000:1000:Alpha Secret:/home/alpha:/bin/sh\n"
PASSWD += f"charlie:x:1002:{GID or 4242}::/:\n"


@contextmanager
def a_socket(path: Path, mode: int) -> Iterator[None]:
    """A socket file; its short name is relative to its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    here = Path.cwd()
    with socket.socket(socket.AF_UNIX) as server:
        os.chdir(path.parent)
        try:
            server.bind(path.name)
        finally:
            os.chdir(here)
        path.chmod(mode)
        yield


def daemon(root: Path, pid: int, *arguments: str) -> None:
    folder = root / f"proc/{pid}"
    folder.mkdir(parents=True)
    (folder / "comm").write_text("dockerd\n")
    (folder / "cmdline").write_bytes(b"\0".join(word.encode() for word in ("/usr/bin/dockerd", *arguments)) + b"\0")


def config(root: Path, text: str) -> None:
    (root / "etc/docker").mkdir(parents=True, exist_ok=True)
    (root / "etc/docker/daemon.json").write_text(text)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/group").write_text(GROUP)
    (tmp_path / "etc/passwd").write_text(PASSWD)
    return tmp_path


def read(root: Path) -> Reading:
    reading = docker_access.rows(docker_access.fetch(Parameters(), {}, root))
    for name, found in reading.tables.items():
        TABLES[name].rows(found)
    return reading


def settings(root: Path) -> DockerDaemon:
    [row] = read(root).of(DockerDaemon)
    return row


def test_the_members_of_the_group(root: Path) -> None:
    assert read(root).tables["docker_group"] == [
        GroupMember(group="docker", user="alpha", uid=1000, primary=False),
        GroupMember(group="docker", user="charlie", uid=1002, primary=True),
        GroupMember(group="docker", user="ghost", uid=None, primary=False),
    ]


def test_other_accounts_are_not_read(root: Path) -> None:
    payload = docker_access.fetch(Parameters(), {}, root)
    assert "beta" not in str(payload)
    assert "Secret" not in str(payload)


def test_without_the_files_of_accounts(tmp_path: Path) -> None:
    reading = read(tmp_path)
    assert "docker_group" not in reading.tables
    assert reading.gaps == ["/etc/passwd et /etc/group sont illisibles"]


@pytest.mark.parametrize("mode", [0o660, 0o666, 0o777, 0o600])
def test_a_socket_and_its_mode(root: Path, mode: int) -> None:
    (root / "var").mkdir()
    (root / "var/run").symlink_to("../run")
    with a_socket(root / "run/docker.sock", mode):
        [row] = read(root).tables["docker_sockets"]
    assert (row.path, row.daemon) == ("/run/docker.sock", "docker")
    assert int(row.mode, 8) == mode
    assert stat.S_ISSOCK(0o140000 | mode)


def test_the_sockets_that_a_daemon_names(root: Path) -> None:
    daemon(root, 7, "-H", "unix:///srv/d.sock", "-H=fd://", "--containerd", "/srv/c.sock")
    with a_socket(root / "srv/d.sock", 0o660), a_socket(root / "srv/c.sock", 0o660):
        found = [(row.path, row.daemon) for row in read(root).tables["docker_sockets"]]
    assert found == [("/srv/d.sock", "docker"), ("/srv/c.sock", "containerd")]


def test_a_file_in_the_place_of_a_socket_is_none(root: Path) -> None:
    (root / "run").mkdir()
    (root / "run/docker.sock").touch()
    assert read(root).tables["docker_sockets"] == []


def test_the_settings_of_the_file(root: Path) -> None:
    config(
        root,
        '{"hosts": ["fd://", "tcp://0.0.0.0:2375"], "tls": true, "log-driver": "json-file", "graph": "/srv/docker",'
        '"log-opts": {"max-size": "10m", "max-file": 3, "splunk-token": "CANARI-splunk"}, "live-restore": "yes",'
        '"default-ulimits": {"nofile": {"Hard": 1}}, "proxies": {"http-proxy": "http://a:CANARI-proxy@p:1"},'
        '"insecure-registries": ["https://u:CANARI-registre@r.example"], "icc": false}',
    )
    row = settings(root)
    assert (row.config_file, row.config_exists, row.pid) == ("/etc/docker/daemon.json", True, None)
    assert (row.hosts, row.tls, row.icc) == (["fd://", "tcp://0.0.0.0:2375"], True, False)
    assert (row.log_driver, row.log_max_size, row.log_max_file) == ("json-file", "10m", "3")
    assert (row.data_root, row.default_ulimits) == ("/srv/docker", ["nofile"])
    assert row.insecure_registries == ["https://r.example"]
    assert row.live_restore is None  # no boolean: Docker would refuse it
    assert "CANARI" not in str(docker_access.fetch(Parameters(), {}, root))


@pytest.mark.parametrize(
    ("arguments", "column", "value"),
    [
        (["-H", "tcp://0.0.0.0:2375"], "hosts", ["tcp://0.0.0.0:2375"]),
        (["-Htcp://0.0.0.0:2375", "--host=fd://"], "hosts", ["tcp://0.0.0.0:2375", "fd://"]),
        (["-H=tcp://0.0.0.0:2375"], "hosts", ["tcp://0.0.0.0:2375"]),
        (["--tlsverify"], "tlsverify", True),
        (["--tlsverify=false"], "tlsverify", False),
        (["--icc=false", "--tlsverify"], "icc", False),
        (["--log-opt", "max-size=5m"], "log_max_size", "5m"),
        (["--log-opt=max-size=5m"], "log_max_size", "5m"),
        (["-g", "/srv"], "data_root", "/srv"),
        (["--data-root=/srv"], "data_root", "/srv"),
        (["--userns-remap", "default"], "userns_remap", "default"),
        (["--default-ulimit", "nofile=1024:2048"], "default_ulimits", ["nofile"]),
        (["--authorization-plugin=opa"], "authorization_plugins", ["opa"]),
        (
            ["--storage-opt", "dm.basesize=20G", "--storage-opt=dm.fs=xfs"],
            "storage_opts",
            ["dm.basesize=20G", "dm.fs=xfs"],
        ),
        (["--insecure-registry", "r:5000"], "insecure_registries", ["r:5000"]),
        (["--http-proxy", "http://a:b@c", "--debug", "-G", "ops"], "group", "ops"),
    ],
)
def test_the_settings_of_the_command_line(root: Path, arguments: list[str], column: str, value: object) -> None:
    daemon(root, 7, *arguments)
    row = settings(root)
    assert (row.pid, getattr(row, column)) == (7, value)


def test_each_daemon_has_its_own_file(root: Path) -> None:
    daemon(root, 7)
    daemon(root, 8, "--config-file", "/srv/daemon.json", "--log-driver=local")
    config(root, '{"log-driver": "json-file"}')
    found = [(row.pid, row.config_file, row.config_exists, row.log_driver)
             for row in read(root).tables["docker_daemon"]]  # fmt: skip
    assert found == [(7, "/etc/docker/daemon.json", True, "json-file"), (8, "/srv/daemon.json", False, "local")]


@pytest.mark.parametrize("text", ["{", "[]", "3", "null", '{"hosts": ["\\ud800"', "[" * 100_000])
def test_a_file_that_is_no_configuration_is_a_gap(root: Path, text: str) -> None:
    config(root, text)
    assert read(root).gaps == ["le fichier /etc/docker/daemon.json est illisible, ou ce n’est pas du JSON"]
    assert settings(root).config_read is False


def test_a_file_too_big_is_not_read(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker_access, "MAX_FILE", 10)
    config(root, '{"log-driver": "json-file"}')
    assert read(root).gaps == ["le fichier /etc/docker/daemon.json est trop gros"]


def test_a_machine_without_docker(root: Path) -> None:
    reading = read(root)
    assert reading.gaps == []
    assert reading.tables["docker_sockets"] == []
    assert (settings(root).config_exists, settings(root).config_read) == (False, True)


@given(st.lists(st.one_of(st.text(), st.sampled_from(["-H", "--host", "--tls", "--log-opt", "-g", "--config-file"]))))
def test_any_command_line_makes_a_row(arguments: list[str]) -> None:
    found = docker_access._settings(arguments)
    allowed = {"log-opts", "default-ulimits"} | docker_access._FLAGS | docker_access._TEXTS | docker_access._LISTS
    assert set(found) <= allowed


def test_the_reference_server(faulty: Snapshot) -> None:
    [docker] = [row for row in rows(faulty.docker_sockets, "daemon", "mode", "owner", "group") if row[0] == "docker"]
    assert docker == ("docker", "660", "root", "docker")
    [(hosts, live)] = rows(faulty.docker_daemon, "hosts", "live_restore")
    assert [host.partition(":")[0] for host in hosts] == ["unix"]
    assert live is True
