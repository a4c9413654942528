"""What is known of a network's values whatever it is given: channels that never change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from secateur.deploy.bounds import bounds_of, unbounded
from secateur.deploy.channels import (
    aligned,
    parameters,
    positions,
    reads_channels,
    weights_by_channel,
)
from secateur.deploy.graph import CHANNELWISE, OPAQUE
from secateur.deploy.interpret import compute

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from secateur.deploy.graph import Graph, Operator, Value
    from secateur.types.base import BoolArray

    Array = NDArray[Any]

__all__ = ["Known", "known_values"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Known:
    """What one value holds for every input.

    Args:
        channels: bool `[channels]`, whether a channel is the same for all inputs.
        numbers: what known channels hold, in the value's shape; 0 elsewhere.
        axis: of the channels in `numbers`.
    """

    channels: BoolArray
    numbers: Array
    axis: int

    @property
    def zero(self) -> BoolArray:
        """Which channels are 0 everywhere, bool `[channels]`."""
        return self.channels & ~self.spread(self.numbers != 0)

    @property
    def constant(self) -> BoolArray:
        """Which channels are known and not 0 everywhere, bool `[channels]`."""
        return self.channels & ~self.zero

    def spread(self, flags: BoolArray) -> BoolArray:
        """Return whether any position of each channel is flagged."""
        others = tuple(a for a in range(flags.ndim) if a != self.axis)
        return np.asarray(flags.any(axis=others))


def known_values(graph: Graph, tensors: Mapping[str, Array]) -> dict[str, Known]:
    """Return which channels of each value are the same for every input, and what they hold.

    A channel of a convolution or linear layer is known where all that it reads with a non-zero
    weight is. What zero padding does to a constant at the border is in the numbers, position by
    position, so that an activation may make 0 of all of them.

    A unit that no input can lift above 0 is 0 behind its ReLU, and one that is always beyond the
    end of a clipping is at that end.

    Args:
        graph: of the network.
        tensors: by their names in the state dict.
    """
    found = {graph.input: _nothing(graph.values[graph.input])}
    bounds = {graph.input: unbounded(graph.values[graph.input])}
    for op in graph.operators:
        value = graph.values[op.output]
        own = parameters(op, tensors)
        inputs = [found[name] for name in op.inputs]
        known = _known(op, inputs, own, value)
        values = [*(graph.values[name] for name in op.inputs), value]
        low, high = bounds_of(op, [bounds[name] for name in op.inputs], own, values)
        if op.kind in ("relu", "clip"):
            known = _with_ends(known, low, low == high)
        found[op.output] = known
        bounds[op.output] = _narrowed(low, high, known)
    return found


def _with_ends(known: Known, numbers: Array, fixed: BoolArray) -> Known:
    """Add channels that an activation holds at one number."""
    fixed = fixed & ~known.channels
    along = aligned(known.numbers.ndim, known.axis)
    whole = np.where(fixed.reshape(along), numbers.reshape(along), known.numbers)
    return _masked(whole, known.channels | fixed, known.axis)


def _narrowed(low: Array, high: Array, known: Known) -> Array:
    """Return bounds in which known channels lie between their own numbers."""
    others = tuple(a for a in range(known.numbers.ndim) if a != known.axis)
    least, most = known.numbers.min(axis=others), known.numbers.max(axis=others)
    return np.array([np.where(known.channels, least, low), np.where(known.channels, most, high)])


def _nothing(value: Value) -> Known:
    channels = np.zeros(value.channels, np.bool_)
    return Known(channels=channels, numbers=np.zeros(value.shape), axis=value.axis)


def _known(op: Operator, inputs: list[Known], own: dict[str, Array], value: Value) -> Known:
    if op.kind in ("convolution", "linear"):
        return _weighted(op, inputs[0], own, value)
    if op.kind == OPAQUE or op.kind.endswith("softmax"):
        return _nothing(value)
    channels = _channels(op, inputs, own, value)
    if not channels.any():
        return _nothing(value)
    numbers = compute(op, [part.numbers[None] for part in inputs], own, inputs[0].axis)[0]
    return _masked(numbers, channels, value.axis)


def _masked(numbers: Array, channels: BoolArray, axis: int) -> Known:
    flags = channels.reshape(aligned(numbers.ndim, axis))
    return Known(channels=channels, numbers=np.where(flags, numbers, 0.0), axis=axis)


def _channels(op: Operator, inputs: list[Known], own: dict[str, Array], value: Value) -> BoolArray:
    """Return which channels of the output are known, without computing them."""
    first = inputs[0].channels
    if op.kind == "batch_norm":
        return first | (own["weight"] == 0) if "weight" in own else first
    if op.kind == "group_norm":
        # of a constant other than 0 the deviation is rounding alone, divided by a root of eps
        groups = inputs[0].zero.reshape(op.attributes["groups"], -1)
        whole = np.repeat(groups.all(axis=1), groups.shape[1])
        return whole | (own["weight"] == 0) if "weight" in own else whole
    if op.kind == "add":
        return first & inputs[1].channels
    if op.kind == "concatenate":
        return np.concatenate([part.channels for part in inputs])
    if op.kind == "reshape":
        if len(value.shape) != 1:
            return np.full(value.channels, bool(first.all()))
        return first[positions(inputs[0].numbers.shape, inputs[0].axis)]
    assert op.kind in CHANNELWISE
    return first


def _weighted(op: Operator, inside: Known, own: dict[str, Array], value: Value) -> Known:
    """Return what is known behind a layer with weights."""
    used = (weights_by_channel(op, own["weight"]) != 0).any(axis=3)
    groups, rows, columns = used.shape
    fits = reads_channels(op, inside.axis, inside.numbers.ndim)
    unknown = ~inside.channels if fits else np.ones(groups * columns, np.bool_)
    channels = ~(used & unknown.reshape(groups, 1, columns)).any(axis=2).reshape(-1)
    if not channels.any():
        return _nothing(value)
    constant = inside.constant.reshape(groups, 1, columns) if fits else np.zeros((groups, 1, 1))
    reads = (used & (constant != 0)).any(axis=2).reshape(-1)
    bias = own.get("bias", np.zeros(groups * rows))
    shape = [1] * len(value.shape)
    shape[value.axis] = -1
    numbers = np.broadcast_to(bias.reshape(shape), value.shape)
    if (channels & reads).any():
        where = (channels & reads).reshape(shape)
        numbers = np.where(where, _fed(op, inside, own, channels & reads, value), numbers)
    return _masked(numbers, channels, value.axis)


def _fed(
    op: Operator, inside: Known, own: dict[str, Array], rows: BoolArray, value: Value
) -> Array:
    """Return the output where only some rows and the constant channels matter."""
    if op.attributes.get("groups", 1) != 1:
        return np.asarray(compute(op, [inside.numbers[None]], own)[0])
    columns = inside.constant
    part = {"weight": own["weight"][rows][:, columns]}
    if "bias" in own:
        part["bias"] = own["bias"][rows]
    numbers = np.compress(columns, inside.numbers, axis=inside.axis)
    made = compute(replace(op, tensors={}), [numbers[None]], part)[0]
    whole = np.zeros(value.shape)
    index: list[Any] = [slice(None)] * whole.ndim
    index[value.axis] = rows
    whole[tuple(index)] = made
    return whole
