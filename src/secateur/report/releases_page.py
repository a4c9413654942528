"""One self-contained HTML page of several reports: same reports, same bytes; nothing is fetched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from secateur.report.charts.releases import releases_chart
from secateur.report.html import GLOSSARY, drawn, environment
from secateur.report.lookup import find, strongest
from secateur.report.releases import (
    DIFFERENCE_HEADERS,
    HEADERS,
    difference_table,
    notes,
    releases,
    releases_table,
)
from secateur.types import Report

__all__ = ["release_points", "render_releases_page"]

CAPTION = (
    "The AUC of the strongest attack on each release, with 95 % intervals; the dashed line is a "
    "coin. Intervals that overlap say little about a difference: where the reports share a "
    "membership, the paired differences above do."
)
WORDS = {"target", "reference", "member", "AUC", "TPR at an FPR", "pipeline risk"}


def release_points(reports: Mapping[str, Report]) -> list[dict[str, Any]]:
    """Return what the chart shows: each release's AUC and its interval."""
    found = []
    for release in releases(reports):
        report, subject = release.report, release.subject
        row = find(report, subject, "auc", method=strongest(report, subject))
        if row is not None and row.value is not None:
            ends = {"auc": row.value, "low": row.low, "high": row.high}
            found.append({"release": release.shown, "report": release.name, **ends})
    return found


def render_releases_page(reports: Mapping[str, Report]) -> str:
    """Return the page.

    Args:
        reports: by name, at least two; the others are compared with the first.

    Returns:
        HTML below 2 MB with scripts, styles and data inside.

    Raises:
        MissingExtraError: vl-convert is not installed.
    """
    specs = [("releases", CAPTION, releases_chart(release_points(reports)))]
    charts, bundle = drawn([chart for chart in specs if chart[-1]])
    page = (
        environment()
        .get_template("releases.html.j2")
        .render(
            names=list(reports),
            charts=charts,
            bundle=bundle,
            main=releases_table(reports),
            headers=HEADERS,
            changed=difference_table(reports),
            changed_headers=DIFFERENCE_HEADERS,
            notes=notes(reports),
            sources=[
                (name, report.title, str(report.facts.get("command", "")), _made(report))
                for name, report in reports.items()
            ],
            glossary=[(word, meaning) for word, meaning in GLOSSARY if word in WORDS],
        )
    )
    return page + "\n"


def _made(report: Report) -> str:
    return str(report.provenance.context.get("made", ""))
