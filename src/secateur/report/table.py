"""The report as tables: plain rows for the page and the tests, text for the terminal."""

from __future__ import annotations

import io
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from secateur.report.cells import cell, test_cell
from secateur.report.lookup import (
    PRIORS,
    best_rows,
    consequences,
    find,
    label,
    short,
    shown,
    strongest,
)
from secateur.report.notes import (
    accounted_words,
    alone_words,
    chosen_words,
    doubts,
    intervals_words,
    not_run_words,
    raised_ids,
    references_words,
    simpler_words,
)
from secateur.types import Measurement, Report

__all__ = [
    "attack_table",
    "cell",
    "consequence_table",
    "group_table",
    "main_table",
    "render_text",
]

HEADERS = (
    "model",
    "kept weights %",
    "train acc. %",
    "test acc. %",
    "strongest attack",
    "AUC",
    "balanced acc. %",
    "TPR % at FPR",
)


def main_table(report: Report) -> list[dict[str, str]]:
    """Return one row per model family, with its strongest attack; keys are `HEADERS`."""
    found = []
    for subject in shown(report):
        rows = best_rows(report, subject)
        tpr = rows["tpr"]
        at = "" if tpr is None else tpr.metric.removeprefix("tpr at ").removesuffix(" fpr")
        values = (
            label(report, subject),
            _kept(report, subject, rows["kept"]),
            cell(rows["train"], percent=True, digits=1),
            test_cell(rows),
            short(strongest(report, subject)),
            cell(rows["auc"]),
            cell(rows["balanced"], percent=True, digits=1),
            f"{cell(tpr, percent=True, digits=1)} at {at}" if tpr is not None else "-",
        )
        found.append(dict(zip(HEADERS, values, strict=True)))
    return found


def _kept(report: Report, subject: str, own: Measurement | None) -> str:
    """Return the share of weights that are left, of the baseline's where the network was cut."""
    other = find(report, subject, "kept of the baseline's weights")
    if other is None:
        return cell(own, percent=True, digits=1)
    return f"{cell(other, percent=True, digits=1)} of the baseline's"


CONSEQUENCE_HEADERS = (
    "model",
    "false alarms %",
    *(f"precision %, prior {prior}" for prior in PRIORS),
    "epsilon, lower bound",
    "epsilon, estimate",
    "information, nats",
    "reachable acc. %",
)


def consequence_table(report: Report) -> list[dict[str, str]]:
    """Return one row per model family: what its strongest attack amounts to.

    Keys are `CONSEQUENCE_HEADERS`. Empty where a report has no such rows, as older ones.
    """
    found = []
    for subject in shown(report):
        rows = consequences(report, subject)
        if not any(rows.values()):
            continue
        values = (
            label(report, subject),
            cell(rows["fpr"], percent=True, digits=0),
            *(
                cell(rows[f"precision {prior}"], percent=True, digits=digits)
                for prior, digits in PRIORS.items()
            ),
            cell(rows["bound"], digits=2),
            cell(rows["estimate"], digits=1),
            cell(rows["divergence"]),
            cell(rows["accuracy"], percent=True, digits=0),
        )
        found.append(dict(zip(CONSEQUENCE_HEADERS, values, strict=True)))
    return found


def attack_table(report: Report) -> list[dict[str, str]]:
    """Return one row per measurement of membership risk, differences included, with its counts."""
    found = []
    for row in report.rows:
        if row.risk != "membership" or row.group != "all":
            continue
        subject = label(report, row.subject)
        counts = ", ".join(
            f"{k.replace('_', ' ')} {v:g}"
            for k, v in row.counts.items()
            if not k.startswith("lacks ")
        )
        found.append(
            {
                "model": f"{subject} - {label(report, row.versus)}" if row.versus else subject,
                "attack": short(row.method),
                "spelling": row.method,
                "attacker": row.threat,
                "metric": row.metric,
                "value": cell(row),
                "interval": row.interval if row.low is not None else "",
                "estimand": row.estimand,
                "counts": counts,
                "note": row.why,
            }
        )
    return found


GROUP_HEADERS = ("model", "group", "test acc. %", "AUC", "TPR % at FPR", "members", "note")


