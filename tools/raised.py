"""Which controls the audits of a sweep raised, for docs/evidence.md."""

from __future__ import annotations

from typing import Any

from secateur.report.sweep_words import raised_words
from secateur.types import RAISED
from tools.counting import Worlds, number
from tools.verdicts import PRUNED, of_method

__all__ = ["convergence", "raised"]

CONVERGENCE = "convergence"
NOT_KEPT = "Which controls its audit raised was not kept by this sweep."


def raised(content: dict[str, Any]) -> str:
    """Return a sentence that names the controls, and the cases that they are raised on."""
    if RAISED not in content["facts"]:
        return NOT_KEPT
    named = raised_words(content["facts"][RAISED], {p["case"] for p in content["points"]})
    if not named:
        return "No control of its audit is raised."
    return f"[Controls](controls.md) raised by its audit: {named}."


def convergence(worlds: Worlds) -> list[str]:
    """Say in how many pruned cases ADMM's weights lay far from the budget when they were cut.

    Args:
        worlds: with dense models.
    """
    kept = {n: both for n, both in worlds.items() if RAISED in both[0]["facts"]}
    rest = ", ".join(name for name in worlds if name not in kept)
    cases = [(n, p["case"]) for n, (_, points) in kept.items() for p in of_method(points, *PRUNED)]
    jumps = {
        (name, control["subject"])
        for name, (content, _) in kept.items()
        for control in content["facts"][RAISED]
        if control["id"] == CONVERGENCE
    }
    text = (
        "**Did ADMM converge?** Where its weights lie far from the budget when they are cut, the "
        "cut is a shock that may act like stopping earlier: the control `convergence` "
        "([controls](controls.md))."
    )
    if cases:
        count = sum(case in jumps for case in cases)
        text += f" It is raised in {count} of {number(len(cases), 'pruned case')} that say it."
    if rest:
        text += f" Sweeps that did not keep it: {rest}."
    return [text]
