"""A Traefik that runs on the machine itself: how it is found, and what is read of it."""

import json
from pathlib import Path
from typing import Any

import pytest

from auditlib.collect import acme, host_traefik, logs, proxy, traefik_api, traefik_files, traefik_static
from auditlib.collect.source import Unreadable
from auditlib.facts.tables.traefik import TraefikEntrypoint
from auditlib.parameters import Parameters
from tests.conftest import payload, unprivileged

PID = "611"
SERVICE = '[[http.services.s.loadBalancer.servers]]\nurl = "http://127.0.0.1:1"\n'
SAID = "Router uses a nonexistent certificate resolver certificateResolver=le routerName=a@file"
LINE = f"2026-11-25T14:10:52Z ERR {SAID}\n"


class Machine:
    """A machine with a process of Traefik, its files, and an engine whose containers are no Traefik."""

    def __init__(self, folder: Path, words: tuple[str, ...], environment: tuple[str, ...] = ()) -> None:
        self.folder, self.process = folder, folder / "proc" / PID
        self.process.mkdir(parents=True)
        (self.process / "comm").write_text("traefik\n")
        (self.process / "cgroup").write_text("0::/system.slice/traefik.service\n")
        (self.process / "cmdline").write_bytes("\0".join(words).encode() + b"\0")
        (self.process / "environ").write_bytes("\0".join(environment).encode() + b"\0")
        (self.process / "cwd").symlink_to(folder)
        self.engine = {**payload("faulty", "engine"), "containers": [], "local": True}

    def static(self) -> dict[str, Any]:
        fetched = traefik_static.fetch(Parameters(), {"engine": self.engine})
        return dict(json.loads(json.dumps(fetched)))

    def payloads(self) -> dict[str, Any]:
        return {"engine": self.engine, "traefik_static": self.static(), "traefik_api": None}


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    (tmp_path / "dynamic").mkdir()
    (tmp_path / "dynamic" / "a.toml").write_text(SERVICE)
    (tmp_path / "dynamic" / "b.toml").write_text('[http.routers.r]\nrule = "x\n')
    (tmp_path / "acme.json").write_text("{}")
    (tmp_path / "acme.json").chmod(0o640)
    (tmp_path / "traefik.log").write_text(LINE)
    (tmp_path / "traefik.yml").write_text(
        "entryPoints: {traefik: {address: '127.0.0.3:8099'}}\n"
        f"log: {{filePath: {tmp_path}/traefik.log}}\n"
        "api: {insecure: true}\n"
        "providers: {file: {directory: dynamic}}\n"
        "certificatesResolvers: {le: {acme: {storage: acme.json}}}\n"
    )
    return Machine(tmp_path, ("/opt/traefik", f"--configFile={tmp_path}/traefik.yml"), ("HOME=/root", "TOKEN=canary"))


def test_its_configuration_is_that_of_its_file_and_no_other_variable_is_kept(machine: Machine) -> None:
    static = machine.static()
    assert "canary" not in json.dumps(static)
    rows = traefik_static.rows(static).tables["traefik_static"]
    assert {row.key: row.value for row in rows if row.effective}["providers.file.directory"] == "dynamic"
    assert {row.container for row in rows} == {None}


def test_its_files_are_read_from_its_own_folder_and_the_broken_one_is_told(machine: Machine) -> None:
    reading = traefik_files.rows(traefik_files.fetch(Parameters(), machine.payloads()))
    told = {(row.path, row.location, row.status) for row in reading.tables["traefik_files"]}
    folder = machine.folder / "dynamic"
    found = [(str(folder / name), status) for name, status in (("a.toml", "read"), ("b.toml", "broken"))]
    assert told == {(path, path, status) for path, status in found}
    assert [row.url for row in reading.tables["traefik_file_servers"]] == ["http://127.0.0.1:1"]


def test_its_storage_is_told_with_its_mode_and_where_it_is(machine: Machine) -> None:
    [row] = acme.rows(acme.fetch(Parameters(), machine.payloads())).tables["acme_storage"]
    path = str(machine.folder / "acme.json")
    assert (row.container, row.path, row.host_path, row.persistent) == (None, path, path, True)
    assert (row.mode, row.exists, row.certificates) == ("640", True, 0)
    (machine.folder / "acme.json").unlink()
    [row] = acme.rows(acme.fetch(Parameters(), machine.payloads())).tables["acme_storage"]
    assert row.exists is False


def test_its_log_is_read_from_its_file(machine: Machine) -> None:
    reading = logs.rows(logs.fetch(Parameters(), machine.payloads()))
    assert [row.named for row in reading.tables["log_events"]] == ["le"]


def test_what_it_writes_on_its_output_is_not_known(tmp_path: Path) -> None:
    machine = Machine(tmp_path, ("traefik", "--api.insecure"))
    with pytest.raises(Unreadable, match="sortie standard de son processus") as raised:
        logs.rows(logs.fetch(Parameters(), machine.payloads()))
    assert "log.filePath" in raised.value.remedy


def test_its_api_is_asked_where_its_entry_point_is_bound(machine: Machine) -> None:
    _, doors = traefik_api._found(machine.payloads())
    assert [door.url for door in doors] == ["http://127.0.0.3:8099"]


@pytest.mark.parametrize(
    ("address", "where"),
    [
        (":80", "127.0.0.1"), ("0.0.0.0:80/tcp", "127.0.0.1"), ("[::]:443", "::1"),
        ("192.168.7.2:80", "192.168.7.2"), ("[fd00::1]:443/tcp", "fd00::1"), ("localhost:8080", "localhost"),
    ],
)  # fmt: skip
def test_where_an_entry_point_of_the_machines_network_answers(address: str, where: str) -> None:
    assert traefik_api.own_host(address) == where
    [(host, port)] = proxy._addresses(None, TraefikEntrypoint(entrypoint="web", port=80, address=address))
    assert (host, port) == (where, 80)


def test_a_traefik_in_a_container_is_not_the_machines(machine: Machine) -> None:
    (machine.process / "cgroup").write_text(f"0::/docker/{'a' * 64}\n")
    assert host_traefik.running() is None
    with pytest.raises(Unreadable, match="ni aucun sur la machine"):
        machine.static()


def test_a_running_container_counts_first(machine: Machine) -> None:
    machine.engine = payload("faulty", "engine") | {"local": True}
    traefik = next(one for one in machine.engine["containers"] if one["Name"] == "/traefik")
    traefik["State"]["Running"] = False
    assert machine.static()["container"] is None


def test_what_another_users_process_hides_is_told(public: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_traefik, "PROC", public / "proc")
    machine = Machine(public, ("traefik",))
    (machine.process / "environ").chmod(0)
    with unprivileged():
        reading = traefik_static.rows(machine.static())
    assert "environnement du processus de Traefik illisible sans root" in reading.gaps
