"""Choosing fewer records, wrong kinds of counts, and what a planted world shows an attack."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given as for_all
from hypothesis import settings
from hypothesis import strategies as st
from scipy.stats import norm

from secateur.attack.learned import NasrAttack
from secateur.data import draw, planted_records, planted_world, restrict, select
from secateur.errors import DataError, InputError
from secateur.types import AUDIT, Records
from small_world import small_membership, small_records


def owned(seed: int, n: int = 120) -> Records:
    """Return records of persons who own from one to a few each."""
    records = small_records(n)
    units = np.random.default_rng(seed).integers(0, n // 3, size=n)
    return Records.from_arrays(records.source.values, records.labels, n_classes=3, units=units)


def auc(inside: np.ndarray, outside: np.ndarray) -> float:
    return float((inside[:, None] > outside).mean())


# --- select ---


@settings(max_examples=40)
@for_all(st.integers(20, 120), st.integers(0, 99))
def test_selected_records_keep_their_order_their_content_and_whole_persons(n, seed):
    records = owned(seed)
    some = select(records, n, seed=seed)
    biggest = np.bincount(records.units).max()
    assert n <= len(some) < n + biggest
    assert (np.diff(some.ids) > 0).all()
    assert np.isin(records.units, some.units).sum() == len(some)
    assert np.array_equal(some.gather(np.arange(len(some))), records.gather(some.ids))
    assert np.array_equal(some.labels, records.labels[some.ids])


def test_all_records_selected_are_the_records_and_a_seed_selects_the_same():
    records = small_records()
    assert select(records, 120, seed=3).digest == records.digest
    first, again, other = (select(records, 40, seed=s).digest for s in (0, 0, 1))
    assert first == again != other


def test_a_selection_is_not_the_head_of_the_records_and_takes_every_record_equally_often():
    records = small_records(40)
    times = np.zeros(40)
    for seed in range(300):
        times[select(records, 10, seed=seed).ids] += 1
    deviation = np.sqrt(300 * 0.25 * 0.75)
    assert np.abs(times - 75).max() < 4.5 * deviation


@pytest.mark.parametrize("n", [0, -1, 121])
def test_a_selection_of_more_records_than_there_are_is_refused(n):
    with pytest.raises(InputError, match=rf"n must be in 1 \.\. 120, .*, got {n}"):
        select(small_records(), n, seed=0)


# --- counts of the wrong kind ---


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"targets": 2.5}, r"targets must be a whole number, got 2\.5"),
        ({"references": "4"}, "references must be a whole number, got '4'"),
        ({"targets": True}, "targets must be a whole number, got True"),
        (
            {"pools": {AUDIT: 0.5}},
            r"the pool 'audit', in records, must be a whole number, got 0\.5",
        ),
        ({"pools": {AUDIT: 50, "utility": 0.2}}, "the pool 'utility', in records"),
    ],
)
def test_a_share_where_a_count_belongs_is_refused_and_not_rounded(changes, match):
    with pytest.raises(InputError, match=match):
        draw(small_records(), **{"targets": 1, "references": 2, "seed": 0, **changes})


def test_counts_may_be_numpy_integers():
    one = draw(small_records(), targets=np.int64(1), references=np.int32(2), seed=0)
    assert one.digest == draw(small_records(), targets=1, references=2, seed=0).digest


def test_a_membership_of_other_records_does_not_restrict_these():
    who = small_membership(small_records(120))
    with pytest.raises(DataError, match="speaks of 120 records, but there are 60"):
        restrict(small_records(60), who)


def test_restricting_a_membership_whose_pools_hold_everything_changes_no_digest():
    records = owned(0)
    who = draw(records, targets=2, references=4, seed=1)
    assert sum(len(v) for v in who.pools.values()) == len(records)
    same, again = restrict(records, who)
    assert (same.digest, again.digest) == (records.digest, who.digest)


# --- planted worlds ---


@pytest.mark.parametrize("hardness", [0.0, 1.0, 3.0])
def test_one_threshold_for_all_records_reaches_the_stated_auc(hardness):
    world = planted_world(
        records=8000, targets=1, references=0, shift=1.5, seed=4, hardness=hardness
    )
    margin, who = world.views["dense"]["margin"][0], world.membership
    found = auc(margin[who.members(0)], margin[who.non_members(0)])
    assert abs(found - norm.cdf(1.5 / np.sqrt(2 * (1 + hardness**2)))) < 0.04


def test_only_records_inside_a_model_are_shifted_so_that_population_and_utility_stay_alike():
    calm, leaky = (
        planted_world(records=200, targets=2, references=4, shift=s, seed=5) for s in (0.0, 2.0)
    )
    difference = leaky.views["dense"]["margin"] - calm.views["dense"]["margin"]
    assert np.allclose(difference, 2.0 * calm.membership.inside)


def test_planted_posteriors_are_the_softmax_behind_the_signals():
    world = planted_world(records=60, targets=2, references=2, shift=1.0, seed=0)
    posteriors = world.posteriors["dense"]
    assert posteriors.shape == (2, 60, 2)
    assert np.allclose(posteriors.sum(axis=2), 1, atol=1e-6)
    true_class = posteriors[:, np.arange(60), world.labels]
    assert np.allclose(np.log(true_class), world.views["dense"]["log_confidence"][:2], atol=1e-4)


def test_an_attack_on_posteriors_runs_on_planted_worlds_and_sees_their_leak():
    found = []
    for seed in (3, 4, 5, 6):  # one training may end badly, on one processor and not on another
        world = planted_world(
            records=800, targets=1, references=0, shift=3.0, seed=seed, hardness=0.2
        )
        scores, who = NasrAttack()(world), world.membership
        seen = np.flatnonzero(scores.evaluated[0])
        inside = who.inside[0, seen]
        found.append(auc(scores.values[0, seen[inside]], scores.values[0, seen[~inside]]))
    assert np.mean(found) > 0.85


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"shift": float("nan")}, "shift must be finite .* got shift=nan"),
        ({"hardness": -1.0}, r"hardness finite and at least 0, got shift=1\.0, hardness=-1\.0"),
        ({"hardness": float("inf")}, "hardness=inf"),
        ({"records": 1}, r"classes must be in 2 \.\. 1 for 1 records"),
    ],
)
def test_a_world_that_cannot_be_planted_is_refused_with_the_values(changes, match):
    with pytest.raises(InputError, match=match):
        planted_world(
            **{"records": 40, "targets": 1, "references": 2, "shift": 1.0, "seed": 0, **changes}
        )


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"classes": 1}, r"classes must be in 2 \.\. 10 for 50 records of 10 features, got 1"),
        ({"classes": 11}, r"classes must be in 2 \.\. 10 .* got 11"),
        ({"noise": 1.5}, r"noise must be in \[0, 1\], got 1\.5"),
        ({"noise": float("nan")}, r"noise must be in \[0, 1\], got nan"),
    ],
)
def test_records_that_cannot_be_planted_are_refused_with_the_values(changes, match):
    with pytest.raises(InputError, match=match):
        planted_records(50, seed=0, **changes)
