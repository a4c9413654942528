"""Cases beside every rival at the rival's setting of nearest accuracy, target by target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from secateur.measure import paired_difference
from secateur.report.paired import paired_ends
from secateur.types import Comparison, Measurement

if TYPE_CHECKING:
    from secateur.types import Interval, Point

__all__ = ["UNITS", "comparisons"]

UNITS = {
    "test accuracy": "test_accuracy",
    "leak": "leak",
    "tpr": "tpr",
    "leak of canaries": "canary_auc",
    "tpr of canaries": "canary_tpr",
}
"""What is compared, and which of a point's units it is a mean of."""


def comparisons(points: Sequence[Point], methods: Sequence[str]) -> tuple[Comparison, ...]:
    """Return each case of these methods beside every other method, at equal test accuracy.

    Of each rival that setting stands for it whose test accuracy over the *references* is nearest to
    the case's, so that nothing is chosen on the numbers that are compared. How far apart the two
    are is the first row.

    Args:
        points: one per case, over the same seeds.
        methods: names of methods whose cases are compared.

    Returns:
        In the order of the points; case minus rival, paired over the same targets of one seed, with
        the interval that `secateur.report.paired.paired_ends` gives, or over the means of several.
    """
    found = []
    for point in points:
        if point.method not in methods:
            continue
        rivals = dict.fromkeys(p.method for p in points if p.method not in methods)
        for rival in rivals:
            known = [p for p in points if p.method == rival and _accuracy(p) is not None]
            own = _accuracy(point)
            if own is None or not known:
                continue
            nearest = min(known, key=lambda p: abs((_accuracy(p) or 0.0) - own))
            found.append(
                Comparison(
                    case=point.case,
                    rival=nearest.case,
                    method=rival,
                    rows={name: _difference(point, nearest, name) for name in UNITS},
                )
            )
    return tuple(found)


def _accuracy(point: Point) -> float | None:
    """Return the test accuracy of a case's references, by which settings are matched."""
    values = point.units.get("reference_accuracy", ())
    return float(np.mean(values)) if values else None


def _difference(point: Point, rival: Point, name: str) -> Measurement:
    own, other = (p.units.get(UNITS[name], ()) for p in (point, rival))
    seeds = point.rows["test accuracy"].counts.get("seeds") if "test accuracy" in point.rows else 0
    about: dict[str, Any] = {
        "subject": point.case,
        "risk": "utility" if name == "test accuracy" else "membership",
        "method": "accuracy" if name == "test accuracy" else point.rows["leak"].method,
        "metric": name,
        "versus": rival.case,
        "better": "higher" if name == "test accuracy" else "lower",
        "counts": {"seeds" if seeds else "targets": float(len(own))},
    }
    if not own or len(own) != len(other):
        why = f"{len(own)} and {len(other)} values, target by target: nothing to pair"
        return Measurement(**about, value=None, status="not run", why=why)
    if len(own) < 2:
        return Measurement(**about, value=own[0] - other[0], why="one value: no interval")
    rows = [row for p in (point, rival) if (row := p.rows.get(name)) and row.value is not None]
    kind: Interval = "t over targets"
    if len(rows) == 2:
        low, mean, high, kind = paired_ends(
            np.array(own), np.array(other), rows, stepped=name == "tpr"
        )
    else:  # of planted records no row is of all kinds together
        mean, low, high = paired_difference(np.array(own), np.array(other))
    return Measurement(
        **about,
        value=mean,
        low=low,
        high=high,
        interval="t over seeds" if seeds else kind,
        estimand="pipeline",
    )
