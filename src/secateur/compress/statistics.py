"""Statistics of batch normalisation for a network whose weights stay as they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from secateur.compress.masks import masks_of_zeros
from secateur.errors import MethodError
from secateur.train.hooks import Hook, Left, Moment
from secateur.train.recipe import Phase

if TYPE_CHECKING:
    from secateur.train.hooks import Tensors
    from secateur.train.recipe import Recipe

__all__ = ["RefreshStatistics", "ZerosAsMasks"]


@dataclass(frozen=True, kw_only=True)
class RefreshStatistics:
    """Take the running statistics of batch normalisation afresh; change no weight.

    For a network that was pruned without retraining: its statistics are those of the dense
    network, and its accuracy is far below what its weights can give. The members pass through in
    training mode, with the recipe's batches and hooks (so augmented where training was); old
    statistics are forgotten, and each batch counts by its number of records. Parameters keep every
    bit, and the masks and curves of the model before are kept. Where there are none, as for a
    module of one's own, the weights that are not zero become the masks.

    A network without running statistics comes out as it was.

    Args:
        epochs: passes over the members; 0 leaves the statistics too.

    Raises:
        MethodError: epochs below 0.

    Example:
        >>> from secateur.models import SmallCNN
        >>> from secateur.train import Recipe
        >>> (phase,) = RefreshStatistics().phases(Recipe(build=SmallCNN()))
        >>> phase.epochs, phase.trains
        (1, False)

    Reference:
        ioffe2015batch, its Algorithm 2: averages of the means and unbiased variances of batches.
    """

    epochs: int = 1

    fresh: ClassVar[bool] = False
    revision: ClassVar[int] = 1
    reference: ClassVar[str] = "ioffe2015batch"

    def __post_init__(self) -> None:
        if isinstance(self.epochs, bool) or not isinstance(self.epochs, int) or self.epochs < 0:
            raise MethodError(
                f"epochs must be a whole number of at least 0, got {self.epochs!r}; 1 passes every "
                "member through once"
            )

    def phases(self, recipe: Recipe) -> tuple[Phase, ...]:
        """Return one phase that does not train."""
        return (
            Phase(
                epochs=self.epochs,
                hooks=(*recipe.hooks, ZerosAsMasks()),
                streams=recipe.streams,
                trains=False,
            ),
        )


@dataclass(frozen=True, kw_only=True)
class ZerosAsMasks(Hook):
    """Leave masks of the prunable weights that are not zero."""

    def finish(self, state: Tensors, now: Moment) -> tuple[Tensors, Left]:
        """Leave the masks, sorted by name."""
        del state
        return now.params, Left(masks=masks_of_zeros(now.params, now.prunable))
