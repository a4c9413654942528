"""Dead structure is removed without changing what a network gives, and all of it is."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from oracles.dead import idle_channels
from secateur import store
from secateur.compress import Magnitude
from secateur.data import digits, draw
from secateur.deploy import Shrink
from secateur.deploy.coupled import couplings
from secateur.deploy.dead import find_dead
from secateur.deploy.fold import fold_constants
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
    cut,
    input_shape,
    operate_,
    rebuild,
    tensors_of,
)
from secateur.train import Recipe, apply, train_fleet
from secateur.types import Artifact, Provenance, Shipped


class Joined(nn.Module):
    """Concatenation, a depthwise convolution that doubles channels, groups, and a flattening."""

    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Conv2d(2, 6, 3, padding=1)
        self.right = nn.Conv2d(2, 4, 1, bias=False)
        self.norm = nn.BatchNorm2d(10)
        self.deep = nn.Conv2d(10, 20, 3, padding=1, groups=10)
        self.grouped = nn.Conv2d(20, 30, 1, groups=10)
        self.head = nn.Linear(30 * 4, 3)

    def forward(self, x):
        x = functional.relu(self.norm(torch.cat([self.left(x), self.right(x)], 1)))
        x = functional.adaptive_max_pool2d(functional.relu6(self.deep(x)), 2)
        return self.head(torch.flatten(torch.relu(self.grouped(x)), 1))


class Residual(nn.Module):
    """Two sums, a depthwise convolution, clipping, and zeros that only sums hold back."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.skip = nn.Conv2d(2, 6, 3, padding=1), nn.Conv2d(2, 5, 1)
        self.b, self.norm = nn.Conv2d(6, 5, 1, bias=False), nn.BatchNorm2d(5)
        self.deep = nn.Conv2d(5, 5, 3, padding=1, groups=5)
        self.c, self.head = nn.Conv2d(5, 6, 3), nn.Linear(6, 3)

    def forward(self, x):
        y = torch.relu(self.norm(self.b(torch.relu(self.a(x))))) + torch.relu(self.skip(x))
        y = functional.relu6(y + functional.relu6(self.deep(y)))
        return self.head(functional.avg_pool2d(torch.relu(self.c(y)), 2).squeeze(3).squeeze(2))


@dataclass(frozen=True, kw_only=True)
class Join:
    def __call__(self):
        return Joined()


@dataclass(frozen=True, kw_only=True)
class Sum:
    def __call__(self):
        return Residual()


NETWORKS = {
    "mlp": MLP(widths=(20, 30, 30, 5), dropout=0.2),
    "tanh": MLP(widths=(20, 30, 30, 5), activation="tanh"),
    "lenet5": LeNet5(),
    "lenet20": LeNet20(width=0.3),
    "cnn": Normalised(build=SmallCNN(widths=(12, 16)), mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4)),
    "vgg": VGG16(width=0.15),
    "resnet": ResNet18(width=0.15),
    "mobilenet": MobileNetV2(width=0.1, last=40),
    "groups": GroupNormed(build=SmallCNN(widths=(8, 12), batch_norm=True), groups=8),
    "grouped residuals": GroupNormed(build=ResNet18(width=0.125), groups=4),
    "joined": Join(),
    "residual": Sum(),
}
SHAPES = {"joined": (2, 4, 4), "residual": (2, 4, 4)}


@pytest.fixture(scope="module")
def traced():
    """Graphs, made once each: exporting takes seconds."""
    made = {}

    def get(name):
        if name not in made:
            shape = SHAPES.get(name) or input_shape(NETWORKS[name])
            made[name] = describe(NETWORKS[name](), shape)
        return made[name]

    return get


def settled(name, rng):
    """Return a network in double precision whose statistics and shifts are not those of a start."""
    torch.manual_seed(int(rng.integers(1 << 30)))
    net = NETWORKS[name]().double().eval()
    with torch.no_grad():
        for part in net.modules():
            if isinstance(part, nn.BatchNorm2d | nn.GroupNorm):
                part.weight.copy_(torch.from_numpy(rng.normal(1, 0.3, len(part.weight))))
                part.bias.copy_(torch.from_numpy(rng.normal(-0.1, 0.3, len(part.bias))))
            if isinstance(part, nn.BatchNorm2d):
                part.running_mean.copy_(torch.from_numpy(rng.normal(0, 0.2, len(part.bias))))
                part.running_var.copy_(torch.from_numpy(rng.uniform(0.5, 2, len(part.bias))))
            if getattr(part, "bias", None) is not None and isinstance(part, nn.Conv2d | nn.Linear):
                part.bias.copy_(torch.from_numpy(rng.normal(-0.05, 0.1, len(part.bias))))
    return net


