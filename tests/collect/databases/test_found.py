"""Which containers and processes are databases, where their data is, and where they are asked."""

from typing import Any

import pytest

from auditlib.collect.databases.found import Found, find
from auditlib.facts.tables.host import Listener
from tests.conftest import payload

from .containers import container, volume


def only(*containers: dict[str, Any], local: bool = True) -> Found:
    [found] = find(list(containers), [], local=local)
    return found


def listener(process: str | None, port: int, address: str = "127.0.0.1", **more: Any) -> Listener:
    row = {"protocol": "tcp", "family": "ipv4", "address": address, "port": port, "pid": 7, "process": process}
    return Listener(**{**row, **more})


@pytest.mark.parametrize(
    ("image", "command", "exposed", "kind", "by"),
    [
        ("postgres:16-alpine", ("docker-entrypoint.sh", "postgres"), ["5432/tcp"], "PostgreSQL",
         ("image", "programme", "port")),
        ("ghcr.io/acme/my-db:1", ("docker-entrypoint.sh", "postgres"), [], "PostgreSQL", ("programme",)),
        ("pgvector/pgvector:pg16", ("docker-entrypoint.sh", "postgres"), [], "PostgreSQL", ("image", "programme")),
        ("mysql:8", ("docker-entrypoint.sh", "--default-authentication-plugin=x"), ["3306/tcp", "33060/tcp"], "MySQL",
         ("image", "port")),
        ("mariadb:11", ("docker-entrypoint.sh", "mariadbd"), [], "MySQL", ("image", "programme")),
        ("valkey/valkey:8", ("docker-entrypoint.sh", "valkey-server"), [], "Redis", ("image", "programme")),
        ("redis:7", ("docker-entrypoint.sh", "sh", "-c", "exec redis-server --requirepass $X"), [], "Redis",
         ("image", "programme")),
        ("acme:1", ("sh", "-c", "sleep 1; /usr/bin/mongod --bind_ip_all"), [], "MongoDB", ("programme",)),
        ("acme:1", ("tini", "--", "gosu", "redis", "redis-server"), [], "Redis", ("programme",)),
        ("mongo:7", ("docker-entrypoint.sh", "mongod"), ["27017/tcp"], "MongoDB", ("image", "programme", "port")),
        ("chromadb/chroma:1.0", ("dumb-init", "--", "chroma", "run"), ["8000/tcp"], "ChromaDB",
         ("image", "programme", "port")),
        ("acme:1", ("app",), ["6379/tcp"], "Redis", ("port",)),
    ],
)  # fmt: skip
def test_databases_by_image_program_and_port(
    image: str, command: tuple[str, ...], exposed: list[str], kind: str, by: tuple[str, ...]
) -> None:
    found = only(container("x", image, command=command, exposed=exposed))
    assert (found.kind, found.by, found.place) == (kind, by, "container")


@pytest.mark.parametrize(
    ("image", "command", "more"),
    [
        ("postgres:16", ("sh", "-c", "while true; do pg_dump -h postgres main; sleep 86400; done"), {}),
        ("postgres:16", ("docker-entrypoint.sh", "psql", "-h", "postgres"), {}),
        ("redis:7", ("sh", "-c", "exec sleep 3600"), {"exposed": ["6379/tcp"]}),
        ("acme:1", ("sh", "-c", "until pg_isready -h postgres; do sleep 1; done; exec app"), {}),
        ("wait-for:1", ("wait-for", "postgres", "5432"), {}),
        ("mongo-express:1", ("app",), {"exposed": ["8081/tcp"]}),
        ("oliver006/redis_exporter:1", ("app",), {"exposed": ["9121/tcp"]}),
        ("acme/web:1", ("uvicorn",), {"exposed": ["8000/tcp"]}),
        ("backup:1", ("restic",), {"mounts": [volume("/var/lib/postgresql/data")]}),
        ("", ("app",), {}),
    ],
)
def test_what_only_uses_a_database_is_none(image: str, command: tuple[str, ...], more: dict[str, Any]) -> None:
    assert find([container("x", image, command=command, **more)], [], local=True) == []


@pytest.mark.parametrize(
    ("command", "env", "mounts", "expected"),
    [
        (("postgres",), {}, [volume("/var/lib/postgresql/data")], ("/var/lib/postgresql/data", "données", True)),
        (("postgres",), {"PGDATA": "/var/lib/postgresql/data/pg"}, [volume("/var/lib/postgresql/data", "v")],
         ("/var/lib/postgresql/data/pg", "v", True)),
        (("postgres",), {"PGDATA": "/db"}, [volume("/var/lib/postgresql/data")], ("/db", None, False)),
        (("postgres", "-D", "/srv/pg"), {}, [volume("/srv", "a"), volume("/srv/pg", "b")], ("/srv/pg", "b", True)),
        (("postgres",), {}, [volume("/var/lib/postgresql", "v18")], ("/var/lib/postgresql", "v18", True)),
        (("postgres",), {}, [volume("/var/lib/postgresql/data", "", "tmpfs")],
         ("/var/lib/postgresql/data", "/var/", False)),
        (("postgres",), {}, [], ("/var/lib/postgresql/data", None, False)),
        (("postgres",), {}, [volume("/var/lib/postgresql/database")], ("/var/lib/postgresql/data", None, False)),
    ],
)  # fmt: skip
def test_where_the_data_is(
    command: tuple[str, ...], env: dict[str, str], mounts: list[dict[str, Any]], expected: tuple[Any, ...]
) -> None:
    facts = only(container("x", "postgres:16", command=command, env=env, mounts=mounts)).facts
    assert (facts.data_dir, facts.volume, facts.persistent) == expected


