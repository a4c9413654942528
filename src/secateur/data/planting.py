"""Plant canaries before anybody draws who trains on what; what all kinds of canaries share.

A canary takes the place of a record of the data set. The column of groups `canary` says which
record is one, and of what kind, so that audits measure canaries as any other group.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from secateur.errors import DataError, InputError, MethodError
from secateur.types import Records, derive_seed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from secateur.types import IntArray

__all__ = [
    "CANARY",
    "NO_CANARY",
    "Canaries",
    "canary_indices",
    "check_count",
    "choose_units",
    "foreign_inputs",
    "holds_canaries",
    "marked",
    "other_labels",
    "plant",
    "range_of",
]

CANARY = "canary"
"""The name of the column of groups that says which record is a canary."""

NO_CANARY = "no"
"""What stands there of all other records."""

KINDS = ("mislabelled", "out of distribution", "near duplicate", "duplicated")
SAMPLE = 1000  # records from which the range of inputs is read


class Canaries(Protocol):
    """A way to plant canaries."""

    def __call__(self, records: Records, *, seed: int) -> Records:
        """Return the records with canaries in place of some of them."""
        ...


def plant(records: Records, canaries: Sequence[Canaries], *, seed: int) -> Records:
    """Plant canaries of several kinds, one after the other, never twice in one unit.

    Args:
        records: a whole data set.
        canaries: such as `[Mislabelled(count=100)]`.
        seed: each kind's own seed derives from it and its place.

    Example:
        >>> from secateur.data import Mislabelled, OutOfDistribution, digits
        >>> planted = plant(digits(), [Mislabelled(count=5), OutOfDistribution(count=5)], seed=0)
        >>> len(canary_indices(planted))
        10
    """
    for i, kind in enumerate(canaries):
        records = kind(records, seed=derive_seed(seed, "canaries", i))
    return records


def canary_indices(records: Records) -> IntArray:
    """Return the indices of the canaries, and of what they are copies of; empty without any.

    Give them to `draw(audited=...)`, so that no canary falls into the pool where accuracy is
    measured.
    """
    return np.flatnonzero(_column(records) != NO_CANARY)


def holds_canaries(records: Records) -> bool:
    """Tell whether the column `canary` is there and is that of planted canaries.

    Example:
        >>> from secateur.data import digits
        >>> holds_canaries(digits())
        False
    """
    column = records.groups.get(CANARY)
    return column is not None and set(map(str, np.unique(column))) <= {NO_CANARY, *KINDS}


def _column(records: Records) -> NDArray[np.str_]:
    if CANARY not in records.groups:
        return np.full(len(records), NO_CANARY)
    column = np.asarray(records.groups[CANARY]).astype(str)
    foreign = sorted(set(column.tolist()) - {NO_CANARY, *KINDS})
    if foreign:
        raise DataError(
            f"the records have a column of groups {CANARY!r} of their own, with values such as "
            f"{foreign[0]!r}; rename it, the name is taken by planted canaries"
        )
    return column


def marked(records: Records, kinds: dict[str, IntArray]) -> dict[str, NDArray[np.str_]]:
    """Return the columns of groups, with these records marked as canaries of these kinds."""
    column = _column(records).astype(f"<U{max(map(len, KINDS))}")
    for kind, rows in kinds.items():
        column[rows] = kind
    return {**records.groups, CANARY: column}


def check_count(count: int) -> None:
    """Refuse what is no number of canaries.

    Raises:
        MethodError: it is no whole number, or below 1.
    """
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise MethodError(f"count must be a whole number of at least 1, got {count!r}")


def choose_units(records: Records, count: int, rng: np.random.Generator) -> IntArray:
    """Return one record each of randomly chosen units without a canary.

    Raises:
        InputError: there are fewer such units.
    """
    assert records.units is not None  # set by Records
    taken = np.unique(records.units[canary_indices(records)])
    order = rng.permutation(len(records))
    free = order[~np.isin(records.units[order], taken)]
    first = np.sort(np.unique(records.units[free], return_index=True)[1])
    if len(first) < count:
        raise InputError(
            f"{count} canaries need as many units without one, but {records.name} has {len(first)} "
            "left; plant fewer"
        )
    chosen: IntArray = free[first[:count]]
    return chosen


def other_labels(labels: IntArray, classes: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return labels drawn evenly from all classes but the own one."""
    step = rng.integers(1, classes, size=len(labels))
    other: NDArray[np.int64] = (labels + step) % classes
    return other


def range_of(records: Records, rng: np.random.Generator) -> tuple[float, float]:
    """Return the smallest and the largest input value of a sample of the records."""
    sample = rng.permutation(len(records))[:SAMPLE]
    values = records.gather(np.sort(sample))
    return float(values.min()), float(values.max())


def foreign_inputs(
    records: Records, others: Records, count: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return inputs of randomly chosen other records.

    Raises:
        InputError: too few, or of another shape.
    """
    if others.input_shape != records.input_shape or len(others) < count:
        raise InputError(
            f"others must hold at least {count} records of the shape {records.input_shape}, got "
            f"{len(others)} of {others.input_shape}"
        )
    return others.gather(rng.permutation(len(others))[:count])
