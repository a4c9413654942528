"""LiRA, RMIA and thresholds equal their slow oracles; each says what it needs."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr

from oracles import attacks as oracle
from secateur.attack.membership import (
    RMIA,
    AttackP,
    AttackR,
    BaVarIA,
    Calibrated,
    EntropyThreshold,
    HierarchicalLiRA,
    LiRA,
    LossThreshold,
    VectorLiRA,
    pseudo_targets,
)
from secateur.attack.membership import blocks as blockwise
from secateur.attack.membership.blocks import as_slice, sided_log_means, sided_moments
from secateur.attack.membership.references import (
    masked_moments,
)
from secateur.attack.membership.trials import best_threshold
from secateur.data import planted_world
from secateur.errors import DataError, MethodError, NotEnoughReferencesError
from secateur.measure import auc_value
from secateur.types import Membership, Observations


@st.composite
def worlds(draw):
    """Odd shapes, ties and duplicates: signals on a coarse grid, records repeated."""
    references = draw(st.integers(4, 9))
    targets = draw(st.integers(1, 3))
    records = draw(st.integers(4, 12))
    population = draw(st.integers(1, 5))
    queries = draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    models = targets + references
    inside = np.zeros((models, records + population), dtype=bool)
    inside[:targets, :records] = rng.random((targets, records)) < 0.5
    ranks = rng.random((references, records)).argsort(axis=0)
    inside[targets:, :records] = ranks < references // 2
    for row in inside:
        if not row[:records].any():
            row[0] = True
        if row[:records].all():
            row[0] = False
    counts = inside[targets:, :records].sum(axis=0)
    # the mends above may unbalance a record; keep two in and two out of each
    for r in np.flatnonzero((counts < 2) | (counts > references - 2)):
        inside[targets:, r] = np.arange(references) % 2 == 0
    for row in inside[targets:]:
        if row[:records].all() or not row[:records].any():
            row[: records // 2] ^= True
    grid = draw(st.sampled_from([0.5, 0.01]))
    phi = np.round(rng.normal(size=(models, queries, records + population)) * 3 / grid) * grid
    if draw(st.booleans()):
        phi[:, :, 1] = phi[:, :, 0]
    membership = Membership(
        inside=inside,
        roles=("target",) * targets + ("reference",) * references,
        pools={
            "audit": np.arange(records),
            "population": np.arange(records, records + population),
        },
        units=np.arange(records + population),
        seed=0,
    )
    return membership, phi


def two_in_and_out(membership):
    inside = membership.inside[membership.references][:, membership.pools["audit"]]
    counts = inside.sum(axis=0)
    return (counts >= 2).all() and (len(inside) - counts >= 2).all()


def observed(membership, **signals):
    labels = np.arange(membership.inside.shape[1]) % 2
    return Observations.from_arrays(signals, labels=labels, membership=membership, n_classes=2)


def split(membership):
    return (
        membership.targets.tolist(),
        membership.references.tolist(),
        membership.pools["audit"].tolist(),
        membership.pools["population"].tolist(),
    )


@settings(max_examples=60)
@given(
    worlds(),
    st.sampled_from(["online", "offline"]),
    st.sampled_from(["per record", "shared", "shrunk"]),
    st.sampled_from(["mean", "median"]),
    st.sampled_from([0.5, 8.0]),
)
def test_lira_equals_its_loop(world, mode, variance, centre, weight):
    membership, phi = world
    if not two_in_and_out(membership):
        return
    attack = LiRA(mode=mode, variance=variance, centre=centre, weight=weight)
    found = attack(observed(membership, margin=phi))
    targets, references, audit, _ = split(membership)
    expected = oracle.lira(
        phi,
        membership.inside,
        targets,
        references,
        audit,
        mode=mode,
        variance=variance,
        weight=weight,
        centre=centre,
    )
    assert np.allclose(found.values, expected, rtol=1e-10, atol=1e-10)
    assert found.evaluated[:, audit].all()
    assert found.evaluated.sum() == len(targets) * len(audit)


@settings(max_examples=60)
@given(
    worlds(),
    st.sampled_from(["online", "offline"]),
    st.sampled_from([1.0, 2.0]),
    st.sampled_from([0.0, 0.3, 1.0]),
)
def test_rmia_equals_its_pairwise_loop(world, mode, gamma, a):
    membership, phi = world
    if not two_in_and_out(membership):
        return
    log_p = -np.logaddexp(0, -phi)
    found = RMIA(mode=mode, gamma=gamma, a=a)(observed(membership, **{"log_confidence@4": log_p}))
    targets, references, audit, population = split(membership)
    expected = oracle.rmia(
        log_p,
        membership.inside,
        targets,
        references,
        audit,
        population,
        mode=mode,
        gamma=gamma,
        a=a,
    )
    # where two ratios are equal up to rounding, the comparison may fall on either side
    step = 1 / (len(population) * phi.shape[1])
    wrong = np.abs(found.values - expected) > 1e-10
    assert wrong.mean() <= 0.02 or np.abs(found.values - expected).max() <= 2 * step + 1e-10
    if not ties(log_p, membership, mode, a, gamma):
        assert np.allclose(found.values, expected, atol=1e-10)


def ties(log_p, membership, mode, a, gamma):
    """Whether some ratio lies within rounding of another one times gamma."""
    targets, references, audit, population = split(membership)
    for q in range(log_p.shape[1]):
        p = np.exp(log_p[references, q])
        inside = membership.inside[references]
        out = np.where(inside, 0, p).sum(0) / np.maximum((~inside).sum(0), 1)
        seen = np.where(inside, p, 0).sum(0) / np.maximum(inside.sum(0), 1)
        seen = np.where(inside.any(0), seen, out)
        prior = ((1 + a) * out + 1 - a) / 2 if mode == "offline" else (seen + out) / 2
        ratio = log_p[targets, q] - np.log(prior)
        gap = ratio[:, audit][:, :, None] - np.log(gamma) - ratio[:, population][:, None]
        if (np.abs(gap) < 1e-9).any():
            return True
    return False


@given(
    st.lists(st.integers(-3, 3), min_size=1, max_size=8),
    st.lists(st.integers(-3, 3), min_size=1, max_size=8),
)
def test_the_best_threshold_is_as_good_as_the_best_of_all(members, others):
    t = best_threshold(np.array(members, float), np.array(others, float))
    gain = np.mean(np.array(members) >= t) - np.mean(np.array(others) >= t)
    assert gain == pytest.approx(oracle.threshold(members, others))


def test_moments_of_huge_signals_do_not_cancel():
    values = np.array([[1e8], [1e8 + 1], [1e8 + 2]])
    moments = masked_moments(values, np.ones((3, 1), bool))
    assert moments.squares[0] == pytest.approx(2.0, rel=1e-12)


def two_sides(models=7, records=50, seed=0):
    rng = np.random.default_rng(seed)
    inside = rng.random((models, records)).argsort(axis=0) < models // 2
    return rng.normal(2, 3, size=(models, records)), inside


@pytest.mark.parametrize("median", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, np.int16])
@pytest.mark.parametrize("columns", [np.arange(50), np.arange(3, 50, 4), np.array([7])])
def test_moments_in_blocks_are_those_of_each_record_alone(monkeypatch, median, dtype, columns):
    monkeypatch.setattr(blockwise, "BLOCK", 40)
    values, inside = two_sides(9)
    values = (10 * values).astype(dtype)
    rows = np.array([0, 2, 3, 5, 6, 8])
    both = sided_moments(values, rows, columns, inside[np.ix_(rows, columns)], median=median)
    for moments, side in zip(both, (inside, ~inside), strict=True):
        for i, r in enumerate(columns):
            own = [float(values[m, r]) for m in rows if side[m, r]]
            middle = np.median(own) if median else np.mean(own)
            assert moments.count[i] == len(own)
            assert moments.centre[i] == pytest.approx(middle, rel=1e-12, abs=1e-12)
            squares = sum((v - np.mean(own)) ** 2 for v in own)
            assert moments.squares[i] == pytest.approx(squares, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("apart", [1.0, 1e3, 1e6])
@pytest.mark.parametrize("spread", [1e-6, 1.0])
def test_a_side_far_from_the_other_keeps_its_own_moments(apart, spread):
    values, inside = two_sides(16, 200)
    values = np.where(inside, apart + spread * values, values)
    within, out = sided_moments(values, np.arange(16), np.arange(200), inside)
    for moments, side in ((within, inside), (out, ~inside)):
        held = np.ma.array(values.astype(np.longdouble), mask=~side)
        mean = held.mean(axis=0)
        squares = ((held - mean) ** 2).sum(axis=0)
        np.testing.assert_allclose(moments.centre, np.asarray(mean, float), rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(moments.squares, np.asarray(squares, float), rtol=1e-8)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_records_far_from_zero_keep_their_moments_wherever_they_lie(monkeypatch, dtype, share):
    monkeypatch.setattr(blockwise, "BLOCK", 64)
    values, inside = two_sides(16, 50)
    rng = np.random.default_rng(1)
    values = (values + 3e6 * (rng.random(50) < share)).astype(dtype)
    columns = np.sort(rng.permutation(50)[:30])
    part = inside[:, columns]
    for moments, side in zip(
        sided_moments(values, np.arange(16), columns, part), (part, ~part), strict=True
    ):
        held = np.ma.array(values[:, columns].astype(np.longdouble), mask=~side)
        mean = held.mean(axis=0)
        squares = ((held - mean) ** 2).sum(axis=0)
        np.testing.assert_allclose(moments.centre, np.asarray(mean, float), rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(moments.squares, np.asarray(squares, float), rtol=1e-10)


def test_models_inside_are_counted_beyond_what_a_byte_holds():
    inside = np.random.default_rng(0).random((300, 9)) < 0.97
    np.testing.assert_array_equal(blockwise.count_inside(inside), inside.sum(axis=0))
    np.testing.assert_array_equal(
        blockwise.count_inside(inside[:, 2:5]), inside[:, 2:5].sum(axis=0)
    )


@pytest.mark.parametrize("gap", [0.0, 300.0, 5000.0])
def test_log_means_of_a_side_hold_however_far_below_the_other_it_lies(gap):
    values, inside = two_sides(8, 60)
    values = -np.abs(values) - gap * ~inside
    within, out = sided_log_means(values, np.arange(8), np.arange(60), inside)
    for found, side in ((within, inside), (out, ~inside)):
        own = np.where(side, values, -np.inf)
        np.testing.assert_allclose(
            found, np.logaddexp.reduce(own) - np.log(side.sum(axis=0)), rtol=1e-12
        )


def test_a_side_without_models_has_no_log_mean():
    values, _ = two_sides(4, 3)
    within, out = sided_log_means(values, np.arange(4), np.arange(3), np.zeros((4, 3), bool))
    assert np.isneginf(within).all() and np.isfinite(out).all()


@pytest.mark.parametrize(
    ("indices", "found"),
    [([2, 3, 4], slice(2, 5)), ([5], slice(5, 6)), ([1, 3, 2], None), ([1, 3], None), ([], None)],
)
def test_only_rising_neighbours_become_a_slice(indices, found):
    given = np.array(indices, dtype=np.int64)
    assert as_slice(given) == found if found else as_slice(given) is given


@pytest.mark.parametrize(
    "attack",
    [
        LiRA(),
        LiRA(mode="offline"),
        LiRA(centre="median", variance="shared", compatibility="released"),
        RMIA(),
        LossThreshold(),
        HierarchicalLiRA(),
        VectorLiRA(signals=("margin", "loss")),
        BaVarIA(),
        AttackR(),
        Calibrated(),
        AttackP(),
    ],
    ids=repr,
)
def test_signals_mapped_into_memory_score_as_those_in_it(attack, tmp_path):
    world = planted_world(records=60, targets=2, references=16, shift=1.0, seed=3)
    mapped = {}
    for key, values in world.views["dense"].items():
        np.save(tmp_path / f"{key}.npy", values.astype(np.float32))
        mapped[key] = np.load(tmp_path / f"{key}.npy", mmap_mode="r")
    held = {key: np.array(values) for key, values in mapped.items()}
    one, two = (
        attack(replace(world, views={"dense": signals}, primary="dense"))
        for signals in (mapped, held)
    )
    np.testing.assert_array_equal(one.values, two.values)
    np.testing.assert_array_equal(one.threshold, two.threshold)


def peak_of(attack, folder, queries, models=33):
    """Return the bytes that scoring a signal in a file allocates at its peak."""
    records = 6000
    rng = np.random.default_rng(0)
    inside = np.zeros((models, records), bool)
    inside[0, :4000] = rng.random(4000) < 0.5
    inside[1:, :4000] = rng.random((models - 1, 4000)).argsort(axis=0) < models // 2
    who = Membership(
        inside=inside,
        roles=("target", *("reference",) * (models - 1)),
        pools={"audit": np.arange(4000), "population": np.arange(4000, records)},
        units=np.arange(records),
        seed=0,
    )
    path = folder / f"{queries}.npy"
    np.save(path, -rng.random((models, queries, records), dtype=np.float32))
    signals = {s.key: np.load(path, mmap_mode="r") for s in attack.needs}
    tracemalloc.start()
    seen = Observations.from_arrays(signals, labels=np.arange(records) % 2, membership=who)
    attack(seen)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


@pytest.mark.parametrize(
    "attack",
    [
        LiRA(),
        LiRA(mode="offline"),
        LiRA(centre="median", variance="shared", compatibility="released"),
        RMIA(),
        HierarchicalLiRA(),
        BaVarIA(),
        AttackR(smooth=0.0),
        Calibrated(),
        AttackP(),
    ],
    ids=repr,
)
def test_memory_does_not_grow_with_the_number_of_queries_in_a_file(attack, tmp_path):
    one, ten = (peak_of(attack, tmp_path, queries) for queries in (1, 10))
    assert ten < 1.5 * one
    assert ten < 0.7 * (tmp_path / "10.npy").stat().st_size


def test_memory_of_a_vector_attack_does_not_grow_with_the_number_of_models(tmp_path):
    few, many = (peak_of(VectorLiRA(), tmp_path, 4, models) for models in (33, 129))
    assert many < 1.5 * few
    assert many < 0.7 * 2 * (tmp_path / "4.npy").stat().st_size


@pytest.mark.parametrize("variance", ["per record", "shared", "shrunk"])
def test_lira_reaches_the_analytic_auc_on_known_gaussians(variance):
    world = planted_world(records=1600, targets=4, references=64, shift=1.0, seed=1, hardness=3.0)
    scores = LiRA(variance=variance)(world)
    who = world.membership
    values = [
        auc_value(scores.values[i, scores.evaluated[i]], who.inside[t, scores.evaluated[i]])
        for i, t in enumerate(who.targets)
    ]
    assert np.mean(values) == pytest.approx(ndtr(1 / np.sqrt(2)), abs=0.025)


def test_rmia_on_a_target_like_its_references_is_a_coin():
    world = planted_world(records=1600, targets=4, references=16, shift=0.0, seed=2)
    scores = RMIA()(world)
    who = world.membership
    values = [
        auc_value(scores.values[i, scores.evaluated[i]], who.inside[t, scores.evaluated[i]])
        for i, t in enumerate(who.targets)
    ]
    assert np.mean(values) == pytest.approx(0.5, abs=0.03)


def test_a_ratio_that_equals_gamma_is_beaten():
    world = planted_world(records=40, targets=1, references=4, shift=0.0, seed=0)
    certain = observed(world.membership, **{"log_confidence@4": np.zeros((5, 40))})
    scores = RMIA(gamma=1.0)(certain)
    assert (scores.values[scores.evaluated] == 1.0).all()
    stricter = RMIA(gamma=1.5)(certain)
    assert (stricter.values[stricter.evaluated] == 0.0).all()


def test_without_references_each_attack_says_how_many_it_needs():
    world = planted_world(records=40, targets=2, references=0, shift=1.0, seed=0)
    for attack in (LiRA(), LiRA(mode="offline"), RMIA()):
        with pytest.raises(NotEnoughReferencesError, match=r"needs at least .* draw at least"):
            attack(world)
    with pytest.raises(NotEnoughReferencesError, match=r"use LossThreshold\(class_wise=False\)"):
        LossThreshold()(world)
    bare = LossThreshold(class_wise=False)(world)
    assert bare.threshold is None


def test_rmia_without_population_names_the_pool():
    world = planted_world(records=40, targets=1, references=4, shift=1.0, seed=0)
    who = world.membership
    bare = Membership(
        inside=who.inside,
        roles=who.roles,
        pools={"audit": who.pools["audit"]},
        units=who.units,
        seed=0,
    )
    with pytest.raises(DataError, match="pool 'population' is empty"):
        RMIA()(observed(bare, **{"log_confidence@4": world.views["dense"]["log_confidence@4"]}))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LiRA(mode="both"), "mode must be 'online' or 'offline', got 'both'"),
        (lambda: LiRA(variance="none"), "variance must be"),
        (lambda: LiRA(weight=0.0), "weight must be positive"),
        (lambda: LiRA(centre="mode"), "centre must be"),
        (lambda: RMIA(gamma=-1.0), "gamma must be positive"),
        (lambda: RMIA(a=2.0), r"a must be in \[0, 1\], got 2.0"),
        (lambda: RMIA(mode="x"), "mode must be"),
    ],
)
def test_parameters_out_of_range_are_refused(make, message):
    with pytest.raises(MethodError, match=message):
        make()


def test_thresholds_are_chosen_per_class_on_references_alone():
    rng = np.random.default_rng(0)
    who = planted_world(records=800, targets=2, references=8, shift=0, seed=3).membership
    labels = np.arange(800) % 2
    offset = np.where(labels == 1, 100.0, 0.0)  # one class has much larger losses
    loss = offset + rng.normal(size=who.inside.shape) - 3.0 * who.inside
    seen = Observations.from_arrays({"loss": loss}, labels=labels, membership=who, n_classes=2)
    class_wise, overall = LossThreshold()(seen), LossThreshold(class_wise=False)(seen)

    def right(scores):
        inside = who.inside[who.targets][scores.evaluated]
        said = scores.values[scores.evaluated] >= scores.threshold[0]
        return np.mean(said == inside)

    assert right(class_wise) > 0.9 > 0.8 > right(overall)
    moved = loss.copy()
    moved[who.targets] += 5.0
    shifted = LossThreshold()(
        Observations.from_arrays({"loss": moved}, labels=labels, membership=who, n_classes=2)
    )
    gap = class_wise.values - shifted.values
    assert np.allclose(gap[class_wise.evaluated], 5.0)


def test_pseudo_targets_are_references_and_no_target_is_left():
    world = planted_world(records=60, targets=2, references=12, shift=1.0, seed=0)
    trial = pseudo_targets(world)
    assert trial is not None
    assert len(trial.membership.targets) == 2  # whole pairs: a quarter would be three
    assert len(trial.membership) == 12
    references = world.membership.references
    assert np.array_equal(trial.membership.inside, world.membership.inside[references])
    assert (
        pseudo_targets(planted_world(records=60, targets=2, references=6, shift=1, seed=0)) is None
    )


def test_records_that_too_few_are_left_to_hold_are_no_audit_records_of_the_trial():
    world = planted_world(records=60, targets=2, references=24, shift=1.0, seed=0)
    who = world.membership
    audit, references = who.pools["audit"], who.references
    inside = who.inside.copy()
    record = int(audit[7])
    inside[references, record] = np.arange(24) < 5  # five hold it: three of these play targets
    sparse = replace(world, membership=replace(who, inside=inside))
    trial = pseudo_targets(sparse)
    assert len(trial.membership.targets) == 6  # of the other 18 none is left
    np.testing.assert_array_equal(trial.membership.pools["audit"], np.setdiff1d(audit, [record]))
    assert not trial.membership.inside[:, record].any()
    kept = trial.membership.pools["audit"]
    np.testing.assert_array_equal(trial.membership.inside[:, kept], inside[references][:, kept])
    inside[references, record] = np.arange(24) < 2  # too few of all: nothing can be said of it
    whole = pseudo_targets(replace(world, membership=replace(who, inside=inside)))
    np.testing.assert_array_equal(whole.membership.pools["audit"], audit)


def test_the_threshold_of_lira_does_not_look_at_the_targets():
    world = planted_world(records=200, targets=2, references=16, shift=2.0, seed=0)
    signals = {k: np.array(v) for k, v in world.views["dense"].items()}
    signals["margin"][world.membership.targets] += 50.0
    changed = Observations.from_arrays(
        signals, labels=world.labels, membership=world.membership, n_classes=2
    )
    assert LiRA()(world).threshold[0] == LiRA()(changed).threshold[0]


def test_entropy_and_loss_are_turned_so_that_larger_means_member():
    world = planted_world(records=400, targets=2, references=8, shift=3.0, seed=0, hardness=0.1)
    for attack in (LossThreshold(), EntropyThreshold()):
        scores = attack(world)
        who = world.membership
        e = scores.evaluated[0]
        assert auc_value(scores.values[0, e], who.inside[who.targets[0], e]) > 0.8


def test_offline_lira_tells_apart_what_lies_far_beyond_every_reference():
    world = planted_world(records=60, targets=1, references=16, shift=0.0, seed=0)
    margin = np.array(world.views["dense"]["margin"])
    audit = world.membership.pools["audit"]
    margin[0, audit] = 50 * (1 + np.arange(len(audit)))  # from 38 spreads on, log Phi is 0
    seen = replace(world, views={"dense": {"margin": margin}})
    for variance in ("shared", "per record", "shrunk"):
        attack = LiRA(mode="offline", variance=variance)
        found = attack(seen).values[0, audit]
        assert np.isfinite(found).all() and len(np.unique(found)) == len(audit)
    shared = LiRA(mode="offline", variance="shared")(seen).values[0, audit]
    assert (np.diff(shared) > 0).all()
