"""Which shape a step gives, from the shapes that it reads; nothing is computed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from operator import index
from typing import Any

from secateur_runtime.errors import InputError, PlanError

__all__ = ["MAX_ELEMENTS", "Shape", "checked_shape", "output_shape", "window_counts"]

MAX_ELEMENTS = 2**28  # numbers of one record in one value, padding included: 1 GiB of float32
MAX_WINDOW = 2**22  # of a kernel, stride, dilation or padding along one axis; engines count on it
Shape = tuple[int, ...]


def checked_shape(shape: Sequence[int]) -> Shape:
    """Return the shape of one record that a caller asked for.

    Raises:
        InputError: it is none.

    Example:
        >>> checked_shape([3, 32, 32])
        (3, 32, 32)
    """
    try:
        found = tuple(index(n) for n in shape)
    except TypeError:
        found = ()
    if not 1 <= len(found) <= 3 or min(found) < 1:
        raise InputError(
            f"shape={shape!r}: it is that of one record, without the batch axis, in whole numbers "
            "from 1 on: (channels, height, width) or (features,); leave it out for the export's"
        )
    return found


def output_shape(
    kind: str, attributes: Mapping[str, Any], weight: Shape | None, inputs: Sequence[Shape]
) -> Shape:
    """Return the shape of what a step makes of one record, without the batch axis.

    Args:
        kind: of the step.
        attributes: of the step.
        weight: shape of its weights, if it has any.
        inputs: shapes of what it reads, in order.

    Raises:
        PlanError: the step cannot read these, or the result has no element or too many.

    Example:
        >>> window = {"kernel": (2, 2), "stride": (2, 2), "padding": (0, 0, 0, 0)}
        >>> output_shape("max_pool", {**window, "dilation": (1, 1), "ceil_mode": False}, None,
        ...     [(8, 5, 5)])
        (8, 2, 2)
    """
    if not inputs:
        raise PlanError(f"a {kind} reads nothing")
    rule = _RULES.get(kind)
    if rule is None:
        raise PlanError(f"there is no step {kind!r}, only {', '.join(_RULES)}")
    try:
        shape = rule(attributes, weight, inputs)
    except KeyError as error:
        raise PlanError(f"it lacks its {error}") from error
    if not 1 <= math.prod(shape) <= MAX_ELEMENTS or min(shape, default=0) < 1:
        raise PlanError(
            f"a {kind} of {list(inputs)} would give {shape}; every axis has at least one place, "
            f"and one record at most {MAX_ELEMENTS:,} numbers"
        )
    return shape


def window_counts(
    shape: Shape, attributes: Mapping[str, Any], kernel: Sequence[int]
) -> tuple[int, int]:
    """Return how many windows fit down and across a picture `(channels, height, width)`.

    With `ceil_mode` a last window is added that begins inside the input or its leading padding.

    Raises:
        PlanError: sizes that are none, a window that does not fit, or a padded input too large.
    """
    padding, stride = attributes["padding"], attributes["stride"]
    dilation = attributes.get("dilation", (1, 1))
    if len(shape) != 3:
        raise PlanError(f"windows slide over (channels, height, width), got {shape}")
    named = (("padding", padding, 4, 0), ("stride", stride, 2, 1), ("dilation", dilation, 2, 1))
    for name, numbers, length, least in (*named, ("kernel", kernel, 2, 1)):
        if len(numbers) != length or not all(
            type(n) is int and least <= n <= MAX_WINDOW for n in numbers
        ):
            raise PlanError(
                f"a window cannot have the {name} {str(tuple(numbers))[:60]}; each number is from "
                f"{least} to {MAX_WINDOW:,}"
            )
    whole = [shape[1] + padding[0] + padding[2], shape[2] + padding[1] + padding[3]]
    if shape[0] * whole[0] * whole[1] > MAX_ELEMENTS:
        raise PlanError(
            f"{shape} has {shape[0] * whole[0] * whole[1]:,} numbers with its padding {padding}, "
            f"and at most {MAX_ELEMENTS:,} are run"
        )
    counts = []
    for axis in (0, 1):
        reach = dilation[axis] * (kernel[axis] - 1) + 1
        room, step = whole[axis] - reach, stride[axis]
        if room < 0:
            raise PlanError(f"a window over {reach} places does not fit into {whole[axis]}")
        count = room // step + 1
        if attributes.get("ceil_mode") and room % step:
            count += count * step < shape[1 + axis] + padding[axis]
        counts.append(count)
    return counts[0], counts[1]


def _convolution(a: Mapping[str, Any], weight: Shape | None, inputs: Sequence[Shape]) -> Shape:
    x, groups = inputs[0], a["groups"]
    if weight is None or len(weight) != 4 or len(inputs) > 2:
        raise PlanError(f"a convolution has weights {weight} and reads {len(inputs)} values")
    down, across = window_counts(x, a, weight[2:])
    out, own = weight[:2]
    if type(groups) is not int or groups < 1 or own * groups != x[0] or out % groups:
        raise PlanError(
            f"a convolution of {groups} groups with weights {weight} cannot read {x[0]} channels"
        )
    shape = (out, down, across)
    if len(inputs) == 2 and inputs[1] != shape:
        raise PlanError(f"a convolution that gives {shape} cannot add {inputs[1]}")
    return shape


def _linear(a: Mapping[str, Any], weight: Shape | None, inputs: Sequence[Shape]) -> Shape:
    if weight is None or len(weight) != 2 or list(inputs) != [weight[1:]]:
        raise PlanError(f"a linear layer with weights {weight} cannot read {list(inputs)}")
    return weight[:1]


def _pool(a: Mapping[str, Any], weight: Shape | None, inputs: Sequence[Shape]) -> Shape:
    (x,) = _one(inputs)
    kernel = a["kernel"]
    down, across = window_counts(x, a, kernel)
    if any(2 * p > k for p, k in zip(a["padding"], (*kernel, *kernel), strict=True)):
        raise PlanError(f"a pool over {kernel} cannot have the padding {a['padding']}, over half")
    return (x[0], down, across)


def _global(a: Mapping[str, Any], weight: Shape | None, inputs: Sequence[Shape]) -> Shape:
    (x,) = _one(inputs)
    if len(x) != 3:
        raise PlanError(f"a global average runs over (channels, height, width), got {x}")
    return (x[0], 1, 1)


def _add(a: Mapping[str, Any], weight: Shape | None, inputs: Sequence[Shape]) -> Shape:
    if len(inputs) != 2 or inputs[0] != inputs[1]:
        raise PlanError(f"a sum takes two values of one shape, got {list(inputs)}")
    return inputs[0]


def _concatenate(a: Mapping[str, Any], weight: Shape | None, inputs: Sequence[Shape]) -> Shape:
    if a["axis"] != 0 or len({shape[1:] for shape in inputs}) != 1 or not inputs[0]:
        raise PlanError(f"values {list(inputs)} cannot be joined along axis {a['axis']}")
    return (sum(shape[0] for shape in inputs), *inputs[0][1:])


def _reshape(a: Mapping[str, Any], weight: Shape | None, inputs: Sequence[Shape]) -> Shape:
    (x,) = _one(inputs)
    shape = tuple(a["shape"])
    if not all(type(n) is int and n > 0 for n in shape) or math.prod(shape) != math.prod(x):
        raise PlanError(f"{x} cannot become {str(shape)[:60]}")
    return shape


def _flatten(a: Mapping[str, Any], weight: Shape | None, inputs: Sequence[Shape]) -> Shape:
    return (math.prod(_one(inputs)[0]),)


def _same(a: Mapping[str, Any], weight: Shape | None, inputs: Sequence[Shape]) -> Shape:
    return _one(inputs)[0]


def _affine(a: Mapping[str, Any], weight: Shape | None, inputs: Sequence[Shape]) -> Shape:
    (x,) = _one(inputs)
    if weight is None or weight != x[:1]:
        raise PlanError(f"a scale of {weight} does not fit the channels of {x}")
    return x


def _one(inputs: Sequence[Shape]) -> Sequence[Shape]:
    if len(inputs) != 1 or not inputs[0]:
        raise PlanError(f"a step that takes one value is given {list(inputs)}")
    return inputs


_RULES: Mapping[str, Callable[[Mapping[str, Any], Shape | None, Sequence[Shape]], Shape]] = {
    "convolution": _convolution,
    "linear": _linear,
    "max_pool": _pool,
    "average_pool": _pool,
    "global_average_pool": _global,
    "add": _add,
    "concatenate": _concatenate,
    "flatten": _flatten,
    "reshape": _reshape,
    "softmax": _same,
    "relu": _same,
    "clip": _same,
    "affine": _affine,
    "copy": _same,
}
