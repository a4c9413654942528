"""Power before a run: what the formulas promise, simulated audits keep."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from secateur.errors import InputError, MethodError
from secateur.measure import (
    AuditSize,
    auc,
    auc_half_width,
    auc_sd,
    auc_value,
    detectable_difference,
    planned_interval,
    resolvable_fpr,
    t_interval,
    targets_needed,
    tpr_at_fpr,
    tpr_at_fpr_value,
    tpr_half_width,
)
from secateur.types import Membership, Scores

SIZE = AuditSize(targets=8, members=150, non_members=150, between_sd=0.02)


def scores(rng, shift):
    """Return scores of 150 members and 150 non-members, the members' larger by `shift`."""
    made = rng.normal(size=300)
    made[:150] += shift
    return made, np.arange(300) < 150


@pytest.mark.parametrize("auc", [0.5, 0.7, 0.9])
def test_the_spread_of_an_auc_from_its_records_is_the_simulated_one(auc):
    rng = np.random.default_rng(0)
    shift = np.sqrt(2) * stats.norm.ppf(auc)
    values = [auc_value(*scores(rng, shift)) for _ in range(2000)]
    assert auc_sd(auc, 150, 150) == pytest.approx(np.std(values), rel=0.12)


@pytest.mark.parametrize(("correlation", "freedom"), [(0.6, 7), (-0.3, 7), (None, 14)])
@pytest.mark.parametrize("targets", [2, 8])
def test_a_detectable_difference_is_found_in_four_of_five_audits(correlation, freedom, targets):
    size = replace(SIZE, targets=targets)
    freedom = freedom * (targets - 1) // 7
    least = detectable_difference(size, auc=0.6, correlation=correlation)
    sd = np.hypot(0.02, auc_sd(0.6, 150, 150))
    rng = np.random.default_rng(1)
    shared = correlation or 0.0
    noise = rng.multivariate_normal(
        [0, 0],
        sd**2 * np.array([[1, shared], [shared, 1]]),
        (
            20_000,
            targets,
        ),
    )
    a, b = noise[..., 0] + least, noise[..., 1]
    if correlation is None:
        error = np.sqrt((a.var(axis=1, ddof=1) + b.var(axis=1, ddof=1)) / targets)
    else:
        error = (a - b).std(axis=1, ddof=1) / np.sqrt(targets)
    away = np.abs(a.mean(axis=1) - b.mean(axis=1)) / error
    assert (away > stats.t.ppf(0.975, freedom)).mean() == pytest.approx(0.8, abs=0.015)


def test_a_detectable_difference_of_made_scores_is_found_as_often_as_promised():
    size = replace(SIZE, between_sd=0.0)
    least = detectable_difference(size, auc=0.6, correlation=None)
    rng = np.random.default_rng(2)
    found, audits = 0, 300
    shifts = [np.sqrt(2) * stats.norm.ppf(0.6 + sign * least / 2) for sign in (1, -1)]
    for _ in range(audits):
        a, b = (np.array([auc_value(*scores(rng, s)) for _ in range(8)]) for s in shifts)
        found += stats.ttest_ind(a, b).pvalue < 0.05
    assert stats.binomtest(found, audits, 0.8).pvalue > 0.001


def test_targets_needed_is_the_first_number_that_finds_the_difference():
    n = targets_needed(0.02, SIZE, auc=0.6, correlation=0.5)
    found = [
        detectable_difference(replace(SIZE, targets=t), auc=0.6, correlation=0.5)
        for t in (n - 1, n)
    ]
    assert found[0] > 0.02 >= found[1]
    assert targets_needed(0.5, replace(SIZE, between_sd=0.0), auc=0.6, correlation=0.9) == 2
    with pytest.raises(MethodError, match="more than 100000 targets"):
        targets_needed(1e-5, SIZE, auc=0.6, correlation=None)


def test_pairing_more_records_more_targets_and_less_power_all_make_smaller_differences_visible():
    base = detectable_difference(SIZE, auc=0.6, correlation=0.3)
    assert detectable_difference(SIZE, auc=0.6, correlation=0.8) < base
    assert detectable_difference(replace(SIZE, members=600), auc=0.6, correlation=0.3) < base
    assert detectable_difference(replace(SIZE, targets=16), auc=0.6, correlation=0.3) < base
    assert detectable_difference(SIZE, auc=0.6, correlation=0.3, power=0.5) < base


def test_half_widths_are_those_of_simulated_intervals():
    size = AuditSize(targets=8, members=1000, non_members=1000, between_sd=0.0)
    rng = np.random.default_rng(3)
    widths = []
    for _ in range(150):
        made = rng.normal(size=(8, 2000))
        made[:, :1000] += 1.0
        members = np.arange(2000) < 1000
        values = np.array(
            [(auc_value(x, members), tpr_at_fpr_value(x, members, 0.05)[0]) for x in made]
        )
        widths.append([t_interval(c)[2] - c.mean() for c in values.T])
    c4 = 0.9650  # a standard deviation of 8 values is low by this on average
    wanted = c4 * auc_half_width(size, auc=stats.norm.cdf(1 / np.sqrt(2)))
    assert np.mean(widths, axis=0)[0] == pytest.approx(wanted, rel=0.08)
    tpr = stats.norm.sf(stats.norm.isf(0.05) - 1)
    wanted = c4 * tpr_half_width(size, tpr=tpr, fpr=0.05)
    assert np.mean(widths, axis=0)[1] == pytest.approx(wanted, rel=0.08)


