"""DMP: distil a model of the members on records that are nobody's members; and its control."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch

from secateur.defend.answers import (
    check_dials,
    check_inside,
    every_record,
    soft_labels,
    trained_by,
)
from secateur.errors import MethodError
from secateur.train.hooks import MEMBERS
from secateur.types import ATTACK

if TYPE_CHECKING:
    from torch import Tensor

    from secateur.train.recipe import Phase, Recipe
    from secateur.train.steps import Heard, Transform
    from secateur.types import BoolArray, IntArray

__all__ = ["DMP", "PoolOnly"]


def _check_pool(pool: str, what: str) -> None:
    if pool == MEMBERS:
        raise MethodError(
            f"{what} learns on records that are no members; name a pool of the membership, such as "
            f"{ATTACK!r}, or use InSampleDistillation()"
        )


@dataclass(frozen=True, kw_only=True)
class DMP:
    """Train a student on a pool of other records, with the answers of a teacher of the members.

    Distillation for membership privacy: the released model never meets a member's record. The pool
    needs no labels.

    Args:
        pool: of the membership, whose records no model was trained on; every model has the same
            ones, and the attacker knows them.
        share: of the pool, those of which the teacher is surest: the lowest entropy, as the paper
            selects; in (0, 1].
        temperature: of the teacher's softmax.
        prune: a method that makes the student small; None: it stays dense.
        teacher_epochs: by default the recipe's.
        epochs: of the student; by default the recipe's.
        keep: keep the answers in the artifact's history.

    Raises:
        MethodError: a number out of range; the pool `members`.

    Example:
        >>> DMP(share=0.5).pool
        'attack'

    Reference:
        shejwalkar2021membership. Differs from it: no reference data are generated.
    """

    pool: str = "attack"
    share: float = 1.0
    temperature: float = 1.0
    prune: Transform | None = None
    teacher_epochs: int | None = None
    epochs: int | None = None
    keep: bool = False

    fresh: ClassVar[bool] = True
    revision: ClassVar[int] = 1
    reference: ClassVar[str] = "shejwalkar2021membership"

    def __post_init__(self) -> None:
        _check_pool(self.pool, "DMP")
        if not 0 < self.share <= 1:
            raise MethodError(f"share of the pool must be in (0, 1], got {self.share}")
        check_dials(
            temperature=self.temperature,
            epochs=self.epochs,
            teacher_epochs=self.teacher_epochs,
        )
        check_inside("prune", self.prune, self.epochs, what="DMP")

    @property
    def keeps_answers(self) -> bool:
        """Whether answers are kept."""
        return self.keep

    def split(self, units: IntArray, *, seed: int) -> BoolArray:
        """Return all members for the one teacher."""
        del seed
        return np.ones((1, len(units)), np.bool_)

    def teaching(self, recipe: Recipe) -> tuple[Phase, ...]:
        """Return the recipe's training."""
        return trained_by(recipe, None, self.teacher_epochs)

    def phases(self, recipe: Recipe) -> tuple[Phase, ...]:
        """Return the student's training."""
        return trained_by(recipe, self.prune, self.epochs)

    def answers(self, heard: Heard) -> tuple[Tensor, Tensor]:
        """Return the records of lowest entropy, and what the teacher says of them."""
        own = torch.softmax(heard.logits[0].double() / self.temperature, dim=-1)
        entropy = -torch.special.xlogy(own, own).sum(1)
        kept = max(1, round(self.share * len(entropy)))
        where = torch.argsort(entropy, stable=True)[:kept].sort().values
        return where, own[where].float()


@dataclass(frozen=True, kw_only=True)
class PoolOnly:
    """Train on a pool of other records with their own labels: no member is read at all.

    The control for `DMP` where that pool has labels: what the members add is what the defence is
    worth, and who has such records may need no members.

    Args:
        pool: of the membership.
        prune: a method that makes the model small; None: it stays dense.
        epochs: by default the recipe's.

    Raises:
        MethodError: a number out of range; the pool `members`.

    Example:
        >>> PoolOnly().split(np.arange(4), seed=0).shape
        (0, 4)

    Reference:
        shejwalkar2021membership.
    """

    pool: str = "attack"
    prune: Transform | None = None
    epochs: int | None = None

    fresh: ClassVar[bool] = True
    revision: ClassVar[int] = 1
    reference: ClassVar[str] = "shejwalkar2021membership"

    def __post_init__(self) -> None:
        _check_pool(self.pool, "PoolOnly")
        check_dials(epochs=self.epochs)
        check_inside("prune", self.prune, self.epochs, what="PoolOnly")

    @property
    def keeps_answers(self) -> bool:
        """Nothing secret is answered."""
        return False

    def split(self, units: IntArray, *, seed: int) -> BoolArray:
        """Return no teacher."""
        del seed
        return np.zeros((0, len(units)), np.bool_)

    def teaching(self, recipe: Recipe) -> tuple[Phase, ...]:
        """Return nothing."""
        del recipe
        return ()

    def phases(self, recipe: Recipe) -> tuple[Phase, ...]:
        """Return the training."""
        return trained_by(recipe, self.prune, self.epochs)

    def answers(self, heard: Heard) -> tuple[Tensor, Tensor]:
        """Return every record's own label."""
        none = torch.zeros(len(heard.labels), heard.classes, dtype=torch.float64)
        return every_record(heard), soft_labels(none, heard, alpha=1.0)
