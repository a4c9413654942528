"""The most exposed records: chosen on one half, reported on the other, without a winner's luck."""

from __future__ import annotations

import numpy as np
import pytest

from secateur.errors import InputError, MethodError
from secateur.measure import clopper_pearson, most_exposed
from secateur.types import Membership, Scores, derive_seed

ABOUT = {"subject": "dense", "method": "x"}


def world(shift, models=64, seed=0, threshold=0.5):
    """Return scores of models on records that leak by `shift[record]`."""
    rng = np.random.default_rng(seed)
    inside = rng.random((models, len(shift))) < 0.5
    who = Membership(
        inside=inside,
        roles=("target",) * models,
        pools={"audit": np.arange(len(shift))},
        units=np.arange(len(shift)),
        seed=0,
    )
    limit = None if threshold is None else np.full(models, threshold)
    values = rng.normal(size=inside.shape) + inside * shift
    return Scores(values=values, evaluated=np.ones_like(inside), threshold=limit), who


def test_naming_the_worst_by_the_models_that_chose_them_is_biased_and_the_other_half_is_not():
    truth = 0.5  # nobody leaks
    naive, ours, covered = [], [], 0
    worlds = 200
    for seed in range(worlds):
        scores, who = world(np.zeros(200), seed=seed)
        found = most_exposed(scores, who, seed=seed, count=10, **ABOUT)
        naive.append(found.chosen.mean())
        ours.append(found.row.value)
        covered += found.row.low <= truth <= found.row.high
    error = np.std(ours) / np.sqrt(worlds)
    assert np.mean(naive) > truth + 0.15
    assert abs(np.mean(ours) - truth) < 4 * error < 0.01
    assert covered >= 0.9 * worlds


def test_records_that_do_leak_are_found_and_their_rate_is_right():
    shift = np.zeros(300)
    shift[[5, 50, 250]] = 4.0
    scores, who = world(shift, models=128)
    found = most_exposed(scores, who, seed=0, count=3, **ABOUT)
    assert set(found.records.tolist()) == {5, 50, 250}
    assert found.row.value == pytest.approx((0.99977 + 1 - 0.30854) / 2, abs=0.04)
    assert found.row.counts == {"targets": 64.0, "models_chosen_on": 64.0, "records": 3.0}
    assert "chosen on the other half" in found.row.why


def test_rates_of_the_reporting_half_are_counted_by_hand_and_halves_are_disjoint():
    scores, who = world(np.linspace(0, 2, 40), seed=3)
    found = most_exposed(scores, who, seed=1, count=40, **ABOUT)
    said = scores.values >= 0.5
    every = np.array(
        [(said[i, r].mean() + 1 - said[~i, r].mean()) / 2 for r, i in enumerate(who.inside.T)]
    )
    assert sorted(found.records.tolist()) == list(range(40))
    assert (np.diff(found.chosen) <= 0).all()
    assert found.reported == pytest.approx((found.tpr + 1 - found.fpr) / 2)
    # over both halves together each record's rate is a mixture of what the two say
    both = np.stack([found.chosen, found.reported])
    inner = every[found.records]
    assert ((both.min(axis=0) - 0.03 <= inner) & (inner <= both.max(axis=0) + 0.03)).all()
    other = most_exposed(scores, who, seed=2, count=40, **ABOUT)
    assert not np.array_equal(other.chosen, found.chosen)
    same = most_exposed(scores, who, seed=1, count=40, **ABOUT)
    assert np.array_equal(same.reported, found.reported)


def test_the_interval_is_that_of_leaving_models_out():
    scores, who = world(np.linspace(0, 2, 30), seed=4)
    found = most_exposed(scores, who, seed=0, count=30, **ABOUT)
    order = np.random.default_rng(derive_seed(0, "halves"))
    reporting = order.permutation(64)[32:]
    said, inside = scores.values[reporting] >= 0.5, who.inside[reporting]

    def value(rows):
        s, i = said[rows], inside[rows]
        tpr = (s & i).sum(axis=0) / i.sum(axis=0)
        fpr = (s & ~i).sum(axis=0) / (~i).sum(axis=0)
        return ((tpr + 1 - fpr) / 2).mean()

    left = np.array([value(np.delete(np.arange(32), k)) for k in range(32)])
    jackknife = np.sqrt(31 / 32 * ((left - left.mean()) ** 2).sum())
    assert found.row.value == pytest.approx(value(np.arange(32)))
    assert found.row.high - found.row.value == pytest.approx(2.0395 * jackknife, rel=0.1)


def test_each_records_tpr_has_the_exact_interval_of_its_models():
    scores, who = world(np.full(20, 1.0), seed=5)
    found = most_exposed(scores, who, seed=0, count=20, **ABOUT)
    order = np.random.default_rng(derive_seed(0, "halves"))
    reporting = order.permutation(64)[32:]
    for k in (0, 7, 19):
        r = found.records[k]
        n = int(who.inside[reporting, r].sum())
        ends = clopper_pearson(round(found.tpr[k] * n), n)
        assert (found.low[k], found.high[k]) == ends


def test_models_that_all_agree_leave_an_interval_and_not_a_point():
    shift = np.full(30, 50.0)
    scores, who = world(shift, threshold=25.0)
    row = most_exposed(scores, who, seed=0, count=5, **ABOUT).row
    assert row.value == row.high == 1.0
    assert row.low == pytest.approx(clopper_pearson(32, 32)[0])
    assert row.interval == "t over targets, widened" and "widened" in row.why


def test_one_verdict_that_differs_does_not_narrow_the_interval_of_models_that_agree():
    scores, who = world(np.full(30, 50.0), threshold=25.0)
    surely = most_exposed(scores, who, seed=0, count=30, **ABOUT)
    order = np.random.default_rng(derive_seed(0, "halves")).permutation(64)
    model = order[40]
    scores.values[model, np.flatnonzero(who.inside[model])[0]] = 0.0
    row = most_exposed(scores, who, seed=0, count=30, **ABOUT).row
    assert 0.99 < row.value < 1
    assert row.interval == "t over targets, widened"
    assert row.value - row.low > 20 * (1 - row.value)  # that of t alone: twice
    assert row.low > surely.row.low


def test_too_few_models_no_threshold_and_impossible_counts_are_refused():
    with pytest.raises(MethodError, match=r"at least 64 models under attack.* got 63"):
        most_exposed(*world(np.zeros(50), models=63), seed=0, **ABOUT)
    with pytest.raises(MethodError, match="need thresholds chosen on references"):
        most_exposed(*world(np.zeros(50), threshold=None), seed=0, **ABOUT)
    for count in (0, 51):
        with pytest.raises(InputError, match=rf"count must be in 1 .. 50, .* got {count}"):
            most_exposed(*world(np.zeros(50)), seed=0, count=count, **ABOUT)
    scores, _ = world(np.zeros(50))
    _, other = world(np.zeros(49))
    with pytest.raises(InputError, match=r"shape \(64, 50\).* 64 targets and 49 records"):
        most_exposed(scores, other, seed=0, **ABOUT)
