"""Epsilon: peers' packages, closed forms, a linear programme, simulated mechanisms, refusals."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linprog
from scipy.stats import beta, binomtest, norm

from secateur.attack.membership import LiRA, pseudo_targets
from secateur.data import draw, planted_records, planted_world
from secateur.data import given as given_membership
from secateur.errors import DataError, DependentTrialsError, InputError
from secateur.measure import (
    best_guesses,
    default_guesses,
    epsilon_bound,
    epsilon_estimate,
    epsilon_from_guesses,
    epsilon_from_guesses_fdp,
    epsilon_from_rates,
    epsilon_over_runs,
    gdp_delta,
    gdp_epsilon,
    gdp_mu,
    one_run_p_value,
)
from secateur.measure.tails import _approximate, _impossible
from secateur.measure.trials import refuse_given
from secateur.types import Membership, Scores

ABOUT = ("dense", "x", "adaptive")
PEER = json.loads((Path(__file__).parent.parent / "oracles" / "epsilon.json").read_text())
COUNTS = ("guesses", "correct", "canaries", "delta")


def coins(rng, targets, units):
    inside = rng.random((targets, units)) < 0.5
    return Membership(
        inside=inside,
        roles=("target",) * targets,
        pools={"audit": np.arange(units)},
        units=np.arange(units),
        seed=0,
        drawn=True,
        share=0.5,
    )


def runs_with_one_canary(rng, runs):
    """Record 1 is in where record 0 is out, so that every run has a member and a non-member."""
    canary = rng.random(runs) < 0.5
    return Membership(
        inside=np.stack([canary, ~canary], axis=1),
        roles=("target",) * runs,
        pools={"audit": np.arange(2)},
        units=np.arange(2),
        seed=0,
        drawn=True,
        share=0.5,
    )


def scored(values, **changes):
    return Scores(values=values, evaluated=np.ones(values.shape, np.bool_), **changes)


def gaussian_scores(rng, who, mu):
    """The sum of each canary's own coordinate and noise: mu-GDP exactly."""
    return scored(mu * who.inside + rng.normal(size=who.inside.shape))


def answered(rng, who, epsilon):
    """Randomised response: each coin told truly with probability e^eps / (1 + e^eps)."""
    truth = rng.random(who.inside.shape) < 1 / (1 + math.exp(-epsilon))
    return scored((who.inside == truth).astype(float))


# --- the tails


@pytest.mark.parametrize("case", PEER["one_run"], ids=str)
def test_one_run_bounds_equal_those_of_jax_privacy(case):
    counts = {k: case[k] for k in COUNTS}
    assert one_run_p_value(1.0, **counts) == pytest.approx(case["p_value_at_1"], abs=1e-12)
    assert epsilon_from_guesses(**counts) == pytest.approx(case["one_run"], abs=3e-6)
    found = epsilon_from_guesses_fdp(**counts, family="gaussian")
    assert found == pytest.approx(case["fdp"], abs=2e-5)


@pytest.mark.parametrize("case", PEER["rates"], ids=str)
def test_clopper_pearson_bounds_equal_those_of_jax_privacy(case):
    counts = {k: v for k, v in case.items() if k != "epsilon"}
    assert epsilon_from_rates(**counts) == pytest.approx(case["epsilon"], abs=1e-12)


@pytest.mark.parametrize("case", PEER["gaussian"], ids=str)
def test_the_gaussian_curve_equals_that_of_dp_accounting(case):
    assert gdp_epsilon(case["mu"], case["delta"]) == pytest.approx(
        case["epsilon"], rel=1e-9, abs=1e-12
    )


@given(st.floats(0.05, 8), st.floats(0.01, 20))
def test_gdp_epsilon_undoes_gdp_delta(mu, epsilon):
    delta = gdp_delta(mu, epsilon)
    if delta > 1e-290:
        assert gdp_epsilon(mu, delta) == pytest.approx(epsilon, rel=1e-6)


def test_mu_and_delta_of_a_gaussian_mechanism_have_their_closed_forms():
    for threshold in (-1.0, 0.3, 2.0):
        tpr, fpr = norm.sf(threshold - 1.5), norm.sf(threshold)
        assert gdp_mu(tpr=tpr, fpr=fpr) == pytest.approx(1.5)
    assert gdp_delta(0.8, 0.0) == pytest.approx(2 * norm.cdf(0.4) - 1)  # total variation
    assert gdp_delta(0.0, 1.0) == 0.0 == gdp_epsilon(0.0, 1e-5)
    assert gdp_epsilon(0.8, 2 * norm.cdf(0.4) - 1 + 1e-9) == 0.0


