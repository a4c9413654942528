"""From Scores to Measurements: AUC, balanced accuracy, accuracy, TPR at an FPR."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from secateur.measure.interval import t_interval, two_way_bootstrap
from secateur.measure.roc import few_false_positives, tpr_at_fpr_value, tpr_segment
from secateur.measure.targets import (
    Metric,
    evaluated_units,
    non_member_units,
    rates_of,
    targets_of,
    units_per_target,
)
from secateur.measure.widen import widened_metric
from secateur.types import Interval, Measurement, Membership, Scores

__all__ = [
    "accuracy_of_attack",
    "auc",
    "balanced_accuracy",
    "fpr_name",
    "realised_fpr",
    "tpr_at_fpr",
]

FEWEST_FOR_T = 8
CHOSEN_ON: dict[Metric, str] = {
    "accuracy": "threshold chosen on references",
    "balanced accuracy": "threshold chosen on references",
    "false-positive rate": "threshold chosen on references",
    "tpr": "threshold chosen on the evaluated data",
}
_SEED = 0  # of bootstraps: an interval is a property of the scores, not of a run


def fpr_name(fpr: float) -> str:
    """Return the metric's name, such as `tpr at 1% fpr`.

    Example:
        >>> fpr_name(0.001)
        'tpr at 0.1% fpr'
    """
    return f"tpr at {100 * fpr:g}% fpr"


def counts_of(scores: Scores, membership: Membership) -> dict[str, float]:
    """Return the numbers of targets and references, and the means of members and non-members.

    Records; their units too where a person owns several.
    """
    targets = targets_of(scores, membership)
    units = units_per_target(scores, membership).mean(axis=0).tolist()
    records = np.mean([[t.members.sum(), (~t.members).sum()] for t in targets], axis=0).tolist()
    apart = {} if units == records else {"member_units": units[0], "non_member_units": units[1]}
    return {
        "targets": float(len(targets)),
        "members": records[0],
        "non_members": records[1],
        "references": float(len(membership.references)),
        **apart,
    }


def measured(
    scores: Scores,
    membership: Membership,
    metric: Metric,
    *,
    about: tuple[str, str, str],
    fpr: float = 0.01,
    lower: float = 0.0,
    confidence: float = 0.95,
) -> Measurement:
    """Measure per target, then pick the interval that the number of targets allows.

    Where nearly all records or all targets agree it is widened (`widened_metric`).
    `lower` moves the lower end down by what the metric's own definition leaves open.
    """
    targets = targets_of(scores, membership)
    values = np.array([t.value(metric, fpr) for t in targets])
    if len(values) >= FEWEST_FOR_T:
        mean, low, high = t_interval(values, confidence)
        kind: Interval = "t over targets"
    else:
        mean = float(values.mean())
        low, high = two_way_bootstrap(
            lambda row, weights: targets[row].weighted(metric, fpr, weights),
            evaluated_units(scores, membership),
            targets=len(targets),
            seed=_SEED,
            confidence=confidence,
        )
        kind = "two-way bootstrap" if len(values) > 1 else "unit bootstrap"
    ends = widened_metric(
        metric,
        (low, high),
        value=mean,
        rates=rates_of(targets),
        units=units_per_target(scores, membership),
        interval=kind,
        confidence=confidence,
    )
    low, high = max(0.0, min(ends.low - lower, mean)), min(1.0, max(ends.high, mean))
    subject, method, threat = about
    return Measurement(
        subject=subject,
        risk="membership",
        method=method,
        metric=fpr_name(fpr) if metric == "tpr" else metric,
        value=mean,
        low=low,
        high=high,
        confidence=confidence,
        interval=ends.interval,
        estimand="pipeline" if len(values) > 1 else "this model",
        counts=counts_of(scores, membership),
        better="lower",
        threat=threat,
        why="; ".join(filter(None, (CHOSEN_ON.get(metric, ""), ends.note))),
    )


def auc(
    scores: Scores,
    membership: Membership,
    *,
    subject: str,
    method: str,
    threat: str = "",
    confidence: float = 0.95,
) -> Measurement:
    """Measure the area under the ROC, mean over targets; 0.5 = no better than a coin.

    Args:
        scores: of one attack.
        membership: whose targets they are.
        subject: the model family.
        method: the attack's repr.
        threat: what the attacker knows.
        confidence: of the interval.

    Returns:
        With a t interval over targets from 8 targets on, a two-way bootstrap below, and a unit
        bootstrap (estimand "this model") for a single one.
    """
    about = (subject, method, threat)
    return measured(scores, membership, "auc", about=about, confidence=confidence)


def at_threshold(
    scores: Scores, membership: Membership, metric: Metric, about: tuple[str, str, str]
) -> Measurement:
    """Measure a metric at the threshold chosen on references, or say that there is none."""
    if scores.threshold is None:
        return no_threshold(scores, membership, metric, about)
    return measured(scores, membership, metric, about=about)


def no_threshold(
    scores: Scores, membership: Membership, name: str, about: tuple[str, str, str]
) -> Measurement:
    """Return the row of a metric that needs a threshold where the scores have none."""
    subject, method, threat = about
    return Measurement(
        subject=subject,
        risk="membership",
        method=method,
        metric=name,
        value=None,
        status="not run",
        threat=threat,
        counts=counts_of(scores, membership),
        why="there are too few references to choose a threshold on; 8 or more are needed",
    )


def balanced_accuracy(
    scores: Scores, membership: Membership, *, subject: str, method: str, threat: str = ""
) -> Measurement:
    """Measure (TPR + 1 - FPR) / 2 at the threshold that the attack chose on references."""
    return at_threshold(scores, membership, "balanced accuracy", (subject, method, threat))


def accuracy_of_attack(
    scores: Scores, membership: Membership, *, subject: str, method: str, threat: str = ""
) -> Measurement:
    """Measure the share of records that the attack calls right at its threshold."""
    return at_threshold(scores, membership, "accuracy", (subject, method, threat))


def tpr_at_fpr(
    scores: Scores,
    membership: Membership,
    *,
    fpr: float = 0.01,
    subject: str,
    method: str,
    threat: str = "",
    confidence: float = 0.95,
) -> Measurement:
    """Measure the share of members found at a false-positive rate, mean over targets.

    The threshold is chosen per target on the evaluated data, and the row says so. Below 10 expected
    false positives over all targets, counted in units (a person with several records is one), the
    status is "not resolvable", and `why` names the lowest FPR that is. The value takes the upper
    end of the ROC's step at that FPR, as the field does; the interval reaches down by the height of
    the step (`tpr_segment`).
    """
    targets = targets_of(scores, membership)
    outside = non_member_units(scores, membership)
    expected = fpr * outside
    segments = [tpr_segment(t.scores, t.members, fpr) for t in targets]
    realised = [tpr_at_fpr_value(t.scores, t.members, fpr)[1] for t in targets]
    counts = {"expected_false_positive_units": expected, "realised_fpr": float(np.mean(realised))}
    if why := few_false_positives(expected, outside):
        return Measurement(
            subject=subject,
            risk="membership",
            method=method,
            metric=fpr_name(fpr),
            value=None,
            status="not resolvable",
            threat=threat,
            counts={**counts_of(scores, membership), **counts},
            why=why,
        )
    row = measured(
        scores,
        membership,
        "tpr",
        about=(subject, method, threat),
        fpr=fpr,
        lower=float(np.mean([high - low for low, high in segments])),
        confidence=confidence,
    )
    return replace(row, counts={**row.counts, **counts})


def realised_fpr(
    scores: Scores, membership: Membership, *, subject: str, method: str, threat: str = ""
) -> Measurement:
    """Measure the share of non-members called members at the threshold chosen on references."""
    return at_threshold(scores, membership, "false-positive rate", (subject, method, threat))
