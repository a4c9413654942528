"""Population, reference, calibrated and quantile attacks, and released modes, equal their loops."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from oracles import simple_attacks as oracle
from secateur.attack.membership import (
    RMIA,
    AttackP,
    AttackR,
    Calibrated,
    LiRA,
    LossThreshold,
    QuantileRegression,
)
from secateur.attack.membership.references import masked_moments
from secateur.data import planted_world
from secateur.errors import DataError, MethodError, NotEnoughReferencesError
from secateur.measure import per_target
from secateur.types import AUDIT, POPULATION


def small(seed=0, queries=1, records=60, references=6):
    world = planted_world(records=records, targets=2, references=references, shift=1.5, seed=seed)
    if queries == 1:
        return world
    rng = np.random.default_rng(seed)
    views = {
        key: np.stack([v + 0.3 * rng.normal(size=v.shape) for _ in range(queries)], axis=1)
        for key, v in world.views["dense"].items()
    }
    return replace(world, views={"dense": views})


def parts(world):
    who = world.membership
    return (
        who.targets.tolist(),
        who.references.tolist(),
        who.pools[AUDIT].tolist(),
        who.pools[POPULATION].tolist(),
    )


def mean_auc(attack, world):
    return per_target(attack(world), world.membership, "auc").mean()


@pytest.mark.parametrize("queries", [1, 3])
@pytest.mark.parametrize("mode", ["online", "offline"])
@pytest.mark.parametrize("variance", ["shared", "per record"])
def test_released_lira_equals_the_script(queries, mode, variance):
    world = small(queries=queries)
    attack = LiRA(compatibility="released", mode=mode, variance=variance, centre="median")
    phi = world.views["dense"]["margin"]
    phi = phi if phi.ndim == 3 else phi[:, None]
    targets, references, audit, _ = parts(world)
    expected = oracle.released_lira(
        phi,
        world.membership.inside,
        targets,
        references,
        audit,
        mode=mode,
        shared=variance == "shared",
    )
    assert np.allclose(attack(world).values, expected, rtol=1e-9, atol=1e-9)


def test_released_lira_cuts_every_record_to_the_fewest_references():
    world = small(seed=1)
    inside = world.membership.inside.copy()
    audit = world.membership.pools[AUDIT]
    references = world.membership.references
    inside[np.ix_(references[:5], audit[:1])] = [[True]] * 5
    inside[references[5], audit[0]] = False
    world = replace(world, membership=replace(world.membership, inside=inside))
    attack = LiRA(compatibility="released", variance="shared", centre="median")
    targets, refs, where, _ = parts(world)
    expected = oracle.released_lira(
        world.views["dense"]["margin"][:, None],
        inside,
        targets,
        refs,
        where,
        mode="online",
        shared=True,
    )
    assert np.allclose(attack(world).values, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("gamma", "a"), [(1.0, 0.3), (2.0, 0.0), (1.0, 1.0)])
def test_released_rmia_equals_the_tool(gamma, a):
    world = small()
    attack = RMIA(compatibility="released", mode="offline", gamma=gamma, a=a)
    p = np.exp(world.views["dense"]["log_confidence@4"])
    expected = oracle.released_rmia(p, world.membership.inside, *parts(world), gamma=gamma, a=a)
    assert np.allclose(attack(world).values, expected, atol=1e-12)


def test_released_rmia_takes_the_larger_half_for_the_population():
    world = small()
    released = RMIA(compatibility="released", mode="offline")(world).values
    assert not np.allclose(released, RMIA(mode="offline")(world).values)


@pytest.mark.parametrize("queries", [1, 3])
def test_attack_p_equals_counting_with_ties(queries):
    world = small(queries=queries)
    margin = np.round(world.views["dense"]["margin"])
    world = replace(world, views={"dense": {"margin": margin}})
    seen = margin if queries == 1 else margin.mean(axis=1)
    targets, _, audit, population = parts(world)
    found = AttackP()(world)
    for row, m in enumerate(targets):
        for r in audit:
            assert found.values[row, r] == pytest.approx(
                oracle.population_share(seen[m, r], seen[m, population])
            )


def test_attack_ps_threshold_holds_its_false_positive_rate():
    world = planted_world(records=8000, targets=4, references=0, shift=2.0, seed=0)
    scores = AttackP(fpr=0.1)(world)
    audit = world.membership.pools[AUDIT]
    inside = world.membership.inside[np.ix_(world.membership.targets, audit)]
    called = scores.values[:, audit] >= scores.threshold[:, None]
    assert called[~inside].mean() == pytest.approx(0.1, abs=0.02)
    assert called[inside].mean() > 0.3


def test_attack_p_orders_records_as_their_loss_does():
    world = planted_world(records=2000, targets=2, references=0, shift=1.0, seed=0)
    plain = mean_auc(LossThreshold(class_wise=False), world)
    assert mean_auc(AttackP(), world) == pytest.approx(plain, abs=2e-3)


@pytest.mark.parametrize("smooth", [0.5, 1.0])
def test_attack_r_equals_the_mean_of_smoothed_comparisons(smooth):
    world = small()
    phi = world.views["dense"]["margin"]
    targets, references, audit, _ = parts(world)
    inside = world.membership.inside
    pooled = masked_moments(
        phi[np.ix_(references, audit)], ~inside[np.ix_(references, audit)]
    ).pooled()
    found = AttackR(smooth=smooth)(world).values
    for row, m in enumerate(targets):
        for r in audit:
            out = [phi[k, r] for k in references if not inside[k, r]]
            width = smooth * np.sqrt(pooled) * len(out) ** -0.2
            expected = oracle.reference_log_odds(phi[m, r], out, width)
            assert found[row, r] == pytest.approx(expected, rel=1e-8, abs=1e-8)


def test_attack_r_without_smoothing_is_the_share_of_references():
    world = small(seed=2)
    phi = np.round(world.views["dense"]["margin"])
    world = replace(world, views={"dense": {"margin": phi}})
    targets, references, audit, _ = parts(world)
    found = AttackR(smooth=0.0)(world).values
    for row, m in enumerate(targets):
        for r in audit:
            out = [phi[k, r] for k in references if not world.membership.inside[k, r]]
            assert found[row, r] == pytest.approx(oracle.population_share(phi[m, r], out))


def test_smoothing_tells_apart_what_few_references_cannot():
    world = planted_world(records=1000, targets=4, references=8, shift=1.0, seed=0)
    assert mean_auc(AttackR(), world) > mean_auc(AttackR(smooth=0.0), world) + 0.01


@pytest.mark.parametrize("signal", ["margin", "loss", "log_confidence", "modified_entropy"])
def test_calibration_subtracts_the_mean_over_references_out(signal):
    world = small()
    values = world.views["dense"][signal]
    targets, references, audit, _ = parts(world)
    sign = -1 if signal in ("loss", "modified_entropy") else 1
    found = Calibrated(signal=signal)(world).values
    for row, m in enumerate(targets):
        for r in audit:
            out = [values[k, r] for k in references if not world.membership.inside[k, r]]
            assert found[row, r] == pytest.approx(sign * (values[m, r] - np.mean(out)))


def test_calibration_removes_what_makes_a_record_hard():
    world = planted_world(records=1000, targets=4, references=16, shift=1.5, seed=0, hardness=4.0)
    assert mean_auc(Calibrated(), world) > mean_auc(AttackP(), world) + 0.15


def explained(seed=0, records=2400):
    """A world in which the difficulty of a record follows from its features."""
    world = planted_world(
        records=records, targets=2, references=0, shift=2.0, seed=seed, hardness=0.0
    )
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(records, 5))
    margin = world.views["dense"]["margin"] + 4 * np.abs(features[:, 0])
    return replace(world, views={"dense": {"margin": margin}}), features


@pytest.mark.parametrize("head", ["gaussian", "quantile"])
def test_quantile_regression_learns_difficulty_from_features(head):
    world, features = explained()
    attack = QuantileRegression(head=head)
    known = mean_auc(attack, replace(world, features=features))
    assert known > mean_auc(attack, world) + 0.08


@pytest.mark.parametrize("head", ["gaussian", "quantile"])
def test_quantile_regressions_threshold_aims_at_its_false_positive_rate(head):
    world, features = explained(records=8000)
    scores = QuantileRegression(head=head, fpr=0.1)(replace(world, features=features))
    audit = world.membership.pools[AUDIT]
    inside = world.membership.inside[np.ix_(world.membership.targets, audit)]
    called = scores.values[:, audit] >= scores.threshold[:, None]
    assert called[~inside].mean() == pytest.approx(0.1, abs=0.04)
    assert called[inside].mean() > 0.35


def test_components_are_those_of_the_population():
    world, features = explained(records=800)
    seen = replace(world, features=features @ np.random.default_rng(1).normal(size=(5, 40)))
    attack = QuantileRegression(components=5)
    x = attack._inputs(seen, world.membership.pools[POPULATION])
    assert x.shape == (800, 2 + 5)
    centred = x[world.membership.pools[POPULATION]][:, 2:]
    covariance = centred.T @ centred
    assert np.allclose(covariance - np.diag(np.diag(covariance)), 0, atol=1e-4)
    assert (np.diff(np.diag(covariance)) <= 0).all()


def test_an_attack_without_population_or_references_says_so():
    world = small()
    who = replace(world.membership, pools={AUDIT: world.membership.pools[AUDIT]})
    for attack in (AttackP(), QuantileRegression()):
        with pytest.raises(
            DataError,
            match="pool 'population' is empty; of a fleet `secateur train --population N`",
        ):
            attack(replace(world, membership=who))
    alone = planted_world(records=60, targets=1, references=0, shift=1.0, seed=0)
    for attack in (AttackR(), Calibrated()):
        with pytest.raises(NotEnoughReferencesError, match=r"needs at least 0 .* in and 1 out"):
            attack(alone)


def test_features_of_another_length_are_refused():
    with pytest.raises(DataError, match=r"features need the shape \(60, width\), got \(3, 2\)"):
        replace(small(), features=np.zeros((3, 2)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AttackP(fpr=0.0), r"fpr must be in \(0, 1\), got 0.0"),
        (lambda: AttackR(smooth=-1.0), "smooth must be finite and at least 0, got -1.0"),
        (lambda: Calibrated(signal="entropy"), "signal must be one of loss"),
        (lambda: QuantileRegression(head="mean"), "head must be"),
        (lambda: QuantileRegression(fpr=1.0), "fpr must be"),
        (lambda: QuantileRegression(trees=0), "trees at least 1"),
        (lambda: LiRA(compatibility="old"), "compatibility must be"),
        (lambda: LiRA(compatibility="released"), "variance='shared', centre='median'"),
        (lambda: RMIA(compatibility="released"), "mode='offline'"),
        (lambda: RMIA(compatibility="old"), "compatibility must be"),
    ],
)
def test_parameters_out_of_range_are_refused(make, message):
    with pytest.raises(MethodError, match=message):
        make()
