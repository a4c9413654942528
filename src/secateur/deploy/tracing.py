"""From a torch network to its graph, through `torch.export`."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from secateur.deploy.calls import Call, Param, Ref, UnsupportedError
from secateur.deploy.graph import KINDS, OPAQUE, Graph, Operator, Value
from secateur.deploy.operators import TRANSLATIONS
from secateur.errors import MethodError

if TYPE_CHECKING:
    from torch.export import ExportedProgram
    from torch.fx import Node

__all__ = ["describe"]

BATCH = 3
"""Records in the example that is traced."""


def describe(module: nn.Module, shape: Sequence[int], *, opaque: bool = False) -> Graph:
    """Return a network as a graph of operators, as it runs in evaluation mode.

    Args:
        module: from one tensor to one tensor; the mode of each part is put back.
        shape: of one record, without the batch axis.
        opaque: take operators without a description as known by name alone, instead of refusing
            the network.

    Raises:
        MethodError: torch cannot export the network, or an operator has no description; the
            message names the layer.

    Example:
        >>> graph = describe(nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)), (4,))
        >>> [(op.kind, op.layer, dict(op.tensors).get("weight")) for op in graph.operators]
        [('linear', '0', '0.weight'), ('relu', '1', None), ('linear', '2', '2.weight')]
    """
    program = _exported(module, tuple(shape))
    traced = _Trace(module, program, opaque=opaque)
    for node in program.graph.nodes:
        if node.op == "call_function":
            traced.add(node)
    return traced.graph()


def _exported(module: nn.Module, shape: tuple[int, ...]) -> ExportedProgram:
    modes = [(part, part.training) for part in module.modules()]
    first = next(module.parameters(), torch.empty(0))
    example = torch.zeros(BATCH, *shape, device=first.device)
    if first.dtype in (torch.float16, torch.float64, torch.bfloat16):
        example = example.to(first.dtype)
    module.eval()
    sizes = ({0: torch.export.Dim.AUTO},)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch's own making
            return torch.export.export(module, (example,), dynamic_shapes=sizes)
    except Exception as error:  # whatever the network's own code raises while it is traced
        raise MethodError(
            f"torch.export cannot follow the forward pass of {type(module).__name__} on records of "
            f"shape {shape}: {str(error).strip().splitlines()[0] if str(error) else error!r}; give "
            "the shape that it takes, and a forward pass without branches on values"
        ) from error
    finally:
        for part, mode in modes:
            part.training = mode


class _Trace:
    """The graph as far as it is known, while an exported program is read."""

    def __init__(self, module: nn.Module, program: ExportedProgram, *, opaque: bool) -> None:
        self.opaque = opaque
        self.operators: list[Operator] = []
        self.values: dict[str, Value] = {}
        self.found: dict[Node, Ref | Param] = {}
        signature = program.graph_signature
        stored = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
        given = signature.user_inputs
        self.input = str(given[0]) if len(given) == 1 else ""
        shapes = {name: tuple(value.shape) for name, value in module.state_dict().items()}
        self.aliases = _aliases(module, set(stored.values()))
        for node in program.graph.nodes:
            if node.op == "placeholder" and node.name in stored:
                name = self.aliases.get(stored[node.name], stored[node.name])
                if name in shapes:  # not a buffer that is left out of the file
                    self.found[node] = Param(name, shapes[name], shapes[name])
            elif node.op == "placeholder" and node.name == self.input:
                self._give(node, Value(shape=_sizes(node)))
        self.output = program.graph.output_node().args[0]

    def add(self, node: Node) -> None:
        """Take one operator of the program into the graph."""
        value = node.meta.get("val")
        if not isinstance(value, torch.Tensor | tuple | list):
            return  # a size, or a check of one
        if _gives_maxima(node):
            return  # what takes the maxima out is the operator
        call = _called(node, self)
        source: Any = node.args[0] if node.args else None
        if node.target is operator.getitem and _gives_maxima(source):
            if node.args[1] != 0:
                return  # nobody reads where they stood
            call = replace(_called(source, self), shape=call.shape)
        param = _as_param(node, call)
        if param is not None:
            self.found[node] = param
            return
        try:
            self._translate(node, call)
        except (UnsupportedError, KeyError) as error:
            why = str(error) if isinstance(error, UnsupportedError) else "it is called unusually"
            self._take_opaque(node, call, why)

    def _translate(self, node: Node, call: Call) -> None:
        name = call.name.partition(".")[0]
        if name not in TRANSLATIONS:
            raise UnsupportedError("it has no description here")
        if not isinstance(node.meta["val"], torch.Tensor):
            raise UnsupportedError("it gives several tensors")
        found = TRANSLATIONS[name](call)
        if name.endswith("_") and self._is_view(found.inputs[0]):
            raise UnsupportedError("it writes into a view of another activation")
        if found.kind == "same":
            self.found[node] = Ref(found.inputs[0])
            return
        self.operators.append(
            Operator(
                kind=found.kind,
                output=node.name,
                inputs=found.inputs,
                tensors=found.tensors,
                attributes=found.attributes,
                layer=_layer(node),
            )
        )
        self._give(node, Value(shape=call.shape, axis=found.axis))
        if name.endswith("_"):  # whoever reads the input from here on reads what was written
            for other, ref in self.found.items():
                if isinstance(ref, Ref) and ref.name == found.inputs[0]:
                    self.found[other] = Ref(node.name)

    def _is_view(self, name: str) -> bool:
        makers = {op.output: op.kind for op in self.operators}
        return makers.get(name) in ("reshape", OPAQUE)

    def _take_opaque(self, node: Node, call: Call, why: str) -> None:
        schema = getattr(node.target, "_schema", None)
        writes = schema is not None and schema.is_mutable
        layer = _layer(node)
        if not self.opaque or writes:
            place = f"layer {layer!r}" if layer else "the network's own forward"
            raise MethodError(
                f"{call.name!r} in {place} has no description as a graph: {why}; put an operator "
                f"in its place that has one (kinds: {', '.join(KINDS)}), or leave this network as "
                "it is"
            )
        read = _leaves(call.arguments)
        names = dict.fromkeys(v.name for v in read if isinstance(v, Param))
        self.operators.append(
            Operator(
                kind=OPAQUE,
                output=node.name,
                inputs=tuple(v.name for v in read if isinstance(v, Ref)),
                tensors={str(i): name for i, name in enumerate(names)},
                attributes={"operator": call.name, "why": why},
                layer=layer,
            )
        )
        self._give(node, Value(shape=call.shape, axis=1 if len(call.shape) == 2 else 0))

    def _give(self, node: Node, value: Value) -> None:
        self.values[node.name] = value
        self.found[node] = Ref(node.name)

    def graph(self) -> Graph:
        """Return what was found.

        Raises:
            MethodError: there is not one tensor in and one tensor out.
        """
        ends = [self.found.get(node) for node in self.output]
        if len(ends) != 1 or not isinstance(ends[0], Ref) or self.input not in self.values:
            raise MethodError(
                f"a network that is described as a graph takes one tensor and gives one, and this "
                f"one gives {len(ends)} outputs; wrap it in a module that returns the logits alone"
            )
        return Graph(
            operators=tuple(self.operators),
            values=self.values,
            input=self.input,
            output=ends[0].name,
            aliases=self.aliases,
        )


def _called(node: Node, trace: _Trace) -> Call:
    """Return a node's arguments by the names in its schema, defaults filled in."""

    def seen(value: Any) -> Any:
        if isinstance(value, list | tuple):
            return tuple(seen(v) for v in value)
        if isinstance(value, torch.fx.Node):
            return trace.found.get(value)
        return value

    schema = getattr(node.target, "_schema", None)
    names = [a.name for a in schema.arguments] if schema else []
    arguments: dict[str, Any] = {}
    if schema is not None:
        arguments = {a.name: a.default_value for a in schema.arguments if a.has_default_value()}
    for i, value in enumerate(node.args):
        arguments[names[i] if i < len(names) else str(i)] = seen(value)
    arguments |= {name: seen(value) for name, value in node.kwargs.items()}
    name = getattr(node.target, "__name__", str(node.target))
    return Call(name=name, arguments=arguments, values=trace.values, shape=_sizes(node))


