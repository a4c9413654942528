"""What a released model costs in CPU seconds, beside the dense model, DP-SGD and SELENA."""

from __future__ import annotations

from typing import Any

from tools.protects_aims import NOTHING
from tools.protects_points import OURS, chosen, comparison, value, worlds_of
from tools.verdicts import DENSE, Point, cases, of_method

__all__ = ["cost_block"]

SHOWN = (*OURS, "selena-pruned", "selena")


def cost_block(found: dict[str, dict[str, Any]]) -> str:
    """Return the CPU seconds a model of our cases, the dense model and rivals, world by world."""
    lines = [_costs(name, content) for name, content in worlds_of(found).items()]
    return "\n".join(line for line in lines if line) or NOTHING


def _costs(name: str, found: dict[str, Any]) -> str:
    point, points = chosen(found), cases(found)
    if point is None:
        return ""
    dense = value(points[DENSE], "cpu seconds") if DENSE in points else None
    nearest = comparison(found, point["case"], "dp-sgd")
    beside = [*of_method(points, *SHOWN)]
    if nearest is not None and nearest["rival"] in points:
        beside.append(points[nearest["rival"]])
    shown = {p["case"]: _seconds(p, dense) for p in (point, *beside)}
    first = "not measured" if dense is None else f"{dense:.1f}"
    return (
        f"- **{name}**, CPU seconds a model: dense {first}; "
        + ", ".join(f"`{case}` {seconds}" for case, seconds in shown.items())
        + "."
    )


def _seconds(point: Point, dense: float | None) -> str:
    seconds = value(point, "cpu seconds")
    if seconds is None:
        return "not measured"
    return f"{seconds:.1f}" + (f" ({seconds / dense:.1f} times)" if dense else "")
