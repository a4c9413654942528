"""Narrower networks of a pruned network's number of weights."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch
from torch import nn

from secateur.cli.spelled import parse_defence
from secateur.defend import SmallDense
from secateur.errors import MethodError
from secateur.models import (
    MLP,
    VGG16,
    LeNet5,
    LeNet20,
    MobileNetV2,
    Normalised,
    ResNet18,
    SmallCNN,
    count_prunable,
    narrower,
    prunable,
)
from secateur.train import Recipe

NETWORKS = {
    "location30": (MLP(widths=(446, 512, 256, 128, 30)), (446,)),
    "adult": (MLP(widths=(107, 128, 64, 2)), (107,)),
    "LeNet5": (LeNet5(), (1, 28, 28)),
    "LeNet20": (LeNet20(), (1, 28, 28)),
    "SmallCNN": (SmallCNN(widths=(32, 64, 128)), (3, 32, 32)),
    "VGG16": (VGG16(), (3, 32, 32)),
    "ResNet18": (ResNet18(), (3, 32, 32)),
    "MobileNetV2": (MobileNetV2(), (3, 32, 32)),
    "Normalised": (Normalised(build=SmallCNN(widths=(16, 32))), (3, 32, 32)),
}
TOLERANCE = 0.06


@pytest.mark.parametrize("rate", [2, 10, 32])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_number_of_weights_is_that_of_the_pruned_network_within_six_percent(name, rate):
    build, shape = NETWORKS[name]
    small = narrower(build, 1 / rate)
    assert abs(rate * count_prunable(small) / count_prunable(build) - 1) < TOLERANCE
    assert type(small) is type(build)
    with torch.no_grad():
        logits = small().eval()(torch.zeros(2, *shape))
    classes = build.widths[-1] if isinstance(build, MLP) else 10
    assert logits.shape == (2, classes)


@pytest.mark.parametrize("name", NETWORKS)
def test_weights_are_counted_as_on_a_real_network_and_grow_with_the_width(name):
    build, _ = NETWORKS[name]
    small = narrower(build, 1 / 16)
    module = small()
    sizes = dict(module.named_parameters())
    assert count_prunable(small) == sum(sizes[n].numel() for n in prunable(module))
    assert count_prunable(narrower(build, 1 / 4)) > count_prunable(small)
    assert narrower(build, 1.0) == build.narrowed(1.0)
    assert count_prunable(narrower(build, 1.0)) == count_prunable(build)


def test_no_other_width_comes_nearer():
    build = NETWORKS["LeNet5"][0]
    goal = count_prunable(build) / 10
    found = abs(count_prunable(narrower(build, 0.1)) - goal)
    every = [abs(count_prunable(replace(build, width=k / 1000)) - goal) for k in range(1, 1001)]
    assert found == min(every)


def test_a_lenet_of_width_one_has_the_bytes_that_it_had_without_a_width():
    torch.manual_seed(0)
    module = LeNet5()()
    torch.manual_seed(0)
    plain = nn.Sequential(
        *(nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
        *(nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)),
    )
    for (name, value), (other, wanted) in zip(
        module.state_dict().items(), plain.state_dict().items(), strict=True
    ):
        assert name == other
        assert torch.equal(value, wanted)


def test_torchs_random_state_is_left_alone():
    before = torch.get_rng_state()
    narrower(NETWORKS["SmallCNN"][0], 0.1)
    assert torch.equal(torch.get_rng_state(), before)


@dataclass(frozen=True, kw_only=True)
class Own:
    hidden: int = 40

    def __call__(self):
        return nn.Sequential(nn.Flatten(), nn.Linear(8, self.hidden), nn.Linear(self.hidden, 3))


@dataclass(frozen=True, kw_only=True)
class OwnNarrowed(Own):
    def narrowed(self, width):
        return replace(self, hidden=max(1, round(self.hidden * width)))


def test_a_network_of_ones_own_is_asked_for_or_says_how_it_is_narrowed():
    with pytest.raises(MethodError, match=r"Own\(hidden=40\) does not say.*SmallDense\(build="):
        SmallDense().defended(Recipe(build=Own()))
    made = SmallDense(build=Own(hidden=4)).defended(Recipe(build=Own(), epochs=7))
    assert (made.build, made.epochs) == (Own(hidden=4), 7)
    assert SmallDense().defended(Recipe(build=OwnNarrowed())).build == OwnNarrowed(hidden=4)


def test_a_network_that_cannot_be_so_narrow_is_refused_with_its_numbers():
    with pytest.raises(MethodError, match="640 prunable weights; narrowed to 80 it would have 640"):
        SmallDense(rate=8.0).defended(Recipe(build=MLP(widths=(64, 10))))


def test_a_narrowed_mobilenet_narrows_the_channels_that_its_width_leaves():
    build = MobileNetV2(stem="imagenet", classes=1000)
    small = narrower(build, 1 / 16)
    assert abs(16 * count_prunable(small) / count_prunable(build) - 1) < TOLERANCE
    assert small.last < build.last


@pytest.mark.parametrize("rate", [0.5, float("inf"), float("nan")])
def test_a_rate_below_one_is_refused(rate):
    with pytest.raises(MethodError, match="rate must be finite and at least 1"):
        SmallDense(rate=rate)


def test_training_code_of_ones_own_is_refused():
    recipe = Recipe(build=MLP(widths=(8, 4, 2)), train=lambda records, *, seed: None)
    with pytest.raises(MethodError, match="makes its network itself"):
        SmallDense(rate=2.0).defended(recipe)


def test_a_network_may_be_spelled_inside():
    found = parse_defence("SmallDense(build=MLP(widths=(8, 4, 2)))")
    assert found == SmallDense(build=MLP(widths=(8, 4, 2)))
