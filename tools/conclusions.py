"""What all worlds say together, in sentences that count intervals, for docs/evidence.md."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from secateur.cli.reproduce import OWN, cells
from tools.canaries import canaries_minus_dense
from tools.conclusions_controls import decay, longer, size, stopping, yardstick
from tools.conclusions_rivals import (
    at_equal_accuracy,
    beside_min_max,
    beside_pruning,
    game,
    papers_attack,
)
from tools.controls import equals, matched_rivals
from tools.counting import (
    HARDLY,
    Case,
    Worlds,
    by_chance,
    cases_of,
    counted,
    number,
    together,
    with_dense,
)
from tools.outstanding import unfinished
from tools.raised import convergence
from tools.searched import searched
from tools.ship import best_to_ship
from tools.stopped import MATCHED, no_worse_stopped
from tools.verdicts import DENSE, Point, between, leak_difference, shown

__all__ = ["conclusions"]

LARGE = 20.0
"""An epsilon above which differential privacy promises nothing: a factor of e^20 in the odds."""


def conclusions(
    found: dict[str, dict[str, Any]],
    planted: dict[str, dict[str, Any]] | None = None,
    strengths: dict[str, dict[str, Any]] | None = None,
    tuned: dict[str, dict[str, Any]] | None = None,
) -> list[str]:
    """Return a list of what the worlds say together; nothing of worlds without dense models.

    Worlds whose dense models hardly learned are named, and counted nowhere else.

    Args:
        found: sweeps by the world's name.
        planted: sweeps with planted records, by the world's name.
        strengths: sweeps of Min-Max alone, by the world's name.
        tuned: searches for settings of DP-SGD, by the world's name.
    """
    every_world = with_dense(found)
    little = {n: by_chance(content, p[DENSE]) for n, (content, p) in every_world.items()}
    worlds = {name: both for name, both in every_world.items() if not little[name]}
    every = list(cases_of(worlds, "mia-pruning"))
    first = _unlearned({name: why for name, why in little.items() if why}, every_world, every)
    if not every:
        return [f"- {line}" for line in first]
    first += unfinished({name: content for name, (content, _) in every_world.items()})
    said = [
        _in_short(every, worlds),
        _which(worlds, [name for name, why in little.items() if why]),
        *first,
        papers_attack(every, len(worlds)),
        *at_equal_accuracy(
            worlds,
            "Pruning or Min-Max, at equal accuracy?",
            "min-max",
            "Min-Max",
            "The paper has pruning below Min-Max.",
        ),
        *at_equal_accuracy(
            worlds,
            "Pruning or DP-SGD, at equal accuracy?",
            "dp-sgd",
            "DP-SGD",
            "The paper has pruning at a better trade-off than differential privacy.",
        ),
        *searched(worlds, tuned or {}),
        *beside_min_max(worlds),
        *beside_pruning(worlds),
        *game([*worlds.items(), *_alone(strengths or {}).items()]),
        stopping(every),
        *yardstick(worlds),
        *longer(every),
        *convergence(worlds),
        *size(every),
        *decay(every),
        _strongest(every),
        _canaries(planted or {}),
        _ship(worlds),
    ]
    return ["\n".join(f"- {line}" for line in said)]


def _alone(strengths: dict[str, dict[str, Any]]) -> Worlds:
    """Return the sweeps of Min-Max alone under names that no cell has."""
    return {f"Min-Max alone on {name}": both for name, both in with_dense(strengths).items()}


def _in_short(every: Sequence[Case], worlds: Worlds) -> str:
    """Say in a few sentences what a reader has to know who reads no further."""
    ends = counted(leak_difference(case.point, DENSE).auc.verdict for case in every)
    beside = [no_worse_stopped(case.content, case.point) for case in every]
    known = [early.leak.auc.verdict for early in beside if not early.never]
    never = [early.leak.auc.verdict for early in beside if early.never]
    told = (
        f"**In short.** By the strongest attack pruning alone, minus the dense models at their "
        f"end: AUC of {number(len(every), 'case')} {ends}. Minus the dense models stopped no less "
        f"accurate, of {len(known)} that have them: {counted(known)}"
    )
    told += (
        f"; minus the nearest, of {len(never)} that have none: {counted(never)}. "
        if never
        else ". "
    )
    if 2 * known.count("lower") <= len(known):
        told += (
            "In most cases, then, nothing is shown that stopping the training earlier does not "
            "give: do not count on pruning for privacy. "
        )
    told += _noise_in_short(worlds)
    return told + "Audit what you ship, by an attacker who prunes his references as you do."


def _which(worlds: Worlds, little: Sequence[str]) -> str:
    """Say which of the worlds are cells of the paper's grid, and on how many records."""
    paper = [name for name in worlds if name in cells() and name not in OWN]
    own = [name for name in worlds if name not in paper]
    little = [name for name in little if name in cells() and name not in OWN]
    rows = [points[DENSE]["rows"].get("train accuracy") or {} for _, points in worlds.values()]
    sizes = [row["counts"]["members"] for row in rows if "members" in row.get("counts", {})]
    text = (
        f"**Which worlds.** Of those that are counted here, cells of the paper's grid are "
        f"{', '.join(paper) or 'none'}; this project's own worlds are {', '.join(own) or 'none'}."
    )
    if little:
        text += f" Further cells of the grid are not counted: {', '.join(little)}."
    if sizes:
        few, most = f"{min(sizes):,.0f}", f"{max(sizes):,.0f}"
        text += (
            f" Each model is trained on about {few if few == most else f'{few} to {most}'} "
            "records: how many the paper's were is not known."
        )
    return text


