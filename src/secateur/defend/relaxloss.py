"""RelaxLoss: hold the members' mean loss at a level instead of driving it to zero."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from torch.nn import functional

from secateur.errors import MethodError
from secateur.train.hooks import Batch, Hook, Moment

if TYPE_CHECKING:
    from torch import Tensor

    from secateur.train.hooks import Tensors
    from secateur.train.recipe import Recipe

__all__ = ["RelaxLoss"]


@dataclass(frozen=True, kw_only=True)
class RelaxLoss(Hook):
    """Keep the mean loss of a batch near alpha, and flatten the posterior below it.

    In even epochs of a phase, counted from 0, the loss is |L - alpha|, where L is the recipe's
    loss on the batch. In odd epochs it is L while L is above alpha; below it, the cross entropy
    against a soft target that keeps the model's own probability of the right class, at most
    `upper`, and spreads the rest evenly over the other classes.

    Args:
        alpha: the level that the loss is held at, in nats, at least 0; the dial between accuracy
            and leak. With 0 it is plain training.
        upper: most that the soft target gives to the right class, in (0, 1].
        flattening: `wrong` flattens the records that are classified wrongly and lowers the
            confidence in all (- L is added), as released for pictures; `all` flattens every record,
            as released for tables.

    Raises:
        MethodError: a number out of range; a recipe with training code of its own, or relaxed
            already.

    Settings of the released code: alpha 1 (CIFAR-10, ResNet-20), 0.4 (VGG-11), 3 and 0.5
    (CIFAR-100), with `upper=1`; on tables `flattening="all"`, alpha 0.8 and upper 0.3
    (Purchase-100), 2.5 and 0.1 (Texas-100). SGD at 0.1, momentum 0.9, weight decay 1e-4, batches
    of 128, 300 epochs on pictures and 120 on tables, the rate divided by ten twice. Choose alpha
    on validation data.

    Example:
        >>> from secateur.models import MLP
        >>> from secateur.train import Recipe
        >>> RelaxLoss(alpha=0.5).defended(Recipe(build=MLP(widths=(8, 2)))).hooks
        (RelaxLoss(alpha=0.5, upper=1.0, flattening='wrong'),)

    Reference:
        chen2022relaxloss.

    Differs from the paper:
        Nothing known. The paper was not read in full; formulas are those of the released code,
        where the gradient flows through the soft target too. L is the recipe's own loss, so label
        smoothing counts in it; terms that other hooks add are not relaxed, as this hook stands
        before them. With soft labels the right class is the largest one.
    """

    alpha: float = 1.0
    upper: float = 1.0
    flattening: Literal["wrong", "all"] = "wrong"

    revision: ClassVar[int] = 1
    reference: ClassVar[str] = "chen2022relaxloss"

    def __post_init__(self) -> None:
        if not (self.alpha >= 0 and math.isfinite(self.alpha)):
            raise MethodError(f"alpha must be at least 0 and finite, got {self.alpha}")
        if not 0 < self.upper <= 1:
            raise MethodError(
                f"upper must be in (0, 1], got {self.upper}; 1 leaves the model's own confidence"
            )
        if self.flattening not in ("wrong", "all"):
            raise MethodError(f"unknown flattening {self.flattening!r}; there are 'wrong', 'all'")

    def defended(self, recipe: Recipe) -> Recipe:
        """Return the recipe with the relaxed loss, before what its hooks add."""
        if recipe.train is not None:
            raise MethodError(
                f"RelaxLoss changes the loss of our training loop, and this recipe trains by "
                f"{recipe.train!r}; give a recipe without `train`"
            )
        if any(isinstance(hook, RelaxLoss) for hook in recipe.hooks):
            raise MethodError(f"the recipe is relaxed already, by {recipe.hooks!r}; take one away")
        return replace(recipe, hooks=(self, *recipe.hooks))

    def loss(
        self, state: Tensors, now: Moment, batch: Batch, logits: Tensor, loss: Tensor
    ) -> Tensor:
        """Return the relaxed loss."""
        del state
        if now.epoch % 2 == 0:
            return (loss - self.alpha).abs()
        flat = self._flat(batch.labels, logits, loss)
        return torch.where(loss > self.alpha, loss, flat)

    def _flat(self, labels: Tensor, logits: Tensor, loss: Tensor) -> Tensor:
        """Return the loss of posterior flattening."""
        right = labels if labels.dim() == 1 else labels.argmax(-1)
        classes = logits.shape[-1]
        log_p = torch.log_softmax(logits, dim=-1)
        one_hot = functional.one_hot(right, classes).to(logits.dtype)
        kept = (log_p.exp() * one_hot).sum(-1, keepdim=True).clamp(max=self.upper)
        target = torch.where(one_hot > 0, kept, (1 - kept) / max(classes - 1, 1))
        each = -(target * log_p).sum(-1)
        if self.flattening == "all":
            return each.mean()
        wrong = (logits.argmax(-1) != right).to(logits.dtype)
        return (wrong * each).mean() - loss
