"""The forward pass of many models: lowered layer by layer, or lifted by vmap where it cannot be."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import fx, nn
from torch.func import functional_call, vmap
from torch.nn import functional

from secateur.train.stack.layers import FUNCTIONS, LAYERS, METHODS, Activation, Context, stacked
from secateur.train.statistics import normalisations

if TYPE_CHECKING:
    from torch import Tensor

    from secateur.train.hooks import Tensors

__all__ = ["Lowered", "Unsupported", "Vmapped", "answers", "forward_of", "lower"]

AT_ONCE = 64
CACHED = 3 * 2**19
"""Records of each model per pass for evaluation on a CPU, and numbers that a layer may give for
those of all models: so few, that what passes between layers stays in a core's cache."""


class Unsupported(Exception):  # noqa: N818 - caught here, never shown
    """A module holds something that has no stacked form; the message says what."""


@dataclass(frozen=True)
class _Step:
    """One node of the graph: what to call with the context and earlier results.

    `done` are those of them that no later step takes.
    """

    call: Callable[..., Activation]
    takes: tuple[int, ...]
    extra: tuple[Any, ...] = ()
    done: tuple[int, ...] = ()


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return type(m) in LAYERS or super().is_leaf_module(m, module_qualified_name)


@dataclass(frozen=True)
class Lowered:
    """A network as a list of stacked layers."""

    steps: tuple[_Step, ...]
    widths: dict[tuple[int, ...], int] = field(default_factory=dict, repr=False, compare=False)
    """What `widest` found, by the number of models and the shape of a record."""

    def __call__(self, c: Context, inputs: Tensor) -> Tensor:
        """Run the layers in order; the last one's output are the logits."""
        return stacked(c, self._run(c, inputs)[0])

    def widest(self, c: Context, inputs: Tensor) -> int:
        """Return how many numbers the layer with the largest output gives for a record of each."""
        key = (len(inputs), *inputs.shape[2:])
        if key not in self.widths:
            self.widths[key] = self._run(c, inputs[:, :1])[1]
        return self.widths[key]

    def _run(self, c: Context, inputs: Tensor) -> tuple[Activation, int]:
        """Return the last output and the size of the largest; forget each as soon as it is read."""
        made = Activation(inputs)
        found, widest = {0: made}, made.value.numel()
        for k, step in enumerate(self.steps):
            made = step.call(c, *(found[i] for i in step.takes), *step.extra)
            widest = max(widest, made.value.numel())
            for i in step.done:
                del found[i]
            found[k + 1] = made
        return made, widest


@dataclass(frozen=True)
class Vmapped:
    """A network that torch lifts by itself; slower, but for any module.

    Batches of several sizes are run model by model. Its dropout agrees with that of one model in
    distribution.
    """

    module: nn.Module

    def __call__(self, c: Context, inputs: Tensor) -> Tensor:
        """Return the logits."""
        module = self.module.train(c.training)

        def one(params: Tensors, buffers: Tensors, inputs: Tensor) -> Tensor:
            logits: Tensor = functional_call(module, {**params, **buffers}, (inputs,))
            return logits

        same = c.momentum is None or len(set(c.momentum)) == 1
        if c.sizes is None and same:
            if c.momentum is not None:
                set_momentum(module, c.momentum[0])
            lifted = vmap(one, randomness="different")
            logits: Tensor = lifted(c.params, c.buffers, inputs)
            return logits
        rows = []
        for k, size in enumerate(c.sizes or (inputs.shape[1],) * c.models):
            if c.momentum is not None:
                set_momentum(module, c.momentum[k])
            params = {name: value[k] for name, value in c.params.items()}
            buffers = {name: value[k] for name, value in c.buffers.items()}
            found = one(params, buffers, inputs[k, :size])
            rows.append(nn.functional.pad(found, (0, 0, 0, inputs.shape[1] - size)))
        return torch.stack(rows)


def answers(network: Lowered, params: Tensors, buffers: Tensors, inputs: Tensor) -> Tensor:
    """Return one model's logits in the mode of evaluation, without gradients.

    `torch.func.vmap` lifts it to all models by the stacked layers, not operation by operation,
    which leaves convolutions in a slow layout.

    Args:
        network: lowered.
        params: of one model.
        buffers: of one model.
        inputs: `[n, ...]`.
    """
    names = tuple(params), tuple(buffers)
    given = (inputs, *params.values(), *buffers.values())
    logits: Tensor = _Answers.apply(network, names, *given)  # type: ignore[no-untyped-call]
    return logits


