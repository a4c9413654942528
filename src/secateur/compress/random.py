"""A random mask, chosen before any training: the control for every other method."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import torch

from secateur.compress.budgets import Allocation, Budget
from secateur.compress.masks import FixedMask, scaled_by_density
from secateur.compress.parts import Pattern
from secateur.compress.patterns import Unstructured
from secateur.errors import MethodError
from secateur.spelling import spelled_without
from secateur.train.hooks import Moment
from secateur.train.recipe import Phase
from secateur.types.base import set_fields

if TYPE_CHECKING:
    from torch import Tensor

    from secateur.train.hooks import Tensors
    from secateur.train.recipe import Optimiser, Recipe

__all__ = ["RandomMask", "RandomMaskHook"]


@dataclass(frozen=True, kw_only=True)
class RandomMask:
    """Train anew with a mask that was drawn before the first step and looks at no record.

    The control for pruning methods: what it changes comes from having fewer weights, not from
    which weights were chosen. Train it to the end; a random mask that is only half trained leaks
    little because it has learned little.

    Args:
        rate: compression rate over the prunable weights that are not exempt, at least 1; 10 when
            neither this nor `sparsity` is given.
        sparsity: share of them removed, in [0, 1), instead of `rate`.
        allocation: `uniform` keeps the same share of each layer, `erk` keeps small layers denser.
        floor: least share kept of every layer under `erk`.
        exempt: names of prunable weights to leave whole.
        scale_initialisation: divide the initial weights of a layer by the square root of its
            density, so that activations start with the variance of the dense network.
        epochs: by default the recipe's.
        optimiser: by default the recipe's.
        pattern: which weights are kept or removed together, such as `Coupled()`: groups of them are
            drawn.
        multiply_adds: multiply-adds before / multiply-adds kept, instead of `rate`, with
            `pattern=Coupled()`.

    Raises:
        SparsityError: a rate, sparsity or floor that cannot be reached.
        MethodError: an unknown allocation, epochs below 0, or a budget that the pattern does not
            take.

    Example:
        >>> RandomMask(rate=10.0).budget.allocation
        'uniform'

    Reference:
        liu2022unreasonable.
    """

    rate: float | None = None
    sparsity: float | None = None
    allocation: Allocation = "uniform"
    floor: float = 0.01
    exempt: tuple[str, ...] = ()
    scale_initialisation: bool = True
    epochs: int | None = None
    optimiser: Optimiser | None = None
    pattern: Pattern = field(default_factory=Unstructured)
    multiply_adds: float | None = None

    fresh: ClassVar[bool] = True
    revision: ClassVar[int] = 1
    reference: ClassVar[str] = "liu2022unreasonable"

    def __post_init__(self) -> None:
        if {self.rate, self.sparsity, self.multiply_adds} == {None}:
            set_fields(self, rate=self.pattern.rate)
        self.pattern.check(self.budget)
        if self.epochs is not None and self.epochs < 0:
            raise MethodError(
                f"epochs must be at least 0, or None for the recipe's; got {self.epochs}"
            )

    def __repr__(self) -> str:
        """Return its spelling; what came later stands in it where it is not the default."""
        return spelled_without(self, {"pattern": Unstructured(), "multiply_adds": None})

    @property
    def budget(self) -> Budget:
        """How many weights are kept."""
        return Budget(
            rate=self.rate,
            sparsity=self.sparsity,
            floor=self.floor,
            exempt=self.exempt,
            allocation=self.allocation,
            multiply_adds=self.multiply_adds,
        )

    def phases(self, recipe: Recipe) -> tuple[Phase, ...]:
        """Return one phase from fresh weights, the recipe's hooks before the mask."""
        hook = RandomMaskHook(
            budget=self.budget,
            scale_initialisation=self.scale_initialisation,
            grouping=self.pattern.fitted(recipe.build),
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
class RandomMaskHook(FixedMask):
    """A fixed mask drawn from the noise handed in."""

    scale_initialisation: bool

    def noise(self, generator: torch.Generator, now: Moment, size: int) -> Tensors:
        """Draw one uniform number per weight, before the first step."""
        del size
        layers = self.budget.layers(now.prunable)
        return {name: torch.rand(now.params[name].shape, generator=generator) for name in layers}

    def choose(self, now: Moment, noise: Tensors) -> Tensors:
        """Return masks of the largest random numbers."""
        drawn = {name: values.to(now.params[name].device) for name, values in noise.items()}
        return self.largest(drawn, now)

    def begin(self, now: Moment, noise: Tensors) -> tuple[Tensors, Tensors]:
        """Choose and apply the masks, and make up for the missing inputs of each unit."""
        masks, params = super().begin(now, noise)
        if not self.scale_initialisation:
            return masks, params
        if self.grouping is not None:
            return masks, scaled_by_density(params, {n: _inputs_kept(masks[n]) for n in noise})
        counts = self.budget.counts({name: tuple(mask.shape) for name, mask in masks.items()})
        density = {name: counts[name] / mask.numel() for name, mask in masks.items()}
        return masks, scaled_by_density(params, density)


def _inputs_kept(mask: Tensor) -> Tensor:
    """Return which share of its inputs a row that is kept still reads, mean over these rows."""
    rows = mask.flatten(1)
    return rows.sum() / (rows.any(1).sum() * rows.shape[1])
