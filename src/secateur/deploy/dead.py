"""Channels, rows and columns of a network that no output depends on, found from its tensors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from secateur.deploy.channels import parameters
from secateur.deploy.coupled import couplings, read_by
from secateur.deploy.known import known_values

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from secateur.deploy.coupled import Couplings
    from secateur.deploy.graph import Graph, Operator
    from secateur.types.base import BoolArray

    Array = NDArray[Any]

__all__ = ["Dead", "LayerCut", "find_dead"]


@dataclass(frozen=True, kw_only=True)
class LayerCut:
    """What becomes of one layer with weights.

    Args:
        layer: path of the module.
        tensor: name of its weight.
        before: the weight's shape.
        after: the shape that is left.
        idle: how many of the layer's outputs nothing depends on and still stay, by the reason.
        constant: how many outputs are the same number for every input, and not 0; they stay unless
            that number is folded into what reads them.
    """

    layer: str
    tensor: str
    before: tuple[int, ...]
    after: tuple[int, ...]
    idle: Mapping[str, int] = field(default_factory=dict)
    constant: int = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Dead:
    """What can be removed of a network without changing what it gives.

    Args:
        surgery: under `<tensor>/<axis>` the indices that stay, ascending; axes that stay whole are
            not named.
        layers: each layer with weights, in order.
        weights: numbers in weights of convolutions and linear layers, before and after.
        multiply_adds: of one record in those layers, zeros counted too, before and after.
        unread_inputs: channels of the network's input that nothing depends on; they stay.
    """

    surgery: Mapping[str, NDArray[np.int64]]
    layers: tuple[LayerCut, ...]
    weights: tuple[int, int]
    multiply_adds: tuple[int, int]
    unread_inputs: int


@dataclass(frozen=True, kw_only=True, eq=False)
class _Found:
    """Per value and channel: what an output depends on, what is a constant, and what stays."""

    used: Mapping[str, BoolArray]
    constant: Mapping[str, BoolArray]
    kept: Mapping[str, BoolArray]


def find_dead(graph: Graph, tensors: Mapping[str, Array]) -> Dead:
    """Return what can be removed of a network without changing what it gives.

    A channel is removed where, for it and all channels that can only go with it, either nothing
    reads it with a weight that is not 0, or it is 0 for every input. What is left gives the same
    outputs up to the order of sums, and nothing of this kind is left in it. Inputs and outputs stay
    whole, and at least one channel of every value stays.

    Args:
        graph: of the network.
        tensors: by their names in the state dict; pruned weights are 0.

    Example:
        >>> import torch
        >>> from secateur.deploy.tracing import describe
        >>> from secateur.models import MLP, tensors_of
        >>> net = MLP(widths=(4, 3, 2))()
        >>> with torch.no_grad():
        ...     net[3].weight[:, 1] = 0  # nothing reads the second hidden unit
        ...     net[1].weight[2], net[1].bias[2] = 0, -1  # the third is 0 behind its ReLU
        >>> found = find_dead(describe(net, (4,)), tensors_of(net))
        >>> {name: rows.tolist() for name, rows in found.surgery.items()}
        {'1.weight/0': [0], '1.bias/0': [0], '3.weight/1': [0]}
    """
    coupled = couplings(graph, tensors)
    found = _settle(graph, tensors, coupled)
    surgery = {
        key: np.flatnonzero(found.kept[value]).astype(np.int64)
        for key, value in coupled.axes.items()
        if not found.kept[value].all()
    }
    layers = [op for op in graph.operators if op.kind in ("convolution", "linear")]
    cuts = tuple(_cut(op, graph, tensors, surgery, found, coupled) for op in layers)
    sizes = {cut.tensor: (math.prod(cut.before), math.prod(cut.after)) for cut in cuts}
    places = [graph.values[op.output].positions for op in layers]
    work = (
        sum(n * math.prod(cut.before) for n, cut in zip(places, cuts, strict=True)),
        sum(n * math.prod(cut.after) for n, cut in zip(places, cuts, strict=True)),
    )
    for alias, name in graph.aliases.items():
        surgery |= {
            f"{alias}/{key.rpartition('/')[2]}": rows
            for key, rows in list(surgery.items())
            if key.rpartition("/")[0] == name
        }
    return Dead(
        surgery=surgery,
        layers=cuts,
        weights=(sum(a for a, _ in sizes.values()), sum(b for _, b in sizes.values())),
        multiply_adds=work,
        unread_inputs=int((~found.used[graph.input]).sum()),
    )


def _settle(graph: Graph, tensors: Mapping[str, Array], coupled: Couplings) -> _Found:
    """Return what stays: the least that is closed under who needs whom.

    A channel that is 0 needs nothing if it goes. If it must stay, for the sake of what is coupled
    with it, and is read, then it must stay 0: then it needs what makes it so. More channels that
    stay can only mean more that are needed, so that this ends.
    """
    own = {op.output: parameters(op, tensors) for op in graph.operators}
    known = known_values(graph, tensors)
    zero = {name: part.zero for name, part in known.items()}
    held = {name: np.zeros(len(part), np.bool_) for name, part in zero.items()}
    used = {name: read & ~zero[name] for name, read in _read(graph, own, zero, held).items()}
    while True:
        read = _read(graph, own, zero, held)
        needed = {name: read[name] & (~zero[name] | held[name]) for name in read}
        kept = _kept(graph, needed, coupled)
        late = {name: kept[name] & zero[name] & read[name] & ~held[name] for name in read}
        if not any(part.any() for part in late.values()):
            constant = {name: part.constant for name, part in known.items()}
            return _Found(used=used, constant=constant, kept=kept)
        held = {name: held[name] | late[name] for name in held}


def _read(
    graph: Graph,
    own: Mapping[str, Mapping[str, Array]],
    zero: Mapping[str, BoolArray],
    held: Mapping[str, BoolArray],
) -> dict[str, BoolArray]:
    """Return which channels of each value are read for the sake of the output."""
    read = {name: np.zeros(value.channels, np.bool_) for name, value in graph.values.items()}
    read[graph.output][:] = True
    for op in reversed(graph.operators):
        needed = read[op.output] & (~zero[op.output] | held[op.output])
        parts = read_by(op, needed, own[op.output], graph)
        for name, part in zip(op.inputs, parts, strict=True):
            read[name] = read[name] | part
    return read


def _kept(
    graph: Graph, needed: Mapping[str, BoolArray], coupled: Couplings
) -> dict[str, BoolArray]:
    """Return which channels of each value stay: with one of a group all of it."""
    flags = np.concatenate([needed[name] for name in graph.values]) | coupled.pinned
    stays = np.zeros(int(coupled.group.max()) + 1, np.bool_)
    stays[coupled.group[flags]] = True
    groups = {
        name: coupled.group[coupled.start[name] :][: value.channels]
        for name, value in graph.values.items()
    }
    for own in groups.values():
        if not stays[own].any():
            stays[own[0]] = True
    return {name: stays[own] for name, own in groups.items()}


def _cut(
    op: Operator,
    graph: Graph,
    tensors: Mapping[str, Array],
    surgery: Mapping[str, Array],
    found: _Found,
    coupled: Couplings,
) -> LayerCut:
    name = op.tensors["weight"]
    before = tensors[name].shape
    after = tuple(len(surgery.get(f"{name}/{a}", range(n))) for a, n in enumerate(before))
    idle = found.kept[op.output] & ~found.used[op.output]
    reasons: dict[str, int] = {}
    for channel in coupled.start[op.output] + np.flatnonzero(idle):
        why = _why(int(channel), graph, found, coupled)
        reasons[why] = reasons.get(why, 0) + 1
    constant = int((found.constant[op.output] & found.kept[op.output] & ~idle).sum())
    return LayerCut(
        layer=op.layer, tensor=name, before=before, after=after, idle=reasons, constant=constant
    )


def _why(channel: int, graph: Graph, found: _Found, coupled: Couplings) -> str:
    """Say why a channel stays that nothing depends on."""
    members = np.flatnonzero(coupled.group == coupled.group[channel])
    names = list(coupled.start)
    starts = np.array([coupled.start[name] for name in names])
    last = np.searchsorted(starts, members, side="right") - 1
    places = [(names[i], int(m - starts[i])) for i, m in zip(last, members, strict=True)]
    for name, _ in places:
        if name in coupled.reasons:
            return coupled.reasons[name]
    makers = {op.output: op for op in graph.operators}
    for name, own in places:
        if found.used[name][own]:
            return f"they can only go with channels that are in use, made by {makers[name].place}"
    return "one channel always stays"
