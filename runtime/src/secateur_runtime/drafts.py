"""The operators of the compiled engine, as it is given them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secateur_runtime.layout import Place
from secateur_runtime.plan import Step

__all__ = ["CODES", "LIMITS", "Content", "Operator", "bias_of", "nothing"]

CODES = (
    *("input", "output", "sparse", "dense", "sparse_row", "dense_row", "phases", "taps"),
    *("max_pool", "average_pool", "global_average_pool", "add", "softmax", "affine", "clip"),
    *("reshape", "code", "depthwise"),
)
"""The engine's operators; the place of each is its number there."""
LIMITS = {"none": None, "relu": (0.0, math.inf), "relu6": (0.0, 6.0)}


_NOWHERE = Place(shape=(0, 0, 0), pitch=0, plane=0)
Content = tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.int64]]
"""Values, indices and pointers of an operator."""


def nothing() -> Content:
    """Return what an operator without weights and tables has."""
    return np.zeros(0, np.float32), np.zeros(0, np.int32), np.zeros(0, np.int64)


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
        content: makes its weights and tables, when all that they take was found to fit.
        held: bytes that the content takes here and in the engine, at most.
        passing: bytes more while it is made.
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
    content: Callable[[], Content] = nothing
    held: int = 0
    passing: int = 0

    def draft(self) -> tuple[Any, ...]:
        """Return what the engine is given."""
        views = [one.ints() for one in (*self.reads, *(_NOWHERE,) * (2 - len(self.reads)))]
        out = self.writes or _NOWHERE
        ints = [*views[0], *views[1], *out.ints(), *self.window, *self.sizes]
        low, high = self.limits or (0.0, 0.0)
        values, indices, pointers = self.content()
        with np.errstate(over="ignore"):  # a bound beyond float32 is none
            head = np.array([low, high], np.float32)
        return (
            CODES.index(self.code),
            np.array([*ints, self.limits is not None, out.bordered, self.tile], np.int64),
            np.ascontiguousarray(np.concatenate([head, *self.floats]), np.float32),
            np.ascontiguousarray(values, np.float32),
            np.ascontiguousarray(indices, np.int32),
            np.ascontiguousarray(pointers, np.int64),
        )


def bias_of(step: Step) -> NDArray[np.float32]:
    """Return the biases of a step, zeros where it has none."""
    assert step.weight is not None
    return np.zeros(step.weight.shape[0], np.float32) if step.bias is None else step.bias
