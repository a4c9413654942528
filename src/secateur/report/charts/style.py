"""How every chart looks, and how its legend toggles."""

from __future__ import annotations

from typing import Any

from secateur.types import Series

__all__ = ["CONFIG", "Spec", "fade", "rows_of", "toggle"]

Spec = dict[str, Any]

COLOURS = [
    *("#3b6fb6", "#c8553d", "#4d9078", "#8e6c8a", "#b8860b", "#5f7d8c", "#a23b72", "#2f6f4f"),
    *("#e08e45", "#6fa8dc", "#7f5539", "#222222"),
]
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
        "titleFontWeight": "normal",
        "labelFontSize": 12,
        "symbolOpacity": 1,
    },
    "header": {"labelColor": "#7a7f87", "labelFontSize": 12},
    "range": {"category": COLOURS},
}


def toggle(name: str, field: str) -> Spec:
    """Return the parameter by which clicks on the legend choose what stands out."""
    return {
        "name": f"toggle_{name}",
        "select": {"type": "point", "fields": [field], "toggle": "true"},
        "bind": "legend",
    }


def fade(name: str) -> Spec:
    """Return the opacity of what is chosen and of what is not."""
    return {"condition": {"param": f"toggle_{name}", "value": 1}, "value": 0.08}


def rows_of(series: Series, **extra: str) -> list[dict[str, Any]]:
    """Return a series row by row, each with further fields."""
    names = list(series.columns)
    return [
        {**extra, **dict(zip(names, values, strict=True))}
        for values in zip(*series.columns.values(), strict=True)
    ]