@pytest.mark.parametrize(("guesses", "correct"), [(100, 100), (100, 80), (1000, 530), (7, 7)])
def test_without_delta_the_bound_is_the_logit_of_clopper_pearson(guesses, correct):
    q = beta.ppf(0.05, correct, guesses - correct + 1)
    found = epsilon_from_guesses(guesses=guesses, correct=correct, canaries=guesses, delta=0)
    assert found == pytest.approx(max(0.0, math.log(q / (1 - q))), abs=2e-6)


@given(st.integers(1, 30), st.data())
def test_the_p_value_equals_the_formula_summed_term_by_term_and_grows_with_epsilon(r, data):
    v = data.draw(st.integers(0, r))
    m = r + data.draw(st.integers(0, 50))
    delta, epsilon = data.draw(st.sampled_from([0, 1e-4, 0.01])), data.draw(st.floats(0, 4))
    q = math.exp(epsilon) / (1 + math.exp(epsilon))
    pmf = [math.comb(r, k) * q**k * (1 - q) ** (r - k) for k in range(r + 1)]
    alpha = max((sum(pmf[v - j] for j in range(1, i + 1)) / i for i in range(1, v + 1)), default=0)
    want = min(1.0, sum(pmf[v:]) + 2 * m * delta * alpha)
    counts = {"guesses": r, "correct": v, "canaries": m, "delta": delta}
    assert one_run_p_value(epsilon, **counts) == pytest.approx(want, abs=1e-9)
    bound = epsilon_from_guesses(**counts, confidence=0.9)
    grid = np.linspace(0, 6, 61)
    rejected = [one_run_p_value(e, **counts) <= 0.1 for e in grid]
    first = grid[rejected.index(False)] if False in rejected else 6.0
    assert first - 0.1 - 1e-6 <= bound <= first + 1e-6 or bound > 6


@given(st.integers(2, 9), st.data())
def test_the_f_dp_recursion_equals_a_linear_programme_over_all_adversaries(r, data):
    """Maximise P(>= v correct) over p_0 .. p_r under every constraint that the theorem gives."""
    v = data.draw(st.integers(1, r))
    m = r + data.draw(st.integers(0, 9))
    epsilon = data.draw(st.floats(0, 3))
    delta = data.draw(st.sampled_from([0.0, 0.001, 0.03]))
    j = np.arange(r + 1)
    rows, most = [], []
    for i in range(1, r + 1):
        right = np.where(j >= i, j / m, 0)
        wrong = np.where(j >= i - 1, (r - j) / m, 0)
        rows += [right - math.exp(epsilon) * wrong, right - math.exp(-epsilon) * wrong]
        most += [delta, 1 - (1 - delta) * math.exp(-epsilon)]
    found = linprog(
        -(j >= v).astype(float), A_ub=rows, b_ub=most, A_eq=[np.ones(r + 1)], b_eq=[1.0]
    )
    best = -found.fun
    least = _approximate(epsilon, delta)
    for level in (0.02, 0.1, 0.4, 0.8):
        if abs(level - best) > 1e-7:
            assert _impossible(least, r, v, m, level) == (level > best)


def test_bounds_grow_with_correct_guesses_and_shrink_with_delta_confidence_and_canaries():
    base = {"guesses": 200, "correct": 160, "canaries": 1000, "delta": 1e-4}
    for bound in (
        epsilon_from_guesses,
        epsilon_from_guesses_fdp,
        lambda **k: epsilon_from_guesses_fdp(**k, family="gaussian"),
    ):
        middle = bound(**base)
        assert bound(**{**base, "correct": 170}) > middle > bound(**{**base, "correct": 150})
        assert bound(**{**base, "delta": 1e-3}) < middle
        assert bound(**base, confidence=0.99) < middle
        assert bound(**{**base, "canaries": 4000}) <= middle
        assert bound(**{**base, "correct": 100}) == 0.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"correct": 11}, "got 11 correct of 10 guesses on 20 canaries"),
        ({"guesses": 30}, "got 5 correct of 30 guesses on 20 canaries"),
        ({"guesses": 0, "correct": 0}, "at least 1 guess"),
        ({"delta": -0.1}, r"delta must be in \[0, 1\], got -0.1"),
        ({"confidence": 1.0}, r"confidence must be in \(0, 1\), got 1.0"),
    ],
)
def test_counts_that_cannot_be_are_refused(changes, message):
    counts = {"guesses": 10, "correct": 5, "canaries": 20, "delta": 0.0, **changes}
    with pytest.raises(InputError, match=message):
        epsilon_from_guesses(**counts)
    with pytest.raises(InputError, match=message):
        epsilon_from_guesses_fdp(**counts)


