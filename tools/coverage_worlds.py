"""Made worlds of scores whose truth is known in closed form, and the intervals of their metrics.

Member r of target t scores N(s_r + e_t, 1), a non-member N(0, 1), with s_r ~ N(mean, variance) over
records and e_t ~ N(0, between^2) over targets. Ordinary: N(1, 1/4), 0.15 and the reference
threshold 1/2; strong: the mean 6 and the threshold 3, so that nearly all are found; null: no shift
at all, and the threshold 3, above which hardly any lie; canaries: the mean 4 and the threshold 2,
few records.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from secateur.measure import (
    precision_of,
    resampled_means,
    t_interval,
    tpr_segment,
    widened_metric,
)
from secateur.measure.interval import percentile_ends
from secateur.measure.targets import Metric, Target
from secateur.types import Interval, Membership

PRIOR = 0.1
_NAMES: dict[str, Metric] = {
    "auc": "auc",
    "balanced accuracy": "balanced accuracy",
    "accuracy": "accuracy",
    "false-positive rate": "false-positive rate",
    "tpr at fpr": "tpr",
}
METRICS = (*_NAMES, "precision")

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class World:
    """Where members score, how much records and targets spread, and the reference threshold."""

    mean: float = 1.0
    variance: float = 0.25
    between: float = 0.15
    threshold: float = 0.5


ORDINARY = World()
MEAN, VARIANCE, BETWEEN, THRESHOLD = (
    ORDINARY.mean,
    ORDINARY.variance,
    ORDINARY.between,
    ORDINARY.threshold,
)
STRONG = World(mean=6.0, threshold=3.0)
NULL = World(mean=0.0, variance=0.0, between=0.0, threshold=3.0)
CANARIES = World(mean=4.0, threshold=2.0)


def truth_of(shift: Floats, spread: float, fpr: float, threshold: float = THRESHOLD) -> Floats:
    """Return the true metrics where members score N(shift_r, spread^2), `[metrics]`.

    `shift` is one number per record of the pool, or one that stands for all.
    """
    alarms = norm.sf(threshold)
    tpr = norm.sf((threshold - shift) / spread).mean()
    return np.array(
        [
            norm.cdf(shift / np.hypot(spread, 1)).mean(),
            (tpr + 1 - alarms) / 2,
            (tpr + 1 - alarms) / 2,
            alarms,
            norm.sf((norm.isf(fpr) - shift) / spread).mean(),
            float(precision_of(tpr, alarms, PRIOR)),
        ]
    )


def draw_world(
    rng: np.random.Generator, targets: int, records: int, world: World = ORDINARY
) -> tuple[Floats, Floats, NDArray[np.bool_], Floats]:
    """Return (s per record, e per target, inside, scores)."""
    s = world.mean + np.sqrt(world.variance) * rng.standard_normal(records)
    e = world.between * rng.standard_normal(targets)
    inside = rng.random((targets, records)) < 0.5
    return s, e, inside, rng.standard_normal(inside.shape) + inside * (s + e[:, None])


def targets_from(
    scores: Floats, inside: NDArray[np.bool_], threshold: float = THRESHOLD
) -> list[Target]:
    """Return the targets of a world, every record evaluated."""
    records = scores.shape[1]
    return [
        Target(scores=x, members=m, threshold=threshold, columns=np.arange(records), width=records)
        for x, m in zip(scores, inside, strict=True)
    ]


def statistics(target: Target, weights: NDArray[Any], fpr: float) -> Floats:
    """Return the metrics but the precision, and (TPR, FPR), `[replicates, 7]`."""
    rates = target.rates(weights)
    metrics = [
        target.weighted("auc", fpr, weights),
        (rates[:, 0] + 1 - rates[:, 1]) / 2,
        target.weighted("accuracy", fpr, weights),
        rates[:, 1],
        target.weighted("tpr", fpr, weights),
        *rates.T,
    ]
    return np.stack(metrics, axis=1)


def t_intervals(targets: list[Target], fpr: float) -> Floats:
    """Return the t intervals of every metric as `measure` forms them, `[2, metrics]`.

    The precision where it is measured, from 10 false positives on, and a zero where no member is
    found.
    """
    ones = np.ones((1, targets[0].width))
    values = np.concatenate([statistics(t, ones, fpr) for t in targets])
    ends = np.array([t_interval(column)[1:] for column in values[:, :5].T]).T
    tpr, alarms = values[:, 5:].mean(axis=0)
    ratio = np.zeros(2)
    if min(tpr, alarms) > 0:
        _, *log_ends = t_interval(values[:, 5] / tpr - values[:, 6] / alarms)
        ratio = precision_of(np.exp(log_ends) * tpr, [alarms, alarms], PRIOR)
    return _as_measured(np.column_stack([ends, ratio]), values, targets, fpr, "t over targets")


def bootstrap_intervals(
    targets: list[Target], fpr: float, seed: int, replicates: int = 1000
) -> Floats:
    """Return the bootstrap intervals of every metric, `[2, metrics]`."""
    means = resampled_means(
        lambda t, w: statistics(targets[t], w, fpr),
        np.arange(targets[0].width),
        targets=len(targets),
        seed=seed,
        replicates=replicates,
    )
    ones = np.ones((1, targets[0].width))
    values = np.concatenate([statistics(t, ones, fpr) for t in targets])
    rates = np.clip(means[:, 5:], 0, 1)
    precision = np.nan_to_num(precision_of(rates[:, 0], rates[:, 1], PRIOR))
    ends = np.stack(percentile_ends(np.column_stack([means[:, :5], precision])))
    kind: Interval = "two-way bootstrap" if len(targets) > 1 else "unit bootstrap"
    return _as_measured(ends, values, targets, fpr, kind)


def _as_measured(
    ends: Floats, values: Floats, targets: list[Target], fpr: float, kind: Interval
) -> Floats:
    """Return ends widened where nearly all agree, that of the TPR reaching over the ROC's step."""
    units = np.array([[t.members.sum(), (~t.members).sum()] for t in targets], dtype=np.float64)
    for k, metric in enumerate(METRICS[:5]):
        found = widened_metric(
            _NAMES[metric],
            (float(ends[0, k]), float(ends[1, k])),
            value=float(values[:, k].mean()),
            rates=values[:, 5:],
            units=units,
            interval=kind,
        )
        ends[:, k] = found.low, found.high
    steps = [tpr_segment(t.scores, t.members, fpr) for t in targets]
    ends[0, METRICS.index("tpr at fpr")] -= np.mean([high - low for low, high in steps])
    return ends


def membership_of(inside: NDArray[np.bool_]) -> Membership:
    """Return a membership of targets alone."""
    models, records = inside.shape
    return Membership(
        inside=inside,
        roles=("target",) * models,
        pools={"audit": np.arange(records)},
        units=np.arange(records),
        seed=0,
    )
