"""The verdict on each world, in the words that its intervals carry, for docs/evidence.md."""

from __future__ import annotations

from typing import Any

from tools.dpsgd_words import GROUP_NORMED, beside_group_norm, epsilon_table
from tools.verdicts import (
    ATTACK,
    DENSE,
    Difference,
    Point,
    between,
    cases,
    of_method,
    row_difference,
    shown,
)

__all__ = ["page"]

PRUNED = ("mia-pruning", "mia-pruning-min-max")
CONTROLS = ("random-mask", "from-scratch", "magnitude", "small-dense")
NAMES = {
    "mia-pruning": "MIA-Pruning",
    "mia-pruning-min-max": "MIA-Pruning & Min-Max",
    "min-max": "Min-Max",
    "dp-sgd": "DP-SGD",
    "group-norm": GROUP_NORMED,
    "weight-decay": "weight decay",
    "small-dense": "small dense network",
    "random-mask": "random mask, trained to the end",
    "from-scratch": "the same mask from scratch",
    "magnitude": "one-shot magnitude",
}
INTRODUCTION = """\
# Evidence

Generated from `results/paper-*.json` by `make docs`; do not edit.

The paper (arXiv 2008.13578) says that pruning lowers the accuracy of membership inference, by up
to 13.6 below the undefended model and up to 10 below Min-Max. The cells of its tables, its seeds
and its intervals could not be had, and its attacker is one neural network on outputs. Each world
below is one sweep of `secateur reproduce`: the paper's rows, the controls that it lacked, attackers
that came later.

What is said of a difference is what its 95 % interval carries: *lower*, *higher*, or *no detectable
effect* where the interval holds 0. Intervals are not corrected for the number of cases: one in
twenty excludes 0 by chance, and the largest of many differences looks better than it is. Every
number is an empirical lower bound on the leak, never a guarantee."""
NOTHING = (
    "There is no results file yet, so nothing is said. Run `secateur reproduce CELL --scale small "
    "--data-dir DATA --out FOLDER`, copy FOLDER/sweep.json to results/paper-CELL.json, and run "
    "`make docs`."
)


def page(found: dict[str, dict[str, Any]]) -> str:
    """Return the Markdown page; the same results give the same bytes.

    Args:
        found: sweeps by the world's name, as `tools.verdicts.sweeps` reads them.
    """
    if not found:
        return f"{INTRODUCTION}\n\n{NOTHING}\n"
    parts = [INTRODUCTION, "## In one table", _overview(found)]
    for name, content in found.items():
        parts += _world(name, content)
    return "\n\n".join(parts) + "\n"


def _overview(found: dict[str, dict[str, Any]]) -> str:
    lines = [
        "| world | MIA-Pruning against the dense end: paper's attack | strongest attack | "
        "strongest attack, against the dense stopped at equal test accuracy |",
        "|" + " --- |" * 4,
    ]
    for name, content in found.items():
        points = cases(content)
        pruned = of_method(points, "mia-pruning")
        dense = points.get(DENSE)
        columns = [
            _counted([between(p, dense, ATTACK) for p in pruned] if dense else []),
            _counted([row_difference(p, f"leak - {DENSE}") for p in pruned]),
            _counted([row_difference(p, "leak - dense at equal test accuracy") for p in pruned]),
        ]
        lines.append(f"| {name} | {' | '.join(columns)} |")
    return "\n".join(lines)


def _counted(differences: list[Difference]) -> str:
    """Return in how many cases an interval says what."""
    if not differences:
        return "not measured"
    verdicts = [d.verdict for d in differences]
    order = ("lower", "higher", "no detectable effect", "not measured")
    return ", ".join(
        f"{v} in {verdicts.count(v)} of {len(verdicts)}" for v in order if v in verdicts
    )


def _world(name: str, content: dict[str, Any]) -> list[str]:
    points, facts = cases(content), content["facts"]
    context = content["provenance"]["context"]
    about = (
        f"{content['title']}. {facts['targets']} targets, {facts['references']} references, seeds "
        f"{facts['seeds']}, scale {facts.get('scale') or 'not named'}; made by "
        f"`{facts.get('command', 'secateur sweep')}` on {context.get('processor', 'a machine')}, "
        f"{context.get('cores', '?')} cores."
    )
    if DENSE not in points:
        return [f"## {name}", about, "The dense models were not measured, so nothing is said."]
    parts = [f"## {name}", about, _table(points)]
    parts += ["### Did pruning lower the paper's attack?", *_paper(points)]
    parts += ["### Against the dense training stopped earlier", *_stopped(points)]
    parts += ["### What LiRA and its kin say", *_strongest(points)]
    parts += ["### Controls", *_controls(points)]
    parts += ["### Min-Max and DP-SGD", *_defences(points)]
    parts += ["### What we would ship", *_recommended(points)]
    left = [*content["missing"], *(f"{d['case']} ({d['why']})" for d in content["dropped"])]
    left += [f"{f['case']} failed: {f['why']}" for f in content["failed"]]
    return parts + ([f"Not measured: {'; '.join(left)}."] if left else [])


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


def _stopped(points: dict[str, Point]) -> list[str]:
    found = ["The AUC of the strongest attack, minus that on the dense model stopped where its"]
    sections = []
    for by in ("train accuracy", "test accuracy"):
        pairs = [
            (p, row_difference(p, f"leak - dense at equal {by}"))
            for p in of_method(points, *PRUNED)
        ]
        sections.append(f"{found[0]} {by} is nearest: {_counted([d for _, d in pairs])} cases.")
        sections.append("\n".join(_line(p, d) for p, d in pairs))
    return sections


