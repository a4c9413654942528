"""Early stopping as a method: the dense model as it was, with weights."""

from __future__ import annotations

import numpy as np
import pytest

from secateur.data import draw
from secateur.defend import EarlyStopping
from secateur.errors import MethodError
from secateur.train import Adam, apply, train_fleet
from small_world import small_recipe, small_records


@pytest.fixture(scope="module")
def world():
    records = small_records()
    return records, draw(records, targets=1, references=2, seed=0)


def test_it_is_the_dense_model_as_it_was_after_so_many_epochs(world):
    records, who = world
    fleet = train_fleet(small_recipe(epochs=3), records, who, seed=0, engine="serial")
    short = train_fleet(small_recipe(epochs=2), records, who, seed=0, engine="serial")
    found = apply(EarlyStopping(epochs=2), fleet, records, seed=0, engine="serial")
    for mine, expected, whole in zip(
        found.artifacts, short.artifacts, fleet.artifacts, strict=True
    ):
        for name, value in mine.tensors.items():
            np.testing.assert_array_equal(value, expected.tensors[name])
            assert (value != whole.tensors[name]).any()


def test_a_schedule_falls_over_the_epochs_that_are_trained():
    recipe = small_recipe(optimiser=Adam(lr=0.1, schedule="cosine"))
    assert EarlyStopping(epochs=2).defended(recipe) == small_recipe(
        optimiser=Adam(lr=0.1, schedule="cosine"), epochs=2
    )


@pytest.mark.parametrize(("epochs", "why"), [(0, "at least 1, got 0"), (4, "the recipe's 3 epoch")])
def test_epochs_out_of_range_are_refused(epochs, why):
    with pytest.raises(MethodError, match=why):
        EarlyStopping(epochs=epochs).defended(small_recipe(epochs=3))


def test_training_code_of_ones_own_has_no_epochs_here():
    recipe = small_recipe(train=lambda records, *, seed: None)
    with pytest.raises(MethodError, match="stop in that code"):
        EarlyStopping(epochs=1).defended(recipe)
