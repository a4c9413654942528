"""Worlds and points of the page about pruning that protects, and what their attacks are called."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from typing import Any

from secateur.cli.spelled import parse_step
from secateur.defend import Subsample
from secateur.report.lookup import short
from secateur.sweeping.points import BY
from tools import verdicts
from tools.verdicts import Difference, Point, cases

__all__ = [
    "BESIDE",
    "LOOK",
    "OTHERS",
    "OURS",
    "PLAIN",
    "chosen",
    "close",
    "comparison",
    "leaning",
    "name_of",
    "names_apart",
    "names_of",
    "near",
    "over_references",
    "own_labels",
    "share_read",
    "single",
    "small",
    "value",
    "worlds_of",
]

OURS = ("subsampled-many", "subsampled", "recombined", "cross-fit-mixed-labels", "cross-fit")
"""Methods of ours, the one that is recommended first: where a world has it, the aims are held
against it. The fourth one, of pictures, mixes the members' own labels in: on validation records
answers alone stay 2 points below the dense accuracy there."""
BESIDE = "-beside"
"""How the file ends in which students are seen beside the dense model of the same members."""
LOOK = "-improve"
"""How the file ends in which improvements were looked for, on a draw of its own."""
TRIES = (LOOK, "-canaries", BESIDE)
"""How the files of single questions end: the aims are not held against them."""
MORE = "-draws"
"""How the file of several draws of a world ends: the aims are held against it in place of one."""
RATE = 10.0
WITHIN = 0.01
"""Difference in test accuracy that counts as none: below the best dense model, and beside the
stopped one and DP-SGD."""
DIGITS = 9
"""Digits of a difference in accuracy that count; the rest is the arithmetic's."""
OTHERS = "others=('dense'"
"""What an attack is spelled with that reads the dense model too."""
PLAIN = ("LiRA(", "RMIA(")
"""The attacks on outputs alone that others are held against."""


