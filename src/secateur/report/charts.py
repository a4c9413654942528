"""Charts as plain Vega-Lite specifications: functions of the report, so that tests can read their
data.
"""

from __future__ import annotations

from typing import Any

from secateur.report.lookup import best_rows, label, series_of, short, subjects
from secateur.types import Report, Series

__all__ = ["Spec", "charts"]

Spec = dict[str, Any]

COLOURS = ["#3b6fb6", "#c8553d", "#4d9078", "#8e6c8a", "#b8860b", "#5f7d8c", "#a23b72", "#2f6f4f"]
CONFIG: Spec = {
    "background": "transparent",
    "font": "system-ui, sans-serif",
    "view": {"stroke": "transparent"},
    "axis": {
        "labelColor": "#7a7f87",
        "titleColor": "#7a7f87",
        "gridColor": "#7a7f8733",
        "domainColor": "#7a7f8788",
        "tickColor": "#7a7f8788",
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
    },
    "legend": {
        "labelColor": "#7a7f87",
        "titleColor": "#7a7f87",
        "labelFontSize": 12,
        "symbolOpacity": 1,
    },
    "header": {"labelColor": "#7a7f87", "labelFontSize": 12},
    "range": {"category": COLOURS},
}


def charts(report: Report) -> list[tuple[str, str, Spec]]:
    """Return (name, caption, specification) of every chart that the report has data for."""
    found = [
        (
            "leak",
            "Accuracy against leak, with 95 % intervals. The line is the dense model while it "
            "trains: "
            "pruning is worth something for privacy only where its point lies below that line.",
            leak(report),
        ),
        (
            "roc",
            "How many members are found at how many false alarms, log-log, strongest attack per "
            "model, mean "
            "over targets with a 95 % band. The dashed line is a coin. Click the legend to toggle.",
            roc(report),
        ),
        (
            "histograms",
            "Scores of members and non-members under the strongest attack; where the two "
            "overlap, the "
            "attacker cannot tell.",
            histograms(report),
        ),
        (
            "convergence",
            "ADMM: the distance between the weights and their sparse copies, per layer. Above "
            "the dashed line "
            "the hard prune is a shock.",
            convergence(report),
        ),
    ]
    return [(name, caption, spec) for name, caption, spec in found if spec]


def _toggle(name: str, field: str) -> Spec:
    return {
        "name": f"toggle_{name}",
        "select": {"type": "point", "fields": [field], "toggle": "true"},
        "bind": "legend",
    }


def _fade(name: str) -> Spec:
    return {"condition": {"param": f"toggle_{name}", "value": 1}, "value": 0.08}


def _rows(series: Series, **extra: str) -> list[dict[str, Any]]:
    names = list(series.columns)
    return [
        {**extra, **dict(zip(names, values, strict=True))}
        for values in zip(*series.columns.values(), strict=True)
    ]


def leak_points(report: Report) -> list[dict[str, Any]]:
    """Return one point per model family: test accuracy, AUC and its interval."""
    found = []
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
            }
        )
    return found


def leak(report: Report) -> Spec:
    """Accuracy against leak, with the early-stopping curve."""
    points = leak_points(report)
    if not points:
        return {}
    curve = [r for s in series_of(report, "early stopping") for r in _rows(s)]
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
    line: Spec = {
        "data": {"name": "curve", "values": curve},
        "mark": {
            "type": "line",
            "point": {"size": 22},
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
    colour = {"field": "model", "type": "nominal", "title": None, "sort": None}
    bars: Spec = {
        "mark": {"type": "rule", "strokeWidth": 2},
        "encoding": {
            "x": x,
            "y": {**y, "field": "low"},
            "y2": {"field": "high"},
            "color": colour,
            "opacity": _fade("leak"),
        },
    }
    dots: Spec = {
        "params": [_toggle("leak", "model")],
        "mark": {"type": "point", "filled": True, "size": 110},
        "encoding": {
            "x": x,
            "y": {**y, "field": "auc"},
            "color": colour,
            "opacity": _fade("leak"),
            "tooltip": [
                {"field": "model"},
                {"field": "attack"},
                {"field": "test", "title": "test accuracy", "format": ".3f"},
                {"field": "auc", "title": "AUC", "format": ".3f"},
                {"field": "low", "format": ".3f"},
                {"field": "high", "format": ".3f"},
            ],
        },
    }
    marked: Spec = {"data": {"name": "points", "values": points}, "layer": [bars, dots]}
    return {
        "description": "Scatter plot of test accuracy against the attack's AUC, one point a model.",
        "width": "container",
        "height": 340,
        "layer": [*([line] if curve else []), marked],
        "config": CONFIG,
    }


def roc(report: Report) -> Spec:
    """ROC on log-log axes with bands."""
    values = [
        {k: v for k, v in r.items() if k != "fpr" or v}
        for s in series_of(report, "roc")
        for r in _rows(s, model=label(report, s.subject), attack=short(s.method))
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
                "mark": {"type": "area"},
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
                "params": [_toggle("roc", "model")],
                "mark": {"type": "line", "strokeWidth": 2, "interpolate": "step-after"},
                "encoding": {
                    "x": x,
                    "y": y,
                    "color": colour,
                    "opacity": _fade("roc"),
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


def histograms(report: Report) -> Spec:
    """Score densities, members beside non-members, one panel per model family."""
    values = []
    for s in series_of(report, "histogram"):
        for r in _rows(s):
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
        "facet": {"field": "model", "type": "nominal", "title": None, "sort": None},
        "columns": 2,
        "resolve": {"scale": {"x": "independent", "y": "independent"}},
        "spec": {
            "width": 360,
            "height": 150,
            "params": [_toggle("histograms", "records")],
            "mark": {"type": "bar", "binSpacing": 0},
            "encoding": {
                "x": {
                    "field": "left",
                    "type": "quantitative",
                    "title": "score (larger: more like a member)",
                    "bin": {"binned": True},
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
            },
        },
        "config": CONFIG,
    }


def convergence(report: Report) -> Spec:
    """ADMM's residual per layer and update, log scale."""
    values = [
        r
        for s in series_of(report, "convergence")
        for r in _rows(s, model=label(report, s.subject))
        if r["residual"]
    ]
    if not values:
        return {}
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
                "params": [_toggle("convergence", "layer")],
                "mark": {"type": "line", "point": True, "strokeWidth": 2},
                "encoding": {
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
                    "strokeDash": {"field": "model", "type": "nominal", "title": None},
                    "opacity": _fade("convergence"),
                    "tooltip": [
                        {"field": "model"},
                        {"field": "layer"},
                        {"field": "update"},
                        {"field": "residual", "format": ".4f"},
                        {"field": "rho", "format": ".4g"},
                    ],
                },
            },
        ],
        "config": CONFIG,
    }
