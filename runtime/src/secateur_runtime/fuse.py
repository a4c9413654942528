"""Steps joined with those that they follow: normalisation, sums and activations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import inf

import numpy as np
from numpy.typing import NDArray

from secateur_runtime.plan import Step, Weight

__all__ = ["fused"]

_LAYERS = ("convolution", "linear")


def fused(steps: Sequence[Step], output: int) -> list[Step]:
    """Return fewer steps that make the same output.

    A step is joined with the one that made its input where nothing else reads that. Affine steps
    are joined with one another first, so that the weights of a layer are scaled once, however many
    follow it. A zero stays a zero; a sum becomes the second input of a
    convolution; an activation becomes its last act.

    Args:
        steps: in an order in which they can run, with the activation `none` everywhere.
        output: id of the value that is returned.
    """
    reads = Counter([output, *(i for step in steps for i in step.inputs)])
    for joining in (_Joining(reads, only="affine"), _Joining(reads)):
        for step in steps:
            joining.take(step)
        steps = [step for step in joining.kept if step is not None]
    return list(steps)


@dataclass
class _Joining:
    """The steps so far, a moved one replaced by None; `maker` says which of them makes a value.

    Args:
        reads: how often each value is read.
        only: the kind of steps that are joined, all of them where it is empty.
    """

    reads: Counter[int]
    only: str = ""
    kept: list[Step | None] = field(default_factory=list)
    maker: dict[int, int] = field(default_factory=dict)
    scaled: set[int] = field(default_factory=set)

    def take(self, step: Step) -> None:
        """Join a step with an earlier one, or put it at the end."""
        if self.only:
            same = step.kind == self.only and self._kind_before(step) == self.only
            at, joined = self._joined(step) if same else (-1, None)
        elif step.kind == "add":
            at, joined = self._joined_sum(step)
        else:
            at, joined = self._joined(step)
        if at < 0:
            at, joined = len(self.kept), step
        if at == len(self.kept):
            self.kept.append(joined)
        else:
            self.kept[at] = joined
        self.maker[step.output] = at

    def _joined(self, step: Step) -> tuple[int, Step | None]:
        before = self._before(step.inputs[0])
        if before is None:
            return -1, None
        joined: Step | None = None
        at = self.maker[step.inputs[0]]
        if step.kind == "affine" and (before.kind == "affine" or at not in self.scaled):
            joined = _scaled(before, step)
            self.scaled.add(at)
        elif step.kind in ("relu", "clip") and before.kind in _LAYERS:
            activation = _activation(step)
            if activation and before.attributes["activation"] == "none":
                joined = replace(before, attributes={**before.attributes, "activation": activation})
        if joined is None:
            return -1, None
        return at, replace(joined, output=step.output)

    def _joined_sum(self, step: Step) -> tuple[int, Step | None]:
        """Join a sum with a convolution, which moves here if the other value comes later."""
        places = sorted(step.inputs, key=lambda i: -self.maker.get(i, -1))
        for value, other in (places, places[::-1]):
            before = self._before(value)
            if before is None or before.kind != "convolution" or not _is_open(before):
                continue
            joined = replace(before, inputs=(*before.inputs, other), output=step.output)
            at = self.maker[value]
            if self.maker.get(other, -1) > at:
                self.kept[at] = None
                at = len(self.kept)
            return at, joined
        return -1, None

    def _kind_before(self, step: Step) -> str:
        before = self._before(step.inputs[0])
        return "" if before is None else before.kind

    def _before(self, value: int) -> Step | None:
        """Return the step that made a value that is read once."""
        if self.reads[value] != 1 or value not in self.maker:
            return None
        return self.kept[self.maker[value]]


def _is_open(step: Step) -> bool:
    """Whether a layer ends with its bias, without a sum or an activation after it."""
    return len(step.inputs) == 1 and step.attributes.get("activation", "none") == "none"


def _activation(step: Step) -> str:
    """Return the activation that a step is, empty where it is none that a layer has."""
    if step.kind == "relu":
        return "relu"
    ends = (step.attributes["low"], step.attributes["high"])
    return {(0.0, 6.0): "relu6", (0.0, inf): "relu"}.get(ends, "")


def _scaled(before: Step, step: Step) -> Step | None:
    """Return a layer or an affine step with another affine step done in its weights."""
    if before.kind not in (*_LAYERS, "affine") or not _is_open(before):
        return None
    assert before.weight is not None and step.weight is not None  # the shapes were inferred
    assert step.bias is not None
    scale, shift = step.weight.values.astype(np.float64), step.bias.astype(np.float64)
    bias = np.zeros(len(scale)) if before.bias is None else before.bias.astype(np.float64)
    with np.errstate(all="ignore"):
        values = _rows_times(before.weight, scale)
        moved = (bias * scale + shift).astype(np.float32)
    if not (np.isfinite(values).all() and np.isfinite(moved).all()):
        return None
    return replace(before, weight=_with(before.weight, values), bias=moved)


def _rows_times(weight: Weight, scale: NDArray[np.float64]) -> NDArray[np.float32]:
    if weight.indptr is None:
        wide = scale.reshape(-1, *(1,) * (len(weight.shape) - 1))
    else:
        wide = np.repeat(scale, np.diff(weight.indptr))
    scaled: NDArray[np.float32] = (weight.values * wide).astype(np.float32)
    return scaled


def _with(weight: Weight, values: NDArray[np.float32]) -> Weight:
    """Return other values at the same places; one that became zero has no place any more."""
    if weight.indptr is None or weight.columns is None:
        return Weight(shape=weight.shape, values=values)
    kept = values != 0
    if kept.all():
        return replace(weight, values=values)
    before = np.concatenate([np.zeros(1, np.int64), np.cumsum(kept)])
    return Weight(
        shape=weight.shape,
        values=values[kept],
        indptr=before[weight.indptr],
        columns=weight.columns[kept],
    )
