"""The runtime gives what torch gives, for the networks of the house and for drawn ones."""

from __future__ import annotations

import copy
from collections import Counter
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
from drawn_networks import (
    Joined,
    engines_here,
    file_of,
    networks,
    plan_of,
    settled,
    torch_values,
)
from hypothesis import HealthCheck, Phase, given, settings
from torch import nn
from torch.nn import functional

from secateur.models import MLP, VGG16, LeNet5, MobileNetV2, Normalised, ResNet18, SmallCNN
from secateur.packed import VALUES
from secateur_runtime.errors import FileError
from secateur_runtime.lower import lowered
from secateur_runtime.network import Network
from secateur_runtime.packed import unpack
from secateur_runtime.reference import run

HOUSE = {
    "lenet": (LeNet5(), (1, 28, 28)),
    "vgg": (VGG16(width=0.125), (3, 32, 32)),
    "resnet": (ResNet18(width=0.125), (3, 32, 32)),
    "mobilenet": (MobileNetV2(width=0.25), (3, 32, 32)),
    "cnn": (SmallCNN(widths=(8, 16)), (3, 32, 32)),
    "mlp": (MLP(widths=(64, 32, 10)), (64,)),
    "normalised": (
        Normalised(build=SmallCNN(), mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.2)),
        (3, 20, 24),
    ),
    "normalised mlp": (Normalised(build=MLP(widths=(8, 4, 3)), mean=(2.0,), std=(0.5,)), (8,)),
}
WITHIN = 1e-4
CLIPPED = 2e-4  # of a value cut off at 6, whose rounding is that of the larger number before
WAYS = ("", "sparse", "dense", "code")


def inputs(shape, n, seed=0):
    return np.random.default_rng(seed).normal(size=(n, *shape)).astype(np.float32)


def torch_output(net, x):
    # in double precision: torch's own rounding is not the runtime's
    with torch.no_grad():
        return copy.deepcopy(net).double()(torch.from_numpy(x).double()).float().numpy()


def assert_close(found, expected, what="", within=WITHIN):
    assert found.dtype == np.float32 and found.shape == expected.shape
    scale = max(1.0, float(np.abs(expected).max(initial=0)))
    assert np.abs(found - expected).max(initial=0) <= within * scale, what


def allowed(values):
    """Return the tolerance for values inside of a network."""
    return CLIPPED if float(np.abs(values).max(initial=0)) == 6.0 else WITHIN


def check_every_value(net, shape, *, sizes=(3, 17), ways=("",)):
    """Compare each step with torch, through the names of the graph's values, by every engine.

    Of seventeen records the compiled engine runs sixteen side by side, and the last one alone.
    """
    n = max(sizes)
    plan = plan_of(net, shape)
    x = inputs(shape, n)
    found = run(plan, x, keep=True)
    # in double precision: torch's own single one differs from it by as much, and by processor
    expected = torch_values(deepcopy(net).double(), torch.from_numpy(x).double())
    named = 0
    for step in plan.steps:
        name = plan.names[step.output]
        assert name or step.kind == "global_average_pool"  # the pool of a mean without its axes
        if name:
            named += 1
            want = expected[name].reshape(n, *plan.shapes[step.output])
            what = f"{step.kind} in {step.place}"
            assert_close(found[step.output], want, what, within=allowed(want))
    assert named
    assert_close(found[plan.output], torch_output(net, x))
    if "native" in engines_here():
        for way in ways:
            check_every_start(plan, x, found, sizes, way)
    return plan


def check_every_start(plan, x, expected, sizes, way):
    """Compare the compiled engine, which shows its output alone, on the plan up to each step."""
    for i, step in enumerate(plan.steps):
        start = replace(plan, steps=plan.steps[: i + 1], output=step.output)
        engine = Network(start, engine="native")._engine
        if way:
            options = engine.options().items()
            engine = engine.choosing({at: way for at, words in options if way in words})
        for n in sizes:
            what = f"{way or 'rule of thumb'}, {n} records: {step.kind} in {step.place}"
            want = expected[step.output][:n]
            assert_close(engine.run(x[:n]), want, what, within=allowed(want))


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] * (n == "mobilenet")) for n in HOUSE]
)
def test_every_step_of_a_network_of_the_house_equals_torch(name):
    build, shape = HOUSE[name]
    torch.manual_seed(0)
    net = settled(build(), zeros=0.8, shape=shape)
    plan = check_every_value(net, shape)
    kinds = {step.kind for step in plan.steps}
    assert not kinds & {"relu", "clip", "add", "copy"}  # they are part of the layers
    assert ("affine" in kinds) == name.startswith("normalised")
    for step in plan.steps:
        if step.kind in ("convolution", "linear") and step.weight.size > 500:
            assert step.weight.is_sparse and 0.6 < step.weight.share_zero < 0.95


@pytest.mark.parametrize("engine", engines_here())
@pytest.mark.parametrize("values", VALUES)
def test_lossy_values_are_those_that_the_file_decodes_to(values, engine):
    from secateur.packed import unpack as unpack_all

    torch.manual_seed(0)
    net = settled(SmallCNN(widths=(8, 16))(), zeros=0.7)
    file = file_of(net, (3, 32, 32), values=values)
    decoded = unpack_all(file).tensors
    net.load_state_dict({k: torch.from_numpy(np.array(v)) for k, v in decoded.items()})
    x = inputs((3, 32, 32), 2)
    assert_close(Network(lowered(unpack(file)), engine=engine)(x), torch_output(net, x))


