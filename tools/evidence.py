"""The verdict on each world, in the words that its intervals carry, for docs/evidence.md."""

from __future__ import annotations

from typing import Any

from tools.about import about
from tools.canaries import of_canaries, planted_lines
from tools.conclusions import conclusions
from tools.controls import controls_of
from tools.defences import defences
from tools.evidence_words import INTRODUCTION, NAMES, NOTHING
from tools.raised import raised
from tools.rows_meant import rows_meant
from tools.ship import recommended
from tools.stopped import MATCHES, no_worse_stopped, stopped
from tools.verdicts import (
    ATTACK,
    DENSE,
    PRUNED,
    Difference,
    Point,
    between,
    cases,
    leak_difference,
    of_method,
    row_difference,
    shown,
)

__all__ = ["page"]


def page(
    found: dict[str, dict[str, Any]],
    strengths: dict[str, dict[str, Any]] | None = None,
    planted: dict[str, dict[str, Any]] | None = None,
    tuned: dict[str, dict[str, Any]] | None = None,
) -> str:
    """Return the Markdown page; the same results give the same bytes.

    Args:
        found: sweeps by the world's name, as `tools.verdicts.sweeps` reads them.
        strengths: sweeps of Min-Max alone, by the world's name.
        planted: sweeps with records planted to be remembered, by the world's name.
        tuned: searches for settings of DP-SGD, by the world's name.
    """
    if not found:
        return f"{INTRODUCTION}\n\n{NOTHING}\n"
    parts = [INTRODUCTION]
    said = conclusions(found, planted, strengths, tuned)
    parts += ["## In words", *said] if said else []
    parts += ["## What the rows are", rows_meant(found)]
    parts += ["## In one table", _overview(found)]
    for name, content in found.items():
        parts += _world(name, content)
    for name, content in (planted or {}).items():
        parts += _planted(name, content)
    for name, content in (strengths or {}).items():
        parts += _strengths(name, content)
    return "\n\n".join(parts) + "\n"


def _overview(found: dict[str, dict[str, Any]]) -> str:
    lines = [
        "| world | MIA-Pruning against the dense end: paper's attack | strongest attack | "
        "strongest attack, against the dense stopped no less accurate, or else nearest |",
        "|" + " --- |" * 4,
    ]
    for name, content in found.items():
        points = cases(content)
        pruned = of_method(points, "mia-pruning")
        dense = points.get(DENSE)
        ends = [leak_difference(p, DENSE) for p in pruned]
        early = [no_worse_stopped(content, p).leak for p in pruned]
        columns = [
            _counted([between(p, dense, ATTACK) for p in pruned] if dense else []),
            *(
                f"AUC {_counted([d.auc for d in leaks])}; TPR {_counted([d.tpr for d in leaks])}"
                for leaks in (ends, early)
            ),
        ]
        lines.append(f"| {name} | {' | '.join(columns)} |")
    return "\n".join(lines)


def _counted(differences: list[Difference]) -> str:
    """Return in how many cases an interval says what."""
    if all(d.value is None for d in differences):
        return "not measured"
    verdicts = [d.verdict for d in differences]
    order = ("lower", "higher", "no detectable effect", "not measured")
    return ", ".join(
        f"{v} in {verdicts.count(v)} of {len(verdicts)}" for v in order if v in verdicts
    )


def _strengths(name: str, content: dict[str, Any]) -> list[str]:
    """Say what Min-Max alone does at further strengths and lengths."""
    points = cases(content)
    heading = f"## Min-Max alone, by its strength and its epochs: {name}"
    if DENSE not in points:
        return [heading, "The dense models were not measured, so nothing is said."]
    return [heading, about(content), _table(points), *defences(content, points)]


def _planted(name: str, content: dict[str, Any]) -> list[str]:
    """Say what the methods leave of records that were planted to be remembered."""
    heading = f"## Planted records: {name}"
    points = cases(content)
    lines = planted_lines(points) if DENSE in points else []
    if not lines:
        return [heading, "No planted record of the dense models was measured: nothing is said."]
    return [
        heading,
        about(content),
        _table(points),
        "On these records alone, by the attack that is each case's strongest on all records, so "
        "that another one may find more; and minus the dense models, target by target. Intervals "
        "of these differences in TPR do not reach over its curve's steps:",
        "\n".join(lines),
    ]


def _world(name: str, content: dict[str, Any]) -> list[str]:
    points = cases(content)
    if DENSE not in points:
        return [
            f"## {name}",
            about(content),
            "The dense models were not measured, so nothing is said.",
        ]
    parts = [f"## {name}", about(content), _table(points)]
    parts += ["### Did pruning lower the paper's attack?", *_paper(points)]
    parts += ["### Against the dense training stopped earlier", *_stopped(content, points)]
    parts += ["### What LiRA and its kin say", *_strongest(points)]
    parts += ["### Controls", *_controls(points)]
    parts += ["### Min-Max and DP-SGD", *defences(content, points)]
    parts += ["### What we would ship", *recommended(content, points)]
    parts += ["### Controls of the audit", raised(content)]
    left = [*content["missing"], *(f"{d['case']} ({d['why']})" for d in content["dropped"])]
    return parts + ([f"Not measured: {'; '.join(left)}."] if left else []) + _failed(content)


