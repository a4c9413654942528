"""Beside which setting of DP-SGD a leak is held."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tools.protects_aims import aims_block
from tools.protects_dp import beside_dp

from made_worlds import private_models, spread


def test_of_dp_sgd_of_equal_accuracy_the_least_leaky_is_taken_not_the_nearest():
    ours, found = private_models((1, 0.70, 0.7), (2, 0.692, 0.59), (3, 0.68, 0.5))
    told = beside_dp(ours, found)
    assert told.words.startswith(
        "beside `dp-sgd noise=2`, the least leaky DP-SGD of equal accuracy, AUC +0.010 ["
    )
    assert not told.below
    found["points"][-2]["units"]["leak"] = spread(0.65)
    assert beside_dp(ours, found).below
    found["points"][-2]["units"]["leak"] = [0.5, 0.65, 0.8]
    assert not beside_dp(ours, found).below  # its interval holds 0


def test_dp_sgd_that_is_detectably_more_accurate_is_not_of_equal_accuracy():
    ours, found = private_models((1, 0.705, 0.9))  # half a point, in every draw
    told = beside_dp(ours, found)
    assert not told.below
    assert told.words.startswith(
        "no DP-SGD of equal accuracy, nothing shown: nearest `dp-sgd noise=1`, AUC -0.300 ["
    )
    assert ": missed." in aims_block({"one": found})
    found["points"][-1]["units"]["test_accuracy"] = [0.69, 0.705, 0.72]  # maybe as accurate
    assert beside_dp(ours, found).below
    found["points"][-1]["units"]["test_accuracy"] = []  # no interval: the sign decides
    assert not beside_dp(ours, found).below


def test_dp_sgd_a_point_off_is_put_between_two_settings():
    ours, found = private_models((0.1, 0.74, 0.9), (0.2, 0.72, 0.8), (2, 0.68, 0.7))
    told = beside_dp(ours, found)
    assert told.below  # 0.75 in the middle of 0.7 and 0.8
    assert "`dp-sgd noise=2` (68.0 %) and `dp-sgd noise=0.2` (72.0 %), AUC -0.150 [" in told.words
    ours["units"]["leak"] = [0.4, 0.6, 0.8]
    assert not beside_dp(ours, found).below
    ours["units"]["leak"] = []
    assert beside_dp(ours, found).words.endswith(
        "AUC -0.150 at +0.0 [+0.0, +0.0] points of accuracy"
    )
    assert not beside_dp(ours, found).below  # no interval


def test_a_setting_that_leaks_more_than_a_more_accurate_one_is_none_to_draw_a_line_to():
    ours, found = private_models((0.1, 0.718, 0.95), (0.2, 0.72, 0.8), (2, 0.68, 0.7))
    told = beside_dp(ours, found)
    assert "`dp-sgd noise=2` (68.0 %) and `dp-sgd noise=0.2` (72.0 %), AUC -0.150 [" in told.words


@pytest.mark.parametrize(
    ("accuracies", "below"),
    [
        (spread(0.70), True),
        (spread(0.695), False),  # half a point less than the line, in every draw
        ([0.68, 0.695, 0.71], True),  # maybe as accurate
        ([0.66, 0.685, 0.71], False),  # maybe, but 1.5 points less by value
        (spread(0.7115), False),  # more than a point more accurate
    ],
)
def test_the_line_between_two_settings_is_held_to_equal_accuracy_too(accuracies, below):
    ours, found = private_models((0.2, 0.74, 0.8), (2, 0.66, 0.7))
    ours["units"]["test_accuracy"] = accuracies
    told = beside_dp(ours, found)
    assert told.below is below
    assert ("no DP-SGD of equal accuracy, nothing shown: put linearly" in told.words) is not below


@pytest.mark.parametrize(
    ("setting", "counted"),
    [
        ((1, 0.67, 0.7), True),  # less accurate and leaks more
        ((1, 0.67, 0.55), False),
        ((1, 0.73, 0.7), False),
    ],
)
def test_without_dp_sgd_of_equal_accuracy_on_both_sides_nothing_is_shown(setting, counted):
    ours, found = private_models(setting)
    told = beside_dp(ours, found)
    assert not told.below
    assert told.words.startswith("no DP-SGD of equal accuracy, nothing shown: nearest")
    assert ("less accurate and leaks more, which is not counted" in told.words) is counted
    assert "missed" in aims_block({"one": found})
    assert beside_dp(*private_models()).words == "DP-SGD not compared"


def test_the_less_leaky_of_a_setting_and_a_line_counts():
    ours, found = private_models((2, 0.68, 0.55), (0.5, 0.695, 0.8), (0.2, 0.72, 0.75))
    told = beside_dp(ours, found)  # 0.65 between the outer two, and 0.8 as accurate
    assert "put linearly between `dp-sgd noise=2` (68.0 %) and `dp-sgd noise=0.2`" in told.words
    assert told.leak.value == pytest.approx(0.60 - 0.65)
    ours, found = private_models((2, 0.68, 0.59), (0.5, 0.695, 0.56), (0.2, 0.72, 0.9))
    assert beside_dp(ours, found).words.startswith("beside `dp-sgd noise=0.5`")
