"""A network as a plain description: operators in order, and where their tensors are."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from secateur.errors import InputError

__all__ = [
    "CHANNELWISE",
    "ELEMENTWISE",
    "KINDS",
    "OPAQUE",
    "Graph",
    "Operator",
    "Value",
    "graph_from_json",
    "graph_to_json",
]

OPAQUE = "opaque"
"""The kind of an operator that is known by name alone."""

ELEMENTWISE = ("relu", "clip", "leaky_relu", "tanh", "sigmoid", "silu", "gelu")
POOLING = ("max_pool", "average_pool", "adaptive_max_pool", "adaptive_average_pool", "mean")
CHANNELWISE = (*ELEMENTWISE, *POOLING, "batch_norm", "arithmetic")
"""Kinds with one input, whose output's channel c follows from the input's channel c alone."""
KINDS = (
    *("convolution", "linear", "group_norm", "add", "concatenate", "reshape"),
    *("softmax", "log_softmax", *CHANNELWISE),
)
"""All kinds that have a description."""


@dataclass(frozen=True, kw_only=True)
class Value:
    """What flows between operators: the shape of one record's part, and which axis has channels.

    Args:
        shape: without the batch axis.
        axis: of the channels in `shape`: 0 for pictures `(channels, height, width)` and features
            `(features,)`, the last for sequences `(steps, features)`.
    """

    shape: tuple[int, ...]
    axis: int = 0

    @property
    def channels(self) -> int:
        """How many channels it has."""
        return self.shape[self.axis] if self.shape else 1

    @property
    def positions(self) -> int:
        """How many numbers each channel has."""
        return math.prod(self.shape) // max(self.channels, 1)


@dataclass(frozen=True, kw_only=True)
class Operator:
    """One step of a network.

    Args:
        kind: `convolution`, `linear`, `batch_norm`, `group_norm`, `relu`, `clip`, `leaky_relu`,
            `tanh`, `sigmoid`, `silu`, `gelu`, `add`, `concatenate`, `arithmetic` (with a constant),
            `max_pool`, `average_pool`, `adaptive_max_pool`, `adaptive_average_pool`, `mean`,
            `reshape`, `softmax`, `log_softmax`, or `opaque`.
        output: the value that it makes.
        inputs: the values that it reads, in order.
        tensors: names in the state dict by role: `weight`, `bias`, `mean`, `variance`, `constant`;
            of an opaque operator numbered.
        attributes: numbers, tuples of numbers and words; axes never count the batch axis.
        layer: path of the module that it stands in, empty for the network itself.
    """

    kind: str
    output: str
    inputs: tuple[str, ...]
    tensors: Mapping[str, str] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)
    layer: str = ""

    @property
    def place(self) -> str:
        """The layer for messages."""
        return repr(self.layer) if self.layer else "the network's own forward"


@dataclass(frozen=True, kw_only=True)
class Graph:
    """Operators in an order in which they can run, from one input to one output.

    Args:
        operators: each reads values that were made before.
        values: by name; the input and what operators make.
        input: name of the value that is given.
        output: name of the value that is returned.
        aliases: other names under which the state dict has a shared tensor, to the one used here.
        any_size: whether it is known to hold for pictures of other heights and widths too.
    """

    operators: tuple[Operator, ...]
    values: Mapping[str, Value]
    input: str
    output: str
    aliases: Mapping[str, str] = field(default_factory=dict)
    any_size: bool = False

    def __post_init__(self) -> None:
        known = {self.input}
        for op in self.operators:
            missing = [name for name in (*op.inputs, op.output) if name not in self.values]
            if missing or not set(op.inputs) <= known:
                raise InputError(
                    f"operator {op.output!r} ({op.kind}, in {op.place}) reads {op.inputs}, and "
                    f"{missing or sorted(set(op.inputs) - known)} is not made before it"
                )
            known.add(op.output)
        if self.output not in known:
            raise InputError(f"no operator makes the output {self.output!r}")

    @cached_property
    def readers(self) -> dict[str, tuple[Operator, ...]]:
        """Which operators read each value."""
        return {
            name: tuple(op for op in self.operators if name in op.inputs) for name in self.values
        }

    @property
    def opaque(self) -> tuple[Operator, ...]:
        """The operators that are known by name alone."""
        return tuple(op for op in self.operators if op.kind == OPAQUE)


def graph_to_json(graph: Graph) -> dict[str, Any]:
    """Return a graph as what JSON can hold.

    Example:
        >>> value = Value(shape=(3,))
        >>> step = Operator(kind="relu", output="y", inputs=("x",))
        >>> whole = Graph(operators=(step,), values={"x": value, "y": value}, input="x", output="y")
        >>> graph_from_json(graph_to_json(whole)) == whole
        True
    """
    return {**asdict(graph), "operators": [asdict(op) for op in graph.operators]}


def graph_from_json(found: Mapping[str, Any]) -> Graph:
    """Return the graph that `graph_to_json` wrote.

    Raises:
        InputError: fields are missing, or operators read what was not made.
    """
    try:
        return Graph(
            operators=tuple(
                Operator(
                    kind=op["kind"],
                    output=op["output"],
                    inputs=tuple(op["inputs"]),
                    tensors=dict(op["tensors"]),
                    attributes={k: _tuples(v) for k, v in op["attributes"].items()},
                    layer=op["layer"],
                )
                for op in found["operators"]
            ),
            values={
                name: Value(shape=tuple(value["shape"]), axis=value["axis"])
                for name, value in found["values"].items()
            },
            input=found["input"],
            output=found["output"],
            aliases=dict(found["aliases"]),
            any_size=found.get("any_size") is True,
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"this is no graph of a network: {error!r}") from error


def _tuples(value: Any) -> Any:
    return tuple(_tuples(v) for v in value) if isinstance(value, list | tuple) else value
