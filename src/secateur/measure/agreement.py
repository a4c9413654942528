"""Do two attacks, or two runs of one, point at the same records?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy import sparse

from secateur.errors import InputError
from secateur.measure.found import Finder, found_at_fpr, found_resampled, found_surely_at_fpr
from secateur.measure.interval import Statistic, t_interval, two_way_bootstrap
from secateur.measure.membership import FEWEST_FOR_T, counts_of
from secateur.measure.roc import few_false_positives
from secateur.measure.targets import (
    Target,
    evaluated_units,
    non_member_units,
    targets_of,
    units_per_target,
)
from secateur.measure.widen import widened
from secateur.types import Measurement, Membership, Scores

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from secateur.types.report import Interval

__all__ = ["overlap_of_found", "rank_agreement", "share_found"]

_SEED = 0  # an interval is a property of the scores, not of a run


def rank_agreement(
    runs: Sequence[Scores], membership: Membership, *, subject: str, method: str
) -> Measurement:
    """Measure the rank correlation (Spearman) of members' scores, mean over pairs and targets.

    Over members alone: two attacks that both tell members from non-members would agree over all
    records without agreeing on who is exposed.

    Args:
        runs: at least two: one attack under several seeds, or several attacks.
        membership: of all of them.
        subject: the model family.
        method: what was compared, such as an attack's repr.

    Returns:
        -1 to 1, 1 = the same order; ties get their mean rank, and constant scores count as 0.

    Raises:
        InputError: fewer than two runs, or runs on different records.
    """
    targets = _aligned(runs, membership)

    def statistic(t: int, weights: NDArray[Any]) -> NDArray[np.float64]:
        ranks = [_weighted_ranks(run[t], weights) for run in targets]
        own = weights[:, targets[0][t].columns[targets[0][t].members]]
        pairs = [_correlation(a, b, own) for a, b in combinations(ranks, 2)]
        return np.asarray(np.mean(pairs, axis=0), dtype=np.float64)

    name = "rank correlation of members"
    return _row(statistic, runs, membership, name, about=(subject, method))


def overlap_of_found(
    runs: Sequence[Scores], membership: Membership, *, fpr: float, subject: str, method: str
) -> Measurement:
    """Measure the overlap (Jaccard) of the members found at an FPR, mean over pairs and targets.

    Members in both sets over members in one of them; 0 where neither run finds any. `counts` holds
    what runs that find as many members, independently of each other, would share by chance. The
    interval is widened (`widened`) where few units found by one run are missing in the other.

    Args:
        runs: at least two: one attack under several seeds, or several attacks.
        membership: of all of them.
        fpr: at which each run's threshold is chosen, on the evaluated data.
        subject: the model family.
        method: what was compared, such as an attack's repr.

    Returns:
        0 to 1, 1 = the same members; "not resolvable" below 10 expected false positives.

    Raises:
        InputError: fewer than two runs, or runs on different records.
    """
    targets, found = _found(runs, membership, fpr)

    def statistic(t: int, weights: NDArray[Any]) -> NDArray[np.float64]:
        values = []
        for a, b in combinations([found_resampled(run[t], weights, fpr) for run in targets], 2):
            both, either = (np.einsum("br,br->b", weights, f) for f in (a & b, a | b))
            values.append(np.divide(both, either, out=np.zeros(len(weights)), where=either > 0))
        return np.asarray(np.mean(values, axis=0), dtype=np.float64)

    members = [t.members.sum() for t in targets[0]]
    shares = np.stack([f.sum(axis=1) / m for f, m in zip(found, members, strict=True)], axis=1)
    chance = [
        np.divide(a * b, a + b - a * b, out=np.zeros(len(a)), where=a + b > 0)
        for a, b in combinations(shares, 2)
    ]
    units = evaluated_units(runs[0], membership)
    either = [min(len(np.unique(units[a | b])) for a, b in combinations(one, 2)) for one in found]
    rate = _Rate(
        fpr=fpr,
        trials=np.maximum(either, 1.0),  # nothing found says as little as one trial
        counts={"expected_by_chance": float(np.mean(chance))},
    )
    name = f"overlap of members found at {100 * fpr:g}% fpr"
    return _row(statistic, runs, membership, name, about=(subject, method), rate=rate)


def share_found(
    runs: Sequence[Scores],
    membership: Membership,
    *,
    by: Literal["every run", "any run"],
    fpr: float,
    subject: str,
    method: str,
) -> Measurement:
    """Measure the share of members that every run, or any run, finds at an FPR.

    Args:
        runs: at least two.
        membership: of all of them.
        by: every run, what holds whatever the seed; any run, what some attacker finds.
        fpr: at which each run's threshold is chosen, on the evaluated data. Any run together let
            more non-members in than this.
        subject: the model family.
        method: what was compared.

    Returns:
        0 to 1; "not resolvable" below 10 expected false positives of one run, counted in units. The
        interval is widened (`widened`) where nearly all members, or none, are found, and reaches
        down by what the steps of the ROCs leave open, as that of `tpr_at_fpr`.
    """
    targets, found = _found(runs, membership, fpr)
    _, surely = _found(runs, membership, fpr, found_surely_at_fpr)
    join = np.all if by == "every run" else np.any
    steps = [
        (join(f, axis=0) & ~join(s, axis=0)).sum() / one.members.sum()
        for f, s, one in zip(found, surely, targets[0], strict=True)
    ]

    def statistic(t: int, weights: NDArray[Any]) -> NDArray[np.float64]:
        one = targets[0][t]
        total = weights[:, one.columns[one.members]].sum(axis=1, dtype=np.float64)
        together = join([found_resampled(run[t], weights, fpr) for run in targets], axis=0)
        share: NDArray[np.float64] = np.divide(
            np.einsum("br,br->b", weights, together),
            total,
            out=np.full(len(weights), np.nan),
            where=total > 0,
        )
        return share

    name = f"members found by {by} at {100 * fpr:g}% fpr"
    trials = units_per_target(runs[0], membership)[:, 0]
    rate = _Rate(fpr=fpr, trials=trials, lower=float(np.mean(steps)))
    return _row(statistic, runs, membership, name, about=(subject, method), rate=rate)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Rate:
    """At which FPR members are found, how many trials stand behind each target's share, and how far
    down the ROC's step reaches.
    """

    fpr: float
    trials: NDArray[np.float64]
    lower: float = 0.0
    counts: Mapping[str, float] = field(default_factory=dict)


def _aligned(runs: Sequence[Scores], membership: Membership) -> list[list[Target]]:
    """Return the targets of each run, which must speak of the same records."""
    if len(runs) < 2:
        raise InputError(f"agreement needs at least 2 runs, got {len(runs)}")
    for number, run in enumerate(runs[1:], start=1):
        if not np.array_equal(run.evaluated, runs[0].evaluated):
            raise InputError(
                f"run {number} evaluates {int(run.evaluated.sum())} (target, record) pairs, run 0 "
                f"{int(runs[0].evaluated.sum())}; compare runs on the same ones"
            )
    return [targets_of(run, membership) for run in runs]


def _found(
    runs: Sequence[Scores], membership: Membership, fpr: float, finder: Finder = found_at_fpr
) -> tuple[list[list[Target]], list[NDArray[np.bool_]]]:
    """Return the targets of each run, and per target who is found, `[runs, width]`."""
    targets = _aligned(runs, membership)
    found = []
    for same in zip(*targets, strict=True):
        wide = np.zeros((len(runs), same[0].width), dtype=np.bool_)
        for row, one in enumerate(same):
            wide[row, one.columns] = finder(one.scores, one.members, fpr)
        found.append(wide)
    return targets, found


def _weighted_ranks(target: Target, weights: NDArray[Any]) -> NDArray[np.float64]:
    """Return the mean ranks of a target's members among themselves, each repeated by its weight."""
    scores = target.scores[target.members]
    own = weights[:, target.columns[target.members]].astype(np.float64)
    _, group = np.unique(scores, return_inverse=True)
    sums = sparse.csr_matrix((np.ones(len(group)), (np.arange(len(group)), group)))
    size = np.asarray(own @ sums)
    middle = np.cumsum(size, axis=1) - size / 2
    ranks: NDArray[np.float64] = middle[:, group]
    return ranks