def group_table(report: Report) -> list[dict[str, str]]:
    """Return one row per model family and group; keys are `GROUP_HEADERS`. Empty without groups."""
    found = []
    pairs = dict.fromkeys((r.subject, r.group) for r in report.rows if r.group != "all")
    listed = shown(report)
    for subject, group in ((s, g) for s, g in pairs if s in listed):
        leak = find(report, subject, "auc", group=group)
        tpr, at = _group_tpr(report, subject, group)
        test = find(report, subject, "test accuracy", group=group)
        members = {} if leak is None else leak.counts
        notes = [r.why for r in (leak, tpr, test) if r is not None and r.value is None]
        values = (
            label(report, subject),
            group,
            cell(test, percent=True, digits=1),
            cell(leak),
            cell(tpr, percent=True, digits=1) + at,
            f"{members['members']:.4g}" if "members" in members else "-",
            "; ".join(dict.fromkeys(notes)),
        )
        found.append(dict(zip(GROUP_HEADERS, values, strict=True)))
    return found


def _group_tpr(report: Report, subject: str, group: str) -> tuple[Measurement | None, str]:
    """Return a group's TPR at 1 % FPR, or at the lowest measured FPR, and its name."""
    usual = find(report, subject, "tpr at 1% fpr", group=group)
    for row in report.rows:
        if (row.subject, row.group, row.status) == (subject, group, "measured"):
            at = row.metric.removeprefix("tpr at ").removesuffix(" fpr")
            if at != row.metric and (usual is None or usual.value is None):
                return row, f" at {at}"
    return usual, "" if usual is None or usual.value is None else " at 1%"


def render_text(report: Report, width: int = 150) -> str:
    """Return the main table and its notes as plain text.

    Args:
        report: the report.
        width: in characters.
    """
    table = Table(box=box.SIMPLE_HEAD, title=report.title, title_justify="left")
    for i, header in enumerate(HEADERS):
        table.add_column(header, justify="left" if i in (0, 4) else "right", overflow="fold")
    for line in main_table(report):
        table.add_row(*(line[h].replace("[", "\\[") for h in HEADERS))
    buffer = io.StringIO()
    console = Console(file=buffer, width=width, color_system=None)
    for sentence in doubts(report):
        console.print(sentence, markup=False, highlight=False)
    console.print(table)
    for further in _further_tables(report, width):
        console.print(further)
    console.print(
        f"[ ] = {intervals_words(report)}; "
        f"{references_words(report)}; "
        f"{chosen_words(report)}. AUC 0.5 = a coin.",
        markup=False,
        highlight=False,
    )
    for sentence in (
        *alone_words(report),
        *simpler_words(report),
        *accounted_words(report),
        *not_run_words(report),
    ):
        console.print(sentence, markup=False, highlight=False)
    raised = [
        f"{c.id} ({label(report, c.subject)})" for c in report.controls if c.status == "raised"
    ]
    known, ids = {c.id for c in report.controls}, raised_ids(report)
    console.print(
        f"{len(ids)} of {len(known)} controls raised{': ' if raised else ''}{', '.join(raised)}",
        markup=False,
        highlight=False,
    )
    console.print(
        "An audit is an empirical lower bound on leakage, never a guarantee.",
        markup=False,
        highlight=False,
    )
    return buffer.getvalue().rstrip()


def _further_tables(report: Report, width: int) -> list[Table]:
    from secateur.report import footprint  # its cells are written here

    found = []
    amounts, by_group = consequence_table(report), group_table(report)
    if amounts:
        title = "What the strongest attack amounts to"
        found.append(_plain_table(title, CONSEQUENCE_HEADERS, amounts, width=width))
    if footprint.is_known(report):
        lines = footprint.footprint_table(report)
        title = "Size of the first target; tensors are no file"
        found.append(_plain_table(title, footprint.SIZE_HEADERS, lines, width=width))
        if footprint.is_timed(report):
            title = "Speed and memory of the first target, by ONNX Runtime, in turn"
            found.append(_plain_table(title, footprint.SPEED_HEADERS, lines, width=width))
    if by_group:
        found.append(_plain_table("By group", GROUP_HEADERS[:-1], by_group, width=width, left=2))
    return found


def _plain_table(
    title: str, headers: Sequence[str], lines: list[dict[str, str]], *, width: int, left: int = 1
) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left")
    widest = [max(map(len, (*h.split(), *(line[h] for line in lines)))) for h in headers]
    fits = sum(widest) + 3 * len(headers) < width  # then headers are folded, not values
    for i, header in enumerate(headers):
        table.add_column(
            header,
            justify="left" if i < left else "right",
            overflow="fold",
            width=widest[i] if fits else None,
        )
    for line in lines:
        table.add_row(*(line[h].replace("[", "\\[") for h in headers))
    return table
