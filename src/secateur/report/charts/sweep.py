"""Accuracy against leak of every case of a sweep."""

from __future__ import annotations

from typing import Any

from secateur.report.charts.style import CONFIG, Spec, fade, rows_of, toggle
from secateur.types import Sweep

__all__ = ["sweep_chart", "sweep_points"]


def sweep_points(sweep: Sweep) -> list[dict[str, Any]]:
    """Return one point per case over its seeds: accuracy, leak, intervals, size, front."""
    found = []
    for point in sweep.over_seeds():
        test, leak = point.rows.get("test accuracy"), point.rows.get("leak")
        kept = point.rows.get("kept weights")
        if test is None or leak is None or test.value is None or leak.value is None:
            continue
        found.append(
            {
                "case": point.case,
                "method": point.method,
                "test": test.value,
                "test_low": test.low,
                "test_high": test.high,
                "leak": leak.value,
                "low": leak.low,
                "high": leak.high,
                "kept": None if kept is None else kept.value,
                "front": "on the front" if point.front else "beaten",
                "sure": point.sure,
            }
        )
    return found


# longer than a function should be: one chart is one literal, read best in one piece
def sweep_chart(sweep: Sweep) -> Spec:
    """Accuracy against leak, cases of the front ringed, the dense curve as a line per seed."""
    points = sweep_points(sweep)
    if not points:
        return {}
    curve = [r for s in sweep.series if s.kind == "early stopping" for r in rows_of(s, seed=s.id)]
    lowest, highest = min(p["test"] for p in points), max(p["test"] for p in points)
    margin = max(0.03, (highest - lowest) / 4)  # the first epochs would squeeze the rest
    x = {
        "field": "test",
        "type": "quantitative",
        "title": "test accuracy",
        "scale": {"zero": False, "nice": False, "domain": [lowest - margin, highest + margin]},
        "axis": {"format": ".1%", "tickCount": 8, "labelOverlap": True},
    }
    y = {
        "field": "leak",
        "type": "quantitative",
        "title": "leak: AUC of the strongest attack",
        "scale": {"zero": False},
    }
    colour = {"field": "method", "type": "nominal", "title": None, "sort": None}
    line: Spec = {
        "data": {"name": "curve", "values": curve},
        "mark": {
            "type": "line",
            "point": {"size": 22, "color": "#7a7f87"},
            "color": "#7a7f87",
            "strokeWidth": 1.5,
            "clip": True,
        },
        "encoding": {
            "x": {**x, "field": "test_accuracy"},
            "y": {**y, "field": "auc"},
            "detail": {"field": "seed"},
            "order": {"field": "epoch"},
            "tooltip": [
                {"field": "epoch", "title": "dense, epoch"},
                {"field": "test_accuracy", "title": "test accuracy", "format": ".3f"},
                {"field": "auc", "title": "AUC", "format": ".3f"},
            ],
        },
    }
    thin = {"type": "rule", "strokeWidth": 1, "clip": True}
    upright: Spec = {
        # in a later layer of four the legend would not hear a click
        "params": [toggle("sweep", "method")],
        "mark": thin,
        "encoding": {
            "x": x,
            "y": {**y, "field": "low"},
            "y2": {"field": "high"},
            "color": colour,
            "opacity": fade("sweep"),
        },
    }
    level: Spec = {
        "mark": thin,
        "encoding": {
            "x": {**x, "field": "test_low"},
            "x2": {"field": "test_high"},
            "y": y,
            "color": colour,
            "opacity": fade("sweep"),
        },
    }
    dots: Spec = {
        "mark": {"type": "point", "filled": True, "size": 80},
        "encoding": {
            "x": x,
            "y": y,
            "color": colour,
            "opacity": fade("sweep"),
            "tooltip": [
                {"field": "case"},
                {"field": "test", "title": "test accuracy", "format": ".3f"},
                {"field": "leak", "title": "AUC", "format": ".3f"},
                {"field": "low", "format": ".3f"},
                {"field": "high", "format": ".3f"},
                {"field": "kept", "title": "kept weights", "format": ".1%"},
                {"field": "front"},
                {"field": "sure", "title": "share of draws on the front", "format": ".0%"},
            ],
        },
    }
    rings: Spec = {
        "transform": [{"filter": "datum.front === 'on the front'"}],
        "mark": {"type": "point", "filled": False, "size": 260, "strokeWidth": 1.5},
        "encoding": {"x": x, "y": y, "color": colour, "opacity": fade("sweep")},
    }
    marked: Spec = {
        "data": {"name": "points", "values": points},
        "layer": [upright, level, rings, dots],
    }
    return {
        "description": "Scatter plot of test accuracy against leak, one point a case.",
        "width": "container",
        "height": 400,
        "layer": [*([line] if curve else []), marked],
        "config": CONFIG,
    }