def _correlation(
    a: NDArray[np.float64], b: NDArray[np.float64], weights: NDArray[Any]
) -> NDArray[np.float64]:
    """Return the weighted correlation of each row; 0 where one side is constant."""
    w = weights / np.maximum(weights.sum(axis=1, dtype=np.float64), 1e-12)[:, None]
    a = a - (w * a).sum(axis=1)[:, None]
    b = b - (w * b).sum(axis=1)[:, None]
    scale = np.sqrt((w * a * a).sum(axis=1) * (w * b * b).sum(axis=1))
    value: NDArray[np.float64] = np.divide(
        (w * a * b).sum(axis=1), scale, out=np.zeros(len(scale)), where=scale > 1e-9
    )
    return value


def _row(
    statistic: Statistic,
    runs: Sequence[Scores],
    membership: Membership,
    name: str,
    *,
    about: tuple[str, str],
    rate: _Rate | None = None,
) -> Measurement:
    """Return the mean over targets with the interval that their number allows."""
    units = evaluated_units(runs[0], membership)
    told: dict[str, Any] = {"subject": about[0], "risk": "membership", "method": about[1]}
    seen = {**counts_of(runs[0], membership), "runs": float(len(runs))}
    targets = int(seen["targets"])
    told |= {"metric": name, "counts": seen}
    told["estimand"] = "pipeline" if targets > 1 else "this model"
    if rate is not None:
        outside = non_member_units(runs[0], membership)
        expected = rate.fpr * outside
        seen |= {**rate.counts, "expected_false_positive_units": expected}
        if why := few_false_positives(expected, outside):
            return Measurement(**told, value=None, status="not resolvable", why=why)
    ones = np.ones((1, len(units)))
    values = np.array([statistic(t, ones)[0] for t in range(targets)])
    kind: Interval = "two-way bootstrap" if targets > 1 else "unit bootstrap"
    if targets >= FEWEST_FOR_T:
        kind = "t over targets"
        mean, low, high = t_interval(values)
    else:
        mean = float(values.mean())
        low, high = two_way_bootstrap(statistic, units, targets=targets, seed=_SEED)
    if rate is None:
        low, high = max(-1.0, min(low, mean)), min(1.0, max(high, mean))
        return Measurement(**told, value=mean, low=low, high=high, interval=kind)
    ends = widened((low, high), value=mean, trials=rate.trials, interval=kind)
    return Measurement(
        **told,
        value=mean,
        low=max(0.0, min(ends.low - rate.lower, mean)),
        high=min(1.0, max(ends.high, mean)),
        interval=ends.interval,
        why="; ".join(filter(None, ("thresholds chosen on the evaluated data", ends.note))),
    )