def test_parameters_that_cannot_be_are_refused():
    counts = {"guesses": 10, "correct": 5, "canaries": 20}
    with pytest.raises(InputError, match="no epsilon is finite at delta=0"):
        epsilon_from_guesses_fdp(**counts, delta=0, family="gaussian")
    with pytest.raises(InputError, match="family must be 'approximate' or 'gaussian', got 'x'"):
        epsilon_from_guesses_fdp(**counts, delta=0, family="x")
    with pytest.raises(InputError, match="epsilon must be finite and at least 0, got -1"):
        one_run_p_value(-1, **counts, delta=0)
    with pytest.raises(InputError, match=r"true_positives must be in 0 .. n .* got 3 of 2"):
        epsilon_from_rates(true_positives=3, members=2, false_positives=0, non_members=2, delta=0)
    with pytest.raises(InputError, match=r"tpr must be strictly between 0 and 1, got 1.0"):
        gdp_mu(tpr=1.0, fpr=0.5)
    with pytest.raises(InputError, match=r"delta must be in \(0, 1\], got 0"):
        gdp_epsilon(1.0, 0)
    with pytest.raises(InputError, match="mu must be finite and at least 0, got -1"):
        gdp_epsilon(-1.0, 0.1)
    with pytest.raises(InputError, match="mu and epsilon must be finite"):
        gdp_delta(1.0, math.inf)


# --- from scores


def covers(name, bounds, truth, confidence=0.95):
    """Fail only when more bounds than 1 - confidence are too large, beyond chance at 0.001."""
    hits = int((np.asarray(bounds) <= truth + 1e-9).sum())
    print(f"{name}: {hits} of {len(bounds)} hold, mean {np.mean(bounds):.3f} of {truth:.3f}")
    assert binomtest(hits, len(bounds), confidence, alternative="less").pvalue >= 0.001, name


def randomised_response(epsilon, worlds, units, targets=1):
    rng = np.random.default_rng(int(100 * epsilon))
    rule = (units // 2, units // 2)
    found = []
    for _ in range(worlds):
        # a coin's answer is the score; ties between equal answers are cut blindly
        who = coins(rng, targets, units)
        row = epsilon_bound(
            answered(rng, who, epsilon), who, delta=0.0, guesses=[rule], about=ABOUT
        )
        found.append(row.value)
    return found


@pytest.mark.parametrize(("epsilon", "least"), [(0.2, 0.0), (1.0, 0.8), (3.0, 2.6)])
def test_on_randomised_response_the_bound_holds_and_is_near(epsilon, least):
    found = randomised_response(epsilon, worlds=100, units=2000)
    covers(f"randomised response {epsilon}", found, epsilon)
    assert np.mean(found) >= least


def gaussian_mechanism(mu, tail, worlds, units, rules, delta=1e-5):
    rng = np.random.default_rng(int(10 * mu))
    found = []
    for _ in range(worlds):
        who = coins(rng, 1, units)
        scores = gaussian_scores(rng, who, mu)
        row = epsilon_bound(scores, who, delta=delta, tail=tail, guesses=rules, about=ABOUT)
        found.append(row.value)
    return found


GAPS = (  # tail, mu, the least share of the true epsilon that the mean bound must reach
    ("one run", 0.5, 0.25),
    ("one run", 2.0, 0.3),
    ("f-DP", 2.0, 0.3),
    ("f-DP, Gaussian", 0.5, 0.35),
    ("f-DP, Gaussian", 2.0, 0.45),
)


@pytest.mark.parametrize(("tail", "mu", "share"), GAPS)
def test_on_a_gaussian_mechanism_the_bound_holds_and_is_not_vacuous(tail, mu, share):
    truth = gdp_epsilon(mu, 1e-5)
    found = gaussian_mechanism(mu, tail, worlds=40, units=1000, rules=None)
    covers(f"{tail}, mu {mu}", found, truth)
    assert np.mean(found) >= share * truth


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("tail", "mu", "share"), GAPS)
@pytest.mark.parametrize("rules", [None, [(30, 0)]], ids=["best of five", "fixed"])
def test_bounds_on_a_gaussian_mechanism_hold_in_two_thousand_worlds(tail, mu, share, rules):
    truth = gdp_epsilon(mu, 1e-5)
    found = gaussian_mechanism(mu, tail, worlds=2000, units=400, rules=rules)
    covers(f"{tail}, mu {mu}, {rules}", found, truth)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("epsilon", [0.0, 0.5, 2.0, 5.0])
