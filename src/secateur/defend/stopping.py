"""Fewer epochs: the control that every defence has to beat."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from secateur.errors import MethodError

if TYPE_CHECKING:
    from secateur.train.recipe import Recipe

__all__ = ["EarlyStopping"]


@dataclass(frozen=True, kw_only=True)
class EarlyStopping:
    """Train for so many epochs and no more.

    Snapshots of the dense fleet give the same curve, but hold outputs alone; these models have
    weights, so that every attack can be tried on them. The number of epochs is given and not found:
    to watch some records and stop when they say so would be a part of the training that references
    have to go through, and that leaks of those records.

    Args:
        epochs: at least 1, at most the recipe's.

    Raises:
        MethodError: epochs out of range; a recipe with training code of its own.

    Example:
        >>> from secateur.models import MLP
        >>> from secateur.train import Recipe
        >>> EarlyStopping(epochs=5).defended(Recipe(build=MLP(widths=(8, 2)), epochs=30)).epochs
        5

    Reference:
        caruana2000overfitting.

    Differs from the paper:
        the epochs are chosen beforehand. With a schedule the learning rate falls over the epochs
        that are trained, where a model that is taken out earlier would not have seen it fall.
    """

    epochs: int = 10

    revision: ClassVar[int] = 1
    reference: ClassVar[str] = "caruana2000overfitting"

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise MethodError(f"epochs must be at least 1, got {self.epochs}")

    def defended(self, recipe: Recipe) -> Recipe:
        """Return the recipe with fewer epochs."""
        if recipe.train is not None:
            raise MethodError(
                f"EarlyStopping ends our training loop, and this recipe trains by "
                f"{recipe.train!r}; stop in that code, or give a recipe without `train`"
            )
        if self.epochs > recipe.epochs:
            raise MethodError(
                f"EarlyStopping(epochs={self.epochs}) is longer than the recipe's {recipe.epochs} "
                "epochs; ask for fewer"
            )
        return replace(recipe, epochs=self.epochs)
