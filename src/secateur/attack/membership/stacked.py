"""A learned attack on many signals at once, trained on references that play targets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from secateur.attack.membership.features import SIGNALS, evidence_of, means_around
from secateur.attack.membership.references import audit_scores, check_references
from secateur.attack.membership.stacking import (
    FEWEST,
    Head,
    check_stacking,
    stacked_scores,
)
from secateur.attack.membership.vector_lira import coordinates_of
from secateur.protocols import Perturbation, Threat
from secateur.spelling import spelled_without
from secateur.types import Observations, Scores, Signal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["StackedAttack"]


@dataclass(frozen=True, kw_only=True)
class StackedAttack:
    """Learn to tell members by everything that signals say, on references that play targets.

    Features of a (model, record): margin, log confidence at temperatures 1 and 4, entropy and
    modified entropy, each with its distances from the references in and out and LiRA's log ratio;
    the references' means and spreads; RMIA's ratio and share at both temperatures; the joint ratio
    of several signals; the class. Boosted trees and a logistic regression learn from the
    references, each compared with others alone, what members look like. Score: the log odds of
    being a member, classes weighted alike; larger = more like a member; the threshold is 0.

    With `others` the attacker sees further versions of the same model, such as the dense one that
    a student was made from: each gives the same features, and all margins a joint ratio.

    Args:
        others: views beside the primary one.
        head: `trees`, `logistic`, or `both`: the mean of their log odds.
        folds: of the references: those of a fold play targets against the rest; at least 2.
        rows: (reference, record) pairs to learn from, at most; at least 100.
        trees: boosted, 15 leaves each.
        coordinates: of the whole answer (`Signal`) of which the joint log ratio is a feature
            too: classes - 1 are all of it. What a student of soft labels learned by heart of the
            other classes shows there alone.
        around: perturbations of the record, such as `Recombinations`, over each of which the mean
            margin and log confidences are read too: what one query hides in noise, a mean over
            many does not.

    Differs from the source: Wolpert's level-1 learner reads predictions alone; here it also reads
    the raw signals. Folds are of references, not of records. CompLeak's SR and MR learn on
    posteriors of several versions without calibrating per record.

    Several queries: each signal is their mean.

    Example:
        >>> StackedAttack(others=("dense",)).needs_more_views
        True
    """

    others: tuple[str, ...] = ()
    head: Head = "both"
    folds: int = 8
    rows: int = 20_000
    trees: int = 60
    coordinates: int = 0
    around: tuple[Perturbation, ...] = ()

    threat: ClassVar[Threat] = "adaptive"
    revision: ClassVar[int] = 1
    reference: ClassVar[str] = "wolpert1992stacked"
    needs_posteriors: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_stacking(head=self.head, folds=self.folds, rows=self.rows, trees=self.trees)
        _ = self.needs  # checks the number of coordinates, and that perturbations differ

    def __repr__(self) -> str:
        """Return its spelling; coordinates and perturbations stand in it where there are any."""
        return spelled_without(self, {"coordinates": 0, "around": ()})

    @property
    def needs_more_views(self) -> bool:
        """Whether it reads further versions of the model."""
        return bool(self.others)

    @property
    def needs(self) -> tuple[Signal, ...]:
        """Five signals, means around the record and coordinates; all of these of every view."""
        return (*SIGNALS, *means_around(self.around), *coordinates_of(self.coordinates))

    @property
    def min_in(self) -> int:
        """References in: when one is left out, two remain to compare with."""
        return FEWEST

    @property
    def min_out(self) -> int:
        """References out."""
        return FEWEST

    def __call__(self, observations: Observations, *, seed: int = 0) -> Scores:
        """Learn on the references once, and score the audit pool of every target.

        Raises:
            NotEnoughReferencesError: a record has too few references in or out.
            MissingViewError: a version that was named is missing.
        """

        def score(seen: Observations) -> NDArray[np.float64]:
            return self._score(seen, seed)

        return audit_scores(observations, score, fixed=0.0)

    def _score(self, observations: Observations, seed: int) -> NDArray[np.float64]:
        what = type(self).__name__
        check_references(
            observations.membership, what=what, min_in=self.min_in, min_out=self.min_out
        )
        return stacked_scores(
            evidence_of(
                observations,
                self.others,
                what=what,
                coordinates=self.coordinates,
                around=self.around,
            ),
            observations,
            what=what,
            head=self.head,
            folds=self.folds,
            rows=self.rows,
            trees=self.trees,
            seed=seed,
        )