@pytest.mark.parametrize("engine", engines_here())
@pytest.mark.parametrize("name", ["resnet", "cnn"])
def test_records_of_another_size_run_where_the_network_takes_them(name, engine):
    build, shape = HOUSE[name]
    torch.manual_seed(0)
    net = settled(build(), zeros=0.9, shape=shape)
    packed = unpack(file_of(net, shape, resized=True))
    other = (3, 40, 33)
    try:
        expected = torch_output(net, inputs(other, 2))
    except RuntimeError:
        pytest.fail(f"torch does not run {name} on {other}, so this test has no truth")
    network = Network(lowered(packed, shape=other), engine=engine)
    assert network.input_shape == other
    assert_close(network(inputs(other, 2)), expected)


@pytest.mark.parametrize("engine", engines_here())
@pytest.mark.parametrize("pool", [nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d])
def test_a_global_pool_is_global_on_records_of_another_size(pool, engine):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(2, 5, 3), pool(1), nn.Flatten(), nn.Linear(5, 3)).eval()
    packed = unpack(file_of(net, (2, 10, 8), resized=True))
    for other in ((2, 10, 8), (2, 17, 13), (2, 18, 15), (2, 7, 3)):  # also less than two windows
        network = Network(lowered(packed, shape=other), engine=engine)
        for n in (1, 17):
            x = inputs(other, n)
            assert_close(network(x), torch_output(net, x))


class Follows(nn.Module):
    """A forward pass that follows the size of its input."""

    def __init__(self, step) -> None:
        super().__init__()
        self.step, self.head = step, nn.LazyLinear(3)

    def forward(self, x):
        return self.head(torch.flatten(self.step(x), 1))


FOLLOWS = {
    "average": lambda x: functional.avg_pool2d(x, x.shape[2:]),
    "maximum": lambda x: functional.max_pool2d(x, x.shape[2:]),
    "part of an axis": lambda x: functional.adaptive_max_pool2d(x, (x.shape[2], 1)).mean((2, 3)),
    "number": lambda x: (x / (x.shape[2] * x.shape[3])).mean((2, 3)),
    "turned": lambda x: x.reshape(x.shape[0], 2, -1, 2).mean((2, 3)),
    "flat": lambda x: x,
}


@pytest.mark.parametrize("name", FOLLOWS)
def test_a_forward_pass_that_follows_its_input_runs_on_records_of_its_size_alone(name):
    net = Follows(FOLLOWS[name])
    x = inputs((2, 8, 6), 2)
    with torch.no_grad():
        net(torch.from_numpy(x))
    packed = unpack(file_of(net.eval(), (2, 8, 6), resized=True))
    assert_close(Network(lowered(packed))(x), torch_output(net, x))
    for other in ((2, 9, 9), (2, 12, 9), (2, 16, 6)):
        with pytest.raises(FileError, match=r"on records of \(2, 8, 6\) alone.*export it for"):
            lowered(packed, shape=other)


@pytest.mark.parametrize("engine", engines_here())
def test_any_batch_gives_each_record_what_it_gives_alone(engine):
    torch.manual_seed(0)
    net = settled(LeNet5()(), zeros=0.5)
    network = Network(plan_of(net, (1, 28, 28)), engine=engine)
    x = inputs((1, 28, 28), 70)
    whole = network(x)
    for n in (0, 1, 2, 33):
        assert_close(network(x[:n]), whole[:n])
    assert_close(network(x[::-1])[::-1], whole)


class TestDrawnNetworks:
    def test_sums_concatenations_and_forks_are_drawn_often(self):
        seen = Counter()

        @settings(
            max_examples=60,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(networks())
        def look(drawn):
            joins = [part for part in drawn[0].modules() if isinstance(part, Joined)]
            seen.update({join.join for join in joins})
            seen["fork"] += any(len(join.stem) for join in joins)
            seen["value itself"] += any(not len(b) for join in joins for b in join.branches)
            seen["any"] += 1

        look()
        for word in ("sum", "concatenate", "fork"):
            assert seen[word] > seen["any"] / 4, seen
        assert seen["value itself"] > seen["any"] / 10, seen

    @settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
    @given(networks())
    def test_every_step_of_a_drawn_network_equals_torch(self, drawn):
        check_every_value(*drawn, sizes=(17,), ways=WAYS)

    @pytest.mark.slow
    @pytest.mark.timeout(3600)
    @settings(max_examples=600, deadline=None, suppress_health_check=list(HealthCheck))
    @given(networks())
    def test_every_step_of_many_drawn_networks_equals_torch(self, drawn):
        check_every_value(*drawn, sizes=(1, 2, 17, 22), ways=WAYS)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("build", [VGG16(), ResNet18(), MobileNetV2()], ids=["vgg", "res", "mob"])
def test_networks_of_full_width_equal_torch_step_by_step(build):
    torch.manual_seed(0)
    net = settled(build(), zeros=0.9, shape=(3, 32, 32))
    check_every_value(net, (3, 32, 32), sizes=(2, 17), ways=WAYS)
