"""One optimiser for all models that take the same steps, so that each counts its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from secateur.train.hooks import Tensors
    from secateur.train.recipe import Optimiser

__all__ = ["Optimisers", "from_model"]


def from_model(tensors: Tensors, first: int) -> Tensors:
    """Return the slices of the models from this one on."""
    return {n: value[first:] for n, value in tensors.items()} if first else tensors


class Optimisers:
    """Steps stacked parameters.

    Models that take fewer steps in an epoch than others get an optimiser of their own, over views
    of the same memory: Adam's corrections depend on the number of steps taken.
    """

    def __init__(self, plan: Optimiser, params: Tensors, steps: Sequence[int]) -> None:
        """Make them.

        Args:
            plan: makes an optimiser.
            params: stacked, leaves.
            steps: of each model in an epoch, sorted.
        """
        self.groups = []
        start = 0
        for _, alike in groupby(steps):
            end = start + len(list(alike))
            whole = end - start == len(steps)
            own = (
                params
                if whole
                else {
                    n: p.detach()[start:end].requires_grad_(p.requires_grad)
                    for n, p in params.items()
                }
            )
            self.groups.append((start, end, own, plan.make(own.values())))
            start = end

    def set_rate(self, rate: float) -> None:
        """Set the learning rate of all."""
        for *_, optimiser in self.groups:
            for group in optimiser.param_groups:
                group["lr"] = rate

    def step(self, grads: Mapping[str, Tensor], first: int) -> None:
        """Step the models from `first` on, whose gradients these are."""
        for start, end, own, optimiser in self.groups:
            if start < first:
                continue
            for name, value in own.items():
                grad = grads.get(name)
                part = (
                    grad
                    if grad is None or len(grad) == end - start
                    else (grad[start - first : end - first])
                )
                value.grad = part
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
