"""Perturbed queries: right inputs, the same for every model, and the mean over them."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import rotate

from oracles import perturbed as oracle
from secateur import Augmented, MeanSignal, NearestRecords, Noise, Recombinations
from secateur.data import draw
from secateur.errors import DataError, InputError, MethodError
from secateur.models import rebuild
from secateur.probe import SignalProbe
from secateur.probe.means import Asked
from secateur.probe.run import observe
from secateur.train import train_fleet
from secateur.types import AUDIT, POPULATION, Records, Signal
from small_world import small_membership, small_recipe, small_records

CORRECT, MARGIN = Signal(name="correct"), Signal(name="margin")


def table(n=4000, seed=0):
    """Columns: one of spread 3, one binary, one constant."""
    rng = np.random.default_rng(seed)
    x = np.stack([3 * rng.normal(size=n) + 2000, rng.random(n) < 0.3, np.ones(n)], axis=1)
    return Records.from_arrays(x.astype(np.float32), np.arange(n) % 2)


def asked(perturbation, records, query=0, blocks=1):
    where = np.arange(len(records))
    who = draw(records, targets=1, references=0, seed=0)
    change = perturbation.prepared(records, who, where).change(records, query)
    return np.concatenate([change(records.gather(w)) for w in np.array_split(where, blocks)])


def pictures(n=6, channels=2, height=6, width=7, seed=0):
    x = np.random.default_rng(seed).normal(size=(n, channels, height, width))
    return Records.from_arrays(x.astype(np.float32), np.arange(n) % 2)


def test_a_column_gets_noise_in_units_of_its_spread_and_a_binary_one_is_flipped():
    records = table()
    plain, found = records.gather(np.arange(4000)), asked(Noise(sd=0.5, flip=0.2), records)
    assert (found - plain)[:, 0].std() == pytest.approx(1.5, rel=0.05)
    assert abs((found - plain)[:, 0].mean()) < 0.1
    assert set(np.unique(found[:, 1])) == {0.0, 1.0}
    assert (found != plain)[:, 1].mean() == pytest.approx(0.2, abs=0.02)
    assert (found == plain)[:, 2].all()


def test_every_pixel_gets_the_same_noise_and_black_and_white_pictures_are_flipped():
    records = pictures(n=500)
    x = records.gather(np.arange(500))
    away = asked(Noise(sd=0.5), records) - x
    assert away.std() == pytest.approx(0.5 * np.sqrt(x.var(axis=0).mean()), rel=0.02)
    ink = (x > 0).astype(np.float32)
    ink[:, 0, 0, 0] = 0  # a corner that never changes
    binary = replace(records, source=Records.from_arrays(ink, records.labels).source)
    found = asked(Noise(sd=0.5, flip=0.1), binary)
    assert set(np.unique(found)) == {0.0, 1.0}
    assert (found != ink).mean() == pytest.approx(0.1, abs=0.01)


def test_noise_depends_on_seed_and_query_and_on_nothing_else():
    records = table(n=300)
    first = asked(Noise(), records)
    assert np.array_equal(first, asked(Noise(), records, blocks=7))
    assert not np.array_equal(first, asked(Noise(), records, query=1))
    assert not np.array_equal(first, asked(Noise(seed=1), records))


def test_pictures_are_moved_to_every_place_at_the_distance_and_turned_both_ways():
    records = pictures()
    x = records.gather(np.arange(6))
    attack = Augmented(translate=2, rotate=30.0, flip=True)
    forms = [asked(attack, records, query=q) for q in range(len(attack))]
    padded = np.pad(x, ((0, 0), (0, 0), (2, 2), (2, 2)), mode="reflect")
    expected = [
        padded[:, :, 2 + i : 8 + i, 2 + j : 9 + j]
        for i in range(-2, 3)
        for j in range(-2, 3)
        if abs(i) + abs(j) == 2
    ]
    assert len(expected) == 8
    turned = [
        rotate(picture, d, reshape=False, order=1, mode="mirror", axes=(1, 2))
        for d in (30.0, -30.0)
        for picture in x
    ]
    expected += [np.stack(turned[:6]), np.stack(turned[6:]), x[..., ::-1]]
    assert len(forms) == len(expected) == 11
    for found, right in zip(forms, expected, strict=True):
        np.testing.assert_allclose(found, right, atol=1e-6)


@pytest.mark.parametrize("among", ["population", "audited"])
def test_neighbours_are_the_nearest_records_of_other_units_of_equally_near_ones_the_first(among):
    rng = np.random.default_rng(1)
    x = rng.integers(0, 3, size=(90, 4)).astype(np.float32) + 1e4  # far from 0, with many ties
    units = np.repeat(np.arange(45), 2)
    records = Records.from_arrays(x, np.arange(90) % 2, units=units)
    who = draw(records, targets=1, references=0, seed=0)
    where = who.pools[AUDIT]
    near = NearestRecords(k=3, among=among).prepared(records, who, where)
    others = who.pools[POPULATION if among == "population" else AUDIT]
    for row, record in enumerate(where):
        expected = oracle.neighbours(x, units, record, others, 3)
        for query in range(3):
            change = near.change(records, query)
            change(records.gather(where[:row]))
            assert np.array_equal(
                change(records.gather(where[row : row + 1]))[0], x[expected[query]]
            )


def test_a_mixture_lies_between_a_record_and_its_neighbour():
    records = small_records()
    who = small_membership(records)
    where = who.pools[AUDIT]
    x = records.gather(where)
    z = NearestRecords(k=2).prepared(records, who, where).change(records, 1)(x)
    mixed = NearestRecords(k=2, mix=0.25).prepared(records, who, where).change(records, 1)(x)
    np.testing.assert_allclose(mixed, 0.75 * x + 0.25 * z, rtol=1e-6)


@pytest.fixture(scope="module")
def fleet():
    records = small_records()
    who = small_membership(records)
    return records, train_fleet(small_recipe(), records, who, seed=0, engine="serial")


@pytest.mark.parametrize(
    "over", [Noise(sd=0.7, queries=3), NearestRecords(k=4), NearestRecords(k=2, mix=0.5)]
)
def test_a_mean_signal_is_the_mean_over_queries_asked_one_by_one(fleet, over):
    records, models = fleet
    wanted = [MeanSignal(name="correct", over=over), MeanSignal(name="margin", over=over), MARGIN]
    seen = observe(models, records, signals=wanted, posteriors=False)
    where = seen.membership.pools[AUDIT]
    perturbed = over.prepared(records, seen.membership, where)
    inputs = [perturbed.change(records, q)(records.gather(where)) for q in range(len(over))]
    module = rebuild(models.artifacts[3], models.recipe.build)
    for place, record in enumerate(where):
        y = int(records.labels[record])
        asked_here = [x[place] for x in inputs]
        kept = np.mean([oracle.label_kept(module, x, y) for x in asked_here])
        margin = np.mean([oracle.margin_of(module, x, y) for x in asked_here])
        assert seen.signal(wanted[0])[3, record] == pytest.approx(kept, abs=1e-6)
        assert seen.signal(wanted[1])[3, record] == pytest.approx(margin, rel=1e-4, abs=1e-4)
    unasked = np.setdiff1d(np.arange(len(records)), where)
    assert (seen.signal(wanted[0])[:, unasked] == 0).all()
    assert seen.signal(MARGIN)[:, unasked].any()


def test_what_goes_to_a_worker_asks_the_same(fleet):
    records, models = fleet
    wanted = [MeanSignal(name="margin", over=p) for p in (Noise(queries=2), NearestRecords(k=2))]
    asked = Asked.about(records, models.membership, wanted)
    module = rebuild(models.artifacts[0], models.recipe.build)
    here, _ = asked.means(module, records)
    there, _ = pickle.loads(pickle.dumps(asked)).means(module, records)
    assert sorted(here) == sorted(there) == sorted(s.key for s in wanted)
    assert all(np.array_equal(here[key], there[key]) for key in here)


def test_a_signal_that_these_records_do_not_have_says_why(fleet):
    records, models = fleet
    wanted = [MeanSignal(name="correct", over=Augmented()), MARGIN]
    seen = observe(models, records, signals=wanted, posteriors=False)
    assert list(seen.views["dense"]) == ["margin"]
    with pytest.raises(InputError, match=r"needs pictures .* shape \(8,\); ask with Noise\(\)"):
        seen.signal(wanted[0])


def test_logits_alone_give_no_mean_over_other_inputs():
    probe = SignalProbe(signals=(MeanSignal(name="correct", over=Noise()),))
    with pytest.raises(
        InputError, match=r"correct over Noise.* cannot be computed from the logits"
    ):
        probe(np.zeros((2, 3)), np.array([0, 1]))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Noise(sd=-1.0), r"sd must be finite and at least 0 .* got sd=-1.0"),
        (lambda: Noise(flip=0.7), r"flip in \[0, 0.5\], got sd=1.0, flip=0.7"),
        (lambda: Noise(queries=0), "queries must be at least 1, got 0"),
        (lambda: Augmented(translate=-1), "translate must be at least 0"),
        (lambda: Augmented(rotate=180.0), r"rotate in \[0, 180\)"),
        (lambda: Augmented(translate=0), "asks nothing; give one of them"),
        (lambda: NearestRecords(k=0), "k must be at least 1"),
        (lambda: NearestRecords(mix=0.0), r"mix in \(0, 1\], got k=8, mix=0.0"),
        (lambda: NearestRecords(among="all"), "among must be 'population' or 'audited', got 'all'"),
    ],
)
def test_parameters_out_of_range_are_refused(make, message):
    with pytest.raises(MethodError, match=message):
        make()


def test_noise_that_changes_nothing_is_refused():
    binary = Records.from_arrays(np.eye(4, dtype=np.float32), np.arange(4) % 2)
    with pytest.raises(DataError, match=r"changes nothing: of 4 numbers of a record 4 are binary"):
        asked(Noise(flip=0.0), binary)


def test_pictures_smaller_than_the_move_are_refused():
    with pytest.raises(DataError, match=r"larger than 6 pixels, .* shape \(2, 6, 7\)"):
        asked(Augmented(translate=6), pictures())


def test_too_few_neighbours_are_counted():
    records = small_records()
    who = replace(small_membership(records), pools={AUDIT: small_membership(records).pools[AUDIT]})
    with pytest.raises(DataError, match=r"at 8 neighbours, but there are 0 records of the pool"):
        NearestRecords().prepared(records, who, who.pools[AUDIT])


def test_the_networks_mode_and_weights_are_left_as_they_were(fleet):
    records, models = fleet
    module = rebuild(models.artifacts[0], models.recipe.build).train()
    before = {k: v.clone() for k, v in module.state_dict().items()}
    who = models.membership
    Asked.about(records, who, [MeanSignal(name="margin", over=Noise())]).means(module, records)
    assert module.training
    assert all(torch.equal(v, before[k]) for k, v in module.state_dict().items())


def pixels(n=40):
    """Every pixel says which picture it is of."""
    x = np.broadcast_to(np.arange(n, dtype=np.float32)[:, None, None, None], (n, 2, 6, 7))
    return Records.from_arrays(x.copy(), np.arange(n) % 2)


def populated(records, **pools):
    return draw(records, targets=1, references=0, seed=0, pools={"audit": 20, **pools})


@pytest.mark.parametrize("way", ["features", "mixed", "patches"])
def test_a_recombination_has_the_record_and_one_of_the_population_as_parents(way):
    records = pixels(60)
    who = populated(records, population=30)
    where = who.pool(AUDIT)
    asks = Recombinations(way=way, queries=30, least=0.4).prepared(records, who, where)
    assert all(len(set(row)) == 30 for row in asks.near)
    shares = []
    for query in range(len(asks)):
        change = asks.change(records, query)
        parts = np.array_split(where, 3)
        found = np.concatenate([change(records.gather(w)) for w in parts])
        whole = asks.change(records, query)(records.gather(where))
        np.testing.assert_array_equal(found, whole)  # the size of blocks changes nothing
        for own, one in zip(where, found, strict=True):
            if way == "mixed":
                parent = asks.near[list(where).index(own), query]
                share = asks.share[list(where).index(own), query]
                np.testing.assert_allclose(one, share * own + (1 - share) * parent, rtol=1e-5)
                continue
            others = {*np.unique(one).astype(int)} - {own}
            assert others <= {*who.pool(POPULATION)} and len(others) <= 1
            shares.append((one == own).mean())
    if way != "mixed":
        assert np.quantile(shares, 0.02) > 0.3 and np.mean(shares) == pytest.approx(0.7, abs=0.03)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"way": "stirred"}, "way must be one of features, mixed, patches"),
        ({"queries": 0}, "queries must be at least 1"),
        ({"least": 1.0}, r"least in \[0, 1\)"),
    ],
)
def test_recombinations_out_of_range_are_refused(wrong, why):
    with pytest.raises(MethodError, match=why):
        Recombinations(**wrong)


def test_recombinations_without_a_second_parent_or_a_picture_are_refused():
    records = pixels()
    with pytest.raises(DataError, match="draw with a larger pool"):
        asked_at(Recombinations(), records, populated(records))
    flat = small_records()
    with pytest.raises(DataError, match="no pictures"):
        asked_at(Recombinations(way="patches"), flat, small_membership(flat))


def asked_at(perturbation, records, who):
    return perturbation.prepared(records, who, who.pool(AUDIT))
