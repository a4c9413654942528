"""Label smoothing: the plainest soft labels, as a control for the others."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from secateur.errors import MethodError

if TYPE_CHECKING:
    from secateur.train.recipe import Recipe

__all__ = ["LabelSmoothing"]


@dataclass(frozen=True, kw_only=True)
class LabelSmoothing:
    """Train on labels of which a share is spread evenly over all classes.

    The target of a record is (1 - share) * its one-hot label + share / classes. It may raise what a
    strong attacker finds: it draws the members' outputs together, away from the others'
    (kaya2021does).

    Args:
        share: in [0, 1), of the label's mass that is spread; it replaces the recipe's own.

    Raises:
        MethodError: a share out of range; a recipe with training code of its own.

    Example:
        >>> from secateur.models import MLP
        >>> from secateur.train import Recipe
        >>> LabelSmoothing(share=0.2).defended(Recipe(build=MLP(widths=(8, 2)))).label_smoothing
        0.2

    Reference:
        szegedy2016rethinking.
    """

    share: float = 0.1

    revision: ClassVar[int] = 1
    reference: ClassVar[str] = "szegedy2016rethinking"

    def __post_init__(self) -> None:
        if not 0 <= self.share < 1:
            raise MethodError(f"share must be in [0, 1), got {self.share}; 0.1 is the usual one")

    def defended(self, recipe: Recipe) -> Recipe:
        """Return the recipe with its label smoothing replaced."""
        if recipe.train is not None:
            raise MethodError(
                f"LabelSmoothing changes the loss of our training loop, and this recipe trains by "
                f"{recipe.train!r}; give a recipe without `train`"
            )
        return replace(recipe, label_smoothing=self.share)
