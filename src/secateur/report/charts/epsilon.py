"""What differential privacy costs: test accuracy over the accounted epsilon."""

from __future__ import annotations

from typing import Any

from secateur.report.charts.style import CONFIG, Spec, fade, toggle
from secateur.types import Sweep

__all__ = ["epsilon_chart", "epsilon_points"]

ACCOUNTED, AUDITED = "accounted epsilon", "epsilon bound"


def epsilon_points(sweep: Sweep) -> list[dict[str, Any]]:
    """Return one point per case, over its seeds, whose epsilon is accounted: that, the largest that
    an attack refutes, test accuracy and leak; the smallest epsilon first.
    """
    found = []
    for point in sweep.over_seeds():
        epsilon, test = (point.rows.get(n) for n in (ACCOUNTED, "test accuracy"))
        if epsilon is None or test is None or epsilon.value is None or test.value is None:
            continue
        audited, leak = (point.rows.get(n) for n in (AUDITED, "leak"))
        found.append(
            {
                "case": point.case,
                "method": point.method,
                "epsilon": epsilon.value,
                "test": test.value,
                "low": test.low,
                "high": test.high,
                "audited": None if audited is None else audited.value,
                "leak": None if leak is None else leak.value,
            }
        )
    return sorted(found, key=lambda p: p["epsilon"])


def epsilon_chart(sweep: Sweep) -> Spec:
    """Test accuracy over accounted epsilon, logarithmic, the dense models as a level; empty where
    fewer than two cases have an epsilon above 0.
    """
    points = [p for p in epsilon_points(sweep) if p["epsilon"] > 0]
    if len(points) < 2:
        return {}
    x = {
        "field": "epsilon",
        "type": "quantitative",
        "title": "accounted epsilon (log)",
        "scale": {"type": "log", "nice": False, "padding": 20},
        "axis": {"format": "~g", "labelOverlap": True},
    }
    y = {
        "field": "test",
        "type": "quantitative",
        "title": "test accuracy",
        "scale": {"zero": False},
        "axis": {"format": ".0%"},
    }
    colour = {"field": "method", "type": "nominal", "title": None, "sort": None}
    shade = {"color": colour, "opacity": fade("epsilon")}
    told = [
        {"field": "case"},
        {"field": "epsilon", "title": "accounted epsilon", "format": ".3g"},
        {"field": "audited", "title": "audited lower bound", "format": ".3g"},
        {"field": "test", "title": "test accuracy", "format": ".3f"},
        {"field": "leak", "title": "AUC", "format": ".3f"},
    ]
    line: Spec = {"mark": {"type": "line", "strokeWidth": 1.5}, "encoding": {"x": x, "y": y}}
    ends: Spec = {
        "mark": {"type": "rule", "strokeWidth": 1},
        "encoding": {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}},
    }
    dots: Spec = {
        "params": [toggle("epsilon", "method")],
        "mark": {"type": "point", "filled": True, "size": 80},
        "encoding": {"x": x, "y": y, "tooltip": told},
    }
    for layer in (line, ends, dots):
        layer["encoding"] |= shade
    marked: Spec = {"data": {"name": "epsilons", "values": points}, "layer": [line, ends, dots]}
    return {
        "description": "Line chart of test accuracy over accounted epsilon, one point a case.",
        "width": "container",
        "height": 300,
        "layer": [*_level(sweep, y), marked],
        "config": CONFIG,
    }


def _level(sweep: Sweep, y: Spec) -> list[Spec]:
    """Return the dense models' test accuracy as a dashed level."""
    rows = [p.rows.get("test accuracy") for p in sweep.over_seeds() if p.method == "dense"]
    values = [{"test": r.value, "case": "dense"} for r in rows if r is not None and r.value]
    mark = {"type": "rule", "strokeDash": [5, 4], "color": "#7a7f87"}
    tooltip = [{"field": "case"}, {"field": "test", "title": "test accuracy", "format": ".3f"}]
    level: Spec = {
        "data": {"name": "dense", "values": values},
        "mark": mark,
        "encoding": {"y": y, "tooltip": tooltip},
    }
    return [level] if values else []
