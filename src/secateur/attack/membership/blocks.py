"""Reference models' signals in blocks of records: moments and means, in and out, in one pass."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from secateur.types import BoolArray, IntArray

__all__ = [
    "Moments",
    "as_slice",
    "blocks",
    "columns",
    "count_inside",
    "masked_moments",
    "sided_log_means",
    "sided_moments",
]

BLOCK = 2**16  # values of a block: two of them in float64 fill a megabyte of cache
CANCELLED = 1e-4  # squares below this share of the sum that they are a difference of: summed anew
TINY = 1e-280


@dataclass(frozen=True, kw_only=True)
class Moments:
    """Per record: number of models, their centre, sum of squared deviations from the mean."""

    count: NDArray[np.int64]
    centre: NDArray[np.float64]
    squares: NDArray[np.float64]

    def pooled(self) -> float:
        """Return the variance within records, pooled over records, unbiased."""
        freedom = int(np.maximum(self.count - 1, 0).sum())
        return float(self.squares.sum() / freedom) if freedom else 1.0


def as_slice(indices: IntArray) -> slice | IntArray:
    """Return rising neighbours as a slice, so that they are read in place; others as they are.

    Example:
        >>> as_slice(np.array([3, 4, 5]))
        slice(3, 6, None)
    """
    n = len(indices)
    if n and indices[-1] - indices[0] == n - 1 and (n == 1 or (np.diff(indices) == 1).all()):
        return slice(int(indices[0]), int(indices[-1]) + 1)
    return indices


def columns(values: NDArray[Any], records: IntArray) -> NDArray[Any]:
    """Return columns of `[models, records]` in row order: in place where they are neighbours.

    `values[:, records]` itself is laid out column by column, and slow to read by rows.
    """
    where = as_slice(records)
    return values[:, where] if isinstance(where, slice) else np.take(values, where, axis=1)


def blocks(
    values: NDArray[Any], models: IntArray, records: IntArray, inside: BoolArray
) -> Iterator[tuple[slice, NDArray[np.float64], NDArray[np.float64]]]:
    """Read a signal in blocks of records that fit a processor's cache, whatever its dtype.

    Args:
        values: `[model, record]`, as stored; may be mapped into memory.
        models: which rows.
        records: which columns.
        inside: `[len(models), len(records)]`.

    Yields:
        Places in `records`; values in float64; 1 where inside and 0 elsewhere, in float64. Both
        arrays may be overwritten, and are used again.
    """
    rows, n = values[as_slice(models)], len(records)
    together = isinstance(as_slice(records), slice)
    if together:
        rows = columns(rows, records)
    width = min(_width(models), max(1, n))
    held, masks = np.empty((len(models), width)), np.empty((len(models), width))
    for first in range(0, n, width):
        where = slice(first, min(first + width, n))
        block, mask = held[:, : where.stop - first], masks[:, : where.stop - first]
        np.copyto(block, rows[:, where] if together else np.take(rows, records[where], axis=1))
        np.copyto(mask, inside[:, where])
        yield where, block, mask


def _width(models: IntArray) -> int:
    """Return how many records of so many models make a block."""
    return max(1, BLOCK // max(1, len(models)))


def sided_moments(
    values: NDArray[Any],
    models: IntArray,
    records: IntArray,
    inside: BoolArray,
    *,
    median: bool = False,
) -> tuple[Moments, Moments]:
    """Return moments over the models in, and over those out, of each record, in one pass.

    Args:
        values: `[model, record]`, as stored; read block by block.
        models: the reference models.
        records: the records that are asked for.
        inside: `[len(models), len(records)]`.
        median: centre by the median instead of the mean.
    """
    count, centre, squares, lost = _moments(values, models, records, inside)
    again = np.flatnonzero(lost.any(axis=0))
    width = _width(models)
    for at in (again[i : i + width] for i in range(0, len(again), width)):
        part = inside[:, at]
        _, centre[:, at], squares[:, at], lost = _moments(
            values, models, records[at], part, shifted=True
        )
        for side in range(2):
            still = at[lost[side]]
            if still.size:
                held = columns(values[as_slice(models)], records[still]).astype(np.float64)
                found = _two_pass(held, inside[:, still] == (side == 0))
                centre[side, still], squares[side, still] = found
    squares[count < 2] = 0.0
    if median:
        centre = _medians(values, models, records, inside)
    within, out = (
        Moments(count=k, centre=c, squares=s)
        for k, c, s in zip(count, centre, squares, strict=True)
    )
    return within, out


def _moments(
    values: NDArray[Any],
    models: IntArray,
    records: IntArray,
    inside: BoolArray,
    *,
    shifted: bool = False,
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64], BoolArray]:
    """Return counts, means, sums of squared deviations and where these cancelled, in and out.

    Each `[2, records]`; what did not cancel keeps at least ten digits. `shifted` sums differences
    from the first model's value, for records whose values lie far from 0 beside their spread: it
    saves most of them, saturated ones among them, from the much slower `_two_pass`.
    """
    shift = np.zeros(len(records))
    first, second = np.empty((2, len(records))), np.empty((2, len(records)))
    ones = np.ones(len(models))
    for where, block, mask in blocks(values, models, records, inside):
        if shifted:
            shift[where] = block[0]
            block -= shift[where]
        mask *= block
        for side, part in enumerate((mask, block)):
            np.matmul(ones, part, out=first[side, where])
            np.square(part, out=part)
            np.matmul(ones, part, out=second[side, where])
    scale = second[1].copy()
    for sums in (first, second):
        sums[1] -= sums[0]
    within = count_inside(inside)
    count = np.stack([within, len(models) - within])
    centre = first / np.maximum(count, 1)
    first *= centre
    second -= first
    if shifted:
        centre += shift
    return count, centre, second, (second < CANCELLED * scale) & (count > 1)


def _two_pass(
    values: NDArray[np.float64], mask: BoolArray
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and sum of squared deviations, exact where a difference of sums cancels."""
    n = mask.sum(axis=0)
    shift = values[mask.argmax(axis=0), np.arange(values.shape[1])]
    away = np.where(mask, values - shift, 0.0)
    mean = away.sum(axis=0) / n
    return shift + mean, np.where(mask, (away - mean) ** 2, 0.0).sum(axis=0)


