"""What all worlds say of the controls of pruning, for docs/evidence.md."""

from __future__ import annotations

from collections.abc import Sequence

from tools.controls import AT_ITS_RATE, LONGER, controls_of, equals, nearest
from tools.counting import Case, Worlds, counted, number
from tools.stopped import MATCHED, NO_LESS, Stopped, stopped, within_a_point
from tools.verdicts import ATTACK, Difference, between, of_method

__all__ = ["decay", "longer", "size", "stopping", "yardstick"]

NAMED = {
    "small-dense": "the small dense network",
    "random-mask": "the random mask",
    "from-scratch": "the same mask from scratch",
    "magnitude": "one-shot magnitude",
    "small-dense-longer": "the small dense network trained as long as pruning takes in all",
    "random-mask-longer": "the random mask trained so long",
    "from-scratch-longer": "the same mask from scratch so long",
}


def stopping(every: Sequence[Case]) -> str:
    """Say whether stopping the dense training earlier gives what pruning does where the paper's
    attack fell.
    """
    fell = [case for case in every if case.paper.verdict == "lower"]
    if not fell:
        return "**Or stopping earlier?** The paper's attack fell nowhere."
    beside = [within_a_point(case.content, case.point) for case in fell]
    matched = [one for one in beside if one is not None]
    text = (
        f"**Or stopping earlier?** Of the {number(len(fell), 'case')} in which the paper's attack "
        f"fell, {len(matched)} have the dense training stopped within {100 * MATCHED:.0f} point of "
        "their test accuracy, at the first such snapshot that is no less accurate or else at the "
        "nearest"
    )
    if matched:
        text += f"; minus it, the leak by each one's strongest attack: {_apart(matched)}"
    return f"{text}. {_papers_on_stopped(fell)}"


def _apart(beside: Sequence[Stopped]) -> str:
    aucs, tprs = (counted(getattr(one.leak, n).verdict for one in beside) for n in ("auc", "tpr"))
    return f"AUC {aucs}; TPR {tprs}"


def _papers_on_stopped(fell: Sequence[Case]) -> str:
    """Say what the paper's attack finds in dense models that were trained for fewer epochs."""
    able = [case for case in fell if of_method(case.points, "early-stopping")]
    rest = len(fell) - len(able)
    left = (
        f"The paper's attack reads whole outputs, of which snapshots keep other signals alone: on "
        f"stopped models it is not measured in {rest} of these cases"
    )
    if not able:
        return f"{left}."
    beside = [(case, nearest(case.points, case.point, "early-stopping")) for case in able]
    papers = [
        between(case.point, found.point, ATTACK)
        for case, found in beside
        if found is not None and found.matched
    ]
    text = (
        f"The paper's attack itself was tried on dense models of fewer epochs (`early-stopping`) "
        f"beside {len(able)} of them, {len(papers)} with one within {100 * MATCHED:.0f} point of "
        "test accuracy"
    )
    if papers:
        text += f"; minus it, its accuracy: {counted(p.verdict for p in papers)}"
    return f"{text}." + (f" {left}." if rest else "")


def yardstick(worlds: Worlds) -> list[str]:
    """Say what a snapshot that is no less accurate says of dense models that were only stopped."""
    beside = [
        stopped(content, point, NO_LESS).leak.auc
        for content, points in worlds.values()
        for point in of_method(points, "early-stopping")
    ]
    known = [found for found in beside if found.value is not None]
    if not known:
        return []
    lower = [found for found in known if found.verdict == "lower"]
    text = (
        f"**That yardstick itself.** Snapshots are few, and the first that is no less accurate has "
        f"often trained longer than it need, which flatters what is beside it: of "
        f"{number(len(known), 'dense fleet')} that were only stopped, the AUC, minus such a "
        f"snapshot's, is {counted(found.verdict for found in known)}"
    )
    if lower:
        text += f", by up to {min(lower, key=lambda one: one.value or 0.0).shown()}"
    return [
        f"{text}. These fleets stand in for snapshots wherever they are the earlier ones; between "
        "them a fall of this size is none of the method's."
    ]


def longer(every: Sequence[Case]) -> list[str]:
    """Say what the training that pruning adds does by itself."""
    pairs = [
        (case, control)
        for case in every
        for control in controls_of(case.points, case.point, "trained-on")
    ]
    if not pairs:
        return []
    rose = [(case, control) for case, control in pairs if case.paper.verdict == "higher"]
    fell = [(case, control) for case, control in pairs if case.paper.verdict == "lower"]
    text = (
        "**Or longer training?** Minus the dense models trained on for as long as pruning takes, "
        f"not pruned: of {number(len(pairs), 'case')} AUC of the strongest attack "
        f"{counted(between(c.point, control, 'leak').verdict for c, control in pairs)}; test "
        f"accuracy {counted(between(c.point, k, 'test accuracy').verdict for c, k in pairs)}"
    )
    if fell:
        papers = counted(between(c.point, k, ATTACK).verdict for c, k in fell)
        text += (
            f". Of the {len(fell)} in which the paper's attack fell against the dense models, it "
            f"is, minus these, {papers}: where it is not lower, training on alone does as much"
        )
    if rose:
        still = sum(between(c.point, k, "leak").verdict == "higher" for c, k in rose)
        text += (
            f". Of the {len(rose)} in which the paper's attack rose against the dense models, the "
            f"AUC is higher than that of these in {still}"
        )
    return [f"{text}."]


def size(every: Sequence[Case]) -> list[str]:
    """Say how many of the cases that leak less a control of the same rate equals."""
    less = [case for case in every if case.leak.auc.verdict == "lower"]
    parts = []
    able: set[str] = set()
    for method in (*AT_ITS_RATE, *LONGER):
        pairs = [(c, k) for c in less for k in controls_of(c.points, c.point, method)]
        able |= {case.named for case, _ in pairs}
        if pairs:
            good = sum(equals(case.point, control) for case, control in pairs)
            parts.append(f"{NAMED[method]} in {good} of {len(pairs)}")
    if not parts:
        return []
    return [
        f"**Or size?** Of the {number(len(less), 'case')} whose AUC is lower than the dense "
        f"models', {len(able)} have a control of the same rate. It does as well, as far as "
        f"intervals tell, in leak and in accuracy: {', '.join(parts)}. Masks and small networks of "
        "which nothing else is said train for the dense models' epochs, pruning for more."
    ]


def decay(every: Sequence[Case]) -> list[str]:
    """Say how weight decay of as good an accuracy compares."""
    less = [case for case in every if case.leak.auc.verdict == "lower"]
    beside: list[Difference] = []
    targets = 0
    for case in less:
        found = nearest(case.points, case.point, "weight-decay")
        if found is None or not found.matched:
            continue
        targets += found.targets
        beside.append(between(case.point, found.point, "leak"))
    if not beside:
        return []
    note = f" (in {targets} on the targets, where no other is known)" if targets else ""
    return [
        f"**Or weight decay?** {len(beside)} of these {len(less)} have weight decay within "
        f"{100 * MATCHED:.0f} point of their test accuracy, the setting chosen on references"
        f"{note}; minus it, AUC is {counted(leak.verdict for leak in beside)}."
    ]
