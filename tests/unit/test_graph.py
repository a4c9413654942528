"""A network's graph gives what the network gives, or says which layer it cannot describe."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from secateur.deploy.graph import Graph, Operator, Value, graph_from_json, graph_to_json
from secateur.deploy.interpret import compute, run
from secateur.deploy.tracing import describe
from secateur.errors import InputError, MethodError
from secateur.models import (
    MLP,
    VGG16,
    GroupNormed,
    LeNet5,
    LeNet20,
    MobileNetV2,
    Normalised,
    ResNet18,
    SmallCNN,
    input_shape,
    tensors_of,
)


def shaken(net):
    """Give normalisation statistics and scales that are not those of a start."""
    torch.manual_seed(0)
    with torch.no_grad():
        for part in net.modules():
            if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d | nn.GroupNorm):
                part.weight.normal_(1, 0.3)
                part.bias.normal_(0, 0.3)
            if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
                part.running_mean.normal_(0, 0.3)
                part.running_var.uniform_(0.5, 2)
    return net.eval()


def check(net, shape):
    """Compare a network with its graph, through JSON, on more records than were traced."""
    net = shaken(net)
    graph = graph_from_json(json.loads(json.dumps(graph_to_json(describe(net, shape)))))
    inputs = torch.randn(5, *shape)
    with torch.no_grad():
        wanted = net(inputs).numpy()
    found = run(graph, tensors_of(net), inputs.numpy())
    assert found.dtype == np.float32
    assert np.abs(found - wanted).max() <= 1e-5 * max(1, np.abs(wanted).max())
    return graph


OURS = [
    MLP(widths=(6, 5, 3), dropout=0.5),
    MLP(widths=(6, 5, 3), activation="tanh"),
    LeNet5(width=0.5),
    LeNet20(width=0.3),
    SmallCNN(widths=(4, 8)),
    Normalised(build=SmallCNN(widths=(4,)), mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4)),
    Normalised(build=SmallCNN(widths=(4,))),
    GroupNormed(build=SmallCNN(widths=(6, 8)), groups=2),
]
LARGE = [
    VGG16(width=0.1),
    ResNet18(width=0.1),
    ResNet18(width=0.1, stem="imagenet"),
    MobileNetV2(width=0.1),
]


@pytest.mark.parametrize("build", OURS, ids=repr)
def test_the_graph_of_a_listed_network_computes_it(build):
    check(build(), input_shape(build))


@pytest.mark.slow
@pytest.mark.parametrize("build", LARGE, ids=repr)
def test_the_graph_of_a_large_network_computes_it(build):
    check(build(), (3, 64, 64))


class Functional(nn.Module):
    """Everything as functions and methods, as much code has it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(6)
        self.more = nn.Conv2d(6, 6, (3, 1), padding="same", dilation=2, groups=3)
        self.head = nn.Linear(6 * 4 * 4, 5)
        self.side = nn.Linear(12, 5)

    def forward(self, x):
        x = (x / 255.0 - 0.5) * 2
        x = functional.relu(self.norm(self.conv(x)))
        y = functional.relu6(self.more(x)) + x
        z = torch.cat([x, y], dim=1).mean((2, 3))
        x = functional.dropout(y.view(y.size(0), -1), 0.5, self.training)
        return functional.log_softmax(self.head(x) + self.side(z), dim=1)


class InPlace(nn.Module):
    """Who reads an activation after it was overwritten reads what was written."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.act = nn.Conv2d(2, 2, 1), nn.ReLU(inplace=True)
        self.head = nn.Linear(2, 2)

    def forward(self, x):
        x = self.conv(x)
        y = self.act(x)
        x -= 0.25
        return self.head((x + y).mean(dim=[2, 3]))


class Alias(nn.Module):
    """What dropout gives outside training is the activation itself, and is overwritten with it."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.drop, self.head = nn.Linear(4, 6), nn.Dropout(), nn.Linear(6, 2)

    def forward(self, x):
        x = self.body(x)
        y = functional.relu_(self.drop(x))
        return self.head(x + y)


class Pools(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.AvgPool2d(3, 2, 1, ceil_mode=True),
            nn.SiLU(),
            nn.Sequential(nn.MaxPool2d(3, 2, 1, ceil_mode=True), nn.LeakyReLU(0.2)),
            nn.AvgPool2d(2, 1, 1, count_include_pad=False),
            nn.GELU(),
            nn.AdaptiveAvgPool2d((3, 2)),
        )
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(12, 3), nn.Sigmoid(), nn.Softmax(-1))

    def forward(self, x):
        return self.head(self.body(x))


class Series(nn.Module):
    """Convolutions over one axis."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv1d(2, 4, 3), nn.BatchNorm1d(4), nn.ReLU(), nn.MaxPool1d(2))
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        return self.head(nn.functional.adaptive_avg_pool1d(self.body(x), 1).squeeze(-1))


class Maxima(nn.Module):
    """Global and adaptive maxima, of which torch computes the places too."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.AdaptiveMaxPool2d((5, 3)))
        self.head = nn.Sequential(nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(4, 3))

    def forward(self, x):
        return self.head(self.body(x).relu())


