"""Who beats whom: the Pareto front, how sure it is, and the case to ship under limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from secateur.errors import InputError
from secateur.measure import paired_difference
from secateur.types import derive_seed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from secateur.types import Point

__all__ = ["DRAWS", "SAME_SIZE", "Limits", "clearly_beaten", "pick", "with_front"]

DRAWS = 4000
HALVINGS = 1000
SAME_SIZE = 0.01
"""Kept weights within 1 % of each other count as equal: rounding must not make a front."""
AXES = ("test_accuracy", "leak")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a case must keep to be shipped; None asks nothing.

    Raises:
        InputError: a share that is not between 0 and 1, or bytes that are no finite number above 0.
    """

    max_leak: float | None = None
    min_accuracy: float | None = None
    max_bytes: float | None = None

    def __post_init__(self) -> None:
        for name in ("max_leak", "min_accuracy"):
            share = getattr(self, name)
            if share is not None and not 0 <= share <= 1:
                raise InputError(
                    f"{name} (--{name.replace('_', '-')}) must be a share between 0 and 1, such "
                    f"as 0.9 for 90 %, got {share:g}"
                )
        if self.max_bytes is not None and not 0 < self.max_bytes < float("inf"):
            raise InputError(
                f"max_bytes (--max-bytes) must be a finite number above 0, got {self.max_bytes}"
            )

    def __bool__(self) -> bool:
        return any(v is not None for v in (self.max_leak, self.min_accuracy, self.max_bytes))


def with_front(points: Sequence[Point], *, seed: int = 0) -> list[Point]:
    """Return the points with `front`, `sure` and `beaten_by` filled in.

    A case is on the front when no other is at least as good in test accuracy, leak and kept
    weights, and better in one. How sure that is: the share of draws of the units (targets, or
    seeds where there are several) in which it stays so; the units are drawn once for all cases.

    Args:
        points: one per case, over the same units.
        seed: of the draws.
    """
    able = [p for p in points if _able(p)]
    if not able:
        return list(points)
    kept = np.array([p.rows["kept weights"].value for p in able], dtype=np.float64)
    beats = _beats(_means(able)[None], kept)[0]
    drawn = _drawn(able, seed=seed)
    stays = None if drawn is None else (~_beats(drawn, kept).any(axis=1)).mean(axis=0)
    found = {}
    for i, point in enumerate(able):
        better = np.flatnonzero(beats[:, i])
        best = max(better, key=lambda j: _means(able)[j, 0], default=None)
        found[point.case] = replace(
            point,
            front=best is None,
            sure=None if stays is None else float(stays[i]),
            beaten_by="" if best is None else able[int(best)].case,
        )
    return [found.get(p.case, p) for p in points]


def clearly_beaten(point: Point, others: Sequence[Point]) -> tuple[Point, str] | None:
    """Return a case that is better by more than the paired 95 % intervals, and in which words.

    Better in test accuracy and in leak at once, and not larger. None where there is none, or where
    fewer than two targets say nothing about spread.
    """
    for other in others:
        if other.case == point.case or not (_able(point) and _able(other)):
            continue
        small = _value(other, "kept weights") <= _value(point, "kept weights") * (1 + SAME_SIZE)
        own, better = (np.array([p.units[a] for a in AXES]) for p in (point, other))
        if not small or own.shape != better.shape or own.shape[1] < 2:
            continue
        worse, low, _ = paired_difference(better[0], own[0])
        leaks, leak_low, _ = paired_difference(own[1], better[1])
        if low > 0 and leak_low > 0:
            return other, (
                f"{other.case} is more accurate by {worse:.3f} (at least {low:.3f}) and leaks "
                f"less by {leaks:.3f} AUC (at least {leak_low:.3f}), and is not larger"
            )
    return None


def pick(points: Sequence[Point], limits: Limits, *, seed: int = 0) -> dict[str, Any]:
    """Return the case with the highest test accuracy among those within the limits.

    Args:
        points: one per case, over the same units.
        limits: what it must keep.
        seed: of the draws.

    Returns:
        `limits`; `case` (None: none keeps them, `nearest` is the one that misses by the smallest
        share of a limit, `misses` by how much); `holds`: per limit the share of draws in which it
        holds; `all_hold`; `again`: the share of draws in which this case would be picked again;
        `apart`: the share of halvings of the units in which the case that one half picks keeps all
        limits on the other half. Draws lie about the values that made the case the best of many;
        halvings do not, and are the harder test. Shares are None where there are too few units: 2
        for draws, 4 for halvings.
    """
    able = [p for p in points if _able(p)]
    asked = {k: v for k, v in vars(limits).items() if v is not None}
    result: dict[str, Any] = {"limits": asked, "case": None}
    if not able:
        return {**result, "nearest": None, "misses": {}}
    means, sizes = _means(able), np.array([_value(p, "bytes") for p in able])
    within = _within(means[None], sizes, asked)
    fits = np.logical_and.reduce([w[0] for w in within.values()])
    if fits.any():
        chosen = int(np.argmax(np.where(fits, means[:, 0], -np.inf)))
        result["case"] = able[chosen].case
    else:
        misses = _misses(means, sizes, asked)
        chosen = int(
            np.argmin(np.max([m / max(asked[k], 1e-9) for k, m in misses.items()], axis=0))
        )
        result["nearest"] = able[chosen].case
        result["misses"] = {k: float(m[chosen]) for k, m in misses.items() if m[chosen] > 0}
    drawn = _drawn(able, seed=seed)
    result["draws"] = 0 if drawn is None else DRAWS
    if drawn is None:
        nothing = {"all_hold": None, "again": None, "apart": None}
        return {**result, "holds": dict.fromkeys(asked), **nothing}
    holds = _within(drawn, sizes, asked)
    whole = np.logical_and.reduce(list(holds.values()))
    best = np.argmax(np.where(whole, drawn[:, :, 0], -np.inf), axis=1)
    again = (best == chosen) & whole[:, chosen]
    return {
        **result,
        "holds": {
            k: float(np.broadcast_to(h, whole.shape)[:, chosen].mean()) for k, h in holds.items()
        },
        "all_hold": float(whole[:, chosen].mean()),
        "again": float(again.mean()),
        "apart": _apart(able, asked, seed=seed),
    }


