"""How a table is declared, and the frame that a declaration makes.

A table is declared once: its name, key and columns. The declaration makes the frame (nullable types, exact
columns, unique key, sorted rows), documents it, and drives its display. Unknown is `<NA>`, never 0, "" or -1.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pandas as pd

Kind = Literal["text", "prose", "integer", "bytes", "seconds", "flag", "instant", "list"]
Row = dict[str, Any]

# The pandas type of each kind. Text is the machine's own, shown as it is; prose is French; a list is a tuple of text.
DTYPES: dict[str, str] = {
    "text": "string",
    "prose": "string",
    "integer": "Int64",
    "bytes": "Int64",
    "seconds": "Float64",
    "flag": "boolean",
    "instant": "datetime64[us, UTC]",
    "list": "object",
}
_DTYPES: dict[str, Any] = {
    kind: pd.api.types.pandas_dtype(name) for kind, name in DTYPES.items()
}  # parsed once: frames are many

# What a value of each kind is in Python; instants are whatever pandas reads as one. pandas itself would turn a list
# into text and text into a number.
_TYPES: dict[Kind, type | tuple[type, ...]] = {
    "text": str,
    "prose": str,
    "integer": int,
    "bytes": int,
    "seconds": (int, float),
    "flag": bool,
    "list": (list, tuple),
}


@dataclass(frozen=True)
class Column:
    """One column: its name in code, its kind, and the French words that show and explain it.

    `words` are French words for the codes it holds, `missing` is what is shown for an unknown value.
    """

    name: str
    kind: Kind
    label: str
    description: str = ""
    words: Mapping[str, str] = field(default_factory=dict)
    missing: str = "—"


def _of(kind: Kind) -> Callable[..., Column]:
    def column(
        name: str, label: str, description: str = "", *, words: Mapping[str, str] | None = None, missing: str = "—"
    ) -> Column:
        return Column(name, kind, label, description, words or {}, missing)

    return column


# What a declaration is written with: `integer("port", "Port")`. Integers are identifiers or counts, shown without
# grouping; sizes are in bytes; durations in seconds; instants in UTC; several is a tuple of text.
text, prose, integer, size, seconds = _of("text"), _of("prose"), _of("integer"), _of("bytes"), _of("seconds")
flag, instant, several = _of("flag"), _of("instant"), _of("list")


@dataclass(frozen=True)
class Table:
    """One declared table. `source` is the collector that reads it, "" for a view computed from other tables."""

    name: str
    title: str
    description: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    source: str = ""

    @property
    def names(self) -> list[str]:
        """The names of the columns, in order."""
        return [column.name for column in self.columns]

    def column(self, name: str) -> Column:
        """The declaration of one column; raises KeyError."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(f"{self.name}.{name}")

    def frame(self, rows: Iterable[Row]) -> pd.DataFrame:
        """Make the frame of `rows`: exact columns, nullable types, sorted by key.

        A column that a row lacks is `<NA>`. Rows that are wholly equal count once.
        Raises ValueError for an unknown column, a value of the wrong kind, or two rows with the same key.
        """
        records = [dict(row) for row in rows]
        unknown = {name for record in records for name in record} - set(self.names)
        if unknown:
            raise ValueError(f"table {self.name}: unknown columns {sorted(unknown)}")
        columns = [
            _values([record.get(column.name) for record in records], column, self.name) for column in self.columns
        ]
        # Sorted before it is a frame: frames are many and small, and pandas takes longer to sort one than to make it.
        key = [columns[self.names.index(name)] for name in self.key]
        keys = [tuple((value is None, value) for value in values) for values in zip(*key, strict=True)]
        if len(set(keys)) == len(records):
            order = sorted(range(len(keys)), key=keys.__getitem__)
            return self._made([[values[place] for place in order] for values in columns])
        frame = self._made(columns)
        if self._repeated(frame).any():
            frame = frame.drop_duplicates(ignore_index=True)
            if (repeated := self._repeated(frame)).any():
                at = frame[repeated][list(self.key)].iloc[0].to_dict()
                raise ValueError(f"table {self.name}: key {list(self.key)} repeated: {at}")
        return frame.sort_values(list(self.key), ignore_index=True) if self.key else frame

    def _made(self, columns: list[list[Any]]) -> pd.DataFrame:
        """The frame of these values, by column."""
        arrays = {
            column.name: _array(values, column, self.name) for column, values in zip(self.columns, columns, strict=True)
        }
        return pd.DataFrame(arrays, copy=False)

    def _repeated(self, frame: pd.DataFrame) -> pd.Series:
        """Of each row, whether an earlier row has its key; a table without a key has one row."""
        return frame.duplicated(list(self.key)) if self.key else pd.Series(frame.index > 0, frame.index)


def _values(values: list[Any], column: Column, table: str) -> list[Any]:
    """The values of one column as its kind holds them, unknown as None."""
    try:
        if column.kind == "instant":
            # One value at a time: pandas would infer one format for the whole column, and Docker varies its own.
            return [None if is_unknown(value) else pd.Timestamp(value) for value in values]
        return [None if is_unknown(value) else _checked(value, column.kind) for value in values]
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"table {table}, column {column.name} ({column.kind}): {error}") from error


def _array(values: list[Any], column: Column, table: str) -> Any:
    """The values of one column as its declared type."""
    try:
        if column.kind == "list":
            return pd.Series([pd.NA if value is None else value for value in values], dtype=_DTYPES["list"])
        return pd.array(values, dtype=_DTYPES[column.kind])
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"table {table}, column {column.name} ({column.kind}): {error}") from error


def _checked(value: Any, kind: Kind) -> Any:
    """The value as a column of this kind holds it. Raises TypeError for a value of another kind."""
    # A bool is an int to Python, and no number to us.
    if not isinstance(value, _TYPES[kind]) or isinstance(value, bool) != (kind == "flag"):
        raise TypeError(f"unexpected {type(value).__name__}")
    if not isinstance(value, list | tuple):
        return value
    if not all(isinstance(item, str) for item in value):
        raise TypeError("unexpected item that is not text")
    return tuple(value)


def is_unknown(value: Any) -> bool:
    """Whether `value` is one of the ways Python and pandas say "not known"."""
    return value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and math.isnan(value))


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a frame as plain dicts, unknown as None: how pure functions read a table row by row.

    A frame is never changed, so its rows are made once and kept with it; each caller has its own copies.
    """
    kept: list[dict[str, Any]] | None = vars(frame).get("_records")
    if kept is None:
        columns = {name: [None if is_unknown(v) else v for v in frame[name].tolist()] for name in frame.columns}
        kept = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
        vars(frame)["_records"] = kept  # not set as an attribute: pandas would take it for a column
    return [row.copy() for row in kept]


@dataclass(frozen=True)
class View:
    """A table computed from others by a pure function whose parameters name its inputs."""

    table: Table
    compute: Callable[..., Iterable[Row]]


VIEWS: dict[str, View] = {}


def view(table: Table) -> Callable[[Callable[..., Iterable[Row]]], Callable[..., Iterable[Row]]]:
    """Register the decorated function as what computes `table`.

    The function's parameters name tables or other views; it returns rows. A parameter with a default is
    optional: it keeps its default when its table is absent.
    """

    def register(compute: Callable[..., Iterable[Row]]) -> Callable[..., Iterable[Row]]:
        VIEWS[table.name] = View(table, compute)
        return compute

    return register
