"""Magnitude, RandomMask and ADMM as they act on networks; and all hooks lifted over models."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from by_hand import moment, two_layers
from secateur.compress import ADMM, Budget, Magnitude, RandomMask
from secateur.compress.admm import AdmmHook
from secateur.compress.masks import FixedMask
from secateur.compress.random import RandomMaskHook
from secateur.compress.scratch import FromScratchHook
from secateur.errors import MethodError
from secateur.models import prunable
from secateur.train import SGD, Adam, Hook, Left
from secateur.train.batches import TrainData
from secateur.train.loop import run_phases
from secateur.types import Records
from small_world import SmallNet, small_recipe, small_records


def prune(transform, recipe, records, *, members=40, seed=1):
    """Run a transform's phases on a fresh network; return parameters before, and what came out."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        module = recipe.build()
    initial = {k: v.detach().clone() for k, v in module.named_parameters()}
    trained = run_phases(
        module,
        transform.phases(recipe),
        recipe,
        TrainData.of(records, np.arange(members), torch.device("cpu")),
        streams={},
        context=(initial, prunable(module)),
        seed=seed,
    )
    return initial, trained


@dataclass(frozen=True, kw_only=True)
class _Phases:
    """Some phases in the place of a transform."""

    phases: object


def weights_left(trained):
    return sum(int(torch.count_nonzero(trained.params[n])) for n in trained.left.masks)


TOTAL = 8 * 12 + 12 * 3


@settings(max_examples=25, deadline=None)
@given(
    rate=st.floats(1, 25),
    scope=st.sampled_from(["layer", "global"]),
    method=st.sampled_from([ADMM, Magnitude]),
)
def test_the_rate_is_exact_to_the_weight_for_both_scopes(rate, scope, method):
    short = {"updates": 1, "epochs_per_update": 1} if method is ADMM else {"rounds": 2}
    transform = method(rate=rate, scope=scope, retrain_epochs=1, **short)
    _, trained = prune(transform, small_recipe(batch_size=40), small_records(60))
    assert weights_left(trained) == round(TOTAL / rate)


@pytest.mark.parametrize("sparsity", [0.0, 0.37, 0.5, 0.9])
@pytest.mark.parametrize("allocation", ["uniform", "erk"])
def test_a_random_mask_reaches_its_sparsity_to_the_weight(sparsity, allocation):
    transform = RandomMask(sparsity=sparsity, allocation=allocation, epochs=1)
    _, trained = prune(transform, small_recipe(), small_records())
    assert weights_left(trained) == TOTAL - round(TOTAL * sparsity)


@pytest.mark.parametrize(
    "transform",
    [
        ADMM(rate=1.0, updates=0, retrain_epochs=0),
        ADMM(sparsity=0.0, updates=0, retrain_epochs=0, scope="global"),
        Magnitude(rate=1.0, retrain_epochs=0),
        Magnitude(sparsity=0.0, retrain_epochs=0, scope="global", rounds=3),
        RandomMask(rate=1.0, epochs=0),
    ],
)
def test_nothing_asked_and_no_epochs_leave_every_weight_bit_for_bit(transform):
    before, trained = prune(transform, small_recipe(), small_records())
    assert all(torch.equal(before[n], p) for n, p in trained.params.items())
    assert all(bool(m.all()) for m in trained.left.masks.values())


@pytest.mark.parametrize(
    "optimiser", [SGD(lr=0.1, momentum=0.9, weight_decay=0.1), Adam(lr=0.1, weight_decay=0.1)]
)
def test_masked_weights_stay_zero_under_momentum_and_weight_decay(optimiser):
    transform = Magnitude(rate=4.0, retrain_epochs=3, optimiser=optimiser)
    recipe = small_recipe(build=SmallNet(batch_norm=True))
    before, trained = prune(transform, recipe, small_records())
    for name, mask in trained.left.masks.items():
        assert not trained.params[name][~mask].any()
        assert not torch.equal(trained.params[name][mask], before[name][mask])


class Shaker(Hook):
    """Moves every parameter at every chance."""

    def after_step(self, state, now):
        return state, {n: p + 0.01 for n, p in now.params.items()}

    def after_epoch(self, state, now):
        return state, {n: p + 0.01 for n, p in now.params.items()}

    def finish(self, state, now):
        return {n: p + 0.01 for n, p in now.params.items()}, Left()


@pytest.mark.parametrize("transform", [ADMM(updates=1), Magnitude(), RandomMask(epochs=2)])
def test_the_recipes_own_hooks_run_and_cannot_break_the_mask(transform):
    recipe = small_recipe(hooks=(Shaker(),))
    assert all(isinstance(p.hooks[0], Shaker) for p in transform.phases(recipe))
    _, trained = prune(transform, recipe, small_records())
    assert weights_left(trained) == round(TOTAL / 10)


