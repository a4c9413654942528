"""One self-contained HTML page from a sweep: same sweep, same bytes; nothing is fetched."""

from __future__ import annotations

from secateur.report.charts.epsilon import epsilon_chart
from secateur.report.charts.sweep import sweep_chart
from secateur.report.html import GLOSSARY, drawn, environment
from secateur.report.sweep_matched import MATCHED_HEADERS, MATCHED_TITLE, matched_table
from secateur.report.sweep_table import (
    DENSE_TITLE,
    FULL_HEADERS,
    HEADERS,
    against_dense,
    against_headers,
    full_table,
    sweep_table,
)
from secateur.report.sweep_words import notes, pick_words, smoke
from secateur.types import Sweep

__all__ = ["render_sweep_page"]

CAPTION = (
    "One point a case, with 95 % intervals; ringed are those on the front of accuracy, leak and "
    "kept weights. The grey line, one per seed, is the dense model while it trains: a case is "
    "worth something for privacy only where it lies below that line. Point at a mark to see its "
    "case; click a name to see its method alone."
)
WORDS = {
    "target",
    "reference",
    "AUC",
    "TPR at an FPR",
    "naive",
    "pipeline risk",
}
MORE_WORDS = (
    ("seed", "of one world: its records' draw, its members, its models"),
    ("kept weights", "share of the dense network's prunable weights that are not zero"),
    (
        "bytes",
        "of the largest target: non-zeros and one bit per place, or all, if that is less",
    ),
    (
        "front",
        "the cases of which no other one is at least as good in accuracy, leak and size, and "
        "better in one of them",
    ),
    (
        "dense at no less test acc.",
        "the dense model, stopped at the first epoch of at least the case's test accuracy",
    ),
    (
        "dense at equal test acc.",
        "the dense model, stopped at the epoch of the nearest test accuracy",
    ),
    ("paper's attack", "NasrAttack, by which the paper measures; accuracy 50 % is a coin"),
    ("epsilon, accounted", "what DP-SGD's noise promises: an upper bound, whatever the attack"),
    (
        "epsilon, audited",
        "the lower bound that the strongest attack shows: a smaller one is refuted",
    ),
)
EPSILON_CAPTION = (
    "What differential privacy costs: test accuracy over the epsilon that the training's noise "
    "accounts for, at delta 1e-5, for neighbours that differ in one record; less epsilon promises "
    "more. Vertical lines are 95 % intervals, the dashed level is the dense model. Settings that "
    "were tried on the same members are not accounted for."
)


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
            warnings=smoke(sweep),
            notes=notes(sweep),
            against=against_dense(sweep),
            against_headers=against_headers(sweep),
            against_title=DENSE_TITLE,
            matched=matched_table(sweep),
            matched_headers=MATCHED_HEADERS,
            matched_title=MATCHED_TITLE,
            full=full_table(sweep),
            full_headers=FULL_HEADERS,
            pipelines=[(p.case, p.steps) for p in sweep.over_seeds() if p.steps],
            context=dict(sweep.provenance.context),
            glossary=[*((w, meaning) for w, meaning in GLOSSARY if w in WORDS), *MORE_WORDS],
        )
    )
    return page + "\n"
