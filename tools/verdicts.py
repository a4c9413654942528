"""Differences between the cases of a sweep, and the words that their intervals carry."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from secateur import store
from secateur.measure import paired_difference
from secateur.report.paired import paired_ends
from secateur.types import Measurement

DENSE = "dense"
ATTACK = "paper's attack"
PRUNED = ("mia-pruning", "mia-pruning-min-max")
"""The paper's methods that prune, without and with the game."""
SCHEMA = "sweep-1"
Point = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A case minus another one, in the unit of the row; None where it was not measured.

    `paired` is false where only the two intervals are known: then the difference is between their
    farthest ends, which is wider than a paired one.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    paired: bool = True

    @property
    def verdict(self) -> str:
        """What the interval carries."""
        if self.value is None or self.low is None or self.high is None:
            return "not measured"
        if self.high < 0:
            return "lower"
        return "higher" if self.low > 0 else "no detectable effect"

    def shown(self, scale: float = 1.0, digits: int = 3) -> str:
        """Return value and interval as text."""
        if self.value is None:
            return "not measured"
        text = f"{scale * self.value:+.{digits}f}"
        if self.low is not None and self.high is not None:
            text += f" [{scale * self.low:+.{digits}f}, {scale * self.high:+.{digits}f}]"
        return text if self.paired else f"{text} (not paired)"


@dataclass(frozen=True, kw_only=True)
class Leak:
    """How far two cases' leaks differ: the AUC of one attack, and its TPR at `fpr`, the lowest that
    the non-members resolve.
    """

    auc: Difference
    tpr: Difference
    fpr: str = ""

    @property
    def verdict(self) -> str:
        """An effect, where both intervals carry it; else what keeps it from being one."""
        one, other = self.auc.verdict, self.tpr.verdict
        return one if one == other else f"not in both (AUC {one}, TPR {other})"

    def shown(self) -> str:
        """Return both differences with what each carries."""
        if self.auc.value is None and self.tpr.value is None:
            return "not measured"
        at = f"TPR {self.fpr}".strip()
        tpr = "" if self.tpr.value is None else f", {self.tpr.shown()}"
        return f"AUC {self.auc.verdict}, {self.auc.shown()}; {at} {self.tpr.verdict}{tpr}"


def sweeps(folder: Path, kind: str = "paper") -> dict[str, dict[str, Any]]:
    """Return the sweeps in `KIND-*.json` of a folder, by the world's name."""
    found = {}
    for path in sorted(folder.glob(f"{kind}-*.json")):
        content = store.read_document(path, what="secateur sweep")
        if content.get("schema") != SCHEMA:
            raise SystemExit(f"{path.name}: schema {content.get('schema')!r} is not {SCHEMA!r}")
        found[path.stem.removeprefix(f"{kind}-")] = content
    return found


def cases(found: dict[str, Any]) -> dict[str, Point]:
    """Return one point per case, over its seeds, by name."""
    return {p["case"]: p for p in found["points"] if p["seed"] is None}


def of_method(points: dict[str, Point], *names: str) -> list[Point]:
    """Return the cases of these methods, in the sweep's order."""
    return [p for p in points.values() if p["method"] in names]


def over_references(point: Point) -> float | None:
    """Return a case's test accuracy over the references: of each seed the median over the reference
    models, and of these the mean over seeds; None where the sweep kept none.
    """
    values = point["units"].get("reference_accuracy", ())
    return float(sum(values) / len(values)) if values else None


def row_difference(point: Point, name: str) -> Difference:
    """Return a difference that the sweep itself measured, such as `leak - dense`."""
    row = point["rows"].get(name)
    if row is None or row["value"] is None:
        return Difference(value=None)
    return Difference(value=row["value"], low=row["low"], high=row["high"])


def leak_difference(point: Point, against: str) -> Leak:
    """Return the differences in AUC and TPR to `against`, as the sweep measured them."""
    row = point["rows"].get(f"tpr - {against}") or {}
    return Leak(
        auc=row_difference(point, f"leak - {against}"),
        tpr=row_difference(point, f"tpr - {against}"),
        fpr=row.get("metric", "").removeprefix("tpr "),
    )


def between(a: Point, b: Point, name: str) -> Difference:
    """Return a - b of one row: paired over targets or seeds where the sweep kept their numbers."""
    if b["case"] == DENSE and f"{name} - {DENSE}" in a["rows"]:
        return row_difference(a, f"{name} - {DENSE}")
    units = [p["units"].get(name.replace(" ", "_"), p["units"].get(name, ())) for p in (a, b)]
    rows = [p["rows"].get(name) for p in (a, b)]
    if len(units[0]) == len(units[1]) >= 2:
        return from_units(units, rows, stepped=name == "tpr")
    if any(r is None or r["value"] is None for r in rows):
        return Difference(value=None)
    first, second = rows
    ends = [first["low"], first["high"], second["low"], second["high"]]
    value = first["value"] - second["value"]
    if any(e is None for e in ends):
        return Difference(value=value)
    return Difference(value=value, low=ends[0] - ends[3], high=ends[1] - ends[2], paired=False)


def from_units(
    units: Sequence[Sequence[float]], rows: Sequence[dict[str, Any] | None], *, stepped: bool
) -> Difference:
    """Return the paired difference of two cases' numbers, target by target or seed by seed, with
    the interval that an audit gives one: joined with the rows' where both are widened, and over
    the steps of a TPR. Where a row has no interval it is the t interval alone.
    """
    ours, theirs = (np.array(numbers, dtype=np.float64) for numbers in units)
    known = [Measurement(**row) for row in rows if row and row.get("interval")]
    if len(known) < 2:
        value, low, high = paired_difference(ours, theirs)
    else:
        low, value, high, _ = paired_ends(ours, theirs, known, stepped=stepped)
    return Difference(value=value, low=low, high=high)


def shown(point: Point, name: str, scale: float = 1.0, digits: int = 3) -> str:
    """Return a row's value and interval as text."""
    row = point["rows"].get(name)
    if row is None or row["value"] is None:
        return "not measured"
    text = f"{scale * row['value']:.{digits}f}"
    if row["low"] is not None and row["high"] is not None:
        text += f" [{scale * row['low']:.{digits}f}, {scale * row['high']:.{digits}f}]"
    return text


def ratio(
    ours: np.ndarray[Any, Any], dense: np.ndarray[Any, Any]
) -> tuple[float | None, float | None]:
    """Return the 95 % interval of mean(ours) / mean(dense), paired over seeds or targets.

    The ratios r at which the t interval of ours - r * dense holds 0 (Fieller): it lies below one
    half where ours is detectably less than half of the dense. (None, None) where there are fewer
    than 2 pairs, or the dense mean is not detectably off 0, so that no ratio is excluded.

    Args:
        ours: excesses, such as AUC above 0.5 `[seeds or targets]`.
        dense: likewise, of the same ones.

    Example:
        >>> low, high = ratio(np.array([0.1, 0.1, 0.1]), np.array([0.4, 0.4, 0.4]))
        >>> round(low, 3), round(high, 3)
        (0.25, 0.25)
    """
    n = len(ours)
    if n < 2 or n != len(dense):
        return None, None
    spread = np.cov(dense, ours) * stats.t.ppf(0.975, n - 1) ** 2 / n
    a = dense.mean() ** 2 - spread[0, 0]
    b = dense.mean() * ours.mean() - spread[0, 1]
    c = ours.mean() ** 2 - spread[1, 1]
    if a <= 0:
        return None, None
    root = math.sqrt(max(b * b - a * c, 0.0))
    return float((b - root) / a), float((b + root) / a)
