"""A plan: what an engine runs, step by step, with every shape known beforehand."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secateur_runtime.errors import PlanError
from secateur_runtime.shapes import Shape, output_shape

__all__ = ["ACTIVATIONS", "KINDS", "Floats", "Plan", "Step", "Weight"]

Floats = NDArray[np.float32]
KINDS = (
    *("convolution", "linear", "max_pool", "average_pool", "global_average_pool", "add"),
    *("concatenate", "flatten", "reshape", "softmax", "relu", "clip", "affine", "copy"),
)
"""All kinds of steps."""
ACTIVATIONS = ("none", "relu", "relu6")
"""What a convolution or a linear layer does last."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Weight:
    """The weights of a step: all of them, or the non-zeros of each output row (CSR).

    Args:
        shape: `(out, in / groups, height, width)` of a convolution, `(out, in)` of a linear layer,
            `(channels,)` of an affine step.
        values: float32; of shape `shape`, or `[stored]` row after row where it is sparse.
        indptr: int64 `[out + 1]`: row i has the values from `indptr[i]` to `indptr[i + 1]`.
        columns: int32 `[stored]`, ascending within a row: places in the row's flattened
            `(in / groups, height, width)` or `(in,)`.

    Raises:
        PlanError: the parts contradict one another, or a number is not finite.

    Example:
        >>> weight = Weight.of(np.array([[0, 2, 0], [0, 0, 0]], np.float32)).sparse()
        >>> weight.indptr.tolist(), weight.columns.tolist(), weight.dense().values.tolist()
        ([0, 1, 1], [1], [[0.0, 2.0, 0.0], [0.0, 0.0, 0.0]])
    """

    shape: Shape
    values: Floats
    indptr: NDArray[np.int64] | None = None
    columns: NDArray[np.int32] | None = None

    def __post_init__(self) -> None:
        if min(self.shape, default=0) < 1 or self.values.dtype != np.float32:
            raise PlanError(f"weights of shape {self.shape}, {self.values.dtype}, are none")
        if not np.isfinite(self.values).all():
            raise PlanError(f"weights of shape {self.shape} hold NaN or infinite numbers")
        if self.indptr is None or self.columns is None:
            if self.indptr is not self.columns or self.values.shape != self.shape:
                raise PlanError(f"dense weights of {self.values.shape} are said to be {self.shape}")
        else:
            self._check_rows(self.indptr, self.columns)

    def _check_rows(self, indptr: NDArray[np.int64], columns: NDArray[np.int32]) -> None:
        types = indptr.dtype == np.int64 and columns.dtype == np.int32
        sizes = indptr.shape == (self.shape[0] + 1,) and columns.shape == self.values.shape
        if not (types and sizes and self.values.ndim == 1):
            raise PlanError(f"the rows of sparse weights {self.shape} have other sizes or types")
        ordered = (
            indptr[0] == 0 and indptr[-1] == len(columns) and bool((np.diff(indptr) >= 0).all())
        )
        if not ordered or (len(columns) and not 0 <= columns.min() <= columns.max() < self.row):
            raise PlanError(f"the rows of sparse weights {self.shape} lead outside them")
        rising = np.diff(columns) > 0
        starts = indptr[1:-1]
        rising[starts[(starts > 0) & (starts < len(columns))] - 1] = True
        if not rising.all():
            raise PlanError(f"the columns of sparse weights {self.shape} do not ascend")

    @classmethod
    def of(cls, values: NDArray[Any]) -> Weight:
        """Return dense weights."""
        array = np.ascontiguousarray(values, np.float32)
        return cls(shape=array.shape, values=array)

    @property
    def is_sparse(self) -> bool:
        """Whether only non-zeros are held."""
        return self.indptr is not None

    @property
    def row(self) -> int:
        """How many places each output row has."""
        return math.prod(self.shape[1:])

    @property
    def size(self) -> int:
        """How many places there are."""
        return math.prod(self.shape)

    @property
    def n_nonzero(self) -> int:
        """How many numbers are not zero."""
        return int(np.count_nonzero(self.values))

    @property
    def share_zero(self) -> float:
        """The share of zeros, in [0, 1]."""
        return 1 - self.n_nonzero / self.size

    def sparse(self) -> Weight:
        """Return the same weights as rows of non-zeros."""
        if self.is_sparse:
            return self
        rows = self.values.reshape(self.shape[0], -1)
        at = np.flatnonzero(rows)
        counts = np.count_nonzero(rows, axis=1)
        return Weight(
            shape=self.shape,
            values=rows.reshape(-1)[at],
            indptr=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            columns=(at % rows.shape[1]).astype(np.int32),
        )

    def dense(self) -> Weight:
        """Return the same weights with their zeros."""
        if self.indptr is None or self.columns is None:
            return self
        rows = np.zeros((self.shape[0], self.row), np.float32)
        rows[np.repeat(np.arange(self.shape[0]), np.diff(self.indptr)), self.columns] = self.values
        return Weight(shape=self.shape, values=rows.reshape(self.shape))


