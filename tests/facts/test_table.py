"""Declared tables: exact columns and types, unknown values, unique keys, sorted rows, and their frames."""

import datetime as dt
import random
from typing import Any

import pandas as pd
import pytest

from auditlib.facts.frames import DTYPES, frame
from auditlib.facts.table import (
    Row,
    Rows,
    Table,
    asdict,
    columns,
    flag,
    instant,
    integer,
    octets,
    prose,
    seconds,
    several,
    table,
    text,
)
from auditlib.facts.tables import TABLES


@table("things", "Choses", "Des choses.", key=("name", "port"))
class Thing(Row):
    name: str = text("Nom")
    port: int | None = integer("Port")
    told: str | None = prose("Dit")
    weight: int | None = octets("Poids")
    age: float | None = seconds("Âge")
    live: bool | None = flag("Vivant")
    born: dt.datetime | None = instant("Né")
    tags: tuple[str, ...] | None = several("Étiquettes")


TABLE = Thing.table
BORN = dt.datetime(2026, 11, 23, 8, 15, tzinfo=dt.UTC)


def _one(**row: Any) -> dict[str, Any]:
    return asdict(TABLE.rows([{"name": "a", "port": 1, **row}])[0])


@pytest.mark.parametrize("declared", TABLES.values(), ids=list(TABLES))
def test_the_frame_of_an_empty_table_has_its_types(declared: Table) -> None:
    made = frame(declared, declared.rows([]))
    assert list(made.columns) == declared.names
    assert list(made.dtypes) == [DTYPES[column.kind] for column in declared.columns]


def test_a_frame_keeps_the_types_of_an_empty_table_and_values_exactly() -> None:
    rows = TABLE.rows(
        [{"name": "a", "port": 2**63 - 1, "age": 3}, {"name": "b", "weight": 5, "live": True, "tags": ["x"]}]
    )
    made = frame(TABLE, rows)
    assert list(made.dtypes) == list(frame(TABLE, TABLE.rows([])).dtypes)
    assert made["port"].tolist() == [2**63 - 1, pd.NA]
    assert made["tags"].tolist() == [pd.NA, ("x",)]


@pytest.mark.parametrize("column", ["told", "weight", "age", "live", "born", "tags"])
def test_unknown_is_not_a_value(column: str) -> None:
    assert _one()[column] is None
    assert _one(**{column: None})[column] is None
    assert _one(age=float("nan"))["age"] is None


@pytest.mark.parametrize(
    ("column", "value", "kept"),
    [
        ("weight", 0, 0),
        ("weight", 9223372036854775807, 9223372036854775807),
        ("weight", -9223372036854775808, -9223372036854775808),
        ("told", "", ""),
        ("live", False, False),
        ("age", 0.1, 0.1),
        ("age", 3, 3.0),
        ("tags", [], ()),
        ("tags", ["b", "a", "b"], ("b", "a", "b")),
        ("born", "2026-11-23T10:15:00+02:00", BORN),
        ("born", "2026-11-23T08:15:00.123456789Z", BORN.replace(microsecond=123456)),
        ("born", "2026-11-23T08:15:00", BORN),
        ("born", BORN, BORN),
    ],
)
def test_values_are_kept_exactly(column: str, value: Any, kept: Any) -> None:
    found = _one(**{column: value})[column]
    assert found == kept and type(found) is type(kept)


def test_a_large_priority_is_exact_beside_an_unknown_one() -> None:
    rows = TABLE.rows([{"name": "a", "port": 2**63 - 2}, {"name": "b"}, {"name": "c", "port": 2**63 - 1}])
    assert [row.port for row in rows] == [2**63 - 2, None, 2**63 - 1]


@pytest.mark.parametrize(
    ("column", "wrong"),
    [
        ("port", "80"),
        ("port", 80.0),
        ("port", True),
        ("port", 2**63),
        ("port", 10**30),
        ("weight", 1.5),
        ("age", "3"),
        ("age", True),
        ("live", 1),
        ("live", "true"),
        ("told", 5),
        ("told", ["a"]),
        ("name", b"a"),
        ("name", {"password": "hunter2"}),
        ("born", "hier"),
        ("tags", "abc"),
        ("tags", 5),
        ("tags", {"a": 1}),
        ("tags", ["a", None]),
        ("tags", [["a"]]),
    ],
)
def test_a_value_of_another_kind_is_refused(column: str, wrong: Any) -> None:
    with pytest.raises(ValueError, match=f"^table things, column {column} ") as caught:
        _one(**{column: wrong})
    assert "hunter2" not in str(caught.value)


