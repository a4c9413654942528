"""A case beside DP-SGD of equal accuracy: the least leaky setting, or what lies between two."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from secateur.measure import paired_difference
from tools.protects_points import leaning, near, over_references, value
from tools.verdicts import Difference, Point, between, cases, of_method

__all__ = ["Private", "beside_dp", "between_settings"]

METHOD = "dp-sgd"
UNITS = {"leak": "leak", "test accuracy": "test_accuracy"}
NONE = "no DP-SGD of equal accuracy, nothing shown"


@dataclass(frozen=True)
class Private:
    """What a case is beside DP-SGD, in words, and whether it is shown to leak less.

    `leak` is the case's minus that of DP-SGD of equal accuracy; None where there is none.
    """

    words: str
    leak: Difference | None = None

    @property
    def below(self) -> bool:
        """Whether the case is shown to leak less than DP-SGD of equal accuracy."""
        return self.leak is not None and self.leak.verdict == "lower"


def beside_dp(point: Point, found: dict[str, Any]) -> Private:
    """Return what a case is beside DP-SGD of equal accuracy.

    Of the settings whose test accuracy is within `WITHIN` of the case's, and than which the case is
    not detectably less accurate (`_equal`), the least leaky by the attack that is the strongest on
    it: on the targets, which is in DP-SGD's favour. What stands between the two settings around the
    case's with the lowest line (`between_settings`), held to the same accuracy, is another; the
    less leaky of the two counts. Where there is neither, there is no DP-SGD of equal accuracy, and
    nothing is shown to be below it.
    """
    known = [
        p
        for p in of_method(cases(found), METHOD)
        if value(p, "leak") is not None and value(p, "test accuracy") is not None
    ]
    if not known:
        return Private("DP-SGD not compared")
    gaps = {p["case"]: between(point, p, "test accuracy") for p in known}
    equal = [p for p in known if _equal(gaps[p["case"]])]
    pair = _bracket(point, known)
    line = None if pair is None else _beside_both(point, *pair)
    if equal:
        least = min(equal, key=lambda p: value(p, "leak") or 0.0)
        leak, gap = between(point, least, "leak"), gaps[least["case"]]
        words = f"beside `{least['case']}`, the least leaky DP-SGD of equal accuracy, AUC "
        one = Private(words + _shown(leak, gap), leak)
        return line if line is not None and _less_leaky(line, one) else one
    if line is not None:
        return line
    nearest = min(known, key=lambda p: abs(gaps[p["case"]].value or 0.0))
    leak, gap = between(point, nearest, "leak"), gaps[nearest["case"]]
    seen = f"`{nearest['case']}`, AUC {_shown(leak, gap)}"
    if gap.verdict == "higher" and leak.verdict == "lower":
        seen += ": less accurate and leaks more, which is not counted"
    return Private(f"{NONE}: nearest {seen}")


def _less_leaky(one: Private, other: Private) -> bool:
    """Return whether DP-SGD leaks less in the one comparison: a case is further above it there."""
    leaks = [p.leak.value for p in (one, other) if p.leak is not None and p.leak.value is not None]
    return len(leaks) == 2 and leaks[0] > leaks[1]


def _equal(gap: Difference) -> bool:
    """Return whether a case is as accurate as DP-SGD: within `WITHIN`, not detectably less."""
    return near(gap) and leaning(gap) >= 0


def _beside_both(point: Point, below: Point, above: Point) -> Private:
    """Return what a case is beside the line between two settings."""
    leak, gap = (between_settings(point, below, above, name) for name in UNITS)
    names = " and ".join(
        f"`{p['case']}` ({100 * over_references(p):.1f} %)" for p in (below, above)
    )
    words = f"put linearly between {names}, AUC {_shown(leak, gap)}"
    if not _equal(gap):
        return Private(f"{NONE}: {words}")
    own = f"{100 * over_references(point):.1f} %"
    return Private(
        f"beside DP-SGD of equal accuracy over the references ({own}), {words}",
        leak,
    )


def _shown(leak: Difference, gap: Difference) -> str:
    return f"{leak.shown(1, 3)} at {gap.shown(100, 1)} points of accuracy"


def _bracket(point: Point, settings: list[Point]) -> tuple[Point, Point] | None:
    """Return the settings below and above a case's accuracy over the references between which the
    line is the lowest there: with the nearest ones alone a setting that leaks more than a more
    accurate one would stand for DP-SGD, which flatters the case.
    """
    known = [p for p in settings if p["units"].get("reference_accuracy")]
    goal = over_references(point)
    below = [p for p in known if over_references(p) <= goal]
    above = [p for p in known if over_references(p) > goal]
    if not below or not above or not point["units"].get("reference_accuracy"):
        return None
    return min(product(below, above), key=lambda pair: _on_line(goal, *pair))


def _on_line(goal: float, below: Point, above: Point) -> float:
    """Return the leak at an accuracy, linearly between two settings."""
    part = _part(goal, below, above)
    return (1 - part) * (value(below, "leak") or 0.0) + part * (value(above, "leak") or 0.0)


def _part(goal: float, below: Point, above: Point) -> float:
    """Return how far an accuracy lies from the one setting to the other, in [0, 1]."""
    ends = over_references(below), over_references(above)
    return (goal - ends[0]) / (ends[1] - ends[0])


def between_settings(point: Point, below: Point, above: Point, name: str) -> Difference:
    """Return a case's row minus what lies linearly between two settings at its accuracy.

    How far between follows from the accuracy over the references (`over_references`), which nothing
    here is compared on; the rows are those of the targets, paired over seeds or, with one, over
    targets. Without such numbers it is of the rows' values, without an interval. Where the leak is
    a convex function of the accuracy the line lies above it, which flatters the case.

    Args:
        point: the case.
        below: the less accurate setting.
        above: the more accurate one.
        name: `leak` or `test accuracy`.
    """
    part = _part(over_references(point), below, above)
    units = [np.array(p["units"].get(UNITS[name]) or ()) for p in (point, below, above)]
    if len({len(u) for u in units}) == 1 and len(units[0]) >= 2:
        mixed = (1 - part) * units[1] + part * units[2]
        mean, low, high = paired_difference(units[0], mixed)
        return Difference(value=mean, low=low, high=high)
    own, low_end, high_end = (value(p, name) for p in (point, below, above))
    if own is None or low_end is None or high_end is None:
        return Difference(value=None)
    return Difference(value=own - (1 - part) * low_end - part * high_end)
