"""What databases say on the wire: recorded answers of real servers, and whatever else may come."""

import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditlib.collect.databases import chroma, mongo, wire
from auditlib.collect.databases.ask import understand
from auditlib.collect.databases.wire import FOREIGN, Answer
from tests.conftest import PAYLOADS

RECORDED: dict[str, dict[str, Any]] = json.loads((PAYLOADS / "databases.json").read_text("utf-8"))
MONGO = {name: bytes.fromhex(raw) for name, raw in json.loads((PAYLOADS / "mongo.json").read_text("utf-8")).items()}
PG = {"speaks": True, "product": "PostgreSQL"}
REDIS = {"speaks": True, "product": "Redis", "version": "7.0.15", "authentication": "none"}
MARIADB = {"speaks": True, "product": "MariaDB"}
GREETING = {**MARIADB, "version": "10.11.19-MariaDB-0+deb12u1", "method": "mysql_native_password"}
UNKNOWN_ACCOUNT = "pg_hba.conf n’admet pas un compte inconnu depuis cette adresse"
FULL = "toutes ses connexions sont prises"

EXPECTED: dict[str, dict[str, Any]] = {
    "postgres-trust": {**PG, "authentication": "none", "method": "trust", "tls": False},
    "postgres-md5": {**PG, "authentication": "required", "method": "md5", "tls": False},
    "postgres-scram": {**PG, "authentication": "required", "method": "scram-sha-256", "tls": False},
    "postgres-password": {**PG, "authentication": "required", "method": "password", "tls": False},
    "postgres-reject": {
        **PG,
        "authentication": "refused",
        "method": "pg_hba.conf",
        "tls": False,
        "note": UNKNOWN_ACCOUNT,
    },
    "postgres-no-entry": {
        **PG,
        "authentication": "refused",
        "method": "pg_hba.conf",
        "tls": False,
        "note": UNKNOWN_ACCOUNT,
    },
    "postgres-hostssl": {**PG, "authentication": "required", "method": "scram-sha-256", "tls": True},
    "postgres-hostssl-cert": {
        **PG,
        "authentication": "refused",
        "method": "pg_hba.conf",
        "tls": True,
        "note": UNKNOWN_ACCOUNT,
    },
    "postgres-full": {**PG, "tls": False, "note": FULL},
    "redis-open": {**REDIS, "role": "primaire", "read_only": False},
    "redis-replica": {**REDIS, "role": "réplique", "read_only": True},
    "redis-requirepass": {"speaks": True, "authentication": "required", "method": "mot de passe"},
    "redis-acl-off": {"speaks": True, "authentication": "required", "method": "mot de passe"},
    "redis-acl-ping-only": {**REDIS, "version": None, "note": "le compte par défaut est restreint"},
    "redis-acl-nothing": {"speaks": True, "authentication": "none", "note": "le compte par défaut est restreint"},
    "redis-protected": {
        "speaks": True,
        "authentication": "refused",
        "note": "le mode protégé n’admet que cette machine",
    },
    "redis-max-clients": {"speaks": True, "note": FULL},
    "redis-tls-only": {**REDIS, "role": "primaire", "read_only": False, "tls": True},
    "redis-tls-clients": {
        "speaks": True,
        "authentication": "required",
        "method": "certificat",
        "tls": True,
        "note": "elle ne parle qu’en TLS",
    },
    "mariadb-greeting": {**GREETING, "tls": False},
    "mariadb-tls": {**GREETING, "tls": True},
    "mariadb-not-allowed": {
        **MARIADB,
        "authentication": "refused",
        "note": "aucun compte n’est admis depuis cette adresse",
    },
    "mariadb-full": {"speaks": True, "note": FULL},
}


@pytest.mark.parametrize("name", EXPECTED)
def test_real_servers(name: str) -> None:
    assert understand(RECORDED[name]["kind"], RECORDED[name]) == Answer(**EXPECTED[name])


def test_every_recording_is_expected() -> None:
    assert set(EXPECTED) == set(RECORDED)


