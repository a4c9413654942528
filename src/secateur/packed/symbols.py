"""Values as whole numbers, and back: bit for bit, half precision, int8 by channel, a codebook."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from secateur.errors import InputError
from secateur.packed.form import (
    DTYPES,
    EXACT,
    LOSSY,
    MAX_ENTRIES,
    TABLE,
    Coded,
    refuse,
)
from secateur.packed.positions import CHUNK, Places

__all__ = ["codes", "decoded", "rotated"]

_LEVELS = 127
_ROUNDS = 50
_FEW = 64  # values: a table would be as long as they are
_PER_ENTRY = 16
Array = NDArray[Any]


def codes(name: str, array: Array, values: str) -> tuple[str, Array, Array]:
    """Return how an array's values are coded, each as a whole number, and the table.

    A value is left out of a sparse layout where its number is 0, so a codebook's begin with 1, and
    the table's first entry is 0. Tables are rounded to the upper half of a float32.

    Args:
        name: for the messages.
        array: native, of a type that is stored.
        values: `float32` for bit for bit; lossy ones take floating-point arrays of two and more
            axes, others stay as they are.

    Returns:
        The coding, numbers `[size]`, table `[entries]`.

    Raises:
        InputError: a lossy coding of values that are not finite or beyond its range.
    """
    flat = array.reshape(-1)
    exact = flat.view(f"<u{array.dtype.itemsize}")
    none = np.zeros(0, TABLE)
    lossy = values in LOSSY and array.dtype.kind == "f" and array.ndim > 1 and array.size > 0
    if not lossy or (values == "codebook" and np.count_nonzero(flat) < _FEW):
        return EXACT, exact, none
    _refuse_not_finite(name, flat, values)
    if values == "float16":
        return _halves(name, flat)
    if values == "int8":
        return _levels(name, array)
    return _entries(name, flat)


def _refuse_not_finite(name: str, flat: Array, values: str) -> None:
    wrong = int(np.count_nonzero(~np.isfinite(flat)))
    if wrong:
        raise InputError(
            f"{wrong} values of {name!r} are NaN or infinite, which values={values!r} cannot "
            "hold; use values='float32', which keeps every bit"
        )


def _halves(name: str, flat: Array) -> tuple[str, Array, Array]:
    with np.errstate(over="ignore"):
        half = np.where(flat == 0, 0, flat).astype("<f2")  # no sign of a zero
    if np.isinf(half).any():
        raise InputError(
            f"{name!r} holds {np.abs(flat).max():g}, beyond the 65504 of float16; use "
            "values='float32'"
        )
    half[half == 0] = 0
    return "float16", half.view("<u2"), np.zeros(0, TABLE)


def _levels(name: str, array: Array) -> tuple[str, Array, Array]:
    rows = array.reshape(len(array), -1).astype(np.float64)
    scale = _rounded(name, np.abs(rows).max(axis=1) / _LEVELS, up=True)
    step = np.where(scale > 0, scale, 1).astype(np.float64)[:, None]
    level = np.clip(np.rint(rows / step), -_LEVELS, _LEVELS).astype(np.int8)
    return "int8", level.reshape(-1).view(np.uint8), scale


def _rounded(name: str, numbers: Array, *, up: bool = False) -> Array:
    """Return numbers with the low half of a float32 zero, so that they take two bytes."""
    with np.errstate(over="ignore"):
        bits = numbers.astype(TABLE).view("<u4").astype(np.uint64)
    upper = (bits + np.uint64(0xFFFF if up else 0x8000)) & np.uint64(0xFFFF0000)
    found: Array = upper.astype("<u4").view(TABLE)
    if not np.isfinite(found).all():
        raise InputError(
            f"{name!r} holds {np.abs(numbers).max():g}, too large for a table of float32; use "
            "values='float32', which keeps every bit"
        )
    return found


def _entries(name: str, flat: Array) -> tuple[str, Array, Array]:
    kept = flat != 0
    values = flat[kept].astype(np.float64)
    distinct = np.unique(values)
    with np.errstate(over="ignore"):
        as_table = distinct.astype(TABLE)
    entries = min(MAX_ENTRIES, max(_FEW // 4, len(values) // _PER_ENTRY))
    if len(distinct) > entries or (as_table != distinct).any() or not as_table.all():
        as_table = np.unique(_rounded(name, _centres(values, entries)))
        as_table = as_table[as_table != 0]
    middle = (as_table[1:].astype(np.float64) + as_table[:-1]) / 2
    numbers = np.zeros(len(flat), np.uint8)
    numbers[kept] = 1 + np.searchsorted(middle, values)
    return "codebook", numbers, np.concatenate([np.zeros(1, TABLE), as_table])


def _centres(values: Array, entries: int) -> Array:
    """Return Lloyd's k-means of numbers; it draws nothing.

    It begins where many centres of a smooth density would end: their density is that of the
    numbers to the power 1/3 (bennett1948spectra), so a gap between neighbours weighs gap^(2/3).
    """
    ordered = np.sort(values)
    weight = np.concatenate([[0.0], np.cumsum(np.diff(ordered) ** (2 / 3))])
    sums = np.concatenate([[0.0], np.cumsum(ordered)])
    at = (np.arange(entries) + 0.5) / entries * weight[-1]
    centres: Array = np.interp(at, weight, ordered)
    for _ in range(_ROUNDS):
        cuts = np.searchsorted(ordered, (centres[1:] + centres[:-1]) / 2)
        ends = np.concatenate([[0], cuts, [len(ordered)]])
        counts = np.diff(ends)
        means = np.diff(sums[ends]) / np.maximum(counts, 1)
        moved = np.where(counts > 0, means, centres)
        if np.array_equal(moved, centres):
            break
        centres = np.sort(moved)
    return centres


def _values(entry: Coded, numbers: Array, table: Array, at: Array) -> Array:
    """Return the values of numbers that stand at these places."""
    dtype = DTYPES[entry.dtype]
    found: Array = numbers
    with np.errstate(all="ignore"):
        if entry.values == EXACT:
            return numbers.view(dtype)
        if entry.values == "float16":
            found = numbers.view("<f2")
        elif entry.values == "int8":
            scale = table[at // (entry.size // entry.shape[0])].astype(np.float64)
            found = numbers.view(np.int8) * scale
        elif numbers.size and int(numbers.max()) >= len(table):
            raise refuse(f"{entry.name[:80]!r} names an entry that its table does not have")
        else:
            found = table[numbers]
        return found.astype(dtype)


def decoded(entry: Coded, numbers: Array, table: Array, places: Places | None) -> Array:
    """Return the whole array, zeros included.

    Args:
        entry: how it is coded.
        numbers: `[stored]`, as `entry.symbol`.
        table: `[n_table]`.
        places: where the numbers stand, or None where all places have one.

    Raises:
        StoreError: a number that is not in the table, or places that are damaged.
    """
    if places is None:
        steps = range(0, entry.size, CHUNK)
        places = (np.arange(at, min(at + CHUNK, entry.size)) for at in steps)
    out = np.zeros(entry.size, DTYPES[entry.dtype])
    start = 0
    for at in places:
        out[at] = _values(entry, numbers[start : start + len(at)], table, at)
        start += len(at)
    return out.reshape(entry.shape).astype(out.dtype.newbyteorder("="), copy=False)


def rotated(numbers: Array, *, back: bool = False) -> Array:
    """Return whole numbers with the highest bit moved behind the lowest, or the other way.

    Example:
        >>> rotated(np.array([0x8003], "<u2")).tolist(), rotated(np.array([7], "<u2"), back=True)
        ([7], array([32771], dtype=uint16))
    """
    one, rest = numbers.dtype.type(1), numbers.dtype.type(8 * numbers.dtype.itemsize - 1)
    up, down = (rest, one) if back else (one, rest)
    turned: Array = (numbers << up) | (numbers >> down)
    return turned
