"""Our side of claims, from a made sweep whose answers are known."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import pytest
from test_tools_evidence import made, point

from repositories import git
from secateur import store

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tools import circumstances, claims, verdicts

SAME = ((0.0, 0.01), (0.0, 0.01))
LOST = ((0.0, 0.01), (-0.2, 0.01))


def measured(measure, *more, without=()):
    """What a measure says of the made sweep with more cases, or without some."""
    found = made()
    found["points"] = [p for p in found["points"] if p["case"] not in without] + list(more)
    return claims.MEASURES[measure](verdicts.cases(found))


def of_the_same_game(*more, without=()):
    """What `fall below min-max` says of cases of the same game, whatever their accuracy."""
    found = measured("fall below min-max", *more, without=without)
    return [entry for entry in found if entry["among"] != claims.EQUAL]


def game(strength, *, attack=0.65, epochs=None):
    axes = {"strength": strength, **({"epochs": epochs} if epochs else {})}
    name = f"min-max strength={strength} epochs={epochs}"
    return point(name, "min-max", axes, attack=attack, leak=0.7, test=0.59, against=SAME)


def composed(strength, rate=8, *, attack=0.55, test=0.58, against=SAME):
    return point(
        f"mia-pruning-min-max strength={strength} rate={rate}", "mia-pruning-min-max",
        {"strength": strength, "rate": rate}, attack=attack, leak=0.6, test=test, against=against,
    )  # fmt: skip


def test_the_largest_fall_says_that_it_flatters_and_what_it_cost():
    every, _ = measured("fall below dense")
    assert every["value"] == pytest.approx(10.0)
    assert (every["low"], every["high"]) == pytest.approx((9.0, 11.0))
    assert every["case"] == "dense minus mia-pruning rate=8"
    assert "the largest of 2 differences, which flatters; not paired" in every["note"]
    assert every["note"].endswith("test accuracy +0.0 [-1.0, +1.0] points from dense")


def test_a_destroyed_model_has_the_largest_fall_and_not_the_one_of_those_that_keep_accuracy():
    destroyed = composed(3, attack=0.5, test=0.4, against=LOST)
    every, keeping = measured("fall below dense", destroyed)
    assert (every["among"], keeping["among"]) == (claims.EVERY, claims.KEEPING)
    assert every["value"] == pytest.approx(20.0)
    assert "test accuracy -20.0 [-21.0, -19.0] points from dense" in every["note"]
    assert keeping["value"] == pytest.approx(10.0)
    assert keeping["case"] == "dense minus mia-pruning rate=8"


def test_where_no_case_keeps_accuracy_the_entry_says_so_and_has_no_value():
    _, keeping = measured("fall below dense", without=("mia-pruning rate=8",))
    assert "value" not in keeping
    assert keeping["note"].startswith("no case: of 1 none")


def test_a_fall_below_min_max_is_of_the_same_game():
    pair = (game(3, attack=0.6), composed(3))
    every, keeping = of_the_same_game(
        game(0.3, attack=0.69), *pair, without=("min-max strength=3",)
    )
    assert every["value"] == keeping["value"] == pytest.approx(5.0)
    assert every["case"] == (
        "min-max strength=3 epochs=None minus mia-pruning-min-max strength=3 rate=8"
    )
    assert "the only pair" in every["note"]
    assert "-1.0 [-1.0, -1.0] points from min-max strength=3" in every["note"]
    assert "and +0.0 [-1.0, +1.0] points from dense" in every["note"]


@pytest.mark.parametrize("other", [game(3, epochs=8), game(1)])
def test_a_game_of_other_epochs_or_strength_is_no_pair(other):
    (entry,) = of_the_same_game(other, composed(3), without=("min-max strength=3",))
    assert "value" not in entry
    assert entry["note"].startswith("no pair: of 3 pruned cases and 1 of Min-Max")


def test_pruning_without_the_game_is_no_pair_and_a_world_without_pruning_has_no_entry():
    (entry,) = of_the_same_game()
    assert entry["note"].startswith("no pair: of 2 pruned cases and 1 of Min-Max")
    pruned = ("mia-pruning rate=8", "mia-pruning rate=15.78")
    for measure in ("fall below min-max", "fall below dp-sgd", "fall below dense", "largest rate"):
        assert measured(measure, without=pruned) == []


def private(noise, *, test, attack=0.55):
    case = point(
        f"dp-sgd noise={noise}", "dp-sgd", {"noise": noise},
        attack=attack, leak=0.6, test=test, against=SAME,
    )  # fmt: skip
    case["units"]["test_accuracy"] = [test, test, test + 0.01]
    return case


def test_a_rival_of_the_same_accuracy_is_the_one_that_pruning_has_to_beat():
    (entry,) = measured("fall below dp-sgd", private(0.2, test=0.595), private(1.0, test=0.3))
    assert entry["among"] == claims.EQUAL
    assert entry["value"] == pytest.approx(-5.0)  # pruning is worse, of either rate
    assert entry["case"] == "dp-sgd noise=0.2 minus mia-pruning rate=8"
    (entry,) = measured("fall below dp-sgd", private(1.0, test=0.3))
    assert entry["note"].startswith("no pair: of 2 pruned cases none has dp-sgd within 1 point")
    near = private(0.2, test=0.595, attack=0.65) | {"case": "min-max strength=9"}
    *_, entry = measured("fall below min-max", near | {"method": "min-max"})
    assert entry["case"] == "min-max strength=9 minus mia-pruning rate=8"
    assert entry["value"] == pytest.approx(5.0)


def test_the_composed_row_is_held_against_pruning_of_its_rate():
    every, keeping = measured("fall below pruning", composed(3))
    assert every["value"] == keeping["value"] == pytest.approx(5.0)
    assert every["case"] == "mia-pruning rate=8 minus mia-pruning-min-max strength=3 rate=8"
    (entry,) = measured("fall below pruning", composed(3, rate=9))
    assert entry["note"].startswith("no pair: of 1 cases with the game and 2 without")


def test_claims_take_the_rates_from_what_was_kept():
    (entry,) = measured("rate of 15.78")
    assert entry["value"] == pytest.approx(15.77, abs=0.01)
    assert "-10.0 [-11.0, -9.0] points" in entry["note"]
    (entry,) = measured("largest rate")
    assert entry["value"] == pytest.approx(8.0)
    (entry,) = measured("min-max attack accuracy")
    assert (entry["value"], entry["case"]) == (65.0, "min-max strength=3")


def test_where_no_rate_keeps_accuracy_it_is_said_and_not_left_out():
    (entry,) = measured("largest rate", without=("mia-pruning rate=8",))
    assert set(entry) == {"note"}
    assert entry["note"].startswith("no rate: of 1 none has an interval")
    assert "mia-pruning rate=15.78 -10.0 [-11.0, -9.0]" in entry["note"]


def test_the_hardware_has_the_commands_device_and_the_sweeps_note():
    found = made()
    assert circumstances.hardware(found) == "a processor, 2 cores"
    found["facts"]["command"] = "secateur x --engine \"Stacked(device='cuda:0')\" --device cuda:0"
    found["facts"]["note"] = "Trained on another card."
    assert circumstances.hardware(found) == (
        "a processor, 2 cores; device cuda:0, as its command says; note: Trained on another card."
    )


def test_when_and_by_which_commit_is_said_where_the_file_has_it():
    found = made()
    assert circumstances.when(found) == {}
    found["provenance"]["context"] |= {"made": "2026-01-02T03:04:05+00:00", "commit": "abc, def"}
    assert circumstances.when(found) == {"made": "2026-01-02, commit abc, def"}


def test_our_side_is_filled_from_results_and_back_to_text(tmp_path, monkeypatch):
    none = made()
    none["points"] = [p for p in none["points"] if p["case"] != "mia-pruning rate=8"]
    store.write_document(tmp_path / "paper-made.json", made())
    store.write_document(tmp_path / "paper-none.json", none)
    monkeypatch.setattr(claims, "RESULTS", tmp_path)
    entries = tomllib.loads(claims.CLAIMS.read_text(encoding="utf-8"))["claim"]
    filled = claims.filled(entries)
    text = claims.as_toml(filled)
    again = tomllib.loads(text)["claim"]
    first = again[0]["ours"][0]
    assert (first["world"], first["scale"], first["file"]) == (
        "made", "small", "results/paper-made.json",
    )  # fmt: skip
    assert first["hardware"] == "a processor, 2 cores"
    assert first["committed"] == ""  # no commit has this file
    said = {c["id"]: c["ours"] for c in again}
    assert said["purchase100-test-accuracy"] == claims.NOT_YET

    def without(claim):
        return [(e["world"], e.get("among")) for e in said[claim] if "value" not in e]

    assert without("attack-accuracy-below-baseline") == [("none", claims.KEEPING)]
    both = [("made", claims.EVERY), ("made", claims.EQUAL)]
    both += [("none", claims.EVERY), ("none", claims.EQUAL)]
    assert without("attack-accuracy-below-min-max") == both
    assert without("rates") == [("none", None)]
    assert claims.as_toml(again) == text
    assert [{k: c[k] for k in claims.FIELDS} for c in again] == [
        {k: c[k] for k in claims.FIELDS} for c in entries
    ]


CLAIMS = "claims.toml"


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository whose results file was committed on a day that is known, then claimed."""
    root = tmp_path / "of"
    (root / "results").mkdir(parents=True)
    file = root / "results" / "paper-made.json"
    file.write_text("1")
    monkeypatch.setattr(circumstances, "ROOT", root)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_DATE", "2026-01-02T12:00:00+00:00")
    git(root, "init", "-q")
    git(root, "add", "results")
    git(root, "commit", "-qm", "results")
    return root


def test_a_results_file_is_named_by_its_last_commit_and_not_while_it_differs(repository):
    first = git(repository, "rev-parse", f"--short={circumstances.DIGITS}", "HEAD")
    (repository / "claims.toml").write_text("")
    git(repository, "add", "claims.toml")
    git(repository, "commit", "-qm", "claims")
    file = "results/paper-made.json"
    assert circumstances.of_git(file) == {"committed": f"{first}, 2026-01-02"}
    assert circumstances.of_git("results/none.json") == {"committed": ""}
    (repository / file).write_text("2")
    with pytest.raises(SystemExit, match="differs from what is committed"):
        circumstances.of_git(file)


def test_history_is_that_of_a_whole_clone_alone(repository, tmp_path, monkeypatch):
    assert not circumstances.has_history(
        CLAIMS
    )  # of another project, which does not have the claims
    (repository / "claims.toml").write_text("")
    git(repository, "add", "claims.toml")
    git(repository, "commit", "-qm", "claims")
    assert circumstances.has_history(CLAIMS)
    git(tmp_path, "clone", "-q", "--depth=1", repository.as_uri(), "shallow")
    monkeypatch.setattr(circumstances, "ROOT", tmp_path / "shallow")
    assert not circumstances.has_history(CLAIMS)
    monkeypatch.setattr(circumstances, "ROOT", tmp_path / "none")
    assert not circumstances.has_history(CLAIMS)
    monkeypatch.setenv("PATH", "")
    assert not circumstances.has_history(CLAIMS)
    assert circumstances.of_git("results/paper-made.json") == {"committed": ""}
