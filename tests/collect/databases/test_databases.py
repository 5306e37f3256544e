"""The source « databases »: what it asks, what its rows say, and what it says that it could not know."""

import copy
import socket
from typing import Any

import pytest

from auditlib.collect import databases
from auditlib.collect.databases import fetch, rows
from auditlib.collect.source import Unreadable
from auditlib.facts.tables import TABLES
from auditlib.parameters import Parameters
from tests.collect.fake_engine import FakeEngine
from tests.collect.servers import as_json
from tests.conftest import payload

from .containers import container
from .peers import close, hang, peer, replay
from .test_wire import RECORDED

REDIS = bytes.fromhex(RECORDED["redis-open"]["replies"][0])


def engine_of(*containers: dict[str, Any], local: bool = True) -> dict[str, Any]:
    return {"containers": list(containers), "local": local}


def heard(*sockets: tuple[str, int, str], root: bool = True) -> dict[str, Any]:
    """The payload of the listeners: (process, port, address)."""
    found = enumerate(sockets, start=1)
    return {
        "sockets": [
            {"protocol": "tcp", "family": "ipv4", "address": address, "port": port, "pid": pid}
            for pid, (_, port, address) in found
        ],
        "processes": [
            {"pid": pid, "name": process, "user": "u", "cgroup": ""}
            for pid, (process, _, _) in enumerate(sockets, start=1)
        ],
        "root": root,
        "ss": None,
    }


def read(engine: Any, listeners: Any = None, **parameters: Any) -> tuple[dict[str, Any], Any]:
    """The rows of `databases` by name, and the whole reading; docker exec is off unless it is asked for."""
    asked = Parameters(**{"exec_checks": False, **parameters})
    reading = rows(fetch(asked, {"engine": engine, "listeners": listeners}))
    for name, table in reading.tables.items():
        TABLES[name].rows(table)
    return {row.database: row for row in reading.tables["databases"]}, reading


def test_a_database_of_the_machine_is_asked() -> None:
    with peer(replay(REDIS)) as (port, connections):
        found, reading = read(engine_of(), heard(("redis-server", port, "127.0.0.1")))
    [row] = found.values()
    assert (row.answers, row.version, row.authentication) == (True, "7.0.15", "none")
    assert (row.asked_at, row.asked_via, row.asked_from) == (f"127.0.0.1:{port}", "host", "127.0.0.1")
    assert (len(connections), reading.gaps) == (1, [])
    assert reading.note.startswith("Sans docker exec (exec_checks est faux)")