def weights(net):
    return [p.weight for p in net.modules() if isinstance(p, nn.Conv2d | nn.Linear)]


def sparse_(net, rng, share):
    with torch.no_grad():
        for weight in weights(net):
            weight *= torch.from_numpy(rng.random(weight.shape) > share)


def structured_(net, rng, share):
    """Set whole rows to 0, with their biases, and whole columns; of the normalisation both."""
    with torch.no_grad():
        for part in net.modules():
            if isinstance(part, nn.Conv2d | nn.Linear):
                rows = torch.from_numpy(rng.random(part.weight.shape[0]) < share)
                part.weight[rows] = 0
                if part.bias is not None:
                    part.bias[rows] = 0
                part.weight[:, torch.from_numpy(rng.random(part.weight.shape[1]) < share)] = 0
            elif isinstance(part, nn.BatchNorm2d):
                rows = torch.from_numpy(rng.random(len(part.bias)) < share)
                part.weight[rows] = 0
                part.bias[rows] = 0


def outputs(net, inputs):
    with torch.no_grad():
        return net(torch.from_numpy(inputs)).numpy()


def shrunk(net, graph, *, fold):
    """Return the network without its dead structure, and what was found."""
    tensors = tensors_of(net)
    tensors = fold_constants(graph, tensors) if fold else tensors
    dead = find_dead(graph, tensors)
    small = operate_(copy.deepcopy(net), dead.surgery)
    state = {k: torch.from_numpy(np.array(v)) for k, v in cut(tensors, dead.surgery).items()}
    small.load_state_dict(state)
    return small, dead


def check_same(net, small, shape, rng):
    inputs = rng.normal(0, 1, (3, *shape))
    before, after = outputs(net, inputs), outputs(small, inputs)
    assert np.abs(before - after).max() <= 1e-10 * max(1.0, np.abs(before).max())


FAST = ("mlp", "tanh", "lenet5", "cnn", "groups", "joined", "residual")
SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in NETWORKS if name not in FAST]


@pytest.mark.parametrize("fold", [False, True])
@pytest.mark.parametrize("name", [*FAST, *SLOW])
def test_outputs_stay_and_a_second_pass_finds_nothing(name, fold, traced):
    graph = traced(name)
    for seed, emptied in ((0, sparse_), (1, structured_), (2, sparse_)):
        rng = np.random.default_rng(seed)
        net = settled(name, rng)
        emptied(net, rng, 0.98 if emptied is sparse_ and seed == 0 else 0.4)
        small, dead = shrunk(net, graph, fold=fold)
        check_same(net, small, graph.values[graph.input].shape, rng)
        assert sum(w.numel() for w in weights(small)) == dead.weights[1]
        if emptied is structured_ or (seed == 0 and "group" not in name):
            assert dead.weights[1] < dead.weights[0], (name, seed)
    again = describe(small, graph.values[graph.input].shape)
    tensors = tensors_of(small)
    assert not find_dead(again, fold_constants(again, tensors) if fold else tensors).surgery


def test_single_precision_moves_by_rounding_alone(traced):
    for name in ("lenet5", "cnn", "joined"):
        rng = np.random.default_rng(3)
        net = settled(name, rng)
        structured_(net, rng, 0.3)
        net = net.float()
        graph = traced(name)
        small, _ = shrunk(net, graph, fold=False)
        inputs = rng.normal(0, 1, (3, *graph.values[graph.input].shape)).astype(np.float32)
        before, after = outputs(net, inputs), outputs(small, inputs)
        assert np.abs(before - after).max() <= 2e-6 * np.abs(before).max()


def linear_chain(*, bias):
    """One hidden unit of three reads nothing; its bias decides what it is behind the ReLU."""
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2)).double().eval()
    with torch.no_grad():
        net[0].weight[1] = 0
        net[0].bias[1] = bias
    return net


