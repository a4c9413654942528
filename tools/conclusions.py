"""What all worlds say together, in sentences that count intervals, for docs/evidence.md."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tools.canaries import canaries_minus_dense
from tools.ship import best_to_ship, keeps_accuracy
from tools.stopped import no_worse_stopped
from tools.verdicts import (
    ATTACK,
    DENSE,
    Difference,
    Leak,
    Point,
    between,
    cases,
    leak_difference,
    of_method,
    row_difference,
)

__all__ = ["CONTROLS", "conclusions"]

CONTROLS = {
    "small-dense": "the small dense network",
    "random-mask": "the random mask",
    "from-scratch": "the same mask from scratch",
    "magnitude": "one-shot magnitude",
}
"""Controls of a pruned case at its own rate, and their names within a sentence."""


ONE_ALONE = "an effect in AUC or TPR alone"


@dataclass(frozen=True, kw_only=True)
class _Case:
    """A pruned case of one world."""

    world: str
    content: dict[str, Any]
    points: dict[str, Point]
    point: Point

    @property
    def dense(self) -> Point:
        return self.points[DENSE]

    @property
    def paper(self) -> Difference:
        return between(self.point, self.dense, ATTACK)

    @property
    def test(self) -> Difference:
        return row_difference(self.point, f"test accuracy - {DENSE}")

    @property
    def named(self) -> str:
        return f"`{self.point['case']}` of {self.world}"


def conclusions(
    found: dict[str, dict[str, Any]], planted: dict[str, dict[str, Any]] | None = None
) -> list[str]:
    """Return a list of what the worlds say together; nothing of worlds without dense models.

    Args:
        found: sweeps by the world's name.
        planted: sweeps with planted records, by the world's name.
    """
    worlds = {name: (content, cases(content)) for name, content in found.items()}
    worlds = {name: both for name, both in worlds.items() if DENSE in both[1]}
    every = [
        _Case(world=name, content=content, points=points, point=point)
        for name, (content, points) in worlds.items()
        for point in of_method(points, "mia-pruning")
    ]
    if not every:
        return []
    said = [
        _papers_attack(every, len(worlds)),
        *_beside_min_max(worlds),
        _stopping(every),
        *_controls(every),
        _strongest(every),
        _canaries(planted or {}),
        _ship(worlds),
    ]
    return ["\n".join(f"- {line}" for line in said)]


def _papers_attack(every: Sequence[_Case], worlds: int) -> str:
    fell = [case for case in every if case.paper.verdict == "lower"]
    first = (
        "**The paper's claim.** The accuracy of the paper's attack, MIA-Pruning minus the dense "
        f"models: of {_number(len(every), 'case')} in {_number(worlds, 'world')} "
        f"{_count(case.paper.verdict for case in every)}"
    )
    if not fell:
        return f"{first}."
    most = min(fell, key=lambda case: case.paper.value or 0.0)
    kept = [case for case in fell if keeps_accuracy(case.test)]
    return (
        f"{first}. The largest fall is {most.paper.shown(100, 1)} points, by {most.named}, at "
        f"{most.test.shown(100, 1)} points of test accuracy; the paper reports up to 13.6. Of the "
        f"{len(fell)} that fell, {len(kept)} exclude a loss of more than 1 point of test accuracy."
    )


def _beside_min_max(worlds: dict[str, tuple[dict[str, Any], dict[str, Point]]]) -> list[str]:
    """Say what pruning adds to Min-Max of the same strength, by the paper's attack."""
    found = []
    for name, (_, points) in worlds.items():
        for case in of_method(points, "mia-pruning-min-max"):
            for game in of_method(points, "min-max"):
                if game["axes"] == {k: v for k, v in case["axes"].items() if k != "rate"}:
                    found.append((between(case, game, ATTACK), f"`{case['case']}` of {name}"))
    if not found:
        return []
    text = (
        "**Beside Min-Max.** The accuracy of the paper's attack, MIA-Pruning & Min-Max minus "
        f"Min-Max of the same strength: of {_number(len(found), 'case')} "
        f"{_count(difference.verdict for difference, _ in found)}"
    )
    fell = [pair for pair in found if pair[0].verdict == "lower"]
    if not fell:
        return [f"{text}."]
    most, which = min(fell, key=lambda pair: pair[0].value or 0.0)
    return [
        f"{text}; the largest fall is {most.shown(100, 1)} points, by {which}; the paper reports "
        "up to 10."
    ]


def _stopping(every: Sequence[_Case]) -> str:
    fell = [case for case in every if case.paper.verdict == "lower"]
    leaks = [no_worse_stopped(case.content, case.point).leak for case in fell]
    return (
        "**Or stopping earlier?** Where the paper's attack fell, the leak by the strongest attack, "
        "minus that of the dense training stopped no less accurate: of "
        f"{_number(len(leaks), 'case')} {_separately(leaks)}."
        if fell
        else "**Or stopping earlier?** The paper's attack fell nowhere."
    )


