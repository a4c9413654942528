"""Distil several models, each of some of the members, on records that are nobody's members."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch

from secateur.defend.answers import (
    check_dials,
    check_inside,
    left_out_of,
    mean_answers,
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

__all__ = ["EnsembleDMP"]


@dataclass(frozen=True, kw_only=True)
class EnsembleDMP:
    """Train a student on a pool of other records, with the mean answer of several teachers.

    As `DMP`, whose one teacher knows all members: the released model never meets a member's record,
    and the pool needs no labels. Here each teacher lacks some of the members, by unit, and the mean
    of what they say is more accurate than what one says. With `left_out=teachers - 1` every unit is
    in one teacher alone, as in PATE.

    Args:
        teachers: for each model, at least 2.
        left_out: of how many of them each unit is left out, in 1 .. teachers - 1.
        pool: of the membership, whose records no model was trained on; every model has the same
            ones, and the attacker knows them.
        share: of the pool, those of which the teachers together are surest: the lowest entropy of
            their mean answer; in (0, 1].
        temperature: of the teachers' softmax.
        prune: a method that makes the student small; None: it stays dense.
        teacher_epochs: by default the recipe's.
        epochs: of the student; by default the recipe's.
        keep: keep the answers in the artifact's history.

    Raises:
        MethodError: a number out of range, fewer units than teachers, or the pool `members`.

    Example:
        >>> import numpy as np
        >>> EnsembleDMP(teachers=4, left_out=3).split(np.arange(8), seed=0).sum(axis=0).tolist()
        [1, 1, 1, 1, 1, 1, 1, 1]

    Reference:
        papernot2017semi. Differs from it: mean softmax outputs in place of votes, and no noise, so
        that no epsilon follows; parts of the members may overlap. shejwalkar2021membership for the
        selection by entropy.
    """

    teachers: int = 5
    left_out: int = 1
    pool: str = "attack"
    share: float = 1.0
    temperature: float = 1.0
    prune: Transform | None = None
    teacher_epochs: int | None = None
    epochs: int | None = None
    keep: bool = False

    fresh: ClassVar[bool] = True
    revision: ClassVar[int] = 1
    reference: ClassVar[str] = "papernot2017semi"

    def __post_init__(self) -> None:
        if not 1 <= self.left_out < self.teachers:
            raise MethodError(
                f"EnsembleDMP: left_out must be in 1 .. teachers - 1, got left_out={self.left_out} "
                f"of teachers={self.teachers}; with one teacher it is DMP()"
            )
        if self.pool == MEMBERS:
            raise MethodError(
                "EnsembleDMP learns on records that are no members; name a pool of the membership, "
                f"such as {ATTACK!r}, or use SELENA() or CrossFit()"
            )
        if not 0 < self.share <= 1:
            raise MethodError(f"share of the pool must be in (0, 1], got {self.share}")
        check_dials(
            temperature=self.temperature,
            epochs=self.epochs,
            teacher_epochs=self.teacher_epochs,
        )
        check_inside("prune", self.prune, self.epochs, what="EnsembleDMP")

    @property
    def keeps_answers(self) -> bool:
        """Whether answers are kept."""
        return self.keep

    def split(self, units: IntArray, *, seed: int) -> BoolArray:
        """Return which members each teacher trains on."""
        return left_out_of(units, self.teachers, out=self.left_out, seed=seed, what="EnsembleDMP")

    def teaching(self, recipe: Recipe) -> tuple[Phase, ...]:
        """Return the recipe's training."""
        return trained_by(recipe, None, self.teacher_epochs)

    def phases(self, recipe: Recipe) -> tuple[Phase, ...]:
        """Return the student's training."""
        return trained_by(recipe, self.prune, self.epochs)

    def answers(self, heard: Heard) -> tuple[Tensor, Tensor]:
        """Return the records of lowest entropy, and what the teachers say of them in the mean."""
        said = mean_answers(heard, temperature=self.temperature)
        entropy = -torch.special.xlogy(said, said).sum(1)
        kept = max(1, round(self.share * len(entropy)))
        where = torch.argsort(entropy, stable=True)[:kept].sort().values
        return where, said[where].float()
