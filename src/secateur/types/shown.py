"""A report in a notebook: one short line, and one small table; text and nothing that runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape
from typing import TYPE_CHECKING, Any

from secateur.types.phrases import ALONE

if TYPE_CHECKING:
    from secateur.types.report import Measurement, Report

__all__ = ["as_html", "as_line", "as_measurement", "as_table", "told"]

HEADERS = ("model", "attack", "AUC", "TPR at FPR", "accuracy gap")
LOWER_BOUND = "A lower bound on the leak, never a guarantee: a stronger attack may find more."
CAUTIONS = 6


def as_line(report: Report) -> str:
    """Return one short line: the first model's attack, and how many controls are raised."""
    first = next(_subjects(report), None)
    leak = ""
    if first is not None:
        row = _find(report, first, "auc", _strongest(report, first))
        leak = f", AUC {told(row)}" if row is not None else ""
    raised = len({c.id for c in report.controls if c.status == "raised"})
    return (
        f"<Report {report.title!r}{leak}: {len(report.rows)} rows, {raised} of "
        f"{len({c.id for c in report.controls})} controls raised>"
    )


def as_html(report: Report) -> str:
    """Return a compact table: each model's attacks, the one that was chosen first and in bold.

    All text of users is escaped; no scripts, no style sheets, no addresses.
    """
    lines = [_row(HEADERS, "th")]
    for subject in _subjects(report):
        lines += _lines_of(report, subject)
    cautions = [f"<li><b>{escape(c.id)}</b>: {escape(c.saw)}</li>" for c in _raised(report)]
    hidden = sum(c.status == "raised" for c in report.controls) - len(cautions)
    if hidden > 0:
        cautions.append(f"<li>and {hidden} further controls are raised</li>")
    beyond = [str(line) for line in report.facts.get("limits", []) if str(line).startswith(ALONE)]
    closing = [*beyond, LOWER_BOUND]
    cautions += [f"<li>{escape(line)}</li>" for line in closing]
    return (
        f"<div><p><b>{escape(report.title)}</b><br>{escape(_intervals(report))}</p>"
        f"<table>{''.join(lines)}</table><ul>{''.join(cautions)}</ul></div>"
    )


def as_table(title: str, lines: Iterable[tuple[object, ...]], headers: tuple[str, ...] = ()) -> str:
    """Return a small table under a title, all text escaped.

    Example:
        >>> as_table("Sizes", [("models", 3)])
        '<div><p><b>Sizes</b></p><table><tr><td>models</td><td>3</td></tr></table></div>'
    """
    body = "".join(_row(tuple(map(str, line))) for line in lines)
    head = _row(headers, "th") if headers else ""
    return f"<div><p><b>{escape(title)}</b></p><table>{head}{body}</table></div>"


def as_measurement(row: Measurement) -> str:
    """Return a measurement as a small table: value, interval, estimand and counts."""
    about = {"value": told(row), "interval": f"{row.interval}, {row.confidence:.0%}"}
    if row.low is None and row.high is None:
        about.pop("interval")
    about |= {"why": row.why, "estimand": row.estimand, "of": row.method, "group": row.group}
    about |= {name: f"{count:g}" for name, count in row.counts.items()}
    title = f"{row.subject}: {row.metric}" + (f" minus {row.versus}" if row.versus else "")
    return as_table(title, [(k, v) for k, v in about.items() if v])


def _row(cells: tuple[str, ...], tag: str = "td", *, bold: bool = False) -> str:
    text = (f"<b>{escape(c)}</b>" if bold else escape(c) for c in cells)
    return "<tr>" + "".join(f"<{tag}>{t}</{tag}>" for t in text) + "</tr>"


def _subjects(report: Report) -> Iterator[str]:
    attacked = (r.subject for r in report.rows if r.risk == "membership" and r.metric == "auc")
    yield from dict.fromkeys(attacked)


def _lines_of(report: Report, subject: str) -> list[str]:
    best = _strongest(report, subject)
    rows = [r for r in report.rows if _speaks(r, subject) and r.metric == "auc"]
    rows.sort(key=lambda r: r.method != best)
    found = []
    for row in rows:
        attack = row.method + (f" ({row.threat})" if row.threat == "naive" else "")
        tpr = _tpr(report, subject, row.method, row.threat)
        gap = _gap(report, subject) if row is rows[0] else ""
        cells = (_label(report, subject), attack, told(row), tpr, gap)
        found.append(_row(cells, bold=row.method == best and row.threat != "naive"))
    return found


def _speaks(row: Measurement, subject: str) -> bool:
    return row.subject == subject and row.group == "all" and not row.versus


def _find(report: Report, subject: str, metric: str, method: str = "") -> Measurement | None:
    fits = (r for r in report.rows if _speaks(r, subject) and r.metric == metric)
    return next((r for r in fits if r.threat != "naive" and method in ("", r.method)), None)


def _strongest(report: Report, subject: str) -> str:
    chosen = dict(report.facts.get("strongest", {}))
    return str(chosen.get(subject, ""))


def _label(report: Report, subject: str) -> str:
    facts: dict[str, Any] = dict(report.facts.get("subjects", {}))
    return str(dict(facts.get(subject, {})).get("label", subject))


def _tpr(report: Report, subject: str, method: str, threat: str) -> str:
    rows = [
        r
        for r in report.rows
        if _speaks(r, subject)
        and (r.method, r.threat) == (method, threat)
        and r.metric.startswith("tpr at ")
    ]
    row = next((r for r in rows if r.value is not None), rows[0] if rows else None)
    if row is None:
        return "-"
    at = row.metric.removeprefix("tpr at ").removesuffix(" fpr")
    return f"{told(row)} at {at}"


def _gap(report: Report, subject: str) -> str:
    """Return by how much a model is more often right on members than on others."""
    own = _find(report, subject, "accuracy gap")
    if own is not None:
        return told(own)
    train, test = (_find(report, subject, f"{what} accuracy") for what in ("train", "test"))
    if train is None or test is None or train.value is None or test.value is None:
        return "-"
    return f"{train.value - test.value:.3f}"


def told(row: Measurement) -> str:
    """Return a value with its interval, or why there is none."""
    if row.value is None:
        return row.status
    ends = row.low is not None and row.high is not None
    return f"{row.value:.3f}" + (f" [{row.low:.3f}, {row.high:.3f}]" if ends else "")


def _raised(report: Report) -> list[Any]:
    found = [c for c in report.controls if c.status == "raised"]
    first = ("given-model", "blind-baseline")  # they void most
    found.sort(key=lambda c: first.index(c.id) if c.id in first else len(first))
    return found[:CAUTIONS]


def _intervals(report: Report) -> str:
    estimands = {r.estimand for r in report.rows if r.metric == "auc" and r.low is not None}
    if estimands == {"this model"}:
        return "This model's risk; [ ] are 95 % intervals over persons. AUC 0.5 is a coin."
    return "Risk of the pipeline; [ ] are 95 % intervals. AUC 0.5 is a coin."
