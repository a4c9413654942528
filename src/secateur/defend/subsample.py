"""Train a model on a secret share of its members, with teachers that know all of them or without.

Which members a model meets is written in no file of its own; it follows from the model's seed.
"""

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
from secateur.train.met import drawn_of, share_met
from secateur.train.recombined import Recombined, recombined_of
from secateur.train.steps import Taught, Transform
from secateur.types import derive_seed

if TYPE_CHECKING:
    from torch import Tensor

    from secateur.train.recipe import Phase, Recipe
    from secateur.train.steps import Heard
    from secateur.types import BoolArray, IntArray

__all__ = ["Subsample"]


@dataclass(frozen=True, kw_only=True)
class Subsample:
    """Let a model meet a secret share of its members only.

    For each model a share of its members' units is drawn. Around a taught method, such as `SELENA`
    or `CrossFit`, teachers are trained and asked as they were, on all members; the student learns
    what they say of the members of the share, and does not read the others. Of these it has what
    teachers that knew them said of somebody else. With `known` below 1 the teachers too know a part
    of the members alone, of which those that are met are drawn: nothing that the model is made from
    reads the others. Around a pruning method, or none, the model is trained on the members of the
    share, with their labels, and the others are not read at all: the control, what fewer members
    alone would be worth.

    Args:
        share: of the units whose records the model meets, in (0, 1).
        method: a taught method of the members, a pruning method, or None: by the recipe.
        epochs: of dense training before a pruning method, or without one; by default the recipe's.
            An epoch is of the members that are met, so that a smaller share makes fewer steps.
        known: of the units that teachers are trained on, in share .. 1; without a taught method
            there are none, and it stays 1.

    The leak is a mean over members: those that were met may leak more than the others, and those
    that nothing read leak nothing. Beforehand each member is one of them with the same probability;
    who was met follows from the model's seed and its members, so that whoever has both makes the
    draw again. What it is worth is measured in `docs/protects.md`; no guarantee follows.

    Raises:
        MethodError: shares out of range; a method that learns on other records than members, that
            subsamples already, or that is none; epochs that a method would not read.

    Example:
        >>> from secateur.compress import RandomMask
        >>> from secateur.defend import SELENA
        >>> Subsample(share=0.35, method=SELENA(prune=RandomMask(rate=10))).share_met
        0.35

    Reference:
        balle2018privacy: that a secret subsample amplifies privacy. Differs from it: there one
        mechanism reads the sample alone and the gain is proved; here teachers read all members, and
        it is measured.
    """

    share: float = 0.5
    method: Transform | None = None
    epochs: int | None = None
    known: float = 1.0

    fresh: ClassVar[bool] = True
    revision: ClassVar[int] = 1
    reference: ClassVar[str] = "balle2018privacy"

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise MethodError(
                f"share, of the members that a model meets, must be in (0, 1), got {self.share}; "
                "for all of them write the method by itself"
            )
        if not self.share <= self.known <= 1:
            raise MethodError(
                f"known, of the members that teachers are trained on, must be in share .. 1, as "
                f"the model meets none but them; got known={self.known} with share={self.share}"
            )
        check_dials(epochs=self.epochs)
        method = self.method
        if isinstance(method, type):
            raise MethodError(
                f"Subsample: method={method.__name__} is a class; write {method.__name__}(...)"
            )
        if isinstance(method, Taught):
            _check_taught(method, self.epochs)
            return
        if method is None or isinstance(method, Transform):
            check_inside("method", method, self.epochs, what="Subsample")
        else:
            raise MethodError(
                f"Subsample: method={method!r} is no method that trains a model by itself; write "
                "SELENA(...), CrossFit(...), a pruning method, or leave it out"
            )
        if self.known != 1.0:
            raise MethodError(
                f"known={self.known} is read by teachers, and there are none: without them the "
                "share is all that is known; leave it out, or write method=SELENA(...)"
            )

    def __repr__(self) -> str:
        """Return its spelling; what came later stands in it where it is not the default."""
        return spelled_without(self, {"known": 1.0})

    @property
    def pool(self) -> str:
        """The members."""
        return MEMBERS

    @property
    def share_met(self) -> float:
        """The share of the members' units that a model itself meets."""
        return self.share

    @property
    def taught(self) -> Taught | None:
        """The taught method that it stands around; None where there is none."""
        return self.method if isinstance(self.method, Taught) else None

    @property
    def recombined(self) -> Recombined | None:
        """How the inputs are made that the student learns on: of members that it meets."""
        return None if self.taught is None else recombined_of(self.taught)

    @property
    def keeps_answers(self) -> bool:
        """Whether the taught method keeps its answers, and with them who was met."""
        return self.taught is not None and self.taught.keeps_answers

    def split(self, units: IntArray, *, seed: int) -> BoolArray:
        """Return which members each teacher trains on; no teacher without a taught method."""
        if self.taught is None:
            return np.zeros((0, len(units)), np.bool_)
        if self.known == 1.0:
            return self.taught.split(units, seed=seed)
        distinct = np.unique(units)
        count = round(self.known * len(distinct))
        known = np.isin(units, drawn_of(distinct, count, seed=derive_seed(seed, "known")))
        of_known = self.taught.split(units[known], seed=seed)
        split = np.zeros((len(of_known), len(units)), np.bool_)
        split[:, known] = of_known
        return split

    def teaching(self, recipe: Recipe) -> tuple[Phase, ...]:
        """Return the training of a teacher; nothing where there is none."""
        return () if self.taught is None else self.taught.teaching(recipe)

    def phases(self, recipe: Recipe) -> tuple[Phase, ...]:
        """Return the training of the model."""
        if self.taught is None:
            return trained_by(recipe, self.method, self.epochs)
        return self.taught.phases(recipe)

    def answers(self, heard: Heard) -> tuple[Tensor, Tensor]:
        """Return what the taught method tells of the records that are met; else their labels."""
        if self.taught is not None:
            return self.taught.answers(heard)
        none = torch.zeros(len(heard.labels), heard.classes, dtype=torch.float64)
        return every_record(heard), soft_labels(none, heard, alpha=1.0)


def _check_taught(method: Taught, epochs: int | None) -> None:
    """Refuse a taught method that learns on no members, or on a share already, and epochs."""
    if method.pool != MEMBERS:
        raise MethodError(
            f"Subsample: method={method!r} learns on the pool {method.pool!r}, and what is drawn "
            "are members; write it by itself"
        )
    if share_met(method) != 1.0:
        raise MethodError(
            f"Subsample: method={method!r} subsamples already; write one share, the product"
        )
    if epochs is not None:
        raise MethodError(
            f"Subsample: method={method!r} has epochs of its own; leave out epochs={epochs} here"
        )
