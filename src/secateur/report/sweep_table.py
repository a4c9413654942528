"""A sweep as tables and sentences: plain rows for the page and the tests, text for the terminal."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from secateur.report.lookup import short
from secateur.report.sweep_matched import MATCHED_HEADERS, MATCHED_TITLE, matched_table
from secateur.report.table import cell
from secateur.types import Measurement, Point, Sweep

__all__ = [
    "DENSE_HEADERS",
    "FULL_HEADERS",
    "HEADERS",
    "against_dense",
    "full_table",
    "notes",
    "pick_words",
    "render_sweep",
    "sweep_table",
]

HEADERS = ("case", "kept %", "bytes", "test acc. %", "leak (AUC)", "front")
NARROW = tuple(h for h in HEADERS if h != "bytes")  # so that a terminal of 80 columns holds it
DENSE_HEADERS = ("case", "AUC - dense", "AUC - dense at no less test acc.")
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
    "paper's attack acc. %",
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
    "Leak beside the dense model, and beside it stopped early; paired, both by the attack that is "
    "the strongest on the case"
)
LIMIT_WORDS = {
    "max_leak": "leak at most",
    "min_accuracy": "test accuracy at least",
    "max_bytes": "bytes at most",
}


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
            cell(rows.get("leak - dense at no less test accuracy")),
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
    """Return one row per case: paired differences of its attack's AUC; keys are `DENSE_HEADERS`."""
    names = ("dense", "dense at no less test accuracy")
    found = []
    for point in _sorted(sweep.over_seeds()):
        cells = [cell(point.rows.get(f"leak - {name}")) for name in names]
        if any(c != "-" for c in cells):
            found.append(dict(zip(DENSE_HEADERS, (point.case, *cells), strict=True)))
    return found


def front_words(point: Point) -> str:
    """Say whether a case is on the front, and in which share of draws."""
    word = "yes" if point.front else "no"
    return word if point.sure is None else f"{word} ({point.sure:.0%})"


def pick_words(sweep: Sweep) -> list[str]:
    """Say which case to ship under the limits that were given, and how sure that is."""
    pick: dict[str, Any] = dict(sweep.pick)
    if not pick:
        return []
    limits = pick["limits"]
    asked = ", ".join(f"{LIMIT_WORDS[k]} {_limit(k, v)}" for k, v in limits.items())
    if pick["case"] is None and pick.get("nearest") is None:
        return [f"No case is there yet to hold against: {asked}."]
    if pick["case"] is not None:
        words = [
            f"Within {asked}: {pick['case']}, the most accurate of those whose values are within."
        ]
    else:
        misses = [
            f"{LIMIT_WORDS[k]} {_limit(k, limits[k])} by {_limit(k, v)}"
            for k, v in pick["misses"].items()
        ]
        words = [
            f"No case is within {asked}. The nearest is {pick['nearest']}; it misses "
            f"{' and '.join(misses)}."
        ]
    if pick.get("all_hold") is None:
        return [*words, "How sure that is cannot be said from one target or one seed."]
    each = ", ".join(
        f"{LIMIT_WORDS[k]} {_limit(k, limits[k])} in {v:.0%}" for k, v in pick["holds"].items()
    )
    return [
        *words,
        f"How sure that is, of {pick['draws']} redraws of the {_units(sweep)}: {each}; all of it "
        f"in {pick['all_hold']:.0%}; it keeps all limits and is the most accurate of those that do "
        f"in {pick['again']:.0%}.",
        *_apart(pick.get("apart")),
    ]


def _apart(share: float | None) -> list[str]:
    if share is None:
        return []
    return [
        "Those draws lie about the values that it was picked by. Picked on one half of the units "
        f"alone, a case keeps all limits on the other half in {share:.0%} of the halvings."
    ]


def notes(sweep: Sweep) -> list[str]:
    """Return what was left out, what failed, what is missing, and what the numbers are not."""
    facts = dict(sweep.facts)
    seeds = {p.seed for p in sweep.points if p.seed is not None}
    units = _units(sweep)
    count = len(seeds) if units == "seeds" else facts.get("targets", "?")
    words = [
        f"[ ] = 95 % intervals over {count} {units}. front: no other case is at least as accurate, "
        "leaks as little and keeps as few weights, and is better in one of the three; in brackets "
        f"the share of redraws of the {units}, the same for all cases, in which that is so."
    ]
    words += _epsilons(sweep)
    for item in sweep.dropped:
        words.append(
            f"left out after {item['references']} references: {item['case']}: {item['why']}"
        )
    if sweep.dropped:
        words.append(
            "Cases were left out on targets that served the rounds alone; the numbers above are of "
            "other targets."
        )
    for item in sweep.failed:
        words.append(f"failed: {item['case']}, seed {item['seed']}: {item['why']}")
    if sweep.missing:
        words.append(f"missing, the same command makes it: {'; '.join(sweep.missing)}")
    return [*words, *facts.get("statements", ())]


def _units(sweep: Sweep) -> str:
    """Return what intervals and redraws are over."""
    several = len({p.seed for p in sweep.points if p.seed is not None}) > 1
    return "seeds" if several else "targets"


def _epsilons(sweep: Sweep) -> list[str]:
    """Return what the noise of each case's training promises, where one promised anything."""
    promised = [
        (p.case, p.rows["accounted epsilon"])
        for p in sweep.over_seeds()
        if "accounted epsilon" in p.rows
    ]
    known = [f"{row.value:.3g} for {case}" for case, row in promised if row.value is not None]
    void = [case for case, row in promised if row.value is None]
    deltas = {row.counts["delta"] for _, row in promised if "delta" in row.counts}
    at = f" (delta {', '.join(f'{delta:g}' for delta in sorted(deltas))})" if deltas else ""
    words = []
    if known:
        words.append(
            f"Accounted epsilon{at}, an upper bound from the training's noise: "
            f"{', '.join(known)}. Tuning on the same members is not accounted."
        )
    if void:
        words.append(
            f"No accounted epsilon, for the reason in the seed's report: {'; '.join(void)}."
        )
    return words


def render_sweep(sweep: Sweep, width: int = 80) -> str:
    """Return the table, the pick and the notes as plain text.

    Args:
        sweep: any sweep.
        width: in characters.
    """
    buffer = io.StringIO()
    console = Console(file=buffer, width=width, color_system=None)
    console.print(_table(sweep.title, NARROW, sweep_table(sweep)))
    differences = against_dense(sweep)
    if differences:
        console.print(_table(DENSE_TITLE, DENSE_HEADERS, differences))
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


def _limit(name: str, value: float) -> str:
    return f"{value:,.0f}" if name == "max_bytes" else f"{value:.3g}"
