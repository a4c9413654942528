"""Attacks with priors over records equal their loops, and are strong where references are few."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import digamma, log_ndtr, polygamma
from scipy.stats import norm, t

from oracles import bayes as oracle
from secateur.attack.membership import BaVarIA, HierarchicalLiRA, LiRA, VectorLiRA
from secateur.attack.membership.bavaria import _fit
from secateur.attack.membership.references import masked_moments, sided_moments
from secateur.attack.membership.shrinkage import (
    _inverse_trigamma,
    fit_variance_prior,
    log_odds_below,
    student_log_density,
    trend,
)
from secateur.attack.membership.vectors import vector_log_ratio
from secateur.data import planted_world
from secateur.errors import MethodError, NotEnoughReferencesError
from secateur.measure import per_target
from secateur.types import AUDIT, Membership, Observations


def arrays(seed, *, models=7, records=60, width=1):
    """Targets, references and memberships; every record at least twice on each side."""
    rng = np.random.default_rng(seed)
    inside = rng.random((models, records)).argsort(axis=0) < rng.integers(2, models - 1, records)
    difficulty = rng.normal(size=(records, width))
    spread = np.exp(0.5 * difficulty[:, :1])

    def seen(who):
        noise = rng.normal(size=(*who.shape, width)) @ (np.eye(width) + 0.3)
        return difficulty * 2 + spread * noise + who[..., None] * (3 - difficulty)

    coins = rng.random((2, records)) < 0.5
    return seen(coins), seen(inside), inside


def read(values):
    return lambda rows: values[:, rows]


def uneven_world(seed, *, references, records=1500, targets=4):
    """Margins whose level, gain and spread all depend on the record: what networks show."""
    world = planted_world(
        records=records, targets=targets, references=references, shift=0.0, seed=seed
    )
    rng = np.random.default_rng(seed)
    hard = rng.normal(size=records)
    inside = world.membership.inside
    spread = np.exp(0.7 * hard + 0.3 * rng.normal(size=records))
    margin = 3 - 3 * hard + spread * rng.normal(size=inside.shape) + inside * (2 + 1.5 * hard)
    return replace(world, views={"dense": {"margin": margin}})


def mean_auc(attack, world):
    return per_target(attack(world), world.membership, "auc").mean()


@pytest.mark.parametrize("variant", ["t", "n"])
@pytest.mark.parametrize("seed", [0, 1])
def test_hierarchical_lira_equals_its_loop(variant, seed):
    targets, references, inside = (a[..., 0] if a.ndim == 3 else a for a in arrays(seed))
    found = HierarchicalLiRA(variant=variant)(world_of(targets, references, inside))
    expected = oracle.hierarchical(targets, references, inside, variant)
    assert np.allclose(found.values, expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("variant", ["t", "n"])
@pytest.mark.parametrize(("width", "shrink"), [(1, 0.1), (2, 0.0), (3, 0.4)])
def test_the_vector_ratio_equals_its_loop(variant, width, shrink):
    targets, references, inside = arrays(3, records=80, width=width)
    found = vector_log_ratio(
        *map(read, (targets, references)), inside, variant=variant, shrink=shrink
    )
    expected = oracle.vectors(targets, references, inside, shrink, variant)
    assert np.allclose(found, expected, rtol=1e-7, atol=1e-7)


def test_the_vector_ratio_is_the_same_in_blocks(monkeypatch):
    targets, references, inside = arrays(4, width=2)
    readers = tuple(map(read, (targets, references)))
    whole = vector_log_ratio(*readers, inside)
    for limit, value in (("BLOCK", 7), ("VALUES", 5 * len(inside) * 2), ("VALUES", 1)):
        with monkeypatch.context() as patch:
            patch.setattr(f"secateur.attack.membership.vectors.{limit}", value)
            assert np.allclose(whole, vector_log_ratio(*readers, inside), atol=1e-10)


@pytest.mark.parametrize("variant", ["t", "n"])
def test_bavaria_equals_updating_value_by_value(variant):
    targets, references, inside = (a[..., 0] if a.ndim == 3 else a for a in arrays(5))
    found = BaVarIA(variant=variant)(world_of(targets, references, inside)).values
    out, within = oracle.sides(references, inside)
    models, records = (np.arange(n) for n in inside.shape)
    fits = [_fit(m) for m in sided_moments(references, models, records, inside)][::-1]
    for i, row in enumerate(targets):
        for r, phi in enumerate(row):
            expected = oracle.nig_log_predictive(
                phi, within[r], *fits[1], variant
            ) - oracle.nig_log_predictive(phi, out[r], *fits[0], variant)
            assert found[i, r] == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("variant", ["t", "n"])
def test_offline_bavaria_orders_records_by_the_tail_of_the_predictive(variant):
    targets, references, inside = (a[..., 0] if a.ndim == 3 else a for a in arrays(6))
    found = BaVarIA(variant=variant, mode="offline")(world_of(targets, references, inside)).values
    out, _ = oracle.sides(references, inside)
    mu0, kappa0, alpha0, beta0 = _fit(masked_moments(references, ~inside))
    for i, row in enumerate(targets):
        for r, phi in enumerate(row):
            m, k, a, b = mu0, kappa0, alpha0, beta0
            for v in out[r]:
                b += k * (v - m) ** 2 / (2 * (k + 1))
                m, k, a = (k * m + v) / (k + 1), k + 1, a + 0.5
            tail = (
                t(2 * a, m, np.sqrt(b * (k + 1) / (a * k)))
                if variant == "t"
                else norm(m, np.sqrt(b / max(a - 1, 0.5)))
            )
            expected = tail.logcdf(phi) - tail.logsf(phi)
            assert found[i, r] == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_bavarias_prior_has_the_largest_marginal_likelihood_nearby():
    _, references, inside = (a[..., 0] if a.ndim == 3 else a for a in arrays(7))
    best = np.array(_fit(masked_moments(references, inside)))
    groups = oracle.sides(references, inside)[1]
    top = oracle.nig_log_marginal(groups, *best)
    for k in range(4):
        for step in (0.9, 1.1):
            other = best.copy()
            other[k] *= step
            assert oracle.nig_log_marginal(groups, *other) <= top + 1e-3


def test_the_variance_prior_is_recovered_from_its_own_draws():
    rng = np.random.default_rng(0)
    records, freedom, d = 40_000, 6.0, 3.0
    x = rng.normal(size=records)
    columns, _ = trend(x, 1)
    centre = np.exp(0.4 + 0.7 * np.clip((x - x.mean()) / x.std(), -2.5, 2.5))
    sigma2 = centre * freedom / rng.chisquare(freedom, records)
    squares = sigma2 * rng.chisquare(d, records)
    prior = fit_variance_prior(squares, np.full(records, d), columns, otherwise=1.0)
    assert prior.freedom == pytest.approx(freedom, rel=0.1)
    assert np.abs(np.log(prior.centre / centre)).max() < 0.08


def test_a_variance_prior_without_any_spread_takes_what_it_is_told():
    prior = fit_variance_prior(np.zeros(5), np.zeros(5), None, otherwise=7.0)
    assert np.array_equal(prior.centre, np.full(5, 7.0))


@pytest.mark.parametrize("x", [0.1, 1.0, 30.0, 900.0])
def test_the_inverse_trigamma_undoes_the_trigamma(x):
    assert _inverse_trigamma(float(polygamma(1, x))) == pytest.approx(x, rel=1e-9)
    assert digamma(1.0) == pytest.approx(-np.euler_gamma)


def test_student_densities_and_tails_are_scipys():
    x, nu = np.linspace(-30, 30, 13), np.array(3.5)
    found = student_log_density(x, np.array(1.0), np.array(4.0), nu)
    assert np.allclose(found, t.logpdf(x, 3.5, 1.0, 2.0), rtol=1e-12)
    assert np.allclose(log_odds_below(x, nu), t.logcdf(x, 3.5) - t.logsf(x, 3.5), rtol=1e-9)
    assert np.allclose(log_odds_below(x), log_ndtr(x) - log_ndtr(-x))
    assert (np.diff(log_odds_below(np.linspace(8, 30, 50))) > 0).all()


def test_trends_are_flat_in_the_tails_and_their_slopes_are_derivatives():
    x = np.concatenate([np.random.default_rng(0).normal(size=200), [50.0]])
    values, slopes = trend(x, 3)
    assert not slopes[-1].any()
    centre, scale = x.mean(), x.std()
    u = (x[:5] - centre) / scale
    assert np.allclose(values[:5, 3], u**3)
    assert np.allclose(slopes[:5, 3], 3 * u**2 / scale)


@pytest.mark.parametrize("references", [2, 4, 8])
@pytest.mark.parametrize("attack", [BaVarIA(), HierarchicalLiRA()], ids=repr)
def test_with_few_references_priors_beat_lira(attack, references):
    gains = [
        mean_auc(attack, world) - mean_auc(LiRA(), world)
        for world in (uneven_world(s, references=references) for s in range(4))
    ]
    assert np.mean(gains) > 0


@pytest.mark.parametrize("attack", [BaVarIA(), HierarchicalLiRA(), VectorLiRA()], ids=repr)
def test_with_many_references_priors_change_little(attack):
    world = uneven_world(0, references=128, records=600)
    assert mean_auc(attack, world) > mean_auc(LiRA(variance="per record"), world) - 0.003


def test_the_joint_prior_reads_the_record_off_both_sides():
    worlds = [uneven_world(s, references=8) for s in range(4)]
    assert np.mean([mean_auc(HierarchicalLiRA(), w) - mean_auc(BaVarIA(), w) for w in worlds]) > 0


def test_several_queries_are_one_vector_or_a_mean():
    world = planted_world(records=300, targets=2, references=12, shift=1.0, seed=0)
    margin = world.views["dense"]["margin"]
    rng = np.random.default_rng(0)
    three = np.stack([margin + rng.normal(size=margin.shape) for _ in range(3)], axis=1)
    seen = replace(world, views={"dense": {"margin": three}})
    first = replace(world, views={"dense": {"margin": three[:, 0]}})
    assert mean_auc(VectorLiRA(), seen) > mean_auc(VectorLiRA(), first) + 0.02
    for attack in (BaVarIA(), HierarchicalLiRA()):
        each = [
            attack(replace(world, views={"dense": {"margin": three[:, q]}})).values
            for q in range(3)
        ]
        assert np.allclose(attack(seen).values, np.mean(each, axis=0))


def test_correlated_queries_need_the_full_covariance():
    world = planted_world(records=800, targets=3, references=16, shift=1.0, seed=0)
    rng = np.random.default_rng(0)
    inside = world.membership.inside
    shared = 3 * rng.normal(
        size=inside.shape
    )  # what both queries share hides the second one's news
    two = np.stack([shared + inside, shared + 0.3 * rng.normal(size=inside.shape)], axis=1)
    seen = replace(world, views={"dense": {"margin": two}})
    full, diagonal = VectorLiRA(shrink=0.01), VectorLiRA(covariance="diagonal")
    assert mean_auc(full, seen) > mean_auc(diagonal, seen) + 0.1


def test_references_that_all_say_the_same_give_finite_scores():
    world = planted_world(records=60, targets=1, references=8, shift=0.0, seed=0)
    margin = np.broadcast_to(np.arange(60.0) % 3, world.membership.inside.shape)
    seen = replace(world, views={"dense": {"margin": np.array(margin)}})
    for attack in (BaVarIA(), BaVarIA(mode="offline"), HierarchicalLiRA(), VectorLiRA()):
        assert np.isfinite(attack(seen).values).all()


def test_one_reference_on_a_side_is_enough_for_one_signal_and_too_few_for_vectors():
    world = planted_world(records=60, targets=1, references=2, shift=1.0, seed=0)
    assert np.isfinite(HierarchicalLiRA()(world).values).all()
    no_population = replace(
        world,
        membership=replace(world.membership, pools={AUDIT: world.membership.pools[AUDIT]}),
    )
    assert np.isfinite(HierarchicalLiRA()(no_population).values).all()
    with pytest.raises(NotEnoughReferencesError, match="VectorLiRA needs at least 2"):
        VectorLiRA()(world)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BaVarIA(variant="x"), "variant must be 't' or 'n', got 'x'"),
        (lambda: BaVarIA(mode="both"), "mode must be"),
        (lambda: HierarchicalLiRA(variant=1), "variant must be"),
        (lambda: VectorLiRA(shrink=2.0), r"shrink must be in \[0, 1\], got 2.0"),
        (lambda: VectorLiRA(covariance="none"), "covariance must be"),
        (lambda: VectorLiRA(variant="z"), "variant must be"),
        (lambda: VectorLiRA(signals=()), "at least one"),
        (lambda: VectorLiRA(signals=("margin", "margin")), "different"),
        (lambda: VectorLiRA(signals=("depth",)), "no signal 'depth'; there are margin"),
        (lambda: VectorLiRA(signals=("margin@hot",)), "name@temperature, got 'margin@hot'"),
    ],
)
def test_parameters_out_of_range_are_refused(make, message):
    with pytest.raises(MethodError, match=message):
        make()


def world_of(targets, references, inside):
    """Observations of these arrays; the coins of the targets do not matter to a score."""
    n = len(targets)
    who = np.concatenate([np.arange(n * inside.shape[1]).reshape(n, -1) % 2 == 0, inside])
    return Observations.from_arrays(
        {"margin": np.concatenate([targets, references])},
        labels=np.zeros(inside.shape[1], dtype=np.int64),
        membership=Membership(
            inside=who,
            roles=("target",) * n + ("reference",) * len(inside),
            pools={AUDIT: np.arange(inside.shape[1])},
            units=np.arange(inside.shape[1]),
            seed=0,
        ),
        n_classes=2,
    )
