"""How a table is declared: a class of rows, whose typed attributes carry their French label and description.

    @table("volumes", "Volumes", "Les volumes du moteur.", key=("name",), source="engine")
    class Volume(Row):
        name: str = text("Volume")
        size: int | None = octets("Taille")

The declaration makes the rows (typed, unique key, sorted), documents them, and drives their display. What makes the key
may be always known; every other column may be unknown, which is None, never 0, "" or -1.
"""

import dataclasses
import datetime as dt
import functools
import inspect
import math
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, TypeVar, cast, dataclass_transform

Kind = Literal["text", "prose", "integer", "bytes", "seconds", "flag", "instant", "list"]

# What a value of each kind is in Python, and what may be given for one. Text is the machine's own, shown as it is;
# prose is French; integers are identifiers or counts, shown without grouping; instants are in UTC.
_TYPES: dict[Kind, tuple[Any, type | tuple[type, ...]]] = {
    "text": (str, str),
    "prose": (str, str),
    "integer": (int, int),
    "bytes": (int, int),
    "seconds": (float, (int, float)),
    "flag": (bool, bool),
    "instant": (dt.datetime, (str, dt.datetime)),
    "list": (tuple[str, ...], (list, tuple)),
}


@dataclass(frozen=True)
class Column:
    """One column: its name in code, its kind, and the French words that show and explain it.

    `words` are French words for the codes it holds, `missing` is what is shown for an unknown value. A column that is
    not `optional` is always known.
    """

    name: str
    kind: Kind
    label: str
    description: str = ""
    words: Mapping[str, str] = field(default_factory=dict)
    missing: str = "—"
    optional: bool = True


def _of(kind: Kind) -> Callable[..., Any]:
    def column(label: str, description: str = "", *, words: Mapping[str, str] | None = None, missing: str = "—") -> Any:
        return field(default=None, metadata={"column": Column("", kind, label, description, words or {}, missing)})

    return column


# What a declaration is written with: `port: int | None = integer("Port")`. `octets` is a size in bytes, `seconds`
# a duration, `several` a tuple of text.
text, prose, integer, octets, seconds = _of("text"), _of("prose"), _of("integer"), _of("bytes"), _of("seconds")
flag, instant, several = _of("flag"), _of("instant"), _of("list")


class Row:
    """A row of a declared table: immutable, its columns are attributes, unknown is None."""

    __slots__ = ()
    table: ClassVar["Table"]


R = TypeVar("R", bound=Row)
R_co = TypeVar("R_co", bound=Row, covariant=True)
K = TypeVar("K")


class Rows(tuple[R_co, ...]):
    """The rows of a table, in the order of its key. Indexes are made once and kept."""

    def by(self, column: K) -> Mapping[K, R_co]:
        """The rows by a column, named by its class: `containers.by(Container.name)`. Of several rows, the last."""
        index: Mapping[K, R_co] = self._index("by", column, lambda key: {key(row): row for row in self})
        return index

    def grouped(self, column: K) -> Mapping[K, "Rows[R_co]"]:
        """The rows that share each value of a column, named by its class."""
        index: Mapping[K, Rows[R_co]] = self._index("grouped", column, self._groups)
        return index

    def _groups(self, key: Callable[[R_co], Any]) -> Mapping[Any, "Rows[R_co]"]:
        groups: dict[Any, list[R_co]] = {}
        for row in self:
            groups.setdefault(key(row), []).append(row)
        return {value: Rows(rows) for value, rows in groups.items()}

    def _index(self, kind: str, column: Any, make: Callable[[Callable[[R_co], Any]], Mapping[Any, Any]]) -> Any:
        """An index, made at its first use. On a class, the name of a column is the descriptor that reads it."""
        name = f"_{kind}_{column.__name__}"
        if name not in vars(self):
            vars(self)[name] = make(column.__get__)
        return vars(self)[name]


@dataclass(frozen=True, eq=False)
class Table:
    """A declared table, as data. `source` is the collector that reads it, "" for a view computed from other tables."""

    name: str
    title: str
    description: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    source: str
    row: type[Row]

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

    def rows(self, items: Iterable[Row | Mapping[str, Any]]) -> Rows[Any]:
        """The rows of `items`, sorted by key; a column that an item lacks is unknown. Equal items count once.

        Raises ValueError for an unknown column, a value of the wrong kind, a key that must be known and is not, or one
        that is repeated.
        """
        keyed: dict[tuple[Any, ...], Row] = {}
        for row in map(self._row, items):
            key = tuple((value is None, value) for value in self._key(row))
            if keyed.setdefault(key, row) != row:
                at = dict(zip(self.key, self._key(row), strict=True))
                raise ValueError(f"table {self.name}: key {list(self.key)} repeated: {at}")
        return Rows(keyed[key] for key in sorted(keyed))

    def _key(self, row: Row) -> tuple[Any, ...]:
        return tuple(getattr(row, name) for name in self.key)

    def _row(self, item: Row | Mapping[str, Any]) -> Row:
        """One row, each value as its column holds it."""
        values = asdict(item) if isinstance(item, Row) else item
        if unknown := values.keys() - set(self.names):
            raise ValueError(f"table {self.name}: unknown columns {sorted(unknown)}")
        held = {column.name: self._value(values.get(column.name), column) for column in self.columns}
        if isinstance(item, self.row) and all(held[name] is value for name, value in values.items()):
            return item
        return self.row(**held)

    def _value(self, value: Any, column: Column) -> Any:
        try:
            held = None if value is None else _held(value, column.kind)
        except (TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"table {self.name}, column {column.name} ({column.kind}): {error}") from error
        if held is None and not column.optional:
            raise ValueError(f"table {self.name}, column {column.name}: not known, though it always is")
        return held


