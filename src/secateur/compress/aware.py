"""Fine-tuning in which the network already works with the weights that are shipped."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import torch

from secateur.compress.masks import apply_masks, masks_of_zeros
from secateur.errors import MethodError
from secateur.train.hooks import Hook, Left, Moment
from secateur.train.recipe import Adam, Phase

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from secateur.train.hooks import Tensors
    from secateur.train.recipe import Optimiser, Recipe

__all__ = ["QuantisationAware", "QuantisedWeights", "quantised"]


@dataclass(frozen=True, kw_only=True)
class QuantisationAware:
    """Train the weights so that the network is good with them rounded to a few bits.

    Every step computes the loss and its gradient with rounded weights, and the optimiser's step is
    added to latent ones that are not rounded (the straight-through estimator). The model ends with
    the rounded weights: with 8 bits and the same `reduce_range`, `OnnxInt8` afterwards finds them
    on its own grid. Weights that are zero in the parent stay zero, so that a pruned network stays
    pruned; the masks it leaves are those of the weights that are not zero in the end.

    Weights of linear layers and convolutions are rounded, symmetrically around zero, to the nearest
    multiple (of two, the even one) of a scale, which is the largest magnitude divided by the number
    of levels.

    Args:
        bits: of a weight, 2 to 16.
        per_channel: one scale for each output channel instead of one for each tensor.
        reduce_range: levels -2^(bits - 2) .. 2^(bits - 2), which is -64 .. 64 at 8 bits, as
            `OnnxInt8` needs them where processors without VNNI are to be right; without it
            -(2^(bits - 1) - 1) .. 2^(bits - 1) - 1.
        epochs: passes over the members; with 0 the weights are rounded and not trained.
        optimiser: of the fine-tuning.

    Raises:
        MethodError: bits or epochs out of range.

    Example:
        >>> from secateur.models import MLP
        >>> from secateur.train import Recipe
        >>> (phase,) = QuantisationAware(bits=4).phases(Recipe(build=MLP(widths=(8, 4, 2))))
        >>> phase.epochs, QuantisationAware(bits=4).levels
        (5, 4)

    Reference:
        jacob2018quantization.

    Differs from the paper:
        Activations are not rounded in training; their ranges are calibrated when the file is made.
        Normalisation is not folded in training: with one scale per channel the fold only multiplies
        a channel's scale, and the integers stay as they are; with one per tensor they change. The
        range of weights is symmetric. Weight decay of the optimiser acts on the rounded value,
        which is at most half a scale from the latent one.
    """

    bits: int = 8
    per_channel: bool = True
    reduce_range: bool = True
    epochs: int = 5
    optimiser: Optimiser = field(default_factory=lambda: Adam(lr=1e-3, schedule="cosine"))

    fresh: ClassVar[bool] = False
    revision: ClassVar[int] = 1
    reference: ClassVar[str] = "jacob2018quantization"

    def __post_init__(self) -> None:
        for what, low, high in (("bits", 2, 16), ("epochs", 0, None)):
            value = getattr(self, what)
            whole = isinstance(value, int) and not isinstance(value, bool)
            if not whole or value < low or (high is not None and value > high):
                upto = "" if high is None else f" and at most {high}"
                raise MethodError(
                    f"{what} must be a whole number of at least {low}{upto}, got {value!r}"
                )

    @property
    def levels(self) -> int:
        """How many multiples of the scale there are on each side of zero."""
        return int(2 ** (self.bits - 2) if self.reduce_range else 2 ** (self.bits - 1) - 1)

    def phases(self, recipe: Recipe) -> tuple[Phase, ...]:
        """Return one phase, the recipe's hooks before the rounding."""
        hook = QuantisedWeights(levels=self.levels, per_channel=self.per_channel)
        return (
            Phase(
                epochs=self.epochs,
                hooks=(*recipe.hooks, hook),
                optimiser=self.optimiser,
                streams=recipe.streams,
            ),
        )


@dataclass(frozen=True, kw_only=True)
class QuantisedWeights(Hook):
    """Let the loop see rounded weights, and keep what the optimiser does to them unrounded.

    State, for each weight: `latent/<name>`, `rounded/<name>` (what the loop was given), and
    `kept/<name>`, false where the parent's weight was zero.
    """

    levels: int
    per_channel: bool

    def begin(self, now: Moment, noise: Tensors) -> tuple[Tensors, Tensors]:
        """Take the parent's weights as latent ones and round them."""
        del noise
        names = _weights(now)
        kept = {name: now.params[name].detach() != 0 for name in names}
        latent = apply_masks({name: now.params[name].detach() for name in names}, kept)
        return self._state(now, latent, kept)

    def after_step(self, state: Tensors, now: Moment) -> tuple[Tensors, Tensors]:
        """Add the optimiser's step to the latent weights and round them again."""
        names = _weights(now)
        kept = {name: state[f"kept/{name}"] for name in names}
        moved = {
            name: state[f"latent/{name}"] + (now.params[name] - state[f"rounded/{name}"])
            for name in names
        }
        return self._state(now, apply_masks(moved, kept), kept)

    def finish(self, state: Tensors, now: Moment) -> tuple[Tensors, Left]:
        """Leave the rounded weights, and masks of those that are not zero."""
        del state
        return now.params, Left(masks=masks_of_zeros(now.params, now.prunable))

    def _state(
        self, now: Moment, latent: Mapping[str, Tensor], kept: Mapping[str, Tensor]
    ) -> tuple[Tensors, Tensors]:
        rounded = {
            name: quantised(value, self.levels, per_channel=self.per_channel)
            for name, value in latent.items()
        }
        state = {f"latent/{name}": value for name, value in latent.items()}
        state |= {f"rounded/{name}": value for name, value in rounded.items()}
        state |= {f"kept/{name}": value for name, value in kept.items()}
        return state, {**now.params, **rounded}


def quantised(weight: Tensor, levels: int, *, per_channel: bool = True) -> Tensor:
    """Return weights rounded to multiples of their scale, as ONNX Runtime's quantiser rounds them.

    Args:
        weight: `[out, ...]`.
        levels: of each sign, at least 1.
        per_channel: a scale for each `out` instead of one for all.

    Returns:
        A tensor of the same shape: `scale * round(weight / scale)` with halves to even and
        `scale = max |weight| / levels`. Zeros stay zeros, and are +0.0.

    Example:
        >>> quantised(torch.tensor([[1.0, 0.3, -0.1], [0.0, 0.0, 0.0]]), 2)
        tensor([[1.0000, 0.5000, 0.0000],
                [0.0000, 0.0000, 0.0000]])
    """
    over = tuple(range(1 if per_channel else 0, weight.dim()))
    largest = weight.abs().amax(dim=over, keepdim=True) if over else weight.abs()
    least = levels * torch.finfo(weight.dtype).tiny
    scale = torch.where(largest >= least, largest / levels, 1.0)
    return torch.round(weight / scale) * scale + 0.0


def _weights(now: Moment) -> list[str]:
    """Return the names of what is rounded: what pruning counts, and depthwise kernels."""
    return [name for name, p in now.params.items() if name in now.prunable or p.dim() > 2]
