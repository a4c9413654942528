"""What all worlds say of the paper's rows beside each other, for docs/evidence.md."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from tools.controls import matched_rivals
from tools.counting import Case, Worlds, cases_of, counted, number
from tools.defences import share_gone
from tools.ship import keeps
from tools.stopped import MATCHED
from tools.verdicts import ATTACK, DENSE, PRUNED, Difference, Point, between, of_method, shown

__all__ = [
    "at_equal_accuracy",
    "beside_min_max",
    "beside_pruning",
    "game",
    "papers_attack",
]

LITTLE = 0.04
"""The loss of test accuracy, as a share, that Min-Max may cost."""
HALF = 0.5
"""The share of the excess that the game is to take."""
ON_TARGETS = "whose setting was chosen on the targets, as the sweep kept no references' accuracy"


def papers_attack(every: Sequence[Case], worlds: int) -> str:
    """Say in how many cases the paper's attack fell, and by how much where accuracy was kept."""
    text = (
        "**The paper's claim.** The accuracy of the paper's attack, MIA-Pruning minus the dense "
        f"models: of {number(len(every), 'case')} in {number(worlds, 'world')} "
        f"{counted(case.paper.verdict for case in every)}."
    )
    fell = [case for case in every if case.paper.verdict == "lower"]
    if not fell:
        return text
    kept = [case for case in fell if keeps(case.points, case.point)]
    text += (
        f" Of the {len(fell)} that fell, {len(kept)} exclude a loss of more than 1 point of test "
        "accuracy, beside the dense models and beside these trained on for as long as pruning takes"
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


def _fall(case: Case) -> float:
    return case.paper.value or 0.0


def at_equal_accuracy(worlds: Worlds, title: str, rival: str, name: str, paper: str) -> list[str]:
    """Say how the pruned cases lie beside a rival of about their test accuracy.

    Args:
        worlds: with dense models.
        title: of the sentence.
        rival: the rival's method.
        name: as it is called.
        paper: what the paper reports of it.
    """
    every = list(cases_of(worlds, *PRUNED))
    matched = [pair for _, points in worlds.values() for pair in matched_rivals(points, rival)]
    if not matched:
        return []
    papers = [between(point, found.point, ATTACK) for point, found in matched]
    leaks = [between(point, found.point, "leak") for point, found in matched]
    targets = sum(found.targets for _, found in matched)
    note = f" ({targets} of them {ON_TARGETS})" if targets else ""
    return [
        f"**{title}** {len(matched)} of the {number(len(every), 'pruned case')}, with and without "
        f"the game, have {name} within {100 * MATCHED:.0f} point of their test accuracy{note}; "
        f"minus it, the accuracy of the paper's attack {counted(p.verdict for p in papers)}"
        f"{_wide(papers)}; AUC of the strongest attack {counted(leak.verdict for leak in leaks)}. "
        f"{paper}"
    ]


def beside_min_max(worlds: Worlds) -> list[str]:
    """Say what pruning adds to Min-Max of the same strength."""
    found = []
    without = []
    for case in cases_of(worlds, "mia-pruning-min-max"):
        pairs = [
            (case, rival)
            for rival in of_method(case.points, "min-max")
            if rival["axes"] == {k: v for k, v in case.point["axes"].items() if k != "rate"}
        ]
        found += pairs
        without += [] if pairs else [case.world]
    if not found:
        return []
    text = (
        "**Beside Min-Max.** MIA-Pruning & Min-Max minus Min-Max of the same strength, which has "
        "the epochs that this one has before it prunes, so that what follows may come from playing "
        f"longer too: {_both_ways([(case.point, rival) for case, rival in found])}"
    )
    papers = [(between(case.point, rival, ATTACK), case, rival) for case, rival in found]
    fell = [one for one in papers if one[0].verdict == "lower"]
    if fell:
        most, case, rival = min(fell, key=lambda one: one[0].value or 0.0)
        test = between(case.point, rival, "test accuracy")
        text += (
            f" The largest fall of the paper's attack is {most.shown(100, 1)} points, "
            f"{case.named}, at {test.shown(100, 1)} points of test accuracy."
        )
    text += " The paper reports up to 10."
    left = ", ".join(dict.fromkeys(w for w in without if w not in {c.world for c, _ in found}))
    return [text + (f" {left}: no Min-Max of that strength and as many epochs." if left else "")]


def beside_pruning(worlds: Worlds) -> list[str]:
    """Say what the game adds to pruning of the same rate."""
    pairs = [
        (case.point, alone)
        for case in cases_of(worlds, "mia-pruning-min-max")
        for alone in of_method(case.points, "mia-pruning")
        if alone["axes"].get("rate") == case.point["axes"].get("rate")
    ]
    if not pairs:
        return []
    tests = [between(case, alone, "test accuracy") for case, alone in pairs]
    return [
        "**Beside pruning alone.** MIA-Pruning & Min-Max minus MIA-Pruning of the same rate: "
        f"{_both_ways(pairs)} Test accuracy is {counted(t.verdict for t in tests)}. The paper "
        "calls this row the lowest of the five."
    ]


def _both_ways(pairs: Sequence[tuple[Point, Point]]) -> str:
    papers = [between(*pair, ATTACK) for pair in pairs]
    leaks = [between(*pair, "leak") for pair in pairs]
    return (
        f"of {number(len(pairs), 'case')} the accuracy of the paper's attack "
        f"{counted(p.verdict for p in papers)}{_wide(papers)}; AUC of the strongest attack "
        f"{counted(leak.verdict for leak in leaks)}."
    )


def _wide(papers: Sequence[Difference]) -> str:
    unpaired = sum(not p.paired for p in papers if p.value is not None)
    if not unpaired:
        return ""
    return (
        f" ({unpaired} of them not paired, by the far ends of two intervals, which hides effects)"
    )


class _Game(NamedTuple):
    share: Difference
    test: Difference
    world: str
    point: Point


def game(worlds: Sequence[tuple[str, tuple[dict[str, Any], dict[str, Point]]]]) -> list[str]:
    """Say where Min-Max alone takes half of the paper's attack's excess for little accuracy."""
    best: dict[str, _Game] = {}
    points_of: dict[str, dict[str, Point]] = {}
    for name, points in _by_dense_models(worlds).items():
        for point in of_method(points, "min-max"):
            test = between(point, points[DENSE], "test accuracy")
            one = _Game(share_gone(point, points[DENSE]), test, name, point)
            if test.value is not None and test.value >= -LITTLE and one.share.value is not None:
                best[name] = max(best.get(name, one), one, key=lambda g: g.share.value or 0.0)
                points_of[name] = points
    if not best:
        return []
    told = "\n  - ".join(
        f"{name}: {g.share.shown(100, 1)} % (`{g.point['case']}`, {g.test.shown(100, 1)} points; "
        f"AUC of LiRA {shown(g.point, 'LiRA')}{_stopped_as_early(points_of[name], g.point)})"
        for name, g in best.items()
    )
    half = [name for name, g in best.items() if (g.share.value or 0.0) >= HALF]
    sure = [name for name in half if _sure(best[name])]
    return [
        "**Does Min-Max train?** The largest share of the paper's attack's excess over 50 % that "
        f"it takes from the dense models at a loss of at most {100 * LITTLE:.0f} points of test "
        f"accuracy. By these values it is half or more in "
        f"{', '.join(half) or 'none'}; the intervals of share and loss both show it in "
        f"{', '.join(sure) or 'none'}. The largest of several flatters itself. "
        f"{_own_part(best, points_of)}\n  - {told}"
    ]


def _by_dense_models(
    worlds: Sequence[tuple[str, tuple[dict[str, Any], dict[str, Point]]]],
) -> dict[str, dict[str, Point]]:
    """Return the cases of sweeps that have the very same dense models under one name, the first's,
    each case once; of the first sweep that has it.
    """
    found: dict[tuple[float, ...], tuple[str, dict[str, Point]]] = {}
    for name, (_, points) in worlds:
        same = tuple(points[DENSE]["units"].get("test_accuracy", ())) or (float(len(found)),)
        first = found.get(same, (name, {}))
        found[same] = (first[0], {**points, **first[1]})
    return dict(found.values())


def _own_part(best: dict[str, _Game], points_of: dict[str, dict[str, Point]]) -> str:
    """Say in how many of these worlds the game does what stopping as early does not."""
    early = {name: _as_early(points_of[name], g.point) for name, g in best.items()}
    own = [between(best[n].point, point, ATTACK).verdict for n, point in early.items() if point]
    if not own:
        return "Of none of them the dense models stopped after as many epochs were attacked."
    return (
        "Where its case has fewer epochs than the dense models, some of that is stopping earlier: "
        f"of {len(own)} in which dense models stopped after as many epochs were attacked, the "
        f"paper's attack on the game is, minus on these, {counted(own)}."
    )


def _sure(one: _Game) -> bool:
    """Tell whether the intervals show half of the excess gone, and little accuracy lost."""
    share, test = one.share.low, one.test.low
    return share is not None and test is not None and share >= HALF and test >= -LITTLE


def _stopped_as_early(points: dict[str, Point], point: Point) -> str:
    """Return what the dense models lose of it when they stop after as many epochs, and what the
    game does beyond that.
    """
    early = _as_early(points, point)
    if early is None:
        return ""
    own, test = (between(point, early, name) for name in (ATTACK, "test accuracy"))
    return (
        f"; stopping as early alone takes {share_gone(early, points[DENSE]).shown(100, 1)} %; the "
        f"game minus that: paper's attack {own.verdict}, {own.shown(100, 1)} points, at "
        f"{test.shown(100, 1)} points of test accuracy"
    )


def _as_early(points: dict[str, Point], point: Point) -> Point | None:
    """Return the dense models that stop after as many epochs as a case of the game has."""
    epochs = point["axes"].get("epochs")
    alike = [p for p in of_method(points, "early-stopping") if p["axes"].get("epochs") == epochs]
    return alike[0] if alike and epochs is not None else None
