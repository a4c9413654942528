"""The accuracy of one model: its interval is over units, never narrower than they allow."""

from __future__ import annotations

import numpy as np
import pytest

from secateur.errors import InputError
from secateur.measure import clopper_pearson, over_units

ABOUT = ("model", "utility", "accuracy", "train accuracy")


def rate(right, units):
    return over_units(right, units, about=ABOUT, counts={"members": 1.0}, better="neither")


def test_records_of_their_own_have_the_exact_interval():
    right = np.arange(200) < 150
    row = rate(right, np.arange(200))
    assert (row.low, row.high) == clopper_pearson(150, 200)
    assert (row.value, row.interval, row.estimand) == (0.75, "Clopper-Pearson", "this model")
    assert row.counts == {"targets": 1.0, "members": 1.0}


def test_records_that_come_together_say_less():
    units = np.repeat(np.arange(40), 5)
    right = np.repeat(np.arange(40) < 30, 5)
    together, apart = rate(right, units), rate(right, np.arange(200))
    assert together.interval == "unit bootstrap"
    assert together.high - together.low > 1.8 * (apart.high - apart.low)  # sqrt(5) times


def test_persons_that_all_agree_leave_no_interval_of_no_width():
    row = rate(np.ones(200), np.repeat(np.arange(40), 5))
    assert (row.low, row.high) == pytest.approx(clopper_pearson(40, 40))
    assert row.interval == "unit bootstrap, widened" and "40 trials" in row.why


def test_few_persons_cover_their_rate_as_often_as_they_say():
    rng = np.random.default_rng(0)
    units = np.repeat(np.arange(30), 4)
    held = 0
    for _ in range(100):
        person = rng.beta(6, 2, size=30)  # 0.75 on average
        row = rate(rng.random(120) < np.repeat(person, 4), units)
        held += row.low <= 0.75 <= row.high
    assert held >= 88


@pytest.mark.parametrize(("right", "units"), [((), ()), ((1.0, 0.0), (0,)), (((1.0,),), ((0,),))])
def test_no_records_or_other_shapes_are_refused(right, units):
    with pytest.raises(InputError, match="one answer and one unit per record"):
        rate(np.array(right), np.array(units))
