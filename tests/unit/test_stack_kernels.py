"""Stacks in another precision, and compiled: near the plain ones, and named in the key."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from secateur.errors import InputError
from secateur.models import MLP, SmallCNN
from secateur.train import SGD, Auto, Recipe, Stacked, train_fleet
from secateur.types import Records
from small_world import small_membership, small_recipe, small_records


def pictures():
    rng = np.random.default_rng(0)
    labels = np.arange(96) % 3
    x = rng.normal(size=(96, 3, 8, 8)) + labels.reshape(-1, 1, 1, 1)
    return Records.from_arrays(x.astype(np.float32), labels, n_classes=3, name="pictures")


def made(recipe, records, engine):
    who = small_membership(records)
    return train_fleet(recipe, records, who, seed=0, engine=engine).artifacts


RECIPES = {
    "mlp": (
        Recipe(build=MLP(widths=(8, 16, 3), dropout=0.2), epochs=2, batch_size=16),
        small_records,
    ),
    "cnn": (
        Recipe(
            build=SmallCNN(widths=(4, 8), classes=3),
            epochs=2,
            batch_size=16,
            optimiser=SGD(lr=0.01),
        ),
        pictures,
    ),
}


@pytest.mark.parametrize("name", RECIPES)
def test_bfloat16_stays_near_float32_and_keeps_weights_in_it(name):
    recipe, make = RECIPES[name]
    full = made(recipe, make(), Stacked(models=3, workers=1))
    half = made(recipe, make(), Stacked(models=3, workers=1, precision="bfloat16"))
    for a, b in zip(full, half, strict=True):
        for key, value in a.tensors.items():
            assert b.tensors[key].dtype == value.dtype
            assert np.abs(value - b.tensors[key]).max() < 0.05
    assert any(not np.array_equal(half[0].tensors[k], v) for k, v in full[0].tensors.items())


def test_precision_and_compilation_are_part_of_the_key():
    routes = {
        Stacked(models=3, **more).route
        for more in ({}, {"precision": "bfloat16"}, {"compile": True})
    }
    assert len(routes) == 3


def test_an_unknown_precision_is_refused():
    with pytest.raises(InputError, match="one of float32, bfloat16, got 'float8'"):
        Stacked(precision="float8")


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_a_compiled_stack_follows_the_plain_one(name):
    recipe, make = RECIPES[name]
    torch.compiler.reset()
    plain = made(recipe, make(), Stacked(models=3, workers=1))
    fused = made(recipe, make(), Stacked(models=3, workers=1, compile=True))
    for a, b in zip(plain, fused, strict=True):
        for key, value in a.tensors.items():
            np.testing.assert_allclose(b.tensors[key], value, atol=2e-3)


# -- whole trainings ---------------------------------------------------------------------------


@pytest.mark.parametrize("auto", [Auto(workers=1)])
def test_auto_takes_no_other_precision_by_itself(auto):
    records = small_records()
    fleet = train_fleet(small_recipe(), records, small_membership(records), seed=0, engine=auto)
    assert "precision" not in fleet.engine
    assert "compile" not in fleet.engine
