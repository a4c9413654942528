"""SELENA: many sub-models, and self-distillation of what those say that did not see a record.

Sub-models and answers are forgotten with the process, but for a sweep, which keeps them in its
folder while a seed runs (`Taught`), and for `SELENA.keep`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from secateur.data.recombinations import Way
from secateur.defend.answers import (
    RECOMBINATION,
    check_dials,
    check_inside,
    check_recombined,
    every_record,
    left_out_of,
    mean_answers,
    recombination,
    soft_labels,
    trained_by,
)
from secateur.errors import MethodError
from secateur.spelling import spelled_without
from secateur.train.hooks import MEMBERS
from secateur.train.recombined import Recombined

if TYPE_CHECKING:
    from torch import Tensor

    from secateur.train.recipe import Phase, Recipe
    from secateur.train.steps import Heard, Transform
    from secateur.types import BoolArray, IntArray

__all__ = ["SELENA"]


@dataclass(frozen=True, kw_only=True)
class SELENA:
    """Train on the mean answer of the sub-models that a record was left out of.

    Split-AI: each of `teachers` sub-models lacks some of the members, so that every unit is left
    out of `left_out` of them. Self-distillation: a fresh network of the same kind learns on all
    members the mean softmax output of those.

    Args:
        teachers: K, sub-models for each model.
        left_out: L, of how many of them a unit is left out, in 1 .. K - 1.
        teacher_epochs: of a sub-model; by default the recipe's.
        epochs: of the student; by default the recipe's.
        prune: a method that makes the student small; the paper's is dense (None).
        keep: keep answers and splits in the artifact's history; by default they are not written
            there. A sweep keeps them in its folder while a seed runs.
        recombine: `features`, `mixed` or `patches`: the student learns on inputs that are nobody's,
            as in `CrossFit`; the paper's learns on the members (None).
        times: how many times as many of them as members; by default 4.
        parents: of how many members each is put together; by default 2.
        least: the least share of each parent in it, below 1 / parents; by default 0, with which
            some are nearly a member's own.

    Raises:
        MethodError: a number out of range, or fewer units than sub-models.

    Example:
        >>> SELENA()
        SELENA(teachers=25, left_out=10, teacher_epochs=None, epochs=None, prune=None, keep=False)

    Reference:
        tang2022mitigating. Differs from it: the sub-models that a unit is left out of are drawn so
        that all of them lack equally many; `recombine` is ours.
    """

    teachers: int = 25
    left_out: int = 10
    teacher_epochs: int | None = None
    epochs: int | None = None
    prune: Transform | None = None
    keep: bool = False
    recombine: Way | None = None
    times: float | None = None
    parents: int | None = None
    least: float | None = None

    fresh: ClassVar[bool] = True
    revision: ClassVar[int] = 1
    reference: ClassVar[str] = "tang2022mitigating"

    def __post_init__(self) -> None:
        if not 1 <= self.left_out < self.teachers:
            raise MethodError(
                f"left_out must be in 1 .. teachers - 1, got left_out={self.left_out} of "
                f"teachers={self.teachers}"
            )
        check_dials(epochs=self.epochs, teacher_epochs=self.teacher_epochs)
        check_recombined(self.recombined, what="SELENA", keep=self.keep)
        check_inside("prune", self.prune, self.epochs, what="SELENA")

    def __repr__(self) -> str:
        """Return its spelling; what came later stands in it where it is not the default."""
        return spelled_without(self, {**dict.fromkeys(RECOMBINATION)})

    @property
    def pool(self) -> str:
        """The members."""
        return MEMBERS

    @property
    def recombined(self) -> Recombined | None:
        """How the inputs are made that the student learns on."""
        return recombination(
            self.recombine, times=self.times, parents=self.parents, least=self.least
        )

    @property
    def keeps_answers(self) -> bool:
        """Whether answers and splits are kept."""
        return self.keep

    def split(self, units: IntArray, *, seed: int) -> BoolArray:
        """Return which members each sub-model trains on."""
        return left_out_of(units, self.teachers, out=self.left_out, seed=seed, what="SELENA")

    def teaching(self, recipe: Recipe) -> tuple[Phase, ...]:
        """Return the recipe's training."""
        return trained_by(recipe, None, self.teacher_epochs)

    def phases(self, recipe: Recipe) -> tuple[Phase, ...]:
        """Return the student's training."""
        return trained_by(recipe, self.prune, self.epochs)

    def answers(self, heard: Heard) -> tuple[Tensor, Tensor]:
        """Return the mean answer of the sub-models without a record."""
        found = mean_answers(heard, temperature=1.0)
        return every_record(heard), soft_labels(found, heard, alpha=0.0)