def test_bounds_on_randomised_response_hold_in_two_thousand_worlds(epsilon):
    found = randomised_response(epsilon, worlds=2000, units=400, targets=2)
    covers(f"randomised response {epsilon}", found, epsilon)


def over_runs(mu, worlds, runs, threshold, delta=1e-5):
    rng = np.random.default_rng(int(10 * mu) + 7)
    found = []
    for _ in range(worlds):
        who = runs_with_one_canary(rng, runs)
        row = epsilon_over_runs(
            gaussian_scores(rng, who, mu),
            who,
            record=0,
            delta=delta,
            threshold=threshold,
            about=ABOUT,
        )
        found.append(row.value)
    return found


@pytest.mark.parametrize(("mu", "threshold", "share"), [(1.0, 2.0, 0.25), (3.0, 3.0, 0.2)])
def test_over_independent_runs_the_bound_holds_and_is_not_vacuous(mu, threshold, share):
    truth = gdp_epsilon(mu, 1e-5)
    found = over_runs(mu, worlds=100, runs=1000, threshold=threshold)
    covers(f"Clopper-Pearson, mu {mu}", found, truth)
    assert np.mean(found) >= share * truth


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("epsilon", [0.0, 1.0, 3.0])
def test_bounds_over_runs_of_randomised_response_hold_in_two_thousand_worlds(epsilon):
    rng = np.random.default_rng(3)
    found = []
    for _ in range(2000):
        who = runs_with_one_canary(rng, 300)
        row = epsilon_over_runs(
            answered(rng, who, epsilon), who, record=0, delta=0.0, threshold=0.5, about=ABOUT
        )
        found.append(row.value)
    covers(f"Clopper-Pearson, randomised response {epsilon}", found, epsilon)


def test_a_bound_counts_the_right_guesses_at_both_ends_of_every_target():
    rng = np.random.default_rng(0)
    who = coins(rng, 3, 60)
    scores = gaussian_scores(rng, who, 1.0)
    row = epsilon_bound(scores, who, delta=1e-5, guesses=[(10, 5)], about=ABOUT)
    right = 0
    for values, inside in zip(scores.values, who.inside, strict=True):
        order = sorted(range(60), key=lambda i, v=values: -v[i])
        right += sum(inside[order[:10]]) + sum(~inside[order[-5:]])
    want = epsilon_from_guesses(guesses=45, correct=right, canaries=180, delta=1e-5)
    assert row.value == row.low == want and row.high is None
    assert row.counts == {
        **{"targets": 3, "canaries": 180, "guesses": 45, "correct": right},
        **{"rules_tried": 1, "delta": 1e-5},
    }
    assert (row.interval, row.risk, row.estimand) == ("lower bound", "membership", "pipeline")
    assert row.metric == "epsilon at delta 1e-05"
    assert "one record added or removed" in row.why and "fixed beforehand" in row.why


def test_the_best_of_several_rules_pays_for_the_choice():
    rng = np.random.default_rng(1)
    who = coins(rng, 1, 500)
    scores = gaussian_scores(rng, who, 2.0)
    rules = default_guesses(500)
    best = epsilon_bound(scores, who, delta=1e-5, about=ABOUT)
    each = [
        epsilon_bound(
            scores, who, delta=1e-5, guesses=[r], confidence=1 - 0.05 / len(rules), about=ABOUT
        ).value
        for r in rules
    ]
    assert best.value == pytest.approx(max(each))
    assert best.confidence == 0.95 and "best of 5 rules, Bonferroni-corrected" in best.why


def test_a_rule_chosen_on_pseudo_targets_needs_no_correction_and_finds_more():
    world = planted_world(records=1600, targets=2, references=32, shift=2.5, seed=0)
    trial = pseudo_targets(world)
    attack = LiRA()
    rule = best_guesses(attack(trial), trial.membership, delta=1e-5)
    scores = attack(world)
    fixed = epsilon_bound(scores, world.membership, delta=1e-5, guesses=[rule], about=ABOUT)
    tried = epsilon_bound(scores, world.membership, delta=1e-5, about=ABOUT)
    assert fixed.value > tried.value > 1


