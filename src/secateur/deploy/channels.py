"""Where channels lie in values and in the tensors of layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from secateur.deploy.graph import Operator

    Array = NDArray[Any]

__all__ = ["aligned", "parameters", "positions", "reads_channels", "weights_by_channel"]


def parameters(op: Operator, tensors: Mapping[str, Array]) -> dict[str, Array]:
    """Return an operator's tensors by role, in double precision."""
    return {role: tensors[name].astype(np.float64) for role, name in op.tensors.items()}


def positions(shape: tuple[int, ...], axis: int) -> NDArray[np.intp]:
    """Return to which channel each number of a value belongs, in the order of a flattening."""
    channels = np.arange(shape[axis]) if shape else np.zeros(1, np.intp)
    return np.broadcast_to(channels.reshape(aligned(len(shape), axis)), shape).reshape(-1)


def aligned(rank: int, axis: int) -> tuple[int, ...]:
    """Return the shape in which an array of channels stands beside a value of this rank.

    A number for each record, of rank 0, is one channel.
    """
    return tuple(-1 if a == axis else 1 for a in range(rank))


def reads_channels(op: Operator, axis: int, rank: int) -> bool:
    """Tell whether a layer with weights sums over the channels of its input.

    Args:
        op: a convolution or linear layer.
        axis: of the input's channels.
        rank: of the input, without the batch axis.
    """
    return axis == (rank - 1 if op.kind == "linear" else 0)


def weights_by_channel(op: Operator, weight: Array) -> Array:
    """Return the weights `[group, out, in, taps]` of a convolution or linear layer."""
    groups = op.attributes.get("groups", 1)
    return weight.reshape(groups, len(weight) // groups, weight.shape[1], -1)
