"""Turn a plan into the operators of the compiled engine."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from secateur_runtime.allot import starts
from secateur_runtime.drafts import Operator, bias_of
from secateur_runtime.layout import Place, method_of, needs_of, place_all
from secateur_runtime.plan import Plan, Step
from secateur_runtime.weighted import coded, convolution, linear

__all__ = ["Assembly", "assembled"]


@dataclass(kw_only=True)
class Assembly:
    """Operators, and the floats of memory that they need.

    Args:
        lanes: pictures that lie side by side, 1 or 16.
    """

    lanes: int
    operators: list[Operator]
    floats: int = 0

    def n_bytes(self, arenas: int) -> int:
        """Return the bytes that making and running it takes at its highest, at most.

        Args:
            arenas: how many memories for values there are at once.
        """
        held = sum(2048 + one.held + 12 * sum(map(len, one.floats)) for one in self.operators)
        return 4 * self.floats * arenas + held + max(one.passing for one in self.operators)

    def largest(self) -> int:
        """Return the floats of the largest value."""
        places = (p for op in self.operators for p in (*op.reads, op.writes) if p is not None)
        return max(place.size for place in places)

    def drafts(self) -> list[tuple[Any, ...]]:
        """Return what the engine is given."""
        return [one.draft() for one in self.operators]


def assembled(plan: Plan, lanes: int, way: Callable[[int], str]) -> Assembly:
    """Return the operators of a plan.

    Args:
        plan: what to run.
        lanes: pictures that lie side by side, 1 or 16.
        way: how the step of a number runs, if it has weights: `sparse` or `dense` by kernels, or
            `code`, made for it alone, which takes 16 lanes.
    """
    ways = [way(i) for i in range(len(plan.steps))]
    methods = [
        method_of(step, plan.shapes[step.output], lanes, dense=one == "dense")
        if step.kind == "convolution" and one != "code"
        else ""
        for step, one in zip(plan.steps, ways, strict=True)
    ]
    places = place_all(plan, needs_of(plan, lanes, methods), lanes)
    made = Assembly(lanes=lanes, operators=[Operator(code="input", writes=places[plan.input])])
    for number, (step, one) in enumerate(zip(plan.steps, ways, strict=True)):
        reads, out = [places[i] for i in step.inputs], places[step.output]
        if one == "code" and step.weight is not None:
            parts = [coded(step, reads, out)]
        else:
            parts = _RULES[step.kind](step, reads, out, lanes, one == "dense")
        for part in parts:
            part.step = number
        made.operators += parts
    made.operators.append(Operator(code="output", reads=(places[plan.output],)))
    _allot(made)
    return made


def _allot(made: Assembly) -> None:
    """Give every value its place in the memory; parts of a value share that of the whole."""
    lives: dict[int, list[int]] = {}
    known: dict[int, Place] = {}
    for at, op in enumerate(made.operators):
        for place in (*op.reads, *((op.writes,) if op.writes else ())):
            whole = place.whole or place
            known[id(whole)] = whole
            life = lives.setdefault(id(whole), [whole.size, at, at])
            life[2] = at
    table = np.array(list(lives.values()), np.int64)
    found, made.floats = starts(table)
    for key, start in zip(lives, found, strict=True):
        known[key].start = int(start)
    for op in made.operators:
        for place in (*op.reads, *((op.writes,) if op.writes else ())):
            if place.whole:
                place.start = place.whole.start


def _pool(step: Step, reads: list[Place], out: Place, lanes: int, dense: bool) -> list[Operator]:
    a = step.attributes
    window = (*a["kernel"], *a["stride"], *a.get("dilation", (1, 1)), *a["padding"])
    counted = int(a.get("count_include_pad", False))
    return [Operator(code=step.kind, reads=(reads[0],), writes=out, window=(*window, counted))]


def _concatenate(
    step: Step, reads: list[Place], out: Place, lanes: int, dense: bool
) -> list[Operator]:
    found, at = [], 0
    for one in reads:
        found.append(Operator(code="phases", reads=(one,), writes=out.part(at, one.shape[0])))
        at += one.shape[0]
    return found


def _simple(step: Step, reads: list[Place], out: Place, lanes: int, dense: bool) -> list[Operator]:
    a = step.attributes
    code = {"flatten": "reshape", "copy": "phases", "relu": "clip"}.get(step.kind, step.kind)
    limits = {"relu": (0.0, math.inf), "clip": (a.get("low", 0.0), a.get("high", 0.0))}
    floats = [] if step.weight is None else [bias_of(step), step.weight.dense().values]
    return [
        Operator(
            code=code, reads=tuple(reads), writes=out, limits=limits.get(step.kind), floats=floats
        )
    ]


_Rule = Callable[[Step, list[Place], Place, int, bool], list[Operator]]
_RULES: Mapping[str, _Rule] = {
    **dict.fromkeys(
        ("global_average_pool", "add", "flatten", "reshape", "softmax", "relu", "clip"), _simple
    ),
    **dict.fromkeys(("affine", "copy"), _simple),
    **dict.fromkeys(("max_pool", "average_pool"), _pool),
    "convolution": convolution,
    "linear": linear,
    "concatenate": _concatenate,
}
