"""Intervals where nearly all units, or all targets, agree: no narrower than counts allow."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from secateur.measure.interval import beta_ends, t_interval
from secateur.types.report import Interval

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from secateur.measure.targets import Metric

__all__ = ["Ends", "trials_of_metric", "widened", "widened_balanced", "widened_metric"]

FEWEST_EVENTS = 10
"""Units that differ from the rest below which no spread can be judged."""

_WIDER: dict[Interval, Interval] = {
    "t over targets": "t over targets, widened",
    "two-way bootstrap": "two-way bootstrap, widened",
    "unit bootstrap": "unit bootstrap, widened",
}


@dataclass(frozen=True, kw_only=True)
class Ends:
    """An interval, its kind, and what was done to it, empty where nothing was."""

    low: float
    high: float
    interval: Interval
    note: str = ""


def trials_of_metric(metric: Metric, units: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how many trials of a rate stand behind a metric of each target, `[targets]`.

    Of an AUC as many as the rarer kind has units: its variance is at most A (1 - A) / min(members,
    non-members). Of a balanced accuracy, the mean of two rates, twice as many.

    Args:
        metric: which.
        units: members and non-members of each target, `[targets, 2]`, counted in units.

    Example:
        >>> trials_of_metric("balanced accuracy", np.array([[30.0, 20.0]])).tolist()
        [40.0]

    Reference:
        birnbaum1957bounds for the variance of an AUC.
    """
    fewer: NDArray[np.float64] = units.min(axis=1)
    found: dict[str, NDArray[np.float64]] = {
        "auc": fewer,
        "balanced accuracy": 2 * fewer,
        "accuracy": units.sum(axis=1),
        "tpr": units[:, 0],
        "false-positive rate": units[:, 1],
    }
    return found[metric]


def widened_metric(
    metric: Metric,
    ends: tuple[float, float],
    *,
    value: float,
    rates: NDArray[np.float64] | None,
    units: NDArray[np.float64],
    interval: Interval,
    confidence: float = 0.95,
) -> Ends:
    """Widen the interval of a metric by `widened`, of a balanced accuracy by `widened_balanced`.

    Args:
        metric: which.
        ends: (low, high) as the interval `interval` gives them.
        value: the mean over targets.
        rates: TPR and FPR of each target, `[targets, 2]`, for a balanced accuracy.
        units: members and non-members of each target, `[targets, 2]`.
        interval: kind of `ends`.
        confidence: in (0, 1).
    """
    if metric == "balanced accuracy" and rates is not None:
        return widened_balanced(
            ends, rates=rates, units=units, interval=interval, confidence=confidence
        )
    trials = trials_of_metric(metric, units)
    return widened(ends, value=value, trials=trials, interval=interval, confidence=confidence)


