"""Pictures with their channels last: the same numbers, and only where a network takes them so."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import secateur.train.loop
from secateur.models import MLP, LeNet5, ResNet18, SmallCNN, logits_of, takes_channels_last
from secateur.train import SGD, Recipe, train_fleet
from secateur.types import Records
from small_world import small_membership


class Viewing(nn.Module):
    """A network that calls `view` on pictures, as many do."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.last = nn.Linear(4 * 36, 10)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.last(self.conv(x).view(-1, 4 * 36))
        return out


def viewing() -> nn.Module:
    """Return a fresh one."""
    return Viewing()


def pictures(n=60, size=8):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 3, size, size)).astype(np.float32)
    return Records.from_arrays(x, np.arange(n) % 10, n_classes=10, name="pictures")


@pytest.mark.parametrize(
    ("module", "inputs", "takes"),
    [
        (SmallCNN()(), torch.zeros(2, 3, 8, 8), True),
        (ResNet18(width=0.05)(), torch.zeros(2, 3, 32, 32), True),
        (SmallCNN()(), torch.zeros(2, 3, 8, 8, dtype=torch.float64), False),
        (MLP(widths=(192, 10))(), torch.zeros(2, 3, 8, 8), False),
        (Viewing(), torch.zeros(2, 3, 8, 8), False),
        (LeNet5()(), torch.zeros(2, 1, 5, 5), False),  # too small: said where it is used
    ],
)
def test_a_network_is_asked_whether_it_takes_the_layout(module, inputs, takes):
    module.train()
    assert takes_channels_last(module, inputs) is takes
    assert all(part.training for part in module.modules())


@pytest.mark.parametrize("build", [SmallCNN(), ResNet18(width=0.05)])
def test_a_training_in_this_layout_follows_the_other_one(build, monkeypatch):
    records = pictures()
    recipe = Recipe(build=build, optimiser=SGD(lr=0.01), epochs=2, batch_size=16)
    who = small_membership(records, targets=1, references=0)
    (fast,) = train_fleet(recipe, records, who, seed=0, engine="serial").artifacts
    monkeypatch.setattr(secateur.train.loop, "takes_channels_last", lambda *_: False)
    (plain,) = train_fleet(recipe, records, who, seed=0, engine="serial").artifacts
    for name, value in plain.tensors.items():
        np.testing.assert_allclose(fast.tensors[name], value, rtol=1e-3, atol=1e-4)
        assert fast.tensors[name].flags.c_contiguous
    assert any(not np.array_equal(fast.tensors[n], v) for n, v in plain.tensors.items())


def test_a_network_that_views_its_pictures_is_trained_and_queried_as_it_is():
    records = pictures()
    recipe = Recipe(build=viewing, epochs=1, batch_size=16)
    who = small_membership(records, targets=1, references=0)
    train_fleet(recipe, records, who, seed=0, engine="serial")
    assert logits_of(Viewing(), records).shape == (60, 10)
