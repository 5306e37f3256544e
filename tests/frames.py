"""Frames as plain values, for tests to compare."""

from typing import Any

import pandas as pd

from auditlib.facts.legacy import records


def rows(frame: pd.DataFrame, *columns: str) -> list[tuple[Any, ...]]:
    """The rows of a frame, in order: the given columns, unknown as None."""
    return [tuple(row[column] for column in columns) for row in records(frame)]
