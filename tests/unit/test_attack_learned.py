"""The paper's neural attack: an insider that never scores what it trained on."""

from __future__ import annotations

import numpy as np
import pytest

from secateur.attack.learned import NasrAttack
from secateur.data import draw
from secateur.errors import InputError, MethodError
from secateur.types import AUDIT, Membership, Observations, Records


def world(leak: float, seed: int = 0, n: int = 400, classes: int = 4, units: int | None = None):
    """Posteriors of two targets in which members get a sharper true class."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=n)
    owners = None if units is None else np.arange(n) % units
    records = Records.from_arrays(rng.normal(size=(n, 2)), labels, n_classes=classes, units=owners)
    who = draw(records, targets=2, references=0, seed=seed, pools={"audit": n})
    logits = rng.normal(size=(2, n, classes))
    logits[:, np.arange(n), labels] += 1 + leak * who.inside
    posterior = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    return Observations(
        views={"dense": {"margin": np.zeros((2, n))}},
        labels=records.labels,
        membership=who,
        n_classes=classes,
        posteriors={"dense": posterior.astype(np.float32)},
        ids=records.ids,
    )


def rank_auc(scores, who: Membership) -> float:
    values = []
    for row, model in enumerate(who.targets):
        e = scores.evaluated[row]
        a = scores.values[row][e & who.inside[model]]
        b = scores.values[row][e & ~who.inside[model]]
        values.append((a[:, None] > b).mean() + (a[:, None] == b).mean() / 2)
    return float(np.mean(values))


def test_it_sees_a_planted_leak_on_records_that_it_did_not_train_on():
    seen = world(leak=4.0)
    assert rank_auc(NasrAttack(epochs=15)(seen), seen.membership) > 0.85


def test_it_sees_nothing_where_nothing_is():
    seen = world(leak=0.0, n=1200)
    assert abs(rank_auc(NasrAttack(epochs=10)(seen), seen.membership) - 0.5) < 0.06


def test_half_of_the_audit_pool_is_evaluated_and_nothing_else():
    seen = world(leak=1.0)
    scores = NasrAttack(epochs=1)(seen)
    assert scores.evaluated.sum(axis=1).tolist() == [200, 200]
    outside = np.setdiff1d(np.arange(400), seen.membership.pools[AUDIT])
    assert not scores.evaluated[:, outside].any()


def test_a_person_is_known_or_scored_as_a_whole():
    seen = world(leak=1.0, units=50)
    evaluated = NasrAttack(epochs=1)(seen).evaluated[0]
    shares = [evaluated[seen.membership.units == u].mean() for u in range(50)]
    assert set(shares) == {0.0, 1.0}


def test_same_seed_same_scores_and_another_seed_another_split():
    seen = world(leak=1.0)
    attack = NasrAttack(epochs=1)
    first, again, other = attack(seen, seed=1), attack(seen, seed=1), attack(seen, seed=2)
    assert np.array_equal(first.values, again.values)
    assert not np.array_equal(first.evaluated, other.evaluated)


def test_the_order_of_records_does_not_matter():
    seen = world(leak=1.0)
    order = np.random.default_rng(0).permutation(400)
    who = seen.membership
    shuffled = Observations(
        views={"dense": {"margin": np.zeros((2, 400))}},
        labels=seen.labels[order],
        membership=Membership(
            inside=who.inside[:, order],
            roles=who.roles,
            pools={"audit": np.arange(400)},
            units=who.units[order],
            seed=who.seed,
        ),
        n_classes=seen.n_classes,
        posteriors={"dense": seen.posteriors["dense"][:, order]},
        ids=np.arange(400)[order],
    )
    attack = NasrAttack(epochs=2)
    a, b = attack(seen), attack(shuffled)
    assert np.array_equal(a.evaluated[:, order], b.evaluated)
    assert np.allclose(a.values[:, order], b.values, atol=1e-5)


def test_without_posteriors_it_says_what_is_missing():
    seen = world(leak=0.0)
    bare = Observations(
        views=seen.views, labels=seen.labels, membership=seen.membership, n_classes=4
    )
    with pytest.raises(InputError, match="view 'dense' has no posteriors"):
        NasrAttack()(bare)


@pytest.mark.parametrize("fields", [{"members_known": 1.0}, {"epochs": 0}, {"lr": -1.0}])
def test_parameters_out_of_range_are_refused(fields):
    with pytest.raises(MethodError, match="got"):
        NasrAttack(**fields)
