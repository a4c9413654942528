"""Agreement between runs: the textbook's rank correlation and overlap, and honest edges."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr

from secateur.errors import InputError
from secateur.measure import (
    clopper_pearson,
    found_at_fpr,
    non_member_units,
    overlap_of_found,
    rank_agreement,
    share_found,
    tpr_at_fpr,
    tpr_at_fpr_value,
    tpr_segment,
)
from secateur.measure.agreement import _weighted_ranks
from secateur.measure.found import found_resampled, found_surely_at_fpr
from secateur.measure.targets import targets_of
from secateur.types import Membership, Scores

ABOUT = {"subject": "dense", "method": "LiRA()"}


def runs_of(targets, runs=3, records=400, own=1.0, shared=1.0, seed=0):
    """Return runs whose scores share a part and have a part of their own."""
    rng = np.random.default_rng(seed)
    inside = rng.random((targets, records)) < 0.5
    who = Membership(
        inside=inside,
        roles=("target",) * targets,
        pools={"audit": np.arange(records)},
        units=np.arange(records),
        seed=0,
    )
    common = shared * rng.normal(size=inside.shape) + 1.5 * inside
    made = [
        Scores(values=common + own * rng.normal(size=inside.shape), evaluated=np.ones_like(inside))
        for _ in range(runs)
    ]
    return made, who


@pytest.mark.parametrize("targets", [1, 3, 8])
@pytest.mark.parametrize("digits", [1, 8])
def test_rank_agreement_is_spearman_over_members_mean_over_pairs_and_targets(targets, digits):
    runs, who = runs_of(targets)
    runs = [Scores(values=np.round(r.values, digits), evaluated=r.evaluated) for r in runs]
    row = rank_agreement(runs, who, **ABOUT)
    by_hand = [
        spearmanr(runs[a].values[t, who.inside[t]], runs[b].values[t, who.inside[t]]).statistic
        for t in range(targets)
        for a, b in ((0, 1), (0, 2), (1, 2))
    ]
    assert row.value == pytest.approx(np.mean(by_hand))
    assert row.low < row.value < row.high
    assert row.counts["runs"] == 3


def test_weighted_ranks_are_those_of_repeated_records():
    runs, who = runs_of(1, records=60)
    scores = Scores(values=np.round(runs[0].values, 1), evaluated=runs[0].evaluated)
    target = targets_of(scores, who)[0]
    weights = np.random.default_rng(0).integers(0, 4, size=(1, 60))
    members = who.inside[0]
    ranks = _weighted_ranks(target, weights)[0]
    repeated = np.repeat(scores.values[0, members], weights[0, members])
    below = [(repeated < v).sum() + (repeated == v).sum() / 2 for v in scores.values[0, members]]
    assert ranks == pytest.approx(below)


def test_agreement_is_one_with_itself_minus_one_reversed_and_about_zero_for_noise():
    runs, who = runs_of(8, shared=0.0)
    one = runs[0]
    back = Scores(values=-one.values, evaluated=one.evaluated)
    assert rank_agreement([one, one], who, **ABOUT).value == pytest.approx(1.0)
    assert rank_agreement([one, back], who, **ABOUT).value == pytest.approx(-1.0)
    row = rank_agreement(runs, who, **ABOUT)
    assert row.low < 0 < row.high
    flat = Scores(values=np.zeros_like(one.values), evaluated=one.evaluated)
    assert rank_agreement([one, flat], who, **ABOUT).value == 0.0


def test_who_is_found_counts_to_the_tpr_at_that_fpr():
    runs, who = runs_of(1)
    values, members = np.round(runs[0].values[0], 1), who.inside[0]
    for fpr in (0.0, 0.01, 0.05, 0.3, 1.0):
        found = found_at_fpr(values, members, fpr)
        assert found.sum() / members.sum() == tpr_at_fpr_value(values, members, fpr)[0]
        assert not (found & ~members).any()


@pytest.mark.parametrize("targets", [1, 8])
def test_overlap_and_shares_are_counted_by_hand(targets):
    runs, who = runs_of(targets)
    found = [[found_at_fpr(r.values[t], who.inside[t], 0.1) for r in runs] for t in range(targets)]
    pairs = [
        (f[a] & f[b]).sum() / (f[a] | f[b]).sum()
        for f in found
        for a, b in ((0, 1), (0, 2), (1, 2))
    ]
    row = overlap_of_found(runs, who, fpr=0.1, **ABOUT)
    assert row.value == pytest.approx(np.mean(pairs))
    assert row.low < row.value < row.high
    for by, join in (("every run", np.all), ("any run", np.any)):
        share = share_found(runs, who, by=by, fpr=0.1, **ABOUT)
        by_hand = [join(f, axis=0).sum() / who.inside[t].sum() for t, f in enumerate(found)]
        assert share.value == pytest.approx(np.mean(by_hand))
        assert share.metric == f"members found by {by} at 10% fpr"


def test_runs_that_share_nothing_overlap_as_chance_says():
    runs, who = runs_of(8, runs=2, records=2000, shared=0.0)
    row = overlap_of_found(runs, who, fpr=0.1, **ABOUT)
    assert row.low < row.counts["expected_by_chance"] < row.high
    same = overlap_of_found([runs[0], runs[0]], who, fpr=0.1, **ABOUT)
    assert (same.value, same.high) == (1.0, 1.0)
    fewest = min(found_at_fpr(runs[0].values[t], who.inside[t], 0.1).sum() for t in range(8))
    assert same.low == pytest.approx(clopper_pearson(int(fewest), int(fewest))[0])


def test_an_overlap_below_ten_false_positives_is_not_resolvable():
    runs, who = runs_of(1)
    row = overlap_of_found(runs, who, fpr=0.01, **ABOUT)
    assert row.status == "not resolvable"
    assert "at least 10 are needed" in row.why
    nothing = Scores(values=-runs[0].values - 99 * who.inside, evaluated=runs[0].evaluated)
    assert overlap_of_found([nothing, nothing], who, fpr=0.1, **ABOUT).value == 0.0


def test_one_run_or_runs_on_other_records_are_refused():
    runs, who = runs_of(2)
    with pytest.raises(InputError, match="at least 2 runs, got 1"):
        rank_agreement(runs[:1], who, **ABOUT)
    part = runs[1].evaluated.copy()
    part[:, :5] = False
    other = Scores(values=runs[1].values, evaluated=part)
    with pytest.raises(InputError, match=r"run 1 evaluates 790 .* run 0 800"):
        overlap_of_found([runs[0], other], who, fpr=0.1, **ABOUT)


def test_runs_that_agree_on_the_few_that_they_find_leave_a_width():
    runs, who = runs_of(8)
    few = [Scores(values=np.where(who.inside, -9.0, r.values), evaluated=r.evaluated) for r in runs]
    found = np.flatnonzero(who.inside[0])[:3]
    for run in few:
        run.values[0, found] = 99.0
    row = overlap_of_found(few, who, fpr=0.1, **ABOUT)
    assert row.interval == "t over targets, widened" and row.high > row.value
    sure = [
        Scores(values=100.0 * who.inside + 0.01 * r.values, evaluated=r.evaluated) for r in runs
    ]
    members = who.inside.sum(axis=1).min()
    for by in ("every run", "any run"):
        row = share_found(sure, who, by=by, fpr=0.1, **ABOUT)
        assert (row.value, row.high) == (1.0, 1.0)
        assert row.low == pytest.approx(clopper_pearson(int(members), int(members))[0])
        assert "few units differ" in row.why
    row = overlap_of_found(sure, who, fpr=0.1, **ABOUT)
    assert row.low == pytest.approx(clopper_pearson(int(members), int(members))[0])


def test_false_positives_of_one_persons_records_are_one():
    runs, who = runs_of(1, records=400)
    persons = replace(who, units=np.arange(400) // 4, inside=np.repeat(who.inside[:, ::4], 4, 1))
    outside = non_member_units(runs[0], persons)
    assert 40 < outside < 60
    row = share_found(runs, persons, by="any run", fpr=0.1, **ABOUT)
    assert row.status == "not resolvable"
    assert row.counts["expected_false_positive_units"] == pytest.approx(0.1 * outside)
    assert overlap_of_found(runs, persons, fpr=0.1, **ABOUT).status == "not resolvable"
    assert share_found(runs, who, by="any run", fpr=0.1, **ABOUT).status == "measured"


def test_who_is_found_surely_counts_to_the_lower_end_of_the_step():
    runs, who = runs_of(1)
    members = who.inside[0]
    for digits in (0, 1, 8):
        values = np.round(runs[0].values[0], digits)
        for fpr in (0.0, 0.01, 0.05, 0.3, 1.0):
            low, high = tpr_segment(values, members, fpr)
            assert found_surely_at_fpr(values, members, fpr).sum() / members.sum() == low
            assert found_at_fpr(values, members, fpr).sum() / members.sum() == high
    row = share_found([runs[0], runs[0]], who, by="every run", fpr=0.05, **ABOUT)
    tpr = tpr_at_fpr(runs[0], who, fpr=0.05, **ABOUT)
    assert (row.value, row.low, row.high) == (tpr.value, tpr.low, tpr.high)


@pytest.mark.parametrize("fpr", [0.0, 0.05, 0.3, 1.0])
def test_resampled_thresholds_are_those_of_repeated_records(fpr):
    runs, who = runs_of(1, records=60)
    rounded = Scores(values=np.round(runs[0].values), evaluated=runs[0].evaluated)
    weights = np.random.default_rng(0).integers(0, 3, size=(20, 60)).astype(np.float64)
    for run in (runs[0], rounded):
        target = targets_of(run, who)[0]
        ours = found_resampled(target, weights, fpr)
        for row, w in zip(ours, weights.astype(int), strict=True):
            repeated = np.repeat(np.arange(60), w)
            theirs = found_at_fpr(target.scores[repeated], target.members[repeated], fpr)
            assert np.array_equal(row[repeated], theirs)
