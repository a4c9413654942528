"""Who trains on what, and made worlds: draws keep their promises, planted leaks have their size."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given as for_all
from hypothesis import settings
from hypothesis import strategies as st
from scipy.stats import norm

from secateur.data import digits, draw, given, planted_records, planted_world, restrict
from secateur.errors import DataError, InputError
from secateur.probe.signals import signals
from secateur.types import AUDIT, POPULATION, UTILITY, Records, Signal
from small_world import small_records


def by_unit(n_units, per_unit):
    """Return records of which each unit owns `per_unit`, in mixed order."""
    records = small_records(n_units * per_unit)
    units = np.random.default_rng(0).permutation(np.repeat(np.arange(n_units), per_unit))
    return Records.from_arrays(records.source.values, records.labels, n_classes=3, units=units)


DRAWS = st.fixed_dictionaries(
    {
        "targets": st.integers(1, 4),
        "references": st.sampled_from([0, 2, 3, 8]),
        "seed": st.integers(0, 2**32),
        "share": st.floats(0.2, 0.8),
    }
)


# --- draw ---


@settings(max_examples=40)
@for_all(DRAWS, st.integers(1, 4))
def test_pools_are_disjoint_and_units_stay_whole(arguments, per_unit):
    records = by_unit(40, per_unit)
    who = draw(records, **arguments)
    owners = {name: set(records.units[indices].tolist()) for name, indices in who.pools.items()}
    assert sum(len(v) for v in owners.values()) == len(set.union(*owners.values()))
    for row in who.inside:
        inside = np.bincount(records.units, weights=row)
        assert set(inside.tolist()) <= {0.0, float(per_unit)}
    assert not np.delete(who.inside, who.pool(AUDIT), axis=1).any()


@settings(max_examples=40)
@for_all(st.integers(2, 60), st.integers(0, 30), st.integers(0, 30), st.integers(0, 99))
def test_pools_of_single_records_have_exactly_the_sizes_asked(audit, population, utility, seed):
    records = small_records(120)
    asked = {AUDIT: audit, POPULATION: population, UTILITY: utility}
    who = draw(records, targets=1, references=2, seed=seed, pools=asked)
    assert {name: len(who.pool(name)) for name in asked} == asked
    assert who.pool("attack").size == 0


@for_all(st.integers(0, 99))
def test_a_pool_of_whole_units_holds_more_by_less_than_one_unit(seed):
    records = by_unit(40, 3)
    asked = {AUDIT: 40, POPULATION: 20, UTILITY: 10}
    who = draw(records, targets=1, references=2, seed=seed, pools=asked)
    for name, size in asked.items():
        assert size <= len(who.pool(name)) < size + 3


@settings(max_examples=40)
@for_all(st.integers(2, 20), st.floats(0.3, 0.7), st.integers(0, 2**32), st.integers(60, 120))
def test_every_record_is_in_exactly_its_share_of_the_references(references, share, seed, audit):
    away = shares_of_references(references, share, seed, audit)
    if share == 0.5 and references % 2:  # pairs, and one half
        assert away.max() - away.min() <= 1
    else:
        assert set(away.tolist()) == {0}


@settings(max_examples=40)
@for_all(st.integers(2, 20), st.floats(0.01, 0.99), st.integers(0, 2**32), st.integers(2, 30))
def test_in_a_small_pool_at_most_one_unit_per_reference_leaves_the_balance(
    references, share, seed, audit
):
    if share != 0.5 or not references % 2:
        away = shares_of_references(references, share, seed, audit)
        assert np.abs(away).sum() <= references


def shares_of_references(references, share, seed, audit):
    """Return by how many references each record of the audit pool differs from its share."""
    who = draw(
        small_records(120),
        targets=1,
        references=references,
        seed=seed,
        share=share,
        pools={AUDIT: audit},
    )
    times = who.inside[who.references][:, who.pool(AUDIT)].sum(axis=0)
    expected = min(references - 1, max(1, round(share * references)))
    return times - expected


@pytest.mark.parametrize("share", [0.2, 0.5, 0.7])
def test_the_coins_of_targets_are_near_their_share_and_independent(share):
    who = draw(small_records(2000), targets=20, references=0, seed=5, share=share)
    coins = who.inside[:, who.pool(AUDIT)].astype(float)
    n = coins[0].size
    assert np.abs(coins.mean(axis=1) - share).max() < 4.5 * np.sqrt(share * (1 - share) / n)
    apart = np.corrcoef(coins)[~np.eye(20, dtype=bool)]
    assert np.abs(apart).max() < 5 / np.sqrt(n)


def test_the_same_seed_draws_the_same_and_another_seed_another():
    records = small_records()
    first, again, other = (draw(records, targets=2, references=4, seed=s) for s in (1, 1, 2))
    assert first.digest == again.digest
    assert not np.array_equal(first.inside, other.inside)
    assert not np.array_equal(first.pool(AUDIT), other.pool(AUDIT))


def test_a_draw_with_more_references_begins_with_those_of_a_smaller_one():
    records = small_records()
    few, more = (draw(records, targets=2, references=r, seed=1) for r in (6, 16))
    assert np.array_equal(few.inside, more.inside[: len(few)])


def test_any_even_number_of_references_from_the_first_on_is_balanced():
    who = draw(small_records(), targets=1, references=14, seed=1)
    inside = who.inside[who.references][:, who.pool(AUDIT)]
    for n in range(2, 15, 2):
        assert set(inside[:n].sum(axis=0).tolist()) == {n // 2}
    sizes = inside.sum(axis=1)
    assert sizes.max() - sizes.min() <= 1  # of two halves one may hold one more


def test_references_and_pools_do_not_depend_on_the_targets():
    records = small_records()
    one, five = (draw(records, targets=t, references=4, seed=1) for t in (1, 5))
    assert np.array_equal(one.inside[one.references], five.inside[five.references])
    assert {k: v.tolist() for k, v in one.pools.items()} == {
        k: v.tolist() for k, v in five.pools.items()
    }
    assert np.array_equal(one.inside[0], five.inside[0])


@for_all(st.integers(0, 2**32), st.sampled_from([0.01, 0.5, 0.99]))
def test_even_in_the_smallest_pool_every_model_has_members_and_non_members(seed, share):
    who = draw(small_records(4), targets=3, references=4, seed=seed, share=share, pools={AUDIT: 2})
    assert (who.inside.sum(axis=1) == 1).all()


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"targets": 0}, "at least 1 target, got targets=0"),
        ({"references": 1}, "0 or at least 2 .* got 1"),
        ({"references": -2}, "0 or at least 2 .* got -2"),
        ({"share": 0.0}, r"share must be in \(0, 1\), got 0\.0"),
        ({"share": 1.0}, r"share must be in \(0, 1\), got 1\.0"),
        ({"share": float("nan")}, r"share must be in \(0, 1\), got nan"),
        ({"pools": {"audit": 9, "test": 3}}, r"unknown pools \['test'\]; there are .*'audit'"),
        ({"pools": {"audit": 100, "utility": 30}}, "130 records in all, but there are 120"),
        ({"pools": {"audit": 50, "utility": -1}}, "'utility': -1"),
        ({"pools": {"utility": 50}}, "audit pool needs at least 2 records, got 0"),
        ({"pools": {"audit": 1}}, "audit pool needs at least 2 records, got 1"),
    ],
)
def test_a_draw_that_cannot_be_is_refused_with_the_values(changes, match):
    arguments = {"targets": 1, "references": 2, "seed": 0, **changes}
    with pytest.raises(InputError, match=match):
        draw(small_records(), **arguments)


def test_one_person_alone_cannot_be_audited():
    with pytest.raises(InputError, match="the audit pool holds 1 units; at least 2 are needed"):
        draw(by_unit(2, 10), targets=1, references=2, seed=0, pools={AUDIT: 10})


# --- restrict ---


@for_all(st.integers(0, 99))
def test_restricting_drops_the_records_of_no_pool_and_nothing_else(seed):
    records = by_unit(60, 2)
    asked = {AUDIT: 30, UTILITY: 10, POPULATION: 6}
    who = draw(records, targets=2, references=4, seed=seed, pools=asked)
    some, fewer = restrict(records, who)
    assert len(some) == sum(len(v) for v in who.pools.values()) == fewer.inside.shape[1]
    for name in who.pools:
        assert some.ids[fewer.pool(name)].tolist() == records.ids[who.pool(name)].tolist()
    for model in range(len(who)):
        assert some.ids[fewer.members(model)].tolist() == records.ids[who.members(model)].tolist()
    assert fewer.units.tolist() == some.units.tolist()
    assert (fewer.roles, fewer.seed, fewer.drawn) == (who.roles, who.seed, who.drawn)
    assert (fewer.share, who.drawn) == (who.share, True) and who.share is not None


def test_restricting_twice_changes_nothing_more():
    records = small_records()
    who = draw(records, targets=1, references=2, seed=0, pools={AUDIT: 30, UTILITY: 10})
    once = restrict(records, who)
    twice = restrict(*once)
    assert (twice[0].digest, twice[1].digest) == (once[0].digest, once[1].digest)


# --- given ---


def test_a_stated_membership_says_exactly_who_is_in_and_that_it_was_not_drawn():
    who = given(small_records(), members=np.array([5, 2]), non_members=np.array([9, 7, 8]))
    assert (who.members(0).tolist(), who.non_members(0).tolist()) == ([2, 5], [7, 8, 9])
    assert (who.roles, who.drawn, who.targets.tolist()) == (("given",), False, [0])


@pytest.mark.parametrize(
    ("members", "non_members", "match"),
    [
        ([], [1], "members is empty"),
        ([1], [], "non_members is empty"),
        ([1, 2, 3], [3, 2, 9], "2 records are members and non-members at once, first index 2"),
        ([0, 120], [1], r"members holds indices 0 \.\. 120, but there are 120 records"),
        ([0], [-1, 1], r"non_members holds indices -1 \.\. 1, but there are 120 records"),
        ([0.0], [1], "members must be indices or a mask of the 120 records, got float64"),
        ([True, False], [1], r"members is a mask of shape \(2,\), but there are 120 records"),
        ([1, 0] * 60, [7], r"all 0 or 1, for 120 records.*mask\.astype\(bool\)"),
        ([5], [7, 8, 7], "non_members names 1 records more than once, the first is index 7"),
    ],
)
def test_a_stated_membership_that_cannot_be_is_refused(members, non_members, match):
    with pytest.raises(DataError, match=match):
        given(small_records(), members=np.array(members), non_members=np.array(non_members))


def test_a_stated_membership_that_parts_a_person_is_refused():
    records = by_unit(10, 2)
    first, second = np.flatnonzero(records.units == 3)
    with pytest.raises(DataError, match="partly in and partly out"):
        given(records, members=np.array([first]), non_members=np.array([second]))


# --- digits, planted worlds ---


def test_digits_are_pictures_in_the_unit_interval():
    records = digits()
    values = records.source.values
    assert values.shape == (1797, 1, 8, 8)
    assert (values.min(), values.max()) == (0.0, 1.0)
    assert np.bincount(records.labels).min() >= 174


@for_all(st.integers(2, 5), st.integers(0, 99))
def test_planted_records_without_noise_follow_their_rule(classes, seed):
    records = planted_records(60, classes=classes, noise=0.0, seed=seed)
    rule = np.argmax(records.source.values[:, :classes], axis=1)
    assert np.array_equal(records.labels[classes:], rule[classes:])
    assert set(range(classes)) <= set(records.labels.tolist())


def test_planted_noise_changes_its_share_of_labels_that_could_change():
    n, noise, classes = 20_000, 0.5, 2
    records = planted_records(n, classes=classes, noise=noise, seed=0)
    wrong = (records.labels != np.argmax(records.source.values[:, :classes], axis=1)).mean()
    assert abs(wrong - noise * (1 - 1 / classes)) < 5 * np.sqrt(0.25 * 0.75 / n)


def test_planted_records_and_worlds_are_functions_of_their_seed():
    digests = [planted_records(50, seed=s).digest for s in (0, 0, 1)]
    assert digests[0] == digests[1] != digests[2]
    worlds = [
        planted_world(records=40, targets=1, references=2, shift=1.0, seed=s) for s in (0, 0, 1)
    ]
    margins = [w.views["dense"]["margin"] for w in worlds]
    assert np.array_equal(margins[0], margins[1])
    assert not np.array_equal(margins[0], margins[2])


def auc(inside, outside):
    """Return the chance that a member's number is above a non-member's."""
    ranks = np.searchsorted(np.sort(outside), inside)
    return ranks.mean() / len(outside)


@pytest.mark.parametrize("shift", [0.0, 0.5, 2.0])
def test_a_planted_leak_has_the_auc_of_its_closed_form(shift):
    world = planted_world(
        records=20_000, targets=1, references=0, shift=shift, seed=3, hardness=0.0
    )
    margin = world.signal(Signal(name="margin"))[0]
    who = world.membership
    found = auc(margin[who.members(0)], margin[who.non_members(0)])
    assert abs(found - norm.cdf(shift / np.sqrt(2))) < 0.02


def test_references_that_know_the_difficulty_find_the_shift_in_every_record():
    world = planted_world(records=4000, targets=1, references=40, shift=1.0, seed=0, hardness=5.0)
    who = world.membership
    audit = who.pool(AUDIT)
    inside = who.inside[who.references][:, audit]
    margin = world.signal(Signal(name="margin"))[who.references][:, audit]
    gap = (margin * inside).sum(0) / inside.sum(0) - (margin * ~inside).sum(0) / (~inside).sum(0)
    deviation = np.sqrt(2 / 20)
    assert abs(gap.mean() - 1.0) < 5 * deviation / np.sqrt(len(audit))
    assert abs(gap.std() - deviation) < 0.05 * deviation


def test_planted_signals_are_those_of_a_two_class_model_with_that_margin():
    world = planted_world(records=60, targets=1, references=2, shift=1.0, seed=0)
    arrays = world.views["dense"]
    margin = arrays["margin"][0]
    logits = np.stack([margin, np.zeros_like(margin)], axis=1)
    parts = [key.partition("@") for key in arrays]
    wanted = [Signal(name=name, temperature=float(t or 1)) for name, _, t in parts]
    expected = signals(logits, np.zeros(60, dtype=int), wanted)
    assert set(expected) == set(arrays) > {"margin", "loss", "correct"}
    for key, values in expected.items():
        assert np.allclose(arrays[key][0], values, rtol=1e-5, atol=1e-7), key
