"""Which weights are kept: exact masks and projections, and the hook that holds a mask in place.

With `budgets`, this is what the methods of this folder share; methods never import each other.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
import torch

from secateur.compress.budgets import Budget
from secateur.errors import SparsityError
from secateur.train.hooks import Hook, Left, Moment

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from secateur.train.hooks import Tensors

__all__ = [
    "FixedMask",
    "Grouping",
    "HeldMask",
    "apply_masks",
    "choose_masks",
    "count_kept",
    "masks_of_zeros",
    "project",
    "scaled_by_density",
    "top_k_mask",
]


class Grouping(Protocol):
    """The weights of one network that are kept or removed together."""

    def masks(self, scores: Mapping[str, Tensor], budget: Budget, now: Moment) -> Tensors:
        """Return masks that keep the groups of the largest norm.

        Args:
            scores: at least 0, one per weight; the layers that the budget covers.
            budget: how much is kept.
            now: names and shapes of the network's parameters; no value is read.

        Returns:
            Masks of these layers, and of other parameters that go with them. No branch is taken on
            a value, so that `torch.func.vmap` can lift it.
        """
        ...


def top_k_mask(values: Tensor, k: int) -> Tensor:
    """Return a mask of the k largest values; of equal ones the first are taken.

    Args:
        values: `[n]`, without NaN.
        k: in [0, n].

    Returns:
        bool `[n]` with exactly k true. No branch is taken on a value.

    Raises:
        SparsityError: k is out of range.

    Example:
        >>> top_k_mask(torch.tensor([1.0, 3.0, 1.0, 1.0]), 3)
        tensor([ True,  True,  True, False])
    """
    n = values.shape[-1]
    if not 0 <= k <= n:
        raise SparsityError(f"cannot keep {k} of {n} weights; k must be in 0 .. {n}")
    if k == 0:
        return torch.zeros_like(values, dtype=torch.bool)
    threshold = torch.topk(values, k, sorted=False).values.amin()
    larger, equal = values > threshold, values == threshold
    return larger | (equal & (equal.cumsum(0) <= k - larger.sum()))


def choose_masks(scores: Mapping[str, Tensor], budget: Budget) -> Tensors:
    """Return masks of the largest scores that a budget allows.

    Args:
        scores: at least 0, larger = rather kept; the layers that the budget covers, any shapes.
        budget: per layer, or over all layers: then each layer first gets its floor, and what is
            left goes to the largest of all remaining scores.

    Returns:
        bool masks of the same shapes, true = kept. Of equal scores the first is kept. No branch is
        taken on a value, so that `torch.func.vmap` can lift it.

    Raises:
        SparsityError: the budget is below what every layer must keep.

    Example:
        >>> scores = {"a": torch.tensor([1.0, 2.0]), "b": torch.tensor([5.0, 3.0, 4.0, 6.0])}
        >>> choose_masks(scores, Budget(rate=2.0, scope="global"))["a"]
        tensor([False,  True])
    """
    shapes = {name: tuple(s.shape) for name, s in scores.items()}
    flat = {name: s.flatten() for name, s in scores.items()}
    if budget.scope == "layer":
        counts = budget.counts(shapes)
        return {n: top_k_mask(s, counts[n]).reshape(shapes[n]) for n, s in flat.items()}
    floors = budget.floors(shapes)
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    granted = torch.cat([top_k_mask(s, floors[name]) for name, s in flat.items()])
    ranked = torch.where(granted, math.inf, torch.cat(list(flat.values())))
    parts = torch.split(top_k_mask(ranked, budget.total(sum(sizes.values()))), list(sizes.values()))
    return {n: p.reshape(shapes[n]) for n, p in zip(shapes, parts, strict=True)}


def apply_masks(tensors: Mapping[str, Tensor], masks: Mapping[str, Tensor]) -> Tensors:
    """Return the tensors with zeros where their mask is false; tensors without a mask as they are.

    A zero is +0.0 whatever stood there.
    """
    return {
        name: torch.where(masks[name], value, 0.0) if name in masks else value
        for name, value in tensors.items()
    }


def project(
    tensors: Mapping[str, Tensor],
    budget: Budget,
    grouping: Grouping | None = None,
    now: Moment | None = None,
) -> Tensors:
    """Return the nearest tensors (in the Frobenius norm) that the budget allows.

    Args:
        tensors: the layers that the budget covers, any shapes.
        budget: per layer, or over all layers with a floor for each; both projections are exact.
        grouping: what is kept or removed together; None for weights by themselves.
        now: of the network, where there is a grouping.

    Returns:
        New tensors of the same shapes.

    Example:
        >>> project({"w": torch.tensor([[1.0, -4.0], [2.0, 3.0]])}, Budget(rate=2.0))
        {'w': tensor([[ 0., -4.],
                [ 0.,  3.]])}
    """
    scores = {name: t.abs() for name, t in tensors.items()}
    if grouping is None or now is None:
        return apply_masks(tensors, choose_masks(scores, budget))
    return apply_masks(tensors, grouping.masks(scores, budget, now))


def masks_of_zeros(tensors: Mapping[str, Tensor], names: Collection[str]) -> Tensors:
    """Return masks of these tensors' values that are not zero, sorted by name."""
    return {name: tensors[name] != 0 for name in sorted(names)}


