"""Which channels can only go together, which must stay, and who reads which."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from secateur.deploy.channels import positions, reads_channels, weights_by_channel
from secateur.deploy.graph import CHANNELWISE, OPAQUE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from secateur.deploy.graph import Graph, Operator
    from secateur.types.base import BoolArray

    Array = NDArray[Any]

__all__ = ["Couplings", "couplings", "read_by"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Couplings:
    """How the channels of all values hang together.

    Args:
        start: where the channels of each value begin in one long list of all of them.
        group: of each channel in that list; channels of a group stay or go together.
        pinned: of each channel in the list, whether it must stay.
        reasons: why a value is pinned, by its name.
        axes: under `<tensor>/<axis>`, the value whose channels that axis follows.
    """

    start: Mapping[str, int]
    group: NDArray[np.intp]
    pinned: BoolArray
    reasons: Mapping[str, str]
    axes: Mapping[str, str]


class _Draft:
    """Couplings while the operators are gone through."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        sizes = [value.channels for value in graph.values.values()]
        ends = np.cumsum([0, *sizes])
        self.start = dict(zip(graph.values, (int(e) for e in ends), strict=False))
        self.total = int(ends[-1])
        self.left: list[Array] = []
        self.right: list[Array] = []
        self.reasons: dict[str, str] = {}
        self.axes: dict[str, str] = {}

    def of(self, name: str) -> Array:
        """Return the places of a value's channels in the long list."""
        return self.start[name] + np.arange(self.graph.values[name].channels)

    def join(self, left: Array, right: Array) -> None:
        self.left.append(left)
        self.right.append(right)

    def pin(self, name: str, why: str) -> None:
        self.reasons.setdefault(name, why)

    def bind(self, op: Operator, role: str, axis: int, value: str) -> None:
        """Let an axis of a tensor follow a value's channels; of a shared tensor, of all of them."""
        if role not in op.tensors:
            return
        key = f"{op.tensors[role]}/{axis}"
        if key in self.axes:
            self.join(self.of(self.axes[key]), self.of(value))
        self.axes.setdefault(key, value)

    def done(self) -> Couplings:
        left = np.concatenate([np.empty(0, np.intp), *self.left])
        right = np.concatenate([np.empty(0, np.intp), *self.right])
        edges = coo_matrix((np.ones(len(left)), (left, right)), shape=(self.total, self.total))
        _, group = connected_components(edges, directed=False)
        pinned = np.zeros(self.total, np.bool_)
        for name in self.reasons:
            pinned[self.of(name)] = True
        return Couplings(
            start=self.start,
            group=group.astype(np.intp),
            pinned=pinned,
            reasons=self.reasons,
            axes=self.axes,
        )


def couplings(graph: Graph, tensors: Mapping[str, Array]) -> Couplings:
    """Return which channels go together.

    Sums and normalisation tie channel to channel, a flattening ties all positions of a channel, a
    concatenation shifts, grouped convolution and group normalisation go by whole groups, and a
    tensor that two layers share ties what both make and read. Inputs, outputs, and what operators
    read of which nothing more is known must stay.

    Args:
        graph: of the network.
        tensors: by their names in the state dict.
    """
    draft = _Draft(graph)
    draft.pin(graph.input, "they are the network's input")
    draft.pin(graph.output, "they are the network's output")
    whole = {
        name
        for op in graph.operators
        for role, name in op.tensors.items()
        if op.kind == OPAQUE or role == "constant"
    }
    for op in graph.operators:
        if op.kind in ("convolution", "linear"):
            _couple_weights(draft, op, tensors)
        elif op.kind == "add" or op.kind in CHANNELWISE:
            _couple_channelwise(draft, op, tensors)
        elif op.kind == "group_norm":
            draft.join(draft.of(op.inputs[0]), draft.of(op.output))
            _couple_groups(draft, op, op.output)
        elif op.kind == "concatenate":
            ends = np.concatenate([draft.of(name) for name in op.inputs])
            draft.join(ends, draft.of(op.output))
        elif op.kind == "reshape" and len(graph.values[op.output].shape) == 1:
            _couple_flattening(draft, op)
        else:
            why = _unfollowed(op)
            for name in (*op.inputs, op.output):
                draft.pin(name, why)
    for key, value in draft.axes.items():
        if key.rpartition("/")[0] in whole:
            draft.pin(value, "another operator uses the same tensor in its own way")
    return draft.done()


