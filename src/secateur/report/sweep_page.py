"""One self-contained HTML page from a sweep: same sweep, same bytes; nothing is fetched."""

from __future__ import annotations

from secateur.report.charts.epsilon import epsilon_chart
from secateur.report.charts.sweep import sweep_chart
from secateur.report.html import GLOSSARY, drawn, environment
from secateur.report.sweep_table import (
    DENSE_HEADERS,
    FULL_HEADERS,
    HEADERS,
    against_dense,
    full_table,
    notes,
    pick_words,
    sweep_table,
)
from secateur.types import Sweep

__all__ = ["render_sweep_page"]

CAPTION = (
    "One point a case, with 95 % intervals; ringed are those on the front of accuracy, leak and "
    "kept weights. The line is the dense model while it trains: a case is worth something for "
    "privacy only where it lies below that line."
)
EPSILON_CAPTION = (
    "What differential privacy costs: test accuracy over the epsilon that the training's noise "
    "accounts for, at delta 1e-5, for neighbours that differ in one record; less epsilon promises "
    "more. Vertical lines are 95 % intervals, the dashed level is the dense model. Settings that "
    "were tried on the same members are not accounted for."
)
WORDS = {"target", "reference", "AUC", "TPR at an FPR", "naive", "pipeline risk"}


def render_sweep_page(sweep: Sweep) -> str:
    """Return the page.

    Args:
        sweep: any sweep; charts appear where cases have what they show: accuracy and leak, or
            accuracy and an accounted epsilon.

    Returns:
        HTML below 2 MB with scripts, styles and data inside.

    Raises:
        MissingExtraError: vl-convert is not installed.
    """
    specs = (
        ("sweep", CAPTION, sweep_chart(sweep)),
        ("epsilon", EPSILON_CAPTION, epsilon_chart(sweep)),
    )
    charts, bundle = drawn([chart for chart in specs if chart[-1]])
    page = (
        environment()
        .get_template("sweep.html.j2")
        .render(
            sweep=sweep,
            facts=dict(sweep.facts),
            picked=pick_words(sweep),
            charts=charts,
            bundle=bundle,
            main=sweep_table(sweep),
            headers=HEADERS,
            notes=notes(sweep),
            against=against_dense(sweep),
            against_headers=DENSE_HEADERS,
            full=full_table(sweep),
            full_headers=FULL_HEADERS,
            pipelines=[(p.case, p.steps) for p in sweep.over_seeds() if p.steps],
            context=dict(sweep.provenance.context),
            glossary=[(word, meaning) for word, meaning in GLOSSARY if word in WORDS],
        )
    )
    return page + "\n"
