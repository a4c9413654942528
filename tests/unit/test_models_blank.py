"""A network without its numbers: the same shapes, nothing allocated, nothing drawn."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from secateur.models import MLP, VGG16, LeNet5, MobileNetV2, ResNet18, SmallCNN
from secateur.models.blank import blank


@pytest.mark.parametrize(
    "build",
    [
        MLP(widths=(8, 4, 2)),
        LeNet5(),
        SmallCNN(batch_norm=True),
        VGG16(width=0.1),
        ResNet18(width=0.1),
        MobileNetV2(width=0.2),
    ],
    ids=lambda b: type(b).__name__,
)
def test_it_has_the_shapes_of_the_real_one_and_leaves_the_generator_alone(build):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    found = blank(build)
    assert torch.equal(torch.get_rng_state(), before)
    real = build()
    assert {k: v.shape for k, v in found.state_dict().items()} == {
        k: v.shape for k, v in real.state_dict().items()
    }
    assert all(v.is_meta for v in found.state_dict().values())
    assert isinstance(found, type(real))


def test_what_draws_by_an_initialiser_draws_again_afterwards():
    def build() -> nn.Module:
        layer = nn.Linear(3, 2)
        nn.init.trunc_normal_(layer.weight)
        nn.init.xavier_uniform_(layer.weight)
        layer.bias.data.normal_()
        return layer

    assert blank(build).weight.is_meta
    assert blank(lambda: nn.Linear(3, 2, device="cpu")).weight.abs().sum() > 0  # real ones draw
    weight = torch.zeros(5)
    nn.init.normal_(weight)
    assert weight.std() > 0
