"""Paired differences of one attack's metrics between two subjects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from secateur.measure.interval import paired_difference, t_interval
from secateur.measure.membership import CHOSEN_ON, counts_of, fpr_name
from secateur.measure.roc import few_false_positives, tpr_segment
from secateur.measure.targets import (
    Metric,
    non_member_units,
    per_target,
    rates_of,
    targets_of,
    units_per_target,
)
from secateur.measure.widen import Ends, widened_metric
from secateur.types import Interval, Measurement, Membership, Scores

if TYPE_CHECKING:
    from numpy.typing import NDArray

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
    what these two say of a difference, as if unpaired. That of a TPR reaches over the difference of
    both ROCs' steps (`tpr_segment`): its values are their upper ends, and both lie as far up.

    Args:
        a: scores on the first subject.
        b: scores of the same attack on the second.
        membership: of both.
        metric: `auc`, `balanced accuracy`, `accuracy` or `tpr`.
        about: (first subject, second subject, attack's repr).
        fpr: for `tpr`.
        threat: what the attacker knows.

    Returns:
        "Not resolvable" for a TPR below 10 expected false positives over all targets, counted in
        units; "not run" for one target.

    Reference:
        zou2008construction for a difference from two intervals.
    """
    level = 0.01 if fpr is None else fpr
    subject, versus, method = about
    told: dict[str, Any] = {
        "subject": subject,
        "versus": versus,
        "risk": "membership",
        "method": method,
        "metric": fpr_name(level) if metric == "tpr" else metric,
        "threat": threat,
        "counts": counts_of(a, membership),
    }
    if metric == "tpr":
        outside = min(non_member_units(scores, membership) for scores in (a, b))
        told["counts"]["expected_false_positive_units"] = level * outside
        if why := few_false_positives(level * outside, outside):
            return Measurement(**told, value=None, status="not resolvable", why=why)
    x = per_target(a, membership, metric, fpr=level)
    y = per_target(b, membership, metric, fpr=level)
    if len(x) < 2:
        why = "a paired difference needs at least 2 targets"
        return Measurement(**told, value=None, status="not run", why=why)
    mean, low, high = paired_difference(x, y)
    if metric == "tpr":
        taller = _step(a, membership, level) - _step(b, membership, level)
        low, high = low - max(0.0, taller), high + max(0.0, -taller)
    own = [_widened(values, s, membership, metric) for values, s in ((x, a), (y, b))]
    kind: Interval = "t over targets"
    notes = [ends.note for ends in own]
    if all(notes):
        first, second = own
        low = min(low, mean - float(np.hypot(x.mean() - first.low, second.high - y.mean())))
        high = max(high, mean + float(np.hypot(first.high - x.mean(), y.mean() - second.low)))
        kind = "t over targets, widened"
    words = ("paired over the same targets", CHOSEN_ON.get(metric, ""))
    return Measurement(
        **told,
        value=mean,
        low=low,
        high=high,
        interval=kind,
        better="lower",
        why="; ".join(filter(None, (*words, notes[0] if all(notes) else ""))),
    )


def _widened(
    values: NDArray[np.float64], scores: Scores, membership: Membership, metric: Metric
) -> Ends:
    """Return one subject's own interval, and whether it had to be widened."""
    mean, *ends = t_interval(values)
    return widened_metric(
        metric,
        (ends[0], ends[1]),
        value=mean,
        rates=rates_of(targets_of(scores, membership)),
        units=units_per_target(scores, membership),
        interval="t over targets",
    )


def _step(scores: Scores, membership: Membership, fpr: float) -> float:
    """Return the height of the ROC's step at an FPR, mean over targets."""
    steps = [tpr_segment(t.scores, t.members, fpr) for t in targets_of(scores, membership)]
    return float(np.mean([high - low for low, high in steps]))
