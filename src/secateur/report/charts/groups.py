"""Leak within each group."""

from __future__ import annotations

from typing import Any

from secateur.report.charts.style import CONFIG, Spec, fade, toggle
from secateur.report.lookup import label, short, strongest
from secateur.types import Report

__all__ = ["group_points", "groups"]

STEP = 16


def group_points(report: Report) -> list[dict[str, Any]]:
    """Return one point per model family and group that was measured, early-stopped views left out:
    the AUC of its strongest attack with the interval.
    """
    facts = dict(report.facts.get("subjects", {}))
    found = []
    for row in report.rows:
        stopped = dict(facts.get(row.subject, {})).get("kind") == "stopped"
        if row.group == "all" or row.metric != "auc" or row.value is None or stopped:
            continue
        if row.versus or row.method != strongest(report, row.subject):
            continue
        found.append(
            {
                "model": label(report, row.subject),
                "group": row.group,
                "auc": row.value,
                "low": row.low,
                "high": row.high,
                "members": row.counts.get("members"),
                "attack": short(row.method),
            }
        )
    return found


COIN: Spec = {
    "data": {"name": "even", "values": [{"even": 0.5}]},
    "mark": {"type": "rule", "strokeDash": [5, 4], "color": "#7a7f87"},
    "encoding": {"x": {"field": "even", "type": "quantitative"}},
}


def groups(report: Report) -> Spec:
    """AUC by group with intervals, models side by side; empty without groups."""
    points = group_points(report)
    if not points:
        return {}
    models = list(dict.fromkeys(p["model"] for p in points))
    y = {
        "field": "group",
        "type": "nominal",
        "title": None,
        "sort": None,
        "axis": {"labelLimit": 160},
    }
    x = {
        "field": "auc",
        "type": "quantitative",
        "title": "AUC of the attack",
        "scale": {"zero": False},
    }
    shared: Spec = {
        "y": y,
        "color": {"field": "model", "type": "nominal", "title": None, "sort": None},
        "yOffset": {"field": "model", "type": "nominal", "sort": models},
        "opacity": fade("groups"),
    }
    told = [
        *({"field": name} for name in ("model", "group", "attack")),
        *({"field": name, "format": ".3f"} for name in ("auc", "low", "high")),
        {"field": "members", "format": ".0f"},
    ]
    ends: Spec = {
        "mark": {"type": "rule", "strokeWidth": 2},
        "encoding": {**shared, "x": {**x, "field": "low"}, "x2": {"field": "high"}},
    }
    dots: Spec = {
        "params": [toggle("groups", "model")],
        "mark": {"type": "point", "filled": True, "size": 50},
        "encoding": {**shared, "x": x, "tooltip": told},
    }
    return {
        "description": "Dot plot of the attack's AUC within each group, with intervals.",
        "width": "container",
        "height": STEP * len({p["group"] for p in points}) * len(models),
        "data": {"name": "groups", "values": points},
        "layer": [COIN, ends, dots],
        "config": CONFIG,
    }
