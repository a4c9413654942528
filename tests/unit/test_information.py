"""The information view: exact on discrete distributions, near the truth on Gaussian scores."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.spatial.distance import jensenshannon
from scipy.stats import binomtest, norm

from secateur.errors import InputError
from secateur.measure import (
    LEAST_GAIN,
    accuracy_bound,
    accuracy_bound_of_jensen_shannon,
    best_gain,
    gain,
    information_rows,
    jensen_shannon,
    total_variation,
)
from secateur.types import Membership, Scores

ABOUT = ("dense", "x", "adaptive")


@st.composite
def distributions(draw):
    n = draw(st.integers(1, 6))
    weights = st.lists(st.integers(0, 9), min_size=n, max_size=n).filter(any)
    p, q = np.array(draw(weights), float), np.array(draw(weights), float)
    return p / p.sum(), q / q.sum()


def expected_gain(p, q, h):
    """E_p[log h] + E_q[log(1 - h)] by the sum over outcomes, 0 log 0 = 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(
            np.where(p > 0, p * np.log(h), 0).sum() + np.where(q > 0, q * np.log(1 - h), 0).sum()
        )


@given(distributions(), st.integers(0, 2**31))
def test_no_attacker_gains_more_than_the_likelihood_ratio_and_it_gains_the_bound(pair, seed):
    p, q = pair
    best = np.divide(p, p + q, out=np.full(len(p), 0.5), where=p + q > 0)
    assert expected_gain(p, q, best) == pytest.approx(best_gain(p, q), abs=1e-12)
    for h in np.random.default_rng(seed).uniform(0.001, 0.999, size=(20, len(p))):
        assert expected_gain(p, q, h) <= best_gain(p, q) + 1e-12


@given(distributions())
def test_the_gain_is_least_where_members_and_others_look_alike_and_only_there(pair):
    p, q = pair
    assert best_gain(p, p) == pytest.approx(LEAST_GAIN, abs=1e-15)
    assert LEAST_GAIN <= best_gain(p, q) <= 1e-12
    if np.abs(p - q).max() > 1e-6:
        assert best_gain(p, q) > LEAST_GAIN + 1e-13


@given(distributions())
def test_divergence_equals_scipys_squared_distance_and_bounds_the_accuracy(pair):
    p, q = pair
    assert jensen_shannon(p, q) == pytest.approx(jensenshannon(p, q) ** 2, abs=1e-9)
    assert jensen_shannon(p, q) == jensen_shannon(q, p)
    assert accuracy_bound(p, q) <= accuracy_bound_of_jensen_shannon(jensen_shannon(p, q)) + 1e-9
    assert jensen_shannon(p, q) <= math.log(2) * total_variation(p, q) + 1e-12


@given(distributions())
def test_no_decision_rule_is_more_accurate_than_the_bound_and_one_reaches_it(pair):
    p, q = pair
    rules = [np.array([(k >> i) & 1 for i in range(len(p))], bool) for k in range(2 ** len(p))]
    accuracies = [(p[said].sum() + q[~said].sum()) / 2 for said in rules]
    assert max(accuracies) == pytest.approx(accuracy_bound(p, q), abs=1e-12)


def test_the_gain_of_given_probabilities_is_the_mean_of_logs():
    h_in, h_out = np.array([0.9, 0.6]), np.array([0.2, 0.3, 0.5])
    want = (math.log(0.9) + math.log(0.6)) / 2
    want += (math.log(0.8) + math.log(0.7) + math.log(0.5)) / 3
    assert gain(h_in, h_out) == pytest.approx(want)


def test_what_is_no_probability_is_refused():
    with pytest.raises(InputError, match=r"on_members needs .* got 2 values in 0.0 .. 0.5"):
        gain(np.array([0.0, 0.5]), np.array([0.5]))
    with pytest.raises(InputError, match=r"on_non_members needs probabilities .* got 0 values"):
        gain(np.array([0.5]), np.array([]))
    with pytest.raises(InputError, match=r"q must be non-negative and sum to 1, got the sum 1.1"):
        jensen_shannon(np.array([0.5, 0.5]), np.array([0.6, 0.5]))
    with pytest.raises(InputError, match=r"same outcomes are needed, got \(2,\) and \(3,\)"):
        total_variation(np.array([0.5, 0.5]), np.ones(3) / 3)
    with pytest.raises(InputError, match=r"in 0 .. log 2 nats \(0.693\), got 0.7"):
        accuracy_bound_of_jensen_shannon(0.7)


# --- from scores


def world(rng, targets, records, shift):
    inside = rng.random((targets, records)) < 0.5
    who = Membership(
        inside=inside,
        roles=("target",) * targets,
        pools={"audit": np.arange(records)},
        units=np.arange(records),
        seed=0,
    )
    values = rng.normal(size=inside.shape) + shift * inside
    return Scores(values=values, evaluated=np.ones(inside.shape, np.bool_)), who


def true_divergence(shift):
    def part(x):
        p, q = norm.pdf(x - shift), norm.pdf(x)
        m = (p + q) / 2
        return (p * math.log(p / m) + q * math.log(q / m)) / 2

    return quad(part, -8, 8 + shift)[0]


