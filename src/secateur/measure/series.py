"""Curves and histograms for the report, at most a few hundred points each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from secateur.measure.interval import t_interval
from secateur.measure.roc import roc_curve
from secateur.types import Membership, Scores, Series

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["histogram_series", "roc_series"]

POINTS = 100
BINS = 40


def roc_series(scores: Scores, membership: Membership, *, subject: str, method: str) -> Series:
    """Return the mean ROC over targets on a log-spaced FPR grid, with a t band where there are
    several.

    The grid starts at one false positive per target; at each FPR the TPR is the one of the lowest
    threshold that does not exceed it.
    """
    inside = membership.inside[membership.targets]
    curves = []
    fewest = 1
    for row, where in enumerate(scores.evaluated):
        members = inside[row, where]
        fewest = max(fewest, int((~members).sum()))
        curves.append(roc_curve(scores.values[row, where], members))
    grid = np.unique(np.append(np.geomspace(1 / fewest, 1, POINTS), 0.01))
    tprs = np.stack([c.tpr[np.searchsorted(c.fpr, grid + 1e-12, side="right") - 1] for c in curves])
    low, high = _band(tprs)
    return Series(
        id=f"roc/{subject}/{method}",
        kind="roc",
        subject=subject,
        method=method,
        columns={
            "fpr": tuple(grid.tolist()),
            "tpr": tuple(tprs.mean(axis=0).tolist()),
            "low": tuple(low.tolist()),
            "high": tuple(high.tolist()),
        },
        note=f"mean over {len(curves)} targets; band: 95 % t interval at each FPR",
    )


def _band(tprs: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if len(tprs) < 2:
        return tprs[0], tprs[0]
    pairs = np.array([t_interval(column)[1:] for column in tprs.T])
    return np.clip(pairs[:, 0], 0, 1), np.clip(pairs[:, 1], 0, 1)


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
