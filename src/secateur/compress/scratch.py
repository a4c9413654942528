"""The mask of a pruned model, trained from the initial weights: what the mask alone is worth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import torch

from secateur.compress.masks import (
    HeldMask,
    apply_masks,
    masks_of_zeros,
    scaled_by_density,
)
from secateur.errors import MethodError
from secateur.train.recipe import Phase

if TYPE_CHECKING:
    from torch import Tensor

    from secateur.train.hooks import Moment, Tensors
    from secateur.train.recipe import Optimiser, Recipe

__all__ = ["FromScratch", "FromScratchHook"]


@dataclass(frozen=True, kw_only=True)
class FromScratch:
    """Train a pruned fleet's masks anew from the weights that its models began with.

    The control for pruning methods: of the parent only the mask is left, so what is gone with its
    trained weights was in the weights, and what stays is in the choice of the mask. Train it to the
    end, as the dense model was.

    The mask keeps the prunable weights of the parent that are not zero; where the parent's masks
    hold biases and normalisation of removed channels too, so do these. The weights return to those
    that the model's seed made, running statistics of normalisation too.

    Args:
        initialisation: `same` returns to the initial weights of the dense model; `permuted` puts
            the values of each tensor in another order, drawn from the model's seed: a new draw,
            where a network draws the weights of a tensor independently and alike.
        scale_initialisation: divide the initial weights of a layer by the square root of its
            density, as `RandomMask` does.
        epochs: by default the recipe's.
        optimiser: by default the recipe's.

    Raises:
        MethodError: an unknown initialisation, or epochs below 0; applied to a fleet without masks.

    Example:
        >>> from secateur.models import MLP
        >>> from secateur.train import Recipe
        >>> (phase,) = FromScratch().phases(Recipe(build=MLP(widths=(8, 4, 2)), epochs=20))
        >>> phase.epochs
        20

    Reference:
        liu2019rethinking. Differs from it: unstructured masks too; they train for more epochs where
        the small network costs less (scratch-B), which `epochs` can do.
    """

    initialisation: Literal["same", "permuted"] = "same"
    scale_initialisation: bool = True
    epochs: int | None = None
    optimiser: Optimiser | None = None

    fresh: ClassVar[bool] = False
    masks_only: ClassVar[bool] = True
    revision: ClassVar[int] = 1
    reference: ClassVar[str] = "liu2019rethinking"

    def __post_init__(self) -> None:
        if self.initialisation not in ("same", "permuted"):
            raise MethodError(
                f"unknown initialisation {self.initialisation!r}; there are 'same', 'permuted'"
            )
        if self.epochs is not None and self.epochs < 0:
            raise MethodError(
                f"epochs must be at least 0, or None for the recipe's; got {self.epochs}"
            )

    def phases(self, recipe: Recipe) -> tuple[Phase, ...]:
        """Return one phase, the recipe's hooks before the mask."""
        hook = FromScratchHook(
            permuted=self.initialisation == "permuted", scaled=self.scale_initialisation
        )
        return (
            Phase(
                epochs=recipe.epochs if self.epochs is None else self.epochs,
                hooks=(*recipe.hooks, hook),
                optimiser=self.optimiser,
                streams=recipe.streams,
            ),
        )


@dataclass(frozen=True, kw_only=True)
class FromScratchHook(HeldMask):
    """The mask that is in the weights when the phase begins, on the initial weights."""

    permuted: bool
    scaled: bool

    def noise(self, generator: torch.Generator, now: Moment, size: int) -> Tensors:
        """Draw an order of each tensor's values, before the first step."""
        if size or not self.permuted:
            return {}
        return {
            name: torch.randperm(value.numel(), generator=generator)
            for name, value in now.initial.items()
        }

    def begin(self, now: Moment, noise: Tensors) -> tuple[Tensors, Tensors]:
        """Read the masks and return to the initial weights under them."""
        masks = masks_of_zeros(now.params, now.params)
        prunable = {name: masks[name] for name in now.prunable}
        # what else is zero here was removed with its channel, see `Transform`
        whole = [mask.all() for name, mask in masks.items() if name not in prunable]
        start = {name: _in_order(v, noise.get(name)) for name, v in now.initial.items()}
        if self.scaled:
            # a layer whose weights are all gone stays finite
            share = {n: _share(mask, whole) for n, mask in prunable.items()}
            start = scaled_by_density(start, share)
        return masks, apply_masks(start, masks)


def _share(mask: Tensor, whole: list[Tensor]) -> Tensor:
    """Return the share kept; where channels were removed, of the rows that are left."""
    rows = mask.flatten(1)
    kept = rows.sum().clamp_min(1)
    if not whole:
        return kept / mask.numel()
    some = kept / (rows.any(1).sum().clamp_min(1) * rows.shape[1])
    return torch.where(torch.stack(whole).all(), kept / mask.numel(), some)


def _in_order(values: Tensor, order: Tensor | None) -> Tensor:
    if order is None:
        return values
    return values.flatten()[order.to(values.device)].reshape(values.shape)
