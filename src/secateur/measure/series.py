"""Curves and histograms for the report, at most a few hundred points each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from secateur.measure.interval import percentile_ends, resampled_means, t_interval
from secateur.measure.membership import FEWEST_FOR_T
from secateur.measure.roc import Roc, roc_curve
from secateur.measure.targets import evaluated_units, targets_of, units_per_target
from secateur.measure.widen import widened
from secateur.types import Interval, Membership, Scores, Series

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["histogram_series", "roc_series"]

POINTS = 100
BINS = 40
REPLICATES = 400


def roc_series(scores: Scores, membership: Membership, *, subject: str, method: str) -> Series:
    """Return the mean ROC over targets on a log-spaced FPR grid, with a band at each FPR.

    The grid starts at one false positive per target; at each FPR the TPR is the one of the lowest
    threshold that does not exceed it. The band holds for each FPR by itself: t over targets from 8
    on, below a bootstrap of targets and units, both widened where nearly all records agree
    (`widened`); its lower edge reaches over the ROC's own step (`tpr_segment`).
    """
    targets = targets_of(scores, membership)
    curves = [roc_curve(t.scores, t.members) for t in targets]
    most = max(1, *(int((~t.members).sum()) for t in targets))
    grid = np.unique(np.append(np.geomspace(1 / most, 1, POINTS), 0.01))
    top, bottom = np.stack([_step(c, grid) for c in curves], axis=1)
    if len(targets) >= FEWEST_FOR_T:
        low, high = _t_band(top)
        kind: Interval = "t over targets"
        band = "95 % t interval over targets at each FPR"
    else:
        means = resampled_means(
            lambda t, w: targets[t].ranked.tpr(w, grid),
            evaluated_units(scores, membership),
            targets=len(targets),
            seed=0,
            replicates=REPLICATES,
        )
        low, high = percentile_ends(means)
        kind = "two-way bootstrap" if len(targets) > 1 else "unit bootstrap"
        band = f"95 % bootstrap interval at each FPR, {REPLICATES} replicates"
    mean = top.mean(axis=0)
    trials = units_per_target(scores, membership)[:, 0]
    ends = [
        widened((float(a), float(b)), value=float(v), trials=trials, interval=kind)
        for a, b, v in zip(low, high, mean, strict=True)
    ]
    low, high = np.array([e.low for e in ends]), np.array([e.high for e in ends])
    low = np.clip(np.minimum(low - (top - bottom).mean(axis=0), mean), 0, 1)
    high = np.clip(np.maximum(high, mean), 0, 1)
    return Series(
        id=f"roc/{subject}/{method}",
        kind="roc",
        subject=subject,
        method=method,
        columns={
            "fpr": tuple(grid.tolist()),
            "tpr": tuple(mean.tolist()),
            "low": tuple(low.tolist()),
            "high": tuple(high.tolist()),
        },
        note=f"mean over {len(curves)} targets; band: {band}",
    )


def _step(curve: Roc, grid: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the highest and the lowest TPR at each FPR, `[2, grid]`."""
    at = np.searchsorted(curve.fpr, grid + 1e-12, side="right") - 1
    first = np.searchsorted(curve.fpr, curve.fpr[at], side="left")
    return np.stack([curve.tpr[at], curve.tpr[first]])


def _t_band(tprs: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    pairs = np.array([t_interval(column)[1:] for column in tprs.T])
    return pairs[:, 0], pairs[:, 1]


def histogram_series(
    scores: Scores, membership: Membership, *, subject: str, method: str
) -> Series:
    """Return densities of members' and non-members' scores over all targets, in 40 bins.

    The range leaves out two per cent at each end, whose records are put into the outer bins.
    """
    inside = membership.inside[membership.targets]
    values = scores.values[scores.evaluated]
    members = inside[scores.evaluated]
    low, high = np.quantile(values, [0.02, 0.98])
    if not high > low:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, BINS + 1)
    clipped = np.clip(values, low, high)
    densities = [
        np.histogram(clipped[kind], bins=edges, density=True)[0] for kind in (members, ~members)
    ]
    return Series(
        id=f"histogram/{subject}/{method}",
        kind="histogram",
        subject=subject,
        method=method,
        columns={
            "left": tuple(edges[:-1].tolist()),
            "right": tuple(edges[1:].tolist()),
            "members": tuple(densities[0].tolist()),
            "non_members": tuple(densities[1].tolist()),
        },
        note="densities over all targets; the outer bins hold the tails",
    )