@pytest.mark.parametrize(("bias", "fold", "kept"), [(-1, False, 2), (2, False, 3), (2, True, 2)])
def test_a_unit_that_reads_nothing_goes_where_its_bias_allows_it(bias, fold, kept):
    net = linear_chain(bias=bias)
    graph = describe(net, (2,))
    small, dead = shrunk(net, graph, fold=fold)
    assert small[0].out_features == small[2].in_features == kept
    check_same(net, small, (2,), np.random.default_rng(0))
    assert dead.layers[0].constant == (kept == 3)


def test_a_unit_whose_inputs_and_weights_have_opposite_signs_is_dead():
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 2))
    net = net.double().eval()
    with torch.no_grad():
        net[2].weight[0].abs_().neg_()
        net[2].bias[0] = -0.1
    small, _ = shrunk(net, describe(net, (2,)), fold=False)
    assert small[2].out_features == 1
    check_same(net, small, (2,), np.random.default_rng(0))


class Border(nn.Module):
    """A constant channel under a 3x3 convolution with zero padding."""

    def __init__(self, *, padding: int = 1, bias: bool = True) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 2, 1)
        self.second = nn.Conv2d(2, 2, 3, padding=padding, bias=bias)
        self.head = nn.Linear(2, 2)

    def forward(self, x):
        return self.head(torch.relu(self.second(torch.relu(self.first(x)))).mean((2, 3)))


def border(*, padding=1, taps=None, shift=0.0):
    torch.manual_seed(0)
    net = Border(padding=padding).double().eval()
    with torch.no_grad():
        net.first.weight[1] = 0
        net.first.bias[1] = 2.0  # channel 1 is 2 everywhere
        net.second.weight[1] = 0
        net.second.weight[1, 1] = torch.ones(3, 3) if taps is None else taps
        net.second.bias[1] = shift
    return net


def centre():
    taps = torch.zeros(3, 3)
    taps[1, 1] = 5
    return taps


@pytest.mark.parametrize(
    ("net", "fold", "hidden"),
    [
        (border(shift=-18.0), False, (2, 1)),  # 18 inside, less at the border: never above 0
        (border(shift=-17.0), False, (2, 2)),  # 1 inside, negative at the border
        (border(shift=-17.0), True, (2, 1)),  # folded into the linear layer, behind the mean
        (border(shift=1.0, padding=0), True, (1, 1)),  # 19 everywhere: folded twice
        (border(shift=1.0, padding=0), False, (2, 2)),
        (border(shift=9.0, taps=-torch.ones(3, 3)), False, (2, 2)),  # -9 inside, 1 in the corner
        (border(shift=8.0, taps=-torch.ones(3, 3)), False, (2, 1)),  # 0 in the corner
    ],
)
def test_what_padding_does_to_a_constant_is_seen(net, fold, hidden):
    if fold and hidden == (1, 1):
        net.second.weight.data[0, 1] = 0.5
    small, _ = shrunk(net, describe(net, (1, 5, 5)), fold=fold)
    check_same(net, small, (1, 5, 5), np.random.default_rng(1))
    assert (small.first.out_channels, small.second.out_channels) == hidden


def test_a_constant_is_folded_under_padding_where_only_the_middle_is_read():
    net = border(taps=centre())
    with torch.no_grad():
        net.second.weight[0, 1] = centre()
    small, _ = shrunk(net, describe(net, (1, 5, 5)), fold=True)
    check_same(net, small, (1, 5, 5), np.random.default_rng(1))
    assert (small.first.out_channels, small.second.out_channels) == (1, 1)


