"""From Scores to Measurements: AUC, balanced accuracy, accuracy, TPR at an FPR, differences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from secateur.measure.interval import paired_difference, t_interval, two_way_bootstrap
from secateur.measure.roc import EXPECTED, lowest_resolvable_fpr, tpr_at_fpr_value
from secateur.measure.targets import Metric, Target, evaluated_units, per_target, targets_of
from secateur.types import Measurement, Membership, Scores

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "accuracy_of_attack",
    "auc",
    "balanced_accuracy",
    "difference",
    "fpr_name",
    "tpr_at_fpr",
]

FEWEST_FOR_T = 8
_SEED = 0  # of bootstraps: an interval is a property of the scores, not of a run


def fpr_name(fpr: float) -> str:
    """Return the metric's name, such as `tpr at 1% fpr`.

    Example:
        >>> fpr_name(0.001)
        'tpr at 0.1% fpr'
    """
    return f"tpr at {100 * fpr:g}% fpr"


def _counts(scores: Scores, membership: Membership) -> dict[str, float]:
    targets = targets_of(scores, membership)
    return {
        "targets": float(len(targets)),
        "members": float(np.mean([t.members.sum() for t in targets])),
        "non_members": float(np.mean([(~t.members).sum() for t in targets])),
        "references": float(len(membership.references)),
    }


def _measure(
    scores: Scores,
    membership: Membership,
    metric: Metric,
    *,
    name: str,
    about: tuple[str, str, str],
    fpr: float = 0.01,
    counts: dict[str, float] | None = None,
    why: str = "",
) -> Measurement:
    """Measure per target, then pick the interval that the number of targets allows."""
    targets = targets_of(scores, membership)
    values = np.array([t.value(metric, fpr) for t in targets])
    if len(values) >= FEWEST_FOR_T:
        mean, low, high = t_interval(values)
        kind: Literal["t over targets", "two-way bootstrap", "unit bootstrap"] = "t over targets"
    else:
        mean = float(values.mean())
        low, high = _bootstrap(scores, membership, targets, metric, fpr)
        kind = "two-way bootstrap" if len(values) > 1 else "unit bootstrap"
    low, high = max(0.0, min(low, mean)), min(1.0, max(high, mean))
    subject, method, threat = about
    return Measurement(
        subject=subject,
        risk="membership",
        method=method,
        metric=name,
        value=mean,
        low=low,
        high=high,
        interval=kind,
        estimand="pipeline" if len(values) > 1 else "this model",
        counts={**_counts(scores, membership), **(counts or {})},
        better="lower",
        threat=threat,
        why=why,
    )


def _bootstrap(
    scores: Scores, membership: Membership, targets: list[Target], metric: Metric, fpr: float
) -> tuple[float, float]:
    def statistic(row: int, weights: NDArray[Any]) -> NDArray[np.float64]:
        return targets[row].weighted(metric, fpr, weights)

    units = evaluated_units(scores, membership)
    return two_way_bootstrap(statistic, units, targets=len(targets), seed=_SEED)


def auc(
    scores: Scores, membership: Membership, *, subject: str, method: str, threat: str = ""
) -> Measurement:
    """Measure the area under the ROC, mean over targets; 0.5 = no better than a coin.

    Args:
        scores: of one attack.
        membership: whose targets they are.
        subject: the model family.
        method: the attack's repr.
        threat: what the attacker knows.

    Returns:
        With a t interval over targets from 8 targets on, a two-way bootstrap below, and a unit
        bootstrap (estimand "this model") for a single one.
    """
    return _measure(scores, membership, "auc", name="auc", about=(subject, method, threat))


def _at_threshold(
    scores: Scores, membership: Membership, metric: Metric, about: tuple[str, str, str]
) -> Measurement:
    if scores.threshold is None:
        subject, method, threat = about
        return Measurement(
            subject=subject,
            risk="membership",
            method=method,
            metric=metric,
            value=None,
            status="not run",
            threat=threat,
            counts=_counts(scores, membership),
            why="there are too few references to choose a threshold on; 8 or more are needed",
        )
    return _measure(
        scores,
        membership,
        metric,
        name=metric,
        about=about,
        why="threshold chosen on references",
    )


def balanced_accuracy(
    scores: Scores, membership: Membership, *, subject: str, method: str, threat: str = ""
) -> Measurement:
    """Measure (TPR + 1 - FPR) / 2 at the threshold that the attack chose on references."""
    return _at_threshold(scores, membership, "balanced accuracy", (subject, method, threat))


def accuracy_of_attack(
    scores: Scores, membership: Membership, *, subject: str, method: str, threat: str = ""
) -> Measurement:
    """Measure the share of records that the attack calls right at its threshold."""
    return _at_threshold(scores, membership, "accuracy", (subject, method, threat))


def tpr_at_fpr(
    scores: Scores,
    membership: Membership,
    *,
    fpr: float = 0.01,
    subject: str,
    method: str,
    threat: str = "",
) -> Measurement:
    """Measure the share of members found at a false-positive rate, mean over targets.

    The threshold is chosen per target on the evaluated data, and the row says so. Below 10 expected
    false positives over all targets the status is "not resolvable", and `why` names the lowest FPR
    that is.
    """
    targets = targets_of(scores, membership)
    pairs = int(sum((~t.members).sum() for t in targets))
    expected = fpr * pairs
    realised = [tpr_at_fpr_value(t.scores, t.members, fpr)[1] for t in targets]
    counts = {"expected_false_positives": expected, "realised_fpr": float(np.mean(realised))}
    if expected < EXPECTED - 1e-9:
        lowest = lowest_resolvable_fpr(pairs)
        mend = "no listed FPR is resolvable" if lowest is None else f"the lowest is {lowest:g}"
        return Measurement(
            subject=subject,
            risk="membership",
            method=method,
            metric=fpr_name(fpr),
            value=None,
            status="not resolvable",
            threat=threat,
            counts={**_counts(scores, membership), **counts},
            why=f"{expected:.1f} false positives are expected, at least 10 are needed; {mend}",
        )
    return _measure(
        scores,
        membership,
        "tpr",
        name=fpr_name(fpr),
        about=(subject, method, threat),
        fpr=fpr,
        counts=counts,
        why="threshold chosen on the evaluated data",
    )


def difference(
    a: Scores,
    b: Scores,
    membership: Membership,
    metric: Metric,
    *,
    about: tuple[str, str, str],
    fpr: float | None = None,
    threat: str = "",
) -> Measurement:
    """Measure a - b, paired over the same targets, with a t interval.

    Args:
        a: scores on the first subject.
        b: scores of the same attack on the second.
        membership: of both.
        metric: `auc`, `balanced accuracy`, `accuracy` or `tpr`.
        about: (first subject, second subject, attack's repr).
        fpr: for `tpr`.
        threat: what the attacker knows.
    """
    level = 0.01 if fpr is None else fpr
    subject, versus, method = about
    name = fpr_name(level) if metric == "tpr" else metric
    x = per_target(a, membership, metric, fpr=level)
    y = per_target(b, membership, metric, fpr=level)
    if len(x) < 2:
        return Measurement(
            subject=subject,
            versus=versus,
            risk="membership",
            method=method,
            metric=name,
            value=None,
            status="not run",
            threat=threat,
            why="a paired difference needs at least 2 targets",
        )
    mean, low, high = paired_difference(x, y)
    return Measurement(
        subject=subject,
        versus=versus,
        risk="membership",
        method=method,
        metric=name,
        value=mean,
        low=low,
        high=high,
        interval="t over targets",
        counts=_counts(a, membership),
        better="lower",
        threat=threat,
        why="paired over the same targets",
    )
