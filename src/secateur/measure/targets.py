"""One metric per target: the values that every interval is made of."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from secateur.errors import InputError
from secateur.measure.roc import auc_value, tpr_at_fpr_value
from secateur.measure.weighted import Ranked, rank
from secateur.types import Membership, Scores

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "Metric",
    "Target",
    "adjacency",
    "evaluated_units",
    "non_member_units",
    "per_target",
    "rates_of",
    "targets_of",
    "units_per_target",
]

Metric = Literal["auc", "balanced accuracy", "accuracy", "tpr", "false-positive rate"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Target:
    """One target's evaluated scores.

    `columns` says where its records stand among the `width` records that any target evaluates,
    which are the columns of weights.
    """

    scores: NDArray[np.float64]
    members: NDArray[np.bool_]
    threshold: float | None
    columns: NDArray[np.int64]
    width: int

    def value(self, metric: Metric, fpr: float) -> float:
        """Return a metric of all evaluated records."""
        if metric == "auc":
            return auc_value(self.scores, self.members)
        if metric == "tpr":
            return tpr_at_fpr_value(self.scores, self.members, fpr)[0]
        if self.threshold is None:
            raise InputError(
                f"{metric} needs a threshold chosen on references, and the scores have none"
            )
        return float(self.weighted(metric, fpr, np.ones((1, self.width)))[0])

    def weighted(self, metric: Metric, fpr: float, weights: NDArray[Any]) -> NDArray[np.float64]:
        """Return a metric for each row of weights `[replicates, width]`; NaN without both kinds."""
        if metric == "auc":
            return self.ranked.auc(weights)
        if metric == "tpr":
            return self.ranked.tpr(weights, np.array([fpr]))[:, 0]
        if metric == "accuracy":
            m, n, found, alarms = self._counts(weights)
            right: NDArray[np.float64] = (found + n - alarms) / (m + n)
            return right
        rates = self.rates(weights)
        if metric == "false-positive rate":
            return rates[:, 1]
        return (rates[:, 0] + 1 - rates[:, 1]) / 2

    def rates(self, weights: NDArray[Any]) -> NDArray[np.float64]:
        """Return (TPR, FPR) at the threshold for each row of weights, `[replicates, 2]`."""
        m, n, found, alarms = self._counts(weights)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.stack([found / m, alarms / n], axis=1)

    @cached_property
    def ranked(self) -> Ranked:
        """The records in the order of their scores."""
        return rank(self.scores, self.members, columns=self.columns, width=self.width)

    def _counts(self, weights: NDArray[Any]) -> NDArray[np.float64]:
        """Return the weights of members, non-members, and those of each called members."""
        counts: NDArray[np.float64] = (weights @ self._kinds).T.astype(np.float64)
        return counts

    @cached_property
    def _kinds(self) -> NDArray[np.float32]:
        said = self.scores >= np.float64(np.inf if self.threshold is None else self.threshold)
        kinds = np.zeros((self.width, 4), dtype=np.float32)
        kinds[self.columns] = np.stack(
            [self.members, ~self.members, said & self.members, said & ~self.members], axis=1
        )
        return kinds


def targets_of(scores: Scores, membership: Membership) -> list[Target]:
    """Return the evaluated scores of each target.

    Raises:
        InputError: scores and membership disagree in shape.
    """
    models = membership.targets
    if scores.values.shape != (len(models), membership.inside.shape[1]):
        raise InputError(
            f"scores have the shape {scores.values.shape}, the membership has {len(models)} "
            f"targets "
            f"and {membership.inside.shape[1]} records"
        )
    used = scores.evaluated.any(axis=0)
    column = np.cumsum(used) - 1
    found = []
    for row, model in enumerate(models.tolist()):
        where = scores.evaluated[row]
        found.append(
            Target(
                scores=scores.values[row, where],
                members=membership.inside[model, where],
                threshold=None if scores.threshold is None else float(scores.threshold[row]),
                columns=column[where],
                width=int(used.sum()),
            )
        )
    return found


def rates_of(targets: list[Target]) -> NDArray[np.float64]:
    """Return TPR and FPR at the threshold of each target, `[targets, 2]`; 0 without a threshold."""
    return np.concatenate([t.rates(np.ones((1, t.width))) for t in targets])


def evaluated_units(scores: Scores, membership: Membership) -> NDArray[np.int64]:
    """Return whose record each is, `[width]`, of the records that any target evaluates."""
    units: NDArray[np.int64] = membership.units[scores.evaluated.any(axis=0)]
    return units


def units_per_target(scores: Scores, membership: Membership) -> NDArray[np.float64]:
    """Return how many units each target's evaluated members and non-members are, `[targets, 2]`.

    A person with several records is one unit of evidence.
    """
    units = evaluated_units(scores, membership)
    return np.array(
        [
            [len(np.unique(units[t.columns[side]])) for side in (t.members, ~t.members)]
            for t in targets_of(scores, membership)
        ],
        dtype=np.float64,
    )


def non_member_units(scores: Scores, membership: Membership) -> int:
    """Return the number of non-member units over all targets, which resolve a low FPR."""
    return int(units_per_target(scores, membership)[:, 1].sum())


def adjacency(scores: Scores, membership: Membership) -> str:
    """Say what neighbouring data sets differ in."""
    audited = membership.units[scores.evaluated.any(axis=0)]
    several = len(np.unique(audited)) < len(audited)
    what = "one unit (all records of a person)" if several else "one record"
    return f"adjacency: {what} added or removed"


def per_target(
    scores: Scores, membership: Membership, metric: Metric, *, fpr: float = 0.01
) -> NDArray[np.float64]:
    """Return a metric for each target, `[targets]`.

    Raises:
        InputError: a metric that needs a threshold, and the scores have none.
    """
    return np.array([t.value(metric, fpr) for t in targets_of(scores, membership)])