class Clamped(nn.Module):
    """Channels of at least 1 under a convolution with zero padding."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 2, 1), nn.Conv2d(2, 2, 3, padding=1)
        self.head = nn.Linear(2, 2)

    def forward(self, x):
        x = torch.clamp(self.first(x), 1, 6)
        return self.head(torch.relu(self.second(x)).mean((2, 3)))


@pytest.mark.parametrize(("shift", "left"), [(17.0, 2), (0.0, 1)])
def test_bounds_know_of_the_zeros_around_a_picture(shift, left):
    net = Clamped().double().eval()
    with torch.no_grad():
        net.second.weight[1] = -1
        net.second.bias[1] = shift  # at 17 above 0 in a corner alone: 8 of 18 taps are inside
    small, _ = shrunk(net, describe(net, (1, 5, 5)), fold=False)
    check_same(net, small, (1, 5, 5), np.random.default_rng(0))
    assert small.second.out_channels == left


def test_a_constant_is_folded_into_the_running_mean_where_there_is_no_bias():
    layers = [nn.Conv2d(1, 3, 1), nn.ReLU(), nn.Conv2d(3, 2, 1, bias=False), nn.BatchNorm2d(2)]
    net = nn.Sequential(*layers, nn.Flatten(), nn.Linear(18, 2)).double().eval()
    with torch.no_grad():
        net[0].weight[1], net[0].bias[1] = 0, 2
        net[3].running_var.fill_(4)
    small, _ = shrunk(net, describe(net, (1, 3, 3)), fold=True)
    check_same(net, small, (1, 3, 3), np.random.default_rng(0))
    assert small[0].out_channels == 2
    assert not np.allclose(small[3].running_mean, net[3].running_mean)


class Held(nn.Module):
    """A channel that is 0 only by what it reads, and must stay for the sum's sake."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(2, 2), nn.Linear(2, 2)
        self.mid, self.head = nn.Linear(2, 2), nn.Linear(2, 2)

    def forward(self, x):
        return self.head(torch.relu(self.mid(torch.relu(self.a(x)))) + torch.relu(self.b(x)))


def test_a_zero_that_must_stay_keeps_what_makes_it_zero():
    torch.manual_seed(0)
    net = Held().double().eval()
    with torch.no_grad():
        net.mid.bias[1] = 1
        net.a.weight[1], net.a.bias[1] = 0, 5  # the constant 5
        net.mid.weight[0] = torch.tensor([0.0, -1.0])
        net.mid.bias[0] = 2  # relu(2 - 5) is 0, and without the 5 it would be 2
        net.mid.weight[1, 1] = 0
    small, dead = shrunk(net, describe(net, (2,)), fold=False)
    assert small.a.out_features == 2
    check_same(net, small, (2,), np.random.default_rng(0))
    layer = next(cut for cut in dead.layers if cut.layer == "mid")
    assert layer.idle == {"they can only go with channels that are in use, made by 'b'": 1}


@pytest.fixture(scope="module")
def small_graphs(traced):
    return {name: traced(name) for name in ("joined", "residual")}


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["joined", "residual"]),
    st.integers(0, 2**31),
    st.floats(0.2, 0.95),
    st.sampled_from([sparse_, structured_]),
    st.booleans(),
)
def test_random_small_networks_keep_their_outputs(small_graphs, name, seed, share, emptied, fold):
    rng = np.random.default_rng(seed)
    net = settled(name, rng)
    emptied(net, rng, share)
    small, dead = shrunk(net, small_graphs[name], fold=fold)
    check_same(net, small, SHAPES[name], rng)
    assert dead.multiply_adds[1] <= dead.multiply_adds[0]
    assert all(min(cut.after) for cut in dead.layers)


