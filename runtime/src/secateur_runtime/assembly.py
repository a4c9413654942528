"""Turn a plan into the operators of the compiled engine."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secateur_runtime.layout import (
    VECTOR,
    Need,
    Place,
    method_of,
    needs_of,
    place_all,
    place_of,
    starts,
    touched,
    up,
)
from secateur_runtime.plan import Plan, Step, Weight

__all__ = ["Assembly", "Operator", "assembled"]

CODES = (
    *("input", "output", "sparse", "dense", "sparse_row", "dense_row", "phases", "taps"),
    *("max_pool", "average_pool", "global_average_pool", "add", "softmax", "affine", "clip"),
    *("reshape", "code"),
)
"""The engine's operators; the place of each is its number there."""
CACHE = 24 * 1024  # bytes of input that one block of a reduction may read
LEAST = {"flat": 40, "phases": 40, "taps": 120}  # non-zeros of a channel in one block, on average
LIMITS = {"none": None, "relu": (0.0, math.inf), "relu6": (0.0, 6.0)}


@dataclass(kw_only=True)
class Operator:
    """One operator of the engine.

    Args:
        code: one of `CODES`.
        step: number of the plan's step that it belongs to, or -1.
        reads: the values that it reads: the first, and one that is added.
        writes: the value that it makes.
        sizes: what the engine takes in this order: length, blocks, depth, groups.
        limits: to which results are clipped, if at all.
    """

    code: str
    step: int = -1
    reads: tuple[Place, ...] = ()
    writes: Place | None = None
    window: tuple[int, ...] = (1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0)
    sizes: tuple[int, int, int, int] = (0, 1, 0, 1)
    limits: tuple[float, float] | None = None
    tile: int = 0
    floats: Sequence[NDArray[np.float32]] = ()
    values: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    indices: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    pointers: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    def draft(self) -> tuple[Any, ...]:
        """Return what the engine is given."""
        views = [one.ints() for one in (*self.reads, *(_NOWHERE,) * (2 - len(self.reads)))]
        out = self.writes or _NOWHERE
        ints = [*views[0], *views[1], *out.ints(), *self.window, *self.sizes]
        low, high = self.limits or (0.0, 0.0)
        head = np.array([low, high], np.float32)
        return (
            CODES.index(self.code),
            np.array([*ints, self.limits is not None, out.bordered, self.tile], np.int64),
            np.ascontiguousarray(np.concatenate([head, *self.floats]), np.float32),
            np.ascontiguousarray(self.values, np.float32),
            np.ascontiguousarray(self.indices, np.int32),
            np.ascontiguousarray(self.pointers, np.int64),
        )


_NOWHERE = Place(shape=(0, 0, 0), pitch=0, plane=0)


@dataclass(kw_only=True)
class Assembly:
    """Operators, and the floats of memory that they need.

    Args:
        lanes: pictures that lie side by side, 1 or 16.
    """

    lanes: int
    operators: list[Operator]
    floats: int = 0

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
        method_of(step, plan.shapes[step.output], lanes)
        if step.kind == "convolution" and one != "code"
        else ""
        for step, one in zip(plan.steps, ways, strict=True)
    ]
    places = place_all(plan, needs_of(plan, lanes, methods), lanes)
    made = Assembly(lanes=lanes, operators=[Operator(code="input", writes=places[plan.input])])
    for number, (step, one) in enumerate(zip(plan.steps, ways, strict=True)):
        reads, out = [places[i] for i in step.inputs], places[step.output]
        if one == "code" and step.weight is not None:
            parts = [_code(step, reads, out)]
        else:
            parts = _RULES[step.kind](step, reads, out, lanes, one == "dense")
        for part in parts:
            part.step = number
        made.operators += parts
    made.operators.append(Operator(code="output", reads=(places[plan.output],)))
    _allot(made)
    return made


