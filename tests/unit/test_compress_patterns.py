"""Patterns project exactly, reach what was asked for, and say what they do not take."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from by_hand import moment
from oracles import structured
from secateur.cli.spelled import parse_transform
from secateur.compress import (
    ADMM,
    NM,
    Budget,
    Channels,
    Columns,
    Filters,
    Magnitude,
    RandomMask,
    Unstructured,
)
from secateur.compress.masks import project
from secateur.compress.shares import shared_counts
from secateur.errors import MethodError, SparsityError, UnknownMethodError
from secateur.models import MLP, VGG16, LeNet5, MobileNetV2, ResNet18, prunable
from secateur.train import SGD

GROUPS = {
    Filters(): structured.rows,
    Channels(): structured.channels,
    Columns(): structured.columns,
}
NETWORKS = {
    "LeNet5": LeNet5(width=0.5),
    "VGG16": VGG16(width=0.08),
    "ResNet18": ResNet18(width=0.08),
    "MobileNetV2": MobileNetV2(width=0.1, last=32),
}
WHOLE = {Filters(): "c.weight", Channels(): "a.weight", Columns(): None}


def layers(seed, *shapes):
    g = torch.Generator().manual_seed(seed)
    names = ("a.weight", "b.weight", "c.weight")
    return {
        n: torch.randn(s, generator=g, dtype=torch.float64)
        for n, s in zip(names, shapes, strict=False)
    }


def projected(params, pattern, budget):
    now = moment(params)
    weights = {n: params[n] for n in now.prunable}
    return project(weights, budget, pattern.fitted(None), now)


@pytest.mark.parametrize("pattern", GROUPS, ids=repr)
@pytest.mark.parametrize("seed", range(4))
def test_a_projection_is_the_nearest_of_all_choices_of_groups(pattern, seed):
    params = layers(seed, (4, 3, 2, 1), (3, 4), (5, 3))
    found = projected(params, pattern, Budget(rate=1.5))
    for name, value in params.items():
        if name == WHOLE[pattern]:
            assert torch.equal(found[name], value)
            continue
        groups = GROUPS[pattern](value.shape)
        count = sum(any(found[name][e] != 0 for e in g) for g in groups)
        assert 1 <= count < len(groups)
        nearest = structured.nearest_of_groups(value.numpy(), groups, count)
        np.testing.assert_array_equal(found[name].numpy(), nearest)


@pytest.mark.parametrize(("n", "m"), [(2, 4), (1, 4), (1, 2), (3, 5)])
@pytest.mark.parametrize("shape", [(2, 3, 3, 1), (3, 4), (2, 7), (3, 1, 5, 1), (2, 1), (2, 3)])
def test_n_of_m_is_the_nearest_with_its_share_of_a_rest(n, m, shape):
    params = layers(n + m, shape)
    pattern = NM(n=n, m=m)
    found = projected(params, pattern, Budget(rate=pattern.rate))["a.weight"]
    np.testing.assert_array_equal(
        found.numpy(), structured.nearest_n_of_m(params["a.weight"].numpy(), n, m)
    )


@pytest.mark.parametrize("pattern", [*GROUPS, NM()], ids=repr)
def test_of_equal_groups_the_first_are_kept(pattern):
    params = {f"{n}.weight": torch.ones(4, 4) for n in "abc"}
    found = projected(params, pattern, Budget(rate=2.0 if isinstance(pattern, NM) else 1.5))
    for name in params:
        kept = (found[name] != 0).nonzero().tolist()
        assert kept
        assert kept[0] == [0, 0]
        if isinstance(pattern, NM):
            assert kept == [[r, c] for r in range(4) for c in (0, 1)]


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("pattern", GROUPS, ids=repr)
@pytest.mark.parametrize("rate", [1.0, 2.0, 5.5])
def test_the_rate_is_reached_within_one_group_of_the_widest_layer(network, pattern, rate):
    torch.manual_seed(0)
    module = NETWORKS[network]()
    params, names = dict(module.named_parameters()), prunable(module)
    now = moment(params, prunable=names)
    found = project(
        {n: params[n].detach() for n in names}, Budget(rate=rate), pattern.fitted(None), now
    )
    total = sum(v.numel() for v in found.values())
    kept = sum(int(torch.count_nonzero(v)) for v in found.values())
    whole = pattern.whole(names)
    largest = {
        Filters(): max(v[0].numel() for n, v in found.items() if n not in whole),
        Channels(): max(v[:, 0].numel() for n, v in found.items() if n not in whole),
        Columns(): max(len(v) for v in found.values()),
    }[pattern]
    assert round(total / rate) - largest < kept <= round(total / rate)


@pytest.mark.parametrize("network", NETWORKS)
def test_two_of_four_keep_at_most_half_and_nearly_half(network):
    torch.manual_seed(0)
    module = NETWORKS[network]()
    params, names = dict(module.named_parameters()), prunable(module)
    weights = {n: params[n].detach() for n in names}
    found = project(weights, Budget(rate=2.0), NM(), moment(params, prunable=names))
    for name, value in found.items():
        per_row = (value.flatten(1) != 0).sum(1)
        length = value[0].numel()
        assert (per_row == max(1, length // 4 * 2 + length % 4 // 2)).all(), name


@settings(max_examples=200, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=6),
    prices=st.lists(st.integers(1, 50), min_size=6, max_size=6),
    share=st.floats(0, 1),
)
def test_shared_counts_are_within_the_budget_even_and_leave_less_than_one_part(
    sizes, prices, share
):
    def cost(counts):
        line = [n * p for n, p in zip(counts, prices, strict=False)]
        return sum(line) + sum(a * b for a, b in itertools.pairwise(counts))

    total = int(cost([1] * len(sizes)) + share * cost(sizes))
    counts = shared_counts(sizes, cost, total)
    assert cost(counts) <= total
    assert all(1 <= n <= size for n, size in zip(counts, sizes, strict=True))
    if tuple(counts) != tuple(sizes):
        more = [
            [n + (j == k) for j, n in enumerate(counts)]
            for k in range(len(sizes))
            if counts[k] < sizes[k]
        ]
        assert max(map(cost, more)) > total
        lower = [(n - 1) / size for n, size in zip(counts, sizes, strict=True) if n > 1]
        upper = [(n + 1) / size for n, size in zip(counts, sizes, strict=True) if n < size]
        assert max(lower, default=0.0) <= min(upper) + 1e-8


@settings(max_examples=100, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 80), min_size=1, max_size=5),
    multiple=st.integers(2, 16),
    share=st.floats(0, 1),
)
def test_counts_in_bundles_are_multiples_or_whole_groups_within_the_budget(sizes, multiple, share):
    def cost(counts):
        return sum(counts) + sum(a * b for a, b in itertools.pairwise(counts))

    least = [min(multiple, n) for n in sizes]
    total = int(cost(least) + share * (cost(sizes) - cost(least)))
    counts = shared_counts(sizes, cost, total, multiple=multiple)
    assert cost(counts) <= total
    assert all(n == size or n % multiple == 0 for n, size in zip(counts, sizes, strict=True))
    more = [
        [min(sizes[k], n + multiple) if j == k else n for j, n in enumerate(counts)]
        for k in range(len(sizes))
        if counts[k] < sizes[k]
    ]
    assert not more or max(map(cost, more)) > total


def test_a_budget_below_one_part_of_each_group_is_refused():
    with pytest.raises(
        SparsityError, match=r"budget of 3 is below the 4 that one part.* at most .* times smaller"
    ):
        shared_counts([5, 5], lambda n: 2 * sum(n), total=3)


def test_a_filter_takes_its_bias_along_and_the_outputs_stay():
    params = {**layers(0, (6, 4), (5, 6), (3, 5)), "a.bias": torch.ones(6), "c.bias": torch.ones(3)}
    masks = Filters().masks(
        {n: params[n].abs() for n in ("a.weight", "b.weight", "c.weight")},
        Budget(rate=2.0),
        moment(params),
    )
    assert sorted(masks) == ["a.bias", "a.weight", "b.weight", "c.weight"]
    assert torch.equal(masks["a.bias"], masks["a.weight"].all(1))
    assert 0 < int(masks["a.bias"].sum()) < 6


@pytest.mark.parametrize("method", [ADMM, Magnitude, RandomMask])
def test_the_default_pattern_is_left_out_of_the_spelling(method):
    assert "pattern" not in repr(method(rate=4.0))
    assert "multiply_adds" not in repr(method(rate=4.0))
    for spelled in (method(rate=4.0), method(pattern=NM(n=1, m=4)), method(pattern=Filters())):
        assert parse_transform(repr(spelled)) == spelled
    assert parse_transform(f"{method.__name__}(rate=4.0, pattern=Unstructured())") == method(
        rate=4.0, pattern=Unstructured()
    )


def test_the_spelling_of_unstructured_pruning_is_what_it_was():
    assert repr(Magnitude(rate=16.0, optimiser=SGD())) == (
        "Magnitude(rate=16.0, sparsity=None, scope='layer', floor=0.01, exempt=(), rounds=1, "
        "retrain_epochs=15, optimiser=SGD(lr=0.1, momentum=0.9, weight_decay=0.0005, "
        "nesterov=False, schedule='cosine'), sparsities=())"
    )


def test_n_of_m_brings_its_own_rate():
    assert ADMM(pattern=NM()).rate == 2.0
    assert Magnitude(pattern=NM(n=1, m=8)).rate == 8.0
    assert Magnitude(sparsity=0.5, pattern=NM()).budget.sparsity == 0.5


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ADMM(rate=3.0, pattern=NM()), "a rate of 2, and a rate of 3 was asked for"),
        (lambda: Magnitude(rounds=2, pattern=NM()), "take one round"),
        (lambda: ADMM(scope="global", pattern=Filters()), "same share of every layer"),
        (lambda: Magnitude(sparsities=(("a", 0.5),), pattern=Columns()), "sparsities"),
        (lambda: RandomMask(allocation="erk", pattern=Channels()), "allocation='erk'"),
        (lambda: ADMM(multiply_adds=2.0), "removes no whole channels"),
        (lambda: ADMM(multiply_adds=2.0, pattern=Filters()), "removes no whole channels"),
        (lambda: ADMM(multiply_adds=2.0, rate=2.0), "give one of them"),
        (lambda: Magnitude(multiply_adds=0.5), "at least 1"),
        (lambda: NM(n=4, m=4), "1 <= n < m"),
    ],
)
def test_what_has_no_meaning_is_refused(make, message):
    with pytest.raises(MethodError, match=message):
        make()


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("Filters()", UnknownMethodError, "Filters is a pattern, named inside a pruning method"),
        ("ADMM(pattern=Filter())", UnknownMethodError, "did you mean 'Filters'"),
        ("ADMM(pattern=Adam())", MethodError, "pattern must be a pattern, such as Filters"),
        ("ADMM(pattern='filters')", MethodError, "pattern must be a pattern, such as Filters"),
    ],
)
def test_the_command_line_says_what_a_pattern_is(text, error, message):
    with pytest.raises(error, match=message):
        parse_transform(text)


def test_a_small_network_whose_outputs_alone_exceed_the_budget_is_refused():
    module = MLP(widths=(8, 12, 3))()
    params = dict(module.named_parameters())
    names = prunable(module)
    with pytest.raises(SparsityError, match="layers that stay whole"):
        project(
            {n: params[n] for n in names},
            Budget(rate=4.0),
            Filters(),
            moment(params, prunable=names),
        )
