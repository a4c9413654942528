"""The dense model that stopped earlier: its best accuracy, and a case's leak as a share of its."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from tools.protects_points import OTHERS, leaning, names_of, near, single, value
from tools.verdicts import (
    DENSE,
    Difference,
    Point,
    between,
    cases,
    of_method,
    over_references,
    ratio,
)

__all__ = [
    "EQUAL",
    "HALF",
    "LESS",
    "MORE",
    "Share",
    "best_dense",
    "best_over_references",
    "both_have",
    "excess_share",
    "most_accurate_dense",
    "stopped_beside",
]

EPOCHS = re.compile(r"EarlyStopping\(epochs=(\d+)")
EARLIER = "early-stopping"
STOPPED = "leak - dense at no less test accuracy"
HALF = 0.5
EQUAL, LESS, MORE = "equally", "less", "more"
"""How accurate the dense model is that a case is held against, beside the case."""


def best_dense(found: dict[str, Any]) -> float | None:
    """Return the best test accuracy of the dense model on its way and at its end.

    The largest, over the points of the early-stopping curve, the `EarlyStopping` cases and the
    whole training, of the mean over seeds. All are of the targets, and the best of many points is
    taken, which is in the dense model's favour. None where there is neither curve nor such a case:
    the end of training alone is no best.
    """
    points = cases(found)
    stopped = [value(p, "test accuracy") for p in of_method(points, EARLIER)]
    on_the_way = [*_curve(found), *(a for a in stopped if a is not None)]
    if not on_the_way:
        return None
    end = value(points[DENSE], "test accuracy") if DENSE in points else None
    return max(on_the_way) if end is None else max(*on_the_way, end)


def most_accurate_dense(found: dict[str, Any]) -> Point | None:
    """Return the most accurate of the whole training and the `EarlyStopping` cases, on targets."""
    points = cases(found)
    known = [
        p
        for p in (*of_method(points, EARLIER), *of_method(points, DENSE))
        if value(p, "test accuracy") is not None
    ]
    return max(known, key=lambda p: value(p, "test accuracy") or 0.0, default=None)


def best_over_references(found: dict[str, Any]) -> float | None:
    """Return the best test accuracy of the dense models over the references: of the whole training
    and of the `EarlyStopping` cases, each as `verdicts.over_references` has it; None where there is
    no such case.
    """
    points = cases(found)
    stopped = of_method(points, EARLIER)
    known = [over_references(p) for p in (*stopped, *of_method(points, DENSE))]
    return max((a for a in known if a is not None), default=None) if stopped else None


def _curve(found: dict[str, Any]) -> list[float]:
    """Return the curve's test accuracies, epoch by epoch the mean over seeds; nothing where not
    every seed has a curve, as what is compared is the mean over all.
    """
    curves = [
        dict(zip(s["columns"]["epoch"], s["columns"]["test_accuracy"], strict=True))
        for s in found["series"]
        if s["kind"] == "early stopping" and s["columns"].get("test_accuracy")
    ]
    if not curves or len(curves) < len(found["facts"]["seeds"]):
        return []
    return [
        sum(curve[epoch] for curve in curves) / len(curves)
        for epoch in curves[0]
        if all(curve.get(epoch) is not None for curve in curves)
    ]


@dataclass(frozen=True, kw_only=True)
class Share:
    """A case's AUC above 0.5 over that of the dense model stopped at equal accuracy.

    `accuracy` is the dense model's minus the case's, and `standing` says which of `EQUAL`, `LESS`
    and `MORE` accurate it is (`stopped_beside`). `attacks` are the names of the attacker of the
    case and of the dense model, each its strongest on references.
    """

    value: float
    low: float | None
    high: float | None
    of: str
    accuracy: Difference
    standing: str
    snapshot: bool
    attacks: tuple[str, str]

    @property
    def halved(self) -> bool:
        """Whether the interval lies at one half or below; without one nothing is shown, nor beside
        a more accurate dense model, which leaks more than one of equal accuracy.
        """
        return self.high is not None and self.high <= HALF and self.standing != MORE

    def shown(self, times: float = 1.0) -> str:
        """Return so many times the share and its interval as text."""
        text = f"{100 * times * self.value:.0f} %"
        if self.low is None or self.high is None:
            return text
        return f"{text} [{100 * times * self.low:.0f}, {100 * times * self.high:.0f}]"


def excess_share(point: Point, found: dict[str, Any]) -> Share | None:
    """Return a case's AUC above 0.5 as a share of that of the dense model stopped as accurate.

    Each by the attack that is the strongest on it. Where the dense model was stopped as a case of
    its own (`EarlyStopping`), it is that of `stopped_beside`: its weights are there, so that the
    same attacks were tried. Where it was not, it is the snapshot that the audit matched, which
    holds outputs alone and has no numbers target by target: no interval then. None where either was
    not measured, or where the dense model's leak is nothing.
    """
    own = value(point, "leak")
    if own is None:
        return None
    if not _was_stopped(found):
        return _of_snapshot(point, own)
    stopped, gap, standing = stopped_beside(point, found)
    dense = None if stopped is None else value(stopped, "leak")
    if stopped is None or dense is None or dense <= HALF:
        return None
    low, high = ratio(*(np.array(p["units"].get("leak") or ()) - 0.5 for p in (point, stopped)))
    return Share(
        value=(own - 0.5) / (dense - 0.5),
        low=low,
        high=high,
        of=stopped["case"],
        accuracy=gap,
        standing=standing,
        snapshot=False,
        attacks=(_by(point), _by(stopped)),
    )


def _of_snapshot(point: Point, own: float) -> Share | None:
    row, less = point["rows"].get(STOPPED), value(point, STOPPED)
    if row is None or less is None or own - less <= HALF:
        return None
    told = row.get("why", "")
    other = re.search(r"(.+) is the strongest attack on the other one", told)
    named = told.partition(f", {row.get('versus')} by ")[2]
    return Share(
        value=(own - 0.5) / (own - less - 0.5),
        low=None,
        high=None,
        of="a snapshot of the dense model",
        accuracy=Difference(value=None),
        standing=EQUAL,
        snapshot=True,
        attacks=(_by(point), other[1] if other else named or _by(point)),
    )


def _by(point: Point) -> str:
    return names_of(point["rows"]["leak"].get("method", ""))


def _was_stopped(found: dict[str, Any]) -> bool:
    return any(value(p, "leak") is not None for p in of_method(cases(found), EARLIER))


def stopped_beside(point: Point, found: dict[str, Any]) -> tuple[Point | None, Difference, str]:
    """Return the dense model that a case is held against, its accuracy minus the case's, and
    how accurate it is beside it; None where it was not stopped as a case of its own.

    Of the `EarlyStopping` cases and the whole training the least leaky (on the targets, which is in
    the dense model's favour) of those of equal accuracy: at most `WITHIN` off the case's by value,
    and with an interval of the difference, paired over seeds or, with one, over targets, that holds
    0.

    Where none is, the direction decides. On the way to its best accuracy a model grows more
    accurate and leaks more, so that one that stopped less accurate leaks less than one of equal
    accuracy would: to be held against it is against the case, so that the least leaky of those
    within `WITHIN` of the most accurate of these stands in and may be counted (`LESS`). One that is
    less accurate because it was trained beyond more accurate ones leaks more than they do, and is
    none of these. A more accurate one leaks more, and flatters the case: only where there is no
    other it is shown, the one of the fewest epochs, and never counted (`MORE`).
    """
    points = cases(found)
    own = [
        p
        for p in (*of_method(points, EARLIER), *of_method(points, DENSE))
        if value(p, "leak") is not None and value(p, "test accuracy") is not None
    ]
    none = Difference(value=None)
    if not _was_stopped(found) or not own or value(point, "test accuracy") is None:
        return None, none, EQUAL
    gaps = {p["case"]: between(p, point, "test accuracy") for p in own}
    equal = [p for p in own if near(gaps[p["case"]]) and not leaning(gaps[p["case"]])]
    more = [p for p in own if (gaps[p["case"]].value or 0.0) > 0]
    first = min((_epochs(p) for p in more), default=None)
    less = [p for p in own if p not in more and (first is None or _epochs(p) < first)]
    if equal:
        taken, standing = min(equal, key=lambda p: value(p, "leak") or 0.0), EQUAL
    elif less:
        best = max(less, key=lambda p: value(p, "test accuracy") or 0.0)
        close = [p for p in less if near(between(p, best, "test accuracy"))]
        taken, standing = min(close, key=lambda p: value(p, "leak") or 0.0), LESS
    else:
        taken, standing = min(more, key=_epochs), MORE
    return taken, gaps[taken["case"]], standing


def _epochs(point: Point) -> float:
    """Return for how many epochs a dense model was trained; the whole training is the longest."""
    found = EPOCHS.search(" ".join(point["steps"]))
    return float(found[1]) if found else math.inf


def both_have(point: Point, dense: Point) -> str | None:
    """Return the attack that sees most of a case among those that were tried on both; None where
    single attacks were not written down.

    It is the best on these targets, which favours the attacker.
    """
    seen, other = single(point), single(dense)
    shared = [name for name in seen if name in other and OTHERS not in name]
    return max(shared, key=lambda name: seen[name], default=None)
