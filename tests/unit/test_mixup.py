"""Mixup against its formula, for class indices and soft labels, on both engines."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from secateur.defend import CrossFit
from secateur.errors import MethodError
from secateur.train import Batch, Mixup, Moment, Stacked, apply, train_fleet
from small_world import small_membership, small_recipe, small_records

NET = nn.Linear(2, 3)


def moment():
    params = dict(NET.named_parameters())
    return Moment(
        params=params, buffers={}, initial=params, prunable=("weight",), forward=None,
        predict=None, classes=3, epoch=0, step=0, epochs=1,
    )  # fmt: skip


def mixed(labels, alpha=1.0, seed=0):
    x = torch.arange(10.0).reshape(5, 2)
    hook = Mixup(alpha=alpha)
    noise = hook.noise(torch.Generator().manual_seed(seed), moment(), 5)
    _, batch = hook.batch({}, moment(), Batch(x, labels, torch.arange(5)), noise)
    return x, noise, batch


def test_inputs_and_labels_are_the_same_mixture():
    labels = torch.tensor([0, 1, 2, 0, 1])
    x, noise, batch = mixed(labels)
    w, partner = float(noise["weight"]), noise["partner"].tolist()
    for i in range(5):
        expected = w * x[i] + (1 - w) * x[partner[i]]
        torch.testing.assert_close(batch.inputs[i], expected)
        soft = torch.zeros(3)
        soft[labels[i]] += w
        soft[labels[partner[i]]] += 1 - w
        torch.testing.assert_close(batch.labels[i], soft)


def test_soft_labels_are_mixed_as_they_are():
    soft = torch.rand(5, 3, generator=torch.Generator().manual_seed(1))
    _, noise, batch = mixed(soft)
    w = noise["weight"]
    torch.testing.assert_close(batch.labels, w * soft + (1 - w) * soft[noise["partner"]])


def test_weights_follow_the_beta_distribution():
    weights = [
        float(mixed(torch.zeros(5, dtype=torch.long), 0.4, s)[1]["weight"]) for s in range(900)
    ]
    assert np.mean(weights) == pytest.approx(0.5, abs=0.05)
    assert np.var(weights) == pytest.approx(1 / (4 * (2 * 0.4 + 1)), rel=0.15)


def test_a_stack_mixes_as_single_models_do():
    records = small_records()
    who = small_membership(records)
    recipe = small_recipe(hooks=(Mixup(),), epochs=2)
    one = train_fleet(recipe, records, who, seed=0, engine="serial")
    stack = train_fleet(recipe, records, who, seed=0, engine=Stacked(models=4, workers=1))
    for a, b in zip(one.artifacts, stack.artifacts, strict=True):
        for name, value in a.tensors.items():
            np.testing.assert_allclose(value, b.tensors[name], atol=1e-4)


def test_cross_fit_mixes_its_students_records_and_not_its_teachers():
    records = small_records()
    who = small_membership(records)
    dense = train_fleet(small_recipe(epochs=1), records, who, seed=0, engine="serial")
    plain, other = (
        apply(CrossFit(folds=2, mixup=a, keep=True), dense, records, seed=0, engine="serial")
        for a in (0.0, 1.0)
    )
    for a, b in zip(plain.artifacts, other.artifacts, strict=True):
        np.testing.assert_array_equal(a.history["taught/answers"], b.history["taught/answers"])
        assert a.model_digest != b.model_digest


@pytest.mark.parametrize("alpha", [0.0, -1.0, float("inf")])
def test_an_alpha_that_is_none_is_refused(alpha):
    with pytest.raises(MethodError, match="alpha must be positive"):
        Mixup(alpha=alpha)
