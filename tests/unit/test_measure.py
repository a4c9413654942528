"""Statistics: closed forms, slow oracles, and refusals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_info, threadpool_limits

from oracles import attacks as oracle
from secateur.attack.membership import LiRA
from secateur.data import planted_records, planted_world
from secateur.errors import InputError, MethodError
from secateur.measure import (
    adaptive_control,
    auc,
    auc_value,
    balanced_accuracy,
    blind_baseline,
    clopper_pearson,
    controls,
    difference,
    gap_attack,
    leave_one_out_control,
    lowest_resolvable_fpr,
    near_duplicates_control,
    non_member_units,
    null_control,
    paired_difference,
    per_target,
    planted_control,
    reference_count_control,
    roc_curve,
    roc_series,
    saturation_control,
    size_rows,
    t_interval,
    tpr_at_fpr,
    tpr_at_fpr_value,
    tpr_segment,
    training_size_control,
    two_way_bootstrap,
    unit_bootstrap,
)
from secateur.measure.roc import best_balanced_accuracy
from secateur.measure.weighted import (
    weighted_auc,
    weighted_balanced_accuracy,
    weighted_tpr_at_fpr,
)
from secateur.types import Membership, Observations, Records, Scores


@st.composite
def scored(draw):
    n = draw(st.integers(2, 14))
    scores = draw(st.lists(st.integers(-3, 3), min_size=n, max_size=n))
    members = draw(st.lists(st.booleans(), min_size=n, max_size=n))
    assume(any(members) and not all(members))
    return np.array(scores, dtype=float), np.array(members)


def world_scores(targets, records=400, seed=0, shift=1.0, threshold=0.0):
    rng = np.random.default_rng(seed)
    inside = rng.random((targets, records)) < 0.5
    who = Membership(
        inside=inside,
        roles=("target",) * targets,
        pools={"audit": np.arange(records)},
        units=np.arange(records),
        seed=0,
    )
    values = rng.normal(size=inside.shape) + shift * inside
    return (
        Scores(
            values=values,
            evaluated=np.ones(inside.shape, bool),
            threshold=None if threshold is None else np.full(targets, threshold),
        ),
        who,
    )


ABOUT = {"subject": "dense", "method": "x"}


@given(scored())
def test_auc_equals_the_count_over_all_pairs(case):
    assert auc_value(*case) == pytest.approx(oracle.auc(*case), abs=1e-12)


@given(scored(), st.sampled_from([0.0, 0.01, 0.2, 0.5, 1.0]))
def test_tpr_at_fpr_equals_the_search_over_all_thresholds(case, fpr):
    value, realised = tpr_at_fpr_value(*case, fpr)
    assert value == pytest.approx(oracle.tpr_at(*case, fpr))
    assert realised <= fpr + 1e-12


@given(scored())
def test_the_roc_is_monotone_ends_in_both_corners_and_ignores_the_order_of_ties(case):
    scores, members = case
    roc = roc_curve(scores, members)
    assert (np.diff(roc.fpr) >= 0).all()
    assert (np.diff(roc.tpr) >= 0).all()
    assert (roc.fpr[0], roc.tpr[0], roc.fpr[-1], roc.tpr[-1]) == (0, 0, 1, 1)
    order = np.random.default_rng(0).permutation(len(scores))
    other = roc_curve(scores[order], members[order])
    assert np.array_equal(roc.tpr, other.tpr)
    assert np.array_equal(roc.fpr, other.fpr)


@given(scored(), st.integers(0, 2**31))
def test_weights_are_repetitions_of_records(case, seed):
    scores, members = case
    weights = np.random.default_rng(seed).integers(0, 3, size=len(scores))
    s, m = np.repeat(scores, weights), np.repeat(members, weights)
    assume(m.any() and not m.all())
    row = weights[None].astype(float)
    assert weighted_auc(scores, members, row)[0] == pytest.approx(auc_value(s, m))
    assert weighted_tpr_at_fpr(scores, members, row, 0.3)[0] == pytest.approx(
        oracle.tpr_at(s, m, 0.3)
    )
    said = s >= 0.5
    expected = (said[m].mean() + (~said[~m]).mean()) / 2
    assert weighted_balanced_accuracy(scores, members, row, 0.5)[0] == pytest.approx(expected)


def test_a_perfect_and_an_inverted_attack_have_auc_one_and_zero():
    members = np.array([True, True, False])
    assert auc_value(np.array([3.0, 2.0, 1.0]), members) == 1.0
    assert auc_value(np.array([1.0, 2.0, 3.0]), members) == 0.0
    assert best_balanced_accuracy(np.array([3.0, 2.0, 1.0]), members) == 1.0


@pytest.mark.parametrize(
    ("scores", "members", "message"),
    [
        ([1.0, 2.0], [True, True], "needs members and non-members, got 2 members of 2"),
        ([1.0, np.nan], [True, False], "1 scores are NaN"),
        ([1.0], [True, False], r"one shape \[records\]"),
    ],
)
def test_an_roc_refuses_what_has_none(scores, members, message):
    with pytest.raises(InputError, match=message):
        roc_curve(np.array(scores), np.array(members))


def test_the_t_interval_is_the_textbook_one():
    mean, low, high = t_interval(np.array([1.0, 2.0, 3.0, 4.0]))
    assert mean == 2.5
    assert high - mean == pytest.approx(3.182446305 * np.std([1, 2, 3, 4], ddof=1) / 2)
    assert mean - low == pytest.approx(high - mean)
    with pytest.raises(MethodError, match="use unit_bootstrap"):
        t_interval(np.array([1.0]))


def test_a_paired_difference_is_the_t_interval_of_differences():
    a, b = np.array([0.5, 0.6, 0.9]), np.array([0.4, 0.6, 0.7])
    assert paired_difference(a, b) == t_interval(a - b)
    with pytest.raises(InputError, match="one shape"):
        paired_difference(a, b[:2])


def test_clopper_pearson_knows_the_rule_of_three_and_its_mirror():
    low, high = clopper_pearson(0, 1000, 0.9)
    assert low == 0.0
    assert high == pytest.approx(1 - 0.05 ** (1 / 1000), rel=1e-9)
    mirrored = clopper_pearson(1000, 1000, 0.9)
    assert mirrored[0] == pytest.approx(1 - high)
    with pytest.raises(InputError, match="got 5 of 3"):
        clopper_pearson(5, 3)


def test_the_bootstrap_of_a_mean_has_the_known_width():
    rng = np.random.default_rng(0)
    x = rng.normal(size=400)
    low, high = unit_bootstrap(
        lambda w: (w @ x) / w.sum(axis=1), np.arange(400), seed=0, replicates=4000
    )
    assert high - low == pytest.approx(2 * 1.96 * x.std() / 20, rel=0.08)


def test_the_bootstrap_resamples_persons_and_not_their_records():
    rng = np.random.default_rng(0)
    per_person = rng.normal(size=40)
    x = np.repeat(per_person, 10)
    units = np.repeat(np.arange(40), 10)

    def mean(w):
        return (w @ x) / w.sum(axis=1)

    by_person = unit_bootstrap(mean, units, seed=0)
    by_record = unit_bootstrap(mean, np.arange(400), seed=0)
    assert by_person[1] - by_person[0] > 2 * (by_record[1] - by_record[0])


def test_two_way_is_wider_than_records_alone_when_targets_differ():
    values = np.array([0.2, 0.8, 0.5, 0.4])

    def statistic(t, w):
        return np.full(len(w), values[t])

    low, high = two_way_bootstrap(statistic, np.arange(10), targets=4, seed=0)
    assert low < 0.4 < 0.6 < high
    with pytest.raises(MethodError, match="at least 100 replicates"):
        two_way_bootstrap(statistic, np.arange(10), targets=4, seed=0, replicates=5)


@pytest.mark.parametrize(
    ("targets", "interval", "estimand"),
    [
        (8, "t over targets", "pipeline"),
        (3, "two-way bootstrap", "pipeline"),
        (1, "unit bootstrap", "this model"),
    ],
)
def test_the_interval_follows_from_the_number_of_targets(targets, interval, estimand):
    scores, who = world_scores(targets)
    row = auc(scores, who, **ABOUT)
    assert (row.interval, row.estimand) == (interval, estimand)
    assert row.low < row.value < row.high
    assert row.value == pytest.approx(per_target(scores, who, "auc").mean())
    assert row.counts["targets"] == targets


def test_tpr_is_not_resolvable_below_ten_expected_false_positives():
    scores, who = world_scores(1, records=400)
    row = tpr_at_fpr(scores, who, fpr=0.01, **ABOUT)
    assert row.status == "not resolvable"
    assert row.value is None
    assert "at least 10 are needed; the lowest is 0.05" in row.why
    enough = tpr_at_fpr(*world_scores(8, records=400), fpr=0.01, **ABOUT)
    assert enough.status == "measured"
    assert enough.counts["expected_false_positive_units"] == pytest.approx(16, abs=2)
    assert enough.counts["realised_fpr"] <= 0.01
    assert "evaluated data" in enough.why


@pytest.mark.parametrize(("n", "fpr"), [(99, None), (100, 0.1), (1000, 0.01), (10**5, 0.0001)])
def test_the_lowest_resolvable_fpr(n, fpr):
    assert lowest_resolvable_fpr(n) == fpr


def test_balanced_accuracy_uses_the_given_threshold_or_says_why_not():
    scores, who = world_scores(8, threshold=0.5)
    row = balanced_accuracy(scores, who, **ABOUT)
    said = scores.values >= 0.5
    by_hand = [(s[m].mean() + (~s[~m]).mean()) / 2 for s, m in zip(said, who.inside, strict=True)]
    assert row.value == pytest.approx(np.mean(by_hand))
    bare, who = world_scores(8, threshold=None)
    missing = balanced_accuracy(bare, who, **ABOUT)
    assert missing.status == "not run"
    assert "too few references" in missing.why


def test_a_difference_is_paired_and_signed_first_minus_second():
    a, who = world_scores(8, seed=1)
    b = Scores(values=-a.values, evaluated=a.evaluated, threshold=a.threshold)
    row = difference(a, b, who, "auc", about=("pruned", "dense", "x"))
    assert row.value == pytest.approx((2 * per_target(a, who, "auc") - 1).mean())
    assert (row.subject, row.versus) == ("pruned", "dense")
    assert difference(a, a, who, "auc", about=("p", "d", "x")).value == 0.0


def test_the_gap_attack_is_half_plus_half_the_gap():
    row = gap_attack(np.array([1.0, 0.9]), np.array([0.6, 0.7]), subject="d", counts={}, trials=200)
    assert row.value == pytest.approx(0.5 + np.mean([0.4, 0.2]) / 2)


def test_sizes_count_what_is_not_zero():
    rows = size_rows("d", prunable=1000, kept=100, parameters=1100, nonzero=150)
    assert [r.value for r in rows] == [0.1, 150 / 1100, 10.0, 1100 / 150]
    assert len(size_rows("d", prunable=10, kept=0, parameters=10, nonzero=0)) == 2


def test_the_roc_series_is_the_mean_over_targets_within_its_band():
    scores, who = world_scores(8)
    series = roc_series(scores, who, subject="dense", method="x")
    tpr, low, high = (np.array(series.columns[k]) for k in ("tpr", "low", "high"))
    assert (low <= tpr + 1e-12).all()
    assert (tpr <= high + 1e-12).all()
    assert len(tpr) <= 500
    at = series.columns["fpr"].index(0.01)
    by_hand = np.mean(
        [
            oracle.tpr_at(s.tolist(), m.tolist(), 0.01)
            for s, m in zip(scores.values, who.inside, strict=True)
        ]
    )
    assert tpr[at] == pytest.approx(by_hand)


def test_the_null_control_passes_on_an_honest_measure_and_is_raised_on_a_biased_one(monkeypatch):
    scores, who = world_scores(8)
    assert null_control(scores, who, subject="dense", seed=0).status == "passed"
    honest = controls.auc

    def flattering(*args, **kwargs):
        row = honest(*args, **kwargs)
        return replace(row, value=row.value + 0.1, low=row.low + 0.1, high=row.high + 0.1)

    monkeypatch.setattr(controls, "auc", flattering)
    assert null_control(scores, who, subject="dense", seed=0).status == "raised"


def test_the_planted_control_is_raised_when_an_attack_is_blind():
    world = planted_world(records=400, targets=2, references=16, shift=0.0, seed=0)
    assert planted_control(LiRA(), world, seed=0).status == "passed"

    class Blind(LiRA):
        def __call__(self, observations, *, seed=0):
            scores = super().__call__(observations, seed=seed)
            return Scores(values=0 * scores.values, evaluated=scores.evaluated)

    assert planted_control(Blind(), world, seed=0).status == "raised"


def balanced_design(models, references=None, records=1_000):
    """Return signals without any leak; the target is one of the design, or drawn apart from it."""
    rng = np.random.default_rng(models)
    inside = rng.random((models, records)).argsort(axis=0) < models // 2
    if references is not None:
        inside = np.concatenate([rng.random((1, records)) < 0.5, inside[:references]])
    who = Membership(
        inside=inside,
        roles=("target", *("reference",) * (len(inside) - 1)),
        pools={"audit": np.arange(records)},
        units=np.arange(records),
        seed=0,
    )
    return Observations.from_arrays(
        {"margin": rng.normal(size=inside.shape)}, labels=np.arange(records) % 2, membership=who
    )


@pytest.mark.parametrize(
    ("models", "status", "value"), [(4, "raised", 0.42), (8, "raised", 0.48), (64, "passed", 0.5)]
)
def test_leave_one_out_over_few_models_of_a_balanced_design_is_raised(models, status, value):
    world = balanced_design(models)
    control = leave_one_out_control(LiRA(), world, subject="given", seed=0)
    assert (control.status, control.value) == (status, pytest.approx(value, abs=0.04))
    assert f"{models} models of one balanced design" in control.saw and "-1.00" in control.saw


def test_leave_one_out_is_found_with_several_targets_and_with_records_in_no_model():
    world = balanced_design(16)
    who = world.membership
    several = replace(who, roles=("target",) * 4 + ("reference",) * 12)
    found = leave_one_out_control(
        LiRA(), replace(world, membership=several), subject="given", seed=0
    )
    assert found.status == "raised" and "-0.4" in found.saw
    inside = np.array(who.inside)
    inside[:, :400] = False
    some = replace(who, inside=inside)
    offline = LiRA(mode="offline")
    found = leave_one_out_control(offline, replace(world, membership=some), subject="given", seed=0)
    assert found.status == "raised" and "-1.00" in found.saw


@pytest.mark.parametrize("references", [3, 8, 16])
def test_references_drawn_apart_from_the_target_are_no_leave_one_out(references):
    # balanced themselves, or a part of another balanced design
    for design in (references, 20):
        world = balanced_design(design, references=references)
        control = leave_one_out_control(LiRA(), world, subject="given", seed=0)
        assert (control.status, control.value) == ("passed", None)


def test_the_blind_baseline_catches_a_shifted_non_member_set_and_passes_a_draw():
    records = planted_records(600, seed=0)
    who = planted_world(records=600, targets=4, references=4, shift=0, seed=0).membership
    assert blind_baseline(records, who, seed=0).status == "passed"
    inputs = records.gather(np.arange(600))
    inside = np.zeros((1, 600), bool)
    inside[0, :300] = True
    inputs = inputs + np.where(np.arange(600) < 300, 0.8, 0.0)[:, None].astype(np.float32)
    shifted = Records.from_arrays(inputs, records.labels, n_classes=2)
    given_ = Membership(
        inside=inside,
        roles=("given",),
        pools={"audit": np.arange(600)},
        units=np.arange(600),
        seed=0,
        drawn=False,
    )
    control = blind_baseline(shifted, given_, seed=0)
    assert control.status == "raised"
    assert control.value > 0.7


def test_the_blind_baseline_learns_on_one_thread_whatever_the_caller_allows(monkeypatch):
    seen = []
    fit = HistGradientBoostingClassifier.fit

    def watched(self, *args, **kwargs):
        seen.extend(p["num_threads"] for p in threadpool_info() if p["user_api"] == "openmp")
        return fit(self, *args, **kwargs)

    monkeypatch.setattr(HistGradientBoostingClassifier, "fit", watched)
    who = planted_world(records=200, targets=1, references=2, shift=0, seed=0).membership
    with threadpool_limits(3):
        blind_baseline(planted_records(200, seed=0), who, seed=0)
    assert set(seen) == {1}


def test_near_duplicates_of_other_persons_are_counted():
    records = planted_records(200, seed=0)
    who = planted_world(records=200, targets=1, references=2, shift=0, seed=0).membership
    assert near_duplicates_control(records, who).status == "passed"
    inputs = records.gather(np.arange(200))
    audit = who.pools["audit"]
    inputs[audit[:20]] = inputs[audit[20:40]]
    twins = Records.from_arrays(inputs, records.labels, n_classes=2)
    control = near_duplicates_control(twins, who)
    assert control.status == "raised"
    assert "40 of 100" in control.saw


def test_a_twin_of_another_unit_is_found_behind_one_of_the_same_unit():
    inputs = np.array(planted_records(60, seed=0).gather(np.arange(60)))
    inputs[1:8] = inputs[0]  # eight equal records of two units
    units = np.arange(60)
    units[:7] = 0
    records = Records.from_arrays(inputs, np.arange(60) % 2, n_classes=2)
    who = Membership(
        inside=(units >= 30)[None],
        roles=("given",),
        pools={"audit": np.arange(60)},
        units=units,
        seed=0,
        drawn=False,
    )
    assert near_duplicates_control(records, who).saw.startswith("8 of 60 records")
    alone = replace(who, units=units * (units > 7))
    assert near_duplicates_control(records, alone).saw.startswith("0 of 60 records")


def test_counts_of_references_and_their_training_sizes_are_checked():
    few = planted_world(records=80, targets=2, references=4, shift=0, seed=0).membership
    many = planted_world(records=80, targets=2, references=16, shift=0, seed=0).membership
    assert reference_count_control(few).status == "raised"
    assert reference_count_control(many).status == "passed"
    assert training_size_control(many).status == "passed"
    inside = np.array(many.inside)
    for row in inside[2:]:
        row[np.flatnonzero(row)[5:]] = False
    small = Membership(inside=inside, roles=many.roles, pools=many.pools, units=many.units, seed=0)
    assert training_size_control(small).status == "raised"
    none = planted_world(records=80, targets=2, references=0, shift=0, seed=0).membership
    assert training_size_control(none).status == "not run"


def test_saturated_members_and_flattering_attackers_are_raised():
    world = planted_world(records=200, targets=2, references=4, shift=8.0, seed=0)
    assert saturation_control(world, subject="dense").status == "raised"
    calm = planted_world(records=200, targets=2, references=4, shift=0.0, seed=0)
    assert saturation_control(calm, subject="dense").status == "passed"
    strong = auc(*world_scores(8, shift=2.0), **ABOUT)
    weak = auc(*world_scores(8, shift=0.5), **ABOUT)
    assert adaptive_control(weak, strong).status == "raised"
    assert adaptive_control(strong, strong).status == "passed"


def test_a_difference_of_tprs_that_n_does_not_resolve_is_not_measured():
    a, who = world_scores(4, records=50, shift=2.0)
    b, _ = world_scores(4, records=50, seed=1)
    outside = non_member_units(a, who)
    about = ("pruned", "dense", "x")
    row = difference(a, b, who, "tpr", about=about, fpr=0.001)
    assert (row.status, row.value, row.versus) == ("not resolvable", None, "dense")
    assert row.metric == "tpr at 0.1% fpr"
    assert row.why.startswith("0.1 false positives (units) are expected, at least 10 are needed")
    assert row.counts["expected_false_positive_units"] == pytest.approx(0.001 * outside)
    good = difference(a, b, who, "tpr", about=about, fpr=0.1 + 1e-9)
    expected = (0.1 + 1e-9) * outside
    assert (good.status == "measured") == (expected >= 10)
    few = Scores(values=b.values, evaluated=b.evaluated & (np.arange(50) < 20))
    row = difference(a, few, who, "tpr", about=about, fpr=0.3)
    assert row.status == "measured" and difference(
        a, few, who, "tpr", about=about, fpr=0.1
    ).why.endswith("no listed FPR is resolvable")


def test_a_difference_of_tprs_says_where_thresholds_come_from_and_spans_what_steps_differ_by():
    a, who = world_scores(8, records=300, shift=2.0)
    b, _ = world_scores(8, records=300, seed=1)
    row = difference(a, b, who, "tpr", about=("p", "d", "x"), fpr=0.05)
    assert row.why == "paired over the same targets; threshold chosen on the evaluated data"
    assert row.counts["expected_false_positive_units"] == 0.05 * non_member_units(a, who)
    x, y = (per_target(s, who, "tpr", fpr=0.05) for s in (a, b))
    mean, low, high = t_interval(x - y)
    steps = []
    for scores in (a, b):
        ends = [tpr_segment(v, m, 0.05) for v, m in zip(scores.values, who.inside, strict=True)]
        steps.append(np.mean([upper - lower for lower, upper in ends]))
    taller = steps[0] - steps[1]
    assert taller > 0
    assert (row.value, row.low, row.high) == pytest.approx((mean, low - taller, high))
    other = difference(b, a, who, "tpr", about=("d", "p", "x"), fpr=0.05)
    assert (other.value, other.low, other.high) == pytest.approx((-mean, -high, taller - low))
    assert difference(a, b, who, "auc", about=("p", "d", "x")).why == "paired over the same targets"
