"""Connection strings: what is read of them, what never is, and what their hosts are."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditlib.collect.databases.strings import resolve, strings
from tests.conftest import payload

from .containers import container


def read(**env: str) -> list[tuple[Any, ...]]:
    rows = strings([container("app", env=env)])
    return [(row.kind, row.scheme, row.host, row.port, row.database) for row in rows]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("postgres://u:p@db:5433/main", ("PostgreSQL", "postgres", "db", 5433, "main")),
        ("postgresql+asyncpg://u:p@db/main?ssl=require", ("PostgreSQL", "postgresql+asyncpg", "db", 5432, "main")),
        ("mysql+pymysql://u:p@DB.Exemple.fr/x", ("MySQL", "mysql+pymysql", "db.exemple.fr", 3306, "x")),
        ("redis://:p@cache:6379/0", ("Redis", "redis", "cache", 6379, "0")),
        ("rediss://cache", ("Redis", "rediss", "cache", 6379, None)),
        ("'redis://cache:6379'", ("Redis", "redis", "cache", 6379, None)),
        ("mongodb+srv://u:p@cluster.exemple.net/x", ("MongoDB", "mongodb+srv", "cluster.exemple.net", 27017, "x")),
        ("amqp://u:p@rabbit:5672/vhost", ("AMQP", "amqp", "rabbit", 5672, "vhost")),
        ("jdbc:postgresql://db:5432/main", ("PostgreSQL", "postgresql", "db", 5432, "main")),
        ("postgres://u:p@[fd00::2]:5432/main", ("PostgreSQL", "postgres", "fd00::2", 5432, "main")),
        # A password that was not escaped: the last @ ends it.
        ("postgres://u:p@ss/w:rd@db/main", ("PostgreSQL", "postgres", "db", 5432, "main")),
        # What could be a piece of a password leaves the host unknown.
        ("postgres://u:12?3@db/main", ("PostgreSQL", "postgres", None, None, None)),
        ("redis://h:6379?password=a@b", ("Redis", "redis", None, None, None)),
        ("postgres://u:${PASSWORD}/x", ("PostgreSQL", "postgres", None, None, None)),
        ("postgresql:///main?host=/run/postgresql", ("PostgreSQL", "postgresql", None, None, None)),
    ],
)
def test_addresses(value: str, expected: tuple[Any, ...]) -> None:
    assert read(DATABASE_URL=value) == [expected]


@pytest.mark.parametrize(
    "env",
    [
        {"HOME_URL": "https://exemple.fr/"},
        {"DATABASE_URL": ""},
        {"DATABASE_URL": "sqlite:///data.db"},
        {"REDIS_HOST": "0.0.0.0"},
        {"SMTP_HOST": "mail"},
        {"HOST": "db"},
        {"DB_HOST": "hunter2 hunter2"},
        {"DB_PORT": "5432"},
    ],
)
def test_what_is_no_connection_string(env: dict[str, str]) -> None:
    assert read(**env) == []


def test_several_hosts_are_several_rows() -> None:
    assert [row[2:4] for row in read(MONGO_URL="mongodb://u:p@a:27018,b/x")] == [("a", 27018), ("b", 27017)]


def test_hosts_and_ports_in_pairs() -> None:
    env = {"DB_HOST": "db", "DB_PORT": "5432", "DB_NAME": "main", "DB_PASSWORD": "hunter2"}
    assert read(**env) == [(None, None, "db", 5432, "main")]
    assert read(POSTGRES_HOST="pg") == [("PostgreSQL", None, "pg", 5432, None)]
    assert read(PGHOST="pg", PGPORT="5433", PGDATABASE="x") == [("PostgreSQL", None, "pg", 5433, "x")]
    assert read(WORDPRESS_DB_HOST="mysql:3307") == [(None, None, "mysql", 3307, None)]
    assert read(CHROMA_HOST="chroma") == [("ChromaDB", None, "chroma", 8000, None)]
    assert read(CHROMA_URL="http://chroma:8000") == [("ChromaDB", "http", "chroma", 8000, None)]


def test_a_database_s_own_variables_are_no_reference() -> None:
    assert strings([container("r", "redis:7", env={"REDIS_HOST": "redis"})]) == []


@given(st.from_regex(r"[A-Za-z0-9!$%&/=?+*_.:@#,\[\]-]{12,24}", fullmatch=True))
def test_nothing_of_a_password_is_kept(secret: str) -> None:
    """Whatever the password holds, no run of it longer than a scheme's separator stays, but what follows its last @."""
    kept = repr(read(DATABASE_URL=f"postgres://user:{secret}@serveur/main"))
    assert secret not in kept
    assert "user" not in kept
    pieces = {secret[start : start + 6] for start in range(len(secret) - 6)}
    assert [piece for piece in pieces if piece in kept] == []