def _noise_in_short(worlds: Worlds) -> str:
    """Say how DP-SGD of about equal accuracy lies beside pruning, of how many fleets, and what it
    promises.
    """
    pairs = [
        (name, point, found.point)
        for name, (_, points) in worlds.items()
        for point, found in matched_rivals(points, "dp-sgd")
    ]
    if not pairs:
        return ""
    fleets = {(name, rival["case"]) for name, _, rival in pairs}
    leaks = counted(between(point, rival, "leak").verdict for _, point, rival in pairs)
    rows = [rival["rows"].get("accounted epsilon") or {} for _, _, rival in pairs]
    known = [row["value"] for row in rows if row.get("value") is not None]
    told = (
        f"Pruned minus DP-SGD within {100 * MATCHED:.0f} point of test accuracy, by value: AUC of "
        f"{number(len(pairs), 'pair')} with {number(len(fleets), 'fleet')} of DP-SGD in "
        f"{number(len({world for world, _ in fleets}), 'world')} {leaks}"
    )
    if known:
        few, most = _epsilon(min(known)), _epsilon(max(known))
        told += f"; the accounted epsilon there is {few if few == most else f'{few} to {most}'}"
        large = sum(epsilon > LARGE for epsilon in known)
        told += (
            f", in {large} of {len(known)} above {LARGE:.0f}, which promises nothing"
            if large
            else ""
        )
    return f"{told}. "


