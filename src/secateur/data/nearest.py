"""Other records near a record: the queries of indirect membership inference."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from secateur.errors import DataError, MethodError
from secateur.types import AUDIT, POPULATION

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from secateur.protocols import Perturbed
    from secateur.types import IntArray, Membership, Records

__all__ = ["NearestRecords"]

ROWS, BLOCK = 512, 4096


@dataclass(frozen=True, kw_only=True)
class NearestRecords:
    """Ask about a record's label at its nearest other records, or on the way to them.

    Nearest by the Euclidean distance of inputs, of equally near ones the first. A record of the
    same unit is never a neighbour.

    Args:
        k: neighbours, at least 1.
        among: `population`, records that no model trained on; `audited`, the other audited records,
            of which each model holds some.
        mix: weight of the neighbour in (0, 1]: the query is (1 - mix) x + mix z; 1 asks at the
            neighbour itself, and never about x.

    Differs from the paper: Long et al. choose queries by how far a record moves them in reference
    models; here they are near in the inputs, whatever the models say.

    Example:
        >>> len(NearestRecords(k=4))
        4
    """

    k: int = 8
    among: Literal["population", "audited"] = "population"
    mix: float = 1.0

    kind: ClassVar[str] = "perturbation"
    reference: ClassVar[str] = "long2018understanding"

    def __post_init__(self) -> None:
        if self.k < 1 or not 0 < self.mix <= 1:
            raise MethodError(
                f"k must be at least 1 and mix in (0, 1], got k={self.k}, mix={self.mix}"
            )
        if self.among not in ("population", "audited"):
            raise MethodError(f"among must be 'population' or 'audited', got {self.among!r}")

    def __len__(self) -> int:
        """Return how many neighbours are asked about."""
        return self.k

    def prepared(self, records: Records, membership: Membership, where: IntArray) -> Perturbed:
        """Find the neighbours of the records at `where`.

        Raises:
            DataError: a record has fewer than k others to choose from.
        """
        others = membership.pool(POPULATION if self.among == "population" else AUDIT)
        units = membership.units
        owned = np.unique(units[others], return_counts=True)[1]
        most = int(owned.max(initial=0)) if np.isin(units[where], units[others]).any() else 0
        if len(others) - most < self.k:
            raise DataError(
                f"{self!r} asks at {self.k} neighbours, but there are {len(others)} records "
                f"of the pool {self.among!r} to choose from, of which {most} belong to one unit; "
                "draw with a larger pool (pools={'population': n}, --population n), or ask "
                "for fewer, or with among='audited'"
            )
        found = np.empty((len(where), self.k), np.int64)
        for rows, distance in _distances(records, where, others):
            distance[units[where[rows], None] == units[others]] = np.inf
            found[rows] = others[_smallest(distance, self.k)]
        return _Neighbours(near=found, mix=self.mix)


def _distances(
    records: Records, where: IntArray, others: IntArray
) -> Iterator[tuple[slice, NDArray[np.float64]]]:
    """Yield squared distances `[some records, others]`."""
    z = records.gather(others).reshape(len(others), -1)
    lengths = np.einsum("nf,nf->n", z, z, dtype=np.float64)
    for start in range(0, len(where), ROWS):
        rows = slice(start, min(start + ROWS, len(where)))
        x = records.gather(where[rows]).reshape(rows.stop - start, -1).astype(np.float64)
        found = (x**2).sum(axis=1)[:, None] + lengths
        for first in range(0, len(z), BLOCK):  # in float64: large numbers do not cancel
            some = slice(first, first + BLOCK)
            found[:, some] -= 2 * (x @ z[some].T.astype(np.float64))
        yield rows, found


def _smallest(values: NDArray[np.float64], k: int) -> NDArray[np.int64]:
    """Return per row the places of the k smallest in rising order, of equal ones the first."""
    last = np.partition(values, k - 1, axis=1)[:, k - 1]
    found = np.empty((len(values), k), np.int64)
    for row, (one, most) in enumerate(zip(values, last, strict=True)):
        few = np.flatnonzero(one <= most)
        found[row] = few[np.argsort(one[few], kind="stable")[:k]]
    return found


@dataclass(frozen=True, kw_only=True, eq=False)
class _Neighbours:
    near: NDArray[np.int64]
    mix: float

    def __len__(self) -> int:
        return int(self.near.shape[1])

    def change(self, records: Records, query: int) -> _Mixed:
        """Return what puts one neighbour in the place of each record."""
        return _Mixed(records=records, near=self.near[:, query], mix=self.mix)


@dataclass(kw_only=True, eq=False)
class _Mixed:
    """Takes the blocks of records one after the other: `done` counts them."""

    records: Records
    near: NDArray[np.int64]
    mix: float
    done: int = 0

    def __call__(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        others = self.records.gather(self.near[self.done : self.done + len(inputs)])
        self.done += len(inputs)
        if self.mix == 1:
            return others
        return np.asarray((1 - self.mix) * inputs + self.mix * others, dtype=np.float32)
