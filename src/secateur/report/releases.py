"""Several reports side by side, and what changed between those that can be paired."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from secateur.report.cells import test_cell
from secateur.report.lookup import best_rows, find, label, short, strongest, subjects
from secateur.report.paired import Pairable, paired, unpaired_because
from secateur.report.table import cell
from secateur.report.words import compare
from secateur.types import Measurement, Report

__all__ = [
    "DIFFERENCE_HEADERS",
    "HEADERS",
    "Release",
    "difference_table",
    "lowest_tpr",
    "notes",
    "releases",
    "releases_table",
    "render_releases",
]

HEADERS = (
    "report",
    "model",
    "test acc. %",
    "strongest attack",
    "AUC",
    "TPR % at FPR",
    "bytes",
    "ms, 1 record",
    "controls raised",
)
DIFFERENCE_HEADERS = ("second - first", "test acc., points", "AUC", "TPR, points", "leak", "note")
METRICS: tuple[Pairable, ...] = ("test accuracy", "auc", "tpr")
LEFT = {"report", "model", "strongest attack", "controls raised", "second - first", "leak", "note"}


@dataclass(frozen=True, kw_only=True)
class Release:
    """One model family of one report; `name` is what the report is called."""

    name: str
    report: Report
    subject: str

    @property
    def shown(self) -> str:
        """Both names."""
        return f"{self.name}: {label(self.report, self.subject)}"


def releases(reports: Mapping[str, Report]) -> list[Release]:
    """Return the model families of all reports; early-stopped views are none."""
    return [
        Release(name=name, report=report, subject=subject)
        for name, report in reports.items()
        for subject in subjects(report)
        if dict(report.facts.get("subjects", {}).get(subject, {})).get("kind") != "stopped"
    ]


def lowest_tpr(report: Report, subject: str) -> Measurement | None:
    """Return the strongest attack's TPR at the lowest FPR that the report resolves."""
    method = strongest(report, subject)
    rows = [
        row
        for row in report.rows
        if (row.subject, row.method, row.versus, row.group) == (subject, method, "", "all")
        and row.metric.startswith("tpr at ")
        and row.threat != "naive"
    ]
    measured = [row for row in rows if row.value is not None]
    return min(measured, key=_fpr_of) if measured else (rows[0] if rows else None)


def _fpr_of(row: Measurement) -> float:
    return float(row.metric.removeprefix("tpr at ").removesuffix("% fpr"))


def releases_table(reports: Mapping[str, Report]) -> list[dict[str, str]]:
    """Return one row per report and model family; keys are `HEADERS`."""
    found = []
    for release in releases(reports):
        report, subject = release.report, release.subject
        method = strongest(report, subject)
        tpr = lowest_tpr(report, subject)
        at = "" if tpr is None else tpr.metric.removeprefix("tpr at ").removesuffix(" fpr")
        values = (
            release.name,
            label(report, subject),
            test_cell(best_rows(report, subject)),
            short(method),
            cell(find(report, subject, "auc", method=method)),
            "-" if tpr is None else f"{cell(tpr, percent=True, digits=1)} at {at}",
            _bytes(report, subject),
            _time(report, subject),
            ", ".join(_raised(report, subject)) or "none",
        )
        found.append(dict(zip(HEADERS, values, strict=True)))
    return found


def _bytes(report: Report, subject: str) -> str:
    file = find(report, subject, "bytes of the file")
    row = file or find(report, subject, "bytes of all tensors")
    if row is None or row.value is None:
        return "-"
    return f"{row.value:,.0f}" + ("" if file else " (tensors)")


def _time(report: Report, subject: str) -> str:
    row = find(report, subject, "latency, 1 record")
    if row is None or row.value is None:
        return "-"
    return f"{row.value:.3g} (p95 {row.counts.get('p95', row.value):.3g})"


def _raised(report: Report, subject: str) -> list[str]:
    """Return the controls that are raised on a subject, or on the audit as a whole."""
    others = set(subjects(report)) - {subject}
    raised = (c.id for c in report.controls if c.status == "raised" and c.subject not in others)
    return list(dict.fromkeys(raised))


def _pairs(reports: Mapping[str, Report]) -> list[tuple[Release, Release]]:
    """Return (first, second): each family of a later report beside that of the same name in the
    first one, or beside all of them where there is none of its name.
    """
    every = releases(reports)
    first = next(iter(reports))
    base = [r for r in every if r.name == first]
    found = []
    for new in (r for r in every if r.name != first):
        same = [old for old in base if old.subject == new.subject]
        found += [(old, new) for old in same or base]
    return found