@pytest.mark.parametrize(
    ("net", "shape"),
    [
        (Functional(), (3, 8, 8)),
        (InPlace(), (2, 3, 3)),
        (Alias(), (4,)),
        (Pools(), (2, 17, 13)),
        (Series(), (2, 11)),
        (Maxima(), (2, 8, 9)),
        (nn.Sequential(nn.Linear(4, 6), nn.GELU("tanh"), nn.Linear(6, 2)), (3, 4)),
    ],
    ids=["functional", "in place", "alias", "pools", "series", "maxima", "sequence"],
)
def test_other_styles_of_code_give_the_same_graph_of_operators(net, shape):
    check(net, shape)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_convolution_is_torchs_for_all_shapes(data):
    groups, inside, outside = (data.draw(st.integers(1, 3)) for _ in range(3))
    kernel, stride, dilation = (
        tuple(data.draw(st.integers(1, 3)) for _ in range(2)) for _ in range(3)
    )
    padding = tuple(data.draw(st.integers(0, 3)) for _ in range(2))
    size = tuple(
        max(1, d * (k - 1) + 1 - 2 * p) + data.draw(st.integers(0, 5))
        for d, k, p in zip(dilation, kernel, padding, strict=True)
    )
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    weight = rng.normal(size=(groups * outside, inside, *kernel))
    x, bias = rng.normal(size=(2, groups * inside, *size)), rng.normal(size=groups * outside)
    attributes = {"stride": stride, "dilation": dilation, "groups": groups}
    op = Operator(
        kind="convolution",
        output="y",
        inputs=("x",),
        attributes={**attributes, "padding": tuple((p, p) for p in padding)},
    )
    wanted = functional.conv2d(
        *map(torch.from_numpy, (x, weight, bias)), padding=padding, **attributes
    )
    found = compute(op, [x], {"weight": weight, "bias": bias})
    assert np.allclose(found, wanted.numpy(), atol=1e-10)


def test_a_shared_tensor_has_one_name_in_the_graph():
    net = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3))
    net[2].weight = net[0].weight
    graph = check(net, (3,))
    assert {op.tensors["weight"] for op in graph.operators if op.tensors} == {"0.weight"}
    assert graph.aliases == {"2.weight": "0.weight"}


class Places(nn.Module):
    def forward(self, x):
        maxima, places = nn.functional.adaptive_max_pool2d(x, 1, return_indices=True)
        return maxima + places


class Largest(nn.Module):
    def __init__(self, axes) -> None:
        super().__init__()
        self.axes = axes

    def forward(self, x):
        return x.amax(self.axes)


class Sorted(nn.Module):
    def forward(self, x):
        return torch.sort(x, dim=1).values


class Bounded(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("least", torch.zeros(4))

    def forward(self, x):
        return torch.clamp(x, min=self.least)


@pytest.mark.parametrize(
    ("net", "words"),
    [
        (Bounded(), "bounds are tensors"),
        (nn.Sequential(nn.Linear(4, 4), nn.Sequential(Sorted())), r"'sort.default' in layer '1.0'"),
        (nn.Sequential(nn.LayerNorm(4)), r"'layer_norm.default' in layer '0'.*no description here"),
        (nn.BatchNorm1d(4, track_running_stats=False), "no running statistics"),
        (nn.utils.parametrizations.weight_norm(nn.Linear(4, 2)), "has no description as a graph"),
    ],
    ids=["bounds", "sort", "layer norm", "batch statistics", "computed weight"],
)
def test_an_operator_without_description_is_named_with_its_layer(net, words):
    with pytest.raises(MethodError, match=words):
        describe(net, (4,))
    opaque = describe(net, (4,), opaque=True)
    assert opaque.opaque
    with pytest.raises(InputError, match="cannot be computed from the graph"):
        run(opaque, tensors_of(net), np.zeros((1, 4), np.float32))


@pytest.mark.parametrize(
    ("net", "words"),
    [
        (nn.Sequential(Places()), r"'adaptive_max_pool2d.default' in layer '0'.*several tensors"),
        (Largest((2, -1)), r"'amax.default'.*take torch.nn.AdaptiveMaxPool2d\(1\)"),
        (Largest((1,)), r"'amax.default'.*: it has no description here"),
    ],
    ids=["places", "amax", "amax over channels"],
)
def test_maxima_of_another_kind_say_what_to_take(net, words):
    with pytest.raises(MethodError, match=words):
        describe(net, (2, 8, 9))
    assert describe(net, (2, 8, 9), opaque=True).opaque


class Branches(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


def test_a_network_that_cannot_be_exported_is_refused_and_left_in_its_mode():
    net = nn.Sequential(nn.Linear(4, 4), Branches()).train()
    with pytest.raises(MethodError, match=r"torch.export cannot follow .* of Sequential"):
        describe(net, (4,))
    assert net.training
    with pytest.raises(MethodError, match=r"on records of shape \(5,\)"):
        describe(nn.Linear(4, 2), (5,))


class Two(nn.Module):
    def forward(self, x):
        return x, x + 1


def test_two_outputs_are_refused():
    with pytest.raises(MethodError, match="gives 2 outputs"):
        describe(Two(), (4,))


def test_a_graph_whose_operators_read_what_is_not_there_is_refused():
    value = Value(shape=(2,))
    step = Operator(kind="relu", output="y", inputs=("z",))
    with pytest.raises(InputError, match="is not made before it"):
        Graph(operators=(step,), values={"x": value, "y": value}, input="x", output="y")
    with pytest.raises(InputError, match="no operator makes the output 'y'"):
        Graph(operators=(), values={"x": value, "y": value}, input="x", output="y")
    with pytest.raises(InputError, match="no graph of a network"):
        graph_from_json({"operators": [{}]})
