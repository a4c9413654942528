"""HAMP's training: labels of high entropy, and a reward for outputs of high entropy."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import torch
from torch.nn import functional

from secateur.errors import MethodError
from secateur.train.hooks import Batch, Hook, Moment

if TYPE_CHECKING:
    from torch import Tensor

    from secateur.train.hooks import Tensors
    from secateur.train.recipe import Recipe

__all__ = ["HAMP", "top_of_label"]


@dataclass(frozen=True, kw_only=True)
class HAMP(Hook):
    """Train on soft labels of a set entropy, with an entropy bonus.

    A record's label gives its class a probability p and every other class the same share of the
    rest, p such that the label's entropy is gamma * log(classes). The loss is the divergence from
    the label to the output, minus alpha * classes * the output's entropy, mean over the batch.

    Args:
        gamma: entropy of the labels as a share of the largest, in [0, 1); the dial. With 0 labels
            are hard.
        alpha: weight of the bonus, at least 0, on the scale of the released code.

    Raises:
        MethodError: a number out of range; a recipe with training code of its own, or with HAMP
            already.

    Settings of the released code (gamma, alpha): Location-30 (0.5, 0.001), the defaults;
    Purchase-100 (0.8, 0.01), Texas-100 (0.6, 0.01), CIFAR-10 (0.95, 0.001), CIFAR-100 (0.5,
    0.005).

    Example:
        >>> from secateur.models import MLP
        >>> from secateur.train import Recipe
        >>> HAMP(gamma=0.8).defended(Recipe(build=MLP(widths=(8, 2)))).hooks
        (HAMP(gamma=0.8, alpha=0.001),)

    Reference:
        chen2024hamp.

    Differs from the paper:
        Its second half is not here: at test time HAMP replaces a record's outputs by those of a
        random input, put in the same order. That changes what is answered, not the weights, and an
        attacker who sees labels alone is not stopped by it. The released code averages the
        divergence over the classes too; so that its alphas keep their meaning, alpha is multiplied
        by the number of classes here. It finds p in steps of 0.01, here by bisection. The paper was
        not read in full; this follows the released code for Location-30. The recipe's own label
        smoothing is left out.
    """

    gamma: float = 0.5
    alpha: float = 0.001

    revision: ClassVar[int] = 1
    reference: ClassVar[str] = "chen2024hamp"

    def __post_init__(self) -> None:
        if not 0 <= self.gamma < 1:
            raise MethodError(
                f"gamma must be in [0, 1), got {self.gamma}; with 1 labels would say nothing"
            )
        if not (self.alpha >= 0 and math.isfinite(self.alpha)):
            raise MethodError(f"alpha must be at least 0 and finite, got {self.alpha}")

    def defended(self, recipe: Recipe) -> Recipe:
        """Return the recipe with soft labels, made before its hooks see a batch."""
        if recipe.train is not None:
            raise MethodError(
                f"HAMP changes the labels in our training loop, and this recipe trains by "
                f"{recipe.train!r}; give a recipe without `train`"
            )
        if any(isinstance(hook, HAMP) for hook in recipe.hooks):
            raise MethodError(f"the recipe has HAMP already: {recipe.hooks!r}; take one away")
        return replace(recipe, hooks=(self, *recipe.hooks), label_smoothing=0.0)

    def batch(
        self, state: Tensors, now: Moment, batch: Batch, noise: Tensors
    ) -> tuple[Tensors, Batch]:
        """Replace the labels."""
        del noise
        like = next(iter(now.params.values()))
        right = batch.labels if batch.labels.dim() == 1 else batch.labels.argmax(-1)
        top = top_of_label(now.classes, self.gamma)
        rest = (1 - top) / max(now.classes - 1, 1)
        one_hot = functional.one_hot(right, now.classes).to(like.dtype)
        return state, batch._replace(labels=one_hot * (top - rest) + rest)

    def loss(
        self, state: Tensors, now: Moment, batch: Batch, logits: Tensor, loss: Tensor
    ) -> Tensor:
        """Subtract the bonus."""
        del state, batch
        log_p = torch.log_softmax(logits, dim=-1)
        entropy = -(log_p.exp() * log_p).sum(-1).mean()
        return loss - self.alpha * now.classes * entropy


def top_of_label(classes: int, gamma: float) -> float:
    """Return the probability of the right class in a label of this entropy, the others being equal.

    Args:
        classes: at least 1.
        gamma: entropy as a share of log(classes), in [0, 1).

    Returns:
        At least 1 / classes; the label's entropy is gamma * log(classes) to 12 digits, not less.

    Example:
        >>> round(top_of_label(30, 0.5), 4)
        0.6809
    """
    if classes < 2 or not gamma:
        return 1.0
    wanted = gamma * math.log(classes)
    enough, short = 1 / classes, 1.0
    for _ in range(60):
        top = (enough + short) / 2
        rest = (1 - top) / (classes - 1)
        entropy = -(top * math.log(top) + (1 - top) * math.log(rest))
        enough, short = (top, short) if entropy >= wanted else (enough, top)
    return enough
