"""What operators with weights look up: tables of taps; and what tables and weights take."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from secateur_runtime.drafts import LIMITS, Content, Operator, bias_of
from secateur_runtime.layout import Place, up
from secateur_runtime.plan import Step, Weight

__all__ = [
    "depthwise",
    "last_read",
    "lengthened",
    "rows_bytes",
    "stored",
    "table_bytes",
    "table_of",
    "weight_of",
]


def weight_of(step: Step) -> Weight:
    """Return the weights of a step that has some."""
    assert step.weight is not None
    return step.weight


def stored(weight: Weight) -> int:
    """Return how many numbers the rows of a weight have once zeros are left out."""
    return len(weight.values) if weight.is_sparse else weight.n_nonzero


def rows_bytes(weight: Weight) -> int:
    """Return the bytes that making rows of non-zeros takes, none where there are some."""
    return 0 if weight.is_sparse else weight.size + 36 * stored(weight)


def last_read(step: Step, source: Place, method: str) -> int:
    """Return an element that no weight reads beyond, for the first output."""
    a = step.attributes
    kernel, dilation = weight_of(step).shape[2:], a["dilation"]
    far = [(k - 1) * int(d) for k, d in zip(kernel, dilation, strict=True)]
    first = source.origin + (source.shape[0] - 1) * source.plane
    if method == "taps":
        return first
    if method == "flat":
        top, left, *_ = map(int, a["padding"])
        return first + (far[0] - top) * source.pitch + far[1] - left
    down, across = map(int, a["stride"])
    return first + far[0] // down * source.pitch + far[1] // across


def depthwise(step: Step, reads: list[Place], out: Place) -> Operator:
    """Return the operator of a layer each of whose outputs reads one input channel, in place."""
    a, weight = step.attributes, weight_of(step)
    shifted = lengthened(step, reads[0], out, 1)
    held, passing = table_bytes(step, out)

    def content() -> Content:
        rows = weight.sparse()
        assert rows.indptr is not None and rows.columns is not None
        table = table_of(step, reads[0], out)
        return rows.values, np.concatenate([table, rows.columns]), rows.indptr

    n = stored(weight)
    return Operator(
        code="depthwise",
        reads=tuple(reads),
        writes=out,
        window=(*weight.shape[2:], *a["stride"], *a["dilation"], *a["padding"][:2], 0, 0, 0),
        sizes=(out.length(), 1, int(shifted), 1),
        limits=LIMITS[a["activation"]],
        floats=[bias_of(step)],
        content=content,
        held=held + 20 * n + 24 * weight.shape[0],
        passing=passing + rows_bytes(weight),
    )


def table_of(step: Step, source: Place, out: Place) -> NDArray[np.int32]:
    """Return where in a channel each tap reads for each place, or -1."""
    a = step.attributes
    kh, kw = weight_of(step).shape[2:]
    (sh, sw), (dh, dw), (top, left, *_) = a["stride"], a["dilation"], a["padding"]
    length = out.length()
    y, x = np.divmod(np.arange(up(length)), out.pitch)
    i, j = (n.reshape(-1, 1) for n in np.indices((kh, kw)))
    row, column = y * sh + i * dh - top, x * sw + j * dw - left
    real = (y < out.shape[1]) & (x < out.shape[2]) & (np.arange(up(length)) < length)
    real = real & (row >= 0) & (row < source.shape[1]) & (column >= 0) & (column < source.shape[2])
    return np.where(real, row * source.pitch + column, -1).astype(np.int32).reshape(-1)


def table_bytes(step: Step, out: Place) -> tuple[int, int]:
    """Return the bytes of a table here and in the engine, and those while it is made."""
    taps = math.prod(weight_of(step).shape[2:])
    return taps * (16 + 12 * up(out.length())), 48 * (taps + 1) * up(out.length())


def lengthened(step: Step, source: Place, out: Place, lanes: int) -> bool:
    """Return whether each tap reads the input shifted; the input then is as long as they reach."""
    a = step.attributes
    shifted = tuple(a["stride"]) == (1, 1) and source.pitch == out.pitch and lanes == 1
    if shifted:
        last = last_read(step, source, "flat") + up(out.length())
        source.size = max(source.size, up(last))
    return shifted
