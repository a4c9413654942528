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


COLOUR = {"field": "method", "type": "nominal", "title": None, "sort": None}


def sweep_chart(sweep: Sweep) -> Spec:
    """Accuracy against leak, cases of the front ringed, the dense curve as a line per seed."""
    points = sweep_points(sweep)
    if not points:
        return {}
    curve = [r for s in sweep.series if s.kind == "early stopping" for r in rows_of(s, seed=s.id)]
    x, y = _axes(points)
    marked: Spec = {
        "data": {"name": "points", "values": points},
        "layer": [*_intervals(x, y), _rings(x, y), _dots(x, y)],
    }
    return {
        "description": "Scatter plot of test accuracy against leak, one point a case.",
        "width": "container",
        "height": 400,
        "layer": [*([_line(curve, x, y)] if curve else []), marked],
        "config": CONFIG,
    }


def _axes(points: list[dict[str, Any]]) -> tuple[Spec, Spec]:
    """Return the accuracy, as far as the cases reach, and the leak."""
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
    return x, y


def _line(curve: list[dict[str, Any]], x: Spec, y: Spec) -> Spec:
    """Return the dense model's way through its epochs."""
    return {
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


def _intervals(x: Spec, y: Spec) -> list[Spec]:
    """Return the intervals of leak and of accuracy."""
    thin = {"type": "rule", "strokeWidth": 1, "clip": True}
    upright: Spec = {
        # in a later layer of four the legend would not hear a click
        "params": [toggle("sweep", "method")],
        "mark": thin,
        "encoding": {
            "x": x,
            "y": {**y, "field": "low"},
            "y2": {"field": "high"},
            "color": COLOUR,
            "opacity": fade("sweep"),
        },
    }
    level: Spec = {
        "mark": thin,
        "encoding": {
            "x": {**x, "field": "test_low"},
            "x2": {"field": "test_high"},
            "y": y,
            "color": COLOUR,
            "opacity": fade("sweep"),
        },
    }
    return [upright, level]


def _dots(x: Spec, y: Spec) -> Spec:
    return {
        "mark": {"type": "point", "filled": True, "size": 80},
        "encoding": {
            "x": x,
            "y": y,
            "color": COLOUR,
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


def _rings(x: Spec, y: Spec) -> Spec:
    """Return what marks the cases of the front."""
    return {
        "transform": [{"filter": "datum.front === 'on the front'"}],
        "mark": {"type": "point", "filled": False, "size": 260, "strokeWidth": 1.5},
        "encoding": {"x": x, "y": y, "color": COLOUR, "opacity": fade("sweep")},
    }
