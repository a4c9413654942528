"""Networks of torch drawn at random from what the runtime covers, and how they are compared."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from hypothesis import strategies as st
from torch import nn

from secateur.deploy.graph import graph_to_json
from secateur.deploy.portable import hindrances
from secateur.deploy.sizes import same_at_other_sizes
from secateur.deploy.tracing import describe
from secateur.packed import pack
from secateur_runtime.lower import lowered
from secateur_runtime.packed import unpack
from secateur_runtime.plan import Plan


class Joined(nn.Module):
    """Branches that read one value, which may itself be one of them: summed, or side by side."""

    def __init__(self, stem: list[nn.Module], branches: list[list[nn.Module]], join: str) -> None:
        super().__init__()
        self.stem = nn.Sequential(*stem)
        self.branches = nn.ModuleList(nn.Sequential(*parts) for parts in branches)
        self.join = join

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        found = [branch(x) for branch in self.branches]
        if self.join == "concatenate":
            return torch.cat(found, dim=1)
        total = found[0]
        for one in found[1:]:
            total = total + one
        return total


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


def _same(draw, channels: int, out: int, stride: int = 1) -> list[nn.Module]:
    """A convolution that keeps the size of the map, but for its stride."""
    kernel, dilation = draw(st.sampled_from([1, 3, 3, 5])), draw(st.integers(1, 2))
    groups = draw(st.sampled_from([g for g in (1, 2, channels) if channels % g == out % g == 0]))
    padding = dilation * (kernel // 2)
    more = {"dilation": dilation, "groups": groups, "bias": draw(st.booleans())}
    layer = nn.Conv2d(channels, out, kernel, stride, padding, **more)
    return [layer, *([nn.BatchNorm2d(out)] if draw(st.booleans()) else [])]


def _joined(draw, channels: int) -> nn.Module:
    """Two or three branches: layers, the value itself, or a pool, whose ends can be joined."""
    join = draw(st.sampled_from(["sum", "concatenate"]))
    stem: list[nn.Module] = []
    if draw(st.booleans()):  # the value that forks is made here, and read by each branch
        out = draw(st.integers(1, 6))
        stem = [*_same(draw, channels, out), *_activation(draw)]
        channels = out
    stride = draw(st.sampled_from([1, 1, 1, 2]))
    keeps = stride == 1 and draw(st.booleans())
    wide = channels if keeps else draw(st.integers(1, 6))
    branches = []
    for k in range(draw(st.integers(2, 3))):
        own = wide if join == "sum" else draw(st.integers(1, 6))
        if k and stride == 1 and own == channels and draw(st.booleans()):
            pool = [nn.MaxPool2d(3, 1, 1)] if draw(st.booleans()) else []
            branches.append(pool)
            continue
        parts = _same(draw, channels, own, stride)
        if draw(st.booleans()):
            parts += [*_activation(draw), *_same(draw, own, own)]
        branches.append(parts)
    if draw(st.booleans()):
        branches.reverse()  # a sum's layers come before or after what they are added to
    return Joined(stem, branches, join)


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
    how = draw(st.sampled_from(["flatten", "global", "largest", "mean", "picture"]))
    if how == "picture":
        return []
    start: list[nn.Module] = [nn.Flatten()]
    if how == "global":
        start.insert(0, nn.AdaptiveAvgPool2d(1))
    if how == "largest":
        start.insert(0, nn.AdaptiveMaxPool2d(1))
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
    for _ in range(draw(st.integers(2, 4))):
        channels, *size = map(int, x.shape[1:])
        kind = draw(st.sampled_from(["joined"] * 4 + ["convolution", "pool", "norm"]))
        if kind == "joined":
            parts.append(_joined(draw, channels))
        elif kind == "convolution":
            parts += _convolution(draw, channels, (size[0], size[1]))
        elif kind == "pool":
            parts += _pool(draw, (size[0], size[1]))
        else:
            parts.append(nn.BatchNorm2d(channels))
        parts += _activation(draw)
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
    network's activations stay of one size. A channel that hardly varied is not blown up: what
    rounding does to it would be as large as it is, in torch too.
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
            for part in net.modules():
                if isinstance(part, nn.BatchNorm2d):
                    part.running_var.clamp_(min=0.01)
    return net.eval()


def file_of(net: nn.Module, shape: tuple[int, ...], *, resized: bool = False, **how) -> bytes:
    """Return the packed file of a network with its graph, for other sizes too where that holds."""
    graph = describe(net, shape, opaque=True)
    assert hindrances(graph) == ()
    if resized:
        graph = replace(graph, any_size=same_at_other_sizes(graph, net))
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
