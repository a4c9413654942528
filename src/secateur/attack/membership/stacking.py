"""Learn from references how features tell members, and score targets as the references were seen.

A feature of a reference must be distributed as a target's. So no reference is compared with itself,
nor with the other half of its pair of a draw: pairs are cut into folds, the references of a fold
play targets against those of the other folds, and a target is compared with each of these sets in
turn. Its score is the mean over the folds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from secateur.attack.membership.features import (
    SIGNALS,
    Compared,
    Evidence,
    evidence_of,
    means_around,
)
from secateur.attack.membership.learners import Head, Learner
from secateur.attack.membership.references import (
    ENOUGH,
    check_references,
)
from secateur.attack.membership.trials import audit_scores
from secateur.attack.membership.vector_lira import coordinates_of
from secateur.errors import MethodError, NotEnoughReferencesError
from secateur.protocols import Perturbation, Threat
from secateur.spelling import spelled_without
from secateur.types import AUDIT, Observations, Scores, Signal, derive_seed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from secateur.types import BoolArray, IntArray, Membership

__all__ = ["FEWEST", "Stacking", "folds_of", "stacked_scores", "training_rows"]

FEWEST = ENOUGH  # references in, and out, of every record


@dataclass(frozen=True, kw_only=True, repr=False)
class Stacking:
    """What attacks by stacking share: parameters, what they read, and how they learn."""

    others: tuple[str, ...] = ()
    head: Head = "both"
    folds: int = 8
    rows: int = 20_000
    trees: int = 60
    coordinates: int = 0
    around: tuple[Perturbation, ...] = ()

    threat: ClassVar[Threat] = "adaptive"
    revision: ClassVar[int] = 1
    needs_posteriors: ClassVar[bool] = False
    needs_gradients: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _check(head=self.head, folds=self.folds, rows=self.rows, trees=self.trees)
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
            MissingViewError: a version that was named is missing, or gradients were not observed.
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
                gradients=self.needs_gradients,
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


def _check(*, head: str, folds: int, rows: int, trees: int) -> None:
    """Refuse parameters that no learner takes.

    Raises:
        MethodError: names the values.
    """
    if head not in ("trees", "logistic", "both"):
        raise MethodError(f"head must be 'trees', 'logistic' or 'both', got {head!r}")
    if folds < 2 or rows < 100 or trees < 1:
        raise MethodError(
            f"folds must be at least 2, rows at least 100 and trees at least 1, got {folds}, "
            f"{rows} and {trees}"
        )


def folds_of(who: Membership, most: int, *, what: str) -> list[tuple[IntArray, IntArray]]:
    """Return (references that play targets, those that they are compared with), fold by fold.

    References two by two stay together, as `draw` makes them: each record is then in half of what
    is left, whether the one left out holds it or not.

    Raises:
        NotEnoughReferencesError: a record is in none, or out of none, of what is left.
    """
    references, audit = who.references, who.pools[AUDIT]
    number = np.arange(len(references)) // 2 % min(most, max((len(references) + 1) // 2, 1))
    found = []
    for fold in range(int(number.max(initial=-1)) + 1):
        played, rest = references[number == fold], references[number != fold]
        count = who.inside[np.ix_(rest, audit)].sum(axis=0)
        if not len(rest) or count.min() < 1 or count.max() > len(rest) - 1:
            raise NotEnoughReferencesError(
                f"{what} compares each reference with the others, and needs at least one in and "
                f"one out of every record among them: of {len(references)} references, "
                f"{len(rest)} are left beside {played.tolist()}, and a record is in "
                f"{int(count.min(initial=0))} to {int(count.max(initial=0))} of these; draw more "
                "references (32 are advisable)"
            )
        found.append((played, rest))
    return found


def training_rows(
    evidence: Sequence[Evidence],
    observations: Observations,
    folds: Sequence[tuple[IntArray, IntArray]],
    *,
    rows: int,
    seed: int,
) -> tuple[NDArray[np.float32], BoolArray]:
    """Return features `[row, feature]` of references as pseudo-targets, and who is a member.

    Args:
        evidence: of all models.
        observations: that it came from.
        folds: as `folds_of` gives them.
        rows: at most so many in all; a random part of the audit records of each reference.
        seed: of which part.
    """
    who = observations.membership
    audit, n = who.pools[AUDIT], len(who.references)
    order = _canonical(evidence[0], observations)
    each = max(1, min(len(audit), rows // n))
    x, y = [], []
    for played, rest in folds:
        found = Compared.with_references(evidence, who, rest, observations.labels)
        for model, features in zip(played.tolist(), found.features(played), strict=True):
            rng = np.random.default_rng(derive_seed(seed, "rows", model))
            at = order[rng.permutation(len(audit))[:each]]
            x.append(features[at])
            y.append(who.inside[model, audit[at]])
    return np.concatenate(x), np.concatenate(y)


def _canonical(margin: Evidence, observations: Observations) -> IntArray:
    """Return the audit records in an order that does not depend on the order of records."""
    who = observations.membership
    assert observations.ids is not None  # set by Observations
    audit = who.pools[AUDIT]
    keys = [observations.ids[audit], *margin.values[who.references[::-1]][:, audit]]
    return np.lexsort(keys)


def stacked_scores(
    evidence: Sequence[Evidence],
    observations: Observations,
    *,
    what: str,
    head: Head,
    folds: int,
    rows: int,
    trees: int,
    seed: int,
) -> NDArray[np.float64]:
    """Return log odds `[target, audit record]` of being a member.

    Args:
        evidence: of all models.
        observations: that it came from.
        what: the attack, for messages.
        head: which learner; `both` is the mean of their log odds.
        folds: of the references, at most.
        rows: to train on, at most.
        trees: boosted.
        seed: of the choice of rows.

    Raises:
        NotEnoughReferencesError: a record is in too few references, or out of too few.
    """
    who = observations.membership
    parts = folds_of(who, folds, what=what)
    x, y = training_rows(evidence, observations, parts, rows=rows, seed=seed)
    learner = Learner.fitted(x, y, head=head, trees=trees)
    scores = np.zeros((len(who.targets), len(who.pools[AUDIT])))
    for _, rest in parts:
        found = Compared.with_references(evidence, who, rest, observations.labels)
        for row, features in enumerate(found.features(who.targets)):
            scores[row] += learner.log_odds(features) / len(parts)
    return scores
