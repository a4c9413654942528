"""One metric per target: the values that every interval is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from secateur.errors import InputError
from secateur.measure.roc import (
    auc_value,
    balanced_accuracy_at,
    tpr_at_fpr_value,
    weighted_auc,
    weighted_balanced_accuracy,
    weighted_tpr_at_fpr,
)
from secateur.types import Membership, Scores

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Metric", "Target", "per_target", "targets_of"]

Metric = Literal["auc", "balanced accuracy", "accuracy", "tpr"]


@dataclass(frozen=True, kw_only=True)
class Target:
    """One target's evaluated scores."""

    scores: NDArray[np.float64]
    members: NDArray[np.bool_]
    threshold: float | None

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
        if metric == "accuracy":
            return float(((self.scores >= self.threshold) == self.members).mean())
        return balanced_accuracy_at(self.scores, self.members, self.threshold)

    def weighted(
        self, metric: Metric, fpr: float, weights: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return a metric for each row of record weights `[replicates, records]`."""
        if metric == "auc":
            return weighted_auc(self.scores, self.members, weights)
        if metric == "tpr":
            return weighted_tpr_at_fpr(self.scores, self.members, weights, fpr)
        assert self.threshold is not None  # value() was called before
        if metric == "accuracy":
            right = (self.scores >= self.threshold) == self.members
            value: NDArray[np.float64] = (weights @ right) / weights.sum(axis=1)
            return value
        return weighted_balanced_accuracy(self.scores, self.members, weights, self.threshold)


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
    found = []
    for row, model in enumerate(models.tolist()):
        where = scores.evaluated[row]
        found.append(
            Target(
                scores=scores.values[row, where],
                members=membership.inside[model, where],
                threshold=None if scores.threshold is None else float(scores.threshold[row]),
            )
        )
    return found


def per_target(
    scores: Scores, membership: Membership, metric: Metric, *, fpr: float = 0.01
) -> NDArray[np.float64]:
    """Return a metric for each target, `[targets]`.

    Raises:
        InputError: a metric that needs a threshold, and the scores have none.
    """
    return np.array([t.value(metric, fpr) for t in targets_of(scores, membership)])
