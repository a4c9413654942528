"""Strong weight decay: the plainest regulariser, a control for every defence."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from secateur.errors import MethodError
from secateur.train.recipe import SGD, Adam

if TYPE_CHECKING:
    from secateur.train.recipe import Recipe

__all__ = ["WeightDecay"]


@dataclass(frozen=True, kw_only=True)
class WeightDecay:
    """Train with weight decay, decoupled from the gradient.

    Each step multiplies the weights by 1 - lr * strength. A small network trained for some hundred
    steps does not notice 0.1; as a control use 1 to 10.

    Args:
        strength: the decay's factor, at least 0; with SGD it is the classical one, which differs in
            the momentum.

    Raises:
        MethodError: a strength below 0, or an optimiser without weight decay.

    Example:
        >>> from secateur.models import MLP
        >>> from secateur.train import Recipe
        >>> WeightDecay(strength=3.0).defended(Recipe(build=MLP(widths=(8, 2)))).optimiser
        Adam(lr=0.001, weight_decay=3.0, schedule='constant', decoupled=True)

    Reference:
        loshchilov2019decoupled.
    """

    strength: float = 1.0

    revision: ClassVar[int] = 1
    reference: ClassVar[str] = "loshchilov2019decoupled"

    def __post_init__(self) -> None:
        if not (self.strength >= 0 and math.isfinite(self.strength)):
            raise MethodError(f"strength must be at least 0 and finite, got {self.strength}")

    def defended(self, recipe: Recipe) -> Recipe:
        """Return the recipe with its optimiser's weight decay replaced."""
        optimiser = recipe.optimiser
        if isinstance(optimiser, Adam):
            return replace(
                recipe, optimiser=replace(optimiser, weight_decay=self.strength, decoupled=True)
            )
        if isinstance(optimiser, SGD):
            return replace(recipe, optimiser=replace(optimiser, weight_decay=self.strength))
        raise MethodError(
            f"{optimiser!r} has no weight decay that is known here; use Adam(...) or SGD(...)"
        )
