"""The attack that learns from references how many signals tell members."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import ks_2samp
from sklearn.metrics import roc_auc_score

from oracles import stacking as oracle
from secateur.attack.membership import (
    HierarchicalLiRA,
    LiRA,
    PairAttack,
    StackedAttack,
    VectorLiRA,
    WhiteBox,
)
from secateur.attack.membership.features import Compared, evidence_of
from secateur.attack.membership.stacking import folds_of, training_rows
from secateur.auditing.choices import strongest_on
from secateur.data import MeanSignal, Noise, planted_world
from secateur.errors import MethodError, MissingViewError, NotEnoughReferencesError
from secateur.measure import per_target
from secateur.measure.controls import planted_control, planted_signals
from secateur.probe import signals
from secateur.types import AUDIT, POPULATION, Membership

QUICK = StackedAttack(rows=3000, trees=15, folds=4)


def mean_auc(attack, seen):
    return per_target(attack(seen), seen.membership, "auc").mean()


def world(references=16, shift=1.0, seed=0, **about):
    fields = {"records": 1000, "targets": 4, **about}
    return planted_world(references=references, shift=shift, seed=seed, **fields)


def with_entropy(seen, shift, seed=0):
    """Return a world whose entropies tell members too, beside what margins say."""
    rng = np.random.default_rng(seed)
    inside = seen.membership.inside
    base = rng.normal(size=inside.shape[1])
    entropy = 5 + base + rng.normal(size=inside.shape) - shift * inside
    view = {**seen.views["dense"], "entropy": entropy}
    return replace(seen, views={"dense": view})


def two_views(shift, seed=0):
    seen = world(shift=0.0, seed=seed)
    rng = np.random.default_rng(seed)
    inside = seen.membership.inside
    base = 3 + rng.normal(size=inside.shape[1])
    margins = {v: base + rng.normal(size=inside.shape) + shift * inside for v in ("dense", "kept")}
    views = {v: planted_signals(m, seen) for v, m in margins.items()}
    return replace(seen, views=views, primary="kept")


@pytest.mark.parametrize("head", ["trees", "logistic", "both"])
def test_where_the_margin_says_all_it_is_as_strong_as_the_likelihood_ratio(head):
    seen = world()
    found = mean_auc(replace(QUICK, head=head), seen)
    assert abs(found - mean_auc(HierarchicalLiRA(), seen)) < 0.015


def test_where_a_second_signal_tells_too_it_is_stronger_than_the_likelihood_ratio():
    seen = with_entropy(world(), shift=1.0)
    assert mean_auc(QUICK, seen) > mean_auc(HierarchicalLiRA(), seen) + 0.05


@pytest.mark.parametrize("references", [6, 16])
def test_it_sees_nothing_where_nothing_is_however_few_the_references(references):
    seen = with_entropy(world(references, shift=0.0, targets=8, records=2000), shift=0.0)
    assert abs(mean_auc(QUICK, seen) - 0.5) < 0.025


def columns_of(seen, models, references):
    """Features `[row, column]` and membership of all audit records of models."""
    who = seen.membership
    found = Compared.with_references(
        evidence_of(seen, (), what="test"), who, references, seen.labels
    )
    x = np.concatenate(list(found.features(models)))
    return x, who.inside[np.ix_(models, who.pools[AUDIT])].ravel()


def largest_gap(x, y, x_other, y_other):
    """The largest Kolmogorov-Smirnov distance over columns, members and non-members apart."""
    return max(
        ks_2samp(x[y == side, k], x_other[y_other == side, k]).statistic
        for side in (False, True)
        for k in range(x.shape[1])
    )


def test_rows_to_learn_from_are_distributed_as_rows_of_targets():
    seen = world(6, records=8000, targets=8, hardness=0.5)
    who = seen.membership
    folds = folds_of(who, 4, what="test")
    evidence = evidence_of(seen, (), what="test")
    learned = training_rows(evidence, seen, folds, rows=10**6, seed=0)
    parts = [columns_of(seen, who.targets, rest) for _, rest in folds]
    asked = tuple(np.concatenate(part) for part in zip(*parts, strict=True))
    assert largest_gap(*learned, *asked) < 0.03
    naive = columns_of(seen, who.references, who.references)
    whole = columns_of(seen, who.targets, who.references)
    assert largest_gap(*naive, *whole) > 0.1  # each compared with itself among others


def test_a_fold_is_played_by_whole_pairs_and_compared_with_the_others_alone():
    who = world(12).membership
    folds = folds_of(who, 4, what="test")
    assert len(folds) == 4
    played = np.concatenate([p for p, _ in folds])
    assert sorted(played) == who.references.tolist()
    for own, rest in folds:
        assert not set(own) & set(rest)
        assert sorted([*own, *rest]) == who.references.tolist()
        count = who.inside[np.ix_(rest, who.pools[AUDIT])].sum(axis=0)
        assert (count == len(rest) // 2).all()


def test_features_are_those_of_a_loop_over_records():
    seen = world(8, records=40)
    who = seen.membership
    target, audit, population = who.targets[1], who.pools[AUDIT], who.pools[POPULATION]
    references = who.references[2:]
    x, _ = columns_of(seen, np.array([target]), references)
    inside = who.inside[np.ix_(references, audit)]
    names = ["margin", "log_confidence", "log_confidence@4", "entropy", "modified_entropy"]
    at = dict(zip(names, (0, 8, 14, 20, 24), strict=True))
    for name, first in at.items():
        values = seen.views["dense"][name]
        held = values[np.ix_(references, audit)]
        spreads = oracle.pooled(held, inside), oracle.pooled(held, ~inside)
        for r, record in enumerate(audit):
            sides = held[inside[:, r], r], held[~inside[:, r], r]
            value = values[target, record]
            expected = [value, *oracle.compared(value, *sides, *spreads)]
            if name == "margin":
                expected += [sides[0].mean(), sides[1].mean()]
            elif name.startswith("log"):
                z = values[np.ix_(references, population)]
                of_z = values[target, population]
                expected += oracle.rmia(value, held[:, r], inside[:, r], of_z, z)
            assert np.allclose(x[r, first : first + len(expected)], expected, rtol=1e-5, atol=1e-5)
    assert np.array_equal(x[:, -1], seen.labels[audit])


def test_a_second_view_of_the_same_model_tells_more_as_much_as_to_the_pair():
    seen = two_views(shift=1.0)
    both = mean_auc(replace(QUICK, others=("dense",)), seen)
    assert both > mean_auc(QUICK, seen) + 0.05
    assert abs(both - mean_auc(PairAttack(), seen)) < 0.02


def test_a_view_that_is_not_there_is_refused():
    with pytest.raises(MissingViewError, match="StackedAttack reads 'margin' of 'dense'"):
        StackedAttack(others=("student",))(world())


def test_rows_are_chosen_by_the_seed_and_blind_to_the_order_of_records():
    seen = world(records=400)
    attack = replace(QUICK, rows=400)
    first = attack(seen, seed=1)
    assert not np.array_equal(first.values, attack(seen, seed=2).values)
    order = np.random.default_rng(0).permutation(400)
    place = np.argsort(order)
    who = seen.membership
    shuffled = replace(
        seen,
        views={"dense": {k: v[:, order] for k, v in seen.views["dense"].items()}},
        labels=seen.labels[order],
        membership=Membership(
            inside=who.inside[:, order],
            roles=who.roles,
            pools={k: place[v] for k, v in who.pools.items()},
            units=who.units[order],
            seed=who.seed,
        ),
        posteriors={},
        ids=None,
    )
    assert np.allclose(first.values[:, order], attack(shuffled, seed=1).values, atol=1e-9)


def test_targets_decide_nothing_of_what_is_learned():
    seen = world(records=400)
    others = np.arange(len(seen.membership)) == 1
    view = {k: np.where(others[:, None], v + 7, v) for k, v in seen.views["dense"].items()}
    moved = replace(seen, views={"dense": view})
    assert np.array_equal(QUICK(seen).values[0], QUICK(moved).values[0])


def test_the_strongest_is_chosen_on_references_and_is_the_learner_where_it_sees_more():
    seen = with_entropy(world(16), shift=1.5)
    attacks = [LiRA(), HierarchicalLiRA(), QUICK]
    assert strongest_on(seen, attacks, seed=0) == repr(QUICK)


def test_log_odds_of_nought_halve_members_and_others():
    seen = with_entropy(world(32), shift=1.0)
    scores, who = QUICK(seen), seen.membership
    audit = who.pools[AUDIT]
    called = scores.values[:, audit] >= scores.threshold[:, None]
    inside = who.inside[np.ix_(who.targets, audit)]
    assert abs(called[inside].mean() - (~called[~inside]).mean()) < 0.05


def test_too_few_references_are_refused():
    with pytest.raises(NotEnoughReferencesError, match="StackedAttack needs at least 3"):
        QUICK(world(4))


def test_a_record_that_one_fold_alone_holds_is_refused():
    seen = world(8)
    who = seen.membership
    inside = np.array(who.inside)
    # of two folds the first plays references 0, 1, 4, 5
    inside[who.references, who.pools[AUDIT][0]] = [
        True,
        True,
        False,
        False,
        True,
        True,
        False,
        False,
    ]
    lopsided = replace(seen, membership=replace(who, inside=inside))
    with pytest.raises(NotEnoughReferencesError, match=r"4 are left beside .* 0 to"):
        replace(QUICK, folds=2)(lopsided)


@pytest.mark.parametrize("changes", [{"head": "forest"}, {"folds": 1}, {"rows": 50}, {"trees": 0}])
def test_parameters_out_of_range_are_refused(changes):
    with pytest.raises(MethodError, match="got"):
        StackedAttack(**changes)


def told_by_other_classes(classes=5, shift=0.7, seed=0):
    """Return a world of whose members nothing is told but by classes that are not the record's."""
    seen = world(shift=0.0, seed=seed)
    rng = np.random.default_rng(seed)
    inside = seen.membership.inside
    models, n = inside.shape
    labels = np.arange(n) % classes
    z = rng.normal(size=(n, classes)) + 0.5 * rng.normal(size=(models, n, classes))
    towards = rng.normal(size=(n, classes))
    own = np.arange(n), labels
    z = z + shift * inside[..., None] * towards
    others = z.copy()
    others[:, own[0], own[1]] = -np.inf
    z[:, own[0], own[1]] = 2 + logsumexp(others, axis=2) + rng.normal(size=(models, n))
    wanted = (*StackedAttack(coordinates=classes - 1).needs,)
    told = [signals(of_model, labels, wanted) for of_model in z]
    view = {s.key: np.stack([one[s.key] for one in told]) for s in wanted}
    return replace(seen, views={"dense": view}, labels=labels)