class Tiny(nn.Module):
    """Signs change everywhere, so that a weight that is not 0 is one that is felt."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.mid = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 6, 1)
        self.b = nn.Conv2d(6, 4, 1)
        self.depth = nn.Conv2d(4, 4, 3, groups=4, padding=1, bias=False)
        self.norm, self.head = nn.BatchNorm2d(4), nn.Linear(8 * 4, 3)

    def forward(self, x):
        x = torch.tanh(self.a(x))
        y = x + self.norm(self.depth(torch.tanh(self.b(torch.tanh(self.mid(x))))))
        return self.head(torch.flatten(torch.cat([x, y], 1), 1))


@dataclass(frozen=True, kw_only=True)
class MakeTiny:
    def __call__(self):
        return Tiny()


def test_every_channel_that_is_left_is_felt_or_coupled_with_one_that_is():
    NETWORKS["tiny"] = MakeTiny()
    graph = describe(MakeTiny()(), (2, 2, 2))
    removed = 0
    for seed in range(6):
        rng = np.random.default_rng(seed)
        net = settled("tiny", rng)
        sparse_(net, rng, 0.75)
        small, dead = shrunk(net, graph, fold=True)
        removed += dead.weights[0] - dead.weights[1]
        after = describe(small, (2, 2, 2))
        tensors = tensors_of(small)
        coupled = couplings(after, tensors)
        idle = set(idle_channels(after, tensors, rng.normal(0, 1, (4, 2, 2, 2))))
        felt = {
            int(coupled.group[coupled.start[name] + channel])
            for name, value in after.values.items()
            for channel in range(value.channels)
            if (name, channel) not in idle
        }
        alone = [n for n, c in idle if int(coupled.group[coupled.start[n] + c]) not in felt]
        assert all(after.values[name].channels == 1 for name in alone), (seed, alone)
    assert removed


def artifact_of(net, **fields):
    made = {"tensors": tensors_of(net), "builder": "", "provenance": Provenance(key={})}
    return Artifact(**made, **fields)


@pytest.mark.parametrize("name", ["joined", "groups", *SLOW])
def test_surgery_replayed_from_a_file_gives_the_same_bits(name, tmp_path):
    build, rng = NETWORKS[name], np.random.default_rng(0)
    net = settled(name, rng).float()
    structured_(net, rng, 0.4)
    made = artifact_of(net)
    small = Shrink(shape=SHAPES.get(name)).converted(made, build, {}, seed=0)
    assert small.surgery
    store.write_artifact(tmp_path / "m.safetensors", small)
    again = store.read_artifact(tmp_path / "m.safetensors")
    shape = SHAPES.get(name) or input_shape(build)
    inputs = rng.normal(0, 1, (2, *shape)).astype(np.float32)
    before = outputs(rebuild(small, build), inputs)
    assert np.array_equal(before, outputs(rebuild(again, build), inputs))
    assert np.allclose(before, outputs(net, inputs), atol=1e-5 * np.abs(before).max())


def test_shrinking_what_was_cut_before_composes_the_surgery():
    build = MLP(widths=(4, 6, 2))
    net = build()
    first = {"1.weight/0": np.array([0, 2, 3, 5])}
    first |= {"1.bias/0": first["1.weight/0"], "3.weight/1": first["1.weight/0"]}
    made = artifact_of(net)
    made = replace(made, tensors=cut(made.tensors, first), surgery=first)
    tensors = dict(made.tensors)
    tensors["3.weight"] = tensors["3.weight"] * np.array([1, 0, 1, 1], np.float32)
    masks = {"3.weight": tensors["3.weight"] != 0}
    small = Shrink().converted(replace(made, tensors=tensors, masks=masks), build, {}, seed=0)
    assert small.surgery["1.weight/0"].tolist() == [0, 3, 5]
    assert small.masks["3.weight"].shape == (2, 3)
    assert np.array_equal(small.tensors["1.weight"], net[1].weight.detach().numpy()[[0, 3, 5]])


def test_a_pruned_fleet_shrinks_by_the_same_road_as_it_was_pruned():
    records = digits()
    who = draw(records, targets=1, references=2, seed=0)
    recipe = Recipe(build=MLP(widths=(64, 16, 16, 10)), epochs=1)
    dense = train_fleet(recipe, records, who, seed=0, engine="serial")
    pruned = apply(Magnitude(rate=30, retrain_epochs=0), dense, records, seed=0, engine="serial")
    small = apply(Shrink(), pruned, records, seed=0, engine="serial")
    for before, after in zip(pruned.artifacts, small.artifacts, strict=True):
        assert after.tensors["1.weight"].size < before.tensors["1.weight"].size
        inputs = records.gather(np.arange(50))
        whole = outputs(rebuild(before, recipe.build), inputs)
        assert np.allclose(whole, outputs(rebuild(after, recipe.build), inputs), atol=1e-5)
    assert small.pipeline[-1] == repr(Shrink()) == "Shrink(fold_constants=True, shape=None)"


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.into, self.a, self.b = nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(4, 4)
        self.b.weight = self.a.weight
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        x = torch.tanh(self.into(x))
        return self.head(torch.tanh(self.b(torch.tanh(self.a(x)))))


def test_shared_weights_are_cut_alike_under_all_their_names():
    net = Tied().eval()
    with torch.no_grad():
        net.a.weight[2] = 0
        net.a.weight[:, 2] = 0
        net.a.bias[2] = net.b.bias[2] = 0
        net.head.weight[:, 1] = 0  # dead behind the second use alone
    small = Shrink(shape=(3,)).converted(artifact_of(net), Tied, {}, seed=0)
    assert small.tensors["a.weight"].shape == small.tensors["b.weight"].shape == (3, 3)
    assert small.surgery["b.weight/0"].tolist() == small.surgery["a.weight/0"].tolist() == [0, 1, 3]


class Fixed(nn.Module):
    """Reshapes to a size that it states, as much code does."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(1, 4, 3), nn.Linear(16, 2)

    def forward(self, x):
        return self.head(torch.relu(self.conv(x)).view(-1, 16))