def _unfollowed(op: Operator) -> str:
    if op.kind != OPAQUE:
        return f"they pass through {op.kind} in {op.place}, which depends on how many there are"
    name, why = op.attributes["operator"], op.attributes["why"]
    return f"they pass through {name!r} in {op.place}, which has no description as a graph: {why}"


def _couple_weights(draft: _Draft, op: Operator, tensors: Mapping[str, Array]) -> None:
    source = op.inputs[0]
    for role in ("weight", "bias"):
        draft.bind(op, role, 0, op.output)
    value = draft.graph.values[source]
    if not reads_channels(op, value.axis, len(value.shape)):
        draft.pin(source, f"{op.place} sums over another axis than their own")
    elif op.attributes.get("groups", 1) == 1:
        draft.bind(op, "weight", 1, source)
    else:
        groups = op.attributes["groups"]
        out, into = draft.of(op.output), draft.of(source)
        draft.join(np.repeat(out[:: len(out) // groups], len(into) // groups), into)
        _couple_groups(draft, op, op.output)


def _couple_groups(draft: _Draft, op: Operator, name: str) -> None:
    """Tie the channels of each group to the group's first."""
    channels = draft.of(name).reshape(op.attributes["groups"], -1)
    draft.join(np.repeat(channels[:, 0], channels.shape[1]), channels.reshape(-1))
    for role in ("weight", "bias"):
        draft.bind(op, role, 0, name)


def _couple_channelwise(draft: _Draft, op: Operator, tensors: Mapping[str, Array]) -> None:
    for name in op.inputs:
        draft.join(draft.of(name), draft.of(op.output))
    for role in ("weight", "bias", "mean", "variance"):
        draft.bind(op, role, 0, op.output)
    if "constant" in op.tensors and tensors[op.tensors["constant"]].size > 1:
        draft.pin(op.output, f"{op.place} combines them with a tensor that is not cut")


def _couple_flattening(draft: _Draft, op: Operator) -> None:
    value = draft.graph.values[op.inputs[0]]
    owners = draft.of(op.inputs[0])[positions(value.shape, value.axis)]
    draft.join(owners, draft.of(op.output))
    if op.attributes["fixed"] and value.shape != draft.graph.values[op.output].shape:
        size = op.attributes["shape"][0]
        draft.pin(
            op.output,
            f"{op.place} reshapes them to a stated size of {size}; torch.flatten(x, 1) follows",
        )


def read_by(
    op: Operator, needed: BoolArray, own: Mapping[str, Array], graph: Graph
) -> list[BoolArray]:
    """Return which channels of each input an operator reads for some channels of its output.

    Args:
        op: any.
        needed: of the output's channels, bool `[channels]`.
        own: the operator's tensors by role.
        graph: it stands in.
    """
    values = [graph.values[name] for name in op.inputs]
    if op.kind in ("convolution", "linear"):
        return [_read_by_weights(op, needed, own["weight"], graph)]
    if op.kind == "add":
        return [needed, needed]
    if op.kind == "concatenate":
        ends = np.cumsum([value.channels for value in values])[:-1]
        return list(np.split(needed, ends))
    if op.kind == "group_norm":
        live = needed & (own["weight"] != 0) if "weight" in own else needed
        groups = live.reshape(op.attributes["groups"], -1)
        return [np.repeat(groups.any(axis=1), groups.shape[1])]
    if op.kind == "batch_norm" and "weight" in own:
        return [needed & (own["weight"] != 0)]
    if op.kind in CHANNELWISE:
        return [needed]
    if op.kind == "reshape" and needed.size == np.prod(values[0].shape):
        owners = positions(values[0].shape, values[0].axis)
        return [np.bincount(owners, weights=needed, minlength=values[0].channels) > 0]
    return [np.full(value.channels, bool(needed.any()) or op.kind == OPAQUE) for value in values]


def _read_by_weights(op: Operator, needed: BoolArray, weight: Array, graph: Graph) -> BoolArray:
    value = graph.values[op.inputs[0]]
    if not reads_channels(op, value.axis, len(value.shape)):
        return np.full(value.channels, bool(needed.any()))
    used = (weights_by_channel(op, weight) != 0).any(axis=3)
    live = used & needed.reshape(used.shape[0], used.shape[1], 1)
    return np.asarray(live.any(axis=1).reshape(-1))
