from __future__ import annotations

import numpy as np
import pytest

from secateur.data import digits, draw
from secateur.defend import WeightDecay
from secateur.errors import MethodError
from secateur.models import MLP
from secateur.train import SGD, Recipe, apply, train_fleet


def _norm(fleet) -> float:
    return sum(float((v**2).sum()) for v in fleet.artifacts[0].tensors.values())


@pytest.fixture(scope="module")
def plain():
    records = digits()
    who = draw(records, targets=1, references=2, seed=0)
    recipe = Recipe(build=MLP(widths=(64, 16, 10)), epochs=3)
    return train_fleet(recipe, records, who, seed=0, engine="serial"), records


def test_more_decay_gives_smaller_weights(plain):
    fleet, records = plain
    norms = [
        _norm(apply(WeightDecay(strength=s), fleet, records, seed=0, engine="serial"))
        for s in (0.0, 3.0, 10.0)
    ]
    assert norms[0] > norms[1] > norms[2]


def test_no_decay_is_the_plain_training(plain):
    fleet, records = plain
    same = apply(WeightDecay(strength=0.0), fleet, records, seed=0, engine="serial")
    for name, value in same.artifacts[0].tensors.items():
        np.testing.assert_allclose(value, fleet.artifacts[0].tensors[name], atol=1e-6)


def test_sgd_keeps_its_other_fields():
    recipe = Recipe(build=MLP(widths=(4, 2)), optimiser=SGD(lr=0.2, momentum=0.5))
    made = WeightDecay(strength=2.0).defended(recipe)
    assert made.optimiser == SGD(lr=0.2, momentum=0.5, weight_decay=2.0)


@pytest.mark.parametrize("strength", [-1.0, float("nan"), float("inf")])
def test_a_strength_that_is_none_is_refused(strength):
    with pytest.raises(MethodError, match="strength must be at least 0 and finite"):
        WeightDecay(strength=strength)


def test_an_optimiser_without_decay_is_refused():
    class Other:
        lr = 0.1
        schedule = "constant"

        def make(self, params):
            raise NotImplementedError

    with pytest.raises(MethodError, match="no weight decay that is known"):
        WeightDecay().defended(Recipe(build=MLP(widths=(4, 2)), optimiser=Other()))