def worlds_of(found: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return by name the worlds that the aims are held against, several draws in place of one."""
    several_last = sorted(found.items(), key=lambda pair: pair[0].endswith(MORE))
    worlds = {n.removesuffix(MORE): c for n, c in several_last if not n.endswith(TRIES)}
    return dict(sorted(worlds.items()))


def chosen(found: dict[str, Any]) -> Point | None:
    """Return the case that the aims are held against: of the first of our methods that is there,
    whose settings were frozen beforehand, the one that is the most accurate over the references, at
    a tenth of the weights.
    """
    able = [
        p
        for p in cases(found).values()
        if p["method"] in OURS and small(p) and p["units"].get("reference_accuracy")
    ]
    return min(able, key=lambda p: (OURS.index(p["method"]), -over_references(p)), default=None)


def small(point: Point) -> bool:
    """Return whether a case has at most about a tenth of the weights."""
    return (value(point, "compression rate") or 0.0) >= 0.99 * RATE


def comparison(found: dict[str, Any], case: str, method: str) -> dict[str, Any] | None:
    """Return what the sweep measured of a case beside a rival's setting of nearest accuracy."""
    for one in found.get("comparisons", ()):
        if one["case"] == case and one["method"] == method:
            return dict(one)
    return None


def over_references(point: Point) -> float:
    """Return a case's test accuracy over the references; 0 where the sweep kept none."""
    return verdicts.over_references(point) or 0.0


def value(point: Point, name: str) -> float | None:
    """Return a row's number; None where it was not measured."""
    found = (point["rows"].get(name) or {}).get("value")
    return None if found is None else float(found)


def own_labels(point: Point) -> float:
    """Return the share of the members' own labels in what a case's student learns: the largest
    `alpha` that a step of the case, or the method that it stands around, is spelled with; not one
    of a pruning method or a teacher.
    """
    waiting = [ast.parse(step, mode="eval").body for step in point["steps"]]
    found = [0.0]
    while waiting:
        call = waiting.pop()
        for keyword in call.keywords if isinstance(call, ast.Call) else ():
            if keyword.arg == "alpha":
                found.append(float(ast.literal_eval(keyword.value)))
            elif keyword.arg == "method":
                waiting.append(keyword.value)
    return max(found)


def share_read(point: Point) -> float:
    """Return the share of its members that anything reads which a case is made from: below 1 where
    a secret part of them alone is known (`Subsample`).
    """
    methods = [parse_step(step) for step in point["steps"] if step.startswith("Subsample(")]
    shares = [m.share if m.taught is None else m.known for m in methods if type(m) is Subsample]
    return min(shares, default=1.0)


def near(gap: Difference) -> bool:
    """Return whether a difference in test accuracy is at most `WITHIN` by its value."""
    return gap.value is not None and round(abs(gap.value), DIGITS) <= WITHIN


def close(accuracy: float, best: float) -> bool:
    """Return whether an accuracy is at most `WITHIN` below the best one."""
    return round(best - accuracy, DIGITS) <= WITHIN


def leaning(gap: Difference) -> int:
    """Return -1 or 1 where a difference is detectably below or above 0, and 0 where its interval
    holds 0; without an interval its sign decides.
    """
    if gap.value is None:
        return 0
    low, high = (round(gap.value if e is None else e, DIGITS) for e in (gap.low, gap.high))
    return -1 if high < 0 else int(low > 0)


def single(point: Point) -> dict[str, float]:
    """Return the AUC by the attack's spelling, where single attacks were written down."""
    return {
        name.removeprefix(BY): float(row["value"])
        for name, row in point["rows"].items()
        if name.startswith(BY) and row["value"] is not None
    }


def name_of(spelling: str) -> str:
    """Return what an attack is called in a table, with what it reads beside the model."""
    others = re.search(r"others=\(('[^)]*')", spelling)
    inputs = re.search(r"perturbations=\((\w+)", spelling)
    more = [f"beside {others[1].rstrip(',')}".replace("'", "")] if others else []
    around = re.search(r"around=\((\w+)", spelling)
    more += [inputs[1]] if inputs and spelling.startswith(("Neighbours", "LabelOnly")) else []
    more += [f"around by {around[1]}"] if around else []
    return ", ".join([short(spelling), *more])


def names_apart(spellings: Iterable[str]) -> dict[str, str]:
    """Return by its spelling what each attack of a table is called: those of one name with the
    arguments in which they differ.

    Example:
        >>> names_apart(["WhiteBox(folds=8)", "WhiteBox(folds=8, coordinates=9)", "GapAttack()"])
        ... # doctest: +NORMALIZE_WHITESPACE
        {'WhiteBox(folds=8)': 'WhiteBox', 'WhiteBox(folds=8, coordinates=9)':
         'WhiteBox, coordinates=9', 'GapAttack()': 'GapAttack'}
    """
    kin: dict[str, dict[str, dict[str, str]]] = {}
    for spelling in spellings:
        kin.setdefault(name_of(spelling), {})[spelling] = _arguments(spelling)
    names: dict[str, str] = {}
    for name, alike in kin.items():
        common = set.intersection(*(set(arguments.items()) for arguments in alike.values()))
        for spelling, arguments in alike.items():
            own = [f"{key}={text}" for key, text in arguments.items() if (key, text) not in common]
            names[spelling] = ", ".join([name, *own])
    return names


def _arguments(spelling: str) -> dict[str, str]:
    """Return the arguments of a call by their names, as they are spelled."""
    call = ast.parse(spelling, mode="eval").body
    assert isinstance(call, ast.Call)
    return {str(keyword.arg): ast.unparse(keyword.value) for keyword in call.keywords}


def names_of(spellings: str) -> str:
    """Return what the attacks are called that were the strongest, over seeds maybe several.

    Example:
        >>> names_of("WhiteBox(others=(), head='both') or RMIA(temperature=1.0)")
        'WhiteBox or RMIA T=1'
    """
    return " or ".join(dict.fromkeys(name_of(one) for one in spellings.split(" or ")))
