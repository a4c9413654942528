"""Group normalisation in place of batch normalisation."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from secateur.errors import MethodError
from secateur.models import (
    MLP,
    VGG16,
    GroupNormed,
    MobileNetV2,
    ResNet18,
    builds_batch_norm,
    has_batch_norm,
)
from secateur.models.blank import blank

NETWORKS = [
    VGG16(width=0.0625),
    ResNet18(width=0.0625),
    MobileNetV2(width=0.25),
]


def built(build):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build()


@pytest.mark.parametrize("build", NETWORKS, ids=repr)
def test_every_batch_normalisation_is_replaced_and_the_rest_is_as_it_was(build):
    plain, made = built(build), built(GroupNormed(build=build))
    assert has_batch_norm(plain)
    assert not has_batch_norm(made)
    others = {k: v for k, v in plain.state_dict().items() if k in made.state_dict()}
    assert others.keys() == made.state_dict().keys()  # names stay; running statistics go
    for name, value in made.state_dict().items():
        assert torch.equal(value, others[name])


@pytest.mark.parametrize("build", NETWORKS, ids=repr)
def test_a_record_s_output_does_not_depend_on_its_batch(build):
    net = built(GroupNormed(build=build)).train()
    for part in net.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
    x = torch.randn(5, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(net(x)[:1], net(x[:1]), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("channels", "about", "groups"),
    [
        (24, {"groups": 16}, 8),
        (4, {}, 4),
        (24, {"channels": 16}, 1),  # two groups of 16 are more than there are
        (4, {"channels": 16}, 1),
        (32, {"channels": 16}, 2),
        (144, {"channels": 16}, 8),
        (512, {"channels": 16}, 32),
        (1280, {"channels": 16}, 32),
        (96, {"groups": 32, "channels": 4}, 16),
        (7, {"channels": 3}, 1),
    ],
)
def test_groups_divide_the_channels_and_hold_enough_of_them(channels, about, groups):
    net = GroupNormed(build=lambda: nn.BatchNorm2d(channels), **about)()
    assert isinstance(net, nn.GroupNorm)
    assert net.num_groups == groups


def test_a_network_without_batch_normalisation_stays():
    build = MLP(widths=(8, 4, 2))
    assert repr(built(GroupNormed(build=build))) == repr(built(build))


def test_nonsense_is_refused():
    with pytest.raises(MethodError, match="at least 1"):
        GroupNormed(build=MLP(widths=(4, 2)), groups=0)
    with pytest.raises(MethodError, match="channels=0"):
        GroupNormed(build=MLP(widths=(4, 2)), channels=0)
    with pytest.raises(MethodError, match="makes no network"):
        GroupNormed(build="resnet")


class ReadsWeights:
    """A user's builder that looks at numbers, which are not there without memory."""

    def __call__(self) -> nn.Module:
        first = nn.Conv2d(1, 4, 3)
        assert float(first.weight.detach().sum()) != 0.0
        return nn.Sequential(first, nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4 * 6 * 6, 2))


def test_a_builder_is_asked_without_its_numbers_and_run_where_it_needs_them():
    state = torch.random.get_rng_state()
    with pytest.raises(RuntimeError):
        blank(ReadsWeights())
    assert builds_batch_norm(ReadsWeights())
    assert builds_batch_norm(ResNet18(width=0.125))
    assert not builds_batch_norm(GroupNormed(build=ReadsWeights()))
    assert torch.equal(state, torch.random.get_rng_state())
