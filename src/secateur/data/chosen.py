"""The one reader of which records somebody means: indices, or a mask of all of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from secateur.errors import DataError
from secateur.types import IntArray

__all__ = ["chosen_rows"]


def chosen_rows(what: str, value: Any, n: int) -> IntArray:
    """Return the indices `[chosen]`, in their order, of the records that a caller names.

    Args:
        what: the caller's word for it, with which messages begin.
        value: whole numbers, each once, in 0 .. n - 1; or a mask, `bool[n]`.
        n: how many records there are.

    Raises:
        DataError: nothing is chosen, another form, an index that is out of range or there twice;
            whole numbers 0 and 1 for all records, which may be a mask and may be two records.

    Example:
        >>> chosen_rows("members", [True, False, True], 3).tolist()
        [0, 2]
        >>> chosen_rows("members", [2, 0], 3).tolist()
        [0, 2]
    """
    found = _array(what, value, n)
    if found.dtype.kind == "b":
        if found.shape != (n,):
            raise DataError(
                f"{what} is a mask of shape {found.shape}, but there are {n} records; give one "
                "value for each"
            )
        found = np.flatnonzero(found)
    if not found.size:
        raise DataError(f"{what} is empty: an audit needs members and non-members")
    if found.ndim != 1 or found.dtype.kind not in "iu":
        raise DataError(
            f"{what} must be indices or a mask of the {n} records, got {found.dtype} of shape "
            f"{found.shape}; give whole numbers, or True and False"
        )
    return _checked(what, found, n)


def _array(what: str, value: Any, n: int) -> Any:
    try:
        return np.asarray(value)
    except (ValueError, TypeError) as error:  # of a pair (inputs, labels), or on a device
        raise DataError(
            f"{what} must be indices or a mask of the {n} records, got {type(value).__name__}; "
            "leave the records out to hand members and non-members over themselves"
        ) from error


def _checked(what: str, found: Any, n: int) -> IntArray:
    low, high = int(found.min()), int(found.max())
    if low < 0 or high >= n:
        raise DataError(
            f"{what} holds indices {low} .. {high}, but there are {n} records, 0 .. {n - 1}; give "
            "the place of each in the records"
        )
    rows: IntArray = np.sort(found).astype(np.int64)
    twice = rows[1:][rows[1:] == rows[:-1]]
    if len(rows) == n > 1 and high <= 1:
        raise DataError(
            f"{what} is {n} whole numbers, all 0 or 1, for {n} records: as indices they would name "
            "the first two records again and again; of a mask give mask.astype(bool), of records "
            "their indices"
        )
    if twice.size:
        raise DataError(
            f"{what} names {len(np.unique(twice))} records more than once, the first is index "
            f"{twice[0]}; give each once, np.unique(indices) if that is meant"
        )
    return rows