class _Answers(torch.autograd.Function):
    """A pass for evaluation as one call, so that vmap asks here how to make it of many models."""

    @staticmethod
    def forward(
        network: Lowered, names: tuple[tuple[str, ...], tuple[str, ...]], *given: Tensor
    ) -> Tensor:
        """Ask one model."""
        return _Answers._ask(network, names, [value.unsqueeze(0) for value in given]).squeeze(0)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Keep nothing: nobody differentiates through it."""
        ctx.mark_non_differentiable(output)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *args: Any) -> tuple[Tensor, int]:
        """Ask all models together."""
        network, names, *given = args
        many = [
            value.expand(info.batch_size, *value.shape) if dim is None else value.movedim(dim, 0)
            for value, dim in zip(given, in_dims[2:], strict=True)
        ]
        return _Answers._ask(network, names, many), 0

    @staticmethod
    def _ask(
        network: Lowered,
        names: tuple[tuple[str, ...], tuple[str, ...]],
        given: Sequence[Tensor],
    ) -> Tensor:
        inputs, *tensors = given
        params = dict(zip(names[0], tensors[: len(names[0])], strict=True))
        buffers = dict(zip(names[1], tensors[len(names[0]) :], strict=True))
        context = Context(models=len(inputs), params=params, buffers=buffers, training=False)
        few = inputs.shape[1]
        if inputs.device.type == "cpu":
            few = min(AT_ONCE, max(1, CACHED // network.widest(context, inputs)))
        return torch.cat([network(context, part) for part in torch.split(inputs, few, 1)], 1)


def set_momentum(module: nn.Module, momentum: float) -> None:
    """Give all normalisation layers that keep statistics this momentum."""
    for part in normalisations(module):
        part.momentum = momentum


def forward_of(module: nn.Module) -> Lowered | Vmapped:
    """Return the lowered form of a module, else the lifted one."""
    try:
        return lower(module)
    except Unsupported:
        return Vmapped(module)


def lower(module: nn.Module) -> Lowered:
    """Return a module's layers in stacked form.

    Args:
        module: whose forward pass takes one tensor and is a fixed graph of known layers.

    Raises:
        Unsupported: anything else.

    Example:
        >>> len(lower(nn.Sequential(nn.Flatten(), nn.Linear(4, 2))).steps)
        2
    """
    if any(part._forward_hooks or part._forward_pre_hooks for part in module.modules()):
        raise Unsupported("hooks on modules")
    names = {name for name, _ in module.named_parameters()}
    names |= {name for name, _ in module.named_buffers()}
    if type(module) in LAYERS:
        raise Unsupported("a single layer")
    try:
        graph = _Tracer().trace(module)
    except Exception as error:  # whatever a stranger's forward pass raises on a symbol
        raise Unsupported(f"no fixed graph: {error}") from error
    where: dict[fx.Node, int] = {}
    steps: list[_Step] = []
    _pool_first(module, graph)
    for node in graph.nodes:
        if node.op == "placeholder":
            if where:
                raise Unsupported("more than one input")
            where[node] = 0
        elif node.op == "output":
            (last,) = node.args
            if not isinstance(last, fx.Node) or where.get(last) != len(steps):
                raise Unsupported("an output that is not the last layer's")
        else:
            steps.append(_step(module, node, where, names))
            where[node] = len(steps)
    last = {i: k for k, step in enumerate(steps) for i in step.takes}
    done = [tuple(i for i in last if last[i] == k) for k in range(len(steps))]
    return Lowered(tuple(replace(step, done=own) for step, own in zip(steps, done, strict=True)))


def _pool_first(module: nn.Module, graph: fx.Graph) -> None:
    """Put a ReLU behind the largest of its neighbours, where it has as many fewer numbers to read.

    Values and gradients stay what they are, to the bit: ReLU keeps order.
    """

    def is_a(node: fx.Node, kind: type[nn.Module]) -> bool:
        return node.op == "call_module" and type(module.get_submodule(str(node.target))) is kind

    calls = (("call_function", functional.relu), ("call_function", torch.relu))
    for node in list(graph.nodes):
        relu = is_a(node, nn.ReLU) or (node.op, node.target) in (*calls, ("call_method", "relu"))
        if not relu or len(node.args) != 1 or len(node.users) != 1:
            continue
        (before,), (pool,) = node.all_input_nodes, node.users
        alone = len(before.users) == 1  # a ReLU in place changes what others read
        if alone and is_a(pool, nn.MaxPool2d):
            pool.replace_all_uses_with(node)
            pool.args, node.args = (before,), (pool,)
            pool.append(node)


def _step(module: nn.Module, node: fx.Node, where: dict[fx.Node, int], names: set[str]) -> _Step:
    takes = tuple(where[a] for a in node.args if isinstance(a, fx.Node))
    extra = tuple(a for a in node.args if not isinstance(a, fx.Node))
    if dict(node.kwargs) not in ({}, {"inplace": False}) or len(takes) + len(extra) != len(
        node.args
    ):
        raise Unsupported(f"{node.target} with keywords")
    if node.op == "call_module":
        name = str(node.target)
        part = module.get_submodule(name)
        _check_part(name, part, names)
        layer = LAYERS[type(part)]

        def call(c: Context, x: Activation) -> Activation:
            return layer(c, name, part, x)

        return _Step(call, takes)
    table: Any = {"call_function": FUNCTIONS, "call_method": METHODS}.get(node.op, {})
    found = table.get(node.target)
    if found is None:
        raise Unsupported(f"{node.op} {node.target}")
    wanted = len(inspect.signature(found).parameters) - 1  # without the context
    if len(node.args) != wanted or (extra and extra != (1,)):
        raise Unsupported(f"{node.target} with {node.args}")
    if extra and found is not FUNCTIONS[torch.flatten]:
        raise Unsupported(f"{node.target} with a number")
    return _Step(found, takes, extra)


def _check_part(name: str, part: nn.Module, names: set[str]) -> None:
    if type(part) not in LAYERS:
        raise Unsupported(type(part).__name__)
    own = {f"{name}.{n}" for n, _ in [*part.named_parameters(), *part.named_buffers()]}
    if own - names:
        raise Unsupported(f"{name} shares tensors with another layer")
    if isinstance(part, nn.Conv2d) and part.padding_mode != "zeros":
        raise Unsupported(f"{name} pads with {part.padding_mode}")
    norm = isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d)
    if norm and part.track_running_stats and part.momentum is None:
        raise Unsupported(f"{name} averages its statistics cumulatively")
    if isinstance(part, nn.Flatten) and (part.start_dim, part.end_dim) != (1, -1):
        raise Unsupported(f"{name} flattens other axes")
    if getattr(part, "return_indices", False):
        raise Unsupported(f"{name} returns indices")
