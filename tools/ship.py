"""What a sweep recommends to ship, in words that its intervals carry."""

from __future__ import annotations

from typing import Any

from tools.stopped import beats_the_best_snapshot, no_worse_stopped
from tools.verdicts import (
    DENSE,
    Difference,
    Point,
    between,
    leak_difference,
    of_method,
    row_difference,
)

__all__ = ["MARGIN", "best_to_ship", "keeps", "keeps_accuracy", "recommended"]

MARGIN = 0.01
"""The loss of test accuracy that an interval must exclude: a wide one that holds 0 is no proof."""
NOT_SHIPPED = (DENSE, "trained-on", "early-stopping")
"""Dense models, which the others are measured by."""
NEW_SEED = (
    "It was chosen on these targets: measure it on a new seed before you rely on it. Only "
    "differential privacy with a small epsilon gives a guarantee."
)


def recommended(content: dict[str, Any], points: dict[str, Point]) -> list[str]:
    """Return the case to ship, or that none is worth it, as paragraphs.

    A case is worth it where AUC and TPR are lower than the dense models' at their end, the interval
    of its test accuracy excludes a loss of more than `MARGIN`, beside these and beside the dense
    models trained on, and it leaks less than the dense models stopped no less accurate, too; where
    these never are, than those of the nearest accuracy over the references and those that are the
    most accurate on the targets. A TPR that was not measured there does not speak.

    Args:
        content: the sweep.
        points: its cases over seeds, by name.
    """
    less, able, worth = _sifted(content, points)
    points_lost = f"{100 * MARGIN:.0f} point"
    count = (
        f"{_cases(less)} detectably less than the dense models, in AUC and TPR; {len(able)} of "
        f"them with an interval of test accuracy that excludes a loss of more than {points_lost}, "
        "beside the dense models and beside these trained on"
    )
    if not able:
        return [
            f"{count}. Ship what the accuracy asks for, and do not count on pruning or a defence "
            "against this leak."
        ]
    if not worth:
        best = min(able, key=_leak)
        return [
            f"{count}; none of these leaks detectably less than the dense training stopped no less "
            "accurate. Stop the dense training earlier: it is cheaper, and no case is shown to do "
            f"better. The lowest AUC of these has {_said(content, best)}."
        ]
    best = min(worth, key=_leak)
    return [
        f"{count}; {len(worth)} of these detectably less than the dense training stopped no less "
        f"accurate, too. The lowest AUC of these has {_said(content, best)}. {NEW_SEED}"
    ]


def best_to_ship(content: dict[str, Any], points: dict[str, Point]) -> Point | None:
    """Return the case that leaks least of those that are worth it, as `recommended` says."""
    worth = _sifted(content, points)[-1]
    return min(worth, key=_leak) if worth else None


def _sifted(
    content: dict[str, Any], points: dict[str, Point]
) -> tuple[list[Point], list[Point], list[Point]]:
    """Return the cases that leak less, those of them that keep accuracy, and those of these that
    beat stopping; none of them the dense models themselves, stopped or trained on.
    """
    less = [p for p in points.values() if p["method"] not in NOT_SHIPPED and _leaks_less(p)]
    able = [p for p in less if keeps(points, p)]
    return less, able, [p for p in able if _beats_stopping(content, p)]


def _cases(found: list[Point]) -> str:
    return f"{len(found)} case leaks" if len(found) == 1 else f"{len(found)} cases leak"


def _leaks_less(point: Point) -> bool:
    return leak_difference(point, DENSE).verdict == "lower"


def keeps_accuracy(test: Difference) -> bool:
    """Tell whether a difference in test accuracy excludes a loss of more than `MARGIN`."""
    return test.low is not None and test.low >= -MARGIN


def keeps(points: dict[str, Point], point: Point) -> bool:
    """Tell whether a case keeps the accuracy of the dense models, and of these trained on for as
    long as pruning takes, where there are such: whether it excludes a loss of more than `MARGIN`.
    """
    longer = [
        between(point, on, "test accuracy")
        for on in of_method(points, "trained-on")
        if on["case"] != point["case"]
    ]
    return all(map(keeps_accuracy, [row_difference(point, f"test accuracy - {DENSE}"), *longer]))


def _beats_stopping(content: dict[str, Any], point: Point) -> bool:
    early = no_worse_stopped(content, point)
    if early.never and not beats_the_best_snapshot(content, point):
        return False
    return early.leak.auc.verdict == "lower" and early.leak.tpr.verdict in ("lower", "not measured")


def _leak(point: Point) -> float:
    value: float = point["rows"]["leak"]["value"]
    return value


def _said(content: dict[str, Any], point: Point) -> str:
    leak = leak_difference(point, DENSE)
    test = row_difference(point, f"test accuracy - {DENSE}")
    early = no_worse_stopped(content, point)
    return (
        f"{point['case']}: against the dense end {leak.shown()}; test accuracy "
        f"{test.shown(100, 1)} points; against the dense stopped {early.against} {early.shown()}"
    )
