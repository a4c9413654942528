"""Tables of pandas as numbers, and back: categories become their places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from secateur.errors import DataError, InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Column", "decoded", "encoded", "is_table"]


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of a table: `values` are its categories, empty where it holds numbers."""

    name: Any
    dtype: Any
    values: tuple[Any, ...] = ()


def is_table(value: object) -> bool:
    """Tell whether a value is a pandas table, without importing pandas."""
    return type(value).__module__.partition(".")[0] == "pandas" and hasattr(value, "columns")


def encoded(tables: Sequence[Any]) -> tuple[NDArray[np.float32], tuple[Column, ...]]:
    """Return tables of one form below each other as numbers, and what is needed to undo it.

    Raises:
        InputError: one of them is no table.
        DataError: other columns, or values that are missing.
    """
    if not all(map(is_table, tables)):
        raise InputError("give members and non-members both as tables, or neither")
    names = list(tables[0].columns)
    for table in tables[1:]:
        if list(table.columns) != names:
            other = sorted(map(str, set(table.columns) ^ set(names)))
            raise DataError(
                f"members and non-members have different columns, or in another order: "
                f"{', '.join(other[:8]) or 'the order'}; prepare both in the same way"
            )
    found, columns = [], []
    for name in names:
        values = [table[name] for table in tables]
        missing = sum(int(v.isna().sum()) for v in values)
        if missing:
            raise DataError(
                f"column {name!r} has {missing} missing values; remove or impute them before the "
                "audit"
            )
        numbers, column = _column(name, values)
        found.append(numbers)
        columns.append(column)
    return np.stack(found, axis=1).astype(np.float32), tuple(columns)


def _column(name: Any, parts: Sequence[Any]) -> tuple[NDArray[Any], Column]:
    arrays = [np.asarray(p) for p in parts]
    if all(a.dtype.kind in "fiub" for a in arrays):
        return np.concatenate(arrays).astype(np.float64), Column(name=name, dtype=parts[0].dtype)
    values = np.concatenate([a.astype(object) for a in arrays])
    kept = sorted({(type(v).__name__, str(v)): v for v in values}.items())
    place = {key: i for i, (key, _) in enumerate(kept)}
    numbers = np.array([place[type(v).__name__, str(v)] for v in values], dtype=np.float64)
    return numbers, Column(name=name, dtype=parts[0].dtype, values=tuple(v for _, v in kept))


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