def _apart(points: Sequence[Point], asked: Mapping[str, float], *, seed: int) -> float | None:
    """Return how often the case that one half of the units picks keeps the limits on the other."""
    units = _units(points)
    n = len(units)
    if n < 4:
        return None
    rng = np.random.default_rng(derive_seed(seed, "halves of units"))
    orders = rng.permuted(np.tile(np.arange(n), (HALVINGS, 1)), axis=1)
    halves = [units[part].mean(axis=1) for part in (orders[:, : n // 2], orders[:, n // 2 :])]
    sizes = np.array([_value(p, "bytes") for p in points])
    keeps, kept = (
        np.logical_and.reduce(list(_within(half, sizes, asked).values())) for half in halves
    )
    picked = np.argmax(np.where(keeps, halves[0][:, :, 0], -np.inf), axis=1)
    some = keeps.any(axis=1)
    if not some.any():
        return None
    return float(kept[np.arange(HALVINGS), picked][some].mean())


def _able(point: Point) -> bool:
    kept = point.rows.get("kept weights")
    return (
        all(point.units.get(axis) for axis in AXES) and kept is not None and kept.value is not None
    )


def _value(point: Point, name: str) -> float:
    row = point.rows.get(name)
    return float("inf") if row is None or row.value is None else row.value


def _units(points: Sequence[Point]) -> NDArray[np.float64]:
    """Return `[units, cases, axes]`."""
    return np.stack([np.array([p.units[a] for a in AXES]).T for p in points], axis=1)


def _means(points: Sequence[Point]) -> NDArray[np.float64]:
    return np.asarray([[np.mean(p.units[a]) for a in AXES] for p in points], dtype=np.float64)


def _drawn(points: Sequence[Point], *, seed: int) -> NDArray[np.float64] | None:
    """Return draws of the means, `[draws, cases, axes]`, the same units for all cases.

    A multivariate t about the means, as `resampled_means` has it: drawing few units with
    replacement would make their spread too small. None where there is one unit, or where the cases
    have different ones.
    """
    counts = {len(p.units[AXES[0]]) for p in points}
    if len(counts) > 1 or min(counts) < 2:
        return None
    units = _units(points)
    n = len(units)
    rng = np.random.default_rng(derive_seed(seed, "draws of units"))
    noise = rng.normal(size=(DRAWS, n))
    noise /= np.sqrt(n * rng.chisquare(n - 1, size=(DRAWS, 1)))
    away = units - units.mean(axis=0)
    drawn: NDArray[np.float64] = units.mean(axis=0) + np.tensordot(noise, away, axes=1)
    return drawn


def _beats(means: NDArray[np.float64], kept: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return `[draws, i, j]`: case i is at least as good as case j on every axis, better on one."""
    accuracy, leak = means[:, :, 0], means[:, :, 1]
    more = accuracy[:, :, None] - accuracy[:, None, :]
    less = leak[:, None, :] - leak[:, :, None]
    ratio = kept[:, None] / kept[None, :]
    smaller, no_larger = ratio < 1 - SAME_SIZE, ratio <= 1 + SAME_SIZE
    found: NDArray[np.bool_] = (
        (more >= 0) & (less >= 0) & no_larger & ((more > 0) | (less > 0) | smaller)
    )
    return found


def _within(
    means: NDArray[np.float64], sizes: NDArray[np.float64], asked: Mapping[str, float]
) -> dict[str, NDArray[np.bool_]]:
    """Return per limit where it holds, `[draws, cases]`."""
    found = {}
    for name, value in asked.items():
        if name == "max_bytes":
            found[name] = np.broadcast_to(sizes <= value, means.shape[:2])
        else:
            accurate = name == "min_accuracy"
            found[name] = means[:, :, 0] >= value if accurate else means[:, :, 1] <= value
    return found


def _misses(
    means: NDArray[np.float64], sizes: NDArray[np.float64], asked: Mapping[str, float]
) -> dict[str, NDArray[np.float64]]:
    """Return per limit by how much each case misses it, at least 0."""
    over = {"max_leak": means[:, 1], "min_accuracy": -means[:, 0], "max_bytes": sizes}
    signed = {k: -v if k == "min_accuracy" else v for k, v in asked.items()}
    return {name: np.maximum(over[name] - value, 0) for name, value in signed.items()}
