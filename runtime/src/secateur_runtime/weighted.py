"""Convolutions and linear layers for the compiled engine: how they read, and in what order."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from secateur_runtime.drafts import LIMITS, Operator, bias_of
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

__all__ = ["coded", "convolution", "linear"]

CACHE = 24 * 1024  # bytes of input that one block of a reduction may read
LEAST = {"flat": 40, "phases": 40, "taps": 120}
"""Non-zeros of a channel in one block, on average."""


def convolution(
    step: Step, reads: list[Place], out: Place, lanes: int, dense: bool
) -> list[Operator]:
    """Return the operators of a convolution by kernels; `dense` disregards its zeros."""
    assert step.weight is not None
    method = method_of(step, out.shape, lanes, dense=dense)
    if method == "taps" and is_depthwise(step, lanes, dense=dense):
        return [_depthwise(step, reads, out)]
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
        floats=[bias_of(step)],
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


def linear(step: Step, reads: list[Place], out: Place, lanes: int, dense: bool) -> list[Operator]:
    """Return the operator of a linear layer by kernels; `dense` disregards its zeros."""
    assert step.weight is not None
    source = reads[0]
    one = Operator(
        code=("dense" if dense else "sparse") + ("_row" if lanes == 1 else ""),
        reads=(source,),
        writes=out,
        limits=LIMITS[step.attributes["activation"]],
        floats=[bias_of(step)],
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


def coded(step: Step, reads: list[Place], out: Place) -> Operator:
    """Return the operator of a layer for which code is made."""
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
        floats=[bias_of(step)],
        values=weight.values,
        indices=weight.columns,
        pointers=weight.indptr,
    )


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
    table, shifted = _table(step, source, out, lanes)
    return Operator(
        code="taps",
        reads=(source,),
        writes=place,
        window=(kh, kw, sh, sw, dh, dw, top, left, 0, 0, 0),
        sizes=(length, 1, int(shifted), 1),
        indices=table,
    )


def _depthwise(step: Step, reads: list[Place], out: Place) -> Operator:
    assert step.weight is not None
    a, weight = step.attributes, step.weight.sparse()
    assert weight.indptr is not None and weight.columns is not None
    table, shifted = _table(step, reads[0], out, 1)
    return Operator(
        code="depthwise",
        reads=tuple(reads),
        writes=out,
        window=(*weight.shape[2:], *a["stride"], *a["dilation"], *a["padding"][:2], 0, 0, 0),
        sizes=(out.length(), 1, int(shifted), 1),
        limits=LIMITS[a["activation"]],
        floats=[bias_of(step)],
        values=weight.values,
        indices=np.concatenate([table, weight.columns]),
        pointers=weight.indptr,
    )


def _table(step: Step, source: Place, out: Place, lanes: int) -> tuple[NDArray[np.int32], bool]:
    """Return where in a channel each tap reads for each place, or -1; and whether it is a shift."""
    assert step.weight is not None
    a = step.attributes
    kh, kw = step.weight.shape[2:]
    (sh, sw), (dh, dw), (top, left, *_) = a["stride"], a["dilation"], a["padding"]
    length = out.length()
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
    return table.reshape(-1), shifted
