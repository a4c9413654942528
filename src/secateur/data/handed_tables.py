"""Tables of pandas as numbers, and back: categories become their places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Column", "column_of", "decoded", "is_table", "places", "without"]


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of a table: `values` are its categories, empty where it holds numbers.

    `missing` of its values are not there.
    """

    name: Any
    dtype: Any
    values: tuple[Any, ...] = ()
    missing: int = 0


def is_table(value: object) -> bool:
    """Tell whether a value is a pandas table, without importing pandas."""
    return type(value).__module__.partition(".")[0] == "pandas" and hasattr(value, "columns")


def column_of(table: Any, name: str) -> Any:
    """Return the column of a table that has this name, as a text."""
    return table.iloc[:, [str(c) for c in table.columns].index(name)]


def without(table: Any, names: Sequence[str]) -> Any:
    """Return a table without the columns that have these names, as texts."""
    return table.iloc[:, [i for i, c in enumerate(table.columns) if str(c) not in names]]


def places(tables: Sequence[Any]) -> tuple[NDArray[np.float64], tuple[Column, ...]]:
    """Return tables of the same columns below each other as numbers, and what undoes it.

    Nothing is refused: what a column lacks is said in its `Column`.

    Args:
        tables: of pandas.

    Returns:
        Numbers as they are and categories as their places in sorted order, `[records, columns]`.
    """
    found = [
        _column(name, [t.iloc[:, i] for t in tables]) for i, name in enumerate(tables[0].columns)
    ]
    return np.stack([numbers for numbers, _ in found], axis=1), tuple(c for _, c in found)


def _column(name: Any, parts: Sequence[Any]) -> tuple[NDArray[np.float64], Column]:
    missing = sum(int(p.isna().sum()) for p in parts)
    arrays = [np.asarray(p) for p in parts]
    if all(a.dtype.kind in "fiub" for a in arrays):
        column = Column(name=name, dtype=parts[0].dtype, missing=missing)
        return np.concatenate(arrays).astype(np.float64), column
    values = np.concatenate([a.astype(object) for a in arrays])
    kept = sorted({(type(v).__name__, str(v)): v for v in values}.items())
    place = {key: i for i, (key, _) in enumerate(kept)}
    numbers = np.array([place[type(v).__name__, str(v)] for v in values], dtype=np.float64)
    categories = tuple(v for _, v in kept)
    return numbers, Column(name=name, dtype=parts[0].dtype, values=categories, missing=missing)


def decoded(inputs: NDArray[Any], columns: Sequence[Column]) -> Any:
    """Return the table that these numbers `[records, columns]` stand for."""
    import pandas

    made = {}
    for column, numbers in zip(columns, inputs.T, strict=True):
        if column.values:
            place = np.rint(numbers).astype(np.int64).clip(0, len(column.values) - 1)
            cells = [column.values[i] for i in place]
            made[column.name] = pandas.Series(cells, dtype=column.dtype)
        elif np.dtype(column.dtype).kind in "iub":
            made[column.name] = pandas.Series(np.rint(numbers)).astype(column.dtype)
        else:
            made[column.name] = pandas.Series(numbers.astype(np.float64)).astype(column.dtype)
    return pandas.DataFrame(made)
