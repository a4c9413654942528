"""Group normalisation without noise: the dense control of differentially private training."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from secateur.errors import MethodError
from secateur.models import GroupNormed, builds_batch_norm

if TYPE_CHECKING:
    from secateur.protocols import Builder
    from secateur.train.recipe import Recipe

__all__ = ["GroupNormDense"]


@dataclass(frozen=True, kw_only=True)
class GroupNormDense:
    """Train the network that `DPSGD` trains, with the recipe's own optimiser and no noise.

    DP-SGD replaces batch normalisation by group normalisation, which alone changes accuracy and
    leak. What its clipping and its noise do is seen beside this control, not beside the plain dense
    model. Everything else of the recipe stays as it is.

    Args:
        groups: per layer at most this many, as of `GroupNormed`; `DPSGD` takes these defaults.
        channels: at least this many in a group, where the layer has them.

    Raises:
        MethodError: fewer than 1 group or channel; a network without batch normalisation, whose
            dense model is the control already; a recipe with training code of its own.

    Example:
        >>> from secateur.models import ResNet18
        >>> from secateur.train import Recipe
        >>> GroupNormDense().defended(Recipe(build=ResNet18(width=0.125))).build.groups
        32

    Reference:
        wu2018group.
    """

    groups: int = 32
    channels: int = 16

    revision: ClassVar[int] = 2
    reference: ClassVar[str] = "wu2018group"

    def __post_init__(self) -> None:
        if self.groups < 1 or self.channels < 1:
            raise MethodError(
                f"groups and channels must be at least 1, got groups={self.groups}, "
                f"channels={self.channels}"
            )

    def defended(self, recipe: Recipe) -> Recipe:
        """Return the recipe with the same network, group normalisation inside."""
        if recipe.train is not None:
            raise MethodError(
                "this recipe has training code of its own, which makes its network itself; give "
                "that code a GroupNormed(build=..., channels=16) instead"
            )
        if not builds_batch_norm(recipe.build):
            raise MethodError(
                f"{recipe.build!r} has no batch normalisation to replace, so the dense model is "
                "itself what DP-SGD is compared with; leave GroupNormDense out"
            )
        return replace(recipe, build=self.normed(recipe.build))

    def normed(self, build: Builder) -> GroupNormed:
        """Return a network with group normalisation in place of batch normalisation."""
        return GroupNormed(build=build, groups=self.groups, channels=self.channels)
