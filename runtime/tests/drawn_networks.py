"""Networks of torch drawn at random from what the runtime covers, and how they are compared."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import strategies as st
from torch import nn

from secateur.deploy.graph import graph_to_json
from secateur.deploy.portable import hindrances
from secateur.deploy.tracing import describe
from secateur.packed import pack
from secateur_runtime.lower import lowered
from secateur_runtime.packed import unpack
from secateur_runtime.plan import Plan


class Block(nn.Module):
    """Parts one after another, their output beside the input's: alone, added, or joined."""

    def __init__(self, parts: list[nn.Module], join: str) -> None:
        super().__init__()
        self.parts = nn.Sequential(*parts)
        self.join = join

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.parts(x)
        if self.join == "sum" and out.shape == x.shape:
            return out + x
        if self.join == "sum before" and out.shape == x.shape:
            return x + out
        if self.join == "concatenate" and out.shape[2:] == x.shape[2:]:
            return torch.cat([x, out, x], dim=1)
        return out


def _activation(draw) -> list[nn.Module]:
    found = {
        "none": [],
        "relu": [nn.ReLU()],
        "inplace": [nn.ReLU(inplace=True)],
        "relu6": [nn.ReLU6()],
        "clip": [nn.Hardtanh(-0.5, 2.0)],
        "softmax": [nn.Softmax(dim=1)],
    }
    return found[draw(st.sampled_from(sorted(found)))]


def _convolution(draw, channels: int, size: tuple[int, int]) -> list[nn.Module]:
    kernel, stride, dilation = [], [], []
    padding = (draw(st.integers(0, 3)), draw(st.integers(0, 3)))
    for axis in (0, 1):
        room = size[axis] + 2 * padding[axis]
        kernel.append(draw(st.integers(1, min(5, room))))
        reach = (room - 1) // max(kernel[-1] - 1, 1)
        dilation.append(draw(st.integers(1, max(1, min(3, reach)))))
        stride.append(draw(st.integers(1, 3)))
    groups = draw(st.sampled_from([g for g in (1, 2, 3, channels) if channels % g == 0]))
    out = groups * draw(st.integers(1, 4 if groups < 4 else 2))
    layer = nn.Conv2d(
        channels,
        out,
        tuple(kernel),
        tuple(stride),
        padding,
        tuple(dilation),
        groups,
        bias=draw(st.booleans()),
    )
    return [layer, *([nn.BatchNorm2d(out)] if draw(st.booleans()) else [])]


