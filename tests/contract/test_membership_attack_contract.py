"""What every membership attack of the house promises, over the folder's `__all__`."""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

import secateur.attack.membership as room
from secateur.data import Augmented, MeanSignal, NearestRecords, Noise, planted_world
from secateur.measure import per_target
from secateur.measure.controls import planted_signals
from secateur.protocols import MembershipAttack
from secateur.spelling import parse
from secateur.types import Membership, Observations

CLASSES = [getattr(room, n) for n in room.__all__ if isinstance(getattr(room, n), type)]
VARIANTS = [cls() for cls in CLASSES] + [
    room.LiRA(mode="offline"),
    room.LiRA(variance="per record"),
    room.LiRA(variance="shared", centre="median"),
    room.RMIA(mode="offline"),
    room.RMIA(temperature=1.0),
    room.LossThreshold(class_wise=False),
]
VARIANTS += [
    room.LiRA(compatibility="released", variance="shared", centre="median"),
    room.LiRA(compatibility="released", variance="per record", centre="median"),
    room.RMIA(compatibility="released", mode="offline"),
    room.BaVarIA(variant="n"),
    room.BaVarIA(mode="offline"),
    room.HierarchicalLiRA(variant="n"),
    room.VectorLiRA(signals=("margin", "log_confidence@4"), covariance="diagonal", variant="n"),
    room.AttackR(smooth=0.0),
    room.QuantileRegression(head="quantile"),
    room.StackedAttack(others=("dense",), head="logistic", folds=4),
]
attacks = pytest.mark.parametrize("attack", VARIANTS, ids=repr)


VARIANTS += [
    room.LabelOnly(score="count"),
    room.LabelOnly(score="difference"),
    room.LabelOnly(perturbations=(Noise(sd=0.3), Noise(sd=1.0)), variant="n"),
    room.Neighbours(use="sum"),
    room.Neighbours(use="alone", variant="n"),
]


def planted(attack, **about) -> Observations:
    """Return a planted world; for an attack on several views, with a second, noisier one; for one
    that reads labels or perturbed queries, with such as these margins give."""
    world = planted_world(**about)
    margin = world.views["dense"]["margin"]
    if isinstance(attack, room.GapAttack):  # half of the leak lies on each side of the boundary
        correct = margin > 3 + about["shift"] / 2
        return replace(world, views={"dense": {"correct": correct.astype(float)}})
    means = {s.key: s for s in attack.needs if isinstance(s, MeanSignal)}
    if means:
        rng = np.random.default_rng(about["seed"])
        signals = dict(world.views["dense"])
        for key, s in means.items():
            kept = rng.binomial(len(s.over), norm.cdf((margin - 3) / 3)) / len(s.over)
            signals[key] = kept if s.name == "correct" else margin + rng.normal(size=margin.shape)
        world = replace(world, views={"dense": signals})
    if getattr(attack, "needs_gradients", False):
        noise = np.random.default_rng(about["seed"]).normal(size=world.views["dense"]["loss"].shape)
        norms = np.log(world.views["dense"]["loss"] + 1e-9) + noise
        world = replace(world, gradients={"dense": norms[..., None]})
    if not getattr(attack, "needs_more_views", False):
        return world
    margin = world.views["dense"]["margin"]
    noise = np.random.default_rng(about["seed"]).normal(size=margin.shape) / 2
    views = {"dense": world.views["dense"], "pruned": planted_signals(margin + noise, world)}
    return replace(world, views=views, primary="pruned")


@attacks
def test_it_sees_a_planted_leak(attack):
    world = planted(attack, records=600, targets=2, references=16, shift=3.0, seed=0, hardness=0.2)
    assert per_target(attack(world), world.membership, "auc").mean() > 0.9


@attacks
def test_it_sees_nothing_where_nothing_is(attack):
    world = planted(attack, records=2000, targets=8, references=16, shift=0.0, seed=1)
    assert abs(per_target(attack(world), world.membership, "auc").mean() - 0.5) < 0.03


@attacks
def test_it_is_blind_to_the_order_of_records(attack):
    world = planted(attack, records=80, targets=2, references=16, shift=1.0, seed=2)
    order = np.random.default_rng(0).permutation(80)
    place = np.argsort(order)
    who = world.membership
    shuffled = Observations(
        views={
            view: {k: v[:, order] for k, v in signals.items()}
            for view, signals in world.views.items()
        },
        primary=world.primary,
        labels=world.labels[order],
        membership=Membership(
            inside=who.inside[:, order],
            roles=who.roles,
            pools={k: place[v] for k, v in who.pools.items()},
            units=who.units[order],
            seed=who.seed,
        ),
        n_classes=2,
        gradients={view: g[:, order] for view, g in world.gradients.items()},
    )
    a, b = attack(world), attack(shuffled)
    assert np.array_equal(a.evaluated[:, order], b.evaluated)
    assert np.allclose(a.values[:, order], b.values, rtol=1e-9, atol=1e-9)


@attacks
def test_it_is_repeatable(attack):
    world = planted(attack, records=60, targets=2, references=16, shift=1.0, seed=3)
    assert np.array_equal(attack(world, seed=5).values, attack(world, seed=5).values)


@attacks
def test_it_never_gives_nan_on_extreme_signals(attack):
    world = planted(attack, records=60, targets=2, references=16, shift=1.0, seed=4)
    views = {}
    for view, signals in world.views.items():
        views[view] = {}
        for key, values in signals.items():
            made = np.array(values, dtype=np.float64)
            made[:, ::3] = 0.0
            made[:, 1::3] = -1e4 if key.startswith(("margin", "log")) else 1e4
            views[view][key] = made
    scores = attack(replace(world, views=views))
    assert np.isfinite(scores.values[scores.evaluated]).all()


@attacks
def test_it_scores_every_record_of_the_audit_pool_and_no_other(attack):
    world = planted(attack, records=60, targets=2, references=16, shift=1.0, seed=5)
    expected = np.zeros((2, 60), dtype=bool)
    expected[:, world.membership.pools["audit"]] = True
    assert np.array_equal(attack(world).evaluated, expected)


@attacks
def test_its_repr_is_its_spelling(attack):
    names = {cls.__name__: cls for cls in (*CLASSES, Augmented, NearestRecords, Noise)}
    assert parse(repr(attack), names) == attack


@attacks
def test_it_satisfies_the_protocol_and_says_what_it_needs(attack):
    assert isinstance(attack, MembershipAttack)
    assert attack.needs
    assert attack.min_in >= 0
    assert attack.min_out >= 0
    assert attack.threat in ("adaptive", "no references", "insider")
    assert attack.reference


def test_no_attack_of_the_folder_is_left_out_of_all():
    shown = [vars(room)[name] for name in room.__all__]
    bases = {base for value in shown if isinstance(value, type) for base in value.__mro__[1:]}
    for module in pkgutil.iter_modules(room.__path__):
        loaded = importlib.import_module(f"{room.__name__}.{module.name}")
        for name, value in vars(loaded).items():
            own = isinstance(value, type) and value.__module__ == loaded.__name__
            if own and value not in bases and hasattr(value, "needs_posteriors"):
                assert name in room.__all__, f"add {name} to {room.__name__}.__all__"
