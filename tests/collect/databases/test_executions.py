"""The door of docker exec: which commands pass it, and what comes of them."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditlib.collect.databases import executions
from auditlib.collect.databases.executions import COMMANDS, ExecutionDoor, commands, unframed
from auditlib.collect.databases.found import Found
from auditlib.collect.engine import address as engine_address
from auditlib.facts.tables.databases import Database
from tests.collect.fake_engine import FakeEngine
from tests.collect.servers import HANG, Reply, as_json

ID = "a" * 64
FOUND = Found(
    "pg",
    "PostgreSQL",
    "container",
    ("image",),
    5432,
    True,
    Database(database="pg", user="lalpha", names=("main",)),
    "pg",
    ID,
)


def frames(*outputs: tuple[int, bytes]) -> bytes:
    return b"".join(bytes([kind, 0, 0, 0]) + len(text).to_bytes(4, "big") + text for kind, text in outputs)


def started(*outputs: tuple[int, bytes]) -> Reply:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n"
    return Reply(raw=head + frames(*outputs))


def prepare(engine: FakeEngine, start: Reply, *, code: int | None = 0, running: bool = False) -> None:
    engine.replies |= {
        f"/containers/{ID}/exec": as_json({"Id": "abc123"}, 201),
        "/exec/abc123/start": start,
        "/exec/abc123/json": as_json({"ExitCode": code, "Running": running}),
    }


@pytest.fixture
def door(address: str) -> Iterator[ExecutionDoor]:
    with executions.door(engine_address(address), 2) as client:
        yield client


def first(kind: str = "PostgreSQL") -> tuple[executions.Command, list[str]]:
    found = replace(FOUND, kind=kind)
    command, words = next(commands(found))
    assert words is not None
    return command, words


def test_a_command_and_its_answer(engine: FakeEngine, door: ExecutionDoor) -> None:
    prepare(engine, started((1, b"2026-11-25 09:52:58+00\n"), (2, b"attention\n")))
    told = executions.run(door, FOUND, *first())
    assert (told["output"], told["exit_code"], told["fault"]) == ("2026-11-25 09:52:58+00\nattention\n", 0, "")
    asked = json.loads(next(one.body for one in engine.web.requests if one.path.endswith(f"/{ID}/exec")))
    assert asked["Cmd"] == ["psql", "-X", "-w", "-U", "lalpha", "-d", "main", "-Atc", "SELECT now()"]
    assert (asked["Privileged"], asked["Tty"], asked["AttachStdin"]) == (False, False, False)
    assert "PGCONNECT_TIMEOUT=3" in asked["Env"]


def test_a_program_that_is_missing_gives_way_to_the_next(engine: FakeEngine, door: ExecutionDoor) -> None:
    prepare(
        engine,
        started((1, b'OCI runtime exec failed: exec: "redis-cli": executable file not found in $PATH\n')),
        code=127,
    )
    told = executions.run(door, FOUND, *first("Redis"))
    tried = [json.loads(one.body)["Cmd"] for one in engine.web.requests if one.path.endswith("/exec")]
    assert tried == [["redis-cli", "PING"], ["valkey-cli", "PING"], ["keydb-cli", "PING"]]
    assert (told["exit_code"], told["command"]) == (127, ["keydb-cli", "PING"])


@pytest.mark.parametrize("status", [403, 405, 409, 500])
def test_an_engine_that_refuses(engine: FakeEngine, door: ExecutionDoor, status: int) -> None:
    engine.replies[f"/containers/{ID}/exec"] = as_json({"message": "no"}, status)
    told = executions.run(door, FOUND, *first())
    assert (told["status"], told["fault"], told["exit_code"]) == (status, f"HTTP {status}", None)


def test_a_command_that_hangs_costs_its_time(engine: FakeEngine, door: ExecutionDoor) -> None:
    prepare(engine, HANG, code=None, running=True)
    told = executions.run(door, FOUND, *first(), limit_s=0.2)
    assert told["fault"] == "délai dépassé"
    assert told["duration_s"] < 3


def test_an_output_without_end_is_bounded(engine: FakeEngine, door: ExecutionDoor) -> None:
    prepare(engine, started((1, b"x" * 100_000)))
    assert len(executions.run(door, FOUND, *first())["output"]) <= executions.MAX_OUTPUT


def test_nothing_else_passes_the_door(engine: FakeEngine, door: ExecutionDoor) -> None:
    sent = len(engine.web.requests)
    refused: list[Any] = [
        lambda: door.create_container("redis", "true"),
        lambda: door.stop(ID),
        lambda: door.remove_container(ID),
        lambda: door.exec_create(ID, ["sh", "-c", "id"]),
        lambda: door.exec_create(ID, ["redis-cli", "FLUSHALL"]),
        lambda: door.exec_create(ID, ["redis-cli", "PING"], privileged=True),
        lambda: door.exec_create(ID, ["redis-cli", "PING"], tty=True),
        lambda: door.exec_create(ID, ["redis-cli", "PING"], stdin=True),
        lambda: door.exec_create(ID, ["psql", "-X", "-w", "-U", "a", "-d", "postgres://x/y", "-Atc", "SELECT now()"]),
        lambda: door.exec_create(ID, ["psql", "-X", "-w", "-U", "-c", "-d", "a", "-Atc", "SELECT now()"]),
        lambda: door.exec_create(ID, ["psql", "-X", "-w", "-U", "a", "-d", "a", "-Atc", "DROP TABLE x"]),
    ]
    for call in refused:
        with pytest.raises(PermissionError):
            call()
    assert [one.method for one in engine.web.requests[sent:] if one.method != "GET"] == []


@pytest.mark.parametrize("name", ["-c", "host=x", "postgres://h/x", "a b", "$(id)", "x;y", "é", "a" * 64])
def test_unusual_names_are_never_passed_on(name: str) -> None:
    for facts in (replace(FOUND.facts, user=name), replace(FOUND.facts, names=(name,))):
        found = replace(FOUND, facts=facts)
        assert [words for _, words in commands(found)] == [None] * len(COMMANDS["PostgreSQL"])


def test_names_that_are_not_known_are_those_of_the_image() -> None:
    found = replace(FOUND, facts=Database(database="pg", names=()))
    _, words = next(commands(found))
    assert words is not None
    assert words[3:7] == ["-U", "postgres", "-d", "postgres"]


def test_every_command_only_reads() -> None:
    said = {" ".join(one.words) for several in COMMANDS.values() for one in several}
    assert {words for words in said if "psql" in words} == {
        f"psql -X -w -U {{user}} -d {{database}} -Atc {query}"
        for query in (
            "SELECT now()",
            "SHOW server_version",
            "SELECT pg_is_in_recovery()",
            "SELECT datname FROM pg_database WHERE NOT datistemplate ORDER BY datname",
        )
    }
    assert {words for words in said if "psql" not in words and "mongosh" not in words} == {
        "redis-cli PING",
        "mariadbd --version",
    }


@given(st.lists(st.tuples(st.sampled_from([0, 1, 2]), st.binary(max_size=40)), max_size=5), st.integers(0, 300))
def test_frames_that_are_cut_keep_what_came(outputs: list[tuple[int, bytes]], length: int) -> None:
    whole = b"".join(text for _, text in outputs)
    assert unframed(frames(*outputs)) == whole
    assert whole.startswith(unframed(frames(*outputs)[:length]))


@given(st.binary(max_size=100))
def test_any_bytes_are_unframed(raw: bytes) -> None:
    assert len(unframed(raw)) <= len(raw)
