"""Convolutions and linear layers for the compiled engine: how they read, and in what order."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from secateur_runtime.drafts import LIMITS, Content, Operator, bias_of
from secateur_runtime.layout import (
    VECTOR,
    Need,
    Place,
    is_depthwise,
    method_of,
    place_of,
    touched,
    up,
)
from secateur_runtime.plan import Step, Weight
from secateur_runtime.tables import (
    depthwise,
    last_read,
    lengthened,
    rows_bytes,
    stored,
    table_bytes,
    table_of,
    weight_of,
)

__all__ = ["coded", "convolution", "linear"]

CACHE = 24 * 1024  # bytes of input that one block of a reduction may read
LEAST = {"flat": 40, "phases": 40, "taps": 120}
"""Non-zeros of a channel in one block, on average."""
MOST_BLOCKS = 4096
Offsets = Callable[[], NDArray[np.int32]]


def convolution(
    step: Step, reads: list[Place], out: Place, lanes: int, dense: bool
) -> list[Operator]:
    """Return the operators of a convolution by kernels; `dense` disregards its zeros."""
    weight = weight_of(step)
    method = method_of(step, out.shape, lanes, dense=dense)
    if method == "taps" and is_depthwise(step, lanes, dense=dense):
        return [depthwise(step, reads, out)]
    before: list[Operator] = []
    source = reads[0]
    if method == "phases":
        before = [_phases(step, source, out, lanes)]
    elif method == "taps":
        before = [_taps(step, source, out, lanes, narrow=not dense)]
    if before and before[0].writes:
        source = before[0].writes
    groups = step.attributes["groups"]
    one = Operator(
        code="dense" if dense else "sparse",
        reads=(source, *reads[1:]),
        writes=out,
        limits=LIMITS[step.attributes["activation"]],
        floats=[bias_of(step)],
    )

    def offsets() -> NDArray[np.int32]:
        return (_offsets(step, source, method) * lanes).astype(np.int32)

    if dense:
        _take_dense(one, weight, offsets, groups)
        one.sizes = (out.length(), max(1, weight.row // 192), weight.row, groups)
    else:
        tile = min(touched(out.length() * lanes) * 4, 14 * 64)
        spread = weight.row * tile if method == "taps" else source.shape[0] * tile * 1.5
        blocks = _blocks(weight, spread, method)
        group = source.shape[0] // groups * source.plane * lanes
        _take_sparse(one, weight, offsets, blocks, (group, groups))
        one.sizes = (out.length(), blocks, 0, 1)
    last = last_read(step, source, method) * lanes
    source.size = max(source.size, up(last + up(out.length() * lanes)))
    return [*before, one]


def linear(step: Step, reads: list[Place], out: Place, lanes: int, dense: bool) -> list[Operator]:
    """Return the operator of a linear layer by kernels; `dense` disregards its zeros."""
    weight = weight_of(step)
    source = reads[0]
    one = Operator(
        code=("dense" if dense else "sparse") + ("_row" if lanes == 1 else ""),
        reads=(source,),
        writes=out,
        limits=LIMITS[step.attributes["activation"]],
        floats=[bias_of(step)],
    )
    depth = weight.shape[1]

    def offsets() -> NDArray[np.int32]:
        columns = np.arange(depth, dtype=np.int64)
        if lanes > 1:
            columns = (source.origin + columns * source.plane) * lanes
        return columns.astype(np.int32)

    if dense:
        _take_dense(one, weight, offsets, 1)
        one.sizes = (1, 1 if lanes == 1 else max(1, depth // 512), depth, 1)
    else:
        blocks = 1 if lanes == 1 else _blocks(weight, source.shape[0] * 64, "flat")
        _take_sparse(one, weight, offsets, blocks, (0, 1))
        one.sizes = (1, blocks, 0, 1)
    return [one]


def coded(step: Step, reads: list[Place], out: Place) -> Operator:
    """Return the operator of a layer for which code is made."""
    weight, a = weight_of(step), step.attributes
    kernel = (*weight.shape[2:], 1, 1)[:2]
    window = (*kernel, *a.get("stride", (1, 1)), *a.get("dilation", (1, 1)))

    def content() -> Content:
        rows = weight.sparse()
        assert rows.indptr is not None and rows.columns is not None
        return rows.values, rows.columns, rows.indptr

    n = stored(weight)
    pieces = n * 17 // 20_000 + 2 + weight.shape[0] // 16
    forms = [min(places, 2 * k + 1) for places, k in zip(out.shape[1:], kernel, strict=True)]
    lists = 8 * math.prod(forms) * (math.prod(kernel) + 2)
    return Operator(
        code="code",
        reads=tuple(reads),
        writes=out,
        window=(*window, *a.get("padding", (0, 0, 0, 0)), 0),
        sizes=(1, 1, 0, a.get("groups", 1)),
        limits=LIMITS[a["activation"]],
        floats=[bias_of(step)],
        content=content,
        held=46 * n + pieces * (10_000 + lists) + 4 * sum(out.shape[1:]),
        passing=16 * n + rows_bytes(weight),
    )


def _blocks(weight: Weight, spread: float, method: str) -> int:
    mean = stored(weight) / weight.shape[0]
    return max(1, min(round(spread / CACHE), int(mean / LEAST[method]), weight.row, MOST_BLOCKS))


def _take_dense(one: Operator, weight: Weight, offsets: Offsets, groups: int) -> None:
    """Let an operator have all of a weight, zeros too, eight output channels side by side."""
    one.content = lambda: (
        weight.dense().values.reshape(-1),
        offsets(),
        np.zeros(0, np.int64),
    )
    lots = groups * up(weight.shape[0] // groups, 8)
    own = 4 * weight.size if weight.is_sparse else 0
    one.held = own + 4 * lots * weight.row + 12 * weight.row
    one.passing = 72 * weight.row + (weight.size + 12 * stored(weight)) * weight.is_sparse


def _take_sparse(
    one: Operator,
    weight: Weight,
    offsets: Offsets,
    blocks: int,
    group: tuple[int, int],
) -> None:
    """Let an operator have the non-zeros of a weight, by block of the sum, then by channel.

    Args:
        one: the operator.
        weight: what it has.
        offsets: makes where each place of a row reads.
        blocks: parts in which a sum is done.
        group: floats from one group of input channels to the next, and how many groups.
    """
    one.content = lambda: _packed(weight.sparse(), offsets(), blocks, group)
    n, rows = stored(weight), blocks * weight.shape[0]
    one.held = 20 * n + 24 * rows
    one.passing = 72 * weight.row + 40 * n + 32 * rows + rows_bytes(weight)


def _packed(
    weight: Weight, offsets: NDArray[np.int32], blocks: int, group: tuple[int, int]
) -> Content:
    assert weight.indptr is not None and weight.columns is not None
    out, (far, groups) = weight.shape[0], group
    counts = np.diff(weight.indptr)
    at = offsets[weight.columns]
    if groups > 1:
        at += np.repeat((np.arange(out) // (out // groups) * far).astype(np.int32), counts)
    if blocks == 1:
        return weight.values, at, weight.indptr
    block = (np.arange(weight.row) * blocks // weight.row).astype(np.uint16)[weight.columns]
    order = np.argsort(block, kind="stable")
    values, at = weight.values[order], at[order]
    del order
    keys = block.astype(np.int64)
    keys *= out
    keys += np.repeat(np.arange(out, dtype=np.int32), counts)
    pointers = np.zeros(blocks * out + 1, np.int64)
    np.cumsum(np.bincount(keys, minlength=blocks * out), out=pointers[1:])
    return values, at, pointers


def _offsets(step: Step, source: Place, method: str) -> NDArray[np.int64]:
    """Return where each place of a row of weights reads, for the first output, in elements."""
    a = step.attributes
    _, own, kh, kw = weight_of(step).shape
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
    shifted = lengthened(step, source, out, lanes)
    held, passing = table_bytes(step, out)
    return Operator(
        code="taps",
        reads=(source,),
        writes=place,
        window=(kh, kw, sh, sw, dh, dw, top, left, 0, 0, 0),
        sizes=(length, 1, int(shifted), 1),
        content=lambda: (
            np.zeros(0, np.float32),
            table_of(step, source, out),
            np.zeros(0, np.int64),
        ),
        held=held,
        passing=passing,
    )