def test_the_whole_answer_tells_what_the_true_class_does_not():
    seen = told_by_other_classes()
    assert mean_auc(LiRA(), seen) < 0.55
    plain = mean_auc(QUICK, seen)
    assert mean_auc(replace(QUICK, coordinates=4), seen) > plain + 0.1
    assert mean_auc(VectorLiRA(signals=(), coordinates=4), seen) > 0.75
    few, more = (mean_auc(VectorLiRA(coordinates=n), seen) for n in (1, 4))
    assert 0.5 < few < more


def test_coordinates_beyond_the_classes_change_nothing():
    seen = told_by_other_classes()
    wide = {**seen.views["dense"]}
    for part in (4, 5):
        wide[f"coordinate#{part}"] = np.zeros_like(wide["margin"])
    wide = replace(seen, views={"dense": wide})
    attack = VectorLiRA(signals=(), coordinates=4)
    found, same = (mean_auc(replace(attack, coordinates=n), wide) for n in (6, 4))
    assert abs(found - same) < 0.01


def test_without_coordinates_the_spelling_is_as_before():
    assert "coordinates" not in repr(StackedAttack()) + repr(VectorLiRA()) + repr(WhiteBox())
    assert "coordinates=9" in repr(WhiteBox(coordinates=9))
    for kind in (StackedAttack, WhiteBox, VectorLiRA):
        with pytest.raises(MethodError, match="coordinates must be at least 0, got -1"):
            kind(coordinates=-1)