def scaled_by_density(
    tensors: Mapping[str, Tensor], density: Mapping[str, float] | Mapping[str, Tensor]
) -> Tensors:
    """Return tensors, those of a density divided by its square root; the others as they are.

    So that the sum over a unit's remaining inputs starts with the variance that it had over all.

    Args:
        tensors: initial weights.
        density: the share kept of a layer, above 0.

    Example:
        >>> scaled_by_density({"w": torch.ones(2)}, {"w": 0.25})
        {'w': tensor([2., 2.])}
    """
    return {**tensors, **{name: tensors[name] / share**0.5 for name, share in density.items()}}


@dataclass(frozen=True, kw_only=True)
class HeldMask(Hook):
    """Train only what the masks in its state keep, which a subclass's `begin` returns.

    Gradients are masked, and parameters after each step too, because momentum and weight decay move
    masked weights as well. It leaves the masks behind.
    """

    elementwise: ClassVar[frozenset[str]] = frozenset({"grads", "after_step", "after_epoch"})

    def grads(self, state: Tensors, now: Moment, grads: Tensors) -> tuple[Tensors, Tensors]:
        """Mask the gradients."""
        del now
        return state, apply_masks(grads, state)

    def after_step(self, state: Tensors, now: Moment) -> tuple[Tensors, Tensors]:
        """Mask the parameters again."""
        return state, apply_masks(now.params, state)

    def after_epoch(self, state: Tensors, now: Moment) -> tuple[Tensors, Tensors]:
        """Mask the parameters again, in case that an earlier hook moved them."""
        return state, apply_masks(now.params, state)

    def finish(self, state: Tensors, now: Moment) -> tuple[Tensors, Left]:
        """Leave the masks."""
        return apply_masks(now.params, state), Left(masks=state)


@dataclass(frozen=True, kw_only=True)
class FixedMask(HeldMask):
    """Prune to a budget when a phase begins, and train only what is left.

    The weights largest in magnitude are kept, or the groups of them that are largest in norm.
    """

    budget: Budget
    grouping: Grouping | None = None

    def choose(self, now: Moment, noise: Tensors) -> Tensors:
        """Return the masks to hold, sorted by name."""
        del noise
        layers = self.budget.layers(now.prunable)
        return self.largest({name: now.params[name].detach().abs() for name in layers}, now)

    def largest(self, scores: Tensors, now: Moment) -> Tensors:
        """Return masks of the largest scores, sorted by name."""
        if self.grouping is None:
            return choose_masks(scores, self.budget)
        return dict(sorted(self.grouping.masks(scores, self.budget, now).items()))

    def begin(self, now: Moment, noise: Tensors) -> tuple[Tensors, Tensors]:
        """Choose the masks and apply them."""
        masks = self.choose(now, noise)
        return masks, apply_masks(now.params, masks)


def count_kept(
    tensors: Mapping[str, NDArray[Any]], prunable: Collection[str], parameters: Collection[str]
) -> dict[str, int]:
    """Count the weights of a stored model, on its tensors and not on its masks.

    Args:
        tensors: parameters and buffers by name, as an `Artifact` holds them.
        prunable: names of the weights that pruning counts.
        parameters: names of all parameters, so that buffers are left out.

    Returns:
        `prunable` and how many of them are not zero (`kept`); `parameters` and how many of them
        are not zero (`nonzero`).

    Example:
        >>> stored = {"w": np.array([[0.0, 2.0]]), "b": np.array([1.0]), "mean": np.zeros(4)}
        >>> count_kept(stored, ("w",), ("w", "b"))
        {'prunable': 2, 'kept': 1, 'parameters': 3, 'nonzero': 2}
    """
    return {
        "prunable": sum(tensors[name].size for name in prunable),
        "kept": sum(int(np.count_nonzero(tensors[name])) for name in prunable),
        "parameters": sum(tensors[name].size for name in parameters),
        "nonzero": sum(int(np.count_nonzero(tensors[name])) for name in parameters),
    }
