"""Budgets exact to the weight, projections equal to brute force, ties stable, messages told."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from by_hand import drive, moment, two_layers
from oracles.projection import nearest_sparse
from secateur.compress import Budget, count_kept, keep_counts
from secateur.compress.masks import FixedMask, apply_masks, choose_masks, project, top_k_mask
from secateur.errors import MethodError, SparsityError

SHAPES = st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), min_size=1, max_size=5).map(
    lambda shapes: {f"layer{i}": s for i, s in enumerate(shapes)}
)


def size(shapes):
    return sum(math.prod(s) for s in shapes.values())


@settings(max_examples=150, deadline=None)
@given(shapes=SHAPES, rate=st.floats(1, 60), allocation=st.sampled_from(["uniform", "erk"]))
def test_layer_counts_sum_to_the_budget_exactly_and_stay_within_each_layer(
    shapes, rate, allocation
):
    budget = Budget(rate=rate, allocation=allocation, floor=0.0)
    total = round(size(shapes) / rate)
    if total < len(shapes):
        with pytest.raises(SparsityError, match="below one weight per layer"):
            budget.counts(shapes)
        return
    counts = budget.counts(shapes)
    assert sum(counts.values()) == total
    assert all(1 <= counts[n] <= math.prod(s) for n, s in shapes.items())


@settings(max_examples=60, deadline=None)
@given(shapes=SHAPES, sparsity=st.floats(0, 0.98), seed=st.integers(0, 9))
def test_global_masks_keep_the_budget_exactly_and_every_layer_its_floor(shapes, sparsity, seed):
    budget = Budget(sparsity=sparsity, scope="global", floor=0.01)
    g = torch.Generator().manual_seed(seed)
    scores = {n: torch.rand(s, generator=g) * 10.0**i for i, (n, s) in enumerate(shapes.items())}
    total = size(shapes) - round(size(shapes) * sparsity)
    floors = {n: max(1, math.floor(0.01 * math.prod(s) + 1e-9)) for n, s in shapes.items()}
    if total < sum(floors.values()):
        with pytest.raises(SparsityError, match="budget of"):
            choose_masks(scores, budget)
        return
    masks = choose_masks(scores, budget)
    assert sum(int(m.sum()) for m in masks.values()) == total
    assert all(int(masks[n].sum()) >= floors[n] for n in shapes)
    assert all(tuple(masks[n].shape) == shapes[n] for n in shapes)


@settings(max_examples=80, deadline=None)
@given(shapes=SHAPES.filter(lambda shapes: size(shapes) >= 50 * len(shapes)), rate=st.floats(1, 20))
def test_uniform_counts_are_within_one_weight_of_the_layers_share(shapes, rate):
    budget = Budget(rate=rate)
    total = round(size(shapes) / rate)
    for name, count in budget.counts(shapes).items():
        share = math.prod(shapes[name]) * total / size(shapes)
        if all(math.prod(s) * total / size(shapes) >= 1 for s in shapes.values()):
            assert abs(count - share) < 1


def test_fractions_are_rounded_by_largest_remainder_and_the_first_of_equal_ones():
    assert keep_counts({"a": (10,), "b": (10,), "c": (10,)}, total=5) == {"a": 2, "b": 2, "c": 1}
    # shares 1.8, 3.6, 3.6
    assert keep_counts({"a": (2, 3), "b": (3, 4), "c": (3, 4)}, total=9) == {"a": 2, "b": 4, "c": 3}


def test_erk_densities_are_in_proportion_to_sides_over_weights():
    shapes = {"a": (100, 100), "b": (200, 300), "c": (50, 40, 3, 3)}
    counts = keep_counts(shapes, total=4000, allocation="erk", floor=0.0)
    raw = {n: sum(s) for n, s in shapes.items()}
    scale = 4000 / sum(raw.values())
    assert all(abs(counts[n] - scale * raw[n]) < 1 for n in shapes)


def test_erk_fills_a_small_layer_and_gives_its_surplus_to_the_others():
    shapes = {"small": (10, 4), "large": (100, 100)}
    counts = keep_counts(shapes, total=5000, allocation="erk", floor=0.0)
    assert counts == {"small": 40, "large": 4960}


def test_erk_keeps_the_floor_of_a_layer_that_its_sides_would_starve():
    shapes = {"wide": (1000, 1000), "thin": (30, 30)}
    counts = keep_counts(shapes, total=12_000, allocation="erk", floor=0.011)
    assert counts["wide"] >= 11_000
    assert sum(counts.values()) == 12_000


def test_a_layer_too_small_for_its_share_still_keeps_one_weight():
    assert Budget(rate=20.0).counts({"tiny": (2, 2), "large": (20, 20)}) == {"tiny": 1, "large": 19}


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_top_k_keeps_exactly_k_and_of_equal_values_the_first(data):
    values = data.draw(st.lists(st.integers(0, 4), min_size=1, max_size=30))
    k = data.draw(st.integers(0, len(values)))
    mask = top_k_mask(torch.tensor(values, dtype=torch.float32), k)
    order = sorted(range(len(values)), key=lambda i: (-values[i], i))[:k]
    assert torch.nonzero(mask).flatten().tolist() == sorted(order)


def test_top_k_outside_of_the_layer_is_refused_with_both_numbers():
    with pytest.raises(SparsityError, match=r"keep 5 of 4 weights; k must be in 0 \.\. 4"):
        top_k_mask(torch.zeros(4), 5)


@settings(max_examples=60, deadline=None)
@given(values=st.lists(st.floats(-5, 5, width=32), min_size=2, max_size=9), rate=st.floats(1, 4))
def test_the_layer_projection_equals_the_best_of_all_supports(values, rate):
    tensor = torch.tensor(values, dtype=torch.float64)
    total = round(len(values) / rate)
    if total < 1:
        return
    projected = project({"w": tensor}, Budget(rate=rate))["w"].numpy()
    best = nearest_sparse(values, total)
    assert np.count_nonzero(projected) <= total
    error, least = (((np.array(values) - v) ** 2).sum() for v in (projected, best))
    assert error == pytest.approx(least, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000), total=st.integers(3, 9), floor=st.sampled_from([0.0, 0.34, 0.5])
)
def test_the_global_projection_with_a_floor_equals_the_best_of_all_allowed_supports(
    seed, total, floor
):
    rng = np.random.default_rng(seed)
    parts = [rng.normal(size=n) * s for n, s in ((3, 0.1), (4, 1.0), (4, 3.0))]
    sizes = [3, 4, 4]
    floors = {g: max(1, math.floor(floor * n + 1e-9)) for g, n in enumerate(sizes)}
    if total < sum(floors.values()):
        return
    budget = Budget(sparsity=1 - total / 11, scope="global", floor=floor)
    projected = project({str(i): torch.from_numpy(p) for i, p in enumerate(parts)}, budget)
    flat = np.concatenate([projected[str(i)].numpy() for i in range(3)])
    groups = np.repeat([0, 1, 2], sizes)
    np.testing.assert_array_equal(
        flat, nearest_sparse(np.concatenate(parts), total, groups, floors)
    )


def test_projection_does_not_write_into_what_it_is_given():
    w = torch.tensor([1.0, -2.0, 3.0])
    project({"w": w}, Budget(rate=3.0))
    assert w.tolist() == [1.0, -2.0, 3.0]


def test_masked_weights_are_positive_zeros_and_unmasked_tensors_are_passed_on():
    bias = torch.ones(2)
    out = apply_masks(
        {"w": torch.tensor([-3.0, 1.0]), "b": bias}, {"w": torch.tensor([False, True])}
    )
    assert out["b"] is bias
    assert math.copysign(1.0, float(out["w"][0])) == 1.0


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"sparsity": 1.5}, r"sparsity 1\.5 is not in \[0, 1\).*sparsity=0\.9 keeps a tenth"),
        ({"sparsity": 1.0}, r"sparsity 1\.0"),
        ({"sparsity": -0.1}, r"sparsity -0\.1"),
        ({"sparsity": math.nan}, "sparsity nan"),
        ({"rate": 0.5}, r"rate 0\.5 is not a finite number of at least 1.*keeps a tenth"),
        ({"rate": math.inf}, "rate inf"),
        ({"rate": math.nan}, "rate nan"),
        ({"rate": 2.0, "sparsity": 0.5}, r"rate=2\.0 and sparsity=0\.5: give exactly one"),
        ({}, "give exactly one"),
        ({"rate": 2.0, "floor": 1.0}, r"floor 1\.0 is not in \[0, 1\)"),
    ],
)
def test_an_impossible_budget_is_refused_with_the_value_seen_and_a_mend(fields, message):
    with pytest.raises(SparsityError, match=message):
        Budget(**fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"scope": "network"}, "unknown scope 'network'; there are 'layer', 'global'"),
        ({"allocation": "er"}, "unknown allocation 'er'"),
        ({"scope": "global", "allocation": "erk"}, "no meaning with scope 'global'"),
        ({"exempt": "fc.weight"}, r"write exempt=\('fc\.weight',\)"),
    ],
)
def test_an_unknown_choice_is_refused_with_the_known_ones(fields, message):
    with pytest.raises(MethodError, match=message):
        Budget(rate=2.0, **fields)


def test_exempt_layers_are_left_out_and_the_rest_is_sorted():
    budget = Budget(rate=2.0, exempt=("b.weight",))
    prunable = ("f", "e", "c", "b.weight", "d", "a", "g")
    assert budget.layers(prunable) == ("a", "c", "d", "e", "f", "g")
    with pytest.raises(MethodError, match=r"exempt names \['b\.weight'\].*there are \['a'\]"):
        budget.layers(("a",))
    with pytest.raises(MethodError, match="nothing to prune"):
        budget.layers(("b.weight",))


def test_a_floor_is_a_whole_number_of_weights_whatever_its_binary_fraction():
    assert 0.29 * 100 < 29
    assert Budget(rate=2.0, scope="global", floor=0.29).floors({"a": (100,)}) == {"a": 29}
    assert Budget(rate=2.0, scope="global", floor=0.0).floors({"a": (100,)}) == {"a": 1}


def test_a_floor_above_the_budget_is_refused():
    with pytest.raises(SparsityError, match="budget of 8 of 800 weights is below the 80"):
        choose_masks(
            {"a": torch.ones(20, 20), "b": torch.ones(20, 20)},
            Budget(rate=100.0, scope="global", floor=0.1),
        )


def test_a_budget_below_one_weight_per_layer_is_refused_in_both_scopes():
    scores = {"a": torch.ones(2, 2), "b": torch.ones(2, 2)}
    for scope in ("layer", "global"):
        with pytest.raises(SparsityError, match="budget of 1 weights for 2 layers of 8"):
            choose_masks(scores, Budget(rate=8.0, scope=scope))


def test_a_fixed_mask_keeps_the_largest_weights_and_leaves_the_rest_alone():
    params = two_layers()
    state, started = FixedMask(budget=Budget(rate=4.0)).begin(moment(params), {})
    for name in ("a.weight", "b.weight"):
        mags = params[name].abs().flatten()
        kept = set(torch.nonzero(state[name].flatten()).flatten().tolist())
        assert kept == set(mags.topk(len(mags) // 4).indices.tolist())
        assert torch.equal(started[name], params[name] * state[name])
    assert started["a.bias"] is params["a.bias"]


def test_a_fixed_mask_masks_gradients_and_what_a_step_or_an_epoch_put_back():
    params = two_layers()
    hook = FixedMask(budget=Budget(rate=4.0))
    state, _ = hook.begin(moment(params), {})
    _, grads = hook.grads(state, moment(params), {n: torch.ones_like(p) for n, p in params.items()})
    _, stepped = hook.after_step(state, moment(params))
    _, ended = hook.after_epoch(state, moment(params))
    finished, left = hook.finish(state, moment(params))
    for name, mask in left.masks.items():
        assert torch.equal(grads[name], mask.to(grads[name].dtype))
        for out in (stepped, ended, finished):
            assert not out[name][~mask].any()
            assert torch.equal(out[name][mask], params[name][mask])
    assert list(left.masks) == ["a.weight", "b.weight"]
    assert torch.equal(grads["a.bias"], torch.ones(3, dtype=torch.float64))


def test_a_fixed_mask_ends_with_zeros_when_something_else_moves_all_weights():
    run = drive(
        FixedMask(budget=Budget(rate=4.0)),
        two_layers(),
        lambda params: {n: torch.ones_like(p) for n, p in params.items()},
        epochs=2,
        steps=3,
        lr=0.1,
    )
    kept = sum(int(torch.count_nonzero(run.params[n])) for n in run.left.masks)
    assert kept == 9


def test_weights_are_counted_on_what_is_stored_and_buffers_are_left_out():
    tensors = {
        "w": np.array([[0.0, 1.0], [-0.0, 2.0]]),
        "b": np.array([0.0, 3.0]),
        "mean": np.ones(7),
    }
    assert count_kept(tensors, ("w",), ("w", "b")) == {
        "prunable": 4,
        "kept": 2,
        "parameters": 6,
        "nonzero": 3,
    }


OWN = (("a", 0.8), ("b", 0.25))


def test_a_budget_of_its_own_for_each_layer_is_reached_to_the_weight():
    budget = Budget(sparsities=OWN)
    assert budget.layers(["b", "a"]) == ("a", "b")
    assert budget.counts({"a": (5, 5), "b": (2, 4)}) == {"a": 5, "b": 6}
    assert budget.counts({"a": (1, 1), "b": (2, 4)})["a"] == 1
    scores = {"a": torch.rand(5, 5), "b": torch.rand(2, 4)}
    assert {n: int(m.sum()) for n, m in choose_masks(scores, budget).items()} == {"a": 5, "b": 6}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"sparsities": OWN, "rate": 2.0}, "give one of the three"),
        ({"sparsities": (("a", 1.0),)}, r"sparsity 1.0 is not in \[0, 1\)"),
        ({"sparsities": (("a", 0.5), ("a", 0.6))}, "name a layer more than once"),
        ({"sparsities": ("a", "b")}, "must be pairs of a layer's name and a share"),
        ({"sparsities": OWN, "scope": "global"}, "have no meaning; leave both out"),
    ],
)
def test_a_budget_for_each_layer_that_cannot_be_is_refused(fields, message):
    with pytest.raises(MethodError, match=message):
        Budget(**fields)


def test_every_layer_needs_a_budget_of_its_own_or_an_exemption():
    with pytest.raises(MethodError, match=r"name \['a', 'b'\], but the weights to prune are"):
        Budget(sparsities=OWN).layers(["a", "b", "c"])
    assert Budget(sparsities=OWN, exempt=("c",)).layers(["a", "b", "c"]) == ("a", "b")
