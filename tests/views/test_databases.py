"""Where databases are reachable from, and how they are tested by hand."""

from typing import Any

import pytest

from auditlib.facts.tables.databases import Database
from auditlib.views.databases import UNPUBLISHED, trial_commands
from auditlib.views.ports import EVERYWHERE, LOOPBACK, SPECIFIC
from tests.conftest import snapshot_of
from tests.frames import rows


def base(**columns: Any) -> Database:
    return Database(**{"database": "x", "kind": "Redis", "port": 6379, "names": (), "addresses": (), **columns})


@pytest.mark.parametrize(
    ("facts", "exposure"),
    [
        ({"addresses": ["0.0.0.0:6379", "[::]:6379"]}, EVERYWHERE),
        ({"addresses": ["127.0.0.1:6379", "[::1]:6379"]}, LOOPBACK),
        ({"addresses": ["10.0.0.1:6379"]}, SPECIFIC),
        ({"addresses": [], "published": False}, UNPUBLISHED),
        ({"addresses": [], "published": None}, None),
    ],
)
def test_exposure(facts: dict[str, Any], exposure: str | None) -> None:
    assert rows(snapshot_of(databases=[base(**facts)]).database_reach, "exposure") == [(exposure,)]


def test_neighbours_and_references() -> None:
    def named(name: str, project: str | None, state: str = "running") -> dict[str, Any]:
        return {"name": name, "state": state, "compose_project": project}

    def string(variable: str, **given: Any) -> dict[str, Any]:
        return {"container": "web", "variable": variable, "host": "h", "port": 6379, "target": "container", **given}

    facts = snapshot_of(
        databases=[base(database="cache", container="cache"), base(database="hôte", addresses=["127.0.0.1:3306"])],
        containers=[
            *[named("cache", "a"), named("web", "a"), named("autre", "b"), named("seul", None), named("x", "c")],
            named("arrêté", "d", "exited"),
        ],
        container_networks=[
            {"container": name, "network": network}
            for name, network in [
                *[("cache", "n1"), ("cache", "n2"), ("web", "n1"), ("autre", "n2"), ("seul", "n2"), ("arrêté", "n2")],
                ("x", "n3"),
            ]
        ],
        connection_strings=[
            string("A", kind="Redis", targets=["cache"]),
            string("B", kind=None, targets=["cache", "autre"], target="several"),
            string("C", kind="PostgreSQL", targets=["cache"]),
            string("D", kind="MySQL", target="host", port=3306),
            string("E", kind="MySQL", target="host", port=3307),
        ],
    )
    columns = ("database", "networks", "neighbours", "projects", "references")
    assert rows(facts.database_reach, *columns) == [
        ("cache", ("n1", "n2"), ("autre", "seul", "web"), ("b", "seul"), ("web A", "web B")),
        ("hôte", (), (), (), ("web D",)),
    ]


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"kind": "PostgreSQL", "container": "pg"},
         ["docker exec pg psql -U postgres -d postgres -c '\\l'",
          "docker exec pg psql -U postgres -d postgres -c 'SELECT now();'"]),
        ({"kind": "PostgreSQL", "addresses": ["0.0.0.0:5433"]}, ["pg_isready -h 127.0.0.1 -p 5433"]),
        ({"kind": "Redis", "addresses": ["[::]:6379"]}, ["redis-cli -h ::1 -p 6379 PING"]),
        ({"kind": "Redis", "product": "Valkey", "container": "v"}, ["docker exec v valkey-cli PING"]),
        ({"kind": "MySQL", "product": "MySQL", "container": "m"}, ["docker exec m mysqladmin ping"]),
        ({"kind": "MongoDB", "container": "m"}, ["docker exec m mongosh --eval 'db.hello()'"]),
        ({"kind": "ChromaDB", "container": "c", "asked_at": "172.18.0.2:8000", "note": "API v1."},
         ["curl -sS http://172.18.0.2:8000/api/v1/heartbeat"]),
        ({"kind": "ChromaDB", "addresses": ["[::]:8000"]}, ["curl -sS 'http://[::1]:8000/api/v2/heartbeat'"]),
        ({"kind": "Redis", "container": "a; rm -rf /"}, ["docker exec 'a; rm -rf /' redis-cli PING"]),
    ],
)  # fmt: skip
def test_trials(facts: dict[str, Any], expected: list[str]) -> None:
    assert trial_commands(base(**facts)) == expected