@pytest.mark.parametrize("shift", [0.5, 1.5, 3.0])
@pytest.mark.parametrize("targets", [2, 8])
def test_on_gaussian_scores_the_estimates_are_just_below_the_truth(shift, targets):
    rng = np.random.default_rng(int(10 * shift))
    scores, who = world(rng, targets, 4000, shift)
    gained, divergence, accuracy = information_rows(scores, who, about=ABOUT)
    truth = true_divergence(shift)
    best = norm.cdf(shift / 2)
    assert 0.92 * truth - 0.008 < divergence.value < 1.03 * truth + 0.008
    assert divergence.low < truth
    assert gained.value == pytest.approx(LEAST_GAIN + 2 * divergence.value)
    assert best - 0.03 < accuracy.value < best + 0.015 and accuracy.low < best
    plug_in = divergence.counts["plug_in"]
    assert plug_in > divergence.value
    assert divergence.interval == ("t over targets" if targets == 8 else "two-way bootstrap")
    assert divergence.unit == "nats" and "biased downward" in divergence.why


def test_where_nothing_leaks_the_gain_is_not_above_its_least_and_the_plug_in_bias_is_as_stated():
    rng = np.random.default_rng(0)
    found, plugged, stated = [], [], []
    for _ in range(40):
        scores, who = world(rng, 2, 500, 0.0)
        gained, divergence, accuracy = information_rows(scores, who, about=ABOUT)
        found.append(gained.value)
        plugged.append(divergence.counts["plug_in"])
        stated.append(divergence.counts["plug_in_bias"])
        assert accuracy.low < 0.5 + 0.03
    assert np.mean(found) < LEAST_GAIN
    assert np.mean(plugged) == pytest.approx(np.mean(stated), rel=0.1)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("targets", "shift"), [(8, 1.5), (8, 0.3), (3, 1.5)])
def test_the_lower_ends_stay_below_the_truth_in_two_thousand_worlds(targets, shift):
    rng = np.random.default_rng(targets)
    truths = (LEAST_GAIN + 2 * true_divergence(shift), true_divergence(shift), norm.cdf(shift / 2))
    below = np.zeros(3)
    for _ in range(2000):
        rows = information_rows(*world(rng, targets, 300, shift), about=ABOUT)
        below += [row.low <= truth for row, truth in zip(rows, truths, strict=True)]
    print(f"{targets} targets, shift {shift}: low is below the truth in {below / 2000}")
    for hits in below.astype(int).tolist():
        assert binomtest(hits, 2000, 0.975, alternative="less").pvalue >= 0.001


@pytest.mark.parametrize(("targets", "worlds"), [(1, 120), (8, 250)])
def test_where_nothing_leaks_the_accuracys_lower_end_is_seldom_above_a_half(targets, worlds):
    rng = np.random.default_rng(targets)
    above = 0
    for _ in range(worlds):
        scores, who = world(rng, targets, 200, 0.0)
        above += information_rows(scores, who, about=ABOUT)[2].low > 0.5
    assert above <= 0.05 * worlds  # 0.025 is promised; without stretching 0.07 to 0.09


def test_no_unit_judges_itself():
    """Scores name each record: a fit that saw a record would know it, an honest one nothing."""
    rng = np.random.default_rng(1)
    _, who = world(rng, 1, 60, 0.0)
    seen = Scores(values=np.arange(60.0)[None], evaluated=np.ones((1, 60), np.bool_))
    gained, divergence, _ = information_rows(seen, who, about=ABOUT, bins=60)
    assert gained.value == pytest.approx(LEAST_GAIN, abs=0.05) and divergence.value < 0.03
    assert divergence.counts["plug_in"] == pytest.approx(math.log(2))
    assert gained.estimand == "this model" and gained.interval == "unit bootstrap"


def test_a_person_is_in_one_fold_with_all_records():
    rng = np.random.default_rng(2)
    by_unit = rng.random((1, 30)) < 0.5
    who = Membership(
        inside=np.repeat(by_unit, 10, axis=1),
        roles=("target",),
        pools={"audit": np.arange(300)},
        units=np.repeat(np.arange(30), 10),
        seed=0,
    )
    values = np.repeat(np.arange(30.0), 10)[None]
    named = Scores(values=values, evaluated=np.ones((1, 300), np.bool_))
    gained, *_ = information_rows(named, who, about=ABOUT, bins=30)
    assert gained.value < LEAST_GAIN + 0.2


def test_estimates_are_the_same_again_and_bad_sizes_are_refused():
    rng = np.random.default_rng(3)
    scores, who = world(rng, 2, 100, 1.0)
    a, b = (information_rows(scores, who, about=ABOUT, seed=4) for _ in range(2))
    assert a == b
    with pytest.raises(InputError, match="bins=1, folds=5"):
        information_rows(scores, who, about=ABOUT, bins=1)
    with pytest.raises(InputError, match="100 evaluated units cannot be cut into 60 folds"):
        information_rows(scores, who, about=ABOUT, folds=60)
    only = Scores(values=scores.values, evaluated=who.inside)
    with pytest.raises(InputError, match=r"target 0 has .* members and non-members are needed"):
        information_rows(only, who, about=ABOUT)
