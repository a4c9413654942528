"""Intervals cover: 2,000 made worlds of scores whose truth is known in closed form.

Member r of target t scores N(s_r + e_t, 1), a non-member N(0, 1), with s_r ~ N(m, v) over records
and e_t ~ N(0, tau^2) over targets. Then the mean AUC over targets is the mean over r of
Phi(s_r / sqrt(2 + tau^2)) for this pool of records, and Phi(m / sqrt(2 + tau^2 + v)) for the
population of records. A test fails only when the coverage is below the nominal one beyond chance
(binomial test at 0.001).
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest, norm

from secateur.measure import (
    auc,
    clopper_pearson,
    difference,
    paired_difference,
    t_interval,
    two_way_bootstrap,
    unit_bootstrap,
)
from secateur.measure.roc import auc_value
from secateur.measure.weighted import weighted_auc
from secateur.types import Membership, Scores

WORLDS = 2000
M, V, TAU = 1.0, 0.25, 0.15

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


def check(name, hits, worlds=WORLDS, nominal=0.95):
    rate = hits / worlds
    print(f"coverage {name}: {rate:.4f} of {worlds}")
    p = binomtest(hits, worlds, nominal, alternative="less").pvalue
    assert p >= 0.001, f"{name}: the nominal {nominal:.0%} interval covers {rate:.3f}"


def world(rng, targets, records):
    s = M + np.sqrt(V) * rng.normal(size=records)
    e = TAU * rng.normal(size=targets)
    inside = rng.random((targets, records)) < 0.5
    scores = rng.normal(size=(targets, records)) + inside * (s + e[:, None])
    return s, e, inside, scores


@pytest.mark.parametrize(("targets", "records"), [(8, 200), (8, 1000), (16, 400)])
def test_t_over_targets_covers_the_pipeline_risk_of_this_pool(targets, records):
    rng = np.random.default_rng(targets * records)
    hits = 0
    for _ in range(WORLDS):
        s, _, inside, scores = world(rng, targets, records)
        truth = norm.cdf(s / np.sqrt(2 + TAU**2)).mean()
        values = np.array([auc_value(x, m) for x, m in zip(scores, inside, strict=True)])
        _, low, high = t_interval(values)
        hits += low <= truth <= high
    check(f"t over {targets} targets, {records} records", hits)


@pytest.mark.parametrize("targets", [4, 7])
def test_the_two_way_bootstrap_covers_the_risk_beyond_this_pool(targets):
    rng = np.random.default_rng(targets)
    truth = norm.cdf(M / np.sqrt(2 + TAU**2 + V))
    records, hits = 300, 0
    for i in range(WORLDS):
        _, _, inside, scores = world(rng, targets, records)
        low, high = two_way_bootstrap(
            lambda t, w, x=scores, m=inside: weighted_auc(x[t], m[t], w),
            np.arange(records),
            targets=targets,
            seed=i,
            replicates=200,
        )
        hits += low <= truth <= high
    check(f"two-way bootstrap, {targets} targets", hits)


def test_the_unit_bootstrap_covers_the_risk_of_this_model():
    rng = np.random.default_rng(0)
    records, hits = 400, 0
    for i in range(WORLDS):
        _, e, inside, scores = world(rng, 1, records)
        truth = norm.cdf((M + e[0]) / np.sqrt(2 + V))
        low, high = unit_bootstrap(
            lambda w, x=scores[0], m=inside[0]: weighted_auc(x, m, w),
            np.arange(records),
            seed=i,
            replicates=400,
        )
        hits += low <= truth <= high
    check("unit bootstrap", hits)


def test_the_paired_difference_covers_the_difference():
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(WORLDS):
        s, e, inside, scores = world(rng, 8, 300)
        other = scores - 0.4 * inside + 0.5 * rng.normal(size=scores.shape)
        scale = np.sqrt(1 + 0.25)
        truth = (
            norm.cdf(s / np.sqrt(2 + TAU**2)) - norm.cdf((s - 0.4) / np.sqrt(2 * scale**2 + TAU**2))
        ).mean()
        a = np.array([auc_value(x, m) for x, m in zip(scores, inside, strict=True)])
        b = np.array([auc_value(x, m) for x, m in zip(other, inside, strict=True)])
        _, low, high = paired_difference(a, b)
        hits += low <= truth <= high
        del e
    check("paired difference, 8 targets", hits)


@pytest.mark.parametrize(("n", "p"), [(50, 0.02), (500, 0.01), (500, 0.3)])
def test_clopper_pearson_covers_a_fixed_threshold(n, p):
    rng = np.random.default_rng(n)
    hits = 0
    for k in rng.binomial(n, p, size=WORLDS).tolist():
        low, high = clopper_pearson(k, n)
        hits += low <= p <= high
    check(f"Clopper-Pearson n={n} p={p}", hits)


def test_the_rows_of_a_report_carry_these_intervals():
    rng = np.random.default_rng(2)
    s, _, inside, scores = world(rng, 8, 300)
    who = Membership(
        inside=inside,
        roles=("target",) * 8,
        pools={"audit": np.arange(300)},
        units=np.arange(300),
        seed=0,
    )
    made = Scores(values=scores, evaluated=np.ones_like(inside))
    row = auc(made, who, subject="x", method="m")
    values = np.array([auc_value(x, m) for x, m in zip(scores, inside, strict=True)])
    assert (row.value, row.low, row.high) == pytest.approx(t_interval(values))
    zero = difference(made, made, who, "auc", about=("x", "y", "m"))
    assert (zero.low, zero.high) == (0.0, 0.0)
    assert len(s) == 300