@given(st.text(max_size=60), st.text(max_size=60))
def test_any_environment_is_read(name: str, value: str) -> None:
    strings([container("app", env={name: value, "DATABASE_URL": f"redis://{value}", "REDIS_HOST": value})])


# Resolution


def end(address: str, *aliases: str, gateway: str = "172.18.0.1") -> dict[str, Any]:
    return {"IPAddress": address, "Aliases": list(aliases), "Gateway": gateway}


APP = container("app", networks={"net": end("172.18.0.2", "api")}, extra=["machine:host-gateway", "nas:10.0.0.5"])
DB = container("x-db-1", networks={"net": end("172.18.0.3", "db", "DB-Principal")})
OTHER = container("other-db", networks={"autre": end("172.19.0.3", "db", "cachée")})
HOST = container("h", mode="host", networks={"host": end("")})
BRIDGE = container("b", networks={"bridge": end("172.17.0.2")}, links=["/x-db-1:/b/lié"])
INSIDE = container("i", mode=f"container:{APP['Id']}")
ALL = [APP, DB, OTHER, HOST, BRIDGE, INSIDE]


@pytest.mark.parametrize(
    ("of", "host", "expected"),
    [
        (APP, "db", ("container", ["x-db-1"], ["net"])),
        (APP, "db-principal", ("container", ["x-db-1"], ["net"])),
        (APP, "x-db-1.", ("container", ["x-db-1"], ["net"])),
        (INSIDE, "db", ("container", ["x-db-1"], ["net"])),
        (APP, "cachée", ("unresolved", [], [])),
        (APP, "nulle-part", ("unresolved", [], [])),
        (APP, "db.exemple.fr", ("external", [], [])),
        (APP, "localhost", ("container", ["app", "i"], [])),
        (HOST, "127.0.0.1", ("host", [], [])),
        (HOST, "db", (None, [], [])),
        (APP, "machine", ("host", [], [])),
        (APP, "host.docker.internal", ("unresolved", [], [])),
        (APP, "172.18.0.1", ("host", [], [])),
        (APP, "172.18.0.3", ("container", ["x-db-1"], ["net"])),
        (APP, "172.19.0.3", ("container", ["other-db"], [])),
        (APP, "nas", ("external", [], [])),
        (BRIDGE, "x-db-1", ("unresolved", [], [])),
        (BRIDGE, "lié", ("container", ["x-db-1"], [])),
        (APP, None, (None, [], [])),
    ],
)  # fmt: skip
def test_what_a_host_is(of: dict[str, Any], host: str | None, expected: tuple[Any, ...]) -> None:
    assert tuple(resolve(of, host, ALL)) == expected


def test_two_containers_of_one_name_are_several_unless_one_is_stopped() -> None:
    twin = container("twin", networks={"net": end("172.18.0.9", "db")})
    assert resolve(APP, "db", [*ALL, twin]).kind == "several"
    assert resolve(APP, "db", [*ALL, twin]).containers == ["twin", "x-db-1"]
    stopped = {**twin, "State": {"Running": False}}
    assert resolve(APP, "db", [*ALL, stopped]) == ("container", ["x-db-1"], ["net"])
    alone = {**DB, "State": {"Running": False}}
    assert resolve(APP, "db", [APP, alone]) == ("container", ["x-db-1"], ["net"])


@pytest.mark.parametrize("variant", ["faulty", "healthy"])
def test_the_reference_server(variant: str) -> None:
    rows = strings(payload(variant, "engine")["containers"])
    prefix = "unified-" if variant == "healthy" else ""
    assert [(row.container, row.variable, row.targets) for row in sorted(rows, key=lambda r: r.variable)] == [
        ("media-api", "DATABASE_URL", (f"{prefix}postgres",)),
        ("media-api", "REDIS_URL", (f"{prefix}redis",)),
    ]
    assert "CANARI" not in repr(rows)
    assert "lalpha" not in repr(rows)
