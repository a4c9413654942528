"""The leak of several releases, each with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from secateur.report.charts.style import CONFIG, Spec

__all__ = ["releases_chart"]

STEP = 26


def releases_chart(points: Sequence[dict[str, Any]]) -> Spec:
    """AUC of each release with its interval, a coin's as a dashed line; empty without a point.

    Args:
        points: `release`, `report`, `auc`, `low`, `high`; ends may be None.
    """
    if not points:
        return {}
    y = {
        "field": "release",
        "type": "nominal",
        "title": None,
        "sort": None,
        "axis": {"labelLimit": 260},
    }
    x = {
        "field": "auc",
        "type": "quantitative",
        "title": "AUC of the strongest attack",
        "scale": {"zero": False},
    }
    colour = {"field": "report", "type": "nominal", "title": None, "sort": None}
    told = [
        {"field": "release"},
        *({"field": f, "title": t, "format": ".3f"} for f, t in (("auc", "AUC"), ("low", "low"))),
        {"field": "high", "title": "high", "format": ".3f"},
    ]
    ends: Spec = {
        "mark": {"type": "rule", "strokeWidth": 1.5},
        "encoding": {"x": {**x, "field": "low"}, "x2": {"field": "high"}, "y": y, "color": colour},
    }
    dots: Spec = {
        "mark": {"type": "point", "filled": True, "size": 80},
        "encoding": {"x": x, "y": y, "color": colour, "tooltip": told},
    }
    coin: Spec = {
        "data": {"name": "coin", "values": [{"auc": 0.5}]},
        "mark": {"type": "rule", "strokeDash": [5, 4], "color": "#7a7f87"},
        "encoding": {"x": x},
    }
    return {
        "description": "Points with intervals: AUC of the strongest attack on each release.",
        "width": "container",
        "height": STEP * len({point["release"] for point in points}),
        "layer": [
            coin,
            {"data": {"name": "releases", "values": list(points)}, "layer": [ends, dots]},
        ],
        "config": CONFIG,
    }
