"""The bootstrap of targets and units: seconds, and how often as long anything simpler takes.

1,000 replicates of 20,000 records x 8 targets, each metric, with the sorting of the scores: beside
the drawing of the 1,000 x 20,000 counts alone, and the ratio of sorting each replicate anew to it.
A part of `python -m benchmarks.scoring`.
"""

from __future__ import annotations

import statistics
from functools import partial
from typing import Any

import numpy as np

from benchmarks.timing import seconds, spread
from secateur.measure import auc_value, tpr_at_fpr_value, two_way_bootstrap
from secateur.measure.targets import Metric, targets_of
from secateur.types import Membership, Scores

RECORDS, TARGETS, REPLICATES = 20_000, 8, 1000


def scored() -> tuple[Scores, Membership]:
    """Return made scores of all targets of the bootstrap's case, half of the records inside."""
    rng = np.random.default_rng(0)
    inside = rng.random((TARGETS, RECORDS)) < 0.5
    who = Membership(
        inside=inside,
        roles=("target",) * TARGETS,
        pools={"audit": np.arange(RECORDS)},
        units=np.arange(RECORDS),
        seed=0,
    )
    values = rng.normal(size=inside.shape) + inside
    evaluated = np.ones(inside.shape, dtype=bool)
    return Scores(values=values, evaluated=evaluated, threshold=np.full(TARGETS, 0.5)), who


def draw_counts() -> None:
    """Draw how often each record is in each replicate, which any bootstrap needs."""
    rng = np.random.default_rng(0)
    for _ in range(REPLICATES):
        np.bincount(rng.integers(0, RECORDS, RECORDS, dtype=np.int32), minlength=RECORDS)


def one_by_one(metric: Metric, scores: Scores, who: Membership, replicates: int) -> None:
    """Resample records and sort them anew for each replicate and target."""
    rng = np.random.default_rng(0)
    for _ in range(replicates):
        drawn = rng.integers(0, RECORDS, RECORDS)
        for values, inside in zip(scores.values[:, drawn], who.inside[:, drawn], strict=True):
            if metric == "auc":
                auc_value(values, inside)
            else:
                tpr_at_fpr_value(values, inside, 0.01)


def bootstrap(rounds: int) -> list[dict[str, Any]]:
    """Time a bootstrap of each metric in turn with the drawing of counts, and with a loop."""
    scores, who = scored()
    few = 20  # replicates of the loop

    def whole(metric: Metric) -> None:
        targets = targets_of(scores, who)
        two_way_bootstrap(
            lambda row, weights: targets[row].weighted(metric, 0.01, weights),
            who.units,
            targets=TARGETS,
            seed=0,
            replicates=REPLICATES,
        )

    rows = []
    cases: dict[str, Metric] = {"AUC": "auc", "TPR at 1 % FPR": "tpr"}
    cases["balanced accuracy"] = "balanced accuracy"
    for name, metric in cases.items():
        took, beside, loop = [], [], []
        for _ in range(rounds):
            took.append(seconds(partial(whole, metric)))
            beside.append(took[-1] / seconds(draw_counts))
            if metric != "balanced accuracy":  # has no scores to sort
                each = seconds(partial(one_by_one, metric, scores, who, few)) / few
                loop.append(REPLICATES * each / took[-1])
        row = {"case": name, "seconds": spread(took), "drawings": spread(beside)}
        rows.append({**row, "loop": spread(loop)} if loop else row)
        print(f"bootstrap, {name}: {statistics.median(took):.2f} s")
    return rows
