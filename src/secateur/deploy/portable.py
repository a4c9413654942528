"""Which networks the sparse runtime runs, and what of the others it does not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from secateur.deploy.graph import Graph, Operator, Value
from secateur.deploy.interpret import run
from secateur.deploy.traced import graph_of, takes_other_sizes
from secateur.errors import MethodError
from secateur.models import rebuild

if TYPE_CHECKING:
    from secateur.protocols import Builder
    from secateur.types import Artifact

__all__ = ["Portable", "hindrances", "portable"]

TOLERANCE = 1e-4
"""Farthest that the graph's outputs may be from the network's, in parts of the largest one."""
PROBES = 2
"""Random inputs on which a graph is compared with its network."""


@dataclass(frozen=True, kw_only=True)
class Portable:
    """A network's graph for the sparse runtime, or what hinders it, layer by layer."""

    graph: Graph | None
    hindrances: tuple[str, ...] = ()


def portable(
    artifact: Artifact, build: Builder, shape: tuple[int, ...] | None = None, *, seed: int = 0
) -> Portable:
    """Return a model's graph if the sparse runtime can run it.

    The graph is run on random inputs and compared with the network, and says whether it holds for
    pictures of other sizes too.

    Args:
        artifact: with its weights.
        build: makes the empty network, as it was before any surgery.
        shape: of one record; by default one that the network takes.
        seed: of the random inputs.

    Returns:
        The graph, or, where there is none, the layers that cannot run and why.

    Example:
        >>> from secateur.models import MLP, tensors_of
        >>> from secateur.types import Artifact, Provenance
        >>> build = MLP(widths=(4, 3, 2), activation="tanh")
        >>> model = Artifact(
        ...     tensors=tensors_of(build()), builder="", provenance=Provenance(key={})
        ... )
        >>> portable(model, build).hindrances
        ("layer '2': tanh does not run there",)
    """
    try:
        graph = graph_of(build, shape, artifact.surgery)
    except MethodError as error:
        return Portable(graph=None, hindrances=(str(error),))
    found = hindrances(graph)
    if not found:
        difference = _difference(graph, artifact, build, seed)
        if difference <= TOLERANCE:
            other = takes_other_sizes(build, shape, artifact.surgery)
            return Portable(graph=replace(graph, any_size=other))
        found = (
            f"the network's own forward: its graph gives outputs that differ by {difference:.2g} "
            "of the largest one",
        )
    return Portable(graph=None, hindrances=found)


def _difference(graph: Graph, artifact: Artifact, build: Builder, seed: int) -> float:
    shape = graph.values[graph.input].shape
    drawn = np.random.default_rng(seed).standard_normal((PROBES, *shape)).astype(np.float32)
    with torch.no_grad():
        expected = rebuild(artifact, build)(torch.from_numpy(drawn)).numpy()
    with np.errstate(all="ignore"):
        moved = np.abs(run(graph, artifact.tensors, drawn) - expected).max(initial=0.0)
    return float(moved / (np.abs(expected).max(initial=0.0) or 1.0))


def hindrances(graph: Graph) -> tuple[str, ...]:
    """Return what of a graph the sparse runtime does not run, each with its layer; often nothing.

    Example:
        >>> value = Value(shape=(3,))
        >>> step = Operator(kind="tanh", output="y", inputs=("x",), layer="act")
        >>> hindrances(
        ...     Graph(operators=(step,), values={"x": value, "y": value}, input="x", output="y")
        ... )
        ("layer 'act': tanh does not run there",)
    """
    found = []
    wanted = _wanted(graph)
    for op in graph.operators:
        if op.output not in wanted:
            continue
        place = f"layer {op.layer!r}" if op.layer else "the network's own forward"
        if op.kind not in _RULES and op.attributes.get("operator") == "getitem":
            continue  # its source is named
        if op.kind not in _RULES:
            name = op.attributes.get("operator", op.kind)
            why = op.attributes.get("why")
            found.append(f"{place}: {name} does not run there{f': {why}' if why else ''}")
            continue
        why = _RULES[op.kind](op, [graph.values[name] for name in op.inputs])
        if why:
            found.append(f"{place}: {op.kind} {why}")
    return tuple(found)


def _wanted(graph: Graph) -> set[str]:
    """Return the values that the output depends on."""
    wanted = {graph.output}
    for op in reversed(graph.operators):
        if op.output in wanted:
            wanted.update(op.inputs)
    return wanted


def _picture(op: Operator, inputs: list[Value]) -> str:
    shape = inputs[0].shape
    return "" if len(shape) == 3 else f"runs on (channels, height, width) alone, not on {shape}"


def _pool(op: Operator, inputs: list[Value]) -> str:
    kernel, padding = op.attributes["kernel"], op.attributes["padding"]
    wide = any(2 * p > k for p, k in zip(padding, kernel, strict=True))
    return _picture(op, inputs) or ("pads more than half of its window" if wide else "")


def _linear(op: Operator, inputs: list[Value]) -> str:
    shape = inputs[0].shape
    return "" if len(shape) == 1 else f"runs on (features,) alone, not on {shape}"


def _channels(op: Operator, inputs: list[Value]) -> str:
    value = inputs[0]
    if len(value.shape) in (1, 3) and value.axis == 0:
        return ""
    return f"runs on (channels, height, width) and (features,) alone, not on {value.shape}"


def _adaptive(op: Operator, inputs: list[Value]) -> str:
    shape, size = inputs[0].shape, op.attributes["size"]
    whole = len(shape) == 3 and all(n % s == 0 for n, s in zip(shape[1:], size, strict=True))
    return "" if whole else f"from {shape} to {size} has windows of several sizes"


def _mean(op: Operator, inputs: list[Value]) -> str:
    right = len(inputs[0].shape) == 3 and sorted(op.attributes["axes"]) == [1, 2]
    return "" if right else "runs over height and width alone"


def _first(op: Operator, inputs: list[Value]) -> str:
    return "" if op.attributes["axis"] == 0 else "runs along channels or features alone"


def _any(op: Operator, inputs: list[Value]) -> str:
    return ""


_RULES: Mapping[str, Callable[[Operator, list[Value]], str]] = {
    "convolution": _picture,
    "linear": _linear,
    "batch_norm": _channels,
    "arithmetic": _channels,
    "relu": _any,
    "clip": _any,
    "add": _any,
    "concatenate": _first,
    "max_pool": _pool,
    "average_pool": _pool,
    "adaptive_max_pool": _adaptive,
    "adaptive_average_pool": _adaptive,
    "mean": _mean,
    "reshape": _any,
    "softmax": _first,
}
"""By kind of operator: why it does not run, empty where it does; as in `secateur_runtime`."""
