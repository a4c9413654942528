"""A small dense network: the control for having fewer weights by any other way than pruning."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from secateur.errors import MethodError
from secateur.models import narrower

if TYPE_CHECKING:
    from secateur.protocols import Builder
    from secateur.train.recipe import Recipe

__all__ = ["SmallDense"]


@dataclass(frozen=True, kw_only=True)
class SmallDense:
    """Train a narrower network with as many weights as a pruned one keeps.

    What a pruned network leaks less than the dense one, this one may leak less too, by its size
    alone. Everything else of the recipe stays as it is.

    Every hidden width is multiplied by one factor, so that the number of prunable weights (those of
    linear and convolutional layers, without depthwise kernels) is as near as possible to 1 / rate
    of the original. Channels are whole numbers, so small networks miss it by some percent; the
    report's size rows count.

    Args:
        rate: weights of the recipe's network / weights of the small one, at least 1.
        build: the small network, where the recipe's is one of your own; then `rate` is not read.

    Raises:
        MethodError: a rate below 1; a network that does not say how it is narrowed, or that cannot
            be narrowed so far; a recipe with training code of its own.

    Example:
        >>> from secateur.models import MLP
        >>> from secateur.train import Recipe
        >>> SmallDense(rate=10).defended(Recipe(build=MLP(widths=(64, 100, 10)))).build
        MLP(widths=(64, 10, 10), dropout=0.0, activation='relu')

    Reference:
        liu2019rethinking, which trains small dense networks from scratch as the control.
    """

    rate: float = 10.0
    build: Builder | None = None

    revision: ClassVar[int] = 1
    reference: ClassVar[str] = "liu2019rethinking"

    def __post_init__(self) -> None:
        if not (self.rate >= 1 and math.isfinite(self.rate)):
            raise MethodError(f"rate must be finite and at least 1, got {self.rate}")

    def defended(self, recipe: Recipe) -> Recipe:
        """Return the recipe with a narrower network."""
        if recipe.train is not None:
            raise MethodError(
                "this recipe has training code of its own, which makes its network itself; train "
                "a recipe with the small network instead"
            )
        small = narrower(recipe.build, 1 / self.rate) if self.build is None else self.build
        return replace(recipe, build=small)
