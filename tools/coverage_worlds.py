"""Made worlds of scores whose truth is known in closed form, and the intervals of their metrics.

Member r of target t scores N(s_r + e_t, 1), a non-member N(0, 1), with s_r ~ N(1, 1/4) over records
and e_t ~ N(0, 0.15^2) over targets; the reference threshold is 1/2.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from secateur.measure import precision_of, resampled_means, t_interval, tpr_segment
from secateur.measure.interval import percentile_ends
from secateur.measure.targets import Target
from secateur.types import Membership

MEAN, VARIANCE, BETWEEN, THRESHOLD, PRIOR = 1.0, 0.25, 0.15, 0.5, 0.1
METRICS = ("auc", "balanced accuracy", "accuracy", "false-positive rate", "tpr at fpr", "precision")

Floats = NDArray[np.float64]


def truth_of(shift: Floats, spread: float, fpr: float) -> Floats:
    """Return the true metrics where members score N(shift_r, spread^2), `[metrics]`.

    `shift` is one number per record of the pool, or one that stands for all.
    """
    alarms = norm.sf(THRESHOLD)
    tpr = norm.sf((THRESHOLD - shift) / spread).mean()
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
    rng: np.random.Generator, targets: int, records: int
) -> tuple[Floats, Floats, NDArray[np.bool_], Floats]:
    """Return (s per record, e per target, inside, scores)."""
    s = MEAN + np.sqrt(VARIANCE) * rng.standard_normal(records)
    e = BETWEEN * rng.standard_normal(targets)
    inside = rng.random((targets, records)) < 0.5
    return s, e, inside, rng.standard_normal(inside.shape) + inside * (s + e[:, None])


def targets_from(scores: Floats, inside: NDArray[np.bool_]) -> list[Target]:
    """Return the targets of a world, every record evaluated."""
    records = scores.shape[1]
    return [
        Target(scores=x, members=m, threshold=THRESHOLD, columns=np.arange(records), width=records)
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
    """Return the t intervals of every metric as `measure` forms them, `[2, metrics]`."""
    ones = np.ones((1, targets[0].width))
    values = np.concatenate([statistics(t, ones, fpr) for t in targets])
    ends = np.array([t_interval(column)[1:] for column in values[:, :5].T]).T
    tpr, alarms = values[:, 5:].mean(axis=0)
    _, *log_ends = t_interval(values[:, 5] / tpr - values[:, 6] / alarms)
    ratio = precision_of(np.exp(log_ends) * tpr, [alarms, alarms], PRIOR)
    return over_the_step(np.column_stack([ends, ratio]), targets, fpr)


def bootstrap_intervals(targets: list[Target], fpr: float, seed: int) -> Floats:
    """Return the bootstrap intervals of every metric, `[2, metrics]`."""
    means = resampled_means(
        lambda t, w: statistics(targets[t], w, fpr),
        np.arange(targets[0].width),
        targets=len(targets),
        seed=seed,
        replicates=1000 if targets[0].width <= 1000 else 300,
    )
    rates = np.clip(means[:, 5:], 0, 1)
    means = np.column_stack([means[:, :5], precision_of(rates[:, 0], rates[:, 1], PRIOR)])
    return over_the_step(np.stack(percentile_ends(means)), targets, fpr)


def over_the_step(ends: Floats, targets: list[Target], fpr: float) -> Floats:
    """Return the intervals with that of the TPR at an FPR reaching over the ROC's step."""
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
