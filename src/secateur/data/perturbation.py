"""What perturbations share: the signal that they give, and what they know of the inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from secateur.protocols import Perturbation
from secateur.types import Records, Signal

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["MeanSignal", "Spread", "spread_of"]

BLOCK = 4096


@dataclass(frozen=True, kw_only=True, repr=False)
class MeanSignal(Signal):
    """The mean of a signal over a record's perturbed queries, the record's own label y kept.

    The record as it is is not among them. One number per (model, record), of the records that are
    audited; 0 for others, which are not asked about.

    Args:
        over: the perturbation.

    Example:
        >>> from secateur.data import Noise
        >>> MeanSignal(name="correct", over=Noise(sd=0.5, flip=0.0)).key
        'correct over Noise(sd=0.5, flip=0.0, queries=32, seed=0)'
    """

    over: Perturbation

    @property
    def key(self) -> str:
        """The signal's name in observations."""
        return f"{self.plain.key} over {self.over!r}"

    @property
    def plain(self) -> Signal:
        """The signal of one query."""
        return Signal(name=self.name, temperature=self.temperature, part=self.part)


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Of every number of an input: its standard deviation, and whether it is 0 or 1 throughout."""

    deviation: NDArray[np.float64]
    binary: NDArray[np.bool_]


def spread_of(records: Records) -> Spread:
    """Read all records once, block by block; a number that never changes is not binary.

    Example:
        >>> inputs = np.array([[0.0, 2.0], [1.0, 4.0]])
        >>> spread_of(Records.from_arrays(inputs, np.array([0, 1]))).binary.tolist()
        [True, False]
    """
    n, shape = len(records), records.input_shape
    total, first = np.zeros(shape), np.asarray(records.gather(np.arange(1))[0], np.float64)
    squares, binary = np.zeros(shape), np.ones(shape, np.bool_)
    for start in range(0, n, BLOCK):
        inputs: NDArray[Any] = records.gather(np.arange(start, min(start + BLOCK, n)))
        binary &= ((inputs == 0) | (inputs == 1)).all(axis=0)
        away = inputs.astype(np.float64) - first  # from one of them, so that nothing cancels
        total += away.sum(axis=0)
        squares += (away**2).sum(axis=0)
    variance = np.maximum(squares / n - (total / n) ** 2, 0.0)
    return Spread(deviation=np.sqrt(variance), binary=binary & (variance > 0))