def test_a_spread_of_aucs_between_targets_becomes_the_spread_of_their_tprs():
    rng = np.random.default_rng(4)
    many = 10**9
    size = AuditSize(targets=8, members=many, non_members=many, between_sd=0.02)
    shift = 1 + rng.normal(size=20_000) * 0.02 * np.sqrt(2) / stats.norm.pdf(1 / np.sqrt(2))
    assert np.std(stats.norm.cdf(shift / np.sqrt(2))) == pytest.approx(0.02, rel=0.03)
    spread = np.std(stats.norm.sf(stats.norm.isf(0.01) - shift))
    tpr = stats.norm.sf(stats.norm.isf(0.01) - 1)
    wanted = stats.t.ppf(0.975, 7) * spread / np.sqrt(8)
    assert tpr_half_width(size, tpr=tpr, fpr=0.01) == pytest.approx(wanted, rel=0.05)
    one = AuditSize(targets=1, members=1000, non_members=1000, between_sd=0.3)
    calm = replace(one, between_sd=0.0)
    assert tpr_half_width(one, tpr=0.3, fpr=0.05) == tpr_half_width(calm, tpr=0.3, fpr=0.05)


def test_an_fpr_below_what_the_size_resolves_is_refused_with_the_one_that_it_does():
    assert resolvable_fpr(SIZE) == 0.01
    assert resolvable_fpr(replace(SIZE, targets=1, non_members=50)) is None
    with pytest.raises(MethodError, match=r"0.001 1.2 false positives .* the lowest is 0.01$"):
        tpr_half_width(SIZE, tpr=0.1, fpr=0.001)
    with pytest.raises(MethodError, match=r"0.5 false positives .* no listed FPR is resolvable$"):
        tpr_half_width(replace(SIZE, targets=1, non_members=50), tpr=0.1, fpr=0.01)


@pytest.mark.parametrize(("targets", "between", "c4"), [(1, 0.0, 1.0), (3, 0.02, 0.886)])
def test_below_eight_targets_the_half_width_is_that_of_the_bootstrap_that_an_audit_gives(
    targets, between, c4
):
    rng = np.random.default_rng(6)
    records = 600
    inside = np.tile(np.arange(records) < records // 2, (targets, 1))
    who = Membership(
        inside=inside,
        roles=("target",) * targets,
        pools={"audit": np.arange(records)},
        units=np.arange(records),
        seed=0,
    )
    per_auc = stats.norm.pdf(1 / np.sqrt(2)) / np.sqrt(2)
    widths = []
    for _ in range(40):
        shift = 1 + between / per_auc * rng.normal(size=(targets, 1))
        made = Scores(
            values=rng.normal(size=inside.shape) + shift * inside, evaluated=inside | True
        )
        rows = [
            auc(made, who, subject="d", method="x"),
            tpr_at_fpr(made, who, fpr=0.1, subject="d", method="x"),
        ]
        widths.append([r.high - r.low for r in rows])
    size = AuditSize(
        targets=targets, members=records // 2, non_members=records // 2, between_sd=between
    )
    assert planned_interval(size) == rows[0].interval
    value = stats.norm.cdf(1 / np.sqrt(2))
    wide, narrow = (f * 2 * auc_half_width(size, auc=value) for f in (1.0, c4))
    assert 0.92 * narrow < np.mean(widths, axis=0)[0] < 1.08 * wide
    tpr = stats.norm.sf(stats.norm.isf(0.1) - 1)
    wide, narrow = (f * 2 * tpr_half_width(size, tpr=tpr, fpr=0.1) for f in (1.0, c4))
    assert 0.9 * narrow < np.mean(widths, axis=0)[1] < 1.15 * wide


def test_few_targets_plan_wider_than_their_t_interval_and_more_targets_narrower():
    sizes = [replace(SIZE, targets=n) for n in (2, 4, 7, 8)]
    widths = [auc_half_width(s, auc=0.6) for s in sizes]
    assert (np.diff(widths) < 0).all()
    for size, width in list(zip(sizes, widths, strict=True))[:3]:
        spread = np.hypot(size.between_sd, auc_sd(0.6, size.members, size.non_members))
        alone = stats.t.ppf(0.975, size.targets - 1) * spread / np.sqrt(size.targets)
        assert alone < width < 1.5 * alone


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: replace(SIZE, targets=0), "at least 1, got 0, 150 and 150"),
        (lambda: replace(SIZE, between_sd=-0.1), r"between_sd must be in \[0, 0.5\), got -0.1"),
        (lambda: auc_sd(1.0, 10, 10), r"auc must be in \(0, 1\), got 1.0"),
        (
            lambda: detectable_difference(replace(SIZE, targets=1), auc=0.6, correlation=0.5),
            "a difference over targets needs at least 2 of them, got 1",
        ),
        (
            lambda: detectable_difference(SIZE, auc=0.6, correlation=1.0),
            r"correlation must be in \[-1, 1\), got 1.0",
        ),
        (
            lambda: detectable_difference(SIZE, auc=0.6, correlation=0.0, power=0.01),
            r"power must be in \(0.05, 1\), got 0.01",
        ),
        (
            lambda: targets_needed(0.0, SIZE, auc=0.6, correlation=0.0),
            "difference must be above 0, got 0",
        ),
        (lambda: tpr_half_width(SIZE, tpr=1.0, fpr=0.1), "tpr and fpr must be in"),
    ],
)
def test_what_cannot_be_planned_is_refused(call, message):
    with pytest.raises((InputError, MethodError), match=message):
        call()
