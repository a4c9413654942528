"""Run a plan in numpy, step by step: slow, and what every engine is compared with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from secateur_runtime.choices import Options, Ways
from secateur_runtime.plan import Floats, Plan, Step
from secateur_runtime.shapes import window_counts

__all__ = ["ReferenceEngine", "compute", "run"]

Array = NDArray[Any]
_DENSE = ("convolution", "linear")
_PIECE = 2**22  # numbers of a window matrix at a time


class ReferenceEngine:
    """The engine that needs numpy alone.

    Args:
        plan: what it runs.
    """

    name = "numpy"
    ways: Ways = MappingProxyType({})

    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    def run(self, inputs: Floats) -> Floats:
        """Return the output for inputs `[n, ...]`."""
        return run(self.plan, inputs)[self.plan.output]

    def choices(self) -> list[str]:
        """Return for each step how it runs."""
        return ["dense" if step.kind in _DENSE else "" for step in self.plan.steps]

    def chosen(self, n: int) -> list[str]:
        """Return for each step how it runs, whatever the number of records."""
        return self.choices()

    def options(self) -> Options:
        """Return nothing: it has one way for all."""
        return {}

    def traits(self) -> Mapping[str, str]:
        """Return nothing: there is no choice."""
        return {}

    def measure(self) -> ReferenceEngine:
        """Return itself."""
        return self

    def choosing(self, ways: Ways) -> ReferenceEngine:
        """Return itself."""
        del ways
        return self


def run(plan: Plan, inputs: Floats, *, keep: bool = False) -> dict[int, Floats]:
    """Return the values of a plan by their ids: the output, or all where `keep` is true.

    Args:
        plan: what is run.
        inputs: float32 `[n, ...]`.
        keep: hold every value, to compare engines step by step.

    Example:
        >>> from secateur_runtime.plan import Step
        >>> step = Step(kind="relu", inputs=(0,), output=1)
        >>> plan = Plan(steps=(step,), shapes=((2,), (2,)), input=0, output=1)
        >>> run(plan, np.array([[-1, 2]], np.float32))[1].tolist()
        [[0.0, 2.0]]
    """
    values = {plan.input: inputs}
    last = plan.last_reads
    for i, step in enumerate(plan.steps):
        values[step.output] = compute(step, [values[name] for name in step.inputs])
        for name in set(step.inputs) - {plan.output}:
            if last[name] == i and not keep:
                del values[name]
    return values


def compute(step: Step, inputs: Sequence[Floats]) -> Floats:
    """Return what one step makes of its inputs `[n, ...]`, float32."""
    out = _STEPS[step.kind](step, inputs)
    found: Floats = np.ascontiguousarray(out, np.float32)
    return found


def _activated(out: Array, step: Step) -> Array:
    activation = step.attributes["activation"]
    if activation == "none":
        return out
    return np.clip(out, 0, 6) if activation == "relu6" else np.maximum(out, 0)


def _linear(step: Step, inputs: Sequence[Floats]) -> Array:
    assert step.weight is not None  # the plan was checked
    out = inputs[0] @ step.weight.dense().values.T
    return _activated(out if step.bias is None else out + step.bias, step)


def _convolution(step: Step, inputs: Sequence[Floats]) -> Array:
    assert step.weight is not None  # the plan was checked
    x, a, weight = inputs[0], step.attributes, step.weight.dense().values
    down, across = window_counts(x.shape[1:], a, weight.shape[2:])
    groups, taken = a["groups"], weight.size // len(weight)
    rows = weight.reshape(groups, -1, taken)
    out = np.empty((len(x), len(weight), down, across), np.float32)
    places = max(1, _PIECE // (groups * taken))  # whose windows are copied at a time
    wide = min(across, places)
    high = min(down, places // wide)
    each = max(1, places // (high * wide))
    for start in range(0, len(x), each):
        part = out[start : start + each]
        windows = _windows(x[start : start + each], a, weight.shape[2:], (down, across), 0.0)
        for top, left in product(range(0, down, high), range(0, across, wide)):
            tile = windows[:, :, top : top + high, left : left + wide].transpose(0, 1, 4, 5, 2, 3)
            columns = tile.reshape(len(part), groups, taken, -1)
            made = (rows @ columns).reshape(*part.shape[:2], *tile.shape[4:])
            part[:, :, top : top + high, left : left + wide] = made
    if step.bias is not None:
        out += step.bias[:, None, None]
    if len(inputs) == 2:
        out += inputs[1]
    return _activated(out, step)


def _windows(
    x: Array, a: Mapping[str, Any], kernel: Sequence[int], counts: tuple[int, int], fill: float
) -> Array:
    """Return the windows `[n, c, down, across, kernel, kernel]` of a padded picture."""
    top, left, bottom, right = a["padding"]
    dilation, stride = a.get("dilation", (1, 1)), a["stride"]
    reach = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    ends = [(n - 1) * s + r for n, s, r in zip(counts, stride, reach, strict=True)]
    high, wide = x.shape[2:]
    after = (max(bottom, ends[0] - high - top), max(right, ends[1] - wide - left))
    pads = ((0, 0), (0, 0), (top, after[0]), (left, after[1]))
    padded = np.pad(x, pads, constant_values=fill)
    windows = sliding_window_view(padded, reach, axis=(2, 3))
    return windows[
        (slice(None), slice(None), *(slice(None, None, n) for n in (*stride, *dilation)))
    ]


def _max_pool(step: Step, inputs: Sequence[Floats]) -> Array:
    a = step.attributes
    counts = window_counts(inputs[0].shape[1:], a, a["kernel"])
    return np.asarray(_windows(inputs[0], a, a["kernel"], counts, -np.inf).max(axis=(4, 5)))


def _average_pool(step: Step, inputs: Sequence[Floats]) -> Array:
    x, a = inputs[0], step.attributes
    counts = window_counts(x.shape[1:], a, a["kernel"])
    total = _windows(x, a, a["kernel"], counts, 0.0).sum(axis=(4, 5))
    inside = np.ones((1, 1, *x.shape[2:]), np.float32)
    if a["count_include_pad"]:
        top, left, bottom, right = a["padding"]
        inside = np.pad(inside, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=1)
        a = {**a, "padding": (0, 0, 0, 0)}
    return np.asarray(total / _windows(inside, a, a["kernel"], counts, 0.0).sum(axis=(4, 5)))


def _softmax(step: Step, inputs: Sequence[Floats]) -> Array:
    shifted = np.exp(inputs[0] - inputs[0].max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))


def _affine(step: Step, inputs: Sequence[Floats]) -> Array:
    assert step.weight is not None  # the plan was checked
    behind = (-1, *(1,) * (inputs[0].ndim - 2))
    out = inputs[0] * step.weight.values.reshape(behind)
    return out if step.bias is None else np.asarray(out + step.bias.reshape(behind))


def _reshape(step: Step, inputs: Sequence[Floats]) -> Array:
    return inputs[0].reshape(len(inputs[0]), *step.attributes["shape"])


def _flatten(step: Step, inputs: Sequence[Floats]) -> Array:
    return inputs[0].reshape(len(inputs[0]), int(np.prod(inputs[0].shape[1:])))


_STEPS: Mapping[str, Callable[[Step, Sequence[Floats]], Array]] = {
    "convolution": _convolution,
    "linear": _linear,
    "max_pool": _max_pool,
    "average_pool": _average_pool,
    "global_average_pool": lambda _, inputs: inputs[0].mean(axis=(2, 3), keepdims=True),
    "add": lambda _, inputs: np.asarray(inputs[0] + inputs[1]),
    "concatenate": lambda _, inputs: np.concatenate(inputs, axis=1),
    "flatten": _flatten,
    "reshape": _reshape,
    "softmax": _softmax,
    "relu": lambda _, inputs: np.maximum(inputs[0], 0),
    "clip": lambda step, inputs: np.clip(
        inputs[0], step.attributes["low"], step.attributes["high"]
    ),
    "affine": _affine,
    "copy": lambda _, inputs: inputs[0].copy(),
}
