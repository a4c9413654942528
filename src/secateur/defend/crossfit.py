"""Cross-fit pruning: a small network taught by networks that have not seen its members.

Teachers and answers are forgotten with the process, but for a sweep, which keeps them in its folder
while a seed runs (`Taught`), and for `CrossFit.keep`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

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
from secateur.types import derive_seed

if TYPE_CHECKING:
    from torch import Tensor

    from secateur.train.recipe import Phase, Recipe
    from secateur.train.steps import Heard, Transform
    from secateur.types import BoolArray, IntArray

__all__ = ["CrossFit"]


@dataclass(frozen=True, kw_only=True)
class CrossFit:
    """Train and prune on out-of-fold soft labels in place of the members' own.

    Each model's members are cut into secret folds, by unit. For each fold a teacher is trained on
    all the others, and answers for the records of that fold: every record gets the softmax output
    of a network that has not seen it. On these answers a fresh network is trained, pruned and
    retrained. So with alpha=0 what is released never met a label of its own members; what it can
    tell of a record is what networks without that record say of it, and what training on its input
    leaves.

    Args:
        folds: how many, at least 2; a teacher trains on (folds - 1) / folds of the members.
        repeats: how often the members are cut anew; a record's answer is the mean over its teacher
            of each cut. More cost more, and answers are less the opinion of one network.
        prune: the method that makes the student small, such as `ADMM(rate=10)`; one that starts
            from fresh weights, such as `RandomMask(allocation='erk')`, replaces the student's dense
            training. None: the student stays dense.
        teacher: a method from fresh weights by which teachers are trained, such as
            `RandomMask(rate=10)`: sparse teachers. None: by the recipe.
        teacher_epochs: of dense teachers; by default the recipe's.
        epochs: of the student's dense training; by default the recipe's.
        alpha: share of the member's own label in what the student learns, in [0, 1]: the dial
            between accuracy and leak. 0 leaves it out, 1 is plain training.
        temperature: of the teachers' softmax.
        mixup: alpha of `Mixup`, by which the student's records are mixed with others of their
            batch, of whichever fold, and with their answers, so that it seldom meets a member's
            input as it is; 0 leaves it out.
        keep: keep each model's answers and folds in the artifact's history. By default they are
            never written into it; with them, anybody tells members from others.
        recombine: the student learns in place of the members on inputs that are nobody's, each put
            together from two members that one teacher at least has seen neither of, answered by
            those teachers alone: `features` (each from one parent or the other), `mixed` (the
            weighted mean), `patches` (a rectangle of one picture in the other). None: on the
            members themselves.
        times: how many times as many of them as members; by default 4.
        parents: of how many members each is put together; by default 2.
        least: the least share of each parent in it, below 1 / parents; by default 0, with which
            some are nearly a member's own.

    Teachers stay in the process that makes the model, and are forgotten; a sweep keeps them, and
    what they said, in its folder while a seed runs. The history of each
    artifact holds `taught/teachers`, and unless inputs are made `taught/agreement`, the share of
    members of which the teachers say the right class. Cost: repeats * (folds - 1) trainings of
    a teacher on all members more; with `recombine` an epoch of the student is `times` as long.

    No guarantee follows: an attacker with reference models that went through the same still sees
    something. What it is, `docs/protects.md` measures.

    Raises:
        MethodError: fewer than 2 folds, or than there are units; a number out of range; a method
            that cannot stand inside.

    Example:
        >>> from secateur.compress import ADMM
        >>> CrossFit(folds=10, prune=ADMM(rate=16)).pool
        'members'

    Reference:
        tang2022mitigating. Differs from it (`SELENA`): disjoint folds, one teacher for each record
        and cut; the student is pruned. That pruning costs no extra leak here was found by
        measurement.
    """

    folds: int = 5
    prune: Transform | None = None
    teacher: Transform | None = None
    teacher_epochs: int | None = None
    epochs: int | None = None
    alpha: float = 0.0
    temperature: float = 1.0
    mixup: float = 0.0
    keep: bool = False
    repeats: int = 1
    recombine: Way | None = None
    times: float | None = None
    parents: int | None = None
    least: float | None = None

    fresh: ClassVar[bool] = True
    revision: ClassVar[int] = 1
    reference: ClassVar[str] = "tang2022mitigating"

    def __post_init__(self) -> None:
        if self.folds < 2:
            raise MethodError(f"folds must be at least 2, got {self.folds}")
        if self.repeats < 1:
            raise MethodError(f"repeats must be at least 1, got {self.repeats}")
        check_dials(
            temperature=self.temperature,
            alpha=self.alpha,
            epochs=self.epochs,
            teacher_epochs=self.teacher_epochs,
        )
        if not (self.mixup >= 0 and math.isfinite(self.mixup)):
            raise MethodError(f"mixup must be at least 0 and finite, got {self.mixup}")
        check_recombined(self.recombined, what="CrossFit", alpha=self.alpha, keep=self.keep)
        check_inside("prune", self.prune, self.epochs, what="CrossFit")
        check_inside("teacher", self.teacher, self.teacher_epochs, what="CrossFit")
        if self.teacher is not None and not self.teacher.fresh:
            raise MethodError(
                f"CrossFit: teacher={self.teacher!r} goes on from a trained model, and a teacher "
                "has none; write RandomMask(...), or leave it out"
            )

    def __repr__(self) -> str:
        """Return its spelling; what came later stands in it where it is not the default."""
        return spelled_without(self, {"repeats": 1, **dict.fromkeys(RECOMBINATION)})

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
        """Whether answers and folds are kept."""
        return self.keep

    def split(self, units: IntArray, *, seed: int) -> BoolArray:
        """Return all but one fold for each teacher, cut by cut."""
        seeds = [seed, *(derive_seed(seed, "cut", k) for k in range(1, self.repeats))]
        cuts = [left_out_of(units, self.folds, out=1, seed=s, what="CrossFit") for s in seeds]
        return np.concatenate(cuts)

    def teaching(self, recipe: Recipe) -> tuple[Phase, ...]:
        """Return the training of a teacher."""
        return trained_by(recipe, self.teacher, self.teacher_epochs)

    def phases(self, recipe: Recipe) -> tuple[Phase, ...]:
        """Return the student's training, pruning and retraining."""
        return trained_by(recipe, self.prune, self.epochs, mixup=self.mixup)

    def answers(self, heard: Heard) -> tuple[Tensor, Tensor]:
        """Return what the teachers that did not see a record say of it: one of each cut."""
        found = mean_answers(heard, temperature=self.temperature)
        return every_record(heard), soft_labels(found, heard, alpha=self.alpha)
