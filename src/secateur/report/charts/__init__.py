"""Charts as plain Vega-Lite: functions of the report, so that tests can read their data."""

from __future__ import annotations

from secateur.report.charts.groups import group_points, groups
from secateur.report.charts.leak import leak, leak_points
from secateur.report.charts.panels import convergence, histograms
from secateur.report.charts.roc import roc
from secateur.report.charts.style import Spec
from secateur.types import Report

__all__ = [
    "Spec",
    "charts",
    "convergence",
    "group_points",
    "groups",
    "histograms",
    "leak",
    "leak_points",
    "roc",
]


def charts(report: Report) -> list[tuple[str, str, Spec]]:
    """Return (name, caption, specification) of every chart that the report has data for."""
    found = [
        (
            "leak",
            "Accuracy against leak, with 95 % intervals. The line is the dense model while it "
            "trains: "
            "pruning is worth something for privacy only where its point lies below that line. The "
            "area of a point is its bytes, where they differ. Ringed: no other point is at least "
            "as good in accuracy, AUC and bytes and better in one; intervals are not looked at.",
            leak(report),
        ),
        (
            "roc",
            "How many members are found at how many false alarms, log-log, strongest attack per "
            f"model, {_curve_of(report)}. The dashed line is a coin. Click the legend to toggle.",
            roc(report),
        ),
        (
            "groups",
            "AUC of the strongest attack within each group, with 95 % intervals that are not "
            "corrected for the number of groups. The dashed line is a coin.",
            groups(report),
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


def _curve_of(report: Report) -> str:
    if dict(report.facts.get("models", {})).get("targets") == 1:
        return "of this one model, with a 95 % band over its records"
    return "mean over targets with a 95 % band"
