"""Histograms of scores, and ADMM's convergence."""

from __future__ import annotations

from secateur.report.charts.style import CONFIG, Spec, fade, rows_of, toggle
from secateur.report.lookup import label, series_of
from secateur.types import Report

__all__ = ["convergence", "histograms"]


def histograms(report: Report) -> Spec:
    """Score densities, members beside non-members, one panel per model family."""
    values = []
    for s in series_of(report, "histogram"):
        for r in rows_of(s):
            for kind, field in (("members", "members"), ("non-members", "non_members")):
                values.append(
                    {
                        "model": label(report, s.subject),
                        "left": r["left"],
                        "right": r["right"],
                        "density": r[field],
                        "records": kind,
                    }
                )
    if not values:
        return {}
    return {
        "description": "Histograms of attack scores of members and non-members.",
        "data": {"name": "histograms", "values": values},
        "facet": {
            "field": "model",
            "type": "nominal",
            "title": None,
            "sort": list(dict.fromkeys(v["model"] for v in values)),
        },
        "columns": 2,
        "resolve": {"scale": {"x": "independent", "y": "independent"}},
        "spec": {
            "width": 360,
            "height": 150,
            "params": [toggle("histograms", "records")],
            "mark": {"type": "bar", "binSpacing": 0},
            "encoding": _densities(),
        },
        "config": CONFIG,
    }


def _densities() -> Spec:
    """Return how bars of members and of non-members are drawn."""
    return {
        "x": {
            "field": "left",
            "type": "quantitative",
            "title": "score (larger: more like a member)",
            "bin": {"binned": True},
            "axis": {"tickCount": 6, "labelOverlap": True},
        },
        "x2": {"field": "right"},
        "y": {
            "field": "density",
            "type": "quantitative",
            "stack": None,
            "title": "density",
        },
        "color": {
            "field": "records",
            "type": "nominal",
            "title": None,
            "scale": {
                "domain": ["members", "non-members"],
                "range": ["#c8553d", "#3b6fb6"],
            },
        },
        "opacity": {
            "condition": {"param": "toggle_histograms", "value": 0.5},
            "value": 0.04,
        },
        "tooltip": [
            {"field": "records"},
            {"field": "left", "format": ".3f", "title": "score from"},
            {"field": "right", "format": ".3f", "title": "to"},
            {"field": "density", "format": ".3f"},
        ],
    }


def convergence(report: Report) -> Spec:
    """ADMM's residual per layer and update, log scale."""
    values = [
        r
        for s in series_of(report, "convergence")
        for r in rows_of(s, model=label(report, s.subject))
        if r["residual"]
    ]
    if not values:
        return {}
    dashes: Spec = {
        "field": "model",
        "type": "nominal",
        "title": None,
        "legend": {"symbolType": "stroke", "symbolStrokeColor": "#7a7f87"},
    }
    if len({r["model"] for r in values}) == 1:
        dashes["legend"] = None
    return {
        "description": "Residual of ADMM per layer over its updates.",
        "width": "container",
        "height": 260,
        "data": {"name": "convergence", "values": values},
        "layer": [
            {
                "data": {"name": "bound", "values": [{"bound": 0.1}]},
                "mark": {"type": "rule", "strokeDash": [5, 4], "color": "#7a7f87"},
                "encoding": {"y": {"field": "bound", "type": "quantitative"}},
            },
            {
                "params": [toggle("convergence", "layer")],
                "mark": {"type": "line", "point": True, "strokeWidth": 2},
                "encoding": _residuals(dashes),
            },
        ],
        "config": CONFIG,
    }


def _residuals(dashes: Spec) -> Spec:
    """Return how a line per layer is drawn; `dashes` tell models apart."""
    return {
        "x": {
            "field": "update",
            "type": "ordinal",
            "title": "update",
            "axis": {"labelAngle": 0},
        },
        "y": {
            "field": "residual",
            "type": "quantitative",
            "scale": {"type": "log"},
            "title": "||W - Z|| / ||W||",
            "axis": {"format": "~g"},
        },
        "color": {"field": "layer", "type": "nominal", "title": "layer"},
        "strokeDash": dashes,
        "opacity": fade("convergence"),
        "tooltip": [
            {"field": "model"},
            {"field": "layer"},
            {"field": "update"},
            {"field": "residual", "format": ".4f"},
            {"field": "rho", "format": ".4g"},
        ],
    }
