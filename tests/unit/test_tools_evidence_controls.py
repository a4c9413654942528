"""What the page of evidence holds pruning against, from a made sweep whose answers are known."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from tools import evidence, ship, verdicts  # noqa: E402
from tools.canaries import canaries_minus_dense  # noqa: E402
from tools.searched import searched, searches  # noqa: E402
from tools.stopped import NO_LESS, no_worse_stopped, stopped  # noqa: E402
from tools.tune_dpsgd import normalised  # noqa: E402

from made_evidence import made, point, row  # noqa: E402
from secateur.cli.spelled import parse_recipe  # noqa: E402
from secateur.types import NEVER_AS_ACCURATE, Measurement  # noqa: E402


def said(found, title, **more):
    """A paragraph of what all worlds say together."""
    page = evidence.page({"made": found}, **more)
    return page.partition(f"**{title}**")[2].partition("\n- **")[0]


def with_models_stopped(*, epochs, reference, leak=0.65, own=0.60):
    """The made sweep with dense models that were trained for fewer epochs, and the pruned case."""
    found = made()
    pruned = found["points"][1]
    pruned["units"]["reference_accuracy"] = [own]
    pruned["rows"][f"tpr - dense at {NO_LESS}"] = row(-0.1, 0.02, metric="tpr at 1% fpr")
    early = point(
        f"early-stopping epochs={epochs}", "early-stopping", {"epochs": epochs},
        attack=0.6, leak=leak, test=0.605, against=((-0.1, 0.02), (0.0, 0.02)),
    )  # fmt: skip
    early["units"]["reference_accuracy"] = [reference]
    found["points"].append(early)
    return found, pruned


def test_models_that_were_stopped_before_the_snapshot_are_what_stopping_gives():
    found, pruned = with_models_stopped(epochs=5, reference=0.60)
    early = no_worse_stopped(found, pruned)
    assert early.leak.auc.value == pytest.approx(0.05)
    assert early.leak.auc.verdict == "higher"
    assert early.leak.tpr.value == pytest.approx(0.0)
    assert early.about == "trained for 5 epochs: train 99.0 beside 99.0 %, test 60.5 beside 60.0 %"
    assert (early.epoch, early.never, early.matched) == (5, False, True)


@pytest.mark.parametrize(
    ("epochs", "reference"),
    [(9, 0.60), (12, 0.60), (5, 0.599)],
    ids=["as late", "later", "less accurate over the references"],
)
def test_other_models_leave_the_snapshot_where_it_is(epochs, reference):
    found, pruned = with_models_stopped(epochs=epochs, reference=reference)
    assert no_worse_stopped(found, pruned) == stopped(found, pruned, NO_LESS)
    assert no_worse_stopped(found, pruned).epoch == 9


def test_models_that_were_stopped_stand_in_where_no_snapshot_is_as_accurate():
    found, pruned = with_models_stopped(epochs=12, reference=0.61)
    pruned["rows"][f"leak - dense at {NO_LESS}"] = {
        **row(0.0), "value": None, "why": NEVER_AS_ACCURATE,
    }  # fmt: skip
    early = no_worse_stopped(found, pruned)
    assert (early.epoch, early.never) == (12, False)


def test_what_the_yardstick_says_of_models_that_were_only_stopped_is_told():
    found, _ = with_models_stopped(epochs=5, reference=0.60, leak=0.65)
    words = said(found, "That yardstick itself.")
    # minus the snapshot at epoch 9, as the made row has it
    assert "of 1 dense fleet that were only stopped" in words
    assert "is lower in 1, by up to -0.050 [-0.070, -0.030]" in words
    assert "That yardstick itself" not in evidence.page({"made": made()})


def test_dense_models_that_were_stopped_are_no_case_to_ship():
    found, pruned = with_models_stopped(epochs=5, reference=0.60)
    early = found["points"][-1]
    for case in (pruned, early):
        for name in ("leak", "tpr"):
            case["rows"][f"{name} - dense at {NO_LESS}"] = row(-0.3, 0.02, versus="dense, epoch 3")
    early["rows"]["leak"] = row(0.2)
    assert ship.best_to_ship(found, verdicts.cases(found))["case"] == "mia-pruning rate=8"


def test_where_training_on_takes_as_much_of_the_papers_attack_it_is_said():
    found = made()
    found["points"].append(
        point(
            "trained-on rate=1", "trained-on", {"rate": 1}, attack=0.605, leak=0.85, test=0.60,
            against=((0.05, 0.01), (0.0, 0.01)),
        )
    )  # fmt: skip
    words = said(found, "Or longer training?")
    assert "Of the 1 in which the paper's attack fell against the dense models, it is, " in words
    assert "minus these, no detectable effect in 1" in words
    found["points"][-1]["rows"]["paper's attack"] = row(0.65, 0.005)
    assert "minus these, lower in 1" in said(found, "Or longer training?")


def test_accuracy_is_kept_beside_the_dense_models_trained_on_too():
    found = made()
    claim = "Of the 1 that fell, {} exclude a loss of more than 1 point of test accuracy"
    assert claim.format(1) in said(found, "The paper's claim.")
    trained = point(
        "trained-on rate=1", "trained-on", {"rate": 1}, attack=0.7, leak=0.85, test=0.66,
        against=((0.05, 0.01), (0.06, 0.01)),
    )  # fmt: skip
    found["points"].append(trained)
    assert claim.format(0) in said(found, "The paper's claim.")


def test_a_cell_and_a_sweep_of_the_game_that_share_their_dense_models_are_one_world():
    alone = made()
    words = said(made(), "Does Min-Max train?", strengths={"it": alone})
    assert words.count("\n  - ") == 1 and "\n  - made: " in words
    further = alone["points"][3]
    further["case"], further["rows"]["paper's attack"] = "min-max strength=9", row(0.55, 0.005)
    words = said(made(), "Does Min-Max train?", strengths={"it": alone})
    assert words.count("\n  - ") == 1 and "\n  - made: +75.0" in words
    assert "`min-max strength=9`" in words
    alone["points"][0]["units"]["test_accuracy"] = [0.1, 0.2, 0.3]
    words = said(made(), "Does Min-Max train?", strengths={"it": alone})
    assert words.count("\n  - ") == 2


def test_with_the_worlds_that_hardly_learn_the_counts_are_said_too():
    little = made()
    little["facts"]["recipe"] = "Recipe(build=VGG16(classes=10))"
    little["points"][0]["rows"]["test accuracy"] = row(0.153)
    page = evidence.page({"little": little, "made": made()})
    words = page.partition("**Little is learned**")[2].partition("\n- **")[0]
    assert "at most 2.5 times chance" in words
    assert (
        "of 4 cases the accuracy of the paper's attack, minus the dense models', would be lower "
        in words
    )
    assert "in 2, no detectable effect in 2; and AUC" in words


def with_controls(*subjects):
    found = made()
    found["facts"]["controls"] = [
        {"id": "convergence", "subject": name, "seeds": [0]} for name in subjects
    ] + [{"id": "references", "subject": "", "seeds": [0]}]
    return found


def test_controls_that_the_audit_raised_stand_with_the_world_and_are_counted_together():
    found = with_controls("mia-pruning rate=8", "random-mask rate=8")
    page = evidence.page({"made": found})
    on = "convergence (mia-pruning rate=8, random-mask rate=8); references."
    assert f"[Controls](controls.md) raised by its audit: {on}" in page
    assert "It is raised in 1 of 2 pruned cases that say it." in said(found, "Did ADMM converge?")
    both = evidence.page({"made": found, "older": made()})
    assert "Which controls its audit raised was not kept by this sweep." in both
    assert "in 1 of 2 pruned cases that say it. Sweeps that did not keep it: older." in both
    found["facts"]["controls"] = []
    assert "No control of its audit is raised." in evidence.page({"made": found})


def test_worlds_of_the_papers_grid_are_told_from_our_own():
    page = evidence.page({"mnist-lenet5": made(), "adult-mlp": made()})
    words = page.partition("**Which worlds.**")[2].partition("\n- **")[0]
    assert "cells of the paper's grid are mnist-lenet5; " in words
    assert "this project's own worlds are adult-mlp." in words


def planted(auc, *, interval="t over targets, widened", low=0.9):
    about = {"subject": "a", "risk": "membership", "method": "LiRA()", "metric": "auc"}
    measured = Measurement(**about, value=sum(auc) / 3, low=low, high=1.0, interval=interval)
    return {
        "case": "a",
        "rows": {"leak of canaries, mislabelled": asdict(measured)},
        "units": {"canary_auc": auc},
    }


def test_a_difference_on_planted_records_is_as_wide_as_both_rows_say():
    dense = planted([1.0, 1.0, 1.0], low=0.9)
    found = canaries_minus_dense({"dense": dense}, planted([0.99, 0.98, 0.985], low=0.93))
    assert found.auc.value == pytest.approx(-0.015)
    assert found.auc.verdict == "no detectable effect"
    assert found.auc.high == pytest.approx(-0.015 + ((1 - 0.985) ** 2 + 0.1**2) ** 0.5)
    other = planted([0.99, 0.98, 0.985], interval="t over targets")
    assert canaries_minus_dense({"dense": dense}, other).auc.verdict == "lower"


def world_of(setting, *before):
    """A world of one DP-SGD row."""
    recipe = "Recipe(build=SmallCNN(widths=(8, 16)), epochs=1)"
    case = {"case": "dp-sgd noise=1.0", "method": "dp-sgd", "steps": [*before, setting]}
    return {"cnn": ({"facts": {"recipe": recipe}}, {"dp-sgd noise=1.0": case})}, recipe


def test_the_settings_that_a_search_took_are_told_from_those_that_nobody_looked_for():
    setting = "DPSGD(noise_multiplier=1.0, batch_size=5, epochs=2)"
    worlds, recipe = world_of(setting)
    search = {"recipe": recipe, "taken": {"1.0": setting}}
    row_ = "`dp-sgd noise=1.0` of cnn"
    (words,) = searched(worlds, {"cnn": search})
    assert words.endswith(f"is not audited ([differential privacy](dp.md)), of {row_}.")
    for other in (
        {},
        {"cnn": {**search, "taken": {"2.0": setting}}},
        {"cnn": {**search, "taken": {"1.0": setting.replace("epochs=2", "epochs=3")}}},
    ):
        (words,) = searched(worlds, other)
        assert "of none. Not searched" in words and words.endswith(f": {row_}.")
    normed, _ = world_of(setting, "GroupNormDense(channels=1)")
    assert "of none." in searched(normed, {"cnn": search})[0]  # another network
    build = "Recipe(build=GroupNormed(build=SmallCNN(widths=(8, 16)), channels=1), epochs=1)"
    assert "of none." not in searched(normed, {"cnn": {**search, "recipe": build}})[0]
    assert searched({"cnn": ({"facts": {}}, {})}, {}) == []


def test_every_search_is_of_the_network_that_is_trained_today():
    found = searches(ROOT / "results" / "experiments")
    assert len(found) >= 5
    for name, search in found.items():
        assert search.get("normalised", []) == normalised(parse_recipe(search["recipe"])), name
