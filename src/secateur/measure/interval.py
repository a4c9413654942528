"""Intervals: t over targets, two-way and unit bootstrap, Clopper-Pearson, paired differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

from secateur.errors import InputError, MethodError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "clopper_pearson",
    "paired_difference",
    "t_interval",
    "two_way_bootstrap",
    "unit_bootstrap",
]

Statistic = Callable[[int, "NDArray[np.float64]"], "NDArray[np.float64]"]
"""(target row, record weights [replicates, records]) -> [replicates]."""

_BLOCK = 64  # replicates at once: bounds memory at 64 x records


def t_interval(values: NDArray[Any], confidence: float = 0.95) -> tuple[float, float, float]:
    """Return (mean, low, high) of the t interval for a mean over independent values.

    Raises:
        MethodError: fewer than 2 values; a bootstrap over records is the way then.

    Example:
        >>> mean, low, high = t_interval(np.array([0.6, 0.7, 0.8]))
        >>> round(mean, 3), round(low, 3), round(high, 3)
        (0.7, 0.452, 0.948)
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or len(values) < 2:
        raise MethodError(
            f"a t interval over targets needs at least 2 values, got {values.shape}; with one "
            f"target "
            "use unit_bootstrap (this model), with few two_way_bootstrap"
        )
    mean = float(values.mean())
    half = float(
        stats.t.ppf(0.5 + confidence / 2, len(values) - 1)
        * values.std(ddof=1)
        / np.sqrt(len(values))
    )
    return mean, mean - half, mean + half


def paired_difference(
    a: NDArray[Any], b: NDArray[Any], confidence: float = 0.95
) -> tuple[float, float, float]:
    """Return (mean, low, high) of a - b over the same targets."""
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a.shape != b.shape:
        raise InputError(f"paired values need one shape, got {a.shape} and {b.shape}")
    return t_interval(a - b, confidence)


def _unit_weights(
    units: NDArray[Any], replicates: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return how often each record is drawn, by unit: `[replicates, records]`."""
    distinct, inverse = np.unique(units, return_inverse=True)
    n = len(distinct)
    drawn = rng.multinomial(n, np.full(n, 1 / n), size=replicates)
    weights: NDArray[np.float64] = drawn[:, inverse].astype(np.float64)
    return weights


def two_way_bootstrap(
    statistic: Statistic,
    units: NDArray[Any],
    *,
    targets: int,
    seed: int,
    replicates: int = 1000,
    confidence: float = 0.95,
) -> tuple[float, float]:
    """Return the percentile interval of a mean over targets, resampling targets and units.

    Targets and units of records are drawn independently of each other; (target, record) pairs are
    never resampled as if they were independent. Conservative: both sources of noise are counted in
    full.

    Args:
        statistic: (target row, weights `[b, records]`) -> `[b]`; NaN where it is not defined.
        units: `[records]`, whose record each is.
        targets: number of target rows, at least 1; with 1 only units are resampled.
        seed: of the resampling.
        replicates: number of resamples, at least 100.
        confidence: in (0, 1).
    """
    if replicates < 100:
        raise MethodError(f"a bootstrap needs at least 100 replicates, got {replicates}")
    rng = np.random.default_rng(seed)
    means = []
    for start in range(0, replicates, _BLOCK):
        b = min(_BLOCK, replicates - start)
        weights = _unit_weights(units, b, rng)
        per_target = np.stack([statistic(t, weights) for t in range(targets)], axis=1)
        share = (
            rng.multinomial(targets, np.full(targets, 1 / targets), size=b)
            if targets > 1
            else np.ones((b, 1))
        )
        defined = np.isfinite(per_target)
        share = share * defined
        total = np.maximum(share.sum(axis=1), 1e-12)
        means.append(
            np.where(
                share.sum(axis=1) > 0,
                (np.where(defined, per_target, 0) * share).sum(axis=1) / total,
                np.nan,
            )
        )
    tail = (1 - confidence) / 2
    low, high = np.nanquantile(np.concatenate(means), [tail, 1 - tail])
    return float(low), float(high)


def unit_bootstrap(
    statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    units: NDArray[Any],
    *,
    seed: int,
    replicates: int = 1000,
    confidence: float = 0.95,
) -> tuple[float, float]:
    """Return the percentile interval of one model's statistic over units: this-model risk."""
    return two_way_bootstrap(
        lambda _, weights: statistic(weights),
        units,
        targets=1,
        seed=seed,
        replicates=replicates,
        confidence=confidence,
    )


def clopper_pearson(hits: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the exact interval of a rate from `hits` of `n` independent trials.

    Only for thresholds that were fixed on other data.

    Example:
        >>> tuple(round(v, 4) for v in clopper_pearson(0, 100))
        (0.0, 0.0362)
    """
    if not 0 <= hits <= n or n < 1:
        raise InputError(f"hits must be in 0 .. n and n at least 1, got {hits} of {n}")
    tail = (1 - confidence) / 2
    low = 0.0 if hits == 0 else float(stats.beta.ppf(tail, hits, n - hits + 1))
    high = 1.0 if hits == n else float(stats.beta.ppf(1 - tail, hits + 1, n - hits))
    return low, high
