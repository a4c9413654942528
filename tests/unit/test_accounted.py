"""The accounted epsilon of an audit: of which target, under which later steps, beside the bound."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from secateur.attack.membership import LossThreshold
from secateur.auditing import audit
from secateur.auditing.accounted import accounted_rows
from secateur.compress import ADMM, Magnitude, RandomMask
from secateur.data import digits, draw, restrict
from secateur.defend import DPSGD, WeightDecay
from secateur.errors import MethodError
from secateur.models import MLP
from secateur.report.table import render_text
from secateur.report.words import amounts
from secateur.train import Recipe, apply, train_fleet

METRIC = "accounted epsilon at delta 1e-05"
BOUND = "epsilon at delta 1e-05"
PLAIN = Recipe(build=MLP(widths=(64, 16, 10)), epochs=1)
METHOD = DPSGD(noise_multiplier=1.0, batch_size=64, epochs=2)


@pytest.fixture(scope="module")
def world():
    everything = digits()
    pools = {"audit": 200, "population": 20, "utility": 60}
    who = draw(everything, targets=3, references=4, seed=0, pools=pools)
    return restrict(everything, who)


@pytest.fixture(scope="module")
def fleet(world):
    return train_fleet(METHOD.defended(PLAIN), *world, seed=0, engine="serial", name="dpsgd")


def only(fleet):
    (row,) = accounted_rows(fleet, subject=fleet.name)
    return row


def test_the_target_with_the_fewest_members_counts(fleet):
    who = fleet.membership
    sizes = [len(who.members(m)) for m in who.targets]
    row = only(fleet)
    assert len(set(sizes)) > 1
    assert row.status == "exact"
    assert row.metric == METRIC
    assert row.value == METHOD.epsilon(min(sizes)) == max(METHOD.epsilon(n) for n in sizes)
    assert row.counts["members"] == min(sizes)
    assert row.counts["steps"] == round(2 * min(sizes) / 64)
    for words in ("one record added or removed", "tried", "Poisson", "pseudo-random"):
        assert words in row.why


def test_pruning_without_training_keeps_it(fleet, world):
    pruned = apply(Magnitude(rate=4.0, retrain_epochs=0), fleet, world[0], seed=0, engine="serial")
    assert only(pruned).value == only(fleet).value


@pytest.mark.parametrize(
    "method",
    [
        Magnitude(rate=4.0, retrain_epochs=1),
        ADMM(rate=4.0, rho=(0.001, 1.0)),
        RandomMask(rate=4.0, epochs=1),
    ],
)
def test_a_later_step_that_reads_members_voids_it(fleet, method):
    row = only(replace(fleet, pipeline=(*fleet.pipeline, repr(method))))
    assert row.status == "not run"
    assert row.value is None
    assert repr(method) in row.why
    # whatever comes after it
    late = repr(Magnitude(rate=8.0, retrain_epochs=0))
    assert only(replace(fleet, pipeline=(*fleet.pipeline, repr(method), late))).status == "not run"


def test_a_step_that_nobody_knows_voids_it(fleet):
    row = only(replace(fleet, pipeline=(*fleet.pipeline, "Theirs(rate=4.0)")))
    assert row.status == "not run"
    assert "Theirs(rate=4.0) is no listed method" in row.why


def test_units_with_several_records_are_told_so(fleet):
    who = fleet.membership
    inside = np.array(who.inside)
    units = np.array(who.units)
    first, second = who.pools["audit"][:2]
    units[second] = units[first]
    inside[:, second] = inside[:, first]
    assert inside[who.targets, first].any()
    paired = replace(fleet, membership=replace(who, units=units, inside=inside))
    row = only(paired)
    assert row.status == "not run"
    assert "owns up to 2" in row.why


def test_a_plain_training_promises_nothing(fleet, world):
    plain = train_fleet(PLAIN, *world, seed=0, engine="serial")
    assert accounted_rows(plain, subject="dense") == []
    decayed = replace(fleet, recipe=WeightDecay().defended(PLAIN))
    assert accounted_rows(decayed, subject="x") == []


def test_no_other_defence_is_put_on_top(fleet, world):
    with pytest.raises(MethodError, match="no other defence can change"):
        apply(WeightDecay(), fleet, world[0], seed=0, engine="serial")


@pytest.mark.parametrize("sigma", [0.3, 1.0, 4.0])
def test_an_audit_s_lower_bound_stays_below_the_accounted_epsilon(world, sigma):
    records, who = world
    method = replace(METHOD, noise_multiplier=sigma, epochs=20)
    fleet = train_fleet(method.defended(PLAIN), records, who, seed=0, engine="serial", name="dp")
    rows = {r.metric: r for r in audit(fleet, records, attacks=[LossThreshold()]).rows}
    assert rows[BOUND].status == "measured"
    assert 0 <= rows[BOUND].value <= rows[METRIC].value


def test_reports_say_it_in_words(fleet, world):
    records, _ = world
    pruned = apply(
        Magnitude(rate=4.0, retrain_epochs=1), fleet, records, seed=0, engine="serial", name="small"
    )
    report = audit([fleet, pruned], records, attacks=[LossThreshold()])
    text = " ".join(amounts(report))
    assert f"noise: {only(fleet).value:.2f} (delta" in " ".join(render_text(report).split())
    assert (
        f"dpsgd, an upper bound from the training's noise: {only(fleet).value:.2f} (delta" in text
    )
    assert "or infinite" not in text
    assert "Accounted epsilon of small: none, since Magnitude(rate=4.0" in text
