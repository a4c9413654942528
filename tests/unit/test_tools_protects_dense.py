"""Beside which stopped dense model a leak is held, and what share of its leak it is."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tools.protects import protects_block
from tools.protects_aims import aims_block
from tools.protects_dense import (
    EQUAL,
    LESS,
    MORE,
    best_dense,
    excess_share,
    ratio,
    stopped_beside,
)
from tools.protects_points import leaning, near
from tools.verdicts import Difference

from made_worlds import (
    case,
    curve,
    dense_models,
    private,
    row,
    snapshots,
    spread,
    stopped,
    with_attacks,
    world,
)
from secateur.measure import paired_difference


def test_the_best_dense_accuracy_is_that_of_curve_stopped_cases_and_end():
    found = world()
    found["series"] = [
        curve(0, 0.5, 0.73, 0.66),
        curve(1, 0.5, 0.69, 0.72),
        curve(2, 0.5, 0.71, 0.6),
    ]
    assert best_dense(found) == pytest.approx(0.71)  # the mean of each epoch, then the best
    found["points"].append(stopped(12, 0.74, 0.8))
    assert best_dense(found) == pytest.approx(0.74)
    found["points"][0]["rows"]["test accuracy"] = row(0.8)
    assert best_dense(found) == pytest.approx(0.8)


def test_a_curve_of_some_seeds_alone_is_none():
    found = world()
    found["series"] = [curve(0, 0.5, 0.9, 0.6)]
    assert best_dense(found) == pytest.approx(0.70)  # the stopped case


def test_the_end_of_training_alone_is_no_best_dense_accuracy():
    found = {**snapshots(less=-0.35), "series": []}
    assert best_dense(found) is None
    text = aims_block({"one": found})
    assert "the best dense accuracy is not measured" in text
    assert "Reached on 0 of 1" in text
    assert "while it trains: not measured" in protects_block({"one": found})


def test_the_share_is_of_the_excess_over_one_half():
    found = world(leak=0.55)
    share = excess_share(found["points"][1], found)
    assert share.value == pytest.approx(0.05 / 0.3)
    assert share.low < share.value < share.high < 0.5
    assert (share.of, share.standing, share.halved) == ("early-stopping epochs=9", EQUAL, True)
    found["points"][1]["rows"]["leak"] = row(None)
    assert excess_share(found["points"][1], found) is None


def test_the_interval_of_a_share_holds_the_ratios_that_paired_differences_do_not_exclude():
    ours, dense = np.array([0.10, 0.14, 0.12, 0.15]), np.array([0.30, 0.33, 0.35, 0.31])
    for end in ratio(ours, dense):
        mean, low, high = paired_difference(ours, end * dense)
        assert min(abs(low), abs(high)) == pytest.approx(0, abs=1e-12)
        assert mean != pytest.approx(0, abs=1e-3)
    assert ratio(ours, np.array([0.3, -0.3, 0.2, -0.1])) == (None, None)  # no leak to speak of
    assert ratio(ours[:1], dense[:1]) == (None, None)


def test_a_leak_is_halved_only_where_the_whole_interval_is():
    found = world(leak=0.64)  # 47 % of 0.3
    ours = found["points"][1]
    assert excess_share(ours, found).halved
    ours["units"]["leak"] = [0.58, 0.64, 0.70]
    share = excess_share(ours, found)
    assert share.value < 0.5 < share.high
    assert not share.halved
    assert "not shown to be halved" in aims_block({"one": found})
    assert f"| {share.shown()} |" in protects_block({"one": found})


def test_the_stopped_dense_model_is_the_least_leaky_of_equal_accuracy():
    ours, found = dense_models(0.70, (4, 0.6, 0.6), (9, 0.70, 0.8), (12, 0.70, 0.75))
    point, gap, standing = stopped_beside(ours, found)
    assert (point["case"], standing) == ("early-stopping epochs=12", EQUAL)  # not the earliest
    assert gap.value == pytest.approx(0)
    found["points"].append(stopped(6, 0.699, 0.7))  # every draw 0.1 points below: detectable
    assert stopped_beside(ours, found)[0] is point
    near_one = found["points"][-1]
    near_one["units"]["test_accuracy"] = [0.697, 0.701, 0.699]  # paired, its interval holds 0
    taken, gap, standing = stopped_beside(ours, found)
    assert (taken, standing) == (near_one, EQUAL)
    assert gap.low < 0 < gap.high


def test_a_dense_model_far_off_is_not_of_equal_accuracy_however_wide_the_interval():
    ours, found = dense_models(0.70, (9, 0.70, 0.8), (3, 0.66, 0.6), (14, 0.74, 0.7))
    for wide in found["points"][2:]:
        middle = wide["rows"]["test accuracy"]["value"]
        wide["units"]["test_accuracy"] = [middle - 0.1, middle, middle + 0.1]
    assert stopped_beside(ours, found)[0]["case"] == "early-stopping epochs=9"


def test_a_dense_model_detectably_more_accurate_by_less_than_a_point_is_not_equal():
    ours, found = dense_models(0.70, (9, 0.705, 0.8))
    assert stopped_beside(ours, found)[2] == MORE
    found["points"].append(stopped(6, 0.70, 0.9))
    assert stopped_beside(ours, found)[0]["case"] == "early-stopping epochs=6"


@pytest.mark.parametrize("beyond", [(), ((20, 0.85, 0.99),)])
def test_where_none_is_as_accurate_the_most_accurate_of_the_less_accurate_stands_in(beyond):
    ours, found = dense_models(0.8, (9, 0.70, 0.8), (12, 0.75, 0.85), *beyond)
    point, gap, standing = stopped_beside(ours, found)
    assert (point["case"], standing) == ("early-stopping epochs=12", LESS)
    assert gap.value == pytest.approx(-0.05)
    share = excess_share(ours, found)
    assert share.halved  # a dense model of equal accuracy would leak more
    text = protects_block({"one": found}) + aims_block({"one": found})
    assert f"| {share.shown()} of a less accurate one |" in text
    assert "least leaky within 1 point of the best, at -5.0 [" in text
    dense = case("dense", "dense", accuracy=0.77, leak=0.9, rate=1.0)
    found["points"].append(dense)
    whole = stopped_beside(ours, found)[0] is dense  # the whole training, where it is the best
    assert whole is not bool(beyond)


def test_on_a_plateau_below_ours_the_dense_model_that_leaks_least_stands_in():
    ours, found = dense_models(0.8, (9, 0.744, 0.8), (12, 0.75, 0.85), (16, 0.735, 0.7))
    point, _, standing = stopped_beside(ours, found)
    assert (point["case"], standing) == ("early-stopping epochs=9", LESS)


def test_a_dense_model_less_accurate_from_training_on_does_not_stand_in():
    ours, found = dense_models(0.68, (9, 0.70, 0.8))
    found["points"].append(case("dense", "dense", accuracy=0.66, leak=0.9, rate=1.0))
    point, _, standing = stopped_beside(ours, found)  # 0.9 would flatter ours
    assert (point["case"], standing) == ("early-stopping epochs=9", MORE)
    found["points"].append(stopped(4, 0.62, 0.6))
    point, _, standing = stopped_beside(ours, found)
    assert (point["case"], standing) == ("early-stopping epochs=4", LESS)


def test_beside_more_accurate_dense_models_alone_nothing_is_halved():
    ours, found = dense_models(0.70, (12, 0.705, 0.8), (9, 0.704, 0.9), (20, 0.703, 0.7))
    found["points"].append(private(1, 0.7, 0.6))
    share = excess_share(ours, found)
    assert (share.of, share.standing) == ("early-stopping epochs=9", MORE)  # the fewest epochs
    assert share.high < 0.5
    assert not share.halved
    text = aims_block({"one": {**found, "series": []}})
    assert "no stopped dense model of equal accuracy: this one is more accurate" in text
    assert ", not counted; beside" in text
    assert ": missed." in text
    assert f"| {share.shown()} of a more accurate one |" in protects_block({"one": found})
    ours["units"]["leak"], ours["rows"]["leak"]["value"] = spread(0.85), 0.85
    assert ", not halved; " in aims_block({"one": found})  # so less beside one of equal accuracy


@pytest.mark.parametrize(
    ("gap", "lean", "close"),
    [
        ((0.005, 0.001, 0.009), 1, True),
        ((-0.005, -0.009, -0.001), -1, True),
        ((0.02, -0.01, 0.05), 0, False),
        ((0.7 - 0.69, None, None), 1, True),  # by the sign; 0.010000000000000009
        ((-0.02, None, None), -1, False),
        ((1e-17, 1e-17, 1e-17), 0, True),  # the arithmetic's
        ((None, None, None), 0, False),
    ],
)
def test_a_difference_in_accuracy_is_near_by_value_and_leans_by_its_interval(gap, lean, close):
    value, low, high = gap
    difference = Difference(value=value, low=low, high=high)
    assert (leaning(difference), near(difference)) == (lean, close)


def test_a_snapshot_gives_a_share_without_an_interval_and_the_page_says_who_attacked():
    found = snapshots(why="StackedAttack is the strongest attack on the other one")
    share = excess_share(found["points"][1], found)
    assert share.value == pytest.approx(0.05 / 0.3)
    assert (share.high, share.halved, share.snapshot) == (None, False, True)
    assert share.attacks == ("LiRA", "StackedAttack")
    text = aims_block({"one": found})
    assert "not shown to be halved" in text
    assert "two attackers, LiRA on ours and StackedAttack there" in text
    assert "holds outputs alone" in text
    page = protects_block({"one": found})
    assert "LiRA on the case and StackedAttack on the dense model (1 of 1)" in page
    assert "holds outputs alone" in page
    why = "paired over the same targets; cross-fit folds=5 by LiRA, dense, epoch 9 by RMIA T=1"
    newer = snapshots(why=why)
    assert excess_share(newer["points"][1], newer).attacks == ("LiRA", "RMIA T=1")
    same = snapshots(why="paired over the same targets")
    assert excess_share(same["points"][1], same).attacks == ("LiRA", "LiRA")
    assert "two attackers" not in aims_block({"one": same})


def test_the_strongest_attack_that_both_were_given_to_stands_beside():
    found = world()
    assert "both were given to" not in protects_block({"one": found}) + aims_block({"one": found})
    points = {p["case"]: p for p in found["points"]}
    found["points"] = [
        with_attacks(points["dense"], lira=0.8),
        with_attacks(points["cross-fit folds=5"], lira=0.53, trees=0.57),
        with_attacks(points["early-stopping epochs=9"], lira=0.7, near=0.9),
    ]
    text = aims_block({"one": found})
    assert (
        "by LiRA online, the strongest on ours that both were given to, AUC 0.530 [0.520, 0.540] "
        "against 0.700 [0.690, 0.710], 15 %" in text
    )
    assert "| LiRA online 0.530 [0.520, 0.540], 0.700 [0.690, 0.710] |" in protects_block(
        {"one": found}
    )
