"""What can be seen of records before anything is trained: counts, ranges, twins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from secateur.data.twins import Nearest, blocks_of, content_keys, nearly_equal
from secateur.errors import DataError, InputError
from secateur.types import Records, derive_seed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from secateur.types import IntArray

__all__ = ["Equal", "Inspection", "Near", "inspect_records"]

SAMPLE = 1000
MOST_WORK = 4 * 10**11  # products of a default sample with all records: a minute on one core


@dataclass(frozen=True, kw_only=True)
class Equal:
    """Records whose inputs equal another one's, all compared with all.

    `records` have a twin, in `sets` of equal ones; `other_labels` sets hold different labels;
    `other_units` of the records have a twin of another unit. `across[(a, b)]` of part a's records
    have a twin in part b, which may be a itself.
    """

    records: int
    sets: int
    other_labels: int
    other_units: int
    across: Mapping[tuple[str, str], int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Near:
    """Nearest other records of a sample, searched among all records.

    `records` of the `sample` have a nearest one that is nearly but not exactly equal, `other_units`
    of them of another unit; `typical` is the median distance. `across[(a, b)]` of part a's sampled
    records have theirs in part b.
    """

    sample: int
    records: int
    other_units: int
    typical: float
    across: Mapping[tuple[str, str], int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """What was seen of records.

    `classes[c]` records have the label c; `values` are the smallest and the largest input;
    `groups[column][value]` and `parts[name]` count records; `shared_units` units own more than one
    record, `most_per_unit` at most.
    """

    name: str
    records: int
    input_shape: tuple[int, ...]
    classes: tuple[int, ...]
    digest: str
    values: tuple[float, float]
    groups: Mapping[str, Mapping[str, int]]
    parts: Mapping[str, int]
    units: int
    shared_units: int
    most_per_unit: int
    equal: Equal
    near: Near

    @property
    def majority(self) -> float:
        """Share of the largest class, in [0, 1]: the accuracy of always saying it."""
        return max(self.classes) / self.records


def inspect_records(
    records: Records,
    *,
    sample: int | None = None,
    seed: int = 0,
    parts: NDArray[Any] | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> Inspection:
    """Count classes, groups and units, and look for equal and nearly equal records.

    Equal ones are found among all records; nearly equal ones by the criterion of the audit's
    control, for a sample whose nearest other records are searched among all.

    Args:
        records: what to look at; read once, in blocks.
        sample: records whose neighbours are searched; by default 1,000, or fewer where that would
            take minutes.
        seed: of the sample.
        parts: `[records]`, such as "train" and "test": twins are counted within and across them.
        progress: called with records done, records in all and "inspection".

    Raises:
        InputError: a sample below 1 or beyond the records, or parts of another length.
        DataError: an input is NaN or infinite.

    Example:
        >>> from secateur.data import digits
        >>> found = inspect_records(digits(), sample=50)
        >>> found.records, found.values, found.equal.records, found.near.sample
        (1797, (0.0, 1.0), 0, 50)
    """
    labels = _parts(records, parts)
    search = Nearest(records, _sampled(records, sample, seed))
    keys, values = _scan(records, search, progress)
    per_unit = np.unique(_units(records), return_counts=True)[1]
    return Inspection(
        name=records.name,
        records=len(records),
        input_shape=records.input_shape,
        classes=tuple(np.bincount(records.labels, minlength=records.n_classes).tolist()),
        digest=records.digest,
        values=values,
        groups={name: _counts(column) for name, column in records.groups.items()},
        parts={} if parts is None else _counts(labels),
        units=len(per_unit),
        shared_units=int((per_unit > 1).sum()),
        most_per_unit=int(per_unit.max()),
        equal=_equal(keys, records, labels),
        near=_near(search, records, labels),
    )


def _parts(records: Records, parts: NDArray[Any] | None) -> NDArray[np.str_]:
    found = np.full(len(records), "all") if parts is None else np.asarray(parts).astype(str)
    if found.shape != (len(records),):
        raise InputError(
            f"parts need the shape ({len(records)},) of the records, got {found.shape}"
        )
    return found


def _sampled(records: Records, sample: int | None, seed: int) -> IntArray:
    n = len(records)
    if sample is not None and not 1 <= sample <= n:
        raise InputError(f"the sample must be in 1 .. {n} (all records), got {sample}")
    rng = np.random.default_rng(derive_seed(seed, "inspection"))
    return np.sort(rng.choice(n, sample or _affordable(records), replace=False))


def _scan(
    records: Records, search: Nearest, progress: Callable[[int, int, str], None] | None
) -> tuple[NDArray[np.void], tuple[float, float]]:
    """Read all records once: their content keys and the range of their values."""
    keys, low, high = [], np.inf, -np.inf
    if progress is not None:
        progress(0, len(records), "inspection")
    for start, block in blocks_of(records, beside=len(search.sample)):
        _refuse_not_finite(start, block)
        keys.append(content_keys(block))
        low, high = min(low, float(block.min())), max(high, float(block.max()))
        search.add(start, block)
        if progress is not None:
            progress(start + len(block), len(records), "inspection")
    return np.concatenate(keys), (low, high)


def _refuse_not_finite(start: int, block: NDArray[np.float32]) -> None:
    bad = np.flatnonzero(~np.isfinite(block).all(axis=1))
    if bad.size:
        raise DataError(
            f"the record at index {start + int(bad[0])} has an input that is NaN or infinite; "
            "remove or impute such records"
        )


def _affordable(records: Records) -> int:
    n, width = len(records), max(1, int(np.prod(records.input_shape)))
    return max(1, min(SAMPLE, n, MOST_WORK // (n * width)))


def _units(records: Records) -> IntArray:
    assert records.units is not None  # set by the type
    return records.units


def _counts(column: NDArray[Any]) -> dict[str, int]:
    values, counts = np.unique(column, return_counts=True)
    return {str(v): int(c) for v, c in zip(values.tolist(), counts.tolist(), strict=True)}


def _equal(keys: NDArray[np.void], records: Records, parts: NDArray[np.str_]) -> Equal:
    which, counts = np.unique(keys, return_inverse=True, return_counts=True)[1:]
    twins = np.flatnonzero(counts[which] > 1)
    of = which[twins]

    def kinds(column: NDArray[Any]) -> NDArray[np.intp]:
        """Count the different values of a column in each set."""
        pairs = np.unique(np.stack([of, np.unique(column, return_inverse=True)[1][twins]]), axis=1)
        return np.bincount(pairs[0], minlength=len(counts))

    names = np.unique(parts).tolist()
    within = {name: np.bincount(of[parts[twins] == name], minlength=len(counts)) for name in names}
    across = {
        (a, b): int((within[b][of[parts[twins] == a]] > (a == b)).sum())
        for a in names
        for b in names
    }
    return Equal(
        records=len(twins),
        sets=int((counts > 1).sum()),
        other_labels=int((kinds(records.labels) > 1).sum()),
        other_units=int((kinds(_units(records))[of] > 1).sum()),
        across=across,
    )


def _near(search: Nearest, records: Records, parts: NDArray[np.str_]) -> Near:
    distances, who = search.nearest
    near = nearly_equal(distances) & (distances > 0)  # equal ones are counted among all records
    mine, theirs = parts[search.sample[near]], parts[who[near]]
    names = np.unique(parts).tolist()
    units = _units(records)
    return Near(
        sample=len(distances),
        records=int(near.sum()),
        other_units=int((units[who[near]] != units[search.sample[near]]).sum()),
        typical=float(np.median(distances)),
        across={(a, b): int(((mine == a) & (theirs == b)).sum()) for a in names for b in names},
    )