def test_what_cannot_be_cut_says_so_by_layer_and_reason():
    net = Fixed().eval()
    with torch.no_grad():
        net.conv.weight[1], net.conv.bias[1] = 0, -1
    dead = find_dead(describe(net, (1, 4, 4)), tensors_of(net))
    assert not dead.surgery
    (why,) = dead.layers[0].idle
    assert dead.layers[0].layer == "conv"
    assert "reshapes them to a stated size of 16; torch.flatten(x, 1)" in why


def test_a_transformer_loses_hidden_units_and_keeps_what_attention_reads():
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)

    class Encoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.head = layer, nn.Linear(8, 3)

        def forward(self, x):
            return self.head(self.body(x).mean(1))

    net = Encoder().eval()
    with torch.no_grad():
        net.body.linear1.weight[[2, 5]] = 0
        net.body.linear1.bias[[2, 5]] = -1
        net.body.linear2.weight[1], net.body.linear2.bias[1] = 0, 0
    made = artifact_of(net)
    small = Shrink(shape=(5, 8)).converted(made, lambda: copy.deepcopy(net), {}, seed=0)
    assert small.tensors["body.linear1.weight"].shape == (14, 8)
    assert small.tensors["body.linear2.weight"].shape == (8, 14)


class Picked(nn.Module):
    """Looks a category up by one column, clipped, beside a column of numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.body, self.head = nn.Embedding(5, 3), nn.Linear(4, 8), nn.Linear(8, 2)

    def forward(self, x):
        codes = self.table(x[:, 0].clamp(0, 4).long())
        return self.head(torch.relu(self.body(torch.cat([codes, x[:, 1:]], 1))))


def test_a_single_number_of_each_record_may_be_clipped():
    net = Picked().eval()
    with torch.no_grad():
        net.body.weight[[1, 6]], net.body.bias[[1, 6]] = 0, -1
    made = artifact_of(net)
    small = Shrink(shape=(2,)).converted(made, lambda: copy.deepcopy(net), {}, seed=0)
    assert small.tensors["body.weight"].shape == (6, 4)
    assert small.tensors["table.weight"].shape == (5, 3)


class Counts(nn.Module):
    """Gives another output with fewer channels, in a way that no graph shows."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(2, 4), nn.Linear(4, 2)

    def forward(self, x):
        return self.b(torch.relu(self.a(x))) / self.a.out_features


def test_a_network_that_counts_its_channels_is_refused():
    net = Counts().eval()
    with torch.no_grad():
        net.b.weight[:, 1] = 0
    with pytest.raises(MethodError, match="outputs that differ by up to"):
        Shrink(shape=(2,)).converted(artifact_of(net), Counts, {}, seed=0)


def test_a_shipped_model_is_not_shrunk():
    made = artifact_of(MLP(widths=(4, 2))(), shipped=Shipped(form="onnx", data=b"x"))
    with pytest.raises(MethodError, match="put Shrink before that step"):
        Shrink().converted(made, MLP(widths=(4, 2)), {}, seed=0)


def test_groups_are_cut_whole_or_not_at_all():
    net = nn.Sequential(nn.Conv2d(4, 8, 1, groups=4), nn.GroupNorm(4, 8))
    rows = np.array([0, 1, 6, 7])
    small = operate_(copy.deepcopy(net), {f"{n}/0": rows for n in ("0.weight", "1.weight")})
    assert (small[0].groups, small[0].in_channels, small[1].num_groups) == (2, 2, 2)
    for name, wrong in (("0.weight/0", [0, 1, 2]), ("1.bias/0", [1, 2]), ("0.weight/1", [0])):
        with pytest.raises(InputError, match="whole groups can be cut"):
            operate_(copy.deepcopy(net), {name: np.array(wrong)})