def test_a_person_with_several_records_is_one_canary():
    rng = np.random.default_rng(2)
    by_unit = rng.random((1, 80)) < 0.5
    who = Membership(
        inside=np.repeat(by_unit, 3, axis=1),
        roles=("target",),
        pools={"audit": np.arange(240)},
        units=np.repeat(np.arange(80), 3),
        seed=0,
        drawn=True,
        share=0.5,
    )
    noise = rng.normal(size=(1, 240))
    row = epsilon_bound(
        scored(who.inside + noise), who, delta=1e-5, guesses=[(20, 20)], about=ABOUT
    )
    assert row.counts["canaries"] == 80
    assert "one unit (all records of a person) added or removed" in row.why
    mean = (by_unit + noise.reshape(1, 80, 3).mean(axis=2))[0]
    order = np.argsort(-mean)
    right = by_unit[0, order[:20]].sum() + (~by_unit[0, order[-20:]]).sum()
    assert row.counts["correct"] == right
    with pytest.raises(DependentTrialsError, match="unit of record 4 owns 3 records"):
        epsilon_over_runs(scored(noise), who, record=4, delta=0, threshold=0.0, about=ABOUT)


def test_a_person_with_many_records_counts_no_more_than_one_with_few():
    rng = np.random.default_rng(9)
    by_unit, sizes = rng.random(90) < 0.5, 1 + np.arange(90) % 3
    units = np.repeat(np.arange(90), sizes)
    who = Membership(
        inside=by_unit[units][None],
        roles=("target",),
        pools={"audit": np.arange(len(units))},
        units=units,
        seed=0,
        drawn=True,
        share=0.5,
    )
    row = epsilon_bound(
        scored(5.0 + by_unit[units][None]), who, delta=0, guesses=[(30, 30)], about=ABOUT
    )
    assert row.counts["correct"] == 60


def test_a_membership_made_by_hand_gets_no_bound_unless_somebody_vouches_for_its_coins():
    rng = np.random.default_rng(5)
    vouched = coins(rng, 2, 100)
    scores = gaussian_scores(rng, vouched, 3.0)
    assert epsilon_bound(scores, vouched, delta=0, about=ABOUT).value > 0
    silent = Membership(
        inside=vouched.inside,
        roles=vouched.roles,
        pools=vouched.pools,
        units=vouched.units,
        seed=0,
    )
    with pytest.raises(DependentTrialsError, match="they were given"):
        epsilon_bound(scores, silent, delta=0, about=ABOUT)
    for untold in (
        replace(vouched, share=None),
        pseudo_targets(
            planted_world(records=400, targets=2, references=16, shift=1.0, seed=0)
        ).membership,
    ):
        with pytest.raises(DependentTrialsError, match="does not say with which share"):
            refuse_given(untold)
    with pytest.raises(DataError, match=r"share=0\.5 .* needs drawn=True; got drawn=False"):
        replace(vouched, drawn=False)


@pytest.mark.parametrize("share", [0.45, 0.52])
def test_a_share_next_to_one_half_gets_no_bound_however_few_the_coins(share):
    records = planted_records(60, seed=0)
    who = draw(records, targets=1, references=0, share=share, seed=0)
    noise = np.random.default_rng(0).normal(size=who.inside.shape)
    seen = Scores(values=noise, evaluated=np.isin(np.arange(60), who.pools["audit"])[None])
    with pytest.raises(DependentTrialsError, match=f"share {share}"):
        epsilon_bound(seen, who, delta=0, about=ABOUT)


def test_dependent_trials_get_no_bound():
    rng = np.random.default_rng(3)
    records = planted_records(200, seed=0)
    own = given_membership(records, members=np.arange(100), non_members=np.arange(100, 200))
    with pytest.raises(DependentTrialsError, match=r"they were given .*drawn=False"):
        epsilon_bound(scored(rng.normal(size=(1, 200))), own, delta=0, about=ABOUT)
    with pytest.raises(DependentTrialsError, match="they were given"):
        epsilon_over_runs(
            scored(rng.normal(size=(1, 200))), own, record=0, delta=0, threshold=0.0, about=ABOUT
        )
    world = planted_world(records=400, targets=2, references=16, shift=1.0, seed=0)
    trial = pseudo_targets(world)
    with pytest.raises(DependentTrialsError, match="its models are references"):
        epsilon_bound(LiRA()(trial), trial.membership, delta=0, about=ABOUT)
    skewed = draw(records, targets=1, references=0, share=0.2, seed=0, pools={"audit": 200})
    with pytest.raises(DependentTrialsError, match=r"thrown with share 0\.2; .*draw\(share=0\.5"):
        epsilon_bound(scored(rng.normal(size=(1, 200))), skewed, delta=0, about=ABOUT)
    one = coins(rng, 1, 100)
    twice = replace(one, inside=np.repeat(one.inside, 2, axis=0), roles=("target",) * 2)
    with pytest.raises(DependentTrialsError, match="same members"):
        epsilon_bound(scored(rng.normal(size=(2, 100))), twice, delta=0, about=ABOUT)


