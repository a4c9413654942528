"""What Min-Max and DP-SGD did beside the dense models, for the page of evidence."""

from __future__ import annotations

from typing import Any

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
            f"{_share(paper, points[DENSE])}; strongest attack {leak.shown()}; LiRA "
            f"{shown(point, 'LiRA')}; test accuracy {test.verdict}, {test.shown(100, 1)} points; "
            f"against the dense stopped {early.against}: {early.shown()}"
        )
    return [
        "Minus the dense models.",
        "\n".join(lines) or "None was measured.",
        *epsilon_curve(points),
    ]


def share_gone(paper: Difference, dense: Point) -> Difference:
    """Return which share of the paper's attack's excess over 50 % on the dense models is gone.

    The excess counts as known; not measured where its interval holds 0.

    Args:
        paper: the accuracy of the paper's attack minus that on the dense models.
        dense: the dense case.
    """
    row = dense["rows"].get(ATTACK) or {}
    if paper.value is None or row.get("low") is None or row["low"] <= 0.5:
        return Difference(value=None)
    excess = row["value"] - 0.5
    low, high = (None if v is None else -v / excess for v in (paper.high, paper.low))
    return Difference(value=-paper.value / excess, low=low, high=high, paired=paper.paired)


def _share(paper: Difference, dense: Point) -> str:
    share = share_gone(paper, dense)
    if share.value is None:
        return ""
    return f", {share.shown(100, 0)} % of the dense models' excess over 50 %"