def test_the_positive_control_plants_coordinates_too():
    seen = told_by_other_classes()
    margin = np.random.default_rng(0).normal(size=seen.membership.inside.shape)
    planted = planted_signals(margin, seen)
    logits = np.stack([margin[0], np.zeros_like(margin[0])], axis=1)
    wanted = StackedAttack(coordinates=4).needs
    expected = signals(logits, np.zeros(len(logits), int), wanted)
    assert set(expected) == set(planted)
    for key, values in expected.items():
        np.testing.assert_allclose(planted[key][0], values, rtol=1e-5, atol=1e-6)
    assert planted_control(VectorLiRA(signals=(), coordinates=4), seen, seed=0).status == "passed"


def asked_around(shift, seed=0):
    """Return a world in which only means around the audited records tell members, and the attack
    that reads them; of other records nobody asks around.
    """
    attack = replace(QUICK, around=(Noise(queries=4),))
    seen = world(shift=0.0, seed=seed)
    who, rng = seen.membership, np.random.default_rng(seed)
    margin = rng.normal(size=who.inside.shape[1]) + rng.normal(size=who.inside.shape)
    margin += shift * who.inside
    unasked = np.setdiff1d(np.arange(margin.shape[1]), who.pools[AUDIT])
    around = {
        s.key: planted_signals(margin, seen)[s.plain.key]
        for s in attack.needs
        if isinstance(s, MeanSignal)
    }
    for values in around.values():
        values[:, unasked] = 0.0
    view = {**seen.views["dense"], **around}
    gradients = {"dense": rng.normal(size=(*who.inside.shape, 2))}  # they tell nothing
    return replace(seen, views={"dense": view}, gradients=gradients), attack


