"""A sweep as tables and sentences: plain rows for the page and the tests, text for the terminal."""

from __future__ import annotations

import io
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from secateur.report.lookup import short
from secateur.report.sweep_matched import MATCHED_HEADERS, MATCHED_TITLE, matched_table
from secateur.report.sweep_words import notes, pick_words, smoke
from secateur.report.table import cell
from secateur.types import NEVER_AS_ACCURATE, Measurement, Point, Sweep

__all__ = [
    "DENSE_HEADERS",
    "DENSE_TITLE",
    "FULL_HEADERS",
    "HEADERS",
    "against_dense",
    "against_headers",
    "full_table",
    "render_sweep",
    "sweep_table",
]

HEADERS = ("case", "kept %", "bytes", "test acc. %", "leak (AUC)", "front")
NARROW = tuple(h for h in HEADERS if h != "bytes")  # so that a terminal of 80 columns holds it
DENSE_HEADERS = ("case", "AUC - dense", "AUC - dense at no less test acc.")
PAPER = "paper's attack acc. %"
FULL_HEADERS = (
    "case",
    "seed",
    "kept weights %",
    "bytes",
    "train acc. %",
    "test acc. %",
    "strongest attack",
    "leak (AUC)",
    "TPR % at FPR",
    PAPER,
    "LiRA",
    "LiRA, naive",
    "AUC - dense",
    "AUC - dense at no less test acc.",
    "AUC - dense at equal test acc.",
    "AUC - dense at equal train acc.",
    "epsilon, accounted",
    "epsilon, audited",
    "CPU s a model",
    "front",
)
DENSE_TITLE = (
    "Leak beside the dense model, and beside it stopped early; paired, each side by the attack "
    "that was its strongest on references (both by the case's, where two cannot be paired)"
)


def sweep_table(sweep: Sweep) -> list[dict[str, str]]:
    """Return one row per case, over its seeds, the most accurate first; keys are `HEADERS`."""
    rows = []
    for point in _sorted(sweep.over_seeds()):
        values = (
            point.case,
            _kept(point),
            _number(point.rows.get("bytes"), ",.0f"),
            cell(point.rows.get("test accuracy"), percent=True, digits=1),
            cell(point.rows.get("leak")),
            front_words(point),
        )
        rows.append(dict(zip(HEADERS, values, strict=True)))
    return rows


def full_table(sweep: Sweep) -> list[dict[str, str]]:
    """Return one row per case over its seeds, then one per case and seed where there are several;
    keys are `FULL_HEADERS`.
    """
    several = len({p.seed for p in sweep.points if p.seed is not None}) > 1
    alone = {p.case for p in sweep.points} - {p.case for p in sweep.over_seeds()}
    single = [p for p in sweep.points if p.seed is not None and (several or p.case in alone)]
    found = []
    for point in (*_sorted(sweep.over_seeds()), *single):
        rows = point.rows
        tpr, leak = rows.get("tpr"), rows.get("leak")
        at = "" if tpr is None else tpr.metric.removeprefix("tpr at ").removesuffix(" fpr")
        values = (
            point.case,
            "all" if point.seed is None else str(point.seed),
            _kept(point),
            _number(rows.get("bytes"), ",.0f"),
            cell(rows.get("train accuracy"), percent=True, digits=1),
            cell(rows.get("test accuracy"), percent=True, digits=1),
            "-" if leak is None else " or ".join(map(short, leak.method.split(" or "))),
            cell(leak),
            f"{cell(tpr, percent=True, digits=1)} at {at}" if tpr is not None else "-",
            cell(rows.get("paper's attack"), percent=True, digits=1),
            cell(rows.get("LiRA")),
            cell(rows.get("LiRA, naive")),
            cell(rows.get("leak - dense")),
            _difference(rows.get("leak - dense at no less test accuracy")),
            cell(rows.get("leak - dense at equal test accuracy")),
            cell(rows.get("leak - dense at equal train accuracy")),
            cell(rows.get("accounted epsilon"), digits=2),
            cell(rows.get("epsilon bound"), digits=2),
            _number(rows.get("cpu seconds"), ".2f"),
            front_words(point) if point.seed is None else "",
        )
        found.append(dict(zip(FULL_HEADERS, values, strict=True)))
    return found


def against_dense(sweep: Sweep) -> list[dict[str, str]]:
    """Return one row per case: paired differences of AUC, each side by its own strongest attack,
    and the accuracy of the paper's attack where it ran; keys are `against_headers`.
    """
    names = ("dense", "dense at no less test accuracy")
    headers = against_headers(sweep)
    found = []
    for point in _sorted(sweep.over_seeds()):
        cells = [_difference(point.rows.get(f"leak - {name}")) for name in names]
        if PAPER in headers:
            cells.append(cell(point.rows.get("paper's attack"), percent=True, digits=1))
        if any(c != "-" for c in cells):
            found.append(dict(zip(headers, (point.case, *cells), strict=True)))
    return found


def against_headers(sweep: Sweep) -> tuple[str, ...]:
    """Return the keys of `against_dense`; the paper's attack has a column where any case has it."""
    rows = [point.rows.get("paper's attack") for point in sweep.over_seeds()]
    known = any(row is not None and row.value is not None for row in rows)
    return (*DENSE_HEADERS, PAPER) if known else DENSE_HEADERS


def _difference(row: Measurement | None) -> str:
    """Return a difference, or what keeps it from being one."""
    never = row is not None and row.value is None and row.why == NEVER_AS_ACCURATE
    return "never as accurate" if never else cell(row)


def front_words(point: Point) -> str:
    """Say whether a case is on the front, and in which share of draws."""
    word = "yes" if point.front else "no"
    return word if point.sure is None else f"{word} ({point.sure:.0%})"


def render_sweep(sweep: Sweep, width: int = 80) -> str:
    """Return the table, the pick and the notes as plain text.

    Args:
        sweep: any sweep.
        width: in characters.
    """
    buffer = io.StringIO()
    console = Console(file=buffer, width=width, color_system=None)
    for sentence in smoke(sweep):
        console.print(sentence, markup=False, highlight=False)
    console.print(_table(sweep.title, NARROW, sweep_table(sweep)))
    differences = against_dense(sweep)
    if differences:
        console.print(_table(DENSE_TITLE, against_headers(sweep), differences))
    matched = matched_table(sweep)
    if matched:
        console.print(_table(MATCHED_TITLE, MATCHED_HEADERS[:5], matched))
    for sentence in (*pick_words(sweep), *notes(sweep)):
        console.print(sentence, markup=False, highlight=False)
    return buffer.getvalue().rstrip()


def _table(title: str, headers: Sequence[str], lines: list[dict[str, str]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", padding=(0, 0))
    for i, header in enumerate(headers):
        table.add_column(header, justify="right" if i else "left", overflow="fold")
    for line in lines:
        table.add_row(*(line[h].replace("[", "\\[") for h in headers))
    return table


def _sorted(points: tuple[Point, ...]) -> list[Point]:
    def accuracy(point: Point) -> float:
        row = point.rows.get("test accuracy")
        return 0.0 if row is None or row.value is None else row.value

    return sorted(points, key=accuracy, reverse=True)


def _kept(point: Point) -> str:
    return cell(point.rows.get("kept weights"), percent=True, digits=1)


def _number(row: Measurement | None, form: str) -> str:
    return "-" if row is None or row.value is None else format(row.value, form)
