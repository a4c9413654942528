"""Rows of the strongest attack alone: what the measures say, chosen on references, or why not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from secateur import measure
from secateur.attack.membership import (
    RMIA,
    HierarchicalLiRA,
    LiRA,
    LossThreshold,
    pseudo_targets,
    recommended,
)
from secateur.auditing import audit_signals
from secateur.auditing.choices import fallback, with_recommended
from secateur.auditing.consequences import consequence_rows
from secateur.data import planted_world
from secateur.errors import InputError
from secateur.report import render_text
from secateur.types import Scores

EPSILON = "epsilon at delta 1e-05"
METRICS = [
    "false-positive rate",
    "precision at 1% prior",
    "precision at 10% prior",
    "precision at 50% prior",
    EPSILON,
    f"{EPSILON}, gdp fit",
    "adversary's gain",
    "jensen-shannon divergence",
    "reachable accuracy",
]
ATTACKS = (LiRA(), LossThreshold())


@pytest.fixture(scope="module")
def world():
    return planted_world(records=600, targets=8, references=16, shift=1.5, seed=0)


def rows_of(observations, attack=ATTACKS[0], scores=None):
    """Return the rows of one attack by their metric."""
    scores = attack(observations) if scores is None else scores
    rows = consequence_rows(
        scores, observations, attack, subject="dense", threat=attack.threat, seed=0
    )
    return {row.metric: row for row in rows}


def test_rows_are_what_the_measures_say(world):
    attack, who = LiRA(), world.membership
    scores = attack(world)
    found = rows_of(world)
    assert list(found) == METRICS
    named = {"subject": "dense", "method": repr(attack), "threat": "adaptive"}
    about = ("dense", repr(attack), "adaptive")
    trial = pseudo_targets(world)
    rule = measure.best_guesses(attack(trial), trial.membership, delta=1e-5, tail="f-DP")
    wanted = [
        measure.realised_fpr(scores, who, **named),
        *(
            measure.positive_predictive_value(scores, who, prior=p, **named)
            for p in (0.01, 0.1, 0.5)
        ),
        measure.epsilon_bound(scores, who, delta=1e-5, about=about, tail="f-DP", guesses=[rule]),
        measure.epsilon_estimate(scores, who, delta=1e-5, about=about),
        *measure.information_rows(scores, who, about=about),
    ]
    assert list(found.values()) == wanted
    assert found[EPSILON].value > 1 and found[EPSILON].counts["rules_tried"] == 1


def test_the_guesses_do_not_look_at_the_targets(world):
    first = rows_of(world)[EPSILON]
    margin = np.array(world.views["dense"]["margin"])
    targets = world.membership.targets
    margin[targets] = np.random.default_rng(1).normal(size=margin[targets].shape)
    blind = replace(world, views={"dense": {**world.views["dense"], "margin": margin}})
    second = rows_of(blind)[EPSILON]
    assert second.value < 0.3 < first.value
    assert second.counts["guesses"] == first.counts["guesses"]


def test_with_few_references_several_rules_are_tried_and_corrected_for():
    few = planted_world(records=600, targets=8, references=4, shift=1.5, seed=0)
    row = rows_of(few, HierarchicalLiRA())[EPSILON]
    assert row.counts["rules_tried"] > 1 and "Bonferroni" in row.why
    assert row.value > 0


def test_members_that_nobody_drew_give_an_estimate_and_no_bound(world):
    given = replace(world, membership=replace(world.membership, drawn=False, share=None))
    found = rows_of(given)
    assert list(found) == METRICS
    assert found[EPSILON].status == "not run" and "drawn by coins" in found[EPSILON].why
    estimate = found[f"{EPSILON}, gdp fit"]
    assert estimate.value > 1 and estimate.why.startswith("an estimate, not a bound")
    assert estimate == rows_of(world)[estimate.metric]


def test_a_balanced_design_gives_no_bound(world):
    who = world.membership
    inside = who.inside.copy()
    inside[who.targets] = inside[who.references[: len(who.targets)]]
    balanced = replace(world, membership=replace(who, inside=inside))
    row = rows_of(balanced)[EPSILON]
    assert row.status == "not run" and "independent coins" in row.why


def test_without_a_threshold_no_precision_is_given_and_the_rest_is(world):
    scores = replace(LiRA()(world), threshold=None)
    found = rows_of(world, scores=scores)
    for metric in METRICS[:4]:
        assert found[metric].status == "not run" and "too few references" in found[metric].why
    assert all(found[m].value is not None for m in METRICS[4:])


def test_too_few_records_for_folds_are_a_row_that_says_so():
    tiny = planted_world(records=16, targets=8, references=16, shift=1.0, seed=0)
    row = rows_of(tiny)["jensen-shannon divergence"]
    assert row.status == "not run" and "cannot be cut into 5 folds" in row.why


@pytest.mark.parametrize(("targets", "there"), [(63, False), (64, True)])
def test_the_most_exposed_records_need_64_targets(targets, there):
    world = planted_world(records=100, targets=targets, references=16, shift=1.0, seed=0)
    name = "balanced accuracy of the 20 most exposed records"
    found = rows_of(world)
    assert (name in found) == there
    if there:
        assert found[name].value > 0.5 and found[name].counts["targets"] == 32


def test_the_most_exposed_records_say_why_they_are_missing():
    world = planted_world(records=30, targets=64, references=16, shift=1.0, seed=0)
    row = rows_of(world)["balanced accuracy of the 20 most exposed records"]
    assert row.status == "not run" and "count must be in 1 .. 16" in row.why


def test_the_chosen_attack_alone_has_these_rows(world):
    report = audit_signals(world, ATTACKS)
    best = report.facts["strongest"]["dense"]
    assert report.facts["chosen_on"] == {"dense": "references"}
    for metric in METRICS:
        assert [r.method for r in report.rows if r.metric == metric] == [best]


@pytest.mark.parametrize(
    ("counts", "attack"),
    [
        ({"n_in": 1, "n_out": 1}, HierarchicalLiRA()),
        ({"n_in": 8, "n_out": 8, "population": False}, HierarchicalLiRA()),
        ({"n_in": 0, "n_out": 4}, RMIA(mode="offline", temperature=1.0)),
        ({"n_in": 0, "n_out": 4, "population": False}, LiRA(mode="offline")),
        ({"n_in": 4, "n_out": 0}, LossThreshold(class_wise=False)),
        ({"n_in": 0, "n_out": 0}, LossThreshold(class_wise=False)),
    ],
)
def test_the_recommended_attack_runs_on_what_there_is(counts, attack):
    assert recommended(**counts) == attack
    assert attack.min_in <= counts["n_in"] and attack.min_out <= counts["n_out"]


def test_numbers_of_references_are_not_negative():
    with pytest.raises(InputError, match="at least 0, got -1 in, 2 out"):
        recommended(n_in=-1, n_out=2)


@pytest.mark.parametrize(
    ("references", "wanted"), [(2, HierarchicalLiRA()), (6, HierarchicalLiRA())]
)
def test_with_fewer_than_8_references_the_recommended_attack_is_spoken_of(references, wanted):
    few = planted_world(records=200, targets=2, references=references, shift=1.0, seed=0)
    report = audit_signals(few)
    assert report.facts["strongest"] == {"dense": repr(wanted)}
    assert report.facts["chosen_on"] == {"dense": "number of references"}
    assert "recommended for their number" in " ".join(render_text(report).split())


def test_an_audit_without_references_speaks_of_the_bare_loss():
    bare = planted_world(records=200, targets=2, references=0, shift=2.0, seed=0)
    report = audit_signals(bare)
    wanted = repr(LossThreshold(class_wise=False))
    assert report.facts["strongest"] == {"dense": wanted}
    auc = [r for r in report.rows if r.metric == "auc" and r.method == wanted]
    assert auc[0].value > 0.6


def test_an_attack_that_did_not_run_is_not_fallen_back_on(world):
    few = planted_world(records=200, targets=2, references=4, shift=1.0, seed=0).membership
    wanted = repr(HierarchicalLiRA())
    assert fallback(["A", wanted], few) == (wanted, "number of references")
    assert fallback(["A", "B"], few) == ("A", "order")
    assert fallback(["A", wanted], world.membership) == (wanted, "number of references")
    known = (LiRA(), HierarchicalLiRA())
    assert with_recommended(known, few) == known
    assert with_recommended((LiRA(),), few) == known


def test_attacks_that_were_asked_for_are_not_called_recommended():
    few = planted_world(records=200, targets=2, references=4, shift=1.0, seed=0)
    report = audit_signals(few, ATTACKS)
    assert report.facts["strongest"] == {"dense": repr(LiRA())}
    assert report.facts["chosen_on"] == {"dense": "order"}
    told = " ".join(render_text(report).split())
    assert "recommended" not in told and "the first that was asked for and ran" in told


def test_an_estimate_below_the_bound_says_so():
    world = planted_world(records=4_000, targets=4, references=0, shift=0.0, seed=0)
    inside = world.membership.inside
    audit = world.membership.pools["audit"]
    values = np.random.default_rng(0).normal(size=inside.shape)
    few = np.isin(np.arange(4_000), audit[::20])  # these leak wholly, the others not at all
    values[:, few] += np.where(inside[:, few], 20.0, -20.0)
    evaluated = np.broadcast_to(np.isin(np.arange(4_000), audit), inside.shape)
    found = rows_of(world, LossThreshold(), Scores(values=values, evaluated=evaluated))
    bound, estimate = found[EPSILON], found[f"{EPSILON}, gdp fit"]
    assert 0 < estimate.value < bound.value
    assert f"below the bound of {bound.value:.3g}, which holds" in estimate.why
    level = rows_of(planted_world(records=600, targets=8, references=16, shift=1.5, seed=0))
    assert level[EPSILON].value < level[f"{EPSILON}, gdp fit"].value
    assert "below the bound" not in level[f"{EPSILON}, gdp fit"].why
