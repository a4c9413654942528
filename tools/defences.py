"""What Min-Max and DP-SGD did beside the dense models, for the page of evidence."""

from __future__ import annotations

from typing import Any

import numpy as np

from tools.promised import epsilon_curve
from tools.stopped import no_worse_stopped
from tools.verdicts import (
    ATTACK,
    DENSE,
    Difference,
    Point,
    between,
    leak_difference,
    of_method,
    ratio,
    row_difference,
    shown,
)

__all__ = ["defences", "share_gone"]


def defences(content: dict[str, Any], points: dict[str, Point]) -> list[str]:
    """Return what each case did to the paper's attack, to the strongest one and to accuracy.

    Args:
        content: a sweep.
        points: its cases by name, the dense one among them.
    """
    lines = []
    for point in of_method(points, "min-max", "dp-sgd", "mia-pruning-min-max"):
        paper = between(point, points[DENSE], ATTACK)
        leak = leak_difference(point, DENSE)
        test = row_difference(point, f"test accuracy - {DENSE}")
        early = no_worse_stopped(content, point)
        lines.append(
            f"- {point['case']}: paper's attack {paper.verdict}, {paper.shown(100, 1)} points"
            f"{_share(point, points[DENSE])}; strongest attack {leak.shown()}; LiRA "
            f"{shown(point, 'LiRA')}; test accuracy {test.verdict}, {test.shown(100, 1)} points; "
            f"against the dense stopped {early.against}: {early.shown()}"
        )
    return [
        "Minus the dense models.",
        "\n".join(lines) or "None was measured.",
        *epsilon_curve(points),
    ]


def share_gone(point: Point, dense: Point) -> Difference:
    """Return which share of the paper's attack's excess over 50 % on the dense models is gone.

    Not measured where the excess's interval holds 0. Its interval is that of a ratio of paired
    means; where the sweep did not keep the attack's accuracies target by target it is not paired:
    it has the far ends of the two excesses' intervals.

    Args:
        point: a case.
        dense: the dense case.
    """
    own, other = (p["rows"].get(ATTACK) or {} for p in (point, dense))
    known = all(row.get("value") is not None for row in (own, other))
    if not known or other.get("low") is None or other["low"] <= 0.5:
        return Difference(value=None)
    value = 1 - (own["value"] - 0.5) / (other["value"] - 0.5)
    units = [np.array(p["units"].get(ATTACK) or ()) - 0.5 for p in (point, dense)]
    low, high = ratio(*units)
    if low is not None and high is not None:
        return Difference(value=value, low=1 - high, high=1 - low)
    if own.get("low") is None:
        return Difference(value=value, paired=False)
    excess = [other["low"] - 0.5, other["high"] - 0.5]
    ends = [(own[end] - 0.5) / e for end in ("low", "high") for e in excess]
    return Difference(value=value, low=1 - max(ends), high=1 - min(ends), paired=False)


def _share(point: Point, dense: Point) -> str:
    share = share_gone(point, dense)
    if share.value is None:
        return ""
    return f", {share.shown(100, 0)} % of the dense models' excess over 50 %"