def masked_moments(values: NDArray[Any], mask: BoolArray, *, median: bool = False) -> Moments:
    """Return moments over the models that a mask `[models, records]` selects.

    Args:
        values: `[models, records]`.
        mask: at least one model per record.
        median: centre by the median instead of the mean.
    """
    models, records = (np.arange(n) for n in values.shape)
    return sided_moments(values, models, records, mask, median=median)[0]


def _medians(
    values: NDArray[Any], models: IntArray, records: IntArray, inside: BoolArray
) -> NDArray[np.float64]:
    """Return the medians over models in and out, `[2, records]`; 0 where there is none."""
    found = np.zeros((2, len(records)))
    for where, block, _ in blocks(values, models, records, inside):
        for side, chosen in enumerate((inside[:, where], ~inside[:, where])):
            some = chosen.any(axis=0)
            held = np.where(chosen[:, some], block[:, some], np.nan)
            found[side, where][some] = np.nanmedian(held, axis=0)
    return found


def sided_log_means(
    values: NDArray[Any], models: IntArray, records: IntArray, inside: BoolArray
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the log of the mean of exp(values) over models in, and over those out, of a record.

    -inf where there is none. Arguments as in `sided_moments`.
    """
    found = np.full((2, len(records)), -np.inf)
    ones = np.ones(len(models))
    for where, block, mask in blocks(values, models, records, inside):
        largest = block.max(axis=0)
        block -= largest
        np.exp(block, out=block)
        count = ones @ mask
        mask *= block
        block -= mask  # what is in becomes 0 exactly
        for side, (part, n) in enumerate(((mask, count), (block, len(models) - count))):
            total = ones @ part
            safe = total > TINY
            found[side, where][safe] = np.log(total[safe] / n[safe]) + largest[safe]
            at = where.start + np.flatnonzero(~safe & (n > 0))  # far below the other side's
            if at.size:
                own = values[as_slice(models)][:, records[at]].astype(np.float64)
                own = np.where(inside[:, at] == (side == 0), own, -np.inf)
                found[side, at] = np.logaddexp.reduce(own) - np.log(n[at - where.start])
    return found[0], found[1]


def count_inside(inside: BoolArray) -> NDArray[np.int64]:
    """Return the number of models inside of each record, `[records]`."""
    total = np.zeros(inside.shape[1], dtype=np.int64)
    for first in range(0, len(inside), 127):  # what a byte can count
        total += np.add.reduce(inside[first : first + 127].view(np.int8), axis=0, dtype=np.int8)
    return total
