"""Frames of declared tables: exact columns, nullable types, unique keys, sorted rows."""

import datetime as dt
import random
from typing import Any

import pandas as pd
import pytest

from auditlib.facts.table import (
    DTYPES,
    Table,
    flag,
    instant,
    integer,
    is_unknown,
    prose,
    records,
    seconds,
    several,
    size,
    text,
)
from auditlib.facts.tables import TABLES

TABLE = Table(
    "things",
    "Choses",
    "Des choses.",
    ("name", "port"),
    (
        text("name", "Nom"),
        integer("port", "Port"),
        prose("told", "Dit"),
        size("weight", "Poids"),
        seconds("age", "Âge"),
        flag("live", "Vivant"),
        instant("born", "Né"),
        several("tags", "Étiquettes"),
    ),
)


def _one(**row: Any) -> dict[str, Any]:
    return records(TABLE.frame([{"name": "a", "port": 1, **row}]))[0]


@pytest.mark.parametrize("table", TABLES.values(), ids=list(TABLES))
def test_an_empty_table_has_its_types(table: Table) -> None:
    frame = table.frame([])
    assert list(frame.columns) == table.names
    assert [str(kind) for kind in frame.dtypes] == [DTYPES[column.kind] for column in table.columns]


def test_rows_keep_the_types_of_an_empty_table() -> None:
    full = TABLE.frame([{"name": "a", "port": 1}, {"name": "b", "port": 2, "weight": 5, "live": True, "tags": ["x"]}])
    assert list(full.dtypes) == list(TABLE.frame([]).dtypes)


@pytest.mark.parametrize("column", ["told", "weight", "age", "live", "born", "tags"])
@pytest.mark.parametrize("unknown", [None, pd.NA, pd.NaT, float("nan")])
def test_unknown_is_not_a_value(column: str, unknown: Any) -> None:
    assert _one()[column] is None
    assert _one(**{column: unknown})[column] is None


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
        ("born", "2026-11-23T10:15:00+02:00", pd.Timestamp("2026-11-23T08:15:00Z")),
        ("born", "2026-11-23T08:15:00.123456789Z", pd.Timestamp("2026-11-23T08:15:00.123456Z")),
        ("born", 1_795_421_700_000_000_000, pd.Timestamp("2026-11-23T08:15:00Z")),
        ("born", dt.datetime(2026, 11, 23, 8, 15, tzinfo=dt.UTC), pd.Timestamp("2026-11-23T08:15:00Z")),
    ],
)
def test_values_are_kept_exactly(column: str, value: Any, kept: Any) -> None:
    found = _one(**{column: value})[column]
    assert found == kept and type(found) is type(kept)


def test_a_large_priority_is_exact_beside_an_unknown_one() -> None:
    frame = TABLE.frame(
        [{"name": "a", "port": 9223372036854775806}, {"name": "b"}, {"name": "c", "port": 9223372036854775807}]
    )
    assert [row["port"] for row in records(frame)] == [9223372036854775806, None, 9223372036854775807]


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
        TABLE.frame([{"name": "a", "prot": 1}])


def test_a_repeated_key_is_refused_and_a_repeated_row_counts_once() -> None:
    row = {"name": "a", "port": 1, "tags": ["x"]}
    assert len(TABLE.frame([row, dict(row)])) == 1
    with pytest.raises(ValueError, match=r"key \['name', 'port'\] repeated: .*'a'"):
        TABLE.frame([row, {**row, "live": True}])


def test_a_table_without_a_key_has_one_row() -> None:
    single = Table("one", "Une", "Une.", (), (text("name", "Nom"),))
    assert len(single.frame([{"name": "a"}])) == 1
    with pytest.raises(ValueError, match="repeated"):
        single.frame([{"name": "a"}, {"name": "b"}])


def test_rows_are_sorted_by_key_whatever_their_order() -> None:
    keys = [("a", 2), ("a", 10), ("b", 1), ("b", None)]
    given = [{"name": name, "port": port} for name, port in keys]
    for seed in range(5):
        frame = TABLE.frame(random.Random(seed).sample(given, len(given)))
        assert [(row["name"], row["port"]) for row in records(frame)] == keys
        assert list(frame.index) == list(range(len(keys)))


def test_records_are_plain_values() -> None:
    row = _one(weight=1, age=0.5, live=True, told="x")
    assert {type(row[name]) for name in ("weight", "age", "live", "told")} == {int, float, bool, str}


def test_each_reader_has_rows_of_its_own() -> None:
    frame = TABLE.frame([{"name": "a", "port": 1, "tags": ["x"]}])
    first = records(frame)
    first[0]["name"] = "changed"
    first.clear()
    assert [row["name"] for row in records(frame)] == ["a"]
    assert [row["name"] for row in records(frame.assign(name="b"))] == ["b"]


def test_the_declaration_of_a_column() -> None:
    assert TABLE.column("weight").label == "Poids"
    with pytest.raises(KeyError, match=r"things\.prot"):
        TABLE.column("prot")


def test_declared_tables_are_whole() -> None:
    for table in TABLES.values():
        assert len(set(table.names)) == len(table.names)
        assert table.key and set(table.key) <= set(table.names)
        assert all(column.label[0].isupper() or column.label[0].isdigit() for column in table.columns)


@pytest.mark.parametrize("value", [0, "", False, (), 0.0, "nan"])
def test_nothing_is_not_unknown(value: Any) -> None:
    assert not is_unknown(value)
