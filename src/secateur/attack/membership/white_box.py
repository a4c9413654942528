"""A learned attack on released weights: signals, and how each record pulls at each layer."""

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

__all__ = ["WhiteBox"]


@dataclass(frozen=True, kw_only=True)
class WhiteBox:
    """Learn from references what members look like to whoever holds the weights.

    Beside the signals the attacker derives each record's loss by the released weights: the log
    norm of the gradient of all layers' weights, and of each of at most 8 groups of layers. Of a
    pruned model the positions of the removed weights, which the zeros show, split each group: the
    gradient at kept and at removed weights, the mask as evidence. Every norm is compared with the
    references in and out as signals are, and learned from as in `StackedAttack`. Score: log odds;
    larger = more like a member; the threshold is 0.

    Args:
        others: further versions of the model, beside the primary view; their signals, and their
            gradients where these were observed.
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

    Differs from the paper: norms of gradients by layers instead of whole gradients and activations
    in a network; calibrated per record by references, where the paper's attacker knows part of the
    members. It does not see the masks of references directly, nor any optimiser state.

    Several queries: signals are their mean, gradients those of the record as it is.

    Example:
        >>> WhiteBox().needs_gradients
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
    reference: ClassVar[str] = "nasr2019comprehensive"
    needs_posteriors: ClassVar[bool] = False
    needs_gradients: ClassVar[bool] = True

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
            MissingViewError: gradients were not observed, or a named version is missing.
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
                gradients=True,
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
