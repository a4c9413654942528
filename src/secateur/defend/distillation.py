"""Distillation on the members themselves: the control for answers from outside."""

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
from secateur.spelling import spelled_without
from secateur.train.hooks import MEMBERS

if TYPE_CHECKING:
    from torch import Tensor

    from secateur.train.recipe import Phase, Recipe
    from secateur.train.steps import Heard, Transform
    from secateur.types import BoolArray, IntArray

__all__ = ["InSampleDistillation"]


@dataclass(frozen=True, kw_only=True)
class InSampleDistillation:
    """Train on the answers of one teacher that was trained on the same members.

    The control for `CrossFit` and `SELENA`: soft labels too, but of a teacher that knows the
    members, so that what is gone with it is worth nothing, and what stays was softness alone.

    Args:
        prune: a method that makes the student small; None: it stays dense.
        teacher: a method from fresh weights by which the teacher is trained, as in `CrossFit`.
            None: by the recipe.
        teacher_epochs: of a dense teacher; by default the recipe's.
        epochs: of the student; by default the recipe's.
        alpha: share of the member's own label, in [0, 1].
        temperature: of the teacher's softmax.
        keep: keep the answers in the artifact's history.

    Raises:
        MethodError: a number out of range; a method that cannot stand inside.

    Example:
        >>> InSampleDistillation(temperature=2.0).pool
        'members'

    Reference:
        hinton2015distilling. Differs from it: the student's own softmax has temperature 1, and the
        loss no factor for it.
    """

    prune: Transform | None = None
    teacher_epochs: int | None = None
    epochs: int | None = None
    alpha: float = 0.0
    temperature: float = 1.0
    keep: bool = False
    teacher: Transform | None = None

    fresh: ClassVar[bool] = True
    revision: ClassVar[int] = 1
    reference: ClassVar[str] = "hinton2015distilling"

    def __post_init__(self) -> None:
        check_dials(
            temperature=self.temperature,
            alpha=self.alpha,
            epochs=self.epochs,
            teacher_epochs=self.teacher_epochs,
        )
        check_inside("prune", self.prune, self.epochs, what="InSampleDistillation")
        check_inside("teacher", self.teacher, self.teacher_epochs, what="InSampleDistillation")
        if self.teacher is not None and not self.teacher.fresh:
            raise MethodError(
                f"InSampleDistillation: teacher={self.teacher!r} goes on from a trained model, and "
                "a teacher has none; write RandomMask(...), or leave it out"
            )

    def __repr__(self) -> str:
        """Return its spelling; what came later stands in it where it is not the default."""
        return spelled_without(self, {"teacher": None})

    @property
    def pool(self) -> str:
        """The members."""
        return MEMBERS

    @property
    def keeps_answers(self) -> bool:
        """Whether answers are kept."""
        return self.keep

    def split(self, units: IntArray, *, seed: int) -> BoolArray:
        """Return all members for the one teacher."""
        del seed
        return np.ones((1, len(units)), np.bool_)

    def teaching(self, recipe: Recipe) -> tuple[Phase, ...]:
        """Return the training of the teacher."""
        return trained_by(recipe, self.teacher, self.teacher_epochs)

    def phases(self, recipe: Recipe) -> tuple[Phase, ...]:
        """Return the student's training."""
        return trained_by(recipe, self.prune, self.epochs)

    def answers(self, heard: Heard) -> tuple[Tensor, Tensor]:
        """Return what the teacher says."""
        own = torch.softmax(heard.logits[0].double() / self.temperature, dim=-1)
        return every_record(heard), soft_labels(own, heard, alpha=self.alpha)