def difference_table(reports: Mapping[str, Report]) -> list[dict[str, str]]:
    """Return what changed from the first report to each other that shares its membership.

    Keys are `DIFFERENCE_HEADERS`; differences are second minus first, paired over the targets.
    Empty where no report can be paired with the first.
    """
    found = []
    for old, new in _pairs(reports):
        if unpaired_because(old.report, new.report):
            continue
        name = f"{new.shown} - {old.shown}"
        if _same_models(old, new):
            note = "the same models"
            line = (name, "-", "-", "-", "-", note)
        else:
            rows = {
                metric: paired((new.report, new.subject), (old.report, old.subject), metric)
                for metric in METRICS
            }
            whys = [r.why.removeprefix("paired over the same targets") for r in rows.values()]
            line = (
                name,
                cell(rows["test accuracy"], percent=True, digits=1),
                cell(rows["auc"]),
                _at(rows["tpr"]),
                compare(rows["auc"]),
                "; ".join(dict.fromkeys(filter(None, (w.lstrip("; ") for w in whys)))),
            )
        found.append(dict(zip(DIFFERENCE_HEADERS, line, strict=True)))
    return found


def _at(row: Measurement) -> str:
    at = row.metric.removeprefix("tpr at ").removesuffix(" fpr")
    shown = cell(row, percent=True, digits=1)
    return shown if row.value is None else f"{shown} at {at}"


def _same_models(old: Release, new: Release) -> bool:
    fleets = [dict(r.report.provenance.key.get("fleets", {})).get(r.subject) for r in (old, new)]
    return fleets[0] is not None and fleets[0] == fleets[1]


def notes(reports: Mapping[str, Report]) -> list[str]:
    """Return what to know before two reports are compared, one sentence or two each."""
    (first, base), *others = reports.items()
    found = []
    for name, report in others:
        if why := unpaired_because(base, report):
            found.append(
                f"No differences are shown between {first} and {name}: {why}. Their intervals "
                "stand side by side, and whether they differ is not tested."
            )
        found += _unlike(first, base, name, report)
    if any(dict(r.facts.get("models", {})).get("targets") == 1 for r in reports.values()):
        found.append("Intervals of a single model are over its records, not over its pipeline.")
    found.append(
        "[ ] = 95 % intervals. Each model stands under the attack that was the strongest on its "
        "references. Below zero is less leak. An audit is an empirical lower bound on leakage, "
        "never a guarantee."
    )
    return found


def _unlike(first: str, base: Report, name: str, report: Report) -> list[str]:
    """Say in what two audits differ, since a weaker audit finds less."""
    keys = (base.provenance.key, report.provenance.key)
    found = []
    here, there = (set(key.get("attacks", ())) for key in keys)
    for owner, alone in ((first, here - there), (name, there - here)):
        if alone:
            found.append(
                f"Only {owner} was attacked by {', '.join(sorted(map(short, alone)))}: an audit "
                "with fewer attacks may find less."
            )
    for what in ("queries", "audit"):
        if keys[0].get(what) != keys[1].get(what):
            word = {"queries": "queries", "audit": "revision of the audit"}[what]
            found.append(
                f"The {word} differs: {keys[0].get(what, 'not said')} in {first}, "
                f"{keys[1].get(what, 'not said')} in {name}."
            )
    counts = [dict(r.facts.get("models", {})).get("references") for r in (base, report)]
    if counts[0] != counts[1]:
        found.append(
            f"References differ in number, {counts[0]} in {first} and {counts[1]} in {name}: more "
            "of them make attacks stronger."
        )
    machines = [r.provenance.context.get("processor") for r in (base, report)]
    if all(_timed(r) for r in (base, report)) and machines[0] != machines[1]:
        found.append(f"Times of {first} and {name} are of different processors.")
    return found


def _timed(report: Report) -> bool:
    return any(row.metric.startswith("latency") for row in report.rows)


def render_releases(reports: Mapping[str, Report], width: int = 150) -> str:
    """Return the tables and their notes as plain text.

    Args:
        reports: by name, at least two; the others are compared with the first.
        width: in characters.
    """
    buffer = io.StringIO()
    console = Console(file=buffer, width=width, color_system=None)
    console.print(_table("Side by side", HEADERS, releases_table(reports)))
    changed = difference_table(reports)
    if changed:
        title = "What changed, paired over the same targets"
        console.print(_table(title, DIFFERENCE_HEADERS, changed))
    for sentence in notes(reports):
        console.print(sentence, markup=False, highlight=False)
    return buffer.getvalue().rstrip()


def _table(title: str, headers: Sequence[str], lines: Sequence[Mapping[str, str]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", padding=(0, 1, 0, 0))
    for header in headers:
        table.add_column(header, justify="left" if header in LEFT else "right", overflow="fold")
    for line in lines:
        table.add_row(*(escape(line[header]) for header in headers))
    return table
