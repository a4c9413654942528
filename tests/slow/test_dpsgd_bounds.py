"""With canaries and more models: what an audit shows of epsilon stays below what was accounted."""

from __future__ import annotations

import pytest

from secateur.attack.membership import HierarchicalLiRA
from secateur.auditing import audit
from secateur.data import Mislabelled, canary_indices, digits, draw, plant, restrict
from secateur.defend import DPSGD
from secateur.models import MLP
from secateur.train import SGD, Adam, Recipe, train_fleet

pytestmark = pytest.mark.slow

PLAIN = Recipe(build=MLP(widths=(64, 128, 10)), epochs=80, batch_size=32, optimiser=Adam(lr=0.002))
STEPS = SGD(lr=1.0, weight_decay=0.0, schedule="constant")


def shown(recipe):
    """Return (lower bound, accounted epsilon or None) of 8 targets by an adaptive attacker."""
    records = plant(digits(), [Mislabelled(count=200)], seed=0)
    pools = {"audit": 400, "population": 50, "utility": 300}
    who = draw(
        records, targets=8, references=16, seed=0, pools=pools, audited=canary_indices(records)
    )
    records, who = restrict(records, who)
    fleet = train_fleet(recipe, records, who, seed=0)
    rows = {r.metric: r for r in audit(fleet, records, attacks=[HierarchicalLiRA()]).rows}
    promised = rows.get("accounted epsilon at delta 1e-05")
    return rows["epsilon at delta 1e-05"].value, None if promised is None else promised.value


def dpsgd(sigma):
    return DPSGD(noise_multiplier=sigma, batch_size=100, epochs=60, optimiser=STEPS)


@pytest.mark.parametrize("sigma", [0.1, 0.5, 2.0, 8.0])
def test_the_audited_bound_is_below_the_accounted_epsilon(sigma):
    bound, promised = shown(dpsgd(sigma).defended(PLAIN))
    print(f"sigma {sigma}: shown {bound:.2f}, accounted {promised:.2f}")
    assert 0 <= bound <= promised
    assert bound > 0 or sigma > 0.1  # little noise: the attack sees something


def test_the_same_audit_refutes_the_strongest_promise_for_a_training_without_noise():
    bound, promised = shown(PLAIN)
    assert promised is None
    assert bound > dpsgd(8.0).epsilon(200)