def widened(
    ends: tuple[float, float],
    *,
    value: float,
    trials: NDArray[np.float64],
    interval: Interval,
    confidence: float = 0.95,
    bounds: tuple[float, float] = (0.0, 1.0),
) -> Ends:
    """Widen an interval of a mean over targets where it says less than it knows.

    Where all targets find everything, or nothing, or all the same, they have no spread, and neither
    have resampled units. The interval is widened to that of Clopper-Pearson where fewer than 10
    units differ from the rest, or the spread is less than a tenth of what independent units make.

    The trials are those of one target: nothing shows yet that further targets add any, since units
    that differ may come together, in one target of many. With t over targets they are as many as
    the targets at least, which are independent; and the more units differ (up to 10), the more of
    the way goes towards the trials that the targets' spread allows: at most those of all targets,
    variance of a rate / variance of the mean, times (z / t)^2 for the degrees of freedom. A
    bootstrap speaks of other units too, which further targets do not add.

    Args:
        ends: (low, high) as the interval `interval` gives them.
        value: the mean over targets.
        trials: of each target, `[targets]`, counted in units.
        interval: kind of `ends`.
        confidence: in (0, 1).
        bounds: of one trial; a mean within them varies at most as a rate does.

    Returns:
        Ends that are never narrower than those given; the kind ends with "widened" where they are
        wider, and the note says how many trials were counted.

    Example:
        >>> found = widened((1.0, 1.0), value=1.0, trials=np.full(8, 50.0),
        ...     interval="t over targets")
        >>> round(found.low, 3), found.high, found.interval
        (0.929, 1.0, 't over targets, widened')

    Reference:
        korn1998confidence.

    Differs from the paper:
        used only where the t interval cannot be trusted, and joined with it; one target's trials
        where no unit differs, for all targets' in the paper.
    """
    bottom, top = bounds
    if not top > bottom:  # nothing can vary
        return Ends(low=ends[0], high=ends[1], interval=interval)
    rate = (value - bottom) / (top - bottom)
    over_targets = interval == "t over targets"
    count = float(trials.sum() if over_targets else trials.min())
    variance = max(0.0, rate * (1 - rate))
    half = (ends[1] - ends[0]) / (top - bottom) / 2
    shown = count * min(rate, 1 - rate) / FEWEST_EVENTS
    z, t = _quantiles(len(trials), confidence) if over_targets else (1.0, 1.0)
    spread = half / t
    least = _least_share(len(trials)) * variance / count if over_targets else 0.0
    equal = spread**2 <= least
    if shown >= 1 and not equal:
        return Ends(low=ends[0], high=ends[1], interval=interval)
    effective = float(max(trials.min(), len(trials)) if over_targets else trials.min())
    if over_targets and not equal:
        effective += shown * (min(count, variance / spread**2) * (z / t) ** 2 - effective)
    low, high = beta_ends(rate * effective, effective, confidence)
    low, high = bottom + low * (top - bottom), bottom + high * (top - bottom)
    return Ends(
        low=min(ends[0], low),
        high=max(ends[1], high),
        interval=_WIDER[interval],
        note=f"{'few units differ' if shown < 1 else 'the targets hardly differ'}: widened to the "
        f"Clopper-Pearson interval of {effective:.0f} trials",
    )


def widened_balanced(
    ends: tuple[float, float],
    *,
    rates: NDArray[np.float64],
    units: NDArray[np.float64],
    interval: Interval,
    confidence: float = 0.95,
) -> Ends:
    """Widen the interval of a balanced accuracy, (TPR + 1 - FPR) / 2, as `widened` does.

    Where TPR and FPR both come from few units, as when nobody is called a member, their own
    intervals make that of the mean: a half of what rates of independent units differ by.

    Args:
        ends: (low, high) as the interval `interval` gives them.
        rates: TPR and FPR of each target, `[targets, 2]`.
        units: members and non-members of each target, `[targets, 2]`.
        interval: kind of `ends`.
        confidence: in (0, 1).

    Reference:
        zou2008construction.
    """
    tpr, fpr = rates.mean(axis=0).tolist()
    value = (tpr + 1 - fpr) / 2
    own = []
    for rate, column, trials in zip((tpr, fpr), rates.T, units.T, strict=True):
        over_targets = interval == "t over targets"
        count = trials.sum() if over_targets else trials.min()
        if count * min(rate, 1 - rate) >= FEWEST_EVENTS:
            whole = trials_of_metric("balanced accuracy", units)
            return widened(
                ends, value=value, trials=whole, interval=interval, confidence=confidence
            )
        given = t_interval(column, confidence)[1:] if over_targets else (rate, rate)
        own.append(
            widened(given, value=rate, trials=trials, interval=interval, confidence=confidence)
        )
    found, alarms = own
    low = value - float(np.hypot(tpr - found.low, alarms.high - fpr)) / 2
    high = value + float(np.hypot(found.high - tpr, fpr - alarms.low)) / 2
    return Ends(
        low=min(ends[0], low),
        high=max(ends[1], high),
        interval=found.interval,
        note=found.note,
    )


@lru_cache(maxsize=256)
def _quantiles(targets: int, confidence: float) -> tuple[float, float]:
    part = 0.5 + confidence / 2
    return float(stats.norm.ppf(part)), float(stats.t.ppf(part, targets - 1))


@lru_cache(maxsize=256)
def _least_share(targets: int) -> float:
    """Return the share of independent units' variance below which a spread is too small.

    A hundredth, and of few targets what chance gives once in 10,000.
    """
    freedom = targets - 1
    return min(0.01, float(stats.chi2.ppf(1e-4, freedom)) / freedom)