@dataclass(frozen=True, kw_only=True, eq=False)
class Step:
    """One operation on whole values. All are float32; shapes leave out the batch axis.

    `attributes` of each kind (pairs are (down, across), `padding` is (top, left, bottom, right)):

    - `convolution`: `stride`, `padding`, `dilation` (the distance of taps), `groups`,
      `activation`. It computes `activation(conv(first input) + bias + second input)`, the last term
      where there are two inputs. Padding is 0. A window may lie in the padding altogether.
    - `linear`: `activation`, as above. It reads `(features,)`.
    - `max_pool`: `kernel`, `stride`, `padding`, `dilation`, `ceil_mode`. Places outside the input
      are left out of the maximum (of no place it is -inf).
    - `average_pool`: `kernel`, `stride`, `padding`, `ceil_mode`, `count_include_pad`. The divisor
      counts the window's places in the input, or, with `count_include_pad`, those in the input and
      its padding; what `ceil_mode` reaches beyond the padding never counts.
    - `global_average_pool`: none; gives `(channels, 1, 1)`.
    - `add`: none; two inputs of one shape.
    - `concatenate`: `axis`, which is 0: channels or features.
    - `flatten`: none; `(c, h, w)` in that order becomes `(c * h * w,)`.
    - `reshape`: `shape`, of as many places in the same order.
    - `softmax`: `axis`, which is 0; its input is `(features,)`, or `(c, h, w)` for each place.
    - `relu`: none. `clip`: `low`, `high`, of which either may be infinite.
    - `affine`: none; each channel times its number in `weight` `(channels,)` plus that in `bias`.
    - `copy`: none.

    Args:
        kind: one of `KINDS`.
        inputs: ids of the values that it reads.
        output: id of the value that it makes; no other step makes it.
        attributes: as above.
        weight: of a convolution, a linear layer or an affine step.
        bias: float32 `[out]`, or nothing.
        layer: where it stands in the network, for messages.
    """

    kind: str
    inputs: tuple[int, ...]
    output: int
    attributes: Mapping[str, Any] = field(default_factory=dict)
    weight: Weight | None = None
    bias: Floats | None = None
    layer: str = ""

    @property
    def place(self) -> str:
        """The layer for messages."""
        return f"layer {self.layer!r}" if self.layer else "the network's own forward"


@dataclass(frozen=True, kw_only=True, eq=False)
class Plan:
    """Steps in an order in which they can run, from one input to one output.

    Everything is checked when it is made, so that an engine need not: ids and shapes agree, each
    value is made before it is read, weights and biases fit.

    Args:
        steps: at least one.
        shapes: of every value, by id, without the batch axis: `(c, h, w)` or `(features,)`.
        input: id of the value that is given; no step makes it.
        output: id of the value that is returned.

    Raises:
        PlanError: a step cannot run.
    """

    steps: tuple[Step, ...]
    shapes: tuple[Shape, ...]
    input: int
    output: int

    def __post_init__(self) -> None:
        made = {self.input}
        for step in self.steps:
            if step.output in made or not 0 <= step.output < len(self.shapes):
                raise PlanError(f"{step.kind} in {step.place} makes the value {step.output} again")
            if not set(step.inputs) <= made:
                raise PlanError(f"{step.kind} in {step.place} reads what is not made before it")
            _check(step, [self.shapes[i] for i in step.inputs], self.shapes[step.output])
            made.add(step.output)
        if not self.steps or self.output not in made - {self.input}:
            raise PlanError(f"no step makes the output, value {self.output}")

    @property
    def last_reads(self) -> dict[int, int]:
        """For each value that a step reads, the index of the last step that does."""
        return {value: i for i, step in enumerate(self.steps) for value in step.inputs}


def _check(step: Step, inputs: Sequence[Shape], output: Shape) -> None:
    own = None if step.weight is None else step.weight.shape
    try:
        shape = output_shape(step.kind, step.attributes, own, inputs)
        if shape != output:
            raise PlanError(f"it gives {shape}, which the plan holds for {output}")
        _check_numbers(step)
    except PlanError as error:
        raise PlanError(f"{step.kind} in {step.place}: {error}") from error


def _check_numbers(step: Step) -> None:
    weighted = step.kind in ("convolution", "linear", "affine")
    bias, weight = step.bias, step.weight
    if (weight is not None) != weighted or (bias is not None and not weighted):
        raise PlanError("it lacks weights, or has some that it does not use")
    if bias is not None and weight is not None:
        right = bias.dtype == np.float32 and bias.shape == weight.shape[:1]
        if not right or not np.isfinite(bias).all():
            raise PlanError(f"its bias of {bias.shape}, {bias.dtype}, is not {weight.shape[:1]}")
    activation = step.attributes.get("activation")
    if step.kind in ("convolution", "linear") and activation not in ACTIVATIONS:
        raise PlanError(f"its activation is {activation!r}, none of {', '.join(ACTIVATIONS)}")
    low, high = (step.attributes.get(end) for end in ("low", "high"))
    if step.kind == "clip" and not (
        isinstance(low, float) and isinstance(high, float) and low <= high
    ):
        raise PlanError(f"it clips to {low!r} and {high!r}")
    if step.kind == "softmax" and step.attributes.get("axis") != 0:
        raise PlanError(f"it runs along axis {step.attributes.get('axis')}")
