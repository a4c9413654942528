"""The information view of one attack's scores: gain, divergence, reachable accuracy."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from secateur.errors import InputError
from secateur.measure.information import LEAST_GAIN, jensen_shannon
from secateur.measure.interval import t_interval, two_way_bootstrap
from secateur.measure.membership import FEWEST_FOR_T
from secateur.measure.targets import targets_of
from secateur.measure.widen import Ends, trials_of_metric, widened
from secateur.types import Interval, Measurement, Membership, Scores, derive_seed

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["information_rows"]


@dataclass(frozen=True, kw_only=True)
class _Binned:
    """One target's records: which bin, member or not, which column of the scores."""

    bins: NDArray[np.int64]
    members: NDArray[np.bool_]
    columns: NDArray[np.int64]
    units: NDArray[np.int64]


def information_rows(
    scores: Scores,
    membership: Membership,
    *,
    about: tuple[str, str, str],
    bins: int = 16,
    folds: int = 5,
    seed: int = 0,
) -> list[Measurement]:
    """Estimate the gain, the Jensen-Shannon divergence and the accuracy that scores allow.

    Each target's scores are cut into equally full bins; h = p / (p + q) of a bin is counted over
    all targets (half a record added to each count) on the units of the other folds, and applied to
    the units of this one. So no unit judges itself, and the gain of h is an honest gain: it falls
    short of the best one by what one attack, bins and finite counts lose.

    Args:
        scores: of one attack.
        membership: whose targets they are.
        about: (subject, attack's repr, what the attacker knows).
        bins: at least 2.
        folds: at least 2.
        seed: of the folds.

    Returns:
        Three rows, means over targets: the adversary's gain in nats; the Jensen-Shannon divergence
        (gain + log 4) / 2, clipped at 0; the reachable accuracy, the balanced accuracy of
        "member if h > 1/2". All are biased downward. The divergence's counts hold the plug-in
        estimate from counts without folds, `plug_in`, and about how much too large it is where
        nothing leaks, `plug_in_bias`. Intervals: t over targets from 8 on, else by bootstrap; that
        of the accuracy is stretched, since folds share what they fit.

    Raises:
        InputError: too few bins, folds or units.

    Example:
        >>> from secateur.attack.membership import LossThreshold
        >>> from secateur.data import planted_world
        >>> world = planted_world(records=400, targets=2, references=8, shift=3.0, seed=0)
        >>> rows = information_rows(LossThreshold()(world), world.membership,
        ...     about=("dense", "LossThreshold()", ""))
        >>> [row.metric for row in rows]
        ["adversary's gain", 'jensen-shannon divergence', 'reachable accuracy']

    Reference:
        wang2021against for the gain and its optimum; nadeau2003inference for the stretching.

    Differs from the paper:
        which trains a network as h.
    """
    if bins < 2 or folds < 2:
        raise InputError(f"bins and folds must be at least 2, got bins={bins}, folds={folds}")
    binned = _binned(scores, membership, bins)
    h = _cross_fitted(binned, bins, folds, derive_seed(seed, "information"))
    gains = [np.where(b.members, np.log(x), np.log1p(-x)) for b, x in zip(binned, h, strict=True)]
    right = [
        np.where(x == 0.5, 0.5, (x > 0.5) == b.members) for b, x in zip(binned, h, strict=True)
    ]
    every = np.concatenate(h)
    lies = np.log(np.minimum(every, 1 - every).min()), np.log(np.maximum(every, 1 - every).max())
    gained = _mean(gains, binned, membership.units, total=True, outcomes=lies)
    plug_in, bias = _plug_in(binned, bins)
    counts = {
        "targets": float(len(binned)),
        "members": float(np.mean([b.members.sum() for b in binned])),
        "non_members": float(np.mean([(~b.members).sum() for b in binned])),
        "bins": float(bins),
        "folds": float(folds),
    }
    value, ends = gained
    halved = [max(0.0, (v - LEAST_GAIN) / 2) for v in (value, ends.low, ends.high)]
    divergence = halved[0], replace(ends, low=halved[1], high=halved[2])
    accuracy = _stretched(
        _mean(right, binned, membership.units, total=False, outcomes=(0.0, 1.0)), folds
    )
    extra = {"plug_in": plug_in, "plug_in_bias": bias}
    return [
        _row("adversary's gain", gained, about, counts, unit="nats"),
        _row("jensen-shannon divergence", divergence, about, counts | extra, unit="nats"),
        _row("reachable accuracy", accuracy, about, counts, unit=""),
    ]


def _row(
    metric: str,
    found: tuple[float, Ends],
    about: tuple[str, str, str],
    counts: dict[str, float],
    *,
    unit: str,
) -> Measurement:
    subject, method, threat = about
    value, ends = found
    told = (
        "cross-fitted histogram of one attack's scores: biased downward, since a better attack "
        "or a finer look can only find more"
    )
    return Measurement(
        subject=subject,
        risk="membership",
        method=method,
        metric=metric,
        value=value,
        low=ends.low,
        high=ends.high,
        interval=ends.interval,
        estimand="pipeline" if counts["targets"] > 1 else "this model",
        counts=counts,
        unit=unit,
        better="lower",
        threat=threat,
        why="; ".join(filter(None, (told, ends.note))),
    )


