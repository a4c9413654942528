"""Rewinding critical weights: the right ones, back where they began, and held there."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from oracles import rivals
from secateur.compress import Magnitude, RewindCritical
from secateur.data import draw
from secateur.defend import PAST, RelaxLoss
from secateur.errors import MethodError
from secateur.train import SGD, Adam, Stacked, apply, train_fleet
from secateur.train.model import initial_module
from small_world import SmallNet, small_recipe, small_records
from two_engines import MEMBERS, POOL, alone, arrays, check_engines_agree, moved

DECAYING = SGD(lr=0.05, momentum=0.9, weight_decay=0.1)
NET = SmallNet(batch_norm=True)


def weights(module):
    return {n: p.detach() for n, p in module.named_parameters() if p.dim() > 1}


@pytest.mark.parametrize("score", ["gap", "members"])
@pytest.mark.parametrize("epochs", [1, 3])
def test_the_largest_scores_of_a_plain_loop_are_rewound(score, epochs):
    recipe = small_recipe(label_smoothing=0.2)
    method = RewindCritical(share=0.1, score=score, scoring_epochs=epochs, epochs=0)
    module, initial, found = alone(recipe, phases=method.phases(recipe), move=True)
    before = moved(initial_module(recipe, 1).double(), 1)
    scores = rivals.gap_scores(
        before.train(),
        arrays(MEMBERS),
        arrays(POOL) if score == "gap" else None,
        size=16,
        seed=1,
        epochs=epochs,
    )
    flat = torch.cat([scores[n].flatten() for n in sorted(scores)])
    limit = flat.sort(descending=True).values[round(0.1 * len(flat)) - 1]
    shares = []
    for name, value in weights(module).items():
        rewound = scores[name] >= limit
        assert torch.equal(value[rewound], initial[name][rewound])
        assert torch.equal(value[~rewound], weights(before)[name][~rewound])
        shares.append(float(rewound.double().mean()))
    torch.testing.assert_close(found.left.history["rewind/share"].tolist(), shares)
    for name, value in before.named_parameters():
        if value.dim() == 1:
            assert torch.equal(dict(module.named_parameters())[name], value)


@pytest.mark.parametrize("frozen", [True, False])
def test_rewound_weights_stay_where_frozen_and_the_others_learn(frozen):
    recipe = small_recipe(build=NET, optimiser=DECAYING)
    method = RewindCritical(share=0.2, epochs=2, frozen=frozen)
    module, initial, _ = alone(recipe, phases=method.phases(recipe), move=True)
    before, _, _ = alone(
        recipe, phases=RewindCritical(share=0.2, epochs=0).phases(recipe), move=True
    )
    held = torch.cat([(v == initial[n]).flatten() for n, v in weights(module).items()])
    assert int(held.sum()) == (round(0.2 * len(held)) if frozen else 0)
    pairs = zip(weights(module).values(), weights(before).values(), strict=True)
    changed = torch.cat([(a != b).flatten() for a, b in pairs])
    assert torch.equal(changed, ~held)


def test_fine_tuning_equals_a_loop_that_puts_values_back_after_each_step():
    recipe = small_recipe(optimiser=replace(DECAYING, schedule="constant"))
    method = RewindCritical(share=0.2, epochs=3)
    module, initial, _ = alone(recipe, phases=method.phases(recipe), move=True)
    scored = replace(method, epochs=0).phases(recipe)
    start, _, _ = alone(recipe, phases=scored, move=True)
    other = rivals.tune(
        start.train(), initial, arrays(MEMBERS), epochs=3, size=16, seed=1, lr=0.05, decay=0.1
    )
    for name, value in other.state_dict().items():
        torch.testing.assert_close(module.state_dict()[name], value, atol=1e-9, rtol=1e-8)


def test_scoring_moves_no_parameter_whatever_the_optimiser():
    recipe = small_recipe(build=NET, optimiser=Adam(lr=0.1, weight_decay=0.5))
    method = RewindCritical(share=1e-9, scoring_epochs=3, epochs=0)  # one weight
    module, initial, _ = alone(recipe, phases=method.phases(recipe), move=True)
    before = dict(moved(initial_module(recipe, 1).double(), 1).named_parameters())
    different = 0
    for name, value in module.named_parameters():
        where = value != before[name]
        different += int(where.sum())
        assert torch.equal(value[where], initial[name][where])
    assert different == 1


@pytest.mark.parametrize("sizes", [(48, 48, 48), (30, 50, 70)])
@pytest.mark.parametrize("score", ["gap", "members"])
def test_stacked_models_follow_those_trained_alone(score, sizes):
    recipe = RelaxLoss(alpha=0.5).defended(small_recipe(build=NET, optimiser=DECAYING))
    method = RewindCritical(share=0.1, score=score, epochs=3)
    check_engines_agree(recipe, phases=method.phases(recipe), sizes=sizes, move=True)


def test_the_recipes_hooks_and_streams_come_back_for_the_fine_tuning():
    recipe = PAST(pool_batch=5).defended(small_recipe())
    scoring, tuning = RewindCritical().phases(recipe)
    assert len(scoring.hooks) == 1
    assert scoring.streams == {"attack": 16}
    assert tuning.hooks[0] == PAST(pool_batch=5)
    assert tuning.streams == {"attack": 5}
    (only,) = RewindCritical(share=0.0, epochs=4).phases(recipe)
    assert only.epochs == 4


@pytest.fixture(scope="module")
def fleet():
    records = small_records(n=200)
    pools = {"audit": 100, "population": 10, "utility": 20, "attack": 40}
    who = draw(records, targets=1, references=2, seed=0, pools=pools)
    return train_fleet(small_recipe(), records, who, seed=0, engine="serial"), records


def test_of_a_pruned_fleet_zeros_stay_zeros(fleet):
    dense, records = fleet
    pruned = apply(Magnitude(rate=4.0, retrain_epochs=1), dense, records, seed=0, engine="serial")
    method = RewindCritical(share=0.05, epochs=2)
    made = apply(method, pruned, records, seed=0, engine="serial")
    for before, after in zip(pruned.artifacts, made.artifacts, strict=True):
        for name, mask in before.masks.items():
            assert (after.masks[name] == mask).all()
            assert not after.tensors[name][~mask].any()


def test_a_stacked_fleet_rewinds_the_same_weights(fleet):
    dense, records = fleet
    method = RewindCritical(share=0.05, epochs=0)
    one, other = (
        apply(method, dense, records, seed=0, engine=engine)
        for engine in ("serial", Stacked(models=3, workers=1))
    )
    for a, b in zip(one.artifacts, other.artifacts, strict=True):
        assert a.history["rewind/share"].tolist() == b.history["rewind/share"].tolist()
        assert max(a.history["rewind/share"]) > 0


def test_a_module_of_ones_own_is_refused(fleet):
    _, records = fleet
    method = RewindCritical(score="members")
    with pytest.raises(MethodError, match="does not tell them"):
        apply(method, SmallNet()(), records, seed=0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"share": 1.0}, r"share must be in \[0, 1\)"),
        ({"share": -0.1}, r"share must be in \[0, 1\)"),
        ({"score": "loss"}, "unknown score 'loss'"),
        ({"scoring_epochs": 0}, "at least 1 and 0"),
        ({"epochs": -1}, "at least 1 and 0"),
        ({"pool_batch": 0}, "pool_batch must be at least 1"),
    ],
)
def test_what_makes_no_sense_is_refused(changes, message):
    with pytest.raises(MethodError, match=message):
        RewindCritical(**changes)