@pytest.mark.parametrize("name", [name for name in EXPECTED if RECORDED[name]["replies"][-1]])
def test_answers_that_are_cut_say_no_more_than_the_whole(name: str) -> None:
    """At every length: no crash, and never an authentication that the whole answer does not have."""
    recorded = RECORDED[name]
    last = bytes.fromhex(recorded["replies"][-1])
    # A server that hangs up over TLS may want a certificate.
    known = {None, EXPECTED[name].get("authentication"), *(["required"] if recorded["secured"] else [])}
    for length in range(len(last)):
        replies = [*recorded["replies"][:-1], last[:length].hex()]
        cut = understand(recorded["kind"], {**recorded, "replies": replies})
        assert cut.authentication in known


@pytest.mark.parametrize("kind", ["PostgreSQL", "MySQL", "Redis", "MongoDB", "ChromaDB"])
@pytest.mark.parametrize(
    "raw",
    [
        b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n",
        b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
        b"220 mail ESMTP Postfix\r\n",
        b"\x00" * 200,
        b"\xff" * 200,
        b"N",
        b"S",
        b"+OK POP3 ready\r\n",
        b"-ERR unknown\r\n",
        b"E\x00\x00\x00\x04",
    ],
)
def test_another_protocol_is_foreign(kind: str, raw: bytes) -> None:
    told = {"replies": [raw.hex(), raw.hex(), raw.hex()], "reached": True, "secured": False, "fault": ""}
    if kind == "PostgreSQL" and raw.startswith(b"E\x00"):
        assert understand(kind, told).authentication is None
    else:
        assert understand(kind, told) == FOREIGN


@pytest.mark.parametrize("kind", ["PostgreSQL", "MySQL", "Redis", "MongoDB", "ChromaDB"])
@given(st.lists(st.binary(max_size=200), max_size=4), st.booleans())
def test_any_bytes_are_understood(kind: str, replies: list[bytes], secured: bool) -> None:
    told = {"replies": [raw.hex() for raw in replies], "reached": True, "secured": secured, "fault": ""}
    assert isinstance(understand(kind, told), Answer)
    for raw in replies:
        for whole in (wire.postgres_told, wire.mysql_whole, wire.redis_told, mongo.mongo_whole):
            assert whole(raw) in (True, False)


@given(st.data())
def test_real_answers_with_a_changed_byte_are_understood(data: st.DataObject) -> None:
    recorded = RECORDED[data.draw(st.sampled_from(sorted(RECORDED)))]
    raw = bytearray(bytes.fromhex(recorded["replies"][-1]) or b"\0")
    raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    answer = understand(recorded["kind"], {**recorded, "replies": [*recorded["replies"][:-1], raw.hex()]})
    assert isinstance(answer, Answer)


def test_the_questions_hold_no_password_and_an_account_that_nobody_has() -> None:
    assert bytes.fromhex("0000000804d2162f") == wire.SSL_REQUEST
    body = wire.startup()
    assert struct.unpack_from("!II", body) == (len(body), 196608)
    assert body[8:].split(b"\0") == [
        *[b"user", b"auditlib", b"database", b"postgres", b"application_name", b"auditlib"],
        *[b"", b""],
    ]
    assert b"AUTH" not in wire.REDIS


# MySQL and Redis, by their documented form


def _packet(body: bytes) -> bytes:
    return len(body).to_bytes(3, "little") + b"\0" + body


def test_mysql_eight() -> None:
    greeting = b"\x0a8.4.3\0" + b"\x01\0\0\0" + b"12345678\0" + b"\xff\xff" + b"\xff" + b"\x02\0" + b"\xff\xdf"
    greeting += b"\x15" + b"\0" * 10 + b"123456789012\0" + b"caching_sha2_password\0"
    assert wire.mysql(_packet(greeting)) == Answer(
        speaks=True, product="MySQL", version="8.4.3", method="caching_sha2_password", tls=True
    )


def test_mariadb_ten_hides_behind_an_old_version() -> None:
    greeting = b"\x0a5.5.5-10.6.18\0" + b"\x01\0\0\0" + b"12345678\0" + b"\0\0"
    answer = wire.mysql(_packet(greeting))
    assert (answer.product, answer.version, answer.method) == ("MariaDB", "10.6.18", None)


def test_a_machine_that_mysql_blocks() -> None:
    body = b"\xff\x69\x04Host '10.0.0.1' is blocked because of many connection errors"
    answer = wire.mysql(_packet(body))
    assert (answer.authentication, answer.note[:27]) == ("refused", "elle bloque cette machine a")


