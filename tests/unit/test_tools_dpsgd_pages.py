"""The tables of DP-SGD: what its search tried, and its utility over epsilon."""

from __future__ import annotations

import copy
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tools.dpsgd_pages import curve_block, tuning_page

from secateur.cli.spelled import parse_defence

TAKEN = (
    "DPSGD(noise_multiplier=1.0, max_grad_norm=0.1, batch_size=125, epochs=60, optimiser=Adam("
    "lr=0.006, weight_decay=0.0, schedule='constant', decoupled=False), augmentations=1, "
    "clipping='ghost', build=None, augment=(), label_smoothing=0.0)"
)
OWN = TAKEN.replace("lr=0.006", "lr=0.001")
SGD = (
    "DPSGD(noise_multiplier=1.0, max_grad_norm=2.0, batch_size=250, epochs=30, optimiser=SGD("
    "lr=0.1, momentum=0.9, weight_decay=0.0, nesterov=False, schedule='constant'), "
    "augmentations=4, clipping='ghost', build=None, augment=(), label_smoothing=0.0)"
)


def searched():
    return {
        **{"cell": "adult-mlp", "seed": 0, "trials": 2, "members": 1000, "validation": 4000},
        **{"accounted": True, "sources": {"beyond the pools": 6000, "attack": 10}},
        "noises": [1.0, 2.0],
        "space": {"epochs": [15, 30]},
        "machine": {"processor": "a processor", "cores": 2, "versions": {"opacus": "1"}},
        "command": "python -m tools.tune_dpsgd adult-mlp",
        "taken": {"1.0": TAKEN},
        "rows": [
            {
                **{"noise": noise, "setting": setting, "own": setting == OWN, "epsilon": 20.0},
                **{"accuracies": accuracies, "cpu_seconds": 1.0},
            }
            for noise, setting, accuracies in (
                (1.0, OWN, [0.5, 0.6, 0.7]),
                (1.0, TAKEN, [0.8, 0.8, 0.8]),
                (1.0, SGD, [0.9]),
                (2.0, SGD.replace("1.0, max", "2.0, max"), []),
            )
        ],
    }


def test_settings_are_ordered_by_models_then_accuracy_and_marked():
    lines = [x for x in tuning_page(searched()).splitlines() if x.startswith("| `DPSGD")]
    assert [("taken" in x, "recipe's" in x) for x in lines] == [
        (True, False),
        (False, True),
        (False, False),
    ]
    assert "| 20 | 80.0 | 3 |" in lines[0]


def test_a_setting_that_is_shown_shorter_is_still_the_same():
    lines = [x.split("`")[1] for x in tuning_page(searched()).splitlines() if "| `DPSGD" in x]
    assert [parse_defence(x) for x in lines] == [parse_defence(x) for x in (TAKEN, OWN, SGD)]
    assert all(len(short) < len(TAKEN) for short in lines)


def test_it_says_whose_records_were_read_and_whether_tuning_is_accounted_for():
    found = searched()
    assert "6,000 beyond the pools, 10 of its attack pool" in tuning_page(found)
    assert "Nobody whom the cell audits was read" in tuning_page(found)
    found |= {"accounted": False, "sources": {"audit": 300}}
    assert "Tuning is not accounted" in tuning_page(found)
    assert "Nobody whom" not in tuning_page(found)


def test_it_says_which_network_is_trained_and_within_which_epsilon_one_is_taken():
    found = searched()
    plain = tuning_page(found)
    assert "Trained:" not in plain and "stay within" not in plain
    found |= {"recipe": "Recipe(build=Net())", "normalised": ["GroupNorm(8, 8)"], "within": 8.0}
    text = tuning_page(found)
    assert "Trained: `Recipe(build=Net())`, with `GroupNorm(8, 8)` in it." in text
    assert "Where some settings stay within an epsilon of 8 one of these is taken." in text


def test_a_search_that_was_stopped_takes_nothing():
    before, after = tuning_page(searched()).split("## Noise 2.0")
    assert "nothing is taken" in after
    assert "nothing is taken" not in before


def row(value, half=0.01, **more):
    ends = {"low": value - half, "high": value + half} if half else {"low": None, "high": None}
    return {"value": value, **ends, "metric": "", "method": "RMIA(mode='online')", **more}


def curve():
    def case(name, method, axes, test, **more):
        return {
            **{"case": name, "method": method, "seed": None, "axes": axes},
            "rows": {
                "test accuracy": row(test),
                "leak": row(0.6),
                "tpr": row(0.03, metric="tpr at 1% fpr"),
                "epsilon bound": row(0.5, None, confidence=0.95),
                **more,
            },
        }

    return {
        "title": "A made world",
        "facts": {
            **{"targets": 8, "references": 16, "seeds": [0]},
            "command": "secateur sweep recipes/dp-curve.toml --out runs/dp-curve",
        },
        "provenance": {"context": {"processor": "a processor", "cores": 2}},
        "points": [
            case("dp-sgd noise=8.0", "dp-sgd", {"noise": 8.0}, 0.7)
            | {"rows": case("", "", {}, 0.7)["rows"] | {"accounted epsilon": row(0.93, None)}},
            case("dense", "dense", {}, 0.8),
            case("dp-sgd noise=0.2", "dp-sgd", {"noise": 0.2}, 0.81)
            | {"rows": case("", "", {}, 0.81)["rows"] | {"accounted epsilon": row(1056.2, None)}},
        ],
    }


def test_the_dense_models_come_first_then_noise_by_noise():
    lines = [x for x in curve_block(curve()).splitlines() if x.startswith("| ")][1:]
    lines = [[c.strip() for c in x.strip("|").split("|")] for x in lines if "---" not in x]
    assert [x[:3] for x in lines] == [
        ["none (dense)", "none", "0.50"],
        ["0.2", "1,056", "0.50"],
        ["8", "0.93", "0.50"],
    ]
    assert lines[0][3:] == [
        "80.0 [79.0, 81.0]",
        "RMIA",
        "0.600 [0.590, 0.610]",
        "3.0 [2.0, 4.0] at 1% FPR",
    ]
    assert "95 % confidence" in curve_block(curve())


def test_the_same_sweep_gives_the_same_block():
    assert curve_block(copy.deepcopy(curve())) == curve_block(curve())


@pytest.mark.parametrize("name", ["epsilon bound", "tpr", "leak"])
def test_what_was_not_measured_is_said(name):
    found = curve()
    for point in found["points"]:
        del point["rows"][name]
    assert "not measured" in curve_block(found)
