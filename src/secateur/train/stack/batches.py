"""The batches of one step of a stack, and its losses, model by model where sizes differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from secateur.train.hooks import Batch, Hook, Moment, overrides
from secateur.train.stack import lift
from secateur.train.stack.data import StackData, Step

if TYPE_CHECKING:
    from torch import Tensor

    from secateur.train.hooks import Tensors

__all__ = ["Draws", "Reader", "hook_losses", "mean_losses"]


@dataclass(frozen=True, kw_only=True)
class Draws:
    """The random numbers of the models that take part in a step."""

    streams: Sequence[np.random.Generator]
    noise: Sequence[torch.Generator]


@dataclass(frozen=True, kw_only=True)
class Reader:
    """Makes the batches of a step out of the records of a stack."""

    data: StackData
    streams: Mapping[str, StackData]

    def batch(
        self,
        hooks: Sequence[Hook],
        states: list[Tensors],
        now: Moment,
        step: Step,
        draws: Draws,
        streams: Mapping[str, int],
    ) -> tuple[list[Batch], Batch]:
        """Return the batch after all hooks: per model where sizes differ, and stacked.

        Args:
            hooks: of the phase.
            states: theirs, of the models that take part; replaced in the list.
            now: what hooks see, stacked.
            step: where the records stand.
            draws: the models' random numbers.
            streams: further pools and how many records of each.
        """
        drawn = {pool: self._drawn(pool, size, step.first, draws) for pool, size in streams.items()}
        active = slice(step.first, None)
        changing = [(i, hook) for i, hook in enumerate(hooks) if overrides(hook, "batch")]
        if step.sizes is None:
            more = {p: self.streams[p].batch(where, {}, active) for p, where in drawn.items()}
            batch = self.data.batch(step.where, more, active)
            for i, hook in changing:
                noises = lift.stack(_noises(hook, now, step, draws))
                states[i], batch = lift.lifted(hook, "batch", states[i], now, batch, noises)
            return [], batch
        if not changing and not any(overrides(hook, "loss") for hook in hooks):
            return [], self.data.batch(step.where, {}, active)
        each = [
            self.data.batch(
                step.where[k, :size],
                {p: self.streams[p].batch(w[k], {}, step.first + k) for p, w in drawn.items()},
                step.first + k,
            )
            for k, size in enumerate(step.each)
        ]
        for i, hook in changing:
            noises_each = _noises(hook, now, step, draws)
            states[i], each = lift.lifted_batch(hook, states[i], now, each, noises_each)
        joined = lift.stack([{"x": b.inputs, "y": b.labels, "i": b.indices} for b in each])
        return each, Batch(joined["x"], joined["y"], joined["i"])

    def _drawn(self, pool: str, size: int, first: int, draws: Draws) -> Tensor:
        """Draw positions `[models, size]` in a further pool."""
        found = []
        for rows, rng in zip(self.streams[pool].rows[first:], draws.streams, strict=True):
            chosen = torch.from_numpy(rng.integers(len(rows), size=size))
            found.append(rows[chosen.to(rows.device)])
        return torch.stack(found)


def _noises(hook: Hook, now: Moment, step: Step, draws: Draws) -> list[Tensors]:
    pairs = zip(draws.noise, step.each, strict=True)
    return [hook.noise(generator, now, size) for generator, size in pairs]


def mean_losses(
    logits: Tensor, labels: Tensor, sizes: tuple[int, ...] | None, smoothing: float
) -> Tensor:
    """Return each model's mean cross entropy over its own records.

    Args:
        logits: `[models, records, classes]`.
        labels: `[models, records]`, or soft ones of the logits' shape.
        sizes: records of each model where they differ; what lies beyond is padding.
        smoothing: share of the target spread over all classes.
    """
    each = functional.cross_entropy(
        logits.flatten(0, 1), labels.flatten(0, 1), reduction="none", label_smoothing=smoothing
    ).view(len(logits), -1)
    if sizes is None:
        return each.mean(1)
    count = torch.tensor(sizes, device=each.device)
    valid = torch.arange(each.shape[1], device=each.device) < count[:, None]
    return (each * valid).sum(1) / count


def hook_losses(
    hook: Hook,
    state: Tensors,
    now: Moment,
    seen: tuple[Batch, list[Batch]],
    logits: Tensor,
    losses: Tensor,
) -> Tensor:
    """Return each model's loss after a hook: lifted, or model by model where batches differ."""
    batch, each = seen
    if not each:
        found: Tensor = lift.lifted(hook, "loss", state, now, batch, logits, losses)
        return found
    return torch.stack(
        [
            hook.loss(
                lift.of_model(state, k),
                lift.moment_of(now, k),
                one,
                logits[k, : len(one.labels)],
                losses[k],
            )
            for k, one in enumerate(each)
        ]
    )
