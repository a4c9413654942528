"""The same mask from scratch: of the parent nothing but its mask is left."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from by_hand import moment, two_layers
from secateur.compress import ADMM, FromScratch, Magnitude
from secateur.compress.scratch import FromScratchHook
from secateur.errors import MethodError
from secateur.models import MLP
from secateur.train import Stacked, apply, train_fleet
from secateur.train.model import initial_module
from small_world import CLASSES, FEATURES, SmallNet, small_membership, small_recipe, small_records

PRUNE = Magnitude(rate=4.0, retrain_epochs=1)


@pytest.fixture(scope="module")
def world():
    records = small_records()
    recipe = small_recipe(build=SmallNet(batch_norm=True), epochs=2)
    dense = train_fleet(recipe, records, small_membership(records), seed=0, engine="serial")
    return records, dense, apply(PRUNE, dense, records, seed=0, engine="serial")


def scratch(world, method, engine="serial"):
    records, _, pruned = world
    return apply(method, pruned, records, seed=0, engine=engine)


def initial(fleet, model):
    return {
        name: value.numpy()
        for name, value in initial_module(
            fleet.recipe, fleet.artifacts[model].provenance.key["seed"]
        )
        .state_dict()
        .items()
    }


def test_the_masks_are_the_parents_to_the_bit(world):
    made = scratch(world, FromScratch())
    for own, parent in zip(made.artifacts, world[2].artifacts, strict=True):
        assert own.masks.keys() == parent.masks.keys()
        for name, mask in own.masks.items():
            np.testing.assert_array_equal(mask, parent.masks[name])
            assert own.tensors[name][mask].any()
            assert not own.tensors[name][~mask].any()


def test_without_training_it_is_the_initial_network_under_the_mask(world):
    made = scratch(world, FromScratch(epochs=0, scale_initialisation=False))
    for model, own in enumerate(made.artifacts):
        for name, value in initial(made, model).items():
            np.testing.assert_array_equal(
                own.tensors[name], value * own.masks.get(name, np.True_), err_msg=name
            )


def test_the_scaled_start_has_the_sum_of_squares_of_the_dense_one_on_average(world):
    plain = scratch(world, FromScratch(epochs=0, scale_initialisation=False)).artifacts[0]
    scaled = scratch(world, FromScratch(epochs=0)).artifacts[0]
    for name, mask in plain.masks.items():
        np.testing.assert_allclose(
            scaled.tensors[name], plain.tensors[name] / np.sqrt(mask.mean()), rtol=1e-6
        )
    assert plain.tensors["0.bias"].tobytes() == scaled.tensors["0.bias"].tobytes()


def test_a_permuted_start_holds_the_same_values_in_other_places(world):
    method = FromScratch(epochs=0, initialisation="permuted", scale_initialisation=False)
    records, dense, _ = world
    whole = apply(
        Magnitude(sparsity=0.0, retrain_epochs=0), dense, records, seed=0, engine="serial"
    )
    made = apply(method, whole, records, seed=0, engine="serial")
    for model, own in enumerate(made.artifacts):
        value = initial(made, model)["0.weight"]
        np.testing.assert_array_equal(np.sort(own.tensors["0.weight"], None), np.sort(value, None))
        assert not np.array_equal(own.tensors["0.weight"], value)
    first, second = (a.tensors["0.weight"] for a in made.artifacts[:2])
    assert not np.array_equal(first, second)


def test_the_parents_trained_weights_leave_no_trace(world):
    records, _, pruned = world
    louder = replace(
        pruned,
        artifacts=[
            replace(a, tensors={n: v * 3 if v.dtype == np.float32 else v for n, v in t.items()})
            for a in pruned.artifacts
            for t in [a.tensors]
        ],
    )
    one = apply(FromScratch(), pruned, records, seed=0, engine="serial")
    two = apply(FromScratch(), louder, records, seed=0, engine="serial")
    for a, b in zip(one.artifacts, two.artifacts, strict=True):
        for name, value in a.tensors.items():
            assert value.tobytes() == b.tensors[name].tobytes(), name


def test_it_trains_with_the_recipes_epochs_and_lowers_the_loss(world):
    (phase,) = FromScratch().phases(world[1].recipe)
    assert (phase.epochs, phase.optimiser) == (2, None)
    idle, made = scratch(world, FromScratch(epochs=0)), scratch(world, FromScratch())
    assert not np.array_equal(
        idle.artifacts[0].tensors["0.weight"], made.artifacts[0].tensors["0.weight"]
    )


def test_stacked_it_begins_with_the_same_bytes_and_masks(world):
    method = FromScratch(epochs=0, initialisation="permuted")
    alone = scratch(world, method)
    together = scratch(world, method, Stacked(models=3, workers=1))
    for a, b in zip(alone.artifacts, together.artifacts, strict=True):
        for name, value in a.tensors.items():
            np.testing.assert_array_equal(value, b.tensors[name], err_msg=name)
        for name, mask in a.masks.items():
            np.testing.assert_array_equal(mask, b.masks[name])


def test_a_fleet_without_masks_is_refused_before_anything_is_written(world, tmp_path):
    records, dense, _ = world
    with pytest.raises(MethodError, match=r"masks of a pruned fleet anew, and model 0 has none"):
        apply(FromScratch(), dense, records, seed=0, engine="serial", folder=tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_a_module_of_ones_own_is_refused():
    with pytest.raises(MethodError, match="FromScratch trains from fresh weights"):
        apply(FromScratch(), MLP(widths=(FEATURES, CLASSES))(), small_records(), seed=0)


def test_after_admm_no_residual_is_carried_over(world):
    records, dense, _ = world
    method = ADMM(rate=4.0, updates=2, epochs_per_update=1, retrain_epochs=0)
    admm = apply(method, dense, records, seed=0, engine="serial")
    assert admm.artifacts[0].history
    assert not apply(FromScratch(), admm, records, seed=0, engine="serial").artifacts[0].history


@pytest.mark.parametrize(
    ("fields", "message"),
    [({"initialisation": "new"}, "unknown initialisation 'new'"), ({"epochs": -1}, "got -1")],
)
def test_settings_out_of_range_are_refused(fields, message):
    with pytest.raises(MethodError, match=message):
        FromScratch(**fields)


def test_an_empty_layer_stays_finite():
    params = {n: torch.zeros_like(v) for n, v in two_layers().items()}
    _, start = FromScratchHook(permuted=False, scaled=True).begin(moment(params), {})
    assert all(torch.isfinite(v).all() for v in start.values())