def test_what_does_not_fit_is_refused_with_the_values_seen():
    rng = np.random.default_rng(4)
    who = coins(rng, 2, 50)
    scores = gaussian_scores(rng, who, 1.0)
    with pytest.raises(InputError, match=r"1 to 50 guesses together.*got \(30, 30\)"):
        epsilon_bound(scores, who, delta=0, guesses=[(30, 30)], about=ABOUT)
    with pytest.raises(InputError, match="guesses is empty"):
        epsilon_bound(scores, who, delta=0, guesses=[], about=ABOUT)
    with pytest.raises(InputError, match=r"tail must be one of .* got 'two run'"):
        epsilon_bound(scores, who, delta=0, tail="two run", about=ABOUT)
    with pytest.raises(InputError, match=r"confidence must be in \(0, 1\), got 95"):
        epsilon_bound(scores, who, delta=0, confidence=95, about=ABOUT)
    with pytest.raises(InputError, match="at least 2 canaries"):
        default_guesses(1)
    with pytest.raises(InputError, match="record 50 is not evaluated in every run"):
        epsilon_over_runs(scores, who, record=50, delta=0, threshold=0.0, about=ABOUT)
    with pytest.raises(InputError, match="threshold that was fixed on other data"):
        epsilon_over_runs(scores, who, record=0, delta=0, about=ABOUT)
    split = replace(who, inside=np.stack([who.inside[0], ~who.inside[0]]))
    always = np.array(split.inside)
    always[:, 0] = True
    with pytest.raises(InputError, match="canary 0 is in 2 of 2 runs"):
        epsilon_over_runs(
            scores, replace(who, inside=always), record=0, delta=0, threshold=0.0, about=ABOUT
        )
    few = np.zeros((2, 50), np.bool_)
    few[:, :1] = True
    with pytest.raises(InputError, match=r"an ROC needs|1 evaluated units"):
        epsilon_bound(replace(scores, evaluated=few), who, delta=0, about=ABOUT)


def test_runs_use_the_threshold_that_the_attack_chose_on_references():
    rng = np.random.default_rng(5)
    who = runs_with_one_canary(rng, 400)
    inside = who.inside
    values = 2.0 * inside + rng.normal(size=inside.shape)
    shift = rng.normal(size=400)
    own = scored(values + shift[:, None], threshold=1.0 + shift)
    row = epsilon_over_runs(own, who, record=0, delta=1e-5, about=ABOUT)
    same = epsilon_over_runs(scored(values), who, record=0, delta=1e-5, threshold=1.0, about=ABOUT)
    assert row.value == same.value > 0.5
    assert row.counts["members"] == inside[:, 0].sum() and row.group == "record=0"
    assert row.counts["true_positives"] == ((values[:, 0] >= 1) & inside[:, 0]).sum()
    assert row.counts["false_positives"] == ((values[:, 0] >= 1) & ~inside[:, 0]).sum()


def test_the_gaussian_fit_is_called_an_estimate_and_finds_the_true_epsilon():
    rng = np.random.default_rng(6)
    who = coins(rng, 8, 2000)
    row = epsilon_estimate(gaussian_scores(rng, who, 1.0), who, delta=1e-5, about=ABOUT)
    truth = gdp_epsilon(1.0, 1e-5)
    assert row.low < truth < row.high and row.high - row.low < 1
    assert row.interval == "t over targets" and row.why.startswith("an estimate, not a bound")
    assert row.metric == "epsilon at delta 1e-05, gdp fit"
    nothing = epsilon_estimate(gaussian_scores(rng, who, 0.0), who, delta=1e-5, about=ABOUT)
    assert nothing.low == 0.0
    sure = epsilon_estimate(scored(who.inside.astype(float)), who, delta=1e-5, about=ABOUT)
    assert sure.status == "not resolvable" and "the AUC is 1" in sure.why
