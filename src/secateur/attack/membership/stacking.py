"""Learn from references how features tell members, and score targets as the references were seen.

A feature of a reference must be distributed as a target's. So no reference is compared with itself,
nor with the other half of its pair of a draw: pairs are cut into folds, the references of a fold
play targets against those of the other folds, and a target is compared with each of these sets in
turn. Its score is the mean over the folds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from secateur.attack.membership.features import Compared, Evidence
from secateur.attack.membership.references import ENOUGH
from secateur.errors import MethodError, NotEnoughReferencesError
from secateur.types import AUDIT, derive_seed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from secateur.types import BoolArray, IntArray, Membership, Observations

__all__ = ["FEWEST", "Head", "check_stacking", "folds_of", "stacked_scores", "training_rows"]

Head = Literal["trees", "logistic", "both"]
FEWEST = ENOUGH  # references in, and out, of every record
FURTHEST = 0.001  # share of a feature's values, at each end, that the linear learner cuts off


def check_stacking(*, head: str, folds: int, rows: int, trees: int) -> None:
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
    learner = _Learner.fitted(x, y, head=head, trees=trees)
    scores = np.zeros((len(who.targets), len(who.pools[AUDIT])))
    for _, rest in parts:
        found = Compared.with_references(evidence, who, rest, observations.labels)
        for row, features in enumerate(found.features(who.targets)):
            scores[row] += learner.log_odds(features) / len(parts)
    return scores


@dataclass(frozen=True, kw_only=True)
class _Learner:
    """Boosted trees, logistic regression, or both; `prior`: the log odds of members among rows."""

    models: tuple[Any, ...]
    prior: float

    @classmethod
    def fitted(cls, x: NDArray[np.float32], y: BoolArray, *, head: Head, trees: int) -> _Learner:
        from sklearn.ensemble import HistGradientBoostingClassifier

        order = np.lexsort((y, *x.T))  # sums depend on the order of rows in the last digits
        x, y = x[order], y[order]
        models: list[Any] = []
        if head != "logistic":
            boosted = HistGradientBoostingClassifier(
                max_iter=trees,
                learning_rate=0.1,
                max_leaf_nodes=15,
                min_samples_leaf=max(5, min(50, len(y) // 100)),
                l2_regularization=1.0,
                early_stopping=False,
                random_state=0,
            )
            models.append(boosted.fit(x, y))
        if head != "trees":
            models.append(_Linear.fitted(x, y))
        members, others = int(y.sum()), int((~y).sum())
        return cls(models=tuple(models), prior=float(np.log(members / others)))

    def log_odds(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the mean log odds of the learners, as if members and others were equally many."""
        found: NDArray[np.float64] = np.mean(
            [model.decision_function(x) for model in self.models], axis=0
        )
        return found - self.prior


@dataclass(frozen=True, kw_only=True)
class _Linear:
    """Logistic regression on features that are cut at extreme values and standardised."""

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    centre: NDArray[np.float64]
    scale: NDArray[np.float64]
    model: Any

    @classmethod
    def fitted(cls, x: NDArray[np.float32], y: BoolArray) -> _Linear:
        from sklearn.linear_model import LogisticRegression

        low, high = np.quantile(x.astype(np.float64), [FURTHEST, 1 - FURTHEST], axis=0)
        cut = np.clip(x.astype(np.float64), low, high)
        spread = cut.std(axis=0)
        centre, scale = cut.mean(axis=0), np.where(spread > 0, spread, 1.0)
        model = LogisticRegression(C=1.0, solver="newton-cholesky")
        return cls(
            low=low,
            high=high,
            centre=centre,
            scale=scale,
            model=model.fit((cut - centre) / scale, y),
        )

    def decision_function(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return log odds, `[row]`."""
        cut = np.clip(x.astype(np.float64), self.low, self.high)
        found: NDArray[np.float64] = self.model.decision_function((cut - self.centre) / self.scale)
        return found