def as_white_box(attack):
    return WhiteBox(**{f.name: getattr(attack, f.name) for f in fields(attack)})


def test_what_one_query_hides_a_mean_around_the_record_tells():
    seen, attack = asked_around(shift=1.0)
    known = mean_auc(HierarchicalLiRA(), world())
    for one in (attack, as_white_box(attack)):
        assert abs(mean_auc(replace(one, around=()), seen) - 0.5) < 0.04
        assert abs(mean_auc(one, seen) - known) < 0.02
        assert abs(mean_auc(one, asked_around(shift=0.0)[0]) - 0.5) < 0.04


def test_another_version_is_asked_around_the_record_too():
    seen, attack = asked_around(shift=1.0)
    silent, _ = asked_around(shift=0.0, seed=1)
    views = {"dense": silent.views["dense"], "older": seen.views["dense"]}
    both = replace(seen, views=views)
    for one in (attack, as_white_box(attack)):
        assert abs(mean_auc(one, both) - 0.5) < 0.04
        assert mean_auc(replace(one, others=("older",)), both) > 0.7


def test_the_joint_ratio_of_margins_holds_those_around_the_record():
    seen, attack = asked_around(shift=1.0)
    who = seen.membership
    inside = who.inside[np.ix_(who.targets[:1], who.pools[AUDIT])].ravel()
    for around, low, high in ((attack.around, 0.7, 1.0), ((), 0.4, 0.6)):
        evidence = evidence_of(seen, (), what="test", around=around)
        found = Compared.with_references(evidence, who, who.references, seen.labels)
        joint = next(found.features(who.targets[:1]))[:, -3]
        assert low < roc_auc_score(inside, joint) < high


def test_features_around_a_record_are_those_of_a_loop_without_the_population():
    seen, attack = asked_around(shift=1.0)
    who = seen.membership
    target, audit, references = who.targets[1], who.pools[AUDIT], who.references[2:]
    evidence = evidence_of(seen, (), what="test", around=attack.around)
    found = Compared.with_references(evidence, who, references, seen.labels)
    x = next(found.features(np.array([target])))
    own = Compared.with_references(evidence_of(seen, (), what="test"), who, references, seen.labels)
    first = next(own.features(np.array([target]))).shape[1] - 3  # both joint ratios and the class
    inside = who.inside[np.ix_(references, audit)]
    for key, at in (("margin", first), ("log_confidence", first + 8)):
        (signal,) = (s for s in attack.needs if isinstance(s, MeanSignal) and s.plain.key == key)
        values = seen.views["dense"][signal.key]
        held = values[np.ix_(references, audit)]
        spreads = oracle.pooled(held, inside), oracle.pooled(held, ~inside)
        for r in range(0, len(audit), 50):
            sides, value = (held[inside[:, r], r], held[~inside[:, r], r]), values[target, audit[r]]
            expected = [value, *oracle.compared(value, *sides, *spreads)]
            if key != "margin":
                expected.append(oracle.rmia(value, held[:, r], inside[:, r], [0.0], held[:, :1])[0])
            assert np.allclose(x[r, at : at + len(expected)], expected, rtol=1e-5, atol=1e-5)


def test_without_perturbations_the_spelling_is_as_before_and_each_stands_there_once():
    assert "around" not in repr(StackedAttack()) + repr(WhiteBox())
    assert "around=(Noise(" in repr(WhiteBox(around=(Noise(),)))
    assert {s.name for s in WhiteBox(around=(Noise(),)).needs if isinstance(s, MeanSignal)} == {
        "margin",
        "log_confidence",
    }
    for kind in (StackedAttack, WhiteBox):
        with pytest.raises(MethodError, match="must differ"):
            kind(around=(Noise(), Noise()))
