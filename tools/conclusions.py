"""What all worlds say together, in sentences that count intervals, for docs/evidence.md."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tools.canaries import canaries_minus_dense
from tools.controls import AT_ITS_RATE, controls_of, equals, nearest_decay
from tools.defences import share_gone
from tools.ship import best_to_ship, keeps_accuracy
from tools.stopped import MATCHED, Stopped, no_worse_stopped
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
    shown,
)

__all__ = ["conclusions"]

NAMED = {
    "small-dense": "the small dense network",
    "random-mask": "the random mask",
    "from-scratch": "the same mask from scratch",
    "magnitude": "one-shot magnitude",
}
LITTLE = 0.04
"""The loss of test accuracy, as a share, that Min-Max may cost."""
HARDLY = 2.5
"""Times chance, up to which dense models hardly learned."""
CLASSES = re.compile(r"\bclasses=(\d+)")
LARGE = 20.0
"""An epsilon above which differential privacy promises nothing: a factor of e^20 in the odds."""
Worlds = dict[str, tuple[dict[str, Any], dict[str, Point]]]


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
    def leak(self) -> Leak:
        return leak_difference(self.point, DENSE)

    @property
    def test(self) -> Difference:
        return row_difference(self.point, f"test accuracy - {DENSE}")

    @property
    def named(self) -> str:
        return f"`{self.point['case']}` of {self.world}"


def conclusions(
    found: dict[str, dict[str, Any]],
    planted: dict[str, dict[str, Any]] | None = None,
    strengths: dict[str, dict[str, Any]] | None = None,
) -> list[str]:
    """Return a list of what the worlds say together; nothing of worlds without dense models.

    Args:
        found: sweeps by the world's name.
        planted: sweeps with planted records, by the world's name.
        strengths: sweeps of Min-Max alone, by the world's name.
    """
    worlds = _with_dense(found)
    every = [
        _Case(world=name, content=content, points=points, point=point)
        for name, (content, points) in worlds.items()
        for point in of_method(points, "mia-pruning")
    ]
    if not every:
        return []
    said = [
        *_unlearned(worlds),
        _papers_attack(every, len(worlds)),
        *_beside_min_max(worlds),
        *_game([*worlds.items(), *_with_dense(strengths or {}).items()]),
        _stopping(every),
        *_longer(every),
        *_size(every),
        *_decay(every),
        _strongest(every),
        _canaries(planted or {}),
        _ship(worlds),
    ]
    return ["\n".join(f"- {line}" for line in said)]


def _with_dense(found: dict[str, dict[str, Any]]) -> Worlds:
    worlds = {name: (content, cases(content)) for name, content in found.items()}
    return {name: both for name, both in worlds.items() if DENSE in both[1]}


def _unlearned(worlds: Worlds) -> list[str]:
    """Name the worlds whose dense models hardly beat chance, as far as the recipe tells."""
    found = []
    for name, (content, points) in worlds.items():
        classes = CLASSES.search(content["facts"].get("recipe", ""))
        row = points[DENSE]["rows"].get("test accuracy")
        if classes is None or row is None or row["value"] is None:
            continue
        if row["value"] <= HARDLY / int(classes[1]):
            percent = f"{100 * row['value']:.1f} %, {100 / int(classes[1]):.3g} by chance"
            found.append(f"{name} ({percent})")
    if not found:
        return []
    return [
        "**Little is learned** by the dense models of "
        f"{', '.join(found)}: what is said of them says little of networks that work."
    ]


def _papers_attack(every: Sequence[_Case], worlds: int) -> str:
    text = (
        "**The paper's claim.** The accuracy of the paper's attack, MIA-Pruning minus the dense "
        f"models: of {_number(len(every), 'case')} in {_number(worlds, 'world')} "
        f"{_count(case.paper.verdict for case in every)}."
    )
    fell = [case for case in every if case.paper.verdict == "lower"]
    if not fell:
        return text
    kept = [case for case in fell if keeps_accuracy(case.test)]
    text += (
        f" Of the {len(fell)} that fell, {len(kept)} exclude a loss of more than 1 point of test "
        "accuracy"
    )
    if kept:
        most = min(kept, key=_fall)
        text += (
            f", and the largest fall of these is {most.paper.shown(100, 1)} points, {most.named}"
        )
    most = min(fell, key=_fall)
    return (
        f"{text}. The largest of all is {most.paper.shown(100, 1)} points, {most.named}, whose "
        f"test accuracy is {shown(most.point, 'test accuracy', 100, 1)} % beside the dense models' "
        f"{shown(most.dense, 'test accuracy', 100, 1)} %. The paper reports up to 13.6."
    )


def _fall(case: _Case) -> float:
    return case.paper.value or 0.0


def _beside_min_max(worlds: Worlds) -> list[str]:
    """Say what pruning adds to Min-Max of the same strength."""
    found = []
    without = []
    for name, (_, points) in worlds.items():
        both = of_method(points, "mia-pruning-min-max")
        pairs = [
            (name, case, game)
            for case in both
            for game in of_method(points, "min-max")
            if game["axes"] == {k: v for k, v in case["axes"].items() if k != "rate"}
        ]
        found += pairs
        without += [name] if both and not pairs else []
    if not found:
        return []
    papers = [between(case, game, ATTACK) for _, case, game in found]
    leaks = [between(case, game, "leak") for _, case, game in found]
    unpaired = sum(not p.paired for p in papers if p.value is not None)
    text = (
        "**Beside Min-Max.** MIA-Pruning & Min-Max minus Min-Max of the same strength: of "
        f"{_number(len(found), 'case')} the accuracy of the paper's attack "
        f"{_count(p.verdict for p in papers)}{_wide(unpaired)}; AUC of the strongest attack "
        f"{_count(leak.verdict for leak in leaks)}."
    )
    fell = [(p, *which) for p, which in zip(papers, found, strict=True) if p.verdict == "lower"]
    if fell:
        most, name, case, game = min(fell, key=lambda one: one[0].value or 0.0)
        test = between(case, game, "test accuracy")
        text += (
            f" The largest fall of the paper's attack is {most.shown(100, 1)} points, "
            f"`{case['case']}` of {name}, at {test.shown(100, 1)} points of test accuracy."
        )
    text += " The paper reports up to 10."
    return [text + (f" {', '.join(without)}: no Min-Max of that strength." if without else "")]


def _wide(unpaired: int) -> str:
    if not unpaired:
        return ""
    return (
        f" ({unpaired} of them not paired, by the far ends of two intervals, which hides effects)"
    )


def _game(worlds: Sequence[tuple[str, tuple[dict[str, Any], dict[str, Point]]]]) -> list[str]:
    """Say where Min-Max alone takes half of the paper's attack's excess for little accuracy."""
    found = []
    for name, (_, points) in worlds:
        dense = points[DENSE]
        for game in of_method(points, "min-max"):
            share = share_gone(between(game, dense, ATTACK), dense)
            test = row_difference(game, f"test accuracy - {DENSE}")
            if share.value is not None and test.value is not None and test.value >= -LITTLE:
                found.append((share, test, name, game))
    best: dict[str, tuple[Difference, Difference, str, Point]] = {}
    for one in found:
        before = best.get(one[2])
        if before is None or (one[0].value or 0.0) > (before[0].value or 0.0):
            best[one[2]] = one
    if not best:
        return []
    points_of = {name: points for name, (_, points) in worlds}
    told = [
        f"{name} {share.shown(100, 0)} % (`{game['case']}`, {test.shown(100, 1)} points; AUC of "
        f"LiRA {shown(game, 'LiRA')}{_stopped_as_early(points_of[name], game)})"
        for share, test, name, game in best.values()
    ]
    return [
        "**Does Min-Max train?** The largest share of the paper's attack's excess over 50 % that "
        f"it takes from the dense models at a loss of at most {100 * LITTLE:.0f} points of test "
        f"accuracy: {'; '.join(told)}. Where its case has fewer epochs than the dense models, some "
        "of that is stopping earlier."
    ]


def _stopped_as_early(points: dict[str, Point], game: Point) -> str:
    """Return what the dense models lose of it when they stop after as many epochs."""
    epochs = game["axes"].get("epochs")
    for early in of_method(points, "early-stopping"):
        if epochs is not None and early["axes"].get("epochs") == epochs:
            share = share_gone(between(early, points[DENSE], ATTACK), points[DENSE])
            return f"; stopping as early alone takes {share.shown(100, 0)} %"
    return ""


def _stopping(every: Sequence[_Case]) -> str:
    fell = [case for case in every if case.paper.verdict == "lower"]
    if not fell:
        return "**Or stopping earlier?** The paper's attack fell nowhere."
    beside = [no_worse_stopped(case.content, case.point) for case in fell]
    matched = [one for one in beside if one.matched]
    text = (
        f"**Or stopping earlier?** Of the {_number(len(fell), 'case')} in which the paper's attack "
        f"fell, {len(matched)} have a snapshot of the dense training within "
        f"{100 * MATCHED:.0f} point of their test accuracy"
    )
    if not matched:
        return f"{text}."
    return f"{text}; minus it, the leak by the strongest attack: {_apart(matched)}."


def _apart(beside: Sequence[Stopped]) -> str:
    aucs, tprs = (_count(getattr(one.leak, n).verdict for one in beside) for n in ("auc", "tpr"))
    return f"AUC {aucs}; TPR {tprs}"


def _longer(every: Sequence[_Case]) -> list[str]:
    """Say what the training that pruning adds does by itself."""
    pairs = [
        (case, control)
        for case in every
        for control in controls_of(case.points, case.point, "trained-on")
    ]
    if not pairs:
        return []
    rose = [(case, control) for case, control in pairs if case.paper.verdict == "higher"]
    text = (
        "**Or longer training?** Minus the dense models trained on for as long as pruning takes, "
        f"not pruned: of {_number(len(pairs), 'case')} AUC of the strongest attack "
        f"{_count(between(c.point, control, 'leak').verdict for c, control in pairs)}"
    )
    if rose:
        still = sum(between(c.point, k, "leak").verdict == "higher" for c, k in rose)
        text += (
            f". Of the {len(rose)} in which the paper's attack rose against the dense models, the "
            f"AUC is higher than that of these in {still}"
        )
    return [f"{text}."]


def _size(every: Sequence[_Case]) -> list[str]:
    """Say how many of the cases that leak less a control of the same rate equals."""
    less = [case for case in every if case.leak.auc.verdict == "lower"]
    parts = []
    able: set[str] = set()
    for method in AT_ITS_RATE:
        pairs = [(c, k) for c in less for k in controls_of(c.points, c.point, method)]
        able |= {case.named for case, _ in pairs}
        if pairs:
            good = sum(equals(case.point, control) for case, control in pairs)
            parts.append(f"{NAMED[method]} in {good} of {len(pairs)}")
    if not parts:
        return []
    return [
        f"**Or size?** Of the {_number(len(less), 'case')} whose AUC is lower than the dense "
        f"models', {len(able)} have a control of the same rate. It does as well, as far as "
        f"intervals tell, in leak and in accuracy: {', '.join(parts)}."
    ]


def _decay(every: Sequence[_Case]) -> list[str]:
    """Say how weight decay of as good an accuracy compares."""
    less = [case for case in every if case.leak.auc.verdict == "lower"]
    beside = []
    for case in less:
        found = nearest_decay(case.points, case.point)
        if found is None or found[1].value is None or abs(found[1].value) > MATCHED:
            continue
        beside.append(between(case.point, found[0], "leak"))
    if not beside:
        return []
    return [
        f"**Or weight decay?** {len(beside)} of these {len(less)} have weight decay within "
        f"{100 * MATCHED:.0f} point of their test accuracy, the setting chosen on references; "
        f"minus it, AUC is {_count(leak.verdict for leak in beside)}."
    ]


def _strongest(every: Sequence[_Case]) -> str:
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
        f"{_number(len(every), 'case')} {_count(_together(case.leak) for case in every)}."
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
        f"{_count(_together(leak) for *_, leak in found)}"
    )
    left = [(p["rows"].get("leak of canaries, mislabelled"), name, p) for name, p, _ in found]
    known = [(row["value"], name, p) for row, name, p in left if row and row["value"]]
    if not known:
        return f"{text}."
    value, name, point = max(known, key=lambda one: one[0])
    return f"{text}; the highest AUC left is {value:.3f}, `{point['case']}` of {name}."


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
            "and that exclude a loss of more than 1 point of test accuracy, of each world the one "
            f"that leaks least: {'; '.join(some)}. They were chosen on these targets: measure "
            "yours on a new seed before you rely on it."
        )
    if none:
        parts.append(f"No case is shown to do so in {', '.join(none)}.")
    parts.append("Only differential privacy with a small epsilon gives a guarantee.")
    return " ".join(parts)


def _named_to_ship(content: dict[str, Any], points: dict[str, Point], point: Point) -> str:
    notes = []
    epsilon = (point["rows"].get("accounted epsilon") or {}).get("value")
    if epsilon is not None:
        nothing = ", which promises nothing" if epsilon > LARGE else ""
        notes.append(f"its accounted epsilon is {epsilon:,.3g}{nothing}")
    if no_worse_stopped(content, point).never:
        notes.append("no dense snapshot is as accurate, so it stands beside the most accurate one")
    alike = [k["case"] for k in controls_of(points, point) if equals(point, k)]
    if alike:
        told = ", ".join(f"`{name}`" for name in alike)
        notes.append(f"as far as intervals tell, {told} does as well")
    return f"`{point['case']}`" + (f" ({'; '.join(notes)})" if notes else "")


def _together(leak: Leak) -> str:
    """Return what AUC and TPR say together."""
    both = (leak.auc.verdict, leak.tpr.verdict)
    if both[0] == both[1]:
        return both[0]
    if "not measured" in both:
        return "one of AUC and TPR not measured"
    effects = sorted(set(both) - {"no detectable effect"})
    return f"{effects[0]} in one of the two" if len(effects) == 1 else "lower and higher"


def _number(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def _count(verdicts: Iterable[str]) -> str:
    """Return how often which verdict, such as `lower in 2, higher in 1`."""
    every = list(verdicts)
    return ", ".join(f"{v} in {every.count(v)}" for v in sorted(set(every), key=ORDER.index))


ORDER = (
    "lower",
    "higher",
    "no detectable effect",
    "lower in one of the two",
    "higher in one of the two",
    "lower and higher",
    "one of AUC and TPR not measured",
    "not measured",
)
