"""PAST: push weights to zero the harder, the more the loss gap depends on them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import torch

from secateur.errors import MethodError
from secateur.train.hooks import Batch, Hook, Moment
from secateur.train.slopes import slopes
from secateur.types import ATTACK

if TYPE_CHECKING:
    from secateur.train.hooks import Tensors
    from secateur.train.recipe import Recipe

__all__ = ["PAST"]


@dataclass(frozen=True, kw_only=True)
class PAST(Hook):
    """Privacy-aware sparsity tuning: an L1 penalty weighted by each weight's part in the loss gap.

    In each step the gap of weight j is |g_j(members) - g_j(non-members)|, g the gradient of the
    mean loss over the step's batch and over as many records of the pool `attack`, which nobody
    trains on. strength * min((gap_j / mean gap of its tensor)^power, most) * sign(w_j) is added to
    the gradient of every weight; biases are left alone. It makes weights small, not zero: prune
    afterwards to remove some.

    Args:
        strength: factor of the penalty, at least 0; the dial.
        power: how much large gaps count, at least 0; with 0 it is plain L1.
        most: largest value of the ratio's power.
        after: in [0, 1], share of a phase's epochs that is trained without the penalty.
        pool_batch: records of the pool per step; default the recipe's batch size.

    Raises:
        MethodError: a number out of range; a recipe with training code of its own, or one that
            reads the pool already.

    Example:
        >>> from secateur.models import MLP
        >>> from secateur.train import Recipe
        >>> dict(PAST().defended(Recipe(build=MLP(widths=(8, 2)))).streams)
        {'attack': 64}

    Reference:
        hu2024past.

    Differs from the paper:
        What was read is the abstract and code in a fork of MLHospital that carries the method's
        name and these defaults; the paper was not, so nothing is known of settings for each data
        set. That code tunes a trained network, 50 further epochs at its learning rate; here one
        training has both parts, and the optimiser goes on. It passes non-members through in
        training mode and lets them move the running statistics; here they leave no trace. The
        loss of the step may hold label smoothing and terms of other hooks, which then count in the
        members' gradient; that of the pool is plain cross entropy.
    """

    strength: float = 1e-5
    power: float = 4.0
    most: float = 1e4
    after: float = 0.5
    pool_batch: int | None = None

    revision: ClassVar[int] = 1
    reference: ClassVar[str] = "hu2024past"

    def __post_init__(self) -> None:
        for name in ("strength", "power", "most"):
            value = getattr(self, name)
            if not (value >= 0 and math.isfinite(value)):
                raise MethodError(f"{name} must be at least 0 and finite, got {value}")
        if not 0 <= self.after <= 1:
            raise MethodError(
                f"after must be in [0, 1], got {self.after}; 0.5 begins half way through"
            )
        if self.pool_batch is not None and self.pool_batch < 1:
            raise MethodError(f"pool_batch must be at least 1, or None, got {self.pool_batch}")

    def defended(self, recipe: Recipe) -> Recipe:
        """Return the recipe with this penalty behind its hooks, reading the pool `attack`."""
        if recipe.train is not None:
            raise MethodError(
                f"PAST changes the gradients of our training loop, and this recipe trains by "
                f"{recipe.train!r}; give a recipe without `train`"
            )
        if ATTACK in recipe.streams or any(isinstance(hook, PAST) for hook in recipe.hooks):
            raise MethodError(
                f"the recipe reads the pool {ATTACK!r} already, through {recipe.hooks!r}; take one "
                "defence away"
            )
        size = recipe.batch_size if self.pool_batch is None else self.pool_batch
        return replace(
            recipe, hooks=(*recipe.hooks, self), streams={**recipe.streams, ATTACK: size}
        )

    def _waits(self, now: Moment) -> bool:
        return now.epoch < self.after * now.epochs

    def begin(self, now: Moment, noise: Tensors) -> tuple[Tensors, Tensors]:
        """Start with no gradient of the pool."""
        del noise
        names = [name for name in now.params if not name.endswith("bias")]
        return {name: torch.zeros_like(now.params[name]) for name in names}, now.params

    def batch(
        self, state: Tensors, now: Moment, batch: Batch, noise: Tensors
    ) -> tuple[Tensors, Batch]:
        """Take the gradient on the pool, at the weights that the step begins with."""
        del noise
        return (state if self._waits(now) else slopes(now, batch.streams[ATTACK], state)), batch

    def grads(self, state: Tensors, now: Moment, grads: Tensors) -> tuple[Tensors, Tensors]:
        """Add the penalty's slope."""
        if self._waits(now):
            return state, grads
        pushed = {}
        for name in state.keys() & grads.keys():
            gap = (grads[name] - state[name]).abs()
            ratio = gap / gap.mean().clamp_min(torch.finfo(gap.dtype).eps)
            weight = self.strength * ratio.pow(self.power).clamp(max=self.most)
            pushed[name] = grads[name] + weight * torch.sign(now.params[name])
        return state, {**grads, **pushed}