def _pool(draw, size: tuple[int, int]) -> list[nn.Module]:
    kernel = tuple(draw(st.integers(1, min(3, n))) for n in size)
    stride = tuple(draw(st.integers(1, 3)) for _ in size)
    padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    ceil = draw(st.booleans())
    if draw(st.booleans()):
        room = [(n + 2 * p - 1) // max(k - 1, 1) for n, p, k in zip(size, padding, kernel)]  # noqa: B905
        dilation = tuple(draw(st.integers(1, max(1, min(2, r)))) for r in room)
        return [nn.MaxPool2d(kernel, stride, padding, dilation, ceil_mode=ceil)]
    return [nn.AvgPool2d(kernel, stride, padding, ceil, draw(st.booleans()))]


def _head(draw, x: torch.Tensor) -> list[nn.Module]:
    how = draw(st.sampled_from(["flatten", "global", "mean", "picture"]))
    if how == "picture":
        return []
    start: list[nn.Module] = [nn.Flatten()]
    if how == "global":
        start.insert(0, nn.AdaptiveAvgPool2d(1))
    if how == "mean":
        start = [Mean()]
    width = int(np.prod(nn.Sequential(*start)(x).shape[1:]))
    inner = draw(st.integers(1, 6))
    ends = [nn.Linear(width, inner, bias=draw(st.booleans())), *_activation(draw)]
    return [*start, *ends, nn.Linear(inner, 3)]


class Mean(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean((2, 3))


@st.composite
def networks(draw) -> tuple[nn.Module, tuple[int, ...]]:
    """Draw a network in evaluation mode, some of its weights zero, and the shape of a record."""
    torch.manual_seed(draw(st.integers(0, 2**31)))
    shape = (draw(st.integers(1, 4)), draw(st.integers(1, 9)), draw(st.integers(1, 9)))
    x = torch.rand(2, *shape)
    parts: list[nn.Module] = []
    for _ in range(draw(st.integers(1, 4))):
        inside: list[nn.Module] = []
        y = x
        for _ in range(draw(st.integers(1, 2))):
            size = (int(y.shape[2]), int(y.shape[3]))
            kind = draw(st.sampled_from(["convolution", "convolution", "pool", "norm"]))
            if kind == "convolution":
                inside += [*_convolution(draw, int(y.shape[1]), size), *_activation(draw)]
            elif kind == "pool":
                inside += _pool(draw, size)
            else:
                inside += [nn.BatchNorm2d(int(y.shape[1])), *_activation(draw)]
            with torch.no_grad():
                y = nn.Sequential(*inside).eval()(torch.rand(2, *x.shape[1:]))
        joins = ["", "sum", "sum before", "concatenate"]
        parts += [Block(inside, draw(st.sampled_from(joins))), *_activation(draw)]
        with torch.no_grad():
            x = nn.Sequential(*parts).eval()(torch.rand(2, *shape))
    net = nn.Sequential(*parts, *_head(draw, x))
    settled(net, zeros=draw(st.sampled_from([0.0, 0.5, 0.9, 1.0])))
    return net, shape


def settled(
    net: nn.Module, *, zeros: float, seed: int = 0, shape: tuple[int, ...] | None = None
) -> nn.Module:
    """Give a network weights with so many zeros and statistics that matter; return it.

    With a shape the statistics are those of random records, as after training, so that a deep
    network's activations stay of one size.
    """
    make = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for part in net.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.running_mean.uniform_(-0.5, 0.5, generator=make)
                part.running_var.uniform_(0.5, 2.0, generator=make)
                part.weight.uniform_(-1.5, 1.5, generator=make)
                part.bias.uniform_(-0.5, 0.5, generator=make)
            elif isinstance(part, nn.Conv2d | nn.Linear):
                kept = torch.rand(part.weight.shape, generator=make) >= zeros
                part.weight *= kept
                n_kept = max(1.0, float(kept.sum()) / len(kept))
                part.weight.div_(part.weight.square().mean().sqrt() + 1e-6).mul_(n_kept**-0.5)
        if shape is not None:
            for part in net.modules():
                if isinstance(part, nn.BatchNorm2d):
                    part.momentum = 1.0
            net.train()(torch.rand(16, *shape, generator=make))
    return net.eval()


def file_of(net: nn.Module, shape: tuple[int, ...], **how) -> bytes:
    """Return the packed file of a network with its graph."""
    graph = describe(net, shape, opaque=True)
    assert hindrances(graph) == ()
    tensors = {name: value.numpy() for name, value in net.state_dict().items()}
    return pack(tensors, graph=graph_to_json(graph), **how)


def plan_of(net: nn.Module, shape: tuple[int, ...]) -> Plan:
    """Return the plan that the runtime makes of a network's packed file."""
    return lowered(unpack(file_of(net, shape)))


def engines_here() -> list[str]:
    """Return the engines of this installation; the compiled one may not be built."""
    try:
        from secateur_runtime.native import instruction_sets
    except ImportError:
        return ["numpy"]
    return ["numpy", *(["native"] if instruction_sets() else [])]


def torch_values(net: nn.Module, x: torch.Tensor) -> dict[str, np.ndarray]:
    """Return every value of a network's forward pass by torch, by the names of its graph."""
    seen = {}

    class Watching(torch.fx.Interpreter):
        def run_node(self, n):
            value = super().run_node(n)
            if isinstance(value, torch.Tensor):
                seen[n.name] = value.detach().numpy().copy()  # some are written into later
            return value

    program = torch.export.export(net, (x,), dynamic_shapes=({0: torch.export.Dim.AUTO},))
    signature = program.graph_signature
    stored = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
    state = dict(net.named_parameters()) | dict(net.named_buffers())
    given = [
        state[stored[node.name]] if node.name in stored else x
        for node in program.graph.nodes
        if node.op == "placeholder"
    ]
    with torch.no_grad():
        Watching(program.graph_module).run(*given)
    return seen