def test_names_are_read_and_passwords_are_not() -> None:
    env = {"POSTGRES_USER": "lalpha", "POSTGRES_DB": "main", "POSTGRES_PASSWORD": "hunter2", "POSTGRES_X": "hunter2"}
    found = only(container("x", "postgres:16", command=("postgres",), env=env))
    assert (found.facts.user, found.facts.names) == ("lalpha", ("main",))
    assert "hunter2" not in repr(found)
    check = {"Test": ["CMD-SHELL", "pg_isready -U u -d d"]}
    told = only(container("x", "postgres:16", command=("postgres",), check=check)).facts
    assert (told.user, told.names) == ("u", ("d",))


@pytest.mark.parametrize(
    ("command", "exposed", "port"),
    [
        (("postgres", "-c", "port=5433"), ["5432/tcp"], 5433),
        (("postgres", "-p", "5434"), [], 5434),
        (("redis-server", "--port", "7000"), ["6379/tcp"], 7000),
        (("redis-server", "--port", "beaucoup"), [], 6379),
        (("chroma", "run", "--port=9000"), ["8000/tcp"], 9000),
        (("mysqld", "--port=99999"), [], 3306),
    ],
)
def test_the_port(command: tuple[str, ...], exposed: list[str], port: int) -> None:
    assert only(container("x", command=command, exposed=exposed)).port == port


def test_doors_are_the_container_s_addresses_then_the_publications() -> None:
    ports = {"6379/tcp": [{"HostIp": "0.0.0.0", "HostPort": "6400"}, {"HostIp": "::", "HostPort": "6400"}]}
    redis = container("r", "redis:7", networks={"a": "172.18.0.2", "b": ""}, ports=ports)
    found = only(redis)
    shown = [(door.shown, door.via) for door in found.doors]
    assert shown == [("172.18.0.2:6379", "container"), ("127.0.0.1:6400", "published"), ("[::1]:6400", "published")]
    assert (found.facts.addresses, found.facts.published) == (("0.0.0.0:6400", "[::]:6400"), True)
    # Its containers are on another machine, or it does not run: nothing is asked.
    assert only(redis, local=False).doors == ()
    assert only({**redis, "State": {"Running": False}}).doors == ()


def test_networks_that_are_another_s() -> None:
    ports = {"6379/tcp": [{"HostIp": "127.0.0.1", "HostPort": "6400"}]}
    vpn = container("vpn", networks={"a": "172.18.0.9"}, ports=ports)
    inside = only(vpn, container("r", "redis:7", mode=f"container:{vpn['Id']}"))
    assert [door.shown for door in inside.doors] == ["172.18.0.9:6379", "127.0.0.1:6400"]
    assert (inside.facts.published, inside.facts.addresses) == (True, ("127.0.0.1:6400",))
    # Two containers that name each other, or one that is gone, end the search.
    lost = container("r", "redis:7", mode="container:gone")
    assert only(lost).doors == ()
    loop = container("r", "redis:7")
    loop["HostConfig"]["NetworkMode"] = f"container:{loop['Id']}"
    assert only(loop).doors == ()


def test_on_the_machine_s_network_the_listeners_tell_the_addresses() -> None:
    redis = container("r", "redis:7", mode="host")
    heard = [listener("redis-server", 6379, "0.0.0.0", container=redis["Id"])]
    [found] = find([redis], heard, local=True)
    assert [door.shown for door in found.doors] == ["127.0.0.1:6379"]
    assert (found.facts.addresses, found.facts.published) == (("0.0.0.0:6379",), None)


def test_databases_of_the_machine() -> None:
    heard = [
        listener("mariadbd", 3306, unit="mariadb.service", pid=1),
        listener("mariadbd", 3306, "::1", unit="mariadb.service", pid=1),
        listener("postgres", 5433, "0.0.0.0", unit="postgresql@15-main.service", pid=2),
        listener("redis-server", 6380, "10.0.0.1", pid=3),
        listener("redis-server", 6381, pid=4),
        listener(None, 27017, "0.0.0.0", pid=None),
        listener(None, 9000, "0.0.0.0", pid=None),
        listener("docker-proxy", 5432, "0.0.0.0", pid=5),
        listener("nginx", 80, pid=6),
        listener("python3", 5432, pid=8),
        listener("mongod", 27018, pid=9, protocol="udp"),
    ]
    found = find([], heard, local=True)
    assert [(one.name, one.kind, one.port, one.by, one.doors[0].shown) for one in found] == [
        ("mariadb.service", "MySQL", 3306, ("programme",), "127.0.0.1:3306"),
        ("postgresql@15-main.service", "PostgreSQL", 5433, ("programme",), "127.0.0.1:5433"),
        ("redis-server", "Redis", 6380, ("programme",), "10.0.0.1:6380"),
        ("redis-server:6381", "Redis", 6381, ("programme",), "127.0.0.1:6381"),
        ("MongoDB", "MongoDB", 27017, ("port",), "127.0.0.1:27017"),
    ]
    assert found[0].facts.addresses == ("127.0.0.1:3306", "[::1]:3306")


def test_a_port_that_a_container_publishes_is_no_database_of_the_machine() -> None:
    """Without root, docker-proxy is an unknown process."""
    ports = {"5432/tcp": [{"HostIp": "0.0.0.0", "HostPort": "5432"}]}
    found = find([container("x", "postgres:16", ports=ports)], [listener(None, 5432, "0.0.0.0", pid=None)], local=True)
    assert [one.name for one in found] == ["x"]


def test_the_reference_server() -> None:
    engine = payload("faulty", "engine")
    found = find(engine["containers"], [], local=True)
    assert {one.name: one.kind for one in found} == {"postgres": "PostgreSQL", "redis": "Redis", "chromadb": "ChromaDB"}
