"""The records that one model may read, and the mini-batches of an epoch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from secateur.train.hooks import MEMBERS, Batch
from secateur.types import Records

if TYPE_CHECKING:
    from torch import Tensor

    from secateur.train.recipe import Phase
    from secateur.types import IntArray

__all__ = ["TrainData", "batches", "pools_of", "steps_of"]


def pools_of(phases: Iterable[Phase]) -> list[str]:
    """Return the names of the pools that phases read beside the members."""
    return sorted({pool for phase in phases for pool in phase.streams} - {MEMBERS})


@dataclass(frozen=True, kw_only=True)
class TrainData:
    """The records that one model may read: inputs and labels on the model's device, and their
    indices.
    """

    inputs: Tensor
    labels: Tensor
    indices: Tensor
    classes: int

    @classmethod
    def of(cls, records: Records, indices: IntArray, device: torch.device) -> TrainData:
        """Gather exactly these records."""
        where = torch.from_numpy(np.array(indices, dtype=np.int64))
        return cls(
            inputs=torch.from_numpy(np.array(records.gather(indices))).to(device),
            labels=torch.from_numpy(np.array(records.labels[indices])).to(device),
            indices=where.to(device),
            classes=records.n_classes,
        )

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, rows: Tensor, streams: Mapping[str, Batch]) -> Batch:
        """Return the mini-batch of these rows."""
        return Batch(self.inputs[rows], self.labels[rows], self.indices[rows], streams)


def batches(n: int, size: int, rng: np.random.Generator) -> Iterator[Tensor]:
    """Yield the rows of one epoch in a fresh order; a last batch of one joins the one before."""
    order = torch.from_numpy(rng.permutation(n))
    starts = list(range(0, n, size))
    if len(starts) > 1 and n - starts[-1] == 1:
        starts.pop()
    for i, start in enumerate(starts):
        yield order[start : starts[i + 1] if i + 1 < len(starts) else n]


def steps_of(n: int, size: int) -> int:
    """Return the number of batches in an epoch over n records.

    Example:
        >>> steps_of(64, 32), steps_of(65, 32), steps_of(66, 32)
        (2, 2, 3)
    """
    steps = -(-n // size)
    return steps - 1 if steps > 1 and n % size == 1 else steps
