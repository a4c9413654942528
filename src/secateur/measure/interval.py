"""Intervals: t over targets, two-way and unit bootstrap, Clopper-Pearson, paired differences."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

from secateur.errors import InputError, MethodError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "clopper_pearson",
    "paired_difference",
    "resampled_means",
    "t_interval",
    "two_way_bootstrap",
    "unit_bootstrap",
]

Statistic = Callable[[int, "NDArray[np.float64]"], "NDArray[np.float64]"]
"""(target row, record weights [replicates, records]) -> [replicates] or [replicates, k]."""

_BLOCK = 32  # replicates at once: what one block touches stays in the cache


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


def _weights_by_unit(
    units: NDArray[Any], replicates: int, rng: np.random.Generator
) -> Iterator[NDArray[Any]]:
    """Yield blocks `[<= 32, records]` of how often each record is drawn, by unit.

    Whole numbers, in single precision where no sum of them can leave what it counts exactly; laid
    out so that the transposed block is contiguous.
    """
    distinct, inverse, sizes = np.unique(units, return_inverse=True, return_counts=True)
    n = len(distinct)
    dtype = np.float32 if n * int(sizes.max()) < 2**24 else np.float64
    for start in range(0, replicates, _BLOCK):
        drawn = np.empty((min(_BLOCK, replicates - start), n), dtype=dtype)
        for row in drawn:
            row[:] = np.bincount(rng.integers(0, n, size=n, dtype=np.int32), minlength=n)
        by_unit = np.ascontiguousarray(drawn.T)
        # where everyone owns one record, whose count is whose makes no difference
        yield (by_unit if n == len(units) else by_unit[inverse]).T


def resampled_means(
    statistic: Statistic,
    units: NDArray[Any],
    *,
    targets: int,
    seed: int,
    replicates: int = 1000,
) -> NDArray[np.float64]:
    """Return resampled means over targets of one or several statistics, `[replicates, ...]`.

    Units are drawn with replacement, the same for every target. To each replicate's mean the noise
    of having few targets is added: a multivariate t with `targets - 1` degrees of freedom and the
    covariance of the targets' mean.

    Differs from the textbook: drawing 2 to 7 targets with replacement gives their spread a normal's
    tails and (n - 1) / n of its variance, and 95 % intervals that hold the truth far less often;
    `python -m tools.coverage` counts both.

    Args:
        statistic: (target row, weights `[b, records]`) -> `[b]` or `[b, k]`; NaN where it is not
            defined. Weights are whole numbers.
        units: `[records]`, whose record each is.
        targets: number of target rows, at least 1; with 1 only units are resampled.
        seed: of the resampling.
        replicates: number of resamples, at least 100.

    Raises:
        MethodError: fewer than 100 replicates.
    """
    if replicates < 100:
        raise MethodError(f"a bootstrap needs at least 100 replicates, got {replicates}")
    rng = np.random.default_rng(seed)
    units = np.asarray(units)
    ones = np.ones((1, len(units)))
    found = np.stack([statistic(t, ones)[0] for t in range(targets)])
    away = found - found.mean(axis=0)
    means = []
    for weights in _weights_by_unit(units, replicates, rng):
        values = np.stack([statistic(t, weights) for t in range(targets)], axis=1)
        defined = np.isfinite(values)
        count = defined.sum(axis=1)
        mean = np.where(defined, values, 0).sum(axis=1) / np.maximum(count, 1)
        mean = np.where(count > 0, mean, np.nan)
        if targets > 1:
            freedom = targets - 1
            noise = rng.normal(size=(len(mean), targets))
            noise /= np.sqrt(targets * rng.chisquare(freedom, size=(len(mean), 1)))
            mean = mean + noise @ away
        means.append(mean)
    return np.concatenate(means)


def two_way_bootstrap(
    statistic: Statistic,
    units: NDArray[Any],
    *,
    targets: int,
    seed: int,
    replicates: int | None = None,
    confidence: float = 0.95,
) -> tuple[float, float]:
    """Return the percentile interval of a mean over targets, for other targets and other units.

    Targets and units of records vary independently of each other (`resampled_means`); (target,
    record) pairs are never resampled as if they were independent. Conservative: the noise that a
    target's own records make is counted in both ways.

    Args:
        statistic: (target row, weights `[b, records]`) -> `[b]`; NaN where it is not defined.
        units: `[records]`, whose record each is.
        targets: number of target rows, at least 1; with 1 only units are resampled.
        seed: of the resampling.
        replicates: number of resamples, at least 100; default `replicates_for`.
        confidence: in (0, 1).
    """
    number = replicates_for(confidence) if replicates is None else replicates
    means = resampled_means(statistic, units, targets=targets, seed=seed, replicates=number)
    low, high = percentile_ends(means, confidence)
    return float(low), float(high)


def replicates_for(confidence: float) -> int:
    """Return how many replicates reach the ends of a percentile interval.

    1,000, and so many that 5 are expected beyond each end.

    Example:
        >>> replicates_for(0.95), replicates_for(1 - 0.05 / 100)
        (1000, 20000)
    """
    return max(1000, round(5 / ((1 - confidence) / 2)))


def percentile_ends(
    means: NDArray[np.float64], confidence: float = 0.95
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the ends of the percentile interval along the first axis; NaN are left out.

    At the (replicates + 1)-th parts, so that few replicates do not narrow it.
    """
    tail = (1 - confidence) / 2
    low, high = np.nanquantile(means, [tail, 1 - tail], axis=0, method="weibull")
    return low, high


def unit_bootstrap(
    statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    units: NDArray[Any],
    *,
    seed: int,
    replicates: int | None = None,
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
    return beta_ends(hits, n, confidence)


def beta_ends(hits: float, n: float, confidence: float) -> tuple[float, float]:
    """Return Clopper-Pearson's ends, which need no whole numbers, of `hits` of `n` trials."""
    tail = (1 - confidence) / 2
    low = 0.0 if hits <= 0 else float(stats.beta.ppf(tail, hits, n - hits + 1))
    high = 1.0 if hits >= n else float(stats.beta.ppf(1 - tail, hits + 1, n - hits))
    return low, high
