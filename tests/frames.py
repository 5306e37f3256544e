"""Frames as plain values, for tests to compare."""

from typing import Any

import pandas as pd


def rows(frame: pd.DataFrame, *columns: str) -> list[tuple[Any, ...]]:
    """The rows of a frame, in order: the given columns, unknown as None."""
    return [
        tuple(value if isinstance(value, tuple) or not pd.isna(value) else None for value in values)
        for values in zip(*(frame[column].tolist() for column in columns), strict=True)
    ]