def _controls(every: Sequence[_Case]) -> list[str]:
    """Say how many of the cases that leak less a control of the same rate equals."""
    less = [c for c in every if leak_difference(c.point, DENSE).auc.verdict == "lower"]
    parts = []
    for method, name in CONTROLS.items():
        verdicts = [
            between(case.point, control, "leak").verdict
            for case in less
            for control in of_method(case.points, method)
            if control["axes"].get("rate") == case.point["axes"].get("rate")
        ]
        if verdicts:
            equal = sum(v in ("higher", "no detectable effect") for v in verdicts)
            parts.append(f"{name} in {equal} of {len(verdicts)}")
    if not parts:
        return []
    return [
        "**Or size?** Beside the cases whose AUC is lower than the dense models', a control of the "
        f"same rate leaks no more, as far as these targets can tell: {', '.join(parts)}."
    ]


def _strongest(every: Sequence[_Case]) -> str:
    leaks = [leak_difference(case.point, DENSE) for case in every]
    apart = []
    for case in every:
        own, naive = (case.point["rows"].get(n) for n in ("LiRA", "LiRA, naive"))
        rows = [r for r in (own, naive) if r is not None and r["low"] is not None]
        if len(rows) == 2:
            apart.append((rows[0]["low"] > rows[1]["high"], rows[0]["value"] - rows[1]["value"]))
    text = (
        "**By LiRA, RMIA and their kin.** The leak by the strongest attack, in AUC and in TPR at "
        "the lowest false-positive rate that can be resolved, minus the dense models': of "
        f"{_number(len(leaks), 'case')} {_count(_in_both(leak.verdict) for leak in leaks)}."
    )
    if not apart:
        return text
    return (
        f"{text} An attacker who does not prune his references sees less than there is: AUC of "
        f"LiRA with dense references is below that with pruned ones, intervals apart, in "
        f"{sum(below for below, _ in apart)} of {len(apart)}, by up to "
        f"{max(by for _, by in apart):.3f}."
    )


def _canaries(planted: dict[str, dict[str, Any]]) -> str:
    found = [
        (name, point, canaries_minus_dense(points, point))
        for name, content in planted.items()
        if DENSE in (points := cases(content))
        for point in of_method(points, "mia-pruning")
    ]
    if not found:
        return "**Single records.** Nothing is measured of planted records."
    worlds = len({name for name, _, _ in found})
    text = (
        "**Single records.** The leak of records planted with a wrong label, MIA-Pruning minus the "
        f"dense models: of {_number(len(found), 'case')} in {_number(worlds, 'world')} "
        f"{_count(_in_both(leak.verdict) for *_, leak in found)}"
    )
    values = [
        (point["rows"].get("leak of canaries, mislabelled"), n, point) for n, point, _ in found
    ]
    known = [(row["value"], n, point) for row, n, point in values if row and row["value"]]
    if not known:
        return f"{text}."
    value, name, point = max(known, key=lambda one: one[0])
    return f"{text}; the highest AUC left is {value:.3f}, of `{point['case']}` in {name}."


def _ship(worlds: dict[str, tuple[dict[str, Any], dict[str, Point]]]) -> str:
    best = {name: best_to_ship(content, points) for name, (content, points) in worlds.items()}
    some = [f"{name} `{point['case']}`" for name, point in best.items() if point is not None]
    none = [name for name, point in best.items() if point is None]
    parts = ["**To ship.**"]
    if some:
        parts.append(
            "A case that leaks less than the dense models, at their end and stopped no less "
            "accurate, and that excludes a loss of more than 1 point of test accuracy: "
            f"{', '.join(some)}."
        )
    if none:
        parts.append(f"No case is shown to do so in {', '.join(none)}.")
    parts.append("For a guarantee there is differential privacy alone.")
    return " ".join(parts)


def _separately(leaks: Sequence[Leak]) -> str:
    aucs, tprs = (_count(getattr(leak, name).verdict for leak in leaks) for name in ("auc", "tpr"))
    return f"AUC {aucs}; TPR {tprs}"


def _in_both(verdict: str) -> str:
    return ONE_ALONE if verdict.startswith("not in both") else verdict


def _number(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def _count(verdicts: Iterable[str]) -> str:
    """Return how often which verdict, such as `lower in 2, higher in 1`."""
    every = list(verdicts)
    order = ("lower", "higher", "no detectable effect", ONE_ALONE, "not measured")
    return ", ".join(f"{v} in {every.count(v)}" for v in order if v in every)