def _failed(content: dict[str, Any]) -> list[str]:
    """Say which cases failed, once for each reason."""
    reasons: dict[str, list[str]] = {}
    for item in content["failed"]:
        why = item["why"].removeprefix(f"{item['case']}: ")
        reasons.setdefault(why, []).append(item["case"])
    return [f"Failed: {', '.join(names)}: {why}." for why, names in reasons.items()]


def _table(points: dict[str, Point]) -> str:
    lines = [
        "| case | kept weights % | test acc. % | paper's attack, acc. % | strongest attack | AUC | "
        "TPR | naive LiRA, AUC |",
        "|" + " --- |" * 8,
    ]
    for point in points.values():
        tpr = point["rows"].get("tpr")
        at = "" if tpr is None else tpr["metric"].removeprefix("tpr ")
        leak = point["rows"].get("leak")
        method = "-" if leak is None else leak["method"].partition("(")[0]
        lines.append(
            f"| {point['case']} | {shown(point, 'kept weights', 100, 1)} | "
            f"{shown(point, 'test accuracy', 100, 1)} | {shown(point, ATTACK, 100, 1)} | "
            f"{method} | {shown(point, 'leak')} | {shown(point, 'tpr')} {at} | "
            f"{shown(point, 'LiRA, naive')} |"
        )
    return "\n".join(lines)


def _line(point: Point, difference: Difference, scale: float = 1.0, digits: int = 3) -> str:
    return f"- {point['case']}: {difference.verdict}, {difference.shown(scale, digits)}"


def _paper(points: dict[str, Point]) -> list[str]:
    dense = points[DENSE]
    pruned = of_method(points, *PRUNED)
    pairs = [(p, between(p, dense, ATTACK)) for p in pruned]
    if not pairs:
        return ["No pruned case was measured."]
    counted = _counted([d for _, d in pairs])
    first = (
        f"The accuracy of the paper's attack on the dense models is {shown(dense, ATTACK, 100, 1)} "
        f"%. Minus that, in points, under pruning: {counted} cases."
    )
    return [first, "\n".join(_line(p, d, 100, 1) for p, d in pairs)]


def _stopped(content: dict[str, Any], points: dict[str, Point]) -> list[str]:
    pruned = of_method(points, *PRUNED)
    if not pruned:
        return ["No pruned case was measured."]
    parts = [
        "The case minus the dense models stopped earlier, each by the attack that is the strongest "
        "on its own references. A nearest accuracy may be a worse one, and the dense models may "
        "have it twice, on the way up and late: beside each stands how near the match is on the "
        "targets. Where they were as accurate earlier and leaked no more, stopping would have done "
        "the same."
    ]
    for match, words in MATCHES.items():
        pairs = [(p, stopped(content, p, match)) for p in pruned]
        aucs, tprs = ([getattr(s.leak, n) for _, s in pairs] for n in ("auc", "tpr"))
        parts.append(f"Stopped {words}: AUC {_counted(aucs)}; TPR {_counted(tprs)}.")
        parts.append("\n".join(f"- {p['case']}: {s.shown()}" for p, s in pairs))
    return parts


def _strongest(points: dict[str, Point]) -> list[str]:
    lines = []
    for point in of_method(points, *PRUNED):
        leak = leak_difference(point, DENSE)
        row = point["rows"].get("leak")
        method = "-" if row is None else row["method"].partition("(")[0]
        lines.append(
            f"- {point['case']} ({method}): {leak.verdict}: {leak.shown()}. LiRA "
            f"{shown(point, 'LiRA')}; with dense references, which flatters: "
            f"{shown(point, 'LiRA, naive')}"
        )
    return [
        "Against the dense models trained to the end, each by the attack that was the strongest on "
        "its own references; the case's is named. An effect counts where AUC and TPR agree on it.",
        "\n".join(lines) or "No pruned case was measured.",
        *_canaries(points),
    ]


def _canaries(points: dict[str, Point]) -> list[str]:
    if not of_canaries(points):
        return ["Canaries were not planted in this sweep: of single records nothing is said."]
    lines = planted_lines(points, *PRUNED)
    return [
        "Records planted to be remembered, by each case's strongest attack on all records:",
        "\n".join(lines),
    ]


def _controls(points: dict[str, Point]) -> list[str]:
    pairs = [
        (case, control)
        for case in of_method(points, "mia-pruning", "dp-sgd")
        for control in controls_of(points, case)
    ]
    lines = []
    for case, control in pairs:
        leak, test = (between(case, control, n) for n in ("leak", "test accuracy"))
        lines.append(
            f"- {case['case']} minus {NAMES[control['method']]}: AUC {leak.verdict}, "
            f"{leak.shown()}; test accuracy {test.verdict}, {test.shown(100, 1)} points"
        )
    for decay in of_method(points, "weight-decay"):
        leak, test = (row_difference(decay, f"{n} - {DENSE}") for n in ("leak", "test accuracy"))
        lines.append(
            f"- {decay['case']} minus dense: AUC {leak.verdict}, {leak.shown()}; test accuracy "
            f"{test.verdict}, {test.shown(100, 1)} points"
        )
    return [
        "MIA-Pruning at equal rate, and DP-SGD, minus their controls, each by its own strongest "
        "attack. Where "
        "nothing is detectable, the control does as well as these targets can tell; where the "
        "accuracies differ, the leaks are not those of equal models. One-shot magnitude and the "
        "dense models trained on learn for as many epochs as pruning; what is not said to train as "
        "long learns for the dense models' epochs alone.",
        "\n".join(lines) or "No control was measured.",
    ]