@pytest.mark.parametrize("transform", [ADMM(updates=1), Magnitude(rounds=2), RandomMask()])
def test_the_recipes_pools_are_declared_in_every_phase(transform):
    recipe = small_recipe(streams={"attack": 7})
    assert all(p.streams == {"attack": 7} for p in transform.phases(recipe))


def test_the_hard_prune_keeps_the_largest_weights_that_admm_trained():
    recipe, records = small_recipe(), small_records()
    fields = {"updates": 2, "epochs_per_update": 1, "retrain_epochs": 0}
    pruned = ADMM(rate=4.0, **fields)
    only_admm = pruned.phases(recipe)[:1]
    whole = prune(_Phases(phases=lambda _: only_admm), recipe, records)[1].params
    _, trained = prune(pruned, recipe, records)
    for name, mask in trained.left.masks.items():
        top = whole[name].abs().flatten().topk(mask.numel() // 4).indices
        expected = torch.zeros(mask.numel(), dtype=torch.bool)
        expected[top] = True
        assert torch.equal(mask.flatten(), expected)
        assert torch.equal(trained.params[name], whole[name] * mask)


def test_exempt_layers_stay_whole_and_are_not_counted():
    transform = Magnitude(rate=4.0, exempt=("0.weight",), retrain_epochs=0)
    before, trained = prune(transform, small_recipe(), small_records())
    assert list(trained.left.masks) == ["3.weight"]
    assert torch.equal(trained.params["0.weight"], before["0.weight"])
    assert weights_left(trained) == 9
    with pytest.raises(MethodError, match="exempt names"):
        prune(Magnitude(exempt=("nowhere",)), small_recipe(), small_records())


def test_rounds_keep_geometric_shares_and_end_at_the_asked_one():
    assert Magnitude(rate=8.0, rounds=3).rates() == pytest.approx((2.0, 4.0, 8.0))
    assert Magnitude(sparsity=0.75, rounds=2).rates() == pytest.approx((2.0, 4.0))
    phases = Magnitude(sparsity=0.9, rounds=3).phases(small_recipe())
    assert len(phases) == 3
    assert phases[-1].hooks[-1].budget == Magnitude(sparsity=0.9).budget


def test_each_round_prunes_only_among_the_survivors():
    records, recipe = small_records(), small_recipe()
    phases = Magnitude(rate=8.0, rounds=3, retrain_epochs=2).phases(recipe)
    survivors = {
        n: prune(_Phases(phases=lambda _, n=n: phases[:n]), recipe, records)[1].left.masks
        for n in (1, 2, 3)
    }
    for name, last in survivors[3].items():
        assert not (last & ~survivors[2][name]).any()
        assert not (survivors[2][name] & ~survivors[1][name]).any()
    totals = [sum(int(m.sum()) for m in survivors[r].values()) for r in (1, 2, 3)]
    assert totals == [66, 33, round(TOTAL / 8)]


def test_a_random_mask_depends_on_the_seed_and_not_on_records_or_weights():
    recipe = small_recipe()
    masks = [
        prune(RandomMask(rate=3.0, epochs=1), recipe, small_records(seed=s), seed=k)[1].left.masks
        for s, k in ((0, 1), (7, 1), (0, 2))
    ]
    assert all(torch.equal(masks[0][n], masks[1][n]) for n in masks[0])
    assert any(not torch.equal(masks[0][n], masks[2][n]) for n in masks[0])


def test_a_random_mask_draws_from_the_generator_handed_in_alone():
    hook = RandomMaskHook(budget=Budget(rate=3.0), scale_initialisation=False)
    now = moment(two_layers())
    before = torch.get_rng_state()
    first, again = (hook.noise(torch.Generator().manual_seed(4), now, 0) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[n], again[n]) for n in first)
    assert all(first[n].shape == now.params[n].shape for n in now.prunable)


def test_a_random_mask_scales_the_initial_weights_by_the_root_of_the_density():
    recipe, records = small_recipe(), small_records()
    before, trained = prune(RandomMask(rate=4.0, epochs=0), recipe, records)
    _, plain = prune(RandomMask(rate=4.0, epochs=0, scale_initialisation=False), recipe, records)
    for name, mask in trained.left.masks.items():
        density = float(mask.sum()) / mask.numel()
        torch.testing.assert_close(
            trained.params[name], before[name] * mask / math.sqrt(density), rtol=1e-6, atol=0
        )
        torch.testing.assert_close(plain.params[name], before[name] * mask, rtol=0, atol=0)


