"""A user's own training code makes the models: on every engine that makes them one by one."""

from __future__ import annotations

import numpy as np
import own_training
import pytest
import torch

from own_files import GOOD, written
from secateur import open_fleet
from secateur.attack.membership import LossThreshold
from secateur.auditing import audit
from secateur.compress import Magnitude
from secateur.errors import InputError, MethodError
from secateur.models import rebuild
from secateur.own import recipe_of, records_of
from secateur.probe import SignalProbe
from secateur.train import Recipe, Snapshots, apply, train_fleet
from secateur.types import Signal, derive_seed
from small_world import CLASSES, FEATURES, small_membership, small_records

BUILD = own_training.Linear(features=FEATURES, classes=CLASSES)
RECIPE = Recipe(build=BUILD, train=own_training.least_squares)


@pytest.fixture
def world():
    records = small_records()
    return records, small_membership(records)


@pytest.mark.parametrize(
    "engine", ["serial", "processes", pytest.param("auto", marks=pytest.mark.slow)]
)
def test_each_model_is_what_the_code_makes_of_its_members(world, engine):
    records, who = world
    fleet = train_fleet(RECIPE, records, who, seed=7, engine=engine)
    for i, artifact in enumerate(fleet.artifacts):
        seed = derive_seed(derive_seed(7, "model", i), "train")
        expected = own_training.least_squares(records.take(who.members(i)), seed=seed)
        for name, value in expected.state_dict().items():
            assert np.array_equal(artifact.tensors[name], value.numpy())


def test_it_is_pruned_audited_and_resumed_like_any_other(world, tmp_path):
    records, who = world
    folder = tmp_path / "own"
    train_fleet(RECIPE, records, who, seed=0, engine="serial", folder=folder)
    dense = open_fleet(folder, recipe=RECIPE)
    assert "train=own_training:least_squares" in dense.pipeline[0]
    small = apply(Magnitude(rate=2, retrain_epochs=1), dense, records, seed=0, engine="serial")
    report = audit([dense, small], records, attacks=[LossThreshold()])
    assert {"dense", "magnitude"} <= {row.subject for row in report.rows}
    again = train_fleet(RECIPE, records, who, seed=0, engine="serial", folder=folder)
    assert [a.digest for a in again.artifacts] == [a.digest for a in dense.artifacts]


def test_torchs_random_state_is_afterwards_what_it_was(world):
    before = torch.random.get_rng_state()
    train_fleet(RECIPE, *world, seed=0, engine="serial")
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize(
    ("train", "error", "message"),
    [
        (own_training.too_wide, InputError, r"does not fit the network that .*Linear"),
        (
            own_training.no_module,
            MethodError,
            "must return a torch module, or the Artifact .* got dict",
        ),
    ],
)
def test_what_it_returns_must_be_the_network_of_build(world, tmp_path, train, error, message):
    with pytest.raises(error, match=message):
        train_fleet(
            Recipe(build=BUILD, train=train),
            *world,
            seed=0,
            engine="serial",
            folder=tmp_path / "own",
        )
    assert not (tmp_path / "own").exists()


def test_a_model_that_it_pruned_by_apply_keeps_its_masks_and_is_the_network_of_build(world):
    records, who = world
    recipe = Recipe(build=BUILD, train=own_training.pruned)
    fleet = train_fleet(recipe, records, who, seed=0, engine="serial")
    for artifact in fleet.artifacts:
        (mask,) = artifact.masks.values()
        weight = artifact.tensors["weight"]
        assert mask.sum() == weight.size // 4 and not weight[~mask].any()
        assert rebuild(artifact, BUILD)(torch.zeros(1, 8)).shape == (1, 3)


PRUNES = """

def train(records, *, seed):
    import secateur
    torch.manual_seed(seed)
    return secateur.apply(
        secateur.Magnitude(rate=4, retrain_epochs=1), build(), records, seed=seed
    )
"""


def test_a_recipe_files_training_may_end_with_what_apply_returns(tmp_path):
    recipe = recipe_of(written(tmp_path, GOOD + PRUNES))
    records = records_of(tmp_path / "mine.py")
    made = recipe.train(records, seed=3)
    assert made.masks and made.digest == recipe.train(records, seed=3).digest


def test_build_that_ends_with_what_apply_returns_is_told_how_to_get_a_network(tmp_path):
    text = (
        GOOD.replace("def build", "def empty")
        + """

def build():
    import secateur
    x, y = records()
    found = secateur.Records.from_arrays(x, y)
    return secateur.apply(secateur.Magnitude(retrain_epochs=0), empty(), found, seed=0)
"""
    )
    with pytest.raises(InputError, match=r"secateur\.rebuild\(artifact, build\)"):
        recipe_of(written(tmp_path, text)).build()


def test_it_is_not_stacked_and_has_no_snapshots(world):
    with pytest.raises(MethodError, match="cannot be stacked"):
        train_fleet(RECIPE, *world, seed=0, engine="stacked")
    snapshots = Snapshots(epochs=(1,), probe=SignalProbe(signals=(Signal(name="loss"),)))
    with pytest.raises(MethodError, match="leave the snapshots out"):
        train_fleet(RECIPE, *world, seed=0, engine="serial", snapshots=snapshots)


def test_train_must_be_a_function():
    with pytest.raises(MethodError, match="train must be a function"):
        Recipe(build=BUILD, train=3)


def test_a_recipe_is_spelled_alike_in_every_process():
    assert repr(Recipe(build=BUILD)) == (
        f"Recipe(build={BUILD!r}, optimiser=Adam(lr=0.001, weight_decay=0.0, schedule='constant', "
        "decoupled=False), epochs=30, batch_size=64, label_smoothing=0.0, hooks=(), streams={})"
    )


def test_a_network_may_be_built_by_a_function(world):
    fleet = train_fleet(
        Recipe(build=own_training.network, epochs=1), *world, seed=0, engine="serial"
    )
    assert fleet.artifacts[0].builder == "own_training:network"
    assert "build=own_training:network" in fleet.pipeline[0]
