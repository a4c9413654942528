"""Canaries after Aerni, Zhang and Tramer 2024: records that a network must memorise."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from secateur.data.planting import (
    check_count,
    choose_units,
    foreign_inputs,
    marked,
    other_labels,
    range_of,
)
from secateur.errors import MethodError
from secateur.types import PatchedSource, Records, derive_seed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from secateur.types import IntArray

__all__ = ["Mislabelled", "NearDuplicates", "OutOfDistribution"]


@dataclass(frozen=True, kw_only=True)
class Mislabelled:
    """Give records a wrong label, drawn evenly from the other classes.

    Args:
        count: how many, each of another unit.

    Example:
        >>> from secateur.data import digits
        >>> planted = Mislabelled(count=10)(digits(), seed=0)
        >>> int((planted.labels != digits().labels).sum())
        10

    Reference:
        aerni2024evaluations.
    """

    kind: ClassVar[str] = "canary"
    revision: ClassVar[int] = 1
    reference: ClassVar[str] = "aerni2024evaluations"

    count: int = 100

    def __post_init__(self) -> None:
        check_count(self.count)

    def __call__(self, records: Records, *, seed: int) -> Records:
        """Return the records with other labels at the canaries.

        Raises:
            InputError: fewer units without a canary than `count`.
        """
        rng = np.random.default_rng(derive_seed(seed, "mislabelled"))
        rows = choose_units(records, self.count, rng)
        labels = np.array(records.labels)
        labels[rows] = other_labels(labels[rows], records.n_classes, rng)
        return replace(records, labels=labels, groups=marked(records, {"mislabelled": rows}))


@dataclass(frozen=True, kw_only=True)
class OutOfDistribution:
    """Replace records by inputs from elsewhere, with labels drawn evenly from all classes.

    Args:
        count: how many, each of another unit.
        inputs: `shuffled` puts the replaced record's own values in random order, which suits tables
            and pictures; `noise` draws evenly between the smallest and the largest value of the
            data set.

    Example:
        >>> from secateur.data import digits
        >>> planted = OutOfDistribution(count=10)(digits(), seed=0)
        >>> int((planted.groups["canary"] == "out of distribution").sum())
        10

    Reference:
        aerni2024evaluations.

    Differs from the paper:
        whose inputs are pictures of another data set; pass such records as `others`.
    """

    kind: ClassVar[str] = "canary"
    revision: ClassVar[int] = 1
    reference: ClassVar[str] = "aerni2024evaluations"

    count: int = 100
    inputs: Literal["shuffled", "noise"] = "shuffled"

    def __post_init__(self) -> None:
        check_count(self.count)
        if self.inputs not in ("shuffled", "noise"):
            raise MethodError(f"inputs must be 'shuffled' or 'noise', got {self.inputs!r}")

    def __call__(self, records: Records, *, seed: int, others: Records | None = None) -> Records:
        """Return the records with foreign inputs and random labels at the canaries.

        Args:
            records: a whole data set.
            seed: of the choice and of what is drawn.
            others: records of another data set, whose inputs are taken instead.

        Raises:
            InputError: fewer units without a canary than `count`, or others that do not fit.
        """
        rng = np.random.default_rng(derive_seed(seed, "out of distribution"))
        rows = choose_units(records, self.count, rng)
        if others is None:
            values = self._made(records, rows, rng)
        else:
            values = foreign_inputs(records, others, self.count, rng)
        labels = np.array(records.labels)
        labels[rows] = rng.integers(records.n_classes, size=len(rows))
        return replace(
            records,
            labels=labels,
            source=PatchedSource(base=records.source, rows=rows, values=values),
            groups=marked(records, {"out of distribution": rows}),
        )

    def _made(
        self, records: Records, rows: IntArray, rng: np.random.Generator
    ) -> NDArray[np.float32]:
        own = records.gather(rows)
        if self.inputs == "noise":
            low, high = range_of(records, rng)
            return rng.uniform(low, high, size=own.shape).astype(np.float32)
        flat = rng.permuted(own.reshape(len(rows), -1), axis=1)
        return flat.reshape(own.shape)


@dataclass(frozen=True, kw_only=True)
class NearDuplicates:
    """Replace records by slightly changed copies of others, with another label.

    A copy and its original have their own coins. The originals are marked `duplicated`, so that
    they are audited beside the copies.

    Args:
        count: copies, each in the place of another unit's record.
        noise: of the copy, in standard deviations of the copied inputs, at least 0.
        mislabel: whether the copy has another label than its original.

    Example:
        >>> from secateur.data import digits
        >>> planted = NearDuplicates(count=5)(digits(), seed=0)
        >>> [int((planted.groups["canary"] == k).sum()) for k in ("near duplicate", "duplicated")]
        [5, 5]

    Reference:
        aerni2024evaluations.

    Differs from the paper:
        which finds near duplicates in the data set by an embedding; here they are made.
    """

    kind: ClassVar[str] = "canary"
    revision: ClassVar[int] = 1
    reference: ClassVar[str] = "aerni2024evaluations"

    count: int = 100
    noise: float = 0.05
    mislabel: bool = True

    def __post_init__(self) -> None:
        check_count(self.count)
        if not 0 <= self.noise < np.inf:
            raise MethodError(f"noise must be finite and at least 0, got {self.noise}")

    def __call__(self, records: Records, *, seed: int) -> Records:
        """Return the records with copies at the canaries.

        Raises:
            InputError: fewer units without a canary than twice `count`.
        """
        rng = np.random.default_rng(derive_seed(seed, "near duplicate"))
        chosen = choose_units(records, 2 * self.count, rng)
        rows, originals = chosen[: self.count], chosen[self.count :]
        own = records.gather(originals)
        low, high = range_of(records, rng)
        changed = own + self.noise * float(own.std()) * rng.normal(size=own.shape)
        labels = np.array(records.labels)
        labels[rows] = labels[originals]
        if self.mislabel:
            labels[rows] = other_labels(labels[originals], records.n_classes, rng)
        return replace(
            records,
            labels=labels,
            source=PatchedSource(
                base=records.source,
                rows=rows,
                values=np.clip(changed, low, high).astype(np.float32),
            ),
            groups=marked(records, {"near duplicate": rows, "duplicated": originals}),
        )
