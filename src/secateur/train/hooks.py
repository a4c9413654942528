"""Hooks: what a method may do while one model trains.

A hook is written for *one* model as functions over dicts of tensors; nothing in it may branch
on a tensor's value. An engine may therefore call it directly (serial, processes, Ray) or lift
it over a leading model axis (stacked). Only methods that a hook overrides are called.

Order within a step, for hooks (a, b, ...) of a phase: `batch` a, b, ...; forward; the recipe's
loss; `loss` a, b, ... (each sees what the one before returned); backward; `grads` a, b, ...;
optimiser; `after_step` a, b, ....  `begin`, `after_epoch` and `finish` run in the same order.
Random numbers come in through `noise`, drawn outside from the model's own generator.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, NamedTuple

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    Tensors = dict[str, Tensor]
    Forward = Callable[[Mapping[str, Tensor], Mapping[str, Tensor], Tensor], Tensor]

__all__ = ["MEMBERS", "Batch", "Hook", "Left", "Moment", "overrides"]

MEMBERS = "members"
"""The stream of a model's own members: further batches of them, drawn apart from their order."""


class Batch(NamedTuple):
    """One mini-batch: inputs `[n, ...]`, labels `[n]` (class index) or `[n, classes]` (soft),
    record indices `[n]`.

    `streams` holds one further batch per pool that the phase declares (reference data of Min-Max),
    drawn with replacement; under `MEMBERS` one of the model's own members.
    """

    inputs: Tensor
    labels: Tensor
    indices: Tensor
    streams: Mapping[str, Batch] = {}


@dataclass(frozen=True, kw_only=True)
class Moment:
    """What a hook sees of one model at one moment; to be read, never written.

    `prunable` names the weights that pruning counts; `initial` are the parameters as the model's
    seed made them, before any training; `epoch` and `step` count within the phase, from 0; `epochs`
    is the phase's length; `classes` is the number of the records' classes. `forward` is a pass in
    the mode of training; `predict` one as a user of the finished model would make it, without
    dropout and with running statistics, which it leaves as they are.
    """

    params: Tensors
    buffers: Tensors
    initial: Tensors
    prunable: tuple[str, ...]
    forward: Forward
    predict: Forward
    classes: int
    epoch: int
    step: int
    epochs: int


@dataclass(frozen=True, kw_only=True)
class Left:
    """What a hook leaves behind: masks of kept weights, small curves for the artifact's history."""

    masks: Mapping[str, Tensor] = field(default_factory=dict)
    history: Mapping[str, Tensor] = field(default_factory=dict)


class Hook:
    """The hook that does nothing; a method's hook overrides what it needs.

    `state` is the hook's own dict of tensors, made by `begin` and handed from call to call.
    Functions return new tensors (or the ones they were given) and never write into their arguments.
    """

    elementwise: ClassVar[frozenset[str]] = frozenset()
    """Methods that do the same to each element of a tensor, whatever its shape, and read nothing
    else: they may be called on the tensors of many models at once."""

    def begin(self, now: Moment, noise: Tensors) -> tuple[Tensors, Tensors]:
        """Start a phase; return (state, parameters to start from)."""
        del noise
        return {}, now.params

    def noise(self, generator: torch.Generator, now: Moment, size: int) -> Tensors:
        """Draw the random tensors of `begin` (size 0) or of a step with `size` records."""
        del generator, now, size
        return {}

    def batch(
        self, state: Tensors, now: Moment, batch: Batch, noise: Tensors
    ) -> tuple[Tensors, Batch]:
        """Change the batch, or take an inner step of the hook's own before the model's step."""
        del now, noise
        return state, batch

    def loss(
        self, state: Tensors, now: Moment, batch: Batch, logits: Tensor, loss: Tensor
    ) -> Tensor:
        """Replace or add to the scalar loss; differentiated with respect to the parameters."""
        del state, now, batch, logits
        return loss

    def grads(self, state: Tensors, now: Moment, grads: Tensors) -> tuple[Tensors, Tensors]:
        """Change the gradients before the optimiser sees them."""
        del now
        return state, grads

    def after_step(self, state: Tensors, now: Moment) -> tuple[Tensors, Tensors]:
        """Change the parameters after the optimiser's step."""
        return state, now.params

    def after_epoch(self, state: Tensors, now: Moment) -> tuple[Tensors, Tensors]:
        """Change state or parameters after an epoch."""
        return state, now.params

    def finish(self, state: Tensors, now: Moment) -> tuple[Tensors, Left]:
        """End the phase; return (parameters, what is left behind)."""
        del state
        return now.params, Left()


def overrides(hook: Hook, method: str) -> bool:
    """Return whether a hook overrides a method, so that a loop can leave out the rest."""
    return getattr(type(hook), method) is not getattr(Hook, method)
