"""The min-max game: equal to a plain loop, to itself on stacks, and silent where it should be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from oracles.minmax import AttackNet, play
from secateur.compress import ADMM
from secateur.data import draw
from secateur.defend import MinMax
from secateur.errors import MethodError
from secateur.models import MLP, LeNet5, prunable
from secateur.models.two_branches import TwoBranches
from secateur.train import SGD, Adam, RandomFlip, Recipe, Stacked, apply, train_fleet
from secateur.train.batches import TrainData
from secateur.train.loop import run_phases
from secateur.train.model import initial_module
from secateur.train.stack import StackData, run_stack
from secateur.types import Records, derive_seed
from small_world import SmallNet, small_membership, small_recipe, small_records

CPU = torch.device("cpu")
WIDTHS = {"posterior": (16, 8), "label": (4,), "joint": (8,)}
SMALL = MinMax(strength=2.0, inner_steps=3, lr=1e-2, **WIDTHS)
MEMBERS, POOL = np.arange(50), np.arange(80, 115)


def trained(recipe, *, phases=None, double=False, seed=1, start=5, members=MEMBERS):
    records = small_records()
    module = initial_module(recipe, start)
    data = [TrainData.of(records, rows, CPU) for rows in (members, POOL)]
    if double:
        module = module.double()
        data = [replace(part, inputs=part.inputs.double()) for part in data]
    initial = {k: v.detach().clone() for k, v in module.named_parameters()}
    found = run_phases(
        module,
        phases or recipe.phases(),
        recipe,
        data[0],
        streams={"attack": data[1]},
        context=(initial, prunable(module)),
        seed=seed,
    )
    return module, found


def tensors(module):
    return {name: value.detach().clone() for name, value in module.state_dict().items()}


@pytest.mark.parametrize(
    "game",
    [
        SMALL,
        replace(SMALL, reads="logits", warm_up=1),
        replace(SMALL, objective="mse", strength=5.0, inner_batch=24),
        replace(SMALL, objective="mse-mean", inner_steps=1),
    ],
    ids=["log", "logits, warm-up", "mse", "mse-mean"],
)
@pytest.mark.parametrize("batch_norm", [False, True])
def test_the_hook_equals_a_plain_loop(game, batch_norm):
    plain = SGD(lr=0.05, weight_decay=0.0, schedule="constant")
    recipe = game.defended(small_recipe(build=SmallNet(batch_norm=batch_norm), optimiser=plain))
    module, found = trained(recipe)
    other = initial_module(recipe, 5)
    net = AttackNet(3, **WIDTHS)
    first = TwoBranches(**WIDTHS).start(
        3, torch.Generator().manual_seed(derive_seed(derive_seed(1, "noise", 0), "minmax"))
    )
    with torch.no_grad():
        for name, layer in net.layers().items():
            layer.weight.copy_(first[f"{name}.weight"])
            layer.bias.copy_(first[f"{name}.bias"])
    records = small_records()
    x, y = torch.from_numpy(records.gather(np.arange(120))), torch.from_numpy(records.labels.copy())
    curve = play(
        other.train(),
        net,
        (x[MEMBERS], y[MEMBERS]),
        (x[POOL], y[POOL]),
        optimiser=torch.optim.SGD(other.parameters(), lr=0.05, momentum=0.9),
        game=game,
        epochs=recipe.epochs,
        size=recipe.batch_size,
        seed=1,
    )
    for name, value in other.state_dict().items():
        torch.testing.assert_close(module.state_dict()[name], value, atol=1e-5, rtol=1e-5)
    np.testing.assert_allclose(found.left.history["minmax/gain"], curve[:, 0], atol=1e-5)
    np.testing.assert_allclose(found.left.history["minmax/accuracy"], curve[:, 1], atol=1e-6)


def test_the_game_moves_the_model():
    plain, _ = trained(small_recipe())
    moved, _ = trained(SMALL.defended(small_recipe()))
    assert not torch.allclose(plain[0].weight, moved[0].weight, atol=1e-3)


@pytest.mark.parametrize("where", [{"strength": 0.0}, {"warm_up": 3}])
def test_without_the_term_it_is_plain_training_bit_for_bit(where):
    recipe = small_recipe(build=SmallNet(dropout=0.4, batch_norm=True))
    plain, _ = trained(recipe)
    same, found = trained(replace(SMALL, **where).defended(recipe))
    for name, value in plain.state_dict().items():
        assert torch.equal(value, same.state_dict()[name]), name
    assert float(found.left.history["minmax/gain"][-1]) != 0  # it looked on


def test_other_hooks_draw_what_they_drew_without_the_game():
    rng = np.random.default_rng(0)
    records = Records.from_arrays(
        rng.normal(size=(60, 1, 4, 4)).astype(np.float32), rng.integers(0, 3, 60), n_classes=3
    )

    def run(recipe):
        module = initial_module(recipe, 0)
        parts = [TrainData.of(records, rows, CPU) for rows in (np.arange(40), np.arange(40, 60))]
        run_phases(
            module,
            recipe.phases(),
            recipe,
            parts[0],
            streams={"attack": parts[1]},
            context=(dict(module.named_parameters()), prunable(module)),
            seed=0,
        )
        return tensors(module)

    recipe = Recipe(build=MLP(widths=(16, 3)), epochs=2, batch_size=8, hooks=(RandomFlip(),))
    first, second = run(recipe), run(replace(SMALL, strength=0.0).defended(recipe))
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("sizes", [(48, 48, 48), (44, 47, 50), (30, 50, 70)])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_stacked_models_follow_those_trained_alone(sizes, batch_norm):
    recipe = SMALL.defended(
        small_recipe(build=SmallNet(batch_norm=batch_norm), optimiser=SGD(lr=0.05))
    )
    records = small_records()
    members = [np.arange(k, k + n) for k, n in enumerate(sizes)]
    seeds = (3, 4, 5)
    alone = [
        trained(recipe, double=True, seed=seed, start=seed, members=own)
        for seed, own in zip(seeds, members, strict=True)
    ]
    modules = [initial_module(recipe, seed).double() for seed in seeds]
    data = [StackData.of(records, rows, CPU) for rows in (members, [POOL] * 3)]
    data = [replace(part, inputs=part.inputs.double()) for part in data]
    together = run_stack(
        modules,
        recipe.phases(),
        recipe,
        data[0],
        streams={"attack": data[1]},
        context=([dict(m.named_parameters()) for m in modules], prunable(modules[0])),
        seeds=seeds,
    )
    for (module, left), other, found in zip(alone, modules, together, strict=True):
        for name, value in module.state_dict().items():
            torch.testing.assert_close(other.state_dict()[name], value, atol=1e-7, rtol=1e-6)
        for name, curve in left.left.history.items():
            torch.testing.assert_close(found.left.history[name], curve, atol=1e-6, rtol=1e-6)


def test_statistics_and_dropout_are_as_if_nobody_looked():
    # the attack network's own look at the model must leave no trace in it
    recipe = small_recipe(build=SmallNet(dropout=0.5, batch_norm=True), epochs=1, batch_size=50)
    plain, _ = trained(recipe)
    watched, _ = trained(SMALL.defended(recipe))
    for name in ("1.running_mean", "1.running_var", "1.num_batches_tracked"):
        assert torch.equal(plain.state_dict()[name], watched.state_dict()[name]), name


@pytest.fixture(scope="module")
def fleets():
    records = small_records(n=200)
    who = draw(
        records,
        targets=1,
        references=2,
        seed=0,
        pools={"audit": 100, "population": 10, "utility": 20, "attack": 40},
    )
    plain = train_fleet(small_recipe(), records, who, seed=0, engine="serial")
    return plain, apply(SMALL, plain, records, seed=0, engine="serial"), records


PRUNE = ADMM(
    rate=3.0, updates=2, epochs_per_update=1, retrain_epochs=3, retrain_optimiser=Adam(lr=1e-2)
)


def test_pruning_afterwards_plays_the_game_in_both_of_its_parts(fleets):
    _, defended, records = fleets
    towards, retrain = PRUNE.phases(defended.recipe)
    for phase in (towards, retrain):
        assert phase.hooks[0] == SMALL
        assert len(phase.hooks) == 2
        assert phase.streams == {"attack": 48, "members": 48}
    pruned = apply(PRUNE, defended, records, seed=0, engine="serial").artifacts[0]
    assert set(pruned.history) == {
        *("admm/residual", "admm/dual", "admm/rho", "minmax/gain", "minmax/accuracy")
    }
    assert len(pruned.history["minmax/gain"]) == PRUNE.retrain_epochs
    for name, mask in pruned.masks.items():
        assert not pruned.tensors[name][~mask].any()
        assert mask.sum() == mask.size // 3


def test_the_game_moves_the_retraining_alone(fleets):
    _, defended, records = fleets
    alone = replace(PRUNE, updates=0)
    quiet = replace(defended, recipe=replace(SMALL, strength=0.0).defended(small_recipe()))
    one, other = (
        apply(alone, fleet, records, seed=0, engine="serial").artifacts[0]
        for fleet in (defended, quiet)
    )
    for name, mask in one.masks.items():
        assert np.array_equal(mask, other.masks[name])  # both began with the same weights
        assert np.abs(one.tensors[name] - other.tensors[name])[mask].max() > 1e-3


def test_a_stacked_fleet_plays_the_game(fleets):
    plain, defended, records = fleets
    stacked = apply(SMALL, plain, records, seed=0, engine=Stacked(models=3, workers=1))
    for one, other in zip(defended.artifacts, stacked.artifacts, strict=True):
        np.testing.assert_allclose(
            one.history["minmax/gain"], other.history["minmax/gain"], atol=1e-3
        )


@pytest.mark.parametrize("sizes", [(32, 32), (30, 40)])
def test_stacked_networks_of_pictures_play_the_game(sizes):
    rng = np.random.default_rng(0)
    records = Records.from_arrays(
        rng.normal(size=(100, 1, 28, 28)).astype(np.float32), rng.integers(0, 3, 100), n_classes=3
    )
    recipe = SMALL.defended(
        Recipe(build=LeNet5(classes=3), epochs=1, batch_size=16, optimiser=SGD(lr=0.01))
    )
    members = [np.arange(k, k + n) for k, n in enumerate(sizes)]
    pool = np.arange(60, 100)
    alone = []
    for seed, own in enumerate(members):
        module = initial_module(recipe, seed)
        parts = [TrainData.of(records, rows, CPU) for rows in (own, pool)]
        run_phases(
            module,
            recipe.phases(),
            recipe,
            parts[0],
            streams={"attack": parts[1]},
            context=(dict(module.named_parameters()), prunable(module)),
            seed=seed,
        )
        alone.append(tensors(module))
    modules = [initial_module(recipe, seed) for seed in range(2)]
    data = [StackData.of(records, rows, CPU) for rows in (members, [pool] * 2)]
    run_stack(
        modules,
        recipe.phases(),
        recipe,
        data[0],
        streams={"attack": data[1]},
        context=([dict(m.named_parameters()) for m in modules], prunable(modules[0])),
        seeds=(0, 1),
    )
    for one, module in zip(alone, modules, strict=True):
        for name, value in one.items():
            torch.testing.assert_close(module.state_dict()[name], value, atol=1e-4, rtol=1e-3)


def test_the_attack_network_learns_from_a_model_that_leaks():
    # records without a rule are learned by heart; the pool's are not
    rng = np.random.default_rng(0)
    records = Records.from_arrays(
        rng.normal(size=(300, 20)).astype(np.float32), rng.integers(0, 3, 300), n_classes=3
    )

    def reached(strength):
        game = MinMax(strength=strength, lr=3e-3, posterior=(32, 8), label=(8,), joint=(8,))
        recipe = game.defended(Recipe(build=MLP(widths=(20, 64, 3)), epochs=30, batch_size=25))
        module = initial_module(recipe, 0)
        parts = [TrainData.of(records, rows, CPU) for rows in (np.arange(100), np.arange(100, 300))]
        found = run_phases(
            module,
            recipe.phases(),
            recipe,
            parts[0],
            streams={"attack": parts[1]},
            context=(dict(module.named_parameters()), prunable(module)),
            seed=0,
        )
        return found.left.history

    watched, played = reached(0.0), reached(3.0)
    assert watched["minmax/accuracy"][-1] > 0.6 > watched["minmax/accuracy"][0]
    nothing = -np.log(4)
    left = [float(h["minmax/gain"][-1]) - nothing for h in (watched, played)]
    assert left[1] < left[0] / 2


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"strength": -1.0}, "strength must be at least 0 and finite, got -1.0"),
        ({"strength": float("nan")}, "strength must be at least 0"),
        ({"lr": 0.0}, "lr must be positive and finite, got 0.0"),
        ({"inner_steps": 0}, "inner_steps=0.*at least 1, 0 and 1"),
        ({"warm_up": -1}, "warm_up=-1"),
        ({"inner_batch": 0}, "inner_batch=0"),
        ({"joint": ()}, "joint must be one or more positive widths"),
        ({"label": (4, 0)}, "label must be one or more positive widths"),
    ],
)
def test_numbers_out_of_range_are_refused(fields, message):
    with pytest.raises(MethodError, match=message):
        MinMax(**fields)


def test_a_recipe_that_trains_by_itself_or_plays_already_is_refused():
    with pytest.raises(MethodError, match="plays in our training loop"):
        SMALL.defended(small_recipe(train=lambda records, *, seed: None))
    with pytest.raises(MethodError, match="reads the pool 'attack' already"):
        SMALL.defended(SMALL.defended(small_recipe()))


def test_a_fleet_without_an_attack_pool_is_refused():
    records = small_records()
    fleet = train_fleet(
        small_recipe(epochs=1), records, small_membership(records), seed=0, engine="serial"
    )
    with pytest.raises(MethodError, match="pool 'attack'"):
        apply(SMALL, fleet, records, seed=0, engine="serial")