def _gives_maxima(node: Any) -> bool:
    """Say whether a node pools to maxima and where they stood, of which only maxima are read."""
    named = str(getattr(node, "target", "")).startswith("aten.adaptive_max_pool")
    return named and all(u.target is operator.getitem and u.args[1] == 0 for u in _readers(node))


def _readers(node: Node) -> list[Node]:
    return [user for user in node.users if user.users]


def _as_param(node: Node, call: Call) -> Param | None:
    """Return what a mere view of a parameter or buffer is, or nothing."""
    name = call.name.partition(".")[0]
    source = call.arguments.get("self")
    value = node.meta["val"]
    reshapes = name in ("view", "reshape", "flatten", "unsqueeze", "contiguous", "detach", "alias")
    if not reshapes or not isinstance(source, Param) or not isinstance(value, torch.Tensor):
        return None
    return Param(source.name, tuple(int(s) for s in value.shape), source.size)


def _sizes(node: Node) -> tuple[int, ...]:
    """Return the shape of a node's value without its batch axis, unknown sizes as traced."""
    value = node.meta.get("val")
    if not isinstance(value, torch.Tensor):
        return ()
    return tuple(s if isinstance(s, int) else int(s.node.hint) for s in value.shape[1:])


def _layer(node: Node) -> str:
    """Return the path of the module that a node stands in."""
    stack: Mapping[str, Any] = node.meta.get("nn_module_stack") or {}
    path = str(list(stack.values())[-1][0]) if stack else ""
    return "" if path.startswith("_") else path


def _leaves(value: Any) -> list[Ref | Param]:
    if isinstance(value, Ref | Param):
        return [value]
    if isinstance(value, Mapping):
        value = tuple(value.values())
    if isinstance(value, tuple):
        return [leaf for part in value for leaf in _leaves(part)]
    return []


def _aliases(module: nn.Module, used: set[str]) -> dict[str, str]:
    """Return the other names of shared parameters and buffers, each to the one that is used."""
    groups: dict[int, list[str]] = {}
    named = [
        *module.named_parameters(remove_duplicate=False),
        *module.named_buffers(remove_duplicate=False),
    ]
    for name, value in named:
        groups.setdefault(id(value), []).append(name)
    found: dict[str, str] = {}
    for names in groups.values():
        kept = next((name for name in names if name in used), names[0])
        found |= {name: kept for name in names if name != kept}
    return found
