"""Whether a network's graph is the same for pictures of other sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from secateur.deploy.graph import Graph, Operator
from secateur.deploy.tracing import describe
from secateur.errors import MethodError

if TYPE_CHECKING:
    from torch import nn

__all__ = ["same_at_other_sizes"]


def same_at_other_sizes(graph: Graph, module: nn.Module) -> bool:
    """Say whether a graph that was traced on pictures of one size holds for others.

    The network is traced once more, on larger pictures. Where it follows sizes of its input, such
    as the windows of `avg_pool2d(x, x.shape[2:])`, its operators differ then, and the graph is that
    of one size alone. So it is where the network takes no other pictures.

    Args:
        graph: as `describe` gives it.
        module: the network that it was traced from.

    Example:
        >>> from torch import nn
        >>> net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        >>> same_at_other_sizes(describe(net, (1, 8, 8)), net)
        True
        >>> flat = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
        >>> same_at_other_sizes(describe(flat, (1, 8, 8)), flat)
        False
    """
    shape = graph.values[graph.input].shape
    if len(shape) != 3:
        return False
    channels, height, width = shape
    for other in ((2 * height + 5, 2 * width + 3), (height + 5, width + 3)):
        try:
            found = describe(module, (channels, *other), opaque=True)
        except MethodError:
            continue
        return _alike(graph, found)
    return False


def _alike(one: Graph, other: Graph) -> bool:
    ends = (one.output == other.output, len(one.operators) == len(other.operators))
    return all(ends) and all(
        _without_size(one, a) == _without_size(other, b)
        for a, b in zip(one.operators, other.operators, strict=True)
    )


def _without_size(graph: Graph, op: Operator) -> tuple[object, ...]:
    """Return what an operator is, but for how many numbers it puts in one row."""
    attributes = dict(op.attributes)
    if op.kind == "reshape" and len(attributes["shape"]) == 1:
        attributes["shape"] = "one row"
    value = graph.values[op.output]
    return op.kind, op.output, op.inputs, dict(op.tensors), attributes, value.axis
