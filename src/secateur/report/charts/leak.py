"""Accuracy against leak."""

from __future__ import annotations

from typing import Any

from secateur.report.charts.style import CONFIG, Spec, fade, rows_of, toggle
from secateur.report.lookup import best_rows, find, label, series_of, short, subjects
from secateur.types import Report

__all__ = ["leak", "leak_points"]


def leak_points(report: Report) -> list[dict[str, Any]]:
    """Return one point per model family: test accuracy, AUC and its interval, bytes, and whether
    another point is no worse in all three and better in one.
    """
    found: list[dict[str, Any]] = []
    for subject in subjects(report):
        rows = best_rows(report, subject)
        auc, test = rows["auc"], rows["test"]
        if auc is None or test is None or auc.value is None or test.value is None:
            continue
        found.append(
            {
                "model": label(report, subject),
                "test": test.value,
                "auc": auc.value,
                "low": auc.low,
                "high": auc.high,
                "attack": short(auc.method),
                "bytes": _bytes(report, subject),
            }
        )
    beaten = [any(_beats(other, point) for other in found) for point in found]
    return [
        {**point, "front": "beaten" if lost else "on the front"}
        for point, lost in zip(found, beaten, strict=True)
    ]


def _bytes(report: Report, subject: str) -> float | None:
    """Return the bytes of a family's file, or of its tensors; a stopped model's are the dense's."""
    kind = dict(report.facts.get("subjects", {}).get(subject, {})).get("kind")
    names = [subject, *([str(report.facts.get("baseline", ""))] if kind == "stopped" else [])]
    for name in names:
        for metric in ("bytes of the file", "bytes of all tensors"):
            row = find(report, name, metric)
            if row is not None and row.value is not None:
                return row.value
    return None


def _beats(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Tell whether one is no worse in accuracy, leak and bytes, by their values, and not equal."""
    pairs = [(one["test"], other["test"]), (other["auc"], one["auc"])]
    if one["bytes"] is not None and other["bytes"] is not None:
        pairs.append((other["bytes"], one["bytes"]))
    return all(a >= b for a, b in pairs) and any(a > b for a, b in pairs)


COLOUR = {"field": "model", "type": "nominal", "title": None, "sort": None}


def leak(report: Report) -> Spec:
    """Accuracy against leak, with the early-stopping curve."""
    points = leak_points(report)
    if not points:
        return {}
    curve = [r for s in series_of(report, "early stopping") for r in rows_of(s)]
    x, y = _axes(points)
    marked: Spec = {
        "data": {"name": "points", "values": points},
        "layer": [_intervals(x, y), _rings(x, y), _dots(x, y, points)],
    }
    return {
        "description": "Scatter plot of test accuracy against the attack's AUC, one point a model.",
        "width": "container",
        "height": 340,
        "layer": [*([_line(curve, x, y)] if curve else []), marked],
        "config": CONFIG,
    }


def _axes(points: list[dict[str, Any]]) -> tuple[Spec, Spec]:
    """Return the accuracy, around the models', and the AUC."""
    lowest, highest = min(p["test"] for p in points), max(p["test"] for p in points)
    margin = max(0.03, highest - lowest)  # the first epochs of the curve would squeeze the rest
    x = {
        "field": "test",
        "type": "quantitative",
        "title": "test accuracy",
        "scale": {
            "zero": False,
            "nice": False,
            "domain": [lowest - 2 * margin, highest + margin / 2],
        },
        "axis": {"format": ".1%", "tickCount": 8},
    }
    y = {"type": "quantitative", "title": "AUC of the attack", "scale": {"zero": False}}
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
            "order": {"field": "epoch"},
            "tooltip": [
                {"field": "epoch", "title": "dense, epoch"},
                {"field": "test_accuracy", "title": "test accuracy", "format": ".3f"},
                {"field": "train_accuracy", "title": "train accuracy", "format": ".3f"},
                {"field": "auc", "title": "AUC", "format": ".3f"},
            ],
        },
    }


def _intervals(x: Spec, y: Spec) -> Spec:
    return {
        # in a later layer of three the legend would not hear a click
        "params": [toggle("leak", "model")],
        "mark": {"type": "rule", "strokeWidth": 2},
        "encoding": {
            "x": x,
            "y": {**y, "field": "low"},
            "y2": {"field": "high"},
            "color": COLOUR,
            "opacity": fade("leak"),
        },
    }


def _dots(x: Spec, y: Spec, points: list[dict[str, Any]]) -> Spec:
    return {
        "mark": {"type": "point", "filled": True, "size": 110},
        "encoding": {
            "x": x,
            "y": {**y, "field": "auc"},
            "color": COLOUR,
            "opacity": fade("leak"),
            "tooltip": [
                {"field": "model"},
                {"field": "attack"},
                {"field": "test", "title": "test accuracy", "format": ".3f"},
                {"field": "auc", "title": "AUC", "format": ".3f"},
                {"field": "low", "format": ".3f"},
                {"field": "high", "format": ".3f"},
                {"field": "bytes", "format": ",.0f"},
                {"field": "front"},
            ],
            **_sized(points),
        },
    }


def _rings(x: Spec, y: Spec) -> Spec:
    """Return what marks the models that no other beats."""
    return {
        "transform": [{"filter": "datum.front === 'on the front'"}],
        "mark": {"type": "point", "filled": False, "size": 500, "strokeWidth": 1.5},
        "encoding": {
            "x": x,
            "y": {**y, "field": "auc"},
            "color": COLOUR,
            "opacity": fade("leak"),
        },
    }


def _sized(points: list[dict[str, Any]]) -> Spec:
    """Return the encoding by bytes, where they are known of all points and differ."""
    sizes = {p["bytes"] for p in points}
    if None in sizes or len(sizes) == 1:
        return {}
    return {
        "size": {
            "field": "bytes",
            "type": "quantitative",
            "title": "bytes",
            "scale": {"domain": [0, max(sizes)], "range": [20, 300]},
            "legend": {"format": ".2~s", "symbolFillColor": "#7a7f87", "tickCount": 3},
        }
    }
