"""ROC curves on logarithmic axes."""

from __future__ import annotations

from secateur.report.charts.style import CONFIG, Spec, fade, rows_of, toggle
from secateur.report.lookup import label, series_of, short
from secateur.types import Report

__all__ = ["roc"]


COLOUR = {"field": "model", "type": "nominal", "title": None, "sort": None}


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
    x, y = _axes(floor)
    return {
        "description": "ROC curves on logarithmic axes, one per model family.",
        "width": "container",
        "height": 360,
        "data": {"name": "roc", "values": values},
        "layer": [_coin(floor, x, y), _bands(x, y), _curves(x, y), _told(x, y)],
        "config": CONFIG,
    }


def _axes(floor: float) -> tuple[Spec, Spec]:
    """Return both rates, from `floor`, the lowest that is drawn."""
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
    return x, y


def _coin(floor: float, x: Spec, y: Spec) -> Spec:
    """Return the line of an attack that guesses."""
    return {
        "data": {"name": "coin", "values": [{"fpr": floor, "tpr": floor}, {"fpr": 1, "tpr": 1}]},
        "mark": {
            "type": "line",
            "strokeDash": [5, 4],
            "color": "#7a7f87",
            "strokeWidth": 1,
        },
        "encoding": {"x": x, "y": y},
    }


def _bands(x: Spec, y: Spec) -> Spec:
    return {
        "mark": {"type": "area", "interpolate": "step-after"},
        "encoding": {
            "x": x,
            "y": {**y, "field": "low"},
            "y2": {"field": "high"},
            "color": COLOUR,
            "opacity": {
                "condition": {"param": "toggle_roc", "value": 0.13},
                "value": 0.0,
            },
        },
    }


def _curves(x: Spec, y: Spec) -> Spec:
    return {
        "params": [toggle("roc", "model")],
        "mark": {"type": "line", "strokeWidth": 2, "interpolate": "step-after"},
        "encoding": {
            "x": x,
            "y": y,
            "color": COLOUR,
            "opacity": fade("roc"),
        },
    }


def _told(x: Spec, y: Spec) -> Spec:
    """Return points that are not seen: a line tells of one point alone, they of each."""
    return {
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
    }
