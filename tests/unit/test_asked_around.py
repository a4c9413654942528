"""The control that models taught by teachers were asked around their records."""

from __future__ import annotations

import pytest

from secateur.attack.membership import LabelOnly, LossThreshold, Neighbours
from secateur.auditing import audit
from secateur.data import Noise, draw
from secateur.defend import CrossFit
from secateur.train import apply, train_fleet
from small_world import small_recipe, small_records

AROUND = (Noise(queries=2),)


@pytest.fixture(scope="module")
def fleets():
    records = small_records(n=120)
    who = draw(records, targets=1, references=4, seed=3)
    dense = train_fleet(small_recipe(epochs=2), records, who, seed=0, engine="serial")
    taught = apply(CrossFit(folds=2), dense, records, seed=0, engine="serial")
    return [dense, taught], records


@pytest.mark.parametrize(
    ("attacks", "status"),
    [
        ([LossThreshold()], "raised"),
        ([LossThreshold(), LabelOnly(perturbations=AROUND)], "raised"),  # labels alone
        ([LossThreshold(), Neighbours(perturbations=AROUND)], "passed"),
    ],
)
def test_students_have_to_be_asked_around_their_records(fleets, attacks, status):
    both, records = fleets
    report = audit(both, records, attacks=attacks)
    found = [c for c in report.controls if c.id == "asked-around"]
    assert [(c.subject, c.status) for c in found] == [(both[1].name, status)]
    assert "answers of 2 teachers each" in found[0].saw