def _code(step: Step, reads: list[Place], out: Place) -> Operator:
    assert step.weight is not None
    a, weight = step.attributes, step.weight.sparse()
    kernel = (*weight.shape[2:], 1, 1)[:2]
    window = (*kernel, *a.get("stride", (1, 1)), *a.get("dilation", (1, 1)))
    assert weight.indptr is not None and weight.columns is not None
    return Operator(
        code="code",
        reads=tuple(reads),
        writes=out,
        window=(*window, *a.get("padding", (0, 0, 0, 0)), 0),
        sizes=(1, 1, 0, a.get("groups", 1)),
        limits=LIMITS[a["activation"]],
        floats=[_bias(step)],
        values=weight.values,
        indices=weight.columns,
        pointers=weight.indptr,
    )


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


def _convolution(
    step: Step, reads: list[Place], out: Place, lanes: int, dense: bool
) -> list[Operator]:
    assert step.weight is not None
    method = method_of(step, out.shape, lanes)
    before: list[Operator] = []
    source = reads[0]
    if method == "phases":
        before = [_phases(step, source, out, lanes)]
    elif method == "taps":
        before = [_taps(step, source, out, lanes, narrow=not dense)]
    if before and before[0].writes:
        source = before[0].writes
    offsets = _offsets(step, source, method) * lanes
    group = source.shape[0] // step.attributes["groups"] * source.plane * lanes
    one = Operator(
        code="dense" if dense else "sparse",
        reads=(source, *reads[1:]),
        writes=out,
        limits=LIMITS[step.attributes["activation"]],
        floats=[_bias(step)],
    )
    tile = min(touched(out.length() * lanes) * 4, 14 * 64)
    if dense:
        weight = step.weight.dense()
        depth = step.weight.row
        one.values, one.indices = weight.values.reshape(-1), offsets.astype(np.int32)
        one.sizes = (out.length(), max(1, depth // 192), depth, step.attributes["groups"])
        reach = int(offsets.max()) + group * (step.attributes["groups"] - 1)
    else:
        weight = step.weight.sparse()
        spread = len(offsets) * tile if method == "taps" else source.shape[0] * tile * 1.5
        blocks = _blocks(weight, spread, method)
        _pack(one, weight, offsets, group, step.attributes["groups"], blocks)
        one.sizes = (out.length(), blocks, 0, 1)
        reach = int(one.indices.max(initial=0))
    source.size = max(source.size, up(reach + up(out.length() * lanes)))
    return [*before, one]


def _blocks(weight: Weight, spread: float, method: str) -> int:
    mean = len(weight.values) / weight.shape[0]
    return max(1, min(round(spread / CACHE), int(mean / LEAST[method]), weight.row))


def _pack(
    one: Operator, weight: Weight, offsets: NDArray[np.int64], group: int, groups: int, blocks: int
) -> None:
    """Order non-zeros by block of the reduction, then by output channel."""
    assert weight.indptr is not None and weight.columns is not None
    out = weight.shape[0]
    rows = np.repeat(np.arange(out), np.diff(weight.indptr))
    at = offsets[weight.columns] + rows // (out // groups) * group
    keys = weight.columns.astype(np.int64) * blocks // weight.row * out + rows
    order = np.argsort(keys, kind="stable")
    one.values, one.indices = weight.values[order], at[order].astype(np.int32)
    counts = np.bincount(keys, minlength=blocks * out)
    one.pointers = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def _offsets(step: Step, source: Place, method: str) -> NDArray[np.int64]:
    """Return where each place of a row of weights reads, for the first output, in elements."""
    assert step.weight is not None
    a = step.attributes
    _, own, kh, kw = step.weight.shape
    c, i, j = (n.reshape(-1) for n in np.indices((own, kh, kw)))
    rows, columns = i * a["dilation"][0], j * a["dilation"][1]
    if method == "taps":
        at = ((c * kh + i) * kw + j) * source.plane
    elif method == "flat":
        at = c * source.plane + (rows - a["padding"][0]) * source.pitch
        at = at + columns - a["padding"][1]
    else:
        down, across = _phase_counts(step)
        sh, sw = a["stride"]
        plane = (c * down + rows % sh) * across + columns % sw
        at = plane * source.plane + rows // sh * source.pitch + columns // sw
    found: NDArray[np.int64] = (source.origin + at).astype(np.int64)
    return found


def _phase_counts(step: Step) -> tuple[int, int]:
    assert step.weight is not None
    a = step.attributes
    down, across = (
        min(s, (k - 1) * d + 1)
        for s, k, d in zip(a["stride"], step.weight.shape[2:], a["dilation"], strict=True)
    )
    return down, across


def _phases(step: Step, source: Place, out: Place, lanes: int) -> Operator:
    assert step.weight is not None
    a = step.attributes
    down, across = _phase_counts(step)
    rows, columns = (
        n + (k - 1) * d // s
        for n, k, d, s in zip(
            out.shape[1:], step.weight.shape[2:], a["dilation"], a["stride"], strict=True
        )
    )
    shape = (source.shape[0] * down * across, rows, columns)
    place = place_of(shape, Need(pitch=out.pitch), lanes)
    top, left = a["padding"][:2]
    return Operator(
        code="phases",
        reads=(source,),
        writes=place,
        window=(down, across, *a["stride"], 1, 1, top, left, 0, 0, 0),
    )


def _taps(step: Step, source: Place, out: Place, lanes: int, *, narrow: bool) -> Operator:
    assert step.weight is not None
    a = step.attributes
    kh, kw = step.weight.shape[2:]
    (sh, sw), (dh, dw), (top, left, *_) = a["stride"], a["dilation"], a["padding"]
    length = out.length()
    shape = (source.shape[0] * kh * kw, 1, length)
    place = place_of(shape, Need(pitch=length, whole=not narrow), lanes)
    place.plane = touched(length * lanes) // lanes if narrow else place.plane
    place.size = up((place.origin + shape[0] * place.plane) * lanes + 2 * VECTOR)
    y, x = np.divmod(np.arange(up(length)), out.pitch)
    i, j = (n.reshape(-1, 1) for n in np.indices((kh, kw)))
    row, column = y * sh + i * dh - top, x * sw + j * dw - left
    real = (y < out.shape[1]) & (x < out.shape[2]) & (np.arange(up(length)) < length)
    real = real & (row >= 0) & (row < source.shape[1]) & (column >= 0) & (column < source.shape[2])
    table = np.where(real, row * source.pitch + column, -1).astype(np.int32)
    shifted = (sh, sw) == (1, 1) and source.pitch == out.pitch and lanes == 1
    if shifted:
        last = ((kh - 1) * dh - top) * source.pitch + (kw - 1) * dw - left
        end = source.origin + (source.shape[0] - 1) * source.plane + last + up(length)
        source.size = max(source.size, up(end))
    return Operator(
        code="taps",
        reads=(source,),
        writes=place,
        window=(kh, kw, sh, sw, dh, dw, top, left, 0, 0, 0),
        sizes=(length, 1, int(shifted), 1),
        indices=table.reshape(-1),
    )


def _linear(step: Step, reads: list[Place], out: Place, lanes: int, dense: bool) -> list[Operator]:
    assert step.weight is not None
    source = reads[0]
    one = Operator(
        code=("dense" if dense else "sparse") + ("_row" if lanes == 1 else ""),
        reads=(source,),
        writes=out,
        limits=LIMITS[step.attributes["activation"]],
        floats=[_bias(step)],
    )
    columns = np.arange(step.weight.shape[1], dtype=np.int64)
    offsets = columns if lanes == 1 else (source.origin + columns * source.plane) * lanes
    if dense:
        depth = step.weight.shape[1]
        one.values, one.indices = step.weight.dense().values.reshape(-1), offsets.astype(np.int32)
        one.sizes = (1, 1 if lanes == 1 else max(1, depth // 512), depth, 1)
    else:
        weight = step.weight.sparse()
        blocks = 1 if lanes == 1 else _blocks(weight, source.shape[0] * 64, "flat")
        _pack(one, weight, offsets, 0, 1, blocks)
        one.sizes = (1, blocks, 0, 1)
    return [one]


def _bias(step: Step) -> NDArray[np.float32]:
    assert step.weight is not None
    return np.zeros(step.weight.shape[0], np.float32) if step.bias is None else step.bias


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
    floats = [] if step.weight is None else [_bias(step), step.weight.dense().values]
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
    "convolution": _convolution,
    "linear": _linear,
    "concatenate": _concatenate,
}
