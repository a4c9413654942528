"""Fine-tuning with rounded weights, against a loop that rounds one number at a time."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from oracles.quantisation import rounded_slowly
from secateur.compress import Magnitude, QuantisationAware
from secateur.compress.aware import quantised
from secateur.data import digits, draw
from secateur.errors import MethodError
from secateur.models import MLP, MobileNetV2, logits_of, prunable, rebuild
from secateur.train import SGD, Recipe, Stacked, apply, train_fleet
from secateur.types import AUDIT, POPULATION, Records
from small_world import small_membership, small_recipe, small_records

RECORDS = digits()
WHO = draw(RECORDS, targets=2, references=2, pools={AUDIT: 800, POPULATION: 400}, seed=0)
RECIPE = Recipe(build=MLP(widths=(64, 24, 10)), epochs=25)


@pytest.mark.parametrize("levels", [1, 4, 64, 127])
@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("shape", [(5, 7), (4, 3, 3, 3), (6, 1, 5)])
def test_rounding_equals_one_number_at_a_time(levels, per_channel, shape):
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(levels))
    weight[0] = 0
    found = quantised(weight, levels, per_channel=per_channel)
    expected = rounded_slowly(weight.numpy(), levels, per_channel)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6, atol=0)
    assert not torch.signbit(found[found == 0]).any()


@pytest.mark.parametrize(
    ("bits", "reduce_range", "levels"), [(8, True, 64), (8, False, 127), (2, True, 1)]
)
def test_levels_are_those_of_the_integers(bits, reduce_range, levels):
    assert QuantisationAware(bits=bits, reduce_range=reduce_range).levels == levels


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"bits": 1}, "bits must be a whole number of at least 2 and at most 16, got 1"),
        ({"bits": 17}, "got 17"),
        ({"bits": 4.0}, r"got 4\.0"),
        ({"epochs": -1}, "epochs must be a whole number of at least 0, got -1"),
        ({"epochs": True}, "got True"),
    ],
)
def test_parameters_out_of_range_are_refused(change, words):
    with pytest.raises(MethodError, match=words):
        QuantisationAware(**change)


@pytest.fixture(scope="module")
def dense():
    return train_fleet(RECIPE, RECORDS, WHO, seed=0, engine="serial")


def accuracies(fleet):
    where = WHO.pool(POPULATION)
    labels = RECORDS.labels[where]
    return np.array(
        [
            (logits_of(rebuild(a, RECIPE.build), RECORDS, indices=where).argmax(1) == labels).mean()
            for a in fleet.artifacts
        ]
    )


def made(fleet, **changes):
    return apply(QuantisationAware(**changes), fleet, RECORDS, seed=0, engine="serial")


def test_training_with_rounded_weights_beats_rounding_and_training_then_rounding(dense):
    whole = {"bits": 4, "per_channel": False}
    rounded = accuracies(made(dense, epochs=0, **whole))
    more = apply(Magnitude(sparsity=0.0, retrain_epochs=5), dense, RECORDS, seed=0, engine="serial")
    later = accuracies(made(more, epochs=0, **whole))
    aware = accuracies(made(dense, epochs=5, **whole))
    assert (aware > rounded).all()
    assert aware.mean() > later.mean()


def test_every_weight_ends_on_the_grid_and_biases_do_not(dense):
    for artifact in made(dense, bits=3, epochs=1).artifacts:
        for name in ("1.weight", "3.weight"):
            weight = artifact.tensors[name]
            steps = weight / (np.abs(weight).max(axis=1, keepdims=True) / 2)
            np.testing.assert_allclose(steps, np.round(steps), atol=1e-5)
            assert (artifact.masks[name] == (weight != 0)).all()
        assert len(np.unique(artifact.tensors["1.bias"])) == 24


def test_zeros_of_a_pruned_parent_stay_and_the_others_move(dense):
    pruned = apply(Magnitude(rate=8.0, retrain_epochs=1), dense, RECORDS, seed=0, engine="serial")
    for before, after in zip(pruned.artifacts, made(pruned, epochs=2).artifacts, strict=True):
        for name, mask in before.masks.items():
            assert not after.tensors[name][~mask].any()
            assert (after.tensors[name][mask] != before.tensors[name][mask]).mean() > 0.9


def codes(artifact, levels):
    weight = artifact.tensors["1.weight"]
    return np.round(weight / np.abs(weight).max(axis=1, keepdims=True) * levels)


def test_small_steps_add_up_in_the_latent_weights(dense):
    slow = SGD(lr=1e-3, momentum=0.0, weight_decay=0.0, schedule="constant")
    start = made(dense, bits=4, epochs=0).artifacts
    end = made(dense, bits=4, epochs=10, optimiser=slow).artifacts
    for before, after in zip(start, end, strict=True):
        moved = np.abs(codes(after, 4) - codes(before, 4))
        assert moved.max() == 1  # no single step reaches another level
        assert 0.001 < (moved > 0).mean() < 0.5


def test_a_run_equals_the_straight_through_loop_written_out():
    records = small_records()
    who = small_membership(records)
    recipe = small_recipe(batch_size=1000)
    parents = train_fleet(recipe, records, who, seed=0, engine="serial").part([0])
    sgd = SGD(lr=0.5, momentum=0.0, weight_decay=0.0, schedule="constant")
    method = QuantisationAware(bits=3, epochs=4, optimiser=sgd)
    found = apply(method, parents, records, seed=0, engine="serial").artifacts[0].tensors
    members = who.members(0)
    inputs = torch.from_numpy(records.gather(members).copy())
    labels = torch.from_numpy(records.labels[members].copy())
    latent = {n: torch.from_numpy(v.copy()) for n, v in parents.artifacts[0].tensors.items()}

    def shown():
        return {
            n: torch.from_numpy(rounded_slowly(v.numpy(), 2, True)).float() if v.dim() > 1 else v
            for n, v in latent.items()
        }

    for _ in range(4):
        seen = {n: v.clone().requires_grad_() for n, v in shown().items()}
        hidden = torch.relu(inputs @ seen["0.weight"].T + seen["0.bias"])
        logits = hidden @ seen["3.weight"].T + seen["3.bias"]
        torch.nn.functional.cross_entropy(logits, labels).backward()
        latent = {n: v - 0.5 * seen[n].grad for n, v in latent.items()}
    for name, value in shown().items():
        np.testing.assert_allclose(found[name], value.numpy(), atol=1e-5)


def test_depthwise_kernels_are_rounded_too():
    build = MobileNetV2(width=0.1)
    torch.manual_seed(0)
    net = build()
    few = Records.from_arrays(
        np.zeros((4, 3, 32, 32), np.float32), np.arange(4), n_classes=10, name="x"
    )
    artifact = apply(QuantisationAware(bits=4, epochs=0), net, few, seed=0)
    kernels = [n for n, p in net.named_parameters() if p.dim() == 4 and n not in prunable(net)]
    assert kernels
    for name in kernels:
        per_channel = artifact.tensors[name].reshape(len(artifact.tensors[name]), -1)
        assert max(len(np.unique(np.abs(row))) for row in per_channel) <= 5
    assert not set(kernels) & set(artifact.masks)


def test_stacked_equals_serial():
    records = small_records()
    who = small_membership(records)
    recipe = small_recipe()
    parents = train_fleet(recipe, records, who, seed=0, engine="serial")
    method = QuantisationAware(bits=12, epochs=2)
    one = apply(method, parents, records, seed=0, engine="serial")
    many = apply(method, parents, records, seed=0, engine=Stacked(models=6, workers=1))
    for a, b in zip(one.artifacts, many.artifacts, strict=True):
        for name, value in a.tensors.items():
            step = np.abs(value).max() / method.levels  # a weight may fall on either side of a half
            np.testing.assert_allclose(b.tensors[name], value, atol=1.1 * step)
            assert np.median(np.abs(b.tensors[name] - value)) < 1e-5
