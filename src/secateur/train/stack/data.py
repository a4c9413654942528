"""The records of a stack of models, and which of them each model sees at each step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from secateur.train.batches import steps_of
from secateur.train.hooks import Batch

if TYPE_CHECKING:
    from torch import Tensor

    from secateur.types import IntArray, Records

__all__ = ["StackData", "Step", "steps_of_epoch"]


@dataclass(frozen=True, kw_only=True)
class StackData:
    """The records that a stack of models reads, once, and which of them each model may read.

    `rows[k]` are positions in `inputs` of the records of model k, in the order of their indices.
    `answers[k]` holds soft labels of model k's own, in the order of `inputs`, where it is taught.
    """

    inputs: Tensor
    labels: Tensor
    indices: Tensor
    rows: tuple[Tensor, ...]
    classes: int
    answers: Tensor | None = None

    @classmethod
    def of(
        cls,
        records: Records,
        indices: Sequence[IntArray],
        device: torch.device,
        *,
        answers: Sequence[Tensor] | None = None,
    ) -> StackData:
        """Gather the union of these records, one array of indices per model.

        Args:
            records: all records.
            indices: those of each model.
            device: where the tensors live.
            answers: soft labels of each model for its records, `[records, classes]`, in their
                order; None: the records' own labels.
        """
        union = np.unique(np.concatenate(list(indices)))
        rows = tuple(torch.from_numpy(np.searchsorted(union, part)).to(device) for part in indices)
        told = None
        if answers is not None:
            told = torch.zeros(len(rows), len(union), records.n_classes, device=device)
            for k, (own, soft) in enumerate(zip(rows, answers, strict=True)):
                told[k, own] = soft.to(told)
        return cls(
            inputs=torch.from_numpy(np.array(records.gather(union))).to(device),
            labels=torch.from_numpy(np.array(records.labels[union])).to(device),
            indices=torch.from_numpy(np.array(union, dtype=np.int64)).to(device),
            rows=rows,
            classes=records.n_classes,
            answers=told,
        )

    def batch(self, where: Tensor, streams: Mapping[str, Batch], models: slice | int) -> Batch:
        """Return the records at positions `[models, records]`, or `[records]` of one model."""
        if self.answers is None:
            labels = self.labels[where]
        elif isinstance(models, int):
            labels = self.answers[models, where]
        else:
            of = torch.arange(len(self.answers), device=where.device)[models, None]
            labels = self.answers[of, where]
        return Batch(self.inputs[where], labels, self.indices[where], streams)


@dataclass(frozen=True)
class Step:
    """Positions `[models, records]` of the records of one step.

    Models before `first` have ended their epoch and take no part. `sizes` are given where models
    have fewer records than the widest one: what lies beyond is padding.
    """

    first: int
    where: Tensor
    sizes: tuple[int, ...] | None = None

    @property
    def each(self) -> tuple[int, ...]:
        """The number of records of each model that takes part."""
        return self.sizes or (self.where.shape[1],) * len(self.where)


def steps_of_epoch(
    rows: Sequence[Tensor], size: int, orders: Sequence[np.random.Generator]
) -> Iterator[Step]:
    """Yield the steps of an epoch, every model in an order of its own, as if it were alone.

    Args:
        rows: each model's positions; models are sorted by their number of steps.
        size: records per batch.
        orders: one generator per model, from which its order is drawn.
    """
    lengths = [len(part) for part in rows]
    where = rows[0].new_zeros(len(rows), max(lengths))
    for k, (part, rng) in enumerate(zip(rows, orders, strict=True)):
        order = torch.from_numpy(rng.permutation(len(part)))
        where[k, : len(part)] = part[order.to(part.device)]
    steps = [steps_of(n, size) for n in lengths]
    for s in range(steps[-1]):
        first = next(k for k, own in enumerate(steps) if own > s)
        start = s * size
        # the last batch takes the rest, which may hold one record more than the others
        sizes = tuple(
            n - start if own == s + 1 else size
            for n, own in zip(lengths[first:], steps[first:], strict=True)
        )
        same = len(set(sizes)) == 1
        yield Step(first, where[first:, start : start + max(sizes)], None if same else sizes)
