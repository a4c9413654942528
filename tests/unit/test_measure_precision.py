"""Precision at a prior and the realised FPR: Bayes by hand, refusals, and what is too little."""

from __future__ import annotations

import numpy as np
import pytest

from secateur.errors import InputError
from secateur.measure import (
    by_group,
    clopper_pearson,
    per_target,
    positive_predictive_value,
    precision_of,
    realised_fpr,
    t_interval,
)
from secateur.types import Membership, Scores

ABOUT = {"subject": "dense", "method": "x"}


def world(targets, records=400, shift=1.0, threshold=0.5, seed=0):
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
    limit = None if threshold is None else np.full(targets, threshold)
    return Scores(values=values, evaluated=np.ones(inside.shape, bool), threshold=limit), who


def rates(scores, who):
    said = scores.values >= scores.threshold[:, None]
    tpr = [s[m].mean() for s, m in zip(said, who.inside, strict=True)]
    fpr = [s[~m].mean() for s, m in zip(said, who.inside, strict=True)]
    return np.array(tpr), np.array(fpr)


@pytest.mark.parametrize("prior", [0.01, 0.1, 0.5])
@pytest.mark.parametrize("targets", [1, 3, 8])
def test_precision_is_bayes_rule_on_the_mean_rates(targets, prior):
    scores, who = world(targets)
    row = positive_predictive_value(scores, who, prior=prior, **ABOUT)
    tpr, fpr = (r.mean() for r in rates(scores, who))
    assert row.value == pytest.approx(prior * tpr / (prior * tpr + (1 - prior) * fpr))
    assert row.metric == f"precision at {100 * prior:g}% prior"
    assert row.low < row.value < row.high
    assert row.counts["realised_fpr"] == pytest.approx(fpr)
    assert (row.better, row.status) == ("lower", "measured")


def test_precision_counted_on_a_population_with_that_prior_is_the_same():
    scores, who = world(8, records=20_000)
    row = positive_predictive_value(scores, who, prior=0.1, **ABOUT)
    rng = np.random.default_rng(1)
    member = rng.random(400_000) < 0.1
    said = rng.normal(size=member.size) + member >= 0.5
    assert row.value == pytest.approx(member[said].mean(), abs=0.005)


def test_the_interval_from_8_targets_is_symmetric_in_log_odds_and_moves_with_the_prior():
    scores, who = world(8)
    odds = []
    for prior in (0.01, 0.5):
        row = positive_predictive_value(scores, who, prior=prior, **ABOUT)
        logs = [np.log(v / (1 - v)) for v in (row.low, row.value, row.high)]
        assert logs[1] - logs[0] == pytest.approx(logs[2] - logs[1])
        odds.append(np.array(logs) - np.log(prior / (1 - prior)))
    assert odds[0] == pytest.approx(odds[1])
    tpr, fpr = rates(scores, who)
    _, low, _ = t_interval(tpr / tpr.mean() - fpr / fpr.mean())
    assert odds[0][0] - odds[0][1] == pytest.approx(low)


def test_a_precision_from_few_false_positives_is_not_resolvable_and_says_what_was_seen():
    scores, who = world(8, shift=6.0, threshold=3.0)
    row = positive_predictive_value(scores, who, prior=0.01, **ABOUT)
    assert row.status == "not resolvable"
    assert row.counts["false_positive_units"] == (~who.inside & (scores.values >= 3)).sum() < 10
    assert "needs 10 false positives over all targets" in row.why
    silent, who = world(8, threshold=99.0)
    assert positive_predictive_value(silent, who, prior=0.5, **ABOUT).status == "not resolvable"


def test_without_a_threshold_neither_precision_nor_fpr_is_run():
    scores, who = world(8, threshold=None)
    for row in (
        positive_predictive_value(scores, who, prior=0.5, **ABOUT),
        realised_fpr(scores, who, **ABOUT),
    ):
        assert row.status == "not run"
        assert "too few references" in row.why


@pytest.mark.parametrize("prior", [0.0, 1.0, -0.1, 10])
def test_a_prior_outside_0_and_1_is_refused(prior):
    with pytest.raises(InputError, match=r"prior must be in \(0, 1\), got"):
        positive_predictive_value(*world(8), prior=prior, **ABOUT)


def test_nobody_called_a_member_has_no_precision():
    assert np.isnan(precision_of(0.0, 0.0, 0.5))
    assert precision_of(0.2, 0.0, 0.01) == 1.0


def test_the_realised_fpr_is_the_mean_over_targets_at_the_reference_threshold():
    scores, who = world(8)
    row = realised_fpr(scores, who, **ABOUT)
    _, fpr = rates(scores, who)
    assert (row.value, row.low, row.high) == pytest.approx(t_interval(fpr))
    assert row.metric == "false-positive rate"
    assert per_target(scores, who, "false-positive rate") == pytest.approx(fpr)


@pytest.mark.parametrize("targets", [1, 8])
def test_no_false_positive_at_all_still_has_an_upper_end(targets):
    scores, who = world(targets, threshold=99.0)
    row = realised_fpr(scores, who, **ABOUT)
    fewest = (~who.inside).sum(axis=1).min()
    assert (row.value, row.low) == (0.0, 0.0)
    assert row.high == pytest.approx(clopper_pearson(0, int(fewest))[1])
    assert row.interval.endswith(", widened")


def test_intervals_of_groups_hold_for_all_groups_together():
    scores, who = world(8, records=600)
    column = np.arange(600) % 4
    rows = by_group(scores, who, column, name="g", about=("d", "x", ""))
    first = rows[0]
    part = Scores(values=scores.values, evaluated=scores.evaluated & (column == 0))
    values = per_target(part, who, "auc")
    assert (first.value, first.low, first.high) == pytest.approx(t_interval(values, 1 - 0.05 / 4))
    assert first.counts["groups"] == 4
    assert first.why == "95 % for all 4 groups of this column together"
    alone = by_group(scores, who, np.zeros(600), name="g", about=("d", "x", ""))
    values = per_target(scores, who, "auc")
    assert (alone[0].low, alone[0].high) == pytest.approx(t_interval(values)[1:])
