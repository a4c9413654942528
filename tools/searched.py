"""Which settings of DP-SGD a search took, and which nobody looked for, for docs/evidence.md."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from secateur import store
from secateur.cli.spelled import parse_recipe, parse_step
from secateur.defend import DPSGD
from tools.counting import Worlds
from tools.verdicts import Point, of_method

__all__ = ["searched", "searches"]


def searches(folder: Path) -> dict[str, dict[str, Any]]:
    """Return what `tools.tune_dpsgd` wrote into a folder, by the cell's name; a file `CELL-*.json`
    is of another network or recipe than the cell's, and is left out.
    """
    read = (
        (path.stem.removeprefix("dpsgd-"), store.read_document(path, what="tuning of DP-SGD"))
        for path in sorted(folder.glob("dpsgd-*.json"))
    )
    return {name: found for name, found in read if name == found["cell"]}


def searched(worlds: Worlds, tuned: dict[str, dict[str, Any]]) -> list[str]:
    """Say of which rows of DP-SGD the settings are what a search took.

    Args:
        worlds: with dense models.
        tuned: the searches, by the cell's name.
    """
    every = [(n, p) for n, (_, points) in worlds.items() for p in of_method(points, "dp-sgd")]
    if not every:
        return []
    taken = [(n, p) for n, p in every if n in tuned and _taken(worlds[n][0]["facts"], p, tuned[n])]
    text = (
        "**Was DP-SGD tuned?** The settings are what a search took at that noise, on records whose "
        "membership is not audited ([differential privacy](dp.md)), of "
        f"{_named(taken) or 'none'}."
    )
    rest = [one for one in every if one not in taken]
    if rest:
        text += (
            f" Not searched in that world at that noise, so that more may be had: {_named(rest)}."
        )
    return [text]


def _taken(facts: dict[str, Any], point: Point, search: dict[str, Any]) -> bool:
    """Tell whether a case trains the network that was searched for as the search took it."""
    *before, method = map(parse_step, point["steps"])
    assert isinstance(method, DPSGD)  # the case's name says so
    recipe = parse_recipe(facts["recipe"])
    for defence in before:
        recipe = defence.defended(recipe)
    told = search["taken"].get(str(method.noise_multiplier))
    same = recipe == parse_recipe(search["recipe"])
    return told is not None and same and replace(method, device="cpu") == parse_step(told)


def _named(found: list[tuple[str, Point]]) -> str:
    """Return cases by their worlds, such as `adult-mlp (dp-sgd noise=0.2)`."""
    by_world: dict[str, list[str]] = {}
    for world, point in found:
        by_world.setdefault(world, []).append(f"`{point['case']}`")
    return "; ".join(f"{', '.join(names)} of {world}" for world, names in by_world.items())