def _binned(scores: Scores, membership: Membership, bins: int) -> list[_Binned]:
    found = []
    for row, target in enumerate(targets_of(scores, membership)):
        if target.members.all() or not target.members.any():
            raise InputError(
                f"target {row} has {int(target.members.sum())} members among "
                f"{len(target.members)} evaluated records; members and non-members are needed"
            )
        edges = np.unique(np.quantile(target.scores, np.arange(1, bins) / bins))
        columns = np.flatnonzero(scores.evaluated[row])
        found.append(
            _Binned(
                bins=np.searchsorted(edges, target.scores, side="right"),
                members=target.members,
                columns=columns,
                units=membership.units[columns],
            )
        )
    return found


def _cross_fitted(
    binned: list[_Binned], bins: int, folds: int, seed: int
) -> list[NDArray[np.float64]]:
    """Return h for each target's records, counted on the units of the other folds."""
    units = np.unique(np.concatenate([b.units for b in binned]))
    if len(units) < 2 * folds:
        raise InputError(
            f"{len(units)} evaluated units cannot be cut into {folds} folds of at least 2; use "
            "fewer folds or more records"
        )
    fold = np.random.default_rng(seed).permutation(len(units)) % folds
    own = [fold[np.searchsorted(units, b.units)] for b in binned]
    table = np.full((folds, bins), 0.5)
    for f in range(folds):
        inside, outside = np.full(bins, 0.5), np.full(bins, 0.5)
        for b, where in zip(binned, own, strict=True):
            inside += np.bincount(b.bins[b.members & (where != f)], minlength=bins)
            outside += np.bincount(b.bins[~b.members & (where != f)], minlength=bins)
        p, q = inside / inside.sum(), outside / outside.sum()
        table[f] = p / (p + q)
    return [table[where, b.bins] for b, where in zip(binned, own, strict=True)]


def _mean(
    values: list[NDArray[np.float64]],
    binned: list[_Binned],
    units: NDArray[np.int64],
    *,
    total: bool,
    outcomes: tuple[float, float],
) -> tuple[float, Ends]:
    """Return the mean over targets of the members' mean and the non-members', added or averaged.

    `outcomes`: the least and the largest that one record can give.
    """
    scale = 1.0 if total else 0.5
    each = np.array(
        [
            scale * (v[b.members].mean() + v[~b.members].mean())
            for v, b in zip(values, binned, strict=True)
        ]
    )
    sizes = [[len(np.unique(b.units[s])) for s in (b.members, ~b.members)] for b in binned]
    trials = trials_of_metric("balanced accuracy", np.array(sizes, dtype=np.float64))
    bounds = (2 * scale * outcomes[0], 2 * scale * outcomes[1])
    if len(each) >= FEWEST_FOR_T:
        mean, low, high = t_interval(each)
        found = widened(
            (low, high), value=mean, trials=trials, interval="t over targets", bounds=bounds
        )
        return mean, found

    def statistic(row: int, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        b, w = binned[row], weights[:, binned[row].columns]
        parts = np.zeros(len(w))
        for side in (b.members, ~b.members):
            weight = w[:, side].sum(axis=1)
            parts += np.divide(
                w[:, side] @ values[row][side],
                weight,
                out=np.full(len(w), np.nan),
                where=weight > 0,
            )
        return scale * parts

    low, high = two_way_bootstrap(statistic, units, targets=len(each), seed=0)
    mean = float(each.mean())
    kind: Interval = "two-way bootstrap" if len(each) > 1 else "unit bootstrap"
    low, high = min(low, mean), max(high, mean)
    found = widened((low, high), value=mean, trials=trials, interval=kind, bounds=bounds)
    return mean, found


def _stretched(found: tuple[float, Ends], folds: int) -> tuple[float, Ends]:
    """Return the interval of a cross-fitted accuracy, wider since its folds share what they fit.

    Which bins are called members turns over with few records, for all folds alike, and neither
    targets nor resampled units show it: sqrt(1 + folds / (folds - 1)) times as wide.

    Reference:
        nadeau2003inference.
    """
    value, ends = found
    times = float(np.sqrt(1 + folds / (folds - 1)))
    low = max(0.0, value - times * (value - ends.low))
    high = min(1.0, value + times * (ends.high - value))
    return value, replace(ends, low=min(low, value), high=max(high, value))


def _plug_in(binned: list[_Binned], bins: int) -> tuple[float, float]:
    """Return the mean divergence of the counted bins, and its bias where nothing leaks.

    To first order (bins - 1) (1 / members + 1 / non-members) / 8.
    """
    values, biases = [], []
    for b in binned:
        inside = np.bincount(b.bins[b.members], minlength=bins)
        outside = np.bincount(b.bins[~b.members], minlength=bins)
        values.append(jensen_shannon(inside / inside.sum(), outside / outside.sum()))
        full = int(((inside + outside) > 0).sum())
        biases.append((full - 1) * (1 / inside.sum() + 1 / outside.sum()) / 8)
    return float(np.mean(values)), float(np.mean(biases))
