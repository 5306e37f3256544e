"""Rows as dicts, for what does not read typed rows yet. Goes when nothing imports it."""

import math
from typing import Any

import pandas as pd

from auditlib.facts.table import Row, asdict

Record = Any  # typed where it is no dict any more


class _Record(dict[str, Any]):
    """A dict whose keys can be read as attributes, for functions that read typed rows already."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


def records(rows: Any) -> list[Record]:
    """The rows of a frame or of typed rows, as dicts, unknown as None."""
    if not isinstance(rows, pd.DataFrame):
        return [_Record(asdict(row) if isinstance(row, Row) else row) for row in rows]
    kept: list[Record] | None = vars(rows).get("_records")
    if kept is None:
        columns = {name: [None if is_unknown(v) else v for v in rows[name].tolist()] for name in rows.columns}
        kept = [_Record(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
        vars(rows)["_records"] = kept  # not set as an attribute: pandas would take it for a column
    return [_Record(row) for row in kept]


def is_unknown(value: Any) -> bool:
    """Whether `value` is one of the ways Python and pandas say "not known"."""
    return value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and math.isnan(value))
