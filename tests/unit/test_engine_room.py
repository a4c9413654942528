"""A trial of stacks is measured, leaves room for all workers, and gives back what it took."""

from __future__ import annotations

import sys
from functools import partial

import numpy as np
import pytest

from secateur.compress import ADMM, RandomMask
from secateur.defend import PAST, CrossFit, MinMax
from secateur.models import MLP
from secateur.train.engines import auto, room, timings, trial
from small_world import CLASSES, FEATURES, small_membership, small_recipe, small_records

linux = pytest.mark.skipif(sys.platform != "linux", reason="the system does not say")
SIZE = 64 * 2**20


def took() -> float:
    return float(np.ones(SIZE, np.uint8)[-1])


@linux
def test_the_peak_of_a_call_is_what_it_took():
    found, taken = room.peak_of(took)
    assert found == 1.0
    assert taken is not None and SIZE * 0.9 <= taken < SIZE * 1.5
    free = room.available()
    assert free is not None and free > 0


def test_where_the_system_does_not_say_nothing_is_known(monkeypatch):
    monkeypatch.setattr(room, "_told", lambda *_: None)
    assert room.peak_of(took) == (1.0, None)
    assert room.available() is None


@pytest.mark.parametrize(
    ("size", "taken", "cores", "fits"),
    [
        (4, 100, 1, True),  # the next of 16 takes four times as much
        (4, 126, 1, False),
        (4, 60, 2, True),
        (4, 63, 2, False),
        (32, 10_000, 2, True),  # there is none larger
        (4, None, 2, True),
    ],
)
def test_a_larger_stack_is_tried_where_all_workers_have_room_for_it(
    monkeypatch, size, taken, cores, fits
):
    monkeypatch.setattr(auto, "available", lambda: 1000)
    assert auto._has_room(size, taken, cores) is fits


def test_no_larger_stack_is_tried_than_has_room(monkeypatch):
    records = small_records()
    who = small_membership(records)
    monkeypatch.setattr(auto, "peak_of", lambda work: (work(), 100))
    monkeypatch.setattr(auto, "available", lambda: 300)
    found = auto.choose(small_recipe(), None, records, who, workers=1)
    assert list(found.rates) == ["one by one", "stacks of 2"]


def test_what_differs_in_numbers_alone_is_timed_once(monkeypatch):
    records = small_records()
    who = small_membership(records)
    timed = []
    alone = trial.Trial.alone
    monkeypatch.setattr(trial.Trial, "alone", lambda self: timed.append(self.phase) or alone(self))
    monkeypatch.setattr(auto, "SIZES", ())
    known = timings.Timings()

    def choose(transform, **changes):
        recipe = small_recipe(**changes)
        return auto.choose(recipe, transform, records, who, workers=1, timings=known)

    first = choose(RandomMask(rate=2))
    assert choose(RandomMask(rate=8, epochs=5)) == first
    assert len(timed) == 1
    choose(ADMM(rate=2, rho=(0.1, 1.0)))
    choose(ADMM(rate=15.78, rho=(0.2, 2.0), retrain_epochs=3))
    assert len(timed) == 2
    choose(RandomMask(rate=2), batch_size=2)
    choose(RandomMask(rate=2), build=MLP(widths=(FEATURES, 7, CLASSES)))
    assert len(timed) == 4
    auto.choose(small_recipe(), RandomMask(rate=2), records, who, workers=1)  # a run of its own
    assert len(timed) == 5


def test_what_a_number_switches_on_is_timed_apart():
    def kind(**changes):
        recipe = small_recipe(**changes)
        records = small_records()
        return trial.Trial(recipe, None, records, small_membership(records)).kind

    assert kind() == kind(epochs=9)
    assert kind(hooks=(MinMax(strength=1.0),)) == kind(hooks=(MinMax(strength=3.0),))
    assert kind(hooks=(MinMax(strength=0.0),)) != kind(hooks=(MinMax(strength=3.0),))
    assert kind(hooks=(MinMax(lr=1e-3),)) == kind(hooks=(MinMax(lr=1e-4),))
    assert kind(hooks=(MinMax(inner_steps=3),)) != kind(hooks=(MinMax(inner_steps=7),))
    assert kind(hooks=(PAST(after=0.0),)) != kind(hooks=(PAST(after=1.0),))


def test_methods_with_the_same_teachers_are_timed_once_and_go_the_same_way(monkeypatch):
    records = small_records()
    who = small_membership(records)
    known = timings.Timings()
    rounds = []
    monkeypatch.setattr(auto, "SIZES", (2, 4))
    monkeypatch.setattr(auto, "peak_of", lambda work: (rounds.append(work()) or 1e-6, 100))
    choose = partial(auto.choose, small_recipe(), workers=1, timings=known)
    ways = (
        CrossFit(folds=3),
        CrossFit(folds=3, prune=RandomMask(rate=2)),
        CrossFit(folds=3, recombine="mixed"),
    )
    first, *others = (choose(way, records, who) for way in ways)
    assert len(rounds) == 2
    assert others == [first, first]
    monkeypatch.setattr(auto, "available", lambda: 500)
    assert list(choose(ways[0], records, who).rates)[-1] == "stacks of 4"
    assert list(choose(ways[2], records, who).rates)[-1] == "stacks of 2"  # what is made takes room


def test_made_inputs_take_room_in_a_stack():
    records = small_records()
    who = small_membership(records)
    plain, made = (
        trial.Trial(small_recipe(), CrossFit(folds=3, recombine=way), records, who).held
        for way in (None, "mixed")
    )
    assert (plain, made) == (0, 2 * 4 * 4 * len(who.members(0)) * FEATURES)
