"""Which controls the audits of a sweep raised, for docs/evidence.md."""

from __future__ import annotations

from typing import Any

from secateur.sweeping.result import CONTROLS
from tools.counting import Worlds, number
from tools.verdicts import PRUNED, of_method

__all__ = ["convergence", "raised"]

CONVERGENCE = "convergence"
NOT_KEPT = "Which controls its audit raised was not kept by this sweep."


def raised(content: dict[str, Any]) -> str:
    """Return a sentence that names the controls, and the cases that they are raised on."""
    if CONTROLS not in content["facts"]:
        return NOT_KEPT
    cases = {p["case"] for p in content["points"]}
    told: dict[str, list[str]] = {}
    for control in content["facts"][CONTROLS]:
        on = told.setdefault(control["id"], [])
        on += [control["subject"]] if control["subject"] in cases else []
    if not told:
        return "No control of its audit is raised."
    named = "; ".join(f"{name} ({', '.join(on)})" if on else name for name, on in told.items())
    return f"[Controls](controls.md) raised by its audit: {named}."


def convergence(worlds: Worlds) -> list[str]:
    """Say in how many pruned cases ADMM's weights lay far from the budget when they were cut.

    Args:
        worlds: with dense models.
    """
    kept = {n: both for n, both in worlds.items() if CONTROLS in both[0]["facts"]}
    rest = ", ".join(name for name in worlds if name not in kept)
    cases = [(n, p["case"]) for n, (_, points) in kept.items() for p in of_method(points, *PRUNED)]
    jumps = {
        (name, control["subject"])
        for name, (content, _) in kept.items()
        for control in content["facts"][CONTROLS]
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
