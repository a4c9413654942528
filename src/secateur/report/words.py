"""The answer in plain words; every sentence carries its interval, none gives a verdict."""

from __future__ import annotations

from secateur.report.lookup import best_rows, find, label, short, strongest, subjects
from secateur.report.table import cell
from secateur.types import Measurement, Report

__all__ = ["answer", "compare"]


def compare(row: Measurement) -> str:
    """Say what a paired difference's interval carries.

    Example:
        >>> from dataclasses import replace
        >>> row = Measurement(subject="a", versus="b", risk="membership", method="m", metric="auc",
        ...                   value=-0.1, low=-0.2, high=-0.05)
        >>> compare(row), compare(replace(row, high=0.01))
        ('leaks less', 'no detectable difference')
    """
    if row.low is None or row.high is None:
        return "not measured"
    if row.high < 0:
        return "leaks less"
    if row.low > 0:
        return "leaks more"
    return "no detectable difference"


def answer(report: Report) -> list[str]:
    """Return the first screen's sentences, most important first."""
    names = subjects(report)
    if not names:
        return ["The report holds no measurements."]
    baseline = str(report.facts.get("baseline", names[0]))
    found = [_attacker(report, baseline)]
    kinds = {s: dict(report.facts.get("subjects", {}).get(s, {})).get("kind", "") for s in names}
    for subject in names:
        if kinds[subject] == "pruned":
            found += _pruned(report, subject, baseline)
    raised = sorted({c.id for c in report.controls if c.status == "raised"})
    if raised:
        found.append(
            f"Read with care: the controls {', '.join(raised)} are raised; each is explained below."
        )
    found.append(
        "What is not known: whether a stronger attack finds more, and how much a single person is "
        "exposed. An audit is a lower bound on leakage, not a guarantee."
    )
    return found


def _attacker(report: Report, subject: str) -> str:
    rows = best_rows(report, subject)
    data = dict(report.facts.get("data", {})).get("name", "these records")
    text = (
        f"On {data}, an attacker who sees the outputs of a {label(report, subject)} model tells "
        f"its members "
        f"from non-members with an AUC of {cell(rows['auc'])}, where 0.5 is a coin"
    )
    tpr = rows["tpr"]
    if tpr is not None and tpr.value is not None:
        at = tpr.metric.removeprefix("tpr at ").removesuffix(" fpr")
        text += (
            f"; raising a false alarm for {at} of non-members he finds "
            f"{cell(tpr, percent=True, digits=1)} % of the members"
        )
    return f"{text} ({short(strongest(report, subject))})."


def _pruned(report: Report, subject: str, baseline: str) -> list[str]:
    rows = best_rows(report, subject)
    name = label(report, subject)
    method = strongest(report, subject)
    text = (
        f"{name} keeps {cell(rows['kept'], percent=True, digits=1)} % of the weights at a test "
        f"accuracy of "
        f"{cell(rows['test'], percent=True, digits=1)} %; its strongest attack reaches an AUC of "
        f"{cell(rows['auc'])}"
    )
    against = find(report, subject, "auc", method=method, versus=baseline)
    if against is not None:
        text += (
            f". Against the {label(report, baseline)} model trained to the end: {compare(against)} "
            f"({cell(against)} by {short(method)})"
        )
    found = [f"{text}."]
    by_view: dict[str, list[str]] = {}
    for match in report.facts.get("matched", []):
        if match["subject"] == subject:
            by_view.setdefault(match["view"], []).append(match["by"])
    for view, reasons in by_view.items():
        row = find(report, subject, "auc", method=method, versus=view)
        if row is not None:
            nearest = " and ".join(_nearest(report, by, view, subject) for by in reasons)
            found.append(
                f"Against {label(report, view)}, the dense training stopped at the nearest "
                f"{nearest}: {name} {_verb(row)} ({cell(row)})."
            )
    weak = find(report, subject, "auc", method=method, naive=True)
    if weak is not None and weak.value is not None:
        found.append(
            f"An attacker who does not prune his own reference models would have reported "
            f"{cell(weak)} for "
            f"{name}: a flattering number, shown only as a warning."
        )
    return found


def _nearest(report: Report, metric: str, view: str, subject: str) -> str:
    """Name the accuracy that was matched, with how near the match is."""
    stopped, own = find(report, view, metric), find(report, subject, metric)
    if stopped is None or own is None or stopped.value is None or own.value is None:
        return metric
    return f"{metric} ({100 * stopped.value:.1f} % beside {100 * own.value:.1f} %)"


def _verb(row: Measurement) -> str:
    text = compare(row)
    return f"shows {text}" if text.startswith("no ") else text