def test_the_first_door_that_speaks_is_the_one_told() -> None:
    with peer(close) as (shut, tried), peer(replay(REDIS)) as (port, _):
        ports = {"6379/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(n)} for n in (shut, port)]}
        found, _ = read(engine_of(container("r", "redis:7", ports=ports)))
    assert (found["r"].answers, found["r"].asked_at, len(tried)) == (True, f"127.0.0.1:{port}", 2)
    assert found["r"].asked_via == "published"


def test_a_database_that_closes_or_hangs_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(databases, "LIMIT_S", 0.3)
    with peer(close) as (shut, _), peer(hang) as (mute, _):
        found, _ = read(engine_of(), heard(("mongod", shut, "127.0.0.1"), ("redis-server", mute, "127.0.0.1")))
    assert {name: (row.answers, row.note) for name, row in found.items()} == {
        "mongod": (False, "Ce qui répond ne parle pas le protocole attendu."),
        "redis-server": (False, "La connexion s’ouvre, puis : délai dépassé."),
    }


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    found, _ = read(engine_of(), heard(("postgres", port, "127.0.0.1")))
    assert (found["postgres"].answers, found["postgres"].note) == (False, "Connexion refusée.")


def test_an_address_out_of_reach_leaves_the_answer_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(*given: object, **more: object) -> socket.socket:
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(socket, "create_connection", connect)
    found, _ = read(engine_of(container("r", "redis:7", networks={"macvlan": "10.20.0.2"})))
    assert (found["r"].answers, found["r"].authentication) == (None, None)
    assert found["r"].note == "Injoignable de cette machine (réseau injoignable)."


def test_a_stopped_container_is_not_asked() -> None:
    found, _ = read(engine_of(container("r", "redis:7", networks={"n": "10.20.0.2"}, running=False)))
    row = found["r"]
    assert (row.running, row.answers, row.note) == (False, None, "Le conteneur ne tourne pas.")


def test_containers_of_another_machine_are_not_asked_nor_joined_with_this_one() -> None:
    engine = engine_of(container("r", "redis:7", networks={"n": "10.20.0.2"}), local=False)
    found, reading = read(engine, heard(("mariadbd", 3306, "127.0.0.1")))
    assert list(found) == ["r"]
    assert (found["r"].answers, found["r"].asked_at) == (None, None)
    assert reading.gaps == ["le moteur Docker est sur une autre machine : ses bases ne sont pas interrogées d’ici"]


def test_without_the_engine_the_machine_alone_is_known() -> None:
    with peer(replay(REDIS)) as (port, _):
        found, reading = read(None, heard(("redis-server", port, "127.0.0.1")))
    assert list(found) == ["redis-server"]
    assert set(reading.tables) == {"databases"}
    assert reading.gaps == ["le moteur Docker n’a pas été lu : seules les bases de la machine sont connues"]


def test_without_the_listeners_the_containers_alone_are_known() -> None:
    _, reading = read(engine_of())
    assert reading.gaps == [
        "les écoutes de la machine n’ont pas été lues : seules les bases des conteneurs sont connues"
    ]


@pytest.mark.parametrize("docker_host", ["", "tcp://serveur.invalid:2375"])
def test_without_either_nothing_is_known(docker_host: str) -> None:
    listeners = heard(("mariadbd", 3306, "127.0.0.1")) if docker_host else None
    with pytest.raises(Unreadable, match="lu"):
        read(None, listeners, docker_host=docker_host)


def test_an_engine_that_allows_get_only_gives_everything_but_the_commands(engine: FakeEngine, address: str) -> None:
    raw = {**payload("faulty", "engine"), "local": True}
    # The recorded addresses may be somebody's: these containers are asked inside only.
    for one in raw["containers"]:
        one["NetworkSettings"] = {"Networks": {}, "Ports": {}}
    _, reading = read(raw, heard(), exec_checks=True, docker_host=address)
    assert [row.outcome for row in reading.tables["exec_commands"]] == ["refused"]
    assert reading.note == (
        "Le moteur Docker refuse docker exec (HTTP 405) : les bases sont interrogées par leur protocole seulement."
    )
    assert reading.gaps == []
    posts = [one for one in engine.web.requests if one.method != "GET"]
    assert len(posts) == 1
    read(raw, heard(), docker_host=address)
    assert len([one for one in engine.web.requests if one.method != "GET"]) == 1


def test_a_database_that_is_reached_and_silent_is_not_asked_inside(engine: FakeEngine, address: str) -> None:
    """A command would wait as long, and stay in the container."""
    engine.replies["/containers/x/exec"] = as_json({}, 500)
    with peer(close) as (port, _):
        redis = container("r", "redis:7", ports={"6379/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(port)}]})
        _, reading = read(engine_of(redis), heard(), exec_checks=True, docker_host=address)
    assert reading.tables["exec_commands"] == []
    assert [one for one in engine.web.requests if one.method != "GET"] == []


def test_a_database_out_of_reach_answers_inside_its_container(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = copy.deepcopy(payload("faulty", "databases"))
    raw["answers"]["redis"] = []
    found = {row.database: row for row in rows(raw).tables["databases"]}
    assert (found["redis"].answers, found["redis"].asked_via, found["redis"].asked_at) == (True, "exec", None)
    assert found["redis"].authentication is None


def test_no_secret_is_in_the_rows() -> None:
    reading = rows(payload("faulty", "databases"))
    assert "CANARI" not in repr(reading)


def test_what_a_command_answers_is_redacted_and_bounded() -> None:
    raw = copy.deepcopy(payload("faulty", "databases"))
    for one in raw["executions"]:
        one["output"] = "password=hunter2 " + "x" * 5000
    told = rows(raw).tables["exec_commands"]
    assert "hunter2" not in repr(told)
    assert {len(row.output[0]) for row in told} == {500}
    assert told[0].command.startswith("docker exec ")
