"""Rows as a pandas frame: what a person in a notebook works with. The audit itself reads rows."""

from typing import Any

import pandas as pd

from auditlib.facts.table import Column, Row, Rows, Table

# The pandas type of each kind; a list is a tuple of text.
DTYPES: dict[str, Any] = {
    kind: pd.api.types.pandas_dtype(name)
    for kind, name in {
        "text": "string",
        "prose": "string",
        "integer": "Int64",
        "bytes": "Int64",
        "seconds": "Float64",
        "flag": "boolean",
        "instant": "datetime64[us, UTC]",
        "list": "object",
    }.items()
}


def frame(table: Table, rows: Rows[Row]) -> pd.DataFrame:
    """The frame of the rows of a table: its columns in their order, nullable types, unknown as `<NA>`."""
    arrays = {column.name: _array([getattr(row, column.name) for row in rows], column) for column in table.columns}
    return pd.DataFrame(arrays, copy=False)


def _array(values: list[Any], column: Column) -> Any:
    if column.kind == "list":
        return pd.Series([pd.NA if value is None else value for value in values], dtype=DTYPES["list"])
    return pd.array(values, dtype=DTYPES[column.kind])
