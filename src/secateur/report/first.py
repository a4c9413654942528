"""The first screen: the answer in a sentence, one card a model, and what is not known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from secateur.report.cells import cell, gap_words
from secateur.report.lookup import best_rows, consequences, find, label, short, strongest, subjects
from secateur.report.notes import alone_words, doubts, raised_ids, simpler_words
from secateur.report.paired import difference
from secateur.report.words import NO_LESS, attacker, changed, compare
from secateur.types import Measurement, Report

__all__ = ["Screen", "first_screen"]


@dataclass(frozen=True, kw_only=True)
class Screen:
    """What stands on the first screen, in this order; `more` is folded.

    `cards` holds of every shipped model its name and (term, text) pairs.
    """

    doubts: tuple[str, ...]
    lead: str
    cards: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    whom: tuple[str, ...]
    raised: tuple[str, ...]
    unknown: tuple[str, ...]
    more: tuple[str, ...]


def first_screen(report: Report) -> Screen:
    """Return the first screen of a report, without a verdict."""
    names = subjects(report)
    if not names:
        empty = "The report holds no measurements."
        return Screen(doubts=(), lead=empty, cards=(), whom=(), raised=(), unknown=(), more=())
    baseline = str(report.facts.get("baseline", names[0]))
    shipped = [s for s in names if _kind(report, s) != "stopped"]
    lead = " ".join([attacker(report, baseline), *simpler_words(report)])
    whom = [_by_group(report, baseline), _exposed(report, baseline)]
    return Screen(
        doubts=tuple(doubts(report)),
        lead=lead,
        cards=tuple((label(report, s), tuple(_card(report, s, baseline))) for s in shipped),
        whom=tuple(text for text in whom if text),
        raised=raised_ids(report),
        unknown=tuple(_unknown(report, grouped=bool(whom[0]), exposed=bool(whom[1]))),
        more=tuple(line for s in shipped for line in changed(report, s, baseline)),
    )


def _kind(report: Report, subject: str) -> str:
    return str(dict(report.facts.get("subjects", {}).get(subject, {})).get("kind", ""))


def _card(report: Report, subject: str, baseline: str) -> list[tuple[str, str]]:
    rows = best_rows(report, subject)
    tpr = rows["tpr"]
    found = [*_accuracies(rows), ("size", _size(report, subject))]
    found.append(("attacker's AUC", f"{cell(rows['auc'])} by {short(strongest(report, subject))}"))
    if tpr is not None and tpr.value is not None:
        at = tpr.metric.removeprefix("tpr at ").removesuffix(" fpr")
        found.append((f"members found at {at} false alarms", _percent(tpr)))
    if subject == baseline:
        return found
    found.append(
        (f"beside {label(report, baseline)}", _said(difference(report, subject, baseline)))
    )
    view = _matched(report, subject)
    if view:
        stopped = find(report, view, "test accuracy")
        at = "" if stopped is None or stopped.value is None else f" ({100 * stopped.value:.1f} %)"
        term = f"beside {label(report, baseline)} stopped at no less test accuracy{at}"
        found.append((term, _said(difference(report, subject, view))))
    return found


def _accuracies(rows: dict[str, Measurement | None]) -> list[tuple[str, str]]:
    """Return the test accuracy; where nobody kept records for it, that on non-members, and the gap.

    The latter two are of the records that the audit asks about.
    """
    if rows["test"] is not None or rows["others"] is None:
        return [("test accuracy", _percent(rows["test"]))]
    gap = gap_words(rows)
    return [
        ("accuracy on non-members", _percent(rows["others"])),
        *([("above it on members", f"{gap} points")] if gap else []),
    ]


def _percent(row: Measurement | None) -> str:
    text = cell(row, percent=True, digits=1)
    return f"{text} %" if row is not None and row.value is not None else text


def _said(row: Measurement | None) -> str:
    if row is None or row.value is None:
        return "not measured"
    return f"{compare(row)} (AUC {cell(row)})"


def _size(report: Report, subject: str) -> str:
    file = find(report, subject, "bytes of the file")
    size = file or find(report, subject, "bytes of all tensors")
    kept = find(report, subject, "kept of the baseline's weights") or find(
        report, subject, "kept weights"
    )
    told = []
    if size is not None and size.value is not None:
        told.append(f"{size.value:,.0f} bytes {'in its file' if file else 'as tensors'}")
    if kept is not None and kept.value is not None:
        told.append(f"{100 * kept.value:.1f} % of the weights")
    return ", ".join(told) or "not known"


def _matched(report: Report, subject: str) -> str:
    """Return the early-stopped view that is no less accurate; empty where there is none."""
    views: dict[str, Any] = {
        m["by"]: m["view"] for m in report.facts.get("matched", []) if m["subject"] == subject
    }
    return str(views.get(f"{NO_LESS}test accuracy", ""))


def _by_group(report: Report, subject: str) -> str:
    rows = [
        r
        for r in report.rows
        if (r.subject, r.metric, r.method) == (subject, "auc", strongest(report, subject))
        and r.group != "all"
        and r.value is not None
    ]
    if not rows:
        return ""
    if len(rows) == 1:
        return f"Of the groups one was large enough: {rows[0].group}, AUC {cell(rows[0])}."
    low, high = (pick(rows, key=lambda r: r.value or 0.0) for pick in (min, max))
    return (
        f"By group: of {len(rows)} groups the AUC is lowest in {low.group}, {cell(low)}, and "
        f"highest in {high.group}, {cell(high)}. The highest of many is flattered by the choice."
    )


def _exposed(report: Report, subject: str) -> str:
    row = consequences(report, subject)["exposed"]
    if row is None or row.value is None:
        return ""
    return (
        f"Single records: the {row.counts['records']:g} that looked most exposed on one half of "
        f"the models are called right in {cell(row, percent=True, digits=1)} % of the other half "
        "(balanced; 50 is a coin)."
    )


def _unknown(report: Report, *, grouped: bool, exposed: bool) -> list[str]:
    found = alone_words(report)
    found.append(
        "Whether a stronger attack finds more: an audit is a lower bound on leakage, not a "
        "guarantee."
    )
    if not exposed:
        found.append("How much a single person is exposed: the numbers are means over records.")
    if not grouped:
        found.append(
            "Whether some groups are more exposed than others: none were measured. Where the "
            "records are at hand, an audit measures them by --group COLUMN."
        )
    return found
