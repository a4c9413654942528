"""ROC curves on logarithmic axes."""

from __future__ import annotations

from secateur.report.charts.style import CONFIG, Spec, fade, rows_of, toggle
from secateur.report.lookup import label, series_of, short
from secateur.types import Report

__all__ = ["roc"]


# longer than a function should be: one chart is one literal, read best in one piece
def roc(report: Report) -> Spec:
    """ROC on log-log axes with bands."""
    values = [
        r
        for s in series_of(report, "roc")
        for r in rows_of(s, model=label(report, s.subject), attack=short(s.method))
    ]
    values = [r for r in values if r["fpr"] and r["tpr"]]
    if not values:
        return {}
    floor = min(r["fpr"] for r in values)
    for r in values:
        r["low"] = max(float(r["low"] or 0), floor)
    log = {"type": "log", "domain": [floor, 1], "clamp": True}
    x = {
        "field": "fpr",
        "type": "quantitative",
        "scale": log,
        "title": "false-positive rate",
        "axis": {"format": "~g"},
    }
    y = {
        "field": "tpr",
        "type": "quantitative",
        "scale": log,
        "title": "true-positive rate",
        "axis": {"format": "~g"},
    }
    colour = {"field": "model", "type": "nominal", "title": None, "sort": None}
    coin = {
        "data": {"name": "coin", "values": [{"fpr": floor, "tpr": floor}, {"fpr": 1, "tpr": 1}]}
    }
    return {
        "description": "ROC curves on logarithmic axes, one per model family.",
        "width": "container",
        "height": 360,
        "data": {"name": "roc", "values": values},
        "layer": [
            {
                **coin,
                "mark": {
                    "type": "line",
                    "strokeDash": [5, 4],
                    "color": "#7a7f87",
                    "strokeWidth": 1,
                },
                "encoding": {"x": x, "y": y},
            },
            {
                "mark": {"type": "area", "interpolate": "step-after"},
                "encoding": {
                    "x": x,
                    "y": {**y, "field": "low"},
                    "y2": {"field": "high"},
                    "color": colour,
                    "opacity": {
                        "condition": {"param": "toggle_roc", "value": 0.13},
                        "value": 0.0,
                    },
                },
            },
            {
                "params": [toggle("roc", "model")],
                "mark": {"type": "line", "strokeWidth": 2, "interpolate": "step-after"},
                "encoding": {
                    "x": x,
                    "y": y,
                    "color": colour,
                    "opacity": fade("roc"),
                },
            },
            {
                # a line tells of one point alone: points that are not seen tell of theirs
                "mark": {"type": "point", "filled": True, "opacity": 0, "size": 60, "aria": False},
                "encoding": {
                    "x": x,
                    "y": y,
                    "detail": {"field": "model"},
                    "tooltip": [
                        {"field": "model"},
                        {"field": "attack"},
                        {"field": "fpr", "format": ".2%"},
                        {"field": "tpr", "format": ".2%"},
                    ],
                },
            },
        ],
        "config": CONFIG,
    }