def test_an_unknown_column_is_refused() -> None:
    with pytest.raises(ValueError, match=r"unknown columns \['prot'\]"):
        TABLE.rows([{"name": "a", "prot": 1}])


def test_a_repeated_key_is_refused_and_a_repeated_row_counts_once() -> None:
    row = {"name": "a", "port": 1, "tags": ["x"]}
    assert len(TABLE.rows([row, dict(row)])) == 1
    with pytest.raises(ValueError, match=r"key \['name', 'port'\] repeated: .*'a'"):
        TABLE.rows([row, {**row, "live": True}])


def test_a_table_without_a_key_has_one_row() -> None:
    @table("alone", "Une", "Une.", key=())
    class Alone(Row):
        name: str | None = text("Nom")

    assert len(Alone.table.rows([{"name": "a"}])) == 1
    with pytest.raises(ValueError, match="repeated"):
        Alone.table.rows([{"name": "a"}, {"name": "b"}])


def test_what_the_key_always_holds_must_be_known() -> None:
    with pytest.raises(ValueError, match="table things, column name: not known"):
        TABLE.rows([{"port": 1}])


def test_rows_are_sorted_by_key_whatever_their_order() -> None:
    keys = [("a", 2), ("a", 10), ("b", 1), ("b", None)]
    given = [{"name": name, "port": port} for name, port in keys]
    for seed in range(5):
        rows = TABLE.rows(random.Random(seed).sample(given, len(given)))
        assert [(row.name, row.port) for row in rows] == keys


def test_rows_and_what_they_hold_cannot_be_changed() -> None:
    [row] = TABLE.rows([Thing(name="a", tags=("x",))])
    with pytest.raises(AttributeError):
        row.name = "changed"
    assert row == Thing(name="a", tags=("x",)) != Thing(name="a")


def test_rows_are_found_by_a_column() -> None:
    rows: Rows[Thing] = TABLE.rows([Thing(name="a", port=1), Thing(name="a", port=2), Thing(name="b")])
    assert rows.by(Thing.port)[2] is rows[1]
    assert [row.port for row in rows.grouped(Thing.name)["a"]] == [1, 2]
    assert rows.by(Thing.name) is rows.by(Thing.name)


def test_a_declaration_that_does_not_hold_is_refused() -> None:
    with pytest.raises(TypeError, match="column port: <class 'str'> is not integer"):

        @table("wrong", "T", "T.", key=("port",))
        class Mistyped(Row):
            port: str = integer("Port")

    with pytest.raises(TypeError, match="the key is not made of columns"):

        @table("wrong", "T", "T.", key=("prot",))
        class Misspelt(Row):
            port: int | None = integer("Port")

    with pytest.raises(TypeError, match="a column outside it cannot be unknown"):

        @table("wrong", "T", "T.", key=())
        class Certain(Row):
            port: int = integer("Port")


def test_columns_that_tables_share_come_first() -> None:
    @columns
    class Placed(Row):
        root: str = text("Racine")

    @table("placed", "Placés", "Placés.", key=("root", "name"))
    class Item(Placed):
        name: str = text("Nom")

    [row] = Item.table.rows([{"root": "/srv", "name": "a"}])
    assert asdict(row) == {"root": "/srv", "name": "a"} and isinstance(row, Placed)
    assert not hasattr(Placed, "table")


def test_the_declaration_of_a_column() -> None:
    assert TABLE.column("weight").label == "Poids"
    with pytest.raises(KeyError, match=r"things\.prot"):
        TABLE.column("prot")


def test_declared_tables_are_whole() -> None:
    for declared in TABLES.values():
        assert declared.key
        assert all(column.label[0].isupper() or column.label[0].isdigit() for column in declared.columns)
