"""Channels that are a constant other than 0, moved into the shift of what reads them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from secateur.deploy.channels import reads_channels
from secateur.deploy.graph import Operator
from secateur.deploy.interpret import compute
from secateur.deploy.known import known_values

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from secateur.deploy.graph import Graph
    from secateur.deploy.known import Known

    Array = NDArray[Any]

__all__ = ["fold_constants"]


def fold_constants(graph: Graph, tensors: Mapping[str, Array]) -> dict[str, Array]:
    """Return tensors in which no layer reads a constant channel that its shift can hold.

    What a linear layer or a convolution makes of a channel that is the same number c for every
    input goes into its bias, or, where it has none and batch normalisation follows, out of the
    running mean; its weights on that channel become 0. Under zero padding the contribution differs
    at the border and nothing is moved, unless the weights there are 0. A layer of groups, one that
    shares its tensors, and one with neither bias nor batch normalisation stay.

    Args:
        graph: of the network.
        tensors: by their names in the state dict.

    Returns:
        All tensors; outputs of the network differ by rounding alone.

    Example:
        >>> import torch
        >>> from secateur.deploy.tracing import describe
        >>> from secateur.models import MLP, tensors_of
        >>> net = MLP(widths=(4, 2, 2))()
        >>> with torch.no_grad():
        ...     _ = net[1].weight[0].zero_(), net[1].bias.fill_(3), net[3].weight.fill_(2)
        ...     _ = net[3].bias.zero_()
        >>> folded = fold_constants(describe(net, (4,)), tensors_of(net))
        >>> folded["3.weight"].tolist(), folded["3.bias"].tolist()
        ([[0.0, 2.0], [0.0, 2.0]], [6.0, 6.0])
    """
    found = dict(tensors)
    known = known_values(graph, tensors)
    uses: dict[str, int] = {}
    for op in graph.operators:
        for name in op.tensors.values():
            uses[name] = uses.get(name, 0) + 1
    for op in graph.operators:
        if op.kind not in ("convolution", "linear") or op.attributes.get("groups", 1) != 1:
            continue
        shift = _shift(op, graph)
        shared = any(uses[name] > 1 for name in (*op.tensors.values(), shift[0]) if name)
        inside = known[op.inputs[0]]
        if shift[0] and not shared and reads_channels(op, inside.axis, inside.numbers.ndim):
            _fold(op, inside, found, *shift)
    for alias, name in graph.aliases.items():
        found[alias] = found[name]
    return found


def _shift(op: Operator, graph: Graph) -> tuple[str, float]:
    """Return the tensor that is added to a layer's output, and its sign; none is empty."""
    if "bias" in op.tensors:
        return op.tensors["bias"], 1.0
    readers = graph.readers[op.output]
    if len(readers) == 1 and readers[0].kind == "batch_norm" and op.output != graph.output:
        return readers[0].tensors["mean"], -1.0
    return "", 1.0


def _fold(op: Operator, inside: Known, found: dict[str, Array], name: str, sign: float) -> None:
    weight = found[op.tensors["weight"]].astype(np.float64)
    others = tuple(a for a in range(weight.ndim) if a != 1)
    channels = np.flatnonzero(inside.constant & (weight != 0).any(axis=others))
    shift = found[name].astype(np.float64)
    for channel in channels:
        own = weight[:, [channel]]
        numbers = np.take(inside.numbers, [channel], axis=inside.axis)
        bare = Operator(kind=op.kind, output="", inputs=("",), attributes=op.attributes)
        made = compute(bare, [numbers[None]], {"weight": own})[0]
        rows = (made if op.kind == "convolution" else np.moveaxis(made, -1, 0)).reshape(
            len(own), -1
        )
        if np.ptp(rows, axis=1).max(initial=0.0) <= 1e-12 * np.abs(rows).max(initial=0.0):
            shift += sign * rows[:, 0]
            weight[:, channel] = 0
    if len(channels):
        found[op.tensors["weight"]] = weight.astype(found[op.tensors["weight"]].dtype)
        found[name] = shift.astype(found[name].dtype)
