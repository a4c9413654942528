"""RelaxLoss, label smoothing, PAST, HAMP: equal to plain loops, the same on every engine."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from oracles import rivals
from secateur.compress import RewindCritical
from secateur.data import draw
from secateur.defend import HAMP, PAST, LabelSmoothing, MinMax, RelaxLoss
from secateur.defend.hamp import top_of_label
from secateur.errors import MethodError
from secateur.models import MLP, LeNet5, prunable
from secateur.train import SGD, Recipe, Stacked, train_fleet
from secateur.train.batches import TrainData
from secateur.train.loop import run_phases
from secateur.train.model import initial_module
from secateur.train.stack import StackData, run_stack
from secateur.types import Records
from small_world import SmallNet, small_recipe, small_records
from two_engines import (
    CPU,
    MEMBERS,
    POOL,
    alone,
    arrays,
    check_engines_agree,
    initial_of,
    moved,
)

PLAIN = SGD(lr=0.1, weight_decay=0.0, schedule="constant")
EARLY = PAST(strength=0.03, power=1.5, most=3.0, after=0.5, pool_batch=11)
RIVALS = {
    "RelaxLoss": RelaxLoss(alpha=0.7),
    "RelaxLoss, tables": RelaxLoss(alpha=0.8, upper=0.3, flattening="all"),
    "LabelSmoothing": LabelSmoothing(share=0.3),
    "PAST": EARLY,
    "HAMP": HAMP(gamma=0.8, alpha=0.1),
    "HAMP, relaxed": HAMP(gamma=0.3),
}


def recipe_of(defence, **changes):
    fields = {"epochs": 6, "optimiser": PLAIN, **changes}
    return defence.defended(small_recipe(**fields))


def close(module, other):
    for name, value in other.state_dict().items():
        torch.testing.assert_close(module.state_dict()[name], value, atol=1e-9, rtol=1e-8)


def by_hand(recipe, loss, push=None):
    module = initial_module(recipe, 1).double().train()
    return rivals.train(
        module,
        arrays(MEMBERS),
        loss,
        epochs=recipe.epochs,
        size=recipe.batch_size,
        seed=1,
        lr=0.1,
        push=push,
    )


@pytest.mark.parametrize(
    "defence",
    [
        RelaxLoss(alpha=0.7),
        RelaxLoss(alpha=0.9, upper=0.4),
        RelaxLoss(alpha=0.8, upper=0.3, flattening="all"),
        RelaxLoss(alpha=0.0),
    ],
)
@pytest.mark.parametrize("batch_norm", [False, True])
def test_relaxloss_equals_a_loop_over_records(defence, batch_norm):
    recipe = recipe_of(defence, build=SmallNet(batch_norm=batch_norm))
    below = []

    def loss(logits, labels, epoch):
        mean = float(torch.nn.functional.cross_entropy(logits.detach(), labels))
        below.append(epoch % 2 == 1 and mean < defence.alpha)
        return rivals.relaxed(
            logits,
            labels,
            alpha=defence.alpha,
            upper=defence.upper,
            flattening=defence.flattening,
            even=epoch % 2 == 0,
        )

    other = by_hand(recipe, loss)
    assert any(below) == (defence.alpha > 0)  # flattening was reached
    close(alone(recipe)[0], other)


def test_relaxloss_with_alpha_zero_is_plain_training_bit_for_bit():
    plain, _, _ = alone(small_recipe())
    same, _, _ = alone(RelaxLoss(alpha=0.0).defended(small_recipe()))
    for name, value in plain.state_dict().items():
        assert torch.equal(value, same.state_dict()[name])


def test_relaxloss_holds_the_members_mean_loss_near_alpha():
    x, y = arrays(MEMBERS)
    found = []
    for alpha in (0.3, 0.6):
        module, _, _ = alone(recipe_of(RelaxLoss(alpha=alpha), epochs=61))
        found.append(float(torch.nn.functional.cross_entropy(module(x).detach(), y)))
    plain, _, _ = alone(small_recipe(epochs=61, optimiser=PLAIN))
    assert float(torch.nn.functional.cross_entropy(plain(x).detach(), y)) < 0.1
    assert found == pytest.approx([0.3, 0.6], abs=0.15)


def test_relaxloss_leaves_what_other_hooks_add_as_it_is():
    game = MinMax(inner_steps=1, posterior=(4,), label=(4,), joint=(4,))
    relaxed = RelaxLoss(alpha=0.5)
    recipe = relaxed.defended(game.defended(small_recipe()))
    assert recipe.hooks == (relaxed, game)
    assert game.defended(relaxed.defended(small_recipe())).hooks == (relaxed, game)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5])
def test_label_smoothing_equals_a_loop_over_classes(share):
    recipe = recipe_of(LabelSmoothing(share=share), label_smoothing=0.7, epochs=3)
    other = by_hand(recipe, lambda logits, labels, _: rivals.smoothed(logits, labels, share))
    close(alone(recipe)[0], other)


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("after", [0.0, 0.5, 1.0])
def test_past_equals_a_loop_over_weights(after, batch_norm):
    defence = replace(EARLY, after=after)
    recipe = recipe_of(defence, build=SmallNet(batch_norm=batch_norm), epochs=4)
    push = rivals.past(
        arrays(POOL), 11, strength=0.03, power=1.5, most=3.0, first={0.0: 0, 0.5: 2, 1.0: 4}[after]
    )
    other = by_hand(
        recipe,
        lambda logits, labels, _: torch.nn.functional.cross_entropy(logits, labels),
        push,
    )
    close(alone(recipe)[0], other)


def test_past_without_power_is_plain_l1():
    recipe = recipe_of(PAST(strength=0.02, power=0.0, after=0.0), epochs=3)

    def l1(module, epoch, draw):
        del epoch
        draw(len(POOL), recipe.batch_size)
        for name, p in module.named_parameters():
            if not name.endswith("bias"):
                p.grad += 0.02 * torch.sign(p.detach())

    other = by_hand(
        recipe, lambda logits, labels, _: torch.nn.functional.cross_entropy(logits, labels), l1
    )
    close(alone(recipe)[0], other)


def test_past_without_strength_is_plain_training_bit_for_bit():
    build = SmallNet(batch_norm=True)
    plain, _, _ = alone(small_recipe(build=build))
    same, _, _ = alone(PAST(strength=0.0, after=0.0).defended(small_recipe(build=build)))
    for name, value in plain.state_dict().items():
        assert torch.equal(value, same.state_dict()[name]), name


@pytest.mark.parametrize("gamma", [0.0, 0.5, 0.9])
def test_hamp_equals_a_loop_over_classes(gamma):
    recipe = recipe_of(HAMP(gamma=gamma, alpha=0.1), label_smoothing=0.4, epochs=3)
    assert recipe.label_smoothing == 0.0
    other = by_hand(recipe, lambda out, y, _: rivals.hamp(out, y, gamma=gamma, alpha=0.1))
    for name, value in other.state_dict().items():  # the oracle's label is found in steps of 1e-6
        torch.testing.assert_close(alone(recipe)[0].state_dict()[name], value, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("classes", [2, 10, 100, 1000])
@pytest.mark.parametrize("gamma", [0.01, 0.5, 0.95, 0.999])
def test_a_label_has_the_entropy_that_is_asked_and_keeps_its_class(classes, gamma):
    top = top_of_label(classes, gamma)
    label = torch.full((classes,), (1 - top) / (classes - 1), dtype=torch.float64)
    label[0] = top
    entropy = -float((label * label.log()).sum())
    assert entropy == pytest.approx(gamma * float(torch.tensor(float(classes)).log()), rel=1e-6)
    assert top > label[1]


@pytest.mark.parametrize("sizes", [(48, 48, 48), (44, 47, 50), (30, 50, 70)])
@pytest.mark.parametrize("name", RIVALS)
def test_stacked_models_follow_those_trained_alone(name, sizes):
    recipe = recipe_of(RIVALS[name], build=SmallNet(batch_norm=True), epochs=4)
    if name == "HAMP, relaxed":
        recipe = RelaxLoss(alpha=0.9).defended(recipe)
    check_engines_agree(recipe, sizes=sizes)


@pytest.mark.parametrize("sizes", [(32, 32), (30, 40)])
def test_stacked_networks_of_pictures_take_the_same_steps(sizes):
    rng = np.random.default_rng(0)
    records = Records.from_arrays(
        rng.normal(size=(100, 1, 28, 28)).astype(np.float32), rng.integers(0, 3, 100), n_classes=3
    )
    build = LeNet5(classes=3)
    recipe = HAMP().defended(replace(EARLY, after=0.0).defended(Recipe(build=build, batch_size=16)))
    method = RewindCritical(share=0.01, epochs=1, optimiser=SGD(lr=0.01))
    data = [np.arange(k, k + n) for k, n in enumerate(sizes)], [np.arange(60, 100)] * len(sizes)
    parts = [StackData.of(records, rows, CPU) for rows in data]
    modules = [initial_module(recipe, seed) for seed in range(len(sizes))]
    found = run_stack(
        [moved(copy.deepcopy(module)) for module in modules],
        method.phases(recipe),
        recipe,
        parts[0],
        streams={"attack": parts[1]},
        context=([initial_of(module) for module in modules], prunable(modules[0])),
        seeds=list(range(len(sizes))),
    )
    for seed, module in enumerate(modules):
        initial = initial_of(module)
        alone = run_phases(
            moved(module),
            method.phases(recipe),
            recipe,
            TrainData.of(records, data[0][seed], CPU),
            streams={"attack": TrainData.of(records, data[1][seed], CPU)},
            context=(initial, prunable(module)),
            seed=seed,
        )
        for name, value in alone.params.items():
            torch.testing.assert_close(found[seed].params[name], value, atol=1e-5, rtol=1e-4)


def test_networks_with_dropout_are_repeatable_on_a_stack():
    records = small_records(n=200)
    pools = {"audit": 100, "population": 10, "utility": 20, "attack": 40}
    who = draw(records, targets=1, references=2, seed=0, pools=pools)
    recipe = EARLY.defended(small_recipe(build=SmallNet(dropout=0.5)))
    one, two = (
        train_fleet(recipe, records, who, seed=0, engine=Stacked(models=3, workers=1))
        for _ in range(2)
    )
    assert [a.digest for a in one.artifacts] == [a.digest for a in two.artifacts]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RelaxLoss(alpha=-1.0), "alpha must be at least 0"),
        (lambda: RelaxLoss(alpha=float("nan")), "alpha must be at least 0"),
        (lambda: RelaxLoss(upper=0.0), r"upper must be in \(0, 1\]"),
        (lambda: RelaxLoss(flattening="some"), "unknown flattening 'some'"),
        (lambda: LabelSmoothing(share=1.0), r"share must be in \[0, 1\)"),
        (lambda: HAMP(gamma=1.0), r"gamma must be in \[0, 1\)"),
        (lambda: HAMP(alpha=-1.0), "alpha must be at least 0"),
        (lambda: HAMP().defended(HAMP().defended(small_recipe())), "has HAMP already"),
        (lambda: PAST(strength=-1.0), "strength must be at least 0"),
        (lambda: PAST(power=float("inf")), "power must be at least 0 and finite"),
        (lambda: PAST(after=1.5), r"after must be in \[0, 1\]"),
        (lambda: PAST(pool_batch=0), "pool_batch must be at least 1"),
        (lambda: PAST().defended(PAST().defended(small_recipe())), "reads the pool 'attack' al"),
        (lambda: PAST().defended(MinMax().defended(small_recipe())), "reads the pool 'attack' al"),
        (
            lambda: RelaxLoss().defended(RelaxLoss().defended(small_recipe())),
            "relaxed already",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(make, message):
    with pytest.raises(MethodError, match=message):
        make()


def own_training(records, *, seed):
    raise NotImplementedError


@pytest.mark.parametrize("defence", [RelaxLoss(), LabelSmoothing(), PAST(), HAMP()])
def test_training_code_of_ones_own_is_refused(defence):
    recipe = Recipe(build=MLP(widths=(8, 4, 2)), train=own_training)
    with pytest.raises(MethodError, match="our training loop"):
        defence.defended(recipe)
