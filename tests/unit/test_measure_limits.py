"""The limits at which an interval is widened and a control is raised."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from secateur.measure import (
    FEWEST_MODELS,
    blind_baseline,
    histogram_series,
    inputs,
    leave_one_out_control,
    planted_control,
    roc_series,
    t_interval,
    tpr_at_fpr,
    widened,
)
from secateur.measure.interval import beta_ends
from secateur.types import Membership, Observations, Records, Scores, Signal

T = "t over targets"
FEW_TOGETHER, FEW_APART = [5, 0, 0, 0, 0, 0, 0, 0], [1, 1, 1, 1, 1, 0, 0, 0]


def of_misses(misses, trials=100):
    values = 1 - np.array(misses) / trials
    mean, low, high = t_interval(values)
    spread = values.std(ddof=1) / np.sqrt(len(values))
    given = np.full(len(values), float(trials))
    return mean, spread, widened((low, high), value=mean, trials=given, interval=T)


@pytest.mark.parametrize(("misses", "all_of_them"), [(FEW_TOGETHER, False), (FEW_APART, True)])
def test_of_few_misses_half_the_way_goes_from_one_targets_trials_to_the_targets(
    misses, all_of_them
):
    mean, spread, found = of_misses(misses)
    by_spread = mean * (1 - mean) / spread**2
    assert (by_spread > 800) == all_of_them  # there are 800 trials, whatever the spread says
    targets = min(800, by_spread) * (stats.norm.ppf(0.975) / stats.t.ppf(0.975, 7)) ** 2
    trials = (100 + targets) / 2  # 5 misses of the 10 that are needed
    low, high = beta_ends(mean * trials, trials, 0.95)
    given = t_interval(1 - np.array(misses) / 100)[1:]
    ends = (min(given[0], low), max(given[1], high))
    assert (found.low, found.high) == pytest.approx(ends)
    assert found.low < given[0]
    assert f"of {trials:.0f} trials" in found.note


@pytest.mark.parametrize(
    ("targets", "share", "too_small"),
    [
        (2, 1e-3, False),  # so near two targets come by chance
        (2, 1e-9, True),
        (8, 0.02, False),
        (8, 0.005, True),
        (64, 0.1, False),
        (64, 0.005, True),
    ],
)
def test_a_spread_is_too_small_below_a_hundredth_of_what_independent_units_make(
    targets, share, too_small
):
    trials, rate = 1000.0, 0.6
    wanted = share * rate * (1 - rate) / trials  # variance of one target's value
    away = np.sqrt(wanted * (targets - 1) / targets)
    mean, low, high = t_interval(rate + away * (-1.0) ** np.arange(targets))
    found = widened((low, high), value=mean, trials=np.full(targets, trials), interval=T)
    assert ("hardly differ" in found.note) == too_small


def design(models, targets=1, records=1000, jitter=0, seed=0):
    """Models of which half hold each record, but for `jitter` records that one more may hold."""
    rng = np.random.default_rng(seed)
    inside = rng.random((models, records)).argsort(axis=0) < models // 2
    for record in range(jitter):
        inside[np.argmin(inside[:, record]), record] = True
    who = Membership(
        inside=inside,
        roles=("target",) * targets + ("reference",) * (models - targets),
        pools={"audit": np.arange(records)},
        units=np.arange(records),
        seed=0,
    )
    signals = {"margin": rng.normal(size=inside.shape)}
    return Observations.from_arrays(signals, labels=np.arange(records) % 2, membership=who)


class Counting:
    """Scores a record by how few references hold it, in noise: what a balanced design tells."""

    def __init__(self, noise):
        self.noise = noise

    def __call__(self, observations, *, seed=0):
        who = observations.membership
        count = who.inside[who.references].sum(axis=0)
        shape = (len(who.targets), len(count))
        noise = np.random.default_rng(seed).normal(size=shape)
        return Scores(values=self.noise * noise - count, evaluated=np.ones(shape, dtype=bool))


@pytest.mark.parametrize(("noise", "status"), [(2.0, "raised"), (1e9, "passed")])
def test_of_many_models_leave_one_out_is_raised_where_the_attack_reads_the_design(noise, status):
    seen = design(FEWEST_MODELS)
    control = leave_one_out_control(Counting(noise), seen, subject="given", seed=0)
    assert control.status == status
    off = abs(control.value - 0.5)
    if status == "raised":  # clearly off, and by less than a few widths
        assert 0.05 < off < 3 * (control.high - control.low)
    else:
        assert off < control.high - control.low


def test_a_design_that_is_balanced_but_for_some_records_is_still_one():
    seen = design(8, records=200, jitter=60)
    control = leave_one_out_control(Counting(1.0), seen, subject="given", seed=0)
    assert control.status == "raised"
    assert "8 models of one balanced design" in control.saw


@pytest.mark.parametrize("seed", range(10))
def test_models_drawn_by_coins_are_no_design(seed):
    seen = design(8)
    rng = np.random.default_rng(seed)
    who = seen.membership
    coins = Membership(
        inside=rng.random(who.inside.shape) < 0.5,
        roles=who.roles,
        pools=who.pools,
        units=who.units,
        seed=0,
    )
    seen = Observations(views=seen.views, labels=seen.labels, membership=coins, n_classes=2)
    control = leave_one_out_control(Counting(1.0), seen, subject="given", seed=0)
    assert (control.status, control.value) == ("passed", None)


class Margin:
    """Scores a record by its margin: the best attack on a planted leak."""

    def __call__(self, observations, *, seed=0):
        margin = observations.plain(Signal(name="margin"))
        values = margin[observations.membership.targets]
        return Scores(values=values, evaluated=np.ones(values.shape, dtype=bool))


@pytest.mark.parametrize("shift", [0.5, 2.0])
def test_the_best_on_a_planted_leak_is_what_the_margin_itself_reaches(shift):
    control = planted_control(Margin(), design(8, targets=8, records=2000), seed=0, shift=shift)
    best = stats.norm.cdf(shift / np.sqrt(2))
    assert control.value == pytest.approx(best, abs=0.015)
    assert f"the best possible is {best:.3f}" in control.saw
    assert control.status == "passed"


def test_the_blind_baseline_is_rarely_raised_by_chance(monkeypatch):
    rng = np.random.default_rng(0)
    monkeypatch.setattr(inputs, "_blind_scores", lambda x, *_: rng.random(len(x)))
    records = Records.from_arrays(np.zeros((60, 1), dtype=np.float32), np.arange(60) % 2)
    who = design(8, targets=8, records=60).membership
    found = [blind_baseline(records, who, seed=0) for _ in range(500)]
    assert sum(c.status == "raised" for c in found) <= 6  # 2 or 3 are expected, 12 without slack
    assert sum(c.low > 0.5 for c in found) > 6


def tied_world(targets=8, records=400):
    """Scores of few distinct values, so that the ROC has high steps, but some of one record."""
    rng = np.random.default_rng(0)
    inside = np.array([rng.permutation(records) < records // 2 for _ in range(targets)])
    values = np.round(rng.normal(size=inside.shape) + inside, 1)
    who = Membership(
        inside=inside,
        roles=("target",) * targets,
        pools={"audit": np.arange(records)},
        units=np.arange(records),
        seed=0,
    )
    return Scores(values=values, evaluated=np.ones(inside.shape, dtype=bool)), who


def test_the_band_of_a_roc_is_the_interval_of_its_tpr_at_every_fpr():
    scores, who = tied_world()
    series = roc_series(scores, who, subject="d", method="x")
    rows = list(zip(*(series.columns[c] for c in ("fpr", "tpr", "low", "high")), strict=True))
    assert sum(row[0] == 0.01 for row in rows) == 1  # a whole number of non-members
    for fpr, *band in [row for row in rows if row[0] >= 0.01][::9]:
        row = tpr_at_fpr(scores, who, fpr=fpr, subject="d", method="x")
        assert band == pytest.approx([row.value, row.low, row.high]), fpr


def test_members_score_higher_in_the_histogram_of_a_leak():
    series = histogram_series(*tied_world(), subject="d", method="x")
    middle = (np.array(series.columns["left"]) + np.array(series.columns["right"])) / 2
    means = [np.average(middle, weights=series.columns[k]) for k in ("members", "non_members")]
    assert means[0] > means[1] + 0.7
