"""Paired differences of one attack's metrics between two subjects."""

from __future__ import annotations

import numpy as np

from secateur.measure.interval import paired_difference, t_interval
from secateur.measure.membership import counts_of, fpr_name
from secateur.measure.targets import Metric, per_target, rates_of, targets_of, units_per_target
from secateur.measure.widen import widened_metric
from secateur.types import Interval, Measurement, Membership, Scores

__all__ = ["difference"]


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

    Where both subjects' own intervals are widened (`widened_metric`), the paired one is joined with
    what these two say of a difference, as if unpaired.

    Args:
        a: scores on the first subject.
        b: scores of the same attack on the second.
        membership: of both.
        metric: `auc`, `balanced accuracy`, `accuracy` or `tpr`.
        about: (first subject, second subject, attack's repr).
        fpr: for `tpr`.
        threat: what the attacker knows.

    Reference:
        zou2008construction for a difference from two intervals.
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
    kind: Interval = "t over targets"
    own = []
    for values, scores in ((x, a), (y, b)):
        value, *ends = t_interval(values)
        found = widened_metric(
            metric,
            (ends[0], ends[1]),
            value=value,
            rates=rates_of(targets_of(scores, membership)),
            units=units_per_target(scores, membership),
            interval=kind,
        )
        own.append((value, found))
    notes = [found.note for _, found in own]
    if all(notes):
        (x_mean, x_ends), (y_mean, y_ends) = own
        low = min(low, mean - float(np.hypot(x_mean - x_ends.low, y_ends.high - y_mean)))
        high = max(high, mean + float(np.hypot(x_ends.high - x_mean, y_mean - y_ends.low)))
        kind = "t over targets, widened"
    return Measurement(
        subject=subject,
        versus=versus,
        risk="membership",
        method=method,
        metric=name,
        value=mean,
        low=low,
        high=high,
        interval=kind,
        counts=counts_of(a, membership),
        better="lower",
        threat=threat,
        why="; ".join(["paired over the same targets", *(notes[:1] if all(notes) else ())]),
    )
