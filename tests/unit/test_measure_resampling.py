"""Weighted metrics and resampling: equal to repeated records, and of the stated law."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from oracles import attacks as oracle
from secateur.errors import MethodError
from secateur.measure import (
    auc,
    auc_value,
    balanced_accuracy,
    per_target,
    positive_predictive_value,
    rank,
    realised_fpr,
    resampled_means,
    roc_curve,
    roc_series,
    t_interval,
    tpr_at_fpr,
    tpr_at_fpr_value,
    tpr_segment,
    two_way_bootstrap,
)
from secateur.measure.interval import _weights_by_unit
from secateur.measure.targets import evaluated_units, targets_of
from secateur.types import Membership, Scores

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from tools import coverage_worlds as worlds


@st.composite
def weighted(draw):
    n = draw(st.integers(2, 30))
    levels = draw(st.sampled_from([2, 5, 1000]))
    scores = draw(st.lists(st.integers(0, levels), min_size=n, max_size=n))
    members = draw(st.lists(st.booleans(), min_size=n, max_size=n))
    weights = draw(st.lists(st.integers(0, 3), min_size=n, max_size=n))
    return np.array(scores, dtype=float), np.array(members), np.array(weights)


@given(weighted(), st.sampled_from([0.0, 0.1, 0.3, 1.0]))
def test_a_ranked_target_equals_repeated_records_in_any_kind_of_number(case, fpr):
    scores, members, weights = case
    s, m = np.repeat(scores, weights), np.repeat(members, weights)
    assume(m.any() and not m.all())
    ranked = rank(scores, members)
    for dtype in (np.float32, np.float64, np.int64):
        row = np.stack([weights, np.ones_like(weights)]).astype(dtype)
        assert ranked.auc(row)[0] == pytest.approx(oracle.auc(s, m), abs=1e-12)
        found = ranked.tpr(row, np.array([fpr, 1.0]))
        assert found[0, 0] == pytest.approx(oracle.tpr_at(s, m, fpr), abs=1e-12)
        assert found[0, 1] == 1.0
    if members.any() and not members.all():
        assert ranked.auc(row)[1] == pytest.approx(auc_value(scores, members), abs=1e-12)


def test_columns_place_a_targets_records_among_those_of_all_targets():
    scores, members = np.array([2.0, 1.0, 3.0]), np.array([True, False, True])
    ranked = rank(scores, members, columns=np.array([4, 0, 2]), width=6)
    weights = np.array([[1.0, 9, 0, 9, 1, 9], [0, 1, 1, 1, 1, 1]])
    assert ranked.auc(weights)[0] == 1.0
    assert np.isnan(ranked.auc(weights)[1])
    assert np.isnan(ranked.tpr(weights, np.array([0.5]))[1, 0])


def test_a_target_that_evaluates_some_records_reads_their_weights_alone():
    rng = np.random.default_rng(0)
    scores, who, _ = small_world(3, records=50)
    evaluated = rng.random((3, 50)) < 0.6
    evaluated[:, 10:15] = False
    part = Scores(values=scores.values, evaluated=evaluated, threshold=scores.threshold)
    used = evaluated.any(axis=0)
    weights = rng.integers(0, 3, size=(1, used.sum()))
    for row, target in enumerate(targets_of(part, who)):
        times = np.zeros(50, dtype=int)
        times[used] = weights[0]
        times[~evaluated[row]] = 0
        s, m = np.repeat(scores.values[row], times), np.repeat(who.inside[row], times)
        said = s >= worlds.ORDINARY.threshold
        tpr, fpr = said[m].mean(), said[~m].mean()
        assert target.weighted("auc", 0.1, weights)[0] == pytest.approx(auc_value(s, m))
        assert target.rates(weights)[0] == pytest.approx([tpr, fpr])
        assert target.weighted("accuracy", 0.1, weights)[0] == pytest.approx((said == m).mean())
        assert target.weighted("balanced accuracy", 0.1, weights)[0] == pytest.approx(
            (tpr + 1 - fpr) / 2
        )
    units = evaluated_units(part, who)
    assert np.array_equal(units, who.units[used])


def test_large_weights_in_single_precision_give_the_exact_auc():
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 50, 3000).astype(float)
    members = rng.random(3000) < 0.5
    weights = rng.integers(0, 2000, (1, 3000))
    exact = rank(scores, members).auc(weights.astype(np.float64))
    assert weights.sum() < 2**24
    assert np.array_equal(rank(scores, members).auc(weights.astype(np.float32)), exact)


def test_weights_are_those_of_drawing_units_with_replacement():
    units = np.repeat(np.arange(20), 3)[np.random.default_rng(1).permutation(60)]
    blocks = list(_weights_by_unit(units, 5000, np.random.default_rng(0)))
    weights = np.concatenate(blocks)
    assert weights.shape == (5000, 60)
    by_unit = np.stack([weights[:, np.flatnonzero(units == u)] for u in range(20)], axis=1)
    assert (by_unit == by_unit[:, :, :1]).all()
    drawn = by_unit[:, :, 0]
    assert (drawn.sum(axis=1) == 20).all()
    assert drawn.mean(axis=0) == pytest.approx(np.ones(20), abs=0.06)
    assert drawn.var(axis=0).mean() == pytest.approx(0.95, rel=0.03)
    apart = np.cov(drawn.T)[~np.eye(20, dtype=bool)]
    assert apart.mean() == pytest.approx(-1 / 20, abs=0.01)


def test_with_many_records_the_two_way_interval_is_the_t_interval_of_the_targets():
    values = np.array([0.55, 0.6, 0.72])

    def statistic(t, weights):
        return np.full(len(weights), values[t])

    low, high = two_way_bootstrap(
        statistic, np.arange(5), targets=3, seed=0, replicates=20_000, confidence=0.9
    )
    _, wanted_low, wanted_high = t_interval(values, 0.9)
    assert (low, high) == pytest.approx((wanted_low, wanted_high), abs=0.01)


def test_noise_between_targets_keeps_the_correlation_of_several_statistics():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(5, 2)) @ np.array([[1.0, 0.8], [0.0, 0.6]])

    def statistic(t, weights):
        return np.tile(values[t], (len(weights), 1))

    means = resampled_means(statistic, np.arange(5), targets=5, seed=0, replicates=20_000)
    away = values - values.mean(axis=0)
    freedom = 4
    wanted = away.T @ away / freedom / 5 * freedom / (freedom - 2)
    assert np.cov(means.T) == pytest.approx(wanted, rel=0.15)
    with pytest.raises(MethodError, match="at least 100 replicates, got 99"):
        resampled_means(statistic, np.arange(5), targets=5, seed=0, replicates=99)


def test_the_step_of_an_roc_holds_the_value_and_what_a_larger_pool_would_say():
    scores = np.array([9.0, 8, 7, 6, 5, 4, 3])
    members = np.array([True, False, True, True, False, True, False])
    assert tpr_segment(scores, members, 0.34) == (0.25, 0.75)
    assert tpr_at_fpr_value(scores, members, 0.34)[0] == 0.75
    assert tpr_segment(scores, members, 0.0) == (0.0, 0.25)
    rng = np.random.default_rng(0)
    ends = []
    for _ in range(400):
        m = np.arange(200) < 100
        ends.append(tpr_segment(rng.normal(size=200) + m, m, 0.05))
    truth = 0.25951  # Phi(1 - 1.644854)
    below, above = np.mean(ends, axis=0)
    assert below < truth < above - 0.01


def small_world(targets, records=300, seed=0):
    drawn = worlds.draw_world(np.random.default_rng(seed), targets, records)
    return drawn.scores, drawn.membership, targets_of(drawn.scores, drawn.membership)


@pytest.mark.parametrize("targets", [1, 4, 8])
def test_the_rows_of_a_report_carry_the_intervals_of_their_number_of_targets(targets):
    scores, who, made = small_world(targets, records=600)
    fpr = 0.1
    about = {"subject": "x", "method": "m"}
    rows = {
        "auc": auc(scores, who, **about),
        "balanced accuracy": balanced_accuracy(scores, who, **about),
        "false-positive rate": realised_fpr(scores, who, **about),
        "tpr": tpr_at_fpr(scores, who, fpr=fpr, **about),
    }
    step = np.mean([np.ptp(tpr_segment(t.scores, t.members, fpr)) for t in made])
    for metric, row in rows.items():
        if targets >= 8:
            low, high = t_interval(per_target(scores, who, metric, fpr=fpr))[1:]
        else:
            low, high = two_way_bootstrap(
                lambda t, w, metric=metric: made[t].weighted(metric, fpr, w),
                np.arange(600),
                targets=targets,
                seed=0,
            )
        low -= step if metric == "tpr" else 0.0
        assert (row.low, row.high) == pytest.approx((low, high), abs=1e-9), metric
        assert row.low < row.value < row.high
    precision = positive_predictive_value(scores, who, prior=worlds.PRIOR, **about)
    assert precision.low < precision.value < precision.high


@pytest.mark.parametrize("targets", [1, 3, 8])
def test_the_band_of_an_roc_is_the_interval_of_the_row_at_its_fpr(targets):
    scores, who, made = small_world(targets, records=400)
    series = roc_series(scores, who, subject="d", method="x")
    at = series.columns["fpr"].index(min(series.columns["fpr"], key=lambda f: abs(f - 0.1)))
    fpr = series.columns["fpr"][at]
    row = tpr_at_fpr(scores, who, fpr=fpr, subject="d", method="x")
    assert series.columns["tpr"][at] == pytest.approx(row.value)
    slack = 1e-9 if targets >= 8 else 0.25 * (row.high - row.low)  # of fewer replicates
    assert series.columns["low"][at] == pytest.approx(row.low, abs=slack)
    assert series.columns["high"][at] == pytest.approx(row.high, abs=slack)
    tpr = roc_curve(made[0].scores, made[0].members).tpr
    assert max(series.columns["high"]) <= 1.0 == tpr[-1]
    assert ("bootstrap" in series.note) == (targets < 8)


def test_units_of_several_records_widen_the_interval():
    rng = np.random.default_rng(0)
    inside = np.repeat(rng.random((1, 60)) < 0.5, 10, axis=1)
    values = np.repeat(rng.normal(size=(1, 60)), 10, axis=1) + 0.7 * inside
    made = Scores(values=values, evaluated=np.ones_like(inside))

    def width(units):
        who = Membership(
            inside=inside,
            roles=("given",),
            pools={"audit": np.arange(600)},
            units=units,
            seed=0,
        )
        row = auc(made, who, subject="x", method="m")
        return row.high - row.low

    assert width(np.repeat(np.arange(60), 10)) > 2 * width(np.arange(600))
