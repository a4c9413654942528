"""Random noise in the inputs: the cheap stand-in for a record's distance to the boundary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from secateur.data.perturbation import spread_of
from secateur.errors import DataError, MethodError
from secateur.types import derive_seed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from secateur.protocols import Perturbed
    from secateur.types import IntArray, Membership, Records

__all__ = ["Noise"]


@dataclass(frozen=True, kw_only=True)
class Noise:
    """Ask about each record with Gaussian noise in its numbers and flips of its binary spread.

    Pictures get the same noise in every pixel. A column of a table gets noise in units of its own
    spread; one that is 0 or 1 in every record is flipped instead, as are pictures of 0 and 1 alone.
    Every model is asked with the same noise.

    Args:
        sd: standard deviation of the noise, in standard deviations of the column, or of the
            picture's pixels (the root of their mean variance over records); at least 0.
        flip: chance that a binary column is flipped, in [0, 0.5].
        queries: how often each record is asked about, at least 1.
        seed: of the noise.

    Differs from the paper: one attack for pictures, tables and tables of both kinds; sd is relative
    to the data. The paper tunes the size of the noise on shadow models: name several attacks, and
    the audit takes the one that is strongest on references. Flips are independent, so that of a
    column spread over several (one-hot) none or two may be 1.

    Example:
        >>> len(Noise(queries=16))
        16
    """

    sd: float = 1.0
    flip: float = 0.1
    queries: int = 32
    seed: int = 0

    kind: ClassVar[str] = "perturbation"
    reference: ClassVar[str] = "choquettechoo2021labelonly"

    def __post_init__(self) -> None:
        if not (self.sd >= 0 and np.isfinite(self.sd)) or not 0 <= self.flip <= 0.5:
            raise MethodError(
                f"sd must be finite and at least 0 and flip in [0, 0.5], got sd={self.sd}, "
                f"flip={self.flip}"
            )
        if self.queries < 1:
            raise MethodError(f"queries must be at least 1, got {self.queries}")

    def __len__(self) -> int:
        """Return how often each record is asked about."""
        return self.queries

    def prepared(self, records: Records, membership: Membership, where: IntArray) -> Perturbed:
        """Return the queries about records; `where` does not matter.

        Raises:
            DataError: neither noise nor flips would change any of these records.
        """
        del membership, where
        spread = spread_of(records)
        binary = spread.binary
        if binary.ndim > 1:  # a pixel is one of many alike
            constant = spread.deviation == 0
            binary = np.full(binary.shape, bool((binary | constant).all() and binary.any()))
            pooled = np.sqrt(np.mean(spread.deviation**2))
            deviation = np.full(binary.shape, pooled)
        else:
            deviation = spread.deviation
        scale = np.where(binary, 0.0, self.sd * deviation).astype(np.float32)
        if not scale.any() and not (self.flip and binary.any()):
            raise DataError(
                f"{self!r} changes nothing: of {binary.size} numbers of a record {binary.sum()} "
                f"are binary, and {int((deviation == 0).sum())} never change; give "
                f"{'flip' if binary.any() else 'sd'} above 0, or records that differ"
            )
        return _NoiseOf(noise=self, scale=scale, binary=binary)


@dataclass(frozen=True, kw_only=True, eq=False)
class _NoiseOf:
    noise: Noise
    scale: NDArray[np.float32]
    binary: NDArray[np.bool_]

    def __len__(self) -> int:
        return self.noise.queries

    def change(self, records: Records, query: int) -> _Draws:
        """Return fresh noise of one query."""
        del records
        seeds = [derive_seed(self.noise.seed, "noise", query, what) for what in ("sd", "flip")]
        gaussian, flips = map(np.random.default_rng, seeds)
        return _Draws(of=self, gaussian=gaussian, flips=flips)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Draws:
    """Draws apart for noise and flips: the size of blocks changes nothing."""

    of: _NoiseOf
    gaussian: np.random.Generator
    flips: np.random.Generator

    def __call__(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        found = np.array(inputs, dtype=np.float32)
        if self.of.scale.any():
            found += self.of.scale * self.gaussian.standard_normal(found.shape, dtype=np.float32)
        if self.of.noise.flip and self.of.binary.any():
            flipped = self.flips.random(found.shape, dtype=np.float32) < self.of.noise.flip
            found = np.where(flipped & self.of.binary, 1 - found, found)
        return found
