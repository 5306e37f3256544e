"""Asking over real sockets: recorded answers, and peers that hang, close, reset, drip or flood."""

import socket
import threading
import time
from typing import Any

import pytest

from auditlib.collect.databases.ask import ask, understand
from auditlib.collect.databases.found import Door
from auditlib.collect.databases.wire import FOREIGN, Answer
from tests.collect.certificates import Authority

from .peers import Talk, close, drip, flood, half_closed, hang, peer, replay, reset
from .test_wire import ALIVE, EXPECTED, MONGO, RECORDED, _http

KINDS = ["PostgreSQL", "MySQL", "Redis", "MongoDB", "ChromaDB"]
LIMIT = 0.2


def told(kind: str, port: int, limit_s: float = 10) -> tuple[dict[str, Any], Answer]:
    transcript = ask(kind, Door("127.0.0.1", port, "host"), limit_s)
    return transcript, understand(kind, transcript)


@pytest.mark.parametrize(
    "name", [name for name, one in RECORDED.items() if one["replies"] and not EXPECTED[name].get("tls")]
)
def test_recorded_servers(name: str) -> None:
    recorded = RECORDED[name]
    replies = [bytes.fromhex(reply) for reply in recorded["replies"]]
    with peer(replay(*replies, first=recorded["kind"] == "MySQL")) as (port, connections):
        transcript, answer = told(recorded["kind"], port)
    assert transcript["replies"] == recorded["replies"]
    assert answer == Answer(**EXPECTED[name])
    assert (transcript["source"], transcript["fault"], len(connections)) == ("127.0.0.1", "", 1)


def test_mongo_is_asked_three_times_on_one_connection() -> None:
    with peer(replay(MONGO["hello"], MONGO["build"], MONGO["refused"])) as (port, connections):
        _, answer = told("MongoDB", port)
    assert (answer.authentication, answer.version, len(connections)) == ("required", "7.0.14", 1)


def test_chroma_is_asked_on_one_connection_and_its_old_api_on_a_second() -> None:
    new = ALIVE + _http(200, '"1.0.0"') + _http(200, "[]")
    with peer(replay(new)) as (port, connections):
        assert told("ChromaDB", port)[1].note == "API v2"
        assert len(connections) == 1
    with peer(replay(_http(404, "{}") * 3), replay(new)) as (port, connections):
        assert told("ChromaDB", port)[1].note == "API v1"
        assert len(connections) == 2


def _secured(authority: Authority, first: bytes, last: bytes) -> Talk:
    """A server that answers `first` in clear (nothing when empty), then speaks TLS."""
    context = authority.server("localhost")

    def talk(link: socket.socket, closing: threading.Event) -> None:
        if first:
            link.recv(8)
            link.sendall(first)
        with context.wrap_socket(link, server_side=True) as inside:
            inside.recv(4096)
            inside.sendall(last)
            inside.recv(4096)

    return talk


def test_postgres_is_asked_over_tls_when_it_offers_it(authority: Authority) -> None:
    recorded = RECORDED["postgres-hostssl"]
    reply = bytes.fromhex(recorded["replies"][1])
    with peer(_secured(authority, b"S", reply)) as (port, connections):
        _, answer = told("PostgreSQL", port)
    assert answer == Answer(**EXPECTED["postgres-hostssl"])
    assert len(connections) == 1


def test_redis_that_speaks_tls_only_is_asked_again(authority: Authority) -> None:
    reply = bytes.fromhex(RECORDED["redis-tls-only"]["replies"][1])
    with peer(reset, _secured(authority, b"", reply)) as (port, connections):
        transcript, answer = told("Redis", port)
    assert answer == Answer(**EXPECTED["redis-tls-only"])
    assert (transcript["secured"], len(connections)) == (True, 2)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("talk", [hang, close, reset, half_closed, drip, flood], ids=lambda talk: talk.__name__)
def test_bad_peers_cost_their_time_and_say_nothing(kind: str, talk: Talk) -> None:
    with peer(talk) as (port, connections):
        started = time.monotonic()
        transcript, answer = told(kind, port, LIMIT)
        assert time.monotonic() - started < LIMIT + 0.5
    assert (answer.speaks, answer.authentication) == (False, None)
    assert transcript["reached"] is True
    assert transcript["fault"] or answer == FOREIGN or not any(transcript["replies"])
    assert sum(len(reply) for reply in transcript["replies"]) < 400_000
    assert 1 <= len(connections) <= 2


@pytest.mark.parametrize("kind", KINDS)
def test_a_port_that_nobody_listens_on(kind: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    transcript, answer = told(kind, port, LIMIT)
    assert (transcript["reached"], transcript["fault"], answer) == (False, "connexion refusée", Answer())


def test_a_reset_as_soon_as_the_connection_opens_comes_from_somebody(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(*given: object, **more: object) -> socket.socket:
        raise ConnectionResetError(104, "Connection reset by peer")

    monkeypatch.setattr(socket, "create_connection", connect)
    transcript, answer = told("Redis", 1, LIMIT)
    assert (transcript["reached"], answer.speaks) == (True, False)


def test_an_address_that_is_not_reached_says_nothing_of_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(*given: object, **more: object) -> socket.socket:
        raise OSError(113, "No route to host")

    monkeypatch.setattr(socket, "create_connection", connect)
    transcript, _ = told("Redis", 1)
    assert (transcript["reached"], transcript["fault"]) == (None, "machine injoignable")
