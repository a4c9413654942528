"""Between which numbers the channels of a network lie, whatever it is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from secateur.deploy.channels import positions, reads_channels, weights_by_channel
from secateur.deploy.interpret import compute

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from secateur.deploy.graph import Operator, Value

    Array = NDArray[Any]

__all__ = ["bounds_of", "unbounded"]

LEAST = -0.5
"""Below the least value of the activations that fall before they rise."""


def unbounded(value: Value) -> Array:
    """Return bounds that say nothing, `[2, channels]`."""
    return np.array([[-np.inf], [np.inf]]) * np.ones(value.channels)


def bounds_of(
    op: Operator, inputs: Sequence[Array], own: Mapping[str, Array], values: Sequence[Value]
) -> Array:
    """Return a lower and an upper bound of each channel of an operator's output, `[2, channels]`.

    Interval arithmetic: each input is taken to be free between its bounds.

    Args:
        op: any.
        inputs: the bounds of what it reads.
        own: its tensors by role.
        values: what it reads, and last what it makes.
    """
    source, made = values[0], values[-1]
    first = inputs[0] if inputs else unbounded(made)
    if op.kind in ("convolution", "linear"):
        return _weighted(op, first, own, source, made)
    if op.kind in ("relu", "clip", "leaky_relu", "tanh", "sigmoid"):
        return compute(op, [first], own)
    if op.kind in ("silu", "gelu"):
        return np.array([np.full(made.channels, LEAST), np.maximum(first[1], 0)])
    if op.kind in ("batch_norm", "arithmetic"):
        return _shifted(op, first, own)
    if op.kind in ("max_pool", "mean", "adaptive_max_pool", "adaptive_average_pool"):
        return first
    if op.kind == "average_pool":
        return _with_zero(first)
    if op.kind == "add":
        return np.asarray(inputs[0] + inputs[1])
    if op.kind == "concatenate":
        return np.concatenate(inputs, axis=1)
    if op.kind == "reshape" and len(made.shape) == 1:
        return first[:, positions(source.shape, source.axis)]
    return unbounded(made)


def _shifted(op: Operator, first: Array, own: Mapping[str, Array]) -> Array:
    """Return bounds behind a multiplication and a shift, which may turn them around."""
    with np.errstate(invalid="ignore"):
        both = compute(op, [first], own)
    low, high = both.min(axis=0), both.max(axis=0)
    unclear = np.isnan(low)  # 0 times infinity
    return np.array([np.where(unclear, -np.inf, low), np.where(unclear, np.inf, high)])


def _with_zero(bounds: Array) -> Array:
    """Return bounds of what may be 0 too, as padding is."""
    return np.array([np.minimum(bounds[0], 0), np.maximum(bounds[1], 0)])


def _weighted(
    op: Operator, inside: Array, own: Mapping[str, Array], source: Value, made: Value
) -> Array:
    if not reads_channels(op, source.axis, len(source.shape)):
        return unbounded(made)
    if any(p for pair in op.attributes.get("padding", ()) for p in pair):
        inside = _with_zero(inside)
    weights = weights_by_channel(op, own["weight"])
    up, down = np.maximum(weights, 0).sum(axis=3), np.minimum(weights, 0).sum(axis=3)
    low, high = inside.reshape(2, len(weights), -1, 1)
    least = _times(up, low) + _times(down, high)
    most = _times(up, high) + _times(down, low)
    out = np.array([least.reshape(-1), most.reshape(-1)])
    return out + own["bias"] if "bias" in own else out


def _times(weights: Array, numbers: Array) -> Array:
    """Return `[group, out, in]` times `[group, in, 1]`, where 0 times infinity is 0."""
    endless = np.isinf(numbers)
    finite = np.where(endless, 0.0, numbers)
    total = (weights @ finite)[..., 0]
    reached = (np.sign(weights) @ np.where(endless, np.sign(numbers), 0.0))[..., 0]
    # within one call infinities have one sign and weights one sign, so that none cancel
    return np.where(reached == 0, total, np.copysign(np.inf, reached))