def _strongest(points: dict[str, Point]) -> list[str]:
    lines = []
    for point in of_method(points, *PRUNED):
        leak = row_difference(point, f"leak - {DENSE}")
        tpr = row_difference(point, f"tpr - {DENSE}")
        both = leak.verdict if leak.verdict == tpr.verdict else "no effect in both"
        row = point["rows"].get("leak")
        method = "-" if row is None else row["method"].partition("(")[0]
        naive = shown(point, "LiRA, naive")
        lines.append(
            f"- {point['case']} ({method}): AUC {leak.verdict}, {leak.shown()}; TPR at the lowest "
            f"resolvable FPR {tpr.verdict}, {tpr.shown()}: together {both}. LiRA "
            f"{shown(point, 'LiRA')}; with dense references, which flatters: {naive}"
        )
    return [
        "Against the dense models trained to the end, by the attack that was the strongest on "
        "references. An effect counts where AUC and TPR agree on it.",
        "\n".join(lines) or "No pruned case was measured.",
        "Canaries were not planted in these sweeps: of single records nothing is said.",
    ]


def _controls(points: dict[str, Point]) -> list[str]:
    lines = []
    for pruned in of_method(points, "mia-pruning"):
        rate = pruned["axes"].get("rate")
        for control in of_method(points, *CONTROLS):
            if control["axes"].get("rate") != rate:
                continue
            leak, test = (between(pruned, control, n) for n in ("leak", "test accuracy"))
            lines.append(
                f"- {pruned['case']} minus {NAMES[control['method']]}: AUC {leak.verdict}, "
                f"{leak.shown()}; test accuracy {test.verdict}, {test.shown(100, 1)} points"
            )
    for decay in of_method(points, "weight-decay"):
        leak, test = (row_difference(decay, f"{n} - {DENSE}") for n in ("leak", "test accuracy"))
        lines.append(
            f"- {decay['case']} minus dense: AUC {leak.verdict}, {leak.shown()}; test accuracy "
            f"{test.verdict}, {test.shown(100, 1)} points"
        )
    return [
        "At equal rate, MIA-Pruning minus its control: where nothing is detectable, the effect is "
        "not of this pruning.",
        "\n".join(lines) or "No control was measured.",
    ]


def _defences(points: dict[str, Point]) -> list[str]:
    dense = points[DENSE]
    excess = (dense["rows"].get(ATTACK) or {}).get("value")
    lines = []
    for point in of_method(points, "min-max", "dp-sgd", "group-norm", "mia-pruning-min-max"):
        paper = between(point, dense, ATTACK)
        leak, test = (row_difference(point, f"{n} - {DENSE}") for n in ("leak", "test accuracy"))
        stopped = row_difference(point, "leak - dense at equal test accuracy")
        share = (
            f", {-100 * paper.value / (excess - 0.5):.0f} % of the dense models' excess over 50 %"
            if paper.value is not None and excess is not None and excess > 0.5
            else ""
        )
        lines.append(
            f"- {point['case']}: paper's attack {paper.verdict}, {paper.shown(100, 1)} points"
            f"{share}; AUC of the strongest {leak.verdict}, {leak.shown()}; of LiRA "
            f"{shown(point, 'LiRA')}; test accuracy {test.verdict}, {test.shown(100, 1)} points; "
            f"against the dense stopped at equal test accuracy AUC {stopped.verdict}, "
            f"{stopped.shown()}"
        )
    return [
        "Minus the dense models.",
        "\n".join(lines) or "None was measured.",
        *beside_group_norm(points),
        *epsilon_table(points),
    ]


def _recommended(points: dict[str, Point]) -> list[str]:
    able = []
    for point in points.values():
        if point["case"] == DENSE:
            continue
        leak, test = (row_difference(point, f"{n} - {DENSE}") for n in ("leak", "test accuracy"))
        if leak.verdict == "lower" and test.verdict in ("higher", "no detectable effect"):
            able.append((point["rows"]["leak"]["value"], point, leak, test))
    if not able:
        return [
            "No case leaks detectably less than the dense models at no detectable loss of test "
            "accuracy. Ship what the accuracy asks for, and do not count on it as a defence."
        ]
    _, point, leak, test = min(able, key=lambda found: found[0])
    by = [
        (name, row_difference(point, f"leak - dense at equal {name}"))
        for name in ("train accuracy", "test accuracy")
    ]
    stopped = "; ".join(
        f"against the dense training stopped at equal {name} {d.verdict} ({d.shown()})"
        for name, d in by
    )
    lower = [name for name, d in by if d.verdict == "lower"]
    if not lower:
        advice = "Stopping the dense training earlier does no detectably worse, and is cheaper."
    elif len(lower) < len(by):
        advice = f"It leaks less than the dense training stopped at equal {lower[0]} alone."
    else:
        advice = "Stopping the dense training earlier does not explain it."
    return [
        f"Of {len(able)} cases that leak detectably less at no detectable loss of test accuracy, "
        f"{point['case']} has the lowest AUC: {leak.shown()} against the dense end, test accuracy "
        f"{test.shown(100, 1)} points; {stopped}. {advice} It was chosen on these targets: measure "
        "it on a new seed before you rely on it. Only differential privacy gives a guarantee."
    ]
