"""The dense control that is normalised as a network under DP-SGD is."""

from __future__ import annotations

import pytest
import torch

from secateur.cli.spelled import parse_defence
from secateur.defend import DPSGD, GroupNormDense
from secateur.errors import MethodError
from secateur.models import MLP, GroupNormed, ResNet18, SmallCNN
from secateur.train import Adam, Recipe

NETWORKS = [SmallCNN(), ResNet18(width=0.0625)]


@pytest.mark.parametrize("build", NETWORKS, ids=repr)
def test_it_trains_the_network_that_dp_sgd_trains_and_leaves_the_rest(build):
    recipe = Recipe(build=build, optimiser=Adam(lr=0.01), epochs=7, batch_size=5)
    made = GroupNormDense().defended(recipe)
    assert made.build == DPSGD().defended(recipe).build
    assert made == Recipe(
        build=GroupNormed(build=build, channels=16),
        optimiser=Adam(lr=0.01),
        epochs=7,
        batch_size=5,
    )


def test_a_network_without_batch_normalisation_is_refused():
    with pytest.raises(MethodError, match=r"MLP\(.*has no batch normalisation.*leave GroupNormD"):
        GroupNormDense().defended(Recipe(build=MLP(widths=(8, 4, 2))))


def test_twice_is_refused_since_nothing_is_left_to_replace():
    once = GroupNormDense().defended(Recipe(build=SmallCNN()))
    with pytest.raises(MethodError, match="has no batch normalisation"):
        GroupNormDense().defended(once)


def test_training_code_of_ones_own_is_refused():
    recipe = Recipe(build=SmallCNN(), train=lambda records, *, seed: None)
    with pytest.raises(MethodError, match="makes its network itself"):
        GroupNormDense().defended(recipe)


def test_no_group_is_refused():
    with pytest.raises(MethodError, match="must be at least 1, got groups=0, channels=16"):
        GroupNormDense(groups=0)
    with pytest.raises(MethodError, match="channels=0"):
        GroupNormDense(channels=0)


def test_torchs_random_state_is_left_alone():
    before = torch.get_rng_state()
    GroupNormDense().defended(Recipe(build=SmallCNN()))
    assert torch.equal(torch.get_rng_state(), before)


def test_its_groups_are_spelled_and_kept():
    method = parse_defence("GroupNormDense(groups=4, channels=2)")
    build = method.defended(Recipe(build=SmallCNN())).build
    assert (build.groups, build.channels) == (4, 2)
    assert GroupNormed(build=SmallCNN()).channels == 1  # as networks of older fleets are read
