"""Mixup: batches of mixed records with mixed labels, as a hook."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch.nn import functional

from secateur.errors import MethodError
from secateur.train.hooks import Batch, Hook, Moment

if TYPE_CHECKING:
    from secateur.train.hooks import Tensors

__all__ = ["Mixup"]


@dataclass(frozen=True, kw_only=True)
class Mixup(Hook):
    """Train on mixtures of two records of a batch, with their labels mixed alike.

    One weight per step is drawn from Beta(alpha, alpha): inputs w x + (1 - w) x', labels likewise,
    each record with the one that a permutation of the batch gives it, now and then itself. Soft
    labels, such as teachers' answers, are mixed as they are.

    Args:
        alpha: of the Beta distribution, above 0; 1 is uniform, less is nearer to the records.

    Raises:
        MethodError: an alpha that is not positive and finite.

    Example:
        >>> Mixup()
        Mixup(alpha=1.0)

    Reference:
        zhang2018mixup.
    """

    alpha: float = 1.0

    reference: ClassVar[str] = "zhang2018mixup"

    def __post_init__(self) -> None:
        if not (self.alpha > 0 and math.isfinite(self.alpha)):
            raise MethodError(f"alpha must be positive and finite, got {self.alpha}")

    def noise(self, generator: torch.Generator, now: Moment, size: int) -> Tensors:
        """Draw the partners and the weight of a step."""
        del now
        if not size:
            return {}
        seed = int(torch.randint(2**62, (1,), generator=generator))
        weight = np.random.default_rng(seed).beta(self.alpha, self.alpha)
        return {
            "partner": torch.randperm(size, generator=generator),
            "weight": torch.tensor(weight, dtype=torch.float32),
        }

    def batch(
        self, state: Tensors, now: Moment, batch: Batch, noise: Tensors
    ) -> tuple[Tensors, Batch]:
        """Mix."""
        partner = noise["partner"].to(batch.inputs.device)
        weight = noise["weight"].to(batch.inputs)
        labels = batch.labels
        if labels.dim() == 1:
            labels = functional.one_hot(labels, now.classes).to(batch.inputs)
        inputs = weight * batch.inputs + (1 - weight) * batch.inputs[partner]
        return state, batch._replace(
            inputs=inputs, labels=weight * labels + (1 - weight) * labels[partner]
        )
