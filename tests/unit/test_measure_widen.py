"""Intervals where units or targets agree: a width that the counts allow, and units that count."""

from __future__ import annotations

import numpy as np
import pytest

from secateur.measure import (
    auc,
    balanced_accuracy,
    between_sd_of,
    by_group,
    clopper_pearson,
    difference,
    epsilon_estimate,
    gap_attack,
    information_rows,
    over_targets,
    positive_predictive_value,
    realised_fpr,
    roc_series,
    t_interval,
    tpr_at_fpr,
    tpr_on_canaries,
    trials_of_metric,
    two_way_bootstrap,
    unit_bootstrap,
    units_of,
    units_per_target,
    widened,
)
from secateur.measure.interval import percentile_ends, replicates_for, resampled_means
from secateur.types import Membership, Scores

ABOUT = {"subject": "dense", "method": "x"}
T = "t over targets"


def member(inside, units=None):
    targets, records = inside.shape
    return Membership(
        inside=inside,
        roles=("target",) * targets,
        pools={"audit": np.arange(records)},
        units=np.arange(records) if units is None else units,
        seed=0,
    )


def coins(targets, records=200, seed=0):
    """Half of the records inside, so that every target has equally many members."""
    rng = np.random.default_rng(seed)
    return np.array([rng.permutation(records) < records // 2 for _ in range(targets)])


def seen(values, threshold=0.5):
    return Scores(
        values=np.asarray(values, dtype=float),
        evaluated=np.ones(np.shape(values), bool),
        threshold=np.full(len(values), threshold),
    )


@pytest.mark.parametrize("targets", [1, 3, 8])
def test_a_perfect_attack_has_the_exact_interval_of_one_targets_units(targets):
    inside = coins(targets)
    scores, who = seen(inside), member(inside)
    low = clopper_pearson(100, 100)[0]
    for row in (auc(scores, who, **ABOUT), tpr_at_fpr(scores, who, fpr=0.1, **ABOUT)):
        assert row.value == row.high == 1.0
        assert row.low == pytest.approx(low - (row.metric != "auc"), abs=1e-9) or row.low == 0.0
        assert row.interval.endswith(", widened")
        assert "few units differ: widened to the Clopper-Pearson interval of 100 trials" in row.why
    row = balanced_accuracy(scores, who, **ABOUT)
    assert row.low == pytest.approx(1 - (1 - low) / np.sqrt(2))
    assert realised_fpr(scores, who, **ABOUT).high == pytest.approx(1 - low)


@pytest.mark.parametrize("targets", [1, 3, 8])
def test_an_attack_that_sees_nothing_has_a_width_around_one_half(targets):
    inside = coins(targets)
    row = auc(seen(np.zeros(inside.shape)), member(inside), **ABOUT)
    assert row.value == 0.5
    assert (row.low, row.high) == pytest.approx(clopper_pearson(50, 100))
    assert "the targets hardly differ" in row.why


def test_an_attack_that_calls_nobody_has_a_balanced_accuracy_with_a_width():
    inside = coins(8)
    row = balanced_accuracy(seen(np.zeros(inside.shape)), member(inside), **ABOUT)
    above = clopper_pearson(0, 100)[1]
    assert row.value == 0.5
    assert (row.low, row.high) == pytest.approx((0.5 - above / 2, 0.5 + above / 2))
    assert row.interval == "t over targets, widened"


def test_units_and_not_records_make_the_width():
    people = coins(8, 40)
    inside = np.repeat(people, 5, axis=1)
    units = np.repeat(np.arange(40), 5)
    wide = auc(seen(inside), member(inside, units), **ABOUT)
    assert wide.low == pytest.approx(clopper_pearson(20, 20)[0])
    assert auc(seen(inside), member(inside), **ABOUT).low > wide.low + 0.1


def test_targets_that_spread_and_units_that_differ_leave_the_t_interval_alone():
    rng = np.random.default_rng(0)
    values = rng.normal(0.7, 0.03, 8)
    mean, low, high = t_interval(values)
    found = widened((low, high), value=mean, trials=np.full(8, 200.0), interval=T)
    assert (found.low, found.high, found.interval, found.note) == (low, high, T, "")


def test_the_interval_is_never_narrower_than_the_one_given_and_moves_without_a_cliff():
    ends, hit = [], np.random.default_rng(2).integers(0, 8, size=20)
    for misses in range(20):
        values = 1 - np.bincount(hit[:misses], minlength=8) / 100
        mean, low, high = t_interval(values)
        found = widened((low, high), value=mean, trials=np.full(8, 100.0), interval=T)
        assert found.low <= low and found.high >= high
        assert (found.note == "") == (misses >= 10)
        ends.append(mean - found.low)
    assert ends[0] == pytest.approx(1 - clopper_pearson(100, 100)[0])
    steps = np.array(ends[1:]) / np.array(ends[:-1])
    assert (steps > 0.5).all() and (steps < 1.5).all(), steps


def test_one_miss_gives_more_than_the_t_interval_of_nearly_equal_targets():
    values = np.array([1.0] * 7 + [0.99])
    mean, low, high = t_interval(values)
    found = widened((low, high), value=mean, trials=np.full(8, 100.0), interval=T)
    assert mean - found.low > 2 * (mean - low)
    same = np.full(8, 0.6)
    equal = widened((0.6, 0.6), value=0.6, trials=np.full(8, 100.0), interval=T)
    assert (equal.low, equal.high) == pytest.approx(clopper_pearson(60, 100))
    nearly = same + 1e-5 * np.arange(8)
    mean, low, high = t_interval(nearly)
    near = widened((low, high), value=mean, trials=np.full(8, 100.0), interval=T)
    assert near.high - near.low == pytest.approx(equal.high - equal.low, rel=1e-3)


def test_bounds_scale_what_one_trial_can_say():
    rate = widened((1.0, 1.0), value=1.0, trials=np.full(8, 50.0), interval=T)
    scaled = widened((3.0, 3.0), value=3.0, trials=np.full(8, 50.0), interval=T, bounds=(-1, 3))
    assert scaled.low == pytest.approx(-1 + 4 * rate.low)
    still = widened((2.0, 2.0), value=2.0, trials=np.full(8, 50.0), interval=T, bounds=(2, 2))
    assert (still.low, still.high, still.note) == (2.0, 2.0, "")


def test_trials_follow_from_what_a_metric_counts():
    units = np.array([[30.0, 20.0], [10.0, 40.0]])
    wanted = {
        "auc": [20, 10],
        "balanced accuracy": [40, 20],
        "accuracy": [50, 50],
        "tpr": [30, 10],
        "false-positive rate": [20, 40],
    }
    for metric, trials in wanted.items():
        assert trials_of_metric(metric, units).tolist() == trials


def test_the_variance_of_an_auc_is_at_most_that_of_so_many_trials():
    rng = np.random.default_rng(0)
    for rare in (0.02, 0.3):  # the worst case: some members below all others
        found = []
        for _ in range(4000):
            low = rng.random(20) < rare
            found.append(1 - low.mean())
        assert np.var(found) <= 1.08 * rare * (1 - rare) / 20


def test_precision_of_equal_targets_has_a_width():
    inside = coins(8)
    values = inside * 1.0
    for row in range(8):
        values[row, np.flatnonzero(~inside[row])[:20]] = 1.0
    row = positive_predictive_value(seen(values), member(inside), prior=0.1, **ABOUT)
    assert row.interval == "t over targets, widened"
    assert row.low < row.value - 0.05 and row.high > row.value + 0.05


def test_a_difference_of_two_perfect_attacks_is_not_known_exactly():
    inside = coins(8)
    who = member(inside)
    about = ("dense", "pruned", "x")
    row = difference(seen(inside), seen(inside), who, "auc", about=about)
    miss = 1 - clopper_pearson(100, 100)[0]
    assert (row.value, row.low, row.high) == pytest.approx((0, -miss, miss))
    assert row.interval == "t over targets, widened"
    rng = np.random.default_rng(0)
    weak = seen(rng.normal(size=inside.shape) + inside)
    row = difference(seen(inside), weak, who, "auc", about=about)
    assert row.interval == "t over targets"


def test_the_information_rows_of_a_perfect_attack_have_a_width():
    inside = coins(8)
    rows = information_rows(seen(inside), member(inside), about=("d", "x", ""))
    for row in rows:
        assert row.interval == "t over targets, widened"
        assert row.high - row.low > 0.01
        assert "biased downward" in row.why and "widened to the Clopper-Pearson" in row.why


def test_the_band_of_a_perfect_attack_is_that_of_its_tpr():
    inside = coins(8)
    rng = np.random.default_rng(0)
    scores, who = seen(inside + 0.1 * rng.random(inside.shape)), member(inside)
    series = roc_series(scores, who, subject="d", method="x")
    at = int(np.argmin(np.abs(np.array(series.columns["fpr"]) - 0.1)))
    assert series.columns["tpr"][at] == 1.0
    assert series.columns["low"][at] == pytest.approx(clopper_pearson(100, 100)[0])


def test_accuracies_of_one_have_a_width():
    about = {"subject": "d", "counts": {}}
    told = ("d", "utility", "m", "test accuracy")
    row = over_targets(np.ones(8), about=told, counts={}, better="higher", trials=150)
    assert row.low == pytest.approx(clopper_pearson(150, 150)[0])
    assert gap_attack(np.ones(8), np.zeros(8), trials=200, **about).low < 0.99


def people_world(targets=8, people=60, records=5):
    inside = np.repeat(coins(targets, people), records, axis=1)
    units = np.repeat(np.arange(people), records)
    rng = np.random.default_rng(3)
    return seen(rng.normal(size=inside.shape) + inside), member(inside, units)


def test_expected_false_positives_count_a_person_once():
    scores, who = people_world()
    assert units_per_target(scores, who).tolist() == [[30.0, 30.0]] * 8
    row = tpr_at_fpr(scores, who, fpr=0.01, **ABOUT)  # 1,200 records of 240 persons
    assert row.status == "not resolvable"
    assert row.counts["expected_false_positive_units"] == pytest.approx(2.4)
    assert "2.4 false positives (units) are expected" in row.why and "lowest is 0.05" in row.why
    assert tpr_at_fpr(scores, who, fpr=0.05, **ABOUT).status == "measured"


def test_a_pilot_is_read_in_units():
    scores, who = people_world()
    row = auc(scores, who, **ABOUT)
    assert (row.counts["members"], row.counts["non_members"]) == (150, 150)
    assert units_of(row) == (30, 30)
    plain = auc(scores, member(who.inside), **ABOUT)
    assert "member_units" not in plain.counts and units_of(plain) == (150, 150)
    assert between_sd_of(row) < between_sd_of(plain)


def test_false_positives_of_one_person_are_one():
    inside = np.repeat(coins(8, 40), 5, axis=1)
    units = np.repeat(np.arange(40), 5)
    values = inside * 1.0
    first = np.flatnonzero(~inside[0])[:50]  # 10 persons of one target
    values[0, first] = 1.0
    row = positive_predictive_value(seen(values), member(inside, units), prior=0.1, **ABOUT)
    assert row.counts["false_positive_units"] == 10
    values[0, first[:5]] = 0.0
    row = positive_predictive_value(seen(values), member(inside, units), prior=0.1, **ABOUT)
    assert (row.status, row.counts["false_positive_units"]) == ("not resolvable", 9)


def test_the_gaussian_estimate_says_what_neighbours_differ_in():
    scores, who = people_world()
    told = epsilon_estimate(scores, who, delta=1e-5, about=("d", "x", "")).why
    assert "adjacency: one unit (all records of a person) added or removed" in told
    alone = member(who.inside)
    told = epsilon_estimate(scores, alone, delta=1e-5, about=("d", "x", "")).why
    assert "adjacency: one record added or removed" in told
    row = epsilon_estimate(seen(np.zeros((8, 300))), alone, delta=1e-5, about=("d", "x", ""))
    assert row.interval.endswith("widened") and "the targets hardly differ: widened to" in row.why


def test_kinds_of_canaries_hold_together_at_the_fpr_that_they_resolve():
    rng = np.random.default_rng(0)
    inside = coins(8, 180)
    scores, who = seen(rng.normal(size=inside.shape) + inside), member(inside)
    column = np.array(["a", "b", "c"])[np.arange(180) % 3]
    rows = tpr_on_canaries(scores, who, column, about=("d", "x", ""))
    assert len(rows) == 3
    for row in rows:
        assert row.metric == "tpr at 5% fpr"
        own = column == row.group.removeprefix("canary=")
        part = Scores(values=scores.values, evaluated=scores.evaluated & own)
        wide = tpr_at_fpr(part, who, fpr=0.05, confidence=1 - 0.05 / 3, **ABOUT)
        assert (row.low, row.high) == (wide.low, wide.high)
        assert row.high > tpr_at_fpr(part, who, fpr=0.05, **ABOUT).high
        assert row.counts["groups"] == 3
        assert "95 % for all 3 groups of this column together" in row.why


def mean_of(values):
    def statistic(weights):
        return weights @ values / weights.sum(axis=1)

    return statistic


def test_a_bootstrap_reaches_the_ends_that_its_confidence_asks_for():
    values = np.random.default_rng(0).normal(size=300)
    widths = []
    for confidence in (0.95, 0.99, 0.999, 0.9995):
        low, high = unit_bootstrap(mean_of(values), np.arange(300), seed=1, confidence=confidence)
        widths.append(high - low)
    error = 2 * values.std() / np.sqrt(300)
    assert np.array(widths) / error == pytest.approx([1.96, 2.576, 3.291, 3.481], rel=0.06)
    assert (np.diff(widths) > 0).all()


def test_the_least_end_of_1000_replicates_is_too_near_for_100_groups():
    values = np.random.default_rng(0).normal(size=300)
    means = resampled_means(
        lambda _, w: mean_of(values)(w), np.arange(300), targets=1, seed=1, replicates=1000
    )
    near = [percentile_ends(means, c) for c in (0.999, 0.9995)]
    assert near[0] == near[1]  # the reason for `replicates_for`
    assert replicates_for(0.9995) == 20_000
    assert replicates_for(0.5) == 1000


def test_intervals_by_group_grow_with_the_number_of_groups_below_8_targets():
    rng = np.random.default_rng(0)
    inside = coins(2, 1200)
    scores, who = seen(rng.normal(size=inside.shape) + inside), member(inside)
    first = np.arange(1200) < 100
    widths = []
    for groups in (1, 12):
        column = np.where(first, 0, 1 + np.arange(1200) % max(1, groups - 1))
        if groups == 1:
            part = Scores(values=scores.values, evaluated=scores.evaluated & first)
            rows = by_group(part, who, column, name="g", about=("d", "x", ""))
        else:
            rows = by_group(scores, who, column, name="g", about=("d", "x", ""))
        widths.append(rows[0].high - rows[0].low)
    assert widths[1] > widths[0]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_100_groups_at_once_are_covered():
    worlds, groups, targets, records = 4, 100, 4, 60
    rng = np.random.default_rng(0)
    missed, good = 0, 0
    for world in range(worlds):
        out = 0
        for _ in range(groups):
            own = rng.normal(size=records)
            values = own + rng.normal(size=(targets, records)) + 0.3 * rng.normal(size=(targets, 1))
            low, high = two_way_bootstrap(
                lambda t, w, v=values: mean_of(v[t])(w),
                np.arange(records),
                targets=targets,
                seed=world,
                confidence=1 - 0.05 / groups,
            )
            out += not low <= 0 <= high
        missed += out
        good += out == 0
    assert missed <= 3  # 0.2 are expected, more with a chance of 1 in 17,000
    assert good >= 2