def _held(value: Any, kind: Kind) -> Any:
    """The value as a column of this kind holds it. Raises TypeError for a value of another kind."""
    # A bool is an int to Python, and no number to us.
    if not isinstance(value, _TYPES[kind][1]) or isinstance(value, bool) != (kind == "flag"):
        raise TypeError(f"unexpected {type(value).__name__}")
    match value:
        case float():
            return None if math.isnan(value) else value
        case int() if kind == "seconds":
            return float(value)
        case int() if not -(2**63) <= value < 2**63:
            raise OverflowError("more than 64 bits")
        case list() | tuple():
            if not all(isinstance(item, str) for item in value):
                raise TypeError("unexpected item that is not text")
            return value if type(value) is tuple else tuple(value)
        case dt.datetime():
            return value if value.tzinfo is dt.UTC else _utc(value)
        case str() if kind == "instant":
            return _utc(dt.datetime.fromisoformat(value))
        case _:
            return value


def _utc(moment: dt.datetime) -> dt.datetime:
    """An instant in UTC; one that names no zone is in UTC already."""
    return moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else moment.astimezone(dt.UTC)


@dataclass_transform(kw_only_default=True, frozen_default=True)
def columns(cls: type[R]) -> type[R]:
    """Declare the decorated class as columns with which the rows of several tables begin."""
    return cast(type[R], dataclass(frozen=True, slots=True, kw_only=True)(cls))


@dataclass_transform(kw_only_default=True, frozen_default=True)
def table(
    name: str, title: str, description: str, *, key: tuple[str, ...], source: str = ""
) -> Callable[[type[R]], type[R]]:
    """Declare the decorated class as the rows of a table. Its key is made of the attributes that `key` names.

    Raises TypeError for a key that is no column, a type that is not that of its kind, or a column outside the key that
    cannot be unknown.
    """

    def declare(cls: type[R]) -> type[R]:
        row, hints = columns(cls), typing.get_type_hints(cls)
        declared = tuple(_column(column, hints[column.name]) for column in dataclasses.fields(cast(Any, row)))
        names = {column.name for column in declared}
        if not set(key) <= names or not {column.name for column in declared if not column.optional} <= set(key):
            raise TypeError(f"table {name}: the key is not made of columns, or a column outside it cannot be unknown")
        row.table = Table(name, title, description, key, declared, source, row)
        return row

    return declare


def _column(attribute: "dataclasses.Field[Any]", hint: Any) -> Column:
    declared: Column = attribute.metadata["column"]
    held = _TYPES[declared.kind][0]
    if hint != held and hint != held | None:
        raise TypeError(f"column {attribute.name}: {hint} is not {declared.kind}")
    return dataclasses.replace(declared, name=attribute.name, optional=hint != held)


def asdict(row: Row) -> dict[str, Any]:
    """The columns of a row by name, in order."""
    return {name: getattr(row, name) for name in row.table.names}


@functools.cache
def inputs(function: Callable[..., Any]) -> Mapping[str, bool]:
    """The tables and views that the parameters of a function name, and whether it can do without each.

    Raises ValueError for a parameter that does not have the name of the table whose rows it takes.
    """
    named = parameters(function)
    for name, parameter in named.items():
        arms = (parameter.annotation, *typing.get_args(parameter.annotation))
        for row in (typing.get_args(arm)[0] for arm in arms if typing.get_origin(arm) is Rows):
            if row.table.name != name:
                raise ValueError(f"{function}: parameter {name} takes rows of the table {row.table.name}")
    return {name: parameter.default is not parameter.empty for name, parameter in named.items()}


def parameters(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    """The parameters of a function; the `**tables` of a wrapper stand for those of what it wraps."""
    own = inspect.signature(function, follow_wrapped=False).parameters
    named = {**own, **inspect.signature(function).parameters}
    return {name: one for name, one in named.items() if one.kind is not one.VAR_KEYWORD}


@dataclass(frozen=True)
class View:
    """A table computed from others by a pure function whose parameters name its inputs."""

    table: Table
    compute: Callable[..., Iterable[Row]]


VIEWS: dict[str, View] = {}

Compute = TypeVar("Compute", bound=Callable[..., Iterable[Any]])


def view(row: type[Row]) -> Callable[[Compute], Compute]:
    """Register the decorated function as what computes the table of these rows.

    The function's parameters name tables or other views; it returns rows. A parameter with a default is optional: it
    keeps its default when its table is absent.
    """

    def register(compute: Compute) -> Compute:
        inputs(compute)
        VIEWS[row.table.name] = View(row.table, compute)
        return compute

    return register