def _epsilon(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _unlearned(little: dict[str, str], worlds: Worlds, every: Sequence[Case]) -> list[str]:
    """Name the worlds whose dense models hardly beat chance, and what would be counted with them.

    Args:
        little: how accurate these are and by chance would be, by the world's name.
        worlds: all that have dense models.
        every: the pruned cases of the others.
    """
    if not little:
        return []
    named = ", ".join(f"{name} ({why})" for name, why in little.items())
    left = [c for c in cases_of(worlds, "mia-pruning") if c.world in little]
    text = (
        f"**Little is learned** by the dense models of {named}, at most {HARDLY:g} times chance: "
        "what is measured there says little of networks that work, stands under their headings and "
        "in the table, and is counted in nothing that follows here. That line was drawn when "
        "results were known."
    )
    if not left:
        return [text]
    both = [*every, *left]
    ends = counted(case.paper.verdict for case in both)
    beside = [no_worse_stopped(case.content, case.point) for case in both]
    stops = counted(early.leak.auc.verdict for early in beside if not early.never)
    return [
        f"{text} With them, of {number(len(both), 'case')} the accuracy of the paper's attack, "
        f"minus the dense models', would be {ends}; and AUC of the strongest attack, minus the "
        f"dense models stopped no less accurate, {stops}."
    ]


def _strongest(every: Sequence[Case]) -> str:
    apart = []
    known = 0
    for case in every:
        own, naive = (case.point["rows"].get(n) for n in ("LiRA", "LiRA, naive"))
        rows = [r for r in (own, naive) if r is not None and r["low"] is not None]
        if len(rows) == 2:
            known += 1
            if rows[0]["low"] > rows[1]["high"]:
                apart.append(rows[0]["value"] - rows[1]["value"])
    text = (
        "**By LiRA, RMIA and their kin.** The leak by the strongest attack, in AUC and in TPR at "
        "the lowest false-positive rate that can be resolved, minus the dense models': of "
        f"{number(len(every), 'case')} {counted(together(case.leak) for case in every)}."
    )
    if not known:
        return text
    text += (
        " An attacker who does not prune his references sees less than there is: AUC of LiRA with "
        f"dense references is below that with pruned ones, intervals apart, in {len(apart)} of "
        f"{known}"
    )
    return f"{text}, by up to {max(apart):.3f}." if apart else f"{text}."


def _canaries(planted: dict[str, dict[str, Any]]) -> str:
    found = [
        (case, canaries_minus_dense(case.points, case.point))
        for case in cases_of(with_dense(planted), "mia-pruning")
    ]
    if not found:
        return "**Single records.** Nothing is measured of planted records."
    worlds = len({case.world for case, _ in found})
    text = (
        "**Single records.** The leak of records planted with a wrong label, MIA-Pruning minus the "
        f"dense models, in AUC: of {number(len(found), 'case')} in {number(worlds, 'world')} "
        f"{counted(leak.auc.verdict for _, leak in found)}"
    )
    left = [(case.point["rows"].get("leak of canaries, mislabelled"), case) for case, _ in found]
    known = [(row["value"], case) for row, case in left if row and row["value"]]
    if not known:
        return f"{text}."
    value, case = max(known, key=lambda one: one[0])
    return f"{text}; the highest AUC left is {value:.3f}, {case.named}."


def _ship(worlds: Worlds) -> str:
    best = {name: best_to_ship(*both) for name, both in worlds.items()}
    some = [
        f"{name} {_named_to_ship(*worlds[name], point)}"
        for name, point in best.items()
        if point is not None
    ]
    none = [name for name, point in best.items() if point is None]
    parts = ["**To ship.**"]
    if some:
        parts.append(
            "Cases that leak less than the dense models at their end and stopped no less accurate, "
            "and that exclude a loss of more than 1 point of test accuracy, beside the dense "
            "models and beside these trained on, of each world the one that leaks least: "
            f"{'; '.join(some)}. They were chosen on these targets: measure yours on a new seed "
            "before you rely on it."
        )
    if none:
        parts.append(f"No case is shown to do so in {', '.join(none)}.")
    parts.append("Only differential privacy with a small epsilon gives a guarantee.")
    return " ".join(parts)


def _named_to_ship(content: dict[str, Any], points: dict[str, Point], point: Point) -> str:
    dense = points[DENSE]
    notes = [
        f"test accuracy {shown(point, 'test accuracy', 100, 1)} beside "
        f"{shown(dense, 'test accuracy', 100, 1)} %, AUC {shown(point, 'leak')} beside "
        f"{shown(dense, 'leak')}"
    ]
    epsilon = (point["rows"].get("accounted epsilon") or {}).get("value")
    if epsilon is not None:
        nothing = ", which promises nothing" if epsilon > LARGE else ""
        notes.append(f"its accounted epsilon is {_epsilon(epsilon)}{nothing}")
    if no_worse_stopped(content, point).never:
        notes.append("no dense snapshot is as accurate, so it stands beside the most accurate ones")
    alike = [p for p in points.values() if p["case"] != point["case"] and equals(point, p)]
    if alike:
        told = ", ".join(f"`{other['case']}`" for other in alike)
        notes.append(f"as far as intervals of AUC and accuracy tell, as good: {told}")
    return f"`{point['case']}` ({'; '.join(notes)})"
