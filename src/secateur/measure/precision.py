"""How far to trust "this record is a member": precision at a prior."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from secateur.errors import InputError
from secateur.measure.interval import percentile_ends, resampled_means, t_interval
from secateur.measure.membership import FEWEST_FOR_T, counts_of, no_threshold
from secateur.measure.roc import EXPECTED
from secateur.measure.targets import Target, evaluated_units, rates_of, targets_of, units_per_target
from secateur.measure.widen import Ends, widened
from secateur.types import Measurement, Membership, Scores

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from secateur.types.report import Interval, Status

__all__ = ["PRIORS", "positive_predictive_value", "precision_name", "precision_of"]

PRIORS = (0.01, 0.1, 0.5)
"""Shares of members among those asked about that a report speaks of."""

_BOTH = 0.975  # so that TPR and FPR hold together
_SEED = 0  # an interval is a property of the scores, not of a run


def precision_name(prior: float) -> str:
    """Return the metric's name, such as `precision at 1% prior`.

    Example:
        >>> precision_name(0.01)
        'precision at 1% prior'
    """
    return f"precision at {100 * prior:g}% prior"


def precision_of(tpr: ArrayLike, fpr: ArrayLike, prior: float) -> NDArray[np.float64]:
    """Return prior * TPR / (prior * TPR + (1 - prior) * FPR); NaN where both rates are zero.

    Example:
        >>> precision_of(np.array([0.5, 0.1]), np.array([0.5, 0.001]), 0.01).round(3).tolist()
        [0.01, 0.503]
    """
    found, alarms = prior * np.asarray(tpr, float), (1 - prior) * np.asarray(fpr, float)
    value: NDArray[np.float64] = np.divide(
        found, found + alarms, out=np.full(found.shape, np.nan), where=found + alarms > 0
    )
    return value


def positive_predictive_value(
    scores: Scores,
    membership: Membership,
    *,
    prior: float,
    subject: str,
    method: str,
    threat: str = "",
) -> Measurement:
    """Measure which share of those called members are members, if `prior` of all asked about are.

    At the threshold chosen on references. The precision of the mean TPR and the mean FPR over
    targets: a mean of per-target precisions would be drawn to 1 by targets without false positives.

    Args:
        scores: of one attack.
        membership: whose targets they are.
        prior: share of members among the records that an attacker asks about, in (0, 1).
        subject: the model family.
        method: the attack's repr.
        threat: what the attacker knows.

    Returns:
        From 8 targets on with a t interval of log(TPR / FPR) over targets (delta method), below
        with a bootstrap. Where the targets hardly differ or few members are found, joined with the
        precisions of what exact intervals of both rates allow (Bonferroni). "Not resolvable" below
        10 units with false positives over all targets, or where no member was found.

    Raises:
        InputError: a prior outside (0, 1).
    """
    if not 0 < prior < 1:
        raise InputError(f"prior must be in (0, 1), got {prior}; 0.01 is one member in a hundred")
    about = (subject, method, threat)
    name = precision_name(prior)
    if scores.threshold is None:
        return no_threshold(scores, membership, name, about)
    targets = targets_of(scores, membership)
    rates = rates_of(targets)
    row = _row(scores, membership, name, about, rates)
    if row.status != "measured":
        return row
    ends = _interval(targets, rates, prior, scores, membership)
    tpr, fpr = rates.mean(axis=0)
    value = float(precision_of(tpr, fpr, prior))
    return replace(
        row,
        value=value,
        low=min(ends.low, value),
        high=max(ends.high, value),
        interval=ends.interval,
        why="; ".join(filter(None, (row.why, ends.note))),
    )


def _interval(
    targets: list[Target],
    rates: NDArray[np.float64],
    prior: float,
    scores: Scores,
    membership: Membership,
) -> Ends:
    """Return the interval, widened by those of both rates where they are and matter."""
    kind: Interval = "two-way bootstrap" if len(targets) > 1 else "unit bootstrap"
    if len(targets) >= FEWEST_FOR_T:
        kind = "t over targets"
        low, high = _by_delta(rates, prior)
        pairs = [t_interval(column, _BOTH)[1:] for column in rates.T]
    else:
        means = _resampled(targets, evaluated_units(scores, membership))
        ends = percentile_ends(precision_of(means[:, 0], means[:, 1], prior))
        low, high = float(ends[0]), float(ends[1])
        pairs = [(float(a), float(b)) for a, b in zip(*percentile_ends(means, _BOTH), strict=True)]
    tpr = float(rates[:, 0].mean())
    found, alarms = (
        widened(pair, value=float(column.mean()), trials=n, interval=kind, confidence=_BOTH)
        for pair, column, n in zip(
            pairs, rates.T, units_per_target(scores, membership).T, strict=True
        )
    )
    if not (alarms.note or (found.note and tpr < 0.5)):  # few misses move no precision
        return Ends(low=low, high=high, interval=kind)
    box = precision_of(
        np.clip([found.low, found.high], 0, 1), np.clip([alarms.high, alarms.low], 0, 1), prior
    )
    which = alarms if alarms.note else found
    return Ends(
        low=min(low, float(box[0])),
        high=max(high, float(box[1])),
        interval=which.interval,
        note=which.note,
    )


def _row(
    scores: Scores,
    membership: Membership,
    name: str,
    about: tuple[str, str, str],
    rates: NDArray[np.float64],
) -> Measurement:
    """Return the row without its precision: its counts, and whether they are enough."""
    subject, method, threat = about
    tpr, fpr = rates.mean(axis=0).tolist()
    alarms = _false_positive_units(scores, membership)
    status: Status = "measured" if alarms >= EXPECTED and tpr > 0 else "not resolvable"
    return Measurement(
        subject=subject,
        risk="membership",
        method=method,
        metric=name,
        value=0.0 if status == "measured" else None,
        status=status,
        threat=threat,
        estimand="pipeline" if len(rates) > 1 else "this model",
        counts={
            **counts_of(scores, membership),
            "false_positive_units": float(alarms),
            "realised_fpr": fpr,
            "realised_tpr": tpr,
        },
        better="lower",
        why="threshold chosen on references"
        if status == "measured"
        else f"{alarms} false positives (units) and a TPR of {tpr:.3g} were seen; a precision "
        f"needs {EXPECTED:.0f} false positives over all targets, and members found",
    )


def _false_positive_units(scores: Scores, membership: Membership) -> int:
    """Return over all targets the non-member units of which any record is called a member."""
    assert scores.threshold is not None  # the caller has looked
    said = scores.evaluated & (scores.values >= scores.threshold[:, None])
    said &= ~membership.inside[membership.targets]
    return sum(len(np.unique(membership.units[row])) for row in said)


def _by_delta(rates: NDArray[np.float64], prior: float) -> tuple[float, float]:
    """Return the interval that follows from that of log(mean TPR / mean FPR)."""
    tpr, fpr = rates.mean(axis=0)
    _, low, high = t_interval(rates[:, 0] / tpr - rates[:, 1] / fpr)
    ends = precision_of(np.exp([low, high]) * tpr, [fpr, fpr], prior)
    return float(ends[0]), float(ends[1])


def _resampled(targets: list[Target], units: NDArray[np.int64]) -> NDArray[np.float64]:
    means = resampled_means(
        lambda t, w: targets[t].rates(w),
        units,
        targets=len(targets),
        seed=_SEED,
    )
    return np.clip(means, 0, 1)
