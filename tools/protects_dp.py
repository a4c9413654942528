"""A case beside DP-SGD of equal accuracy: the nearest setting, or one between two."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from secateur.measure import paired_difference
from tools.protects_points import WITHIN, comparison, over_references, value
from tools.verdicts import Difference, Point, cases, of_method, row_difference

__all__ = ["Private", "beside_dp", "between_settings"]

METHOD = "dp-sgd"
UNITS = {"leak": "leak", "test accuracy": "test_accuracy"}


@dataclass(frozen=True)
class Private:
    """What a case is beside DP-SGD, in words, and whether it is shown to leak less."""

    words: str
    below: bool = False


def beside_dp(point: Point, found: dict[str, Any]) -> Private:
    """Return what a case is beside DP-SGD of equal accuracy.

    The nearest setting where its test accuracy is at most 1 point off; else what stands between
    the two settings that bracket the case's (`between_settings`). Where none brackets it nothing is
    shown, unless the nearest is detectably less accurate *and* detectably leaks more.
    """
    nearest = comparison(found, point["case"], METHOD)
    if nearest is None:
        return Private("DP-SGD not compared")
    leak, gap = (row_difference(nearest, name) for name in ("leak", "test accuracy"))
    seen = f"`{nearest['rival']}`, AUC {_shown(leak, gap)}"
    if gap.value is not None and abs(gap.value) <= WITHIN:
        return Private(f"beside {seen}", leak.verdict == "lower")
    pair = _bracket(point, found)
    if pair is not None:
        leak, gap = (between_settings(point, *pair, name) for name in UNITS)
        names = " and ".join(f"`{p['case']}` ({100 * over_references(p):.1f} %)" for p in pair)
        words = (
            f"beside DP-SGD of equal accuracy over the references "
            f"({100 * over_references(point):.1f} %), put linearly between {names}, AUC "
            f"{_shown(leak, gap)}"
        )
        return Private(words, leak.verdict == "lower")
    if gap.verdict == "higher" and leak.verdict == "lower":
        words = (
            f"the nearest DP-SGD is less accurate and leaks more, ours is better in both: {seen}"
        )
        return Private(words, below=True)
    return Private(f"no DP-SGD within 1 point of accuracy, nothing shown: nearest {seen}")


def _shown(leak: Difference, gap: Difference) -> str:
    return f"{leak.shown(1, 3)} at {gap.shown(100, 1)} points of accuracy"


def _bracket(point: Point, found: dict[str, Any]) -> tuple[Point, Point] | None:
    """Return the nearest settings below and above a case's accuracy over the references."""
    known = [p for p in of_method(cases(found), METHOD) if p["units"].get("reference_accuracy")]
    goal = over_references(point)
    below = [p for p in known if over_references(p) <= goal]
    above = [p for p in known if over_references(p) > goal]
    if not below or not above or not point["units"].get("reference_accuracy"):
        return None
    return max(below, key=over_references), min(above, key=over_references)


def between_settings(point: Point, below: Point, above: Point, name: str) -> Difference:
    """Return a case's row minus what lies linearly between two settings at its accuracy.

    How far between follows from the means over the references, which nothing here is compared on;
    the rows are those of the targets, paired over seeds or, with one, over targets. Without such
    numbers it is of the means, without an interval.

    Args:
        point: the case.
        below: the less accurate setting.
        above: the more accurate one.
        name: `leak` or `test accuracy`.
    """
    ends = over_references(below), over_references(above)
    part = (over_references(point) - ends[0]) / (ends[1] - ends[0])
    units = [np.array(p["units"].get(UNITS[name]) or ()) for p in (point, below, above)]
    if len({len(u) for u in units}) == 1 and len(units[0]) >= 2:
        mixed = (1 - part) * units[1] + part * units[2]
        mean, low, high = paired_difference(units[0], mixed)
        return Difference(value=mean, low=low, high=high)
    own, low_end, high_end = (value(p, name) for p in (point, below, above))
    if own is None or low_end is None or high_end is None:
        return Difference(value=None)
    return Difference(value=own - (1 - part) * low_end - part * high_end)
