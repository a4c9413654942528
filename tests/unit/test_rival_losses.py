"""RelaxLoss, label smoothing, PAST: equal to plain loops, the same on every engine."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from oracles import rivals
from secateur.defend import PAST, LabelSmoothing, MinMax, RelaxLoss
from secateur.errors import MethodError
from secateur.models import MLP
from secateur.train import SGD, Recipe
from secateur.train.model import initial_module
from small_world import SmallNet, small_recipe
from two_engines import MEMBERS, POOL, alone, arrays, check_engines_agree

PLAIN = SGD(lr=0.1, weight_decay=0.0, schedule="constant")
EARLY = PAST(strength=0.03, power=1.5, most=3.0, after=0.5, pool_batch=11)
RIVALS = {
    "RelaxLoss": RelaxLoss(alpha=0.7),
    "RelaxLoss, tables": RelaxLoss(alpha=0.8, upper=0.3, flattening="all"),
    "LabelSmoothing": LabelSmoothing(share=0.3),
    "PAST": EARLY,
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
        mean = float(torch.nn.functional.cross_entropy(logits, labels))
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
        found.append(float(torch.nn.functional.cross_entropy(module(x), y)))
    plain, _, _ = alone(small_recipe(epochs=61, optimiser=PLAIN))
    assert float(torch.nn.functional.cross_entropy(plain(x), y)) < 0.1
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


@pytest.mark.parametrize("sizes", [(48, 48, 48), (44, 47, 50), (30, 50, 70)])
@pytest.mark.parametrize("name", RIVALS)
def test_stacked_models_follow_those_trained_alone(name, sizes):
    recipe = recipe_of(RIVALS[name], build=SmallNet(batch_norm=True), epochs=4)
    check_engines_agree(recipe, sizes=sizes)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RelaxLoss(alpha=-1.0), "alpha must be at least 0"),
        (lambda: RelaxLoss(alpha=float("nan")), "alpha must be at least 0"),
        (lambda: RelaxLoss(upper=0.0), r"upper must be in \(0, 1\]"),
        (lambda: RelaxLoss(flattening="some"), "unknown flattening 'some'"),
        (lambda: LabelSmoothing(share=1.0), r"share must be in \[0, 1\)"),
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


@pytest.mark.parametrize("defence", [RelaxLoss(), LabelSmoothing(), PAST()])
def test_training_code_of_ones_own_is_refused(defence):
    recipe = Recipe(build=MLP(widths=(8, 4, 2)), train=own_training)
    with pytest.raises(MethodError, match="our training loop"):
        defence.defended(recipe)
