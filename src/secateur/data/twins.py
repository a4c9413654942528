"""Records that are equal, or nearly: what makes a non-member look like a member."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from secateur.types import BoolArray, IntArray, Records

__all__ = ["NEAR", "Nearest", "blocks_of", "content_keys", "nearly_equal"]

NEAR = 1e-3
BLOCK_BYTES = 2**25  # float32 inputs that stand in memory at once
BLOCK_CELLS = 2**23  # distances that do
CANDIDATES = 3


def nearly_equal(nearest: NDArray[np.floating]) -> BoolArray:
    """Tell whose nearest other record is (nearly) equal.

    Nearly: a distance below a thousandth of the median distance to the nearest neighbour.

    Args:
        nearest: `[records]`, the distance of each to its nearest other one.

    Example:
        >>> nearly_equal(np.array([0.0, 2.0, 0.001, 3.0, 2.5])).tolist()
        [True, False, True, False, False]
    """
    near: BoolArray = nearest <= NEAR * float(np.median(nearest))
    return near


def blocks_of(records: Records, *, beside: int = 1) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Give out all inputs in blocks of bounded size: (index of the first, `[block, values]`).

    Args:
        records: the inputs.
        beside: numbers that are computed beside each record.
    """
    width = max(1, int(np.prod(records.input_shape)))
    rows = max(1, min(BLOCK_BYTES // (4 * width), BLOCK_CELLS // max(1, beside)))
    for start in range(0, len(records), rows):
        indices = np.arange(start, min(start + rows, len(records)))
        yield start, records.gather(indices).reshape(len(indices), -1)


def content_keys(block: NDArray[np.float32]) -> NDArray[np.void]:
    """Return 16 bytes per record, equal for equal inputs and different for all others.

    Example:
        >>> keys = content_keys(np.array([[0.0, 1.0], [1.0, 0.0], [-0.0, 1.0]], np.float32))
        >>> bool(keys[0] == keys[2]), bool(keys[0] == keys[1])
        (True, False)
    """
    rows = np.ascontiguousarray(block + np.float32(0))  # -0.0 equals 0.0 and has other bytes
    keys = [hashlib.blake2b(row.data, digest_size=16).digest() for row in rows]
    return np.frombuffer(b"".join(keys), np.dtype("V16"))


class Nearest:
    """Finds the nearest other record of each of a sample, among blocks of all.

    The search is by products of float32, whose errors exceed the distance of near twins; so the
    best few of each are kept, and their distances computed anew from the differences.
    """

    def __init__(self, records: Records, sample: IntArray) -> None:
        self.sample = sample
        self.inputs = records.gather(sample).reshape(len(sample), -1)
        self.squares = np.einsum("ij,ij->i", self.inputs, self.inputs)
        kept = min(CANDIDATES, len(records) - 1)
        self.distances = np.full((len(sample), kept), np.inf)
        self.who = np.zeros((len(sample), kept), dtype=np.int64)

    def add(self, start: int, block: NDArray[np.float32]) -> None:
        """Compare the sample with the records that begin at this index."""
        rough = np.einsum("ij,ij->i", block, block)[None] - 2 * (self.inputs @ block.T)
        rough += self.squares[:, None]
        own = np.flatnonzero((self.sample >= start) & (self.sample < start + len(block)))
        rough[own, self.sample[own] - start] = np.inf
        best = min(self.who.shape[1], len(block))
        found = np.argpartition(rough, best - 1, axis=1)[:, :best]
        exact = np.stack([self._distances(block, column) for column in found.T], axis=1)
        exact[~np.isfinite(np.take_along_axis(rough, found, axis=1))] = np.inf  # a record itself
        distances = np.concatenate([self.distances, exact], axis=1)
        who = np.concatenate([self.who, found + start], axis=1)
        order = np.argsort(distances, axis=1, kind="stable")[:, : self.who.shape[1]]
        self.distances = np.take_along_axis(distances, order, axis=1)
        self.who = np.take_along_axis(who, order, axis=1)

    def _distances(
        self, block: NDArray[np.float32], others: NDArray[np.intp]
    ) -> NDArray[np.float64]:
        found = np.empty(len(others))
        rows = max(1, BLOCK_BYTES // (8 * max(1, block.shape[1])))
        for start in range(0, len(others), rows):
            part = slice(start, start + rows)
            difference = block[others[part]].astype(np.float64) - self.inputs[part]
            found[part] = np.sqrt(np.einsum("ij,ij->i", difference, difference))
        return found

    @property
    def nearest(self) -> tuple[NDArray[np.float64], IntArray]:
        """Distance to the nearest other record and its index, both `[sample]`."""
        return self.distances[:, 0], self.who[:, 0]
