"""The charts of a report in a notebook: pictures that run nothing and ask nothing."""

from __future__ import annotations

from base64 import b64encode
from html import escape
from typing import TYPE_CHECKING

from secateur.errors import MissingExtraError
from secateur.report.charts import charts
from secateur.report.html import still

if TYPE_CHECKING:
    from secateur.types import Report

__all__ = ["pictures"]

SHOWN = ("roc", "leak")
REACTS = " Click the legend to toggle."


def pictures(report: Report) -> str:
    """Return the ROC and the leak beside the accuracy as pictures, where a report has them.

    Args:
        report: of an audit.

    Returns:
        HTML of images whose data stand in it, so that scripts cannot run; empty without series or
        without the extra `report`, which draws.

    Example:
        >>> from secateur.types import Report
        >>> pictures(Report(title="Audit", rows=()))
        ''
    """
    found = [chart for chart in charts(report) if chart[0] in SHOWN]
    if not found:
        return ""
    try:
        return "".join(
            _picture(still(spec), spec["description"], caption.removesuffix(REACTS))
            for _, caption, spec in found
        )
    except MissingExtraError:
        return "<p>Charts need the extra: pip install 'secateur[report]'.</p>"


def _picture(svg: str, about: str, caption: str) -> str:
    data = b64encode(svg.encode()).decode("ascii")
    return (
        f'<figure><img style="max-width:100%;background:white" alt="{escape(about)}" '
        f'src="data:image/svg+xml;base64,{data}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )
