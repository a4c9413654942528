"""The page of evidence, from a made sweep whose answers are known."""

from __future__ import annotations

import copy
import sys
from pathlib import Path

import pytest

from secateur import store
from secateur.cli.reproduce import cells
from secateur.sweeping import read_plan
from secateur.types import NEVER_AS_ACCURATE

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from tools import evidence, ship, verdicts  # noqa: E402
from tools.defences import share_gone  # noqa: E402
from tools.outstanding import unfinished  # noqa: E402
from tools.searched import searches  # noqa: E402
from tools.stopped import NO_LESS, no_worse_stopped, stopped  # noqa: E402

from made_evidence import made, point, row  # noqa: E402


@pytest.fixture
def text():
    return evidence.page({"made": made()})


def test_the_same_results_give_the_same_bytes(text):
    assert evidence.page({"made": copy.deepcopy(made())}) == text


def test_a_narrowed_network_is_said_to_be_no_network_of_the_papers(text):
    assert "paper's channels" not in text
    narrow = made()
    narrow["facts"]["recipe"] = "Recipe(build=VGG16(width=0.0625), epochs=12)"
    narrow["points"][0]["rows"]["train accuracy"] = {"counts": {"members": 505.0}}
    text = evidence.page({"made": narrow})
    assert "`Recipe(build=VGG16(width=0.0625), epochs=12)`, each on about 505 records." in text
    assert "The network has 6.25 % of the paper's channels" in text
    narrow["facts"]["recipe"] = "Recipe(build=VGG16(width=1.0), epochs=12)"
    assert "paper's channels" not in evidence.page({"made": narrow})


def test_without_results_the_page_says_so_and_nothing_else():
    text = evidence.page({})
    assert "no results file yet" in text
    assert "## " not in text


def test_min_max_alone_stands_behind_the_worlds_with_its_share_of_the_excess(text):
    alone = {**made(), "title": "Min-Max in a made world"}
    alone["points"] = [p for p in alone["points"] if p["method"] in ("dense", "min-max")]
    whole = evidence.page({"made": made()}, {"made": alone})
    worlds = text.partition("## In one table")[2].rstrip()
    added = whole.partition("## In one table")[2].removeprefix(worlds)
    assert added.lstrip().startswith("## Min-Max alone, by its strength and its epochs: made")
    assert "Min-Max in a made world. 8 targets" in added
    assert "- min-max strength=3: paper's attack lower, -5.0" in added
    assert "+25 [+21, +29] (not paired) % of the dense models' excess over 50 %" in added
    assert "## Did pruning" not in added
    alone["points"] = [p for p in alone["points"] if p["method"] == "min-max"]
    assert "so nothing is said" in evidence.page({"made": made()}, {"made": alone})


def of_the_game(alone):
    """What the page says together of the game, with a sweep of Min-Max alone in a world `it`."""
    page = evidence.page({"made": made()}, {"it": alone})
    return page.partition("**Does Min-Max train?**")[2].partition("\n- **")[0]


def test_what_min_max_takes_stands_beside_stopping_as_early():
    alone = made()
    alone["points"][0]["units"]["test_accuracy"] = [0.58, 0.6, 0.62]  # dense models of its own
    (game,) = [p for p in alone["points"] if p["method"] == "min-max"]
    game["axes"]["epochs"] = 12
    early = point(
        "early-stopping epochs=12", "early-stopping", {"epochs": 12},
        attack=0.67, leak=0.7, test=0.6, against=((-0.1, 0.02), (0.0, 0.02)),
    )  # fmt: skip
    alone["points"].append(early)
    told = of_the_game(alone)
    assert "\n  - Min-Max alone on it: +25" in told and "stopping as early alone takes +15" in told
    # intervals of 0.65 and 0.67, each of 0.005 on both sides, by their far ends
    assert "the game minus that: paper's attack lower, -2.0 [-3.0, -1.0] (not paired)" in told
    assert "of 1 in which dense models stopped after as many epochs were attacked" in told
    assert "the paper's attack on the game is, minus on these, lower in 1.\n" in told
    assert "half or more in none; the intervals of share and loss both show it in none" in told
    game["rows"]["paper's attack"] = row(0.59, 0.005)
    told = of_the_game(alone)
    assert (
        "half or more in Min-Max alone on it; the intervals of share and loss both show it in "
        "Min-Max alone on it" in told
    )
    game["rows"]["test accuracy - dense"] = row(-0.035, 0.01)
    told = of_the_game(alone)
    assert (
        "half or more in Min-Max alone on it; the intervals of share and loss both show it in none"
        in told
    )
    game["rows"]["test accuracy - dense"] = row(-0.05, 0.01)
    assert "alone +55" not in of_the_game(alone)


def test_an_effect_is_named_where_the_interval_excludes_zero_and_only_there(text):
    assert "- mia-pruning rate=8: lower, -10.0 [-11.0, -9.0] (not paired)" in text
    assert "- mia-pruning rate=15.78: no detectable effect, +0.0 [-1.0, +1.0]" in text
    assert "strongest attack AUC higher, +0.050 [+0.030, +0.070]" in text
    assert "Stopped where its test accuracy is nearest: AUC no detectable effect in 2 of 2" in text


def test_against_the_dense_stopped_earlier_tpr_stands_beside_auc_with_how_near_the_match_is(text):
    assert (
        "- mia-pruning rate=8: AUC no detectable effect, +0.000 [-0.020, +0.020]; TPR at 1% fpr no "
        "detectable effect, +0.000 [-0.030, +0.030] (epoch 9: train 90.0 beside 99.0 %, test 62.0 "
        "beside 60.0 %)"
    ) in text
    # no TPR was kept for the match in train accuracy
    assert "-0.020, +0.020]; TPR not measured (epoch 9" in text


def never(case):
    """Let no snapshot be as accurate as a case, over the references."""
    nothing = {"value": None, "low": None, "high": None, "metric": "", "method": "", "versus": ""}
    for name in ("leak", "tpr"):
        case["rows"][f"{name} - dense at {NO_LESS}"] = {**nothing, "why": NEVER_AS_ACCURATE}


def test_where_no_snapshot_was_as_accurate_over_references_none_is_chosen_on_the_targets():
    found = made()
    case = verdicts.cases(found)["mia-pruning rate=8"]
    never(case)  # on the targets, epoch 9 has 62 % beside its 60 %
    early = stopped(found, case, NO_LESS)
    assert early.never
    assert early.shown() == (
        "not measured (never over the references; the dense models' best snapshot on the targets: "
        "62.0 %)"
    )
    del case["rows"][f"leak - dense at {NO_LESS}"]
    early = stopped(found, case, NO_LESS)
    assert (early.never, early.leak.shown()) == (False, "not measured")


def test_the_snapshot_is_the_one_that_the_sweep_itself_took():
    found = made()
    case = verdicts.cases(found)["mia-pruning rate=8"]
    case["rows"][f"leak - dense at {NO_LESS}"] = row(-0.3, 0.02, versus="dense, epoch 3")
    case["rows"][f"tpr - dense at {NO_LESS}"] = row(-0.1, 0.02, metric="tpr at 1% fpr")
    early = stopped(found, case, NO_LESS)
    assert (early.leak.auc.value, early.leak.auc.paired) == (-0.3, True)
    assert early.leak.verdict == "lower"
    assert early.about.startswith("epoch 3: train 70.0")


def test_where_the_dense_models_never_are_as_accurate_the_nearest_stand_in():
    found = made()
    case = verdicts.cases(found)["mia-pruning rate=8"]
    never(case)
    assert stopped(found, case, NO_LESS).leak.shown() == "not measured"
    early = no_worse_stopped(found, case)
    assert early.never
    assert early.leak.auc.value == 0.0
    case["method"] = "min-max"
    page = evidence.page({"made": found})
    assert "stopped nearest in test accuracy, never as accurate: AUC no detectable effect" in page


def test_a_control_of_equal_rate_is_paired_with_the_pruned_case(text):
    assert "- mia-pruning rate=8 minus random mask: AUC no detectable" in text
    assert "mia-pruning rate=15.78 minus random" not in text


def test_what_canaries_leak_is_said_where_they_were_planted(text):
    assert "Canaries were not planted" in text
    found = made()
    for k, p in enumerate(found["points"]):
        p["rows"]["leak of canaries, mislabelled"] = row(0.9)
        lower = 0.1 * (k == 1)
        units = {"canary_auc": [0.9 - lower, 0.91 - lower], "canary_tpr": [0.5, 0.6]}
        p["units"] |= {**units, "canary_fpr": [0.02, 0.02]}
    page = evidence.page({"made": found})
    assert "- dense: AUC on mislabelled 0.900 [0.890, 0.910]\n" in page
    pruned = "- mia-pruning rate=8: AUC on mislabelled 0.900 [0.890, 0.910]; AUC lower, -0.100"
    assert pruned in page
    assert "Canaries were not planted" not in page
    alone = evidence.page({"made": made()}, planted={"planted": found})
    assert "## Planted records: planted" in alone
    assert "; TPR at 2% fpr no detectable effect" in alone
    assert pruned in alone
    said = "MIA-Pruning minus the dense models, in AUC: of 2 cases in 1 world lower in 1, no "
    assert f"{said}detectable effect in 1; the highest AUC left is 0.900, `mia" in alone
    del found["points"][0]
    assert "nothing is said" in evidence.page({"made": made()}, planted={"planted": found})


def test_the_worlds_together_are_said_in_counts_of_intervals(text):
    words = text.partition("## In words")[2].partition("## In one table")[0]
    claim = "minus the dense models: of 2 cases in 1 world lower in 1, no detectable effect in 1."
    assert claim in words
    assert "Of the 1 that fell, 1 exclude a loss of more than 1 point of test accuracy" in words
    assert "the largest fall of these is -10.0" in words
    assert "`mia-pruning rate=8` of made" in words
    assert (
        "Of the 1 case in which the paper's attack fell, 0 have the dense training stopped" in words
    )
    assert "1 have a control of the same rate. It does as well" in words
    assert "the random mask in 1 of 1" in words
    assert "is below that with pruned ones, intervals apart, in 2 of 2, by up to 0.100" in words
    assert "Nothing is measured of planted records" in words
    assert "No case is shown to do so in made" in words


def test_worlds_whose_dense_models_hardly_beat_chance_are_named():
    found = made()
    found["facts"]["recipe"] = "Recipe(build=VGG16(classes=10))"
    assert "Little is learned" not in evidence.page({"made": found})
    found["points"][0]["rows"]["test accuracy"] = row(0.153)
    page = evidence.page({"made": found})
    assert "**Little is learned** by the dense models of made (15.3 %, 10 by chance)" in page


def test_a_world_that_hardly_learns_is_counted_nowhere():
    little = made()
    little["facts"]["recipe"] = "Recipe(build=VGG16(classes=10))"
    for case in little["points"]:
        case["rows"]["test accuracy"] = row(0.153)
    both, alone = (
        evidence.page(found).partition("## In words")[2].partition("## In one table")[0]
        for found in ({"little": little, "made": made()}, {"made": made()})
    )
    said = both.split("\n")
    (named,) = [line for line in said if line.startswith("- **Little is learned**")]
    assert "by the dense models of little (15.3 %, 10 by chance)" in named
    said.remove(named)
    said = [line.replace("little (1 missing); ", "") for line in said]
    assert said == alone.split("\n")


def beside(page, title):
    return page.partition(f"**{title}**")[2].partition("\n")[0]


def test_cases_that_a_recipe_has_gained_since_a_sweep_are_said_to_be_outstanding():
    content = made() | {"missing": [], "facts": made()["facts"] | {"scale": "small"}}
    plan = read_plan(cells()["adult-mlp"].read_text(encoding="utf-8"), scale="small")
    (new,) = [case.name for case in plan.cases if case.method == "small-dense-longer"]
    content["points"] = [
        {"case": case.name, "steps": list(case.steps)} for case in plan.cases if case.name != new
    ]
    (told,) = unfinished({"adult-mlp": content, "mine": content})
    assert told == (
        "**Unfinished** are the cases of adult-mlp (swept by an earlier recipe: 1 case of today's "
        "not among its own, or by other settings, of `small-dense-longer`)."
    )
    content["missing"] = [f"{new}, seed 0"]
    assert unfinished({"adult-mlp": content}) == [
        "**Unfinished** are the cases of adult-mlp (1 missing)."
    ]
    content["missing"] = []
    content["dropped"] = [{"case": new, "why": "beaten"}]
    assert unfinished({"adult-mlp": content}) == []
    (other,) = [p for p in content["points"] if p["case"] == "mia-pruning rate=8"]
    other["steps"] = ["ADMM(rate=8, retrain_epochs=1)"]
    (told,) = unfinished({"adult-mlp": content})
    assert "1 case of today's not among its own, or by other settings, of `mia-pruning`)" in told


def test_in_short_a_case_that_no_snapshot_equals_is_not_held_against_one():
    found = made()
    words = beside(evidence.page({"made": found}), "In short.")
    assert "at their end: AUC of 2 cases lower in 1, no detectable effect in 1." in words
    assert "of 2 that have them: higher in 1, no detectable effect in 1." in words
    never(found["points"][1])
    words = beside(evidence.page({"made": found}), "In short.")
    assert "of 1 that have them: higher in 1" in words
    assert "minus the nearest, of 1 that have none: no detectable effect in 1." in words


def test_pruning_stands_beside_rivals_of_its_accuracy():
    found = made()
    for noise, test, leak in ((0.2, 0.595, 0.60), (1.0, 0.50, 0.55)):
        case = point(
            f"dp-sgd noise={noise}", "dp-sgd", {"noise": noise},
            attack=0.55, leak=leak, test=test, against=((-0.2, 0.01), (0.0, 0.01)),
        )  # fmt: skip
        case["units"]["test_accuracy"] = [test, test, test + 0.01]
        found["points"].append(case)
    words = beside(evidence.page({"made": found}), "Pruning or DP-SGD, at equal accuracy?")
    assert "2 of the 2 pruned cases" in words
    assert "(2 of them whose setting was chosen on the targets" in words
    assert "accuracy of the paper's attack higher in 2" in words
    assert "AUC of the strongest attack higher in 2." in words
    for case in found["points"]:
        case["rows"]["accounted epsilon"] = {**row(62.25, None)}
    short = beside(evidence.page({"made": found}), "In short.")
    assert "AUC of 2 pairs with 2 fleets of DP-SGD in 1 world higher in 2;" in short
    assert "epsilon there is 62.2, in 2 of 2 above 20, which promises nothing." in short
    chosen = {"mia-pruning rate=8": 0.50, "dp-sgd noise=0.2": 0.59, "dp-sgd noise=1.0": 0.50}
    for case in found["points"]:  # over the references the other noise is the nearer one
        if case["case"] in chosen:
            case["units"]["reference_accuracy"] = [chosen[case["case"]]]
    words = beside(evidence.page({"made": found}), "Pruning or DP-SGD, at equal accuracy?")
    assert "1 of the 2 pruned cases" in words
    assert "(1 of them whose setting was chosen on the targets" in words
    assert "Pruning or DP-SGD" not in evidence.page({"made": made()})


def test_the_game_is_said_beside_pruning_alone():
    found = made()
    found["points"].append(
        point(
            "mia-pruning-min-max strength=3 rate=8", "mia-pruning-min-max",
            {"strength": 3, "rate": 8}, kept=0.125, attack=0.55, leak=0.65, test=0.5,
            against=((-0.15, 0.02), (-0.1, 0.01)),
        )
    )  # fmt: skip
    words = beside(evidence.page({"made": found}), "Beside pruning alone.")
    assert "of 1 case the accuracy of the paper's attack lower in 1" in words
    assert "AUC of the strongest attack lower in 1. Test accuracy is lower in 1." in words
    found["points"][-1]["axes"]["rate"] = 9
    assert "**Beside pruning alone.**" not in evidence.page({"made": found})


def test_the_papers_attack_is_held_against_models_of_fewer_epochs_where_there_are_some():
    words = beside(evidence.page({"made": made()}), "Or stopping earlier?")
    assert "on stopped models it is not measured in 1 of these cases" in words
    found = made()
    for epochs, test, attack in ((9, 0.605, 0.55), (3, 0.5, 0.7)):
        found["points"].append(
            point(
                f"early-stopping epochs={epochs}", "early-stopping", {"epochs": epochs},
                attack=attack, leak=0.7, test=test, against=((-0.1, 0.02), (0.0, 0.02)),
            )
        )  # fmt: skip
    words = beside(evidence.page({"made": found}), "Or stopping earlier?")
    assert "beside 1 of them, 1 with one within 1 point of test accuracy" in words
    assert "minus it, its accuracy: higher in 1." in words
    assert "not measured in" not in words


def test_a_share_of_the_excess_is_paired_where_the_sweep_kept_the_numbers():
    found = made()
    dense, game = found["points"][0], found["points"][3]
    dense["units"]["paper's attack"] = [0.70, 0.72, 0.68]
    game["units"]["paper's attack"] = [0.60, 0.61, 0.59]
    share = share_gone(game, dense)
    assert share.paired
    assert share.low == pytest.approx(0.5)  # half of it, in every target
    assert share.high == pytest.approx(0.5)


def test_a_snapshot_counts_as_a_match_within_a_point_of_accuracy():
    found = made()
    for case in found["points"]:
        case["rows"]["leak - dense at no less test accuracy"] = row(
            -0.05, 0.02, versus="dense, epoch 9"
        )
        case["rows"]["tpr - dense at no less test accuracy"] = row(-0.05, 0.02)
    page = evidence.page({"w": found})
    assert "1 case in which the paper's attack fell, 0 have the dense training stopped" in page
    found["series"][0]["columns"]["test_accuracy"][1] = 0.605
    page = evidence.page({"made": found})
    assert "1 case in which the paper's attack fell, 1 have the dense training stopped" in page
    assert "the leak by each one's strongest attack: AUC lower in 1; TPR lower in 1." in page


def test_a_control_that_is_less_accurate_does_not_do_as_well():
    found = made()
    control = found["points"][4]
    assert control["case"] == "random-mask rate=8"
    control["rows"]["test accuracy"] = row(0.5)
    control["units"]["test_accuracy"] = [0.5, 0.5, 0.51]
    assert "the random mask in 0 of 1" in evidence.page({"made": found})


def test_what_longer_training_and_weight_decay_do_is_said_beside_pruning():
    found = made()
    pruned = found["points"][1]
    pruned["rows"]["paper's attack"] = row(0.8, 0.005)  # rose
    trained = point(
        "trained-on rate=1", "trained-on", {"rate": 1}, attack=0.8, leak=0.85, test=0.60,
        against=((0.05, 0.01), (0.0, 0.01)),
    )  # fmt: skip
    found["points"].append(trained)
    for strength, test in ((1, 0.50), (3, 0.60)):
        decay = point(
            f"weight-decay strength={strength}", "weight-decay", {"strength": strength},
            attack=0.6, leak=0.65, test=test, against=((-0.15, 0.01), (0.0, 0.01)),
        )  # fmt: skip
        decay["units"]["reference_accuracy"] = [test]
        found["points"].append(decay)
    pruned["units"]["reference_accuracy"] = [0.59]
    words = evidence.page({"made": found})
    assert "not pruned: of 2 cases AUC of the strongest attack lower in 2" in words
    assert "Of the 1 in which the paper's attack rose against the dense models, the AUC is" in words
    assert "higher than that of these in 0." in words
    assert "1 of these 1 have weight decay within 1 point" in words
    assert "minus it, AUC is higher in 1." in words


def test_pruning_is_said_beside_min_max_of_its_strength_alone():
    found = made()
    both = {"strength": 3, "rate": 8}
    for strength, attack in ((3, 0.55), (1, 0.40)):
        found["points"].append(
            point(
                f"mia-pruning-min-max strength={strength} rate=8", "mia-pruning-min-max",
                {**both, "strength": strength}, kept=0.125, attack=attack, leak=0.7, test=0.6,
                against=((-0.10, 0.02), (0.0, 0.01)),
            )
        )  # fmt: skip
    page = evidence.page({"made": found})
    words = page.partition("**Beside Min-Max.**")[2].partition("\n")[0]
    assert (
        "playing longer too: of 1 case the accuracy of the paper's attack lower in 1 (1 of" in words
    )
    assert "AUC of the strongest attack lower in 1." in words
    assert "fall of the paper's attack is -10.0" in words
    for case in found["points"]:
        units = case["rows"]["paper's attack"]["value"]
        case["units"]["paper's attack"] = [units, units + 0.01, units]
    paired = evidence.page({"made": found}).partition("**Beside Min-Max.**")[2].partition("\n")[0]
    assert "not paired" not in paired
    del found["points"][3]
    assert "**Beside Min-Max.**" not in evidence.page({"made": found})


def test_a_case_to_ship_is_named_with_what_it_does_not_promise():
    found = made()
    best = found["points"][1]
    for name in ("leak", "tpr"):
        best["rows"][f"{name} - dense at no less test accuracy"] = row(
            -0.05, 0.02, versus="dense, epoch 9"
        )
    words = evidence.page({"made": found}).partition("**To ship.**")[2].partition("\n")[0]
    said = "made `mia-pruning rate=8` (test accuracy 60.0 [59.0, 61.0] beside 60.0 [59.0, 61.0] %"
    assert f"{said}, AUC 0.700 [0.690, 0.710] beside 0.800 [0.790, 0.810];" in words
    assert "as far as intervals of AUC and accuracy tell, as good: `random-mask rate=8`)" in words
    best["rows"]["accounted epsilon"] = {**row(541.0), "value": 541.0}
    words = evidence.page({"made": found}).partition("**To ship.**")[2].partition("\n")[0]
    assert "its accounted epsilon is 541, which promises nothing" in words


def test_where_nothing_was_pruned_the_worlds_together_say_nothing():
    found = made()
    found["points"] = [p for p in found["points"] if p["method"] != "mia-pruning"]
    assert "## In words" not in evidence.page({"made": found})


def test_the_dense_models_trained_on_are_a_control_of_every_rate():
    found = made()
    found["points"].append(
        point(
            "trained-on rate=1", "trained-on", {"rate": 1},
            attack=0.7, leak=0.82, test=0.6, against=((0.02, 0.01), (0.0, 0.01)),
        )
    )  # fmt: skip
    page = evidence.page({"made": found})
    for rate in ("8", "15.78"):
        assert f"- mia-pruning rate={rate} minus the dense models trained on for as long" in page


def advice(found):
    (text,) = ship.recommended(found, verdicts.cases(found))
    return text


def test_a_case_that_beats_stopping_is_recommended_with_what_stopping_gives():
    found = made()
    for p in found["points"]:
        if p["case"] == "mia-pruning rate=8":
            p["rows"][f"leak - dense at {NO_LESS}"] = row(-0.08, 0.02, versus="dense, epoch 9")
    text = advice(found)
    assert "The lowest AUC of these has mia-pruning rate=8" in text
    assert "stopped no less accurate AUC lower, -0.080 [-0.100, -0.060]; TPR not measured" in text
    assert "measure it on a new seed" in text


def test_a_case_that_is_never_matched_has_to_beat_the_most_accurate_snapshot():
    found = made()
    best = found["points"][1]
    never(best)
    for name, half in (("leak", 0.02), ("tpr", 0.03)):
        best["rows"][f"{name} - dense at equal test accuracy"] = row(
            -0.1, half, versus="dense, epoch 20"
        )
    assert "Stop the dense training earlier" in advice(found)  # 0.70 beside 0.70 at epoch 9
    best["rows"]["leak"] = row(0.65)
    assert "The lowest AUC of these has mia-pruning rate=8" in advice(found)


def test_a_case_that_loses_to_the_dense_models_trained_on_is_not_recommended():
    found = made()
    found["points"][1]["rows"][f"leak - dense at {NO_LESS}"] = row(-0.08, versus="dense, epoch 9")
    longer = point(
        "trained-on rate=1", "trained-on", {"rate": 1},
        attack=0.7, leak=0.82, test=0.6, against=((0.02, 0.01), (0.0, 0.01)),
    )  # fmt: skip
    found["points"].append(longer)
    assert "The lowest AUC of these has mia-pruning rate=8" in advice(found)
    longer["units"]["test_accuracy"] = [0.66, 0.66, 0.67]
    assert "mia-pruning rate=8" not in advice(found)


def test_a_case_that_stopping_equals_is_not_recommended(text):
    assert "Stop the dense training earlier" in text
    assert "measure it on a new seed" not in text


def test_an_accuracy_that_nobody_can_tell_from_a_loss_is_not_kept():
    found = made()
    for p in found["points"][1:]:
        p["rows"]["test accuracy - dense"] = row(-0.14, 0.223)  # holds 0, and a loss of 36 points
    assert "0 of them with an interval of test accuracy that excludes a loss" in advice(found)
    for p in found["points"][1:]:
        p["rows"]["test accuracy - dense"] = row(0.0, None)
    assert "Ship what the accuracy asks for" in advice(found)


def test_an_effect_in_auc_alone_recommends_nothing():
    found = made()
    for p in found["points"][1:]:
        p["rows"]["tpr - dense"] = row(0.0, 0.02)
    assert advice(found).startswith("0 cases leak detectably less")


def test_a_share_of_the_excess_is_said_only_where_there_is_an_excess(text):
    assert "% of the dense models' excess over 50 %" in text
    found = made()
    found["points"][0]["rows"]["paper's attack"] = row(0.51, 0.02)
    assert "excess" not in evidence.page({"made": found})


def test_where_nothing_is_detectable_no_cause_is_claimed(text):
    assert "the effect is not of this pruning" not in text
    assert "as well as these targets can tell" in text


def test_what_was_not_measured_is_named(text):
    assert "Not measured: dp-sgd noise=1.0, seed 0." in text
    found = made()
    found["points"][1]["rows"]["paper's attack"] = {**row(0.0), "value": None}
    assert "- mia-pruning rate=8: not measured, not measured" in evidence.page({"made": found})
    found["points"] = found["points"][1:]
    assert "nothing is said" in evidence.page({"made": found})


def test_no_word_calls_a_model_safe(text):
    lowered = text.lower()
    for word in ("protected", "private", "is safe", "secure"):
        assert word not in lowered.replace("differential privacy", "")


def test_a_difference_is_paired_where_the_sweep_kept_the_numbers():
    points = verdicts.cases(made())
    a, b = points["mia-pruning rate=8"], points["random-mask rate=8"]
    found = verdicts.between(a, b, "leak")
    assert found.paired
    assert (found.value, found.low, found.high) == pytest.approx((0.0, 0.0, 0.0))
    assert not verdicts.between(a, points["dense"], "paper's attack").paired


def test_a_file_of_another_kind_is_refused(tmp_path):
    store.write_document(tmp_path / "paper-x.json", {"schema": "report-1"})
    with pytest.raises(SystemExit, match="is not 'sweep-1'"):
        verdicts.sweeps(tmp_path)


def test_the_page_in_the_docs_is_what_the_results_give():
    on_disk = (ROOT / "docs" / "evidence.md").read_text(encoding="utf-8")
    kinds = ("paper", "min-max", "canaries")
    found = (verdicts.sweeps(ROOT / "results", kind) for kind in kinds)
    assert on_disk == evidence.page(*found, searches(ROOT / "results" / "experiments"))