def test_a_random_mask_trains_with_the_recipes_epochs_and_optimiser_unless_told():
    (own,) = RandomMask().phases(small_recipe(epochs=7))
    assert (own.epochs, own.optimiser) == (7, None)
    (told,) = RandomMask(epochs=2, optimiser=Adam(lr=0.5)).phases(small_recipe(epochs=7))
    assert (told.epochs, told.optimiser) == (2, Adam(lr=0.5))


@pytest.mark.parametrize(
    ("method", "fields", "message"),
    [
        (Magnitude, {"rounds": 0}, "rounds=0, retrain_epochs=15: .*at least 1 and 0"),
        (Magnitude, {"retrain_epochs": -1}, "retrain_epochs=-1"),
        (Magnitude, {"sparsity": 1.5}, r"sparsity 1\.5"),
        (RandomMask, {"epochs": -1}, "epochs must be at least 0.*got -1"),
        (RandomMask, {"allocation": "even"}, "unknown allocation 'even'"),
    ],
)
def test_settings_out_of_range_are_refused(method, fields, message):
    with pytest.raises(MethodError, match=message):
        method(**fields)


def test_admms_residual_falls_in_every_layer_of_a_network_on_digits():
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    records = Records.from_arrays(images / 16.0, labels, name="digits")

    def build():
        return nn.Sequential(nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, 10))

    recipe = small_recipe(build=build, batch_size=16, epochs=10)
    method = ADMM(rate=8.0, epochs_per_update=3, retrain_epochs=0)
    both = (*recipe.phases(), *method.phases(recipe))
    _, trained = prune(_Phases(phases=lambda _: both), recipe, records, members=300)
    residual = trained.left.history["admm/residual"]
    assert residual.shape == (10, 2)
    assert (residual[-1] < 0.1).all()
    assert (residual[-1] < residual[0] / 3).all()


HOOKS = [
    AdmmHook(budget=Budget(rate=3.0), updates=3, epochs_per_update=1, rho=(0.1, 2.0)),
    AdmmHook(
        budget=Budget(rate=3.0, scope="global"), updates=3, epochs_per_update=1, rho=(0.1, 2.0)
    ),
    FixedMask(budget=Budget(rate=3.0)),
    FixedMask(budget=Budget(sparsity=0.6, scope="global")),
    RandomMaskHook(budget=Budget(rate=3.0, allocation="erk"), scale_initialisation=True),
    FromScratchHook(permuted=True, scaled=True),
]


def whole_life(hook):
    """Return a function of one model's tensors that calls every function of a hook."""

    def run(params, goals, noise):
        state, params = hook.begin(moment(params), noise)
        for epoch in range(3):
            grads = {n: p - goals[n] for n, p in params.items()}
            state, grads = hook.grads(state, moment(params, epoch=epoch), grads)
            params = {n: p - 0.2 * grads[n] for n, p in params.items()}
            state, params = hook.after_step(state, moment(params, epoch=epoch))
            state, params = hook.after_epoch(state, moment(params, epoch=epoch))
        params, left = hook.finish(state, moment(params, epoch=2))
        return params, dict(left.masks), dict(left.history)

    return run


@pytest.mark.parametrize("hook", HOOKS, ids=repr)
def test_a_hook_lifted_over_three_models_equals_three_serial_runs(hook):
    models = [two_layers(s) for s in range(3)]
    goals = [two_layers(s) for s in range(10, 13)]
    generators = [torch.Generator().manual_seed(s) for s in range(3)]
    noise = [hook.noise(g, moment(m), 0) for g, m in zip(generators, models, strict=True)]
    stacked = [
        {n: torch.stack([d[n] for d in dicts]) for n in dicts[0]}
        for dicts in (models, goals, noise)
    ]
    lifted = torch.func.vmap(whole_life(hook))(*stacked)
    for i in range(3):
        serial = whole_life(hook)(models[i], goals[i], noise[i])
        for many, one in zip(lifted, serial, strict=True):
            assert many.keys() == one.keys()
            for name in one:
                torch.testing.assert_close(many[name][i], one[name])


def test_magnitude_in_rounds_reaches_each_layers_own_sparsity():
    method = Magnitude(sparsities=(("a.weight", 0.75), ("b.weight", 0.0)), rounds=2)
    early, final = method.budgets()
    assert dict(early.sparsities) == {"a.weight": 0.5, "b.weight": 0.0}
    assert final == method.budget
    with pytest.raises(MethodError, match="there is no one rate"):
        method.rates()
