"""Inputs put together from two records: what a student may learn on, and where an attacker asks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from secateur.errors import DataError, MethodError
from secateur.types import POPULATION, derive_seed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from secateur.protocols import Perturbed
    from secateur.types import IntArray, Membership, Records

__all__ = ["PICTURES", "WAYS", "Recombinations", "Way", "check_way", "recombined"]

Way = Literal["features", "mixed", "patches"]
WAYS: tuple[Way, ...] = ("features", "mixed", "patches")
PICTURES = 4
"""Dimensions of several pictures: records, channels, height, width."""


def check_way(way: str, *, what: str) -> None:
    """Refuse an unknown way.

    Raises:
        MethodError: names it.
    """
    if way not in WAYS:
        raise MethodError(f"{what} must be one of {', '.join(WAYS)}, got {way!r}")


def recombined(
    one: NDArray[Any],
    other: NDArray[Any],
    *,
    way: Way,
    share: NDArray[np.float64],
    place: NDArray[np.float64],
    rng: np.random.Generator,
) -> NDArray[Any]:
    """Return inputs `[n, ...]` that are each put together from two.

    Args:
        one: first parents `[n, ...]`.
        other: second parents, of the same shape.
        way: `features` takes each feature (of pictures, each pixel with all its channels) from one
            parent or the other; `mixed` takes the weighted mean; `patches` puts a rectangle of the
            second picture into the first.
        share: of the first parent `[n]`, in [0, 1].
        place: of the rectangle `[n, 2]`, in [0, 1).
        rng: draws features, one record after the other.

    Raises:
        DataError: `patches` of what is no picture.
    """
    weight = share.reshape(-1, *[1] * (one.ndim - 1))
    if way == "mixed":
        return np.asarray(weight * one + (1 - weight) * other, dtype=one.dtype)
    pictures = one.ndim == PICTURES
    if way == "features":
        mine = rng.random((len(one), 1, *one.shape[2:]) if pictures else one.shape) < weight
        return np.where(mine, one, other)
    if not pictures:
        raise DataError(
            f"'patches' needs pictures [channels, height, width], and a record has the shape "
            f"{one.shape[1:]}; write 'features' or 'mixed'"
        )
    inside = np.ones((len(one), 1, 1), np.bool_)
    for axis, size in enumerate(one.shape[2:]):
        length = np.round(np.sqrt(1 - share) * size).astype(int)[:, None]
        begin = (place[:, [axis]] * (size - length + 1)).astype(int)
        along = (np.arange(size) >= begin) & (np.arange(size) < begin + length)
        inside = inside & np.expand_dims(along, 2 - axis)
    return np.where(inside[:, None], other, one)


@dataclass(frozen=True, kw_only=True)
class Recombinations:
    """Ask about a record's label at inputs put together from it and another record.

    Where students of `recombine=` were trained: at inputs of which the record is one parent. Each
    query has another second parent, of the population, and all models are asked at the same inputs.

    Args:
        way: `features`, `mixed` or `patches`, see `recombined`.
        queries: how often each record is asked about, at least 1.
        least: of the record in an input, in [0, 1): its share is uniform from it to 1.
        seed: of parents, shares and features.

    Raises:
        MethodError: a number out of range, or an unknown way.

    Example:
        >>> len(Recombinations(queries=4))
        4
    """

    way: Way = "features"
    queries: int = 16
    least: float = 0.5
    seed: int = 0

    kind: ClassVar[str] = "perturbation"
    reference: ClassVar[str] = "long2018understanding"

    def __post_init__(self) -> None:
        check_way(self.way, what="way")
        if self.queries < 1 or not 0 <= self.least < 1:
            raise MethodError(
                f"queries must be at least 1 and least in [0, 1), got queries={self.queries}, "
                f"least={self.least}"
            )

    def __len__(self) -> int:
        """Return how often each record is asked about."""
        return self.queries

    def prepared(self, records: Records, membership: Membership, where: IntArray) -> Perturbed:
        """Draw the second parents of the records at `where`.

        Raises:
            DataError: the population is smaller than `queries`; `patches` of a table.
        """
        if self.way == "patches" and len(records.input_shape) != PICTURES - 1:
            raise DataError(f"{self!r}: records have the shape {records.input_shape}, no pictures")
        others = membership.pool(POPULATION)
        if len(others) < self.queries:
            raise DataError(
                f"{self!r} puts each record together with {self.queries} of the population, of "
                f"which there are {len(others)}; draw with a larger pool (pools={{'population': n}}"
                ", --population n), or ask for fewer queries"
            )
        rng = np.random.default_rng(derive_seed(self.seed, "recombinations"))
        near = np.stack([rng.choice(others, self.queries, replace=False) for _ in where])
        share = self.least + (1 - self.least) * rng.random(near.shape)
        return _Prepared(of=self, near=near, share=share, place=rng.random((*near.shape, 2)))


@dataclass(frozen=True, kw_only=True, eq=False)
class _Prepared:
    of: Recombinations
    near: NDArray[np.int64]
    share: NDArray[np.float64]
    place: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.of)

    def change(self, records: Records, query: int) -> _Crossed:
        """Return what puts each record together with its parent of one query."""
        rng = np.random.default_rng(derive_seed(self.of.seed, "features", query))
        return _Crossed(of=self, records=records, query=query, rng=rng)


@dataclass(kw_only=True, eq=False)
class _Crossed:
    """Takes the blocks of records one after the other: `done` counts them."""

    of: _Prepared
    records: Records
    query: int
    rng: np.random.Generator
    done: int = 0

    def __call__(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        rows = slice(self.done, self.done + len(inputs))
        self.done += len(inputs)
        return recombined(
            inputs,
            np.asarray(self.records.gather(self.of.near[rows, self.query])),
            way=self.of.of.way,
            share=self.of.share[rows, self.query],
            place=self.of.place[rows, self.query],
            rng=self.rng,
        )