def test_valkey_says_its_own_name_and_version() -> None:
    info = b"# Server\r\nredis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.0.1\r\n"
    raw = b"+PONG\r\n" + b"$%d\r\n%b\r\n" % (len(info), info) + b"$0\r\n\r\n+OK\r\n"
    answer = wire.redis(raw)
    assert (answer.product, answer.version, answer.role) == ("Valkey", "8.0.1", None)


def test_redis_before_version_three() -> None:
    assert wire.redis(b"-ERR operation not permitted\r\n").authentication == "required"


def test_redis_that_loads_says_so() -> None:
    answer = wire.redis(b"-LOADING Redis is loading the dataset in memory\r\n" * 3)
    assert (answer.speaks, answer.authentication, answer.note) == (True, None, "elle charge ses données")


def test_postgres_that_starts_says_so() -> None:
    error = b"SFATAL\0VFATAL\0C57P03\0Mthe database system is starting up\0\0"
    answer = wire.postgres(b"N", b"E" + struct.pack("!I", len(error) + 4) + error)
    assert (answer.speaks, answer.note) == (True, "elle démarre, s’arrête ou se rétablit")


# MongoDB, by messages that PyMongo's encoder makes


def test_mongo_questions_are_those_of_its_own_driver() -> None:
    assert mongo.MONGO[0] == MONGO["ask-hello"]
    # The number of the request is the only difference.
    assert mongo.MONGO[2][:4] + mongo.MONGO[2][8:] == MONGO["ask-list"][:4] + MONGO["ask-list"][8:]


def test_mongo_open_to_all() -> None:
    assert mongo.mongo(MONGO["hello"], MONGO["build"], MONGO["listed"]) == Answer(
        speaks=True,
        product="MongoDB",
        version="7.0.14",
        authentication="none",
        role="primaire",
        read_only=False,
    )


def test_mongo_that_wants_an_account() -> None:
    answer = mongo.mongo(MONGO["secondary"], MONGO["refused"], MONGO["refused"])
    assert (answer.authentication, answer.method, answer.version) == ("required", "compte", None)
    assert (answer.role, answer.read_only) == ("réplique", False)


@given(st.sampled_from(["hello", "build", "listed"]), st.data())
def test_mongo_documents_that_are_cut_or_changed(name: str, data: st.DataObject) -> None:
    raw = bytearray(MONGO[name])
    raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(raw[: data.draw(st.integers(0, len(raw)))])
    assert isinstance(mongo.mongo(cut, cut, cut), Answer)


# ChromaDB


def _http(status: int, body: str) -> bytes:
    return (
        f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode()
    )


ALIVE = _http(200, '{"nanosecond heartbeat":1795599729467153053}')
GONE = _http(410, '{"error":"Unimplemented"}')


@pytest.mark.parametrize(
    ("replies", "expected"),
    [
        ([ALIVE + _http(200, '"1.0.0"') + _http(200, "[]")], ("none", None, "1.0.0", "API v2")),
        ([ALIVE + _http(200, '"1.0.0"') + _http(403, "{}")], ("required", "jeton (HTTP 403)", "1.0.0", "API v2")),
        ([_http(404, "{}"), ALIVE + _http(200, '"0.5.23"') + _http(401, "{}")],
         ("required", "jeton (HTTP 401)", "0.5.23", "API v1")),
        ([_http(404, "{}"), ALIVE], (None, None, None, "API v1")),
        ([ALIVE + GONE + GONE], (None, None, None, "API v2")),
        ([_http(401, "{}") * 3], ("required", "jeton (HTTP 401)", None, "")),
    ],
)  # fmt: skip
def test_chroma(replies: list[bytes], expected: tuple[str | None, ...]) -> None:
    answer = chroma.chroma(replies)
    assert answer.speaks
    assert (answer.authentication, answer.method, answer.version, answer.note) == expected


def test_another_web_server_on_the_port_of_chroma_is_foreign() -> None:
    assert chroma.chroma([_http(200, "<html></html>") * 3, _http(200, "{}")]) == FOREIGN


def test_chunked_answers_are_read() -> None:
    raw = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n"
    assert [reply.body for reply in chroma.replies(raw * 2)] == [b"abcde", b"abcde"]
    assert chroma.replies(raw[:-9]) == []
