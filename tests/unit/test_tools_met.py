"""What is measured of members that a student met and of those that it did not."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from tools.met import kinds_of, leaks, main, met_members, met_page

from command_line import secateur
from secateur.attack.membership import LossThreshold
from secateur.data import draw
from secateur.defend import SELENA, InSampleDistillation, Subsample
from secateur.errors import InputError
from secateur.train import apply, train_fleet
from secateur.types import Scores
from small_world import small_recipe, small_records

RECIPE = small_recipe(epochs=60)


@pytest.fixture(scope="module")
def world():
    records = small_records(n=240)
    return train_fleet(
        RECIPE, records, draw(records, targets=4, references=2, seed=3), seed=5, engine="serial"
    ), records


def test_who_was_met_is_drawn_again_from_the_seed(world):
    fleet, records = world
    method = Subsample(share=0.3, method=SELENA(teachers=4, left_out=2, keep=True))
    made = apply(method, fleet, records, seed=5, engine="serial")
    met, read = met_members(made, seed=5)
    assert met.shape == (4, 240)
    np.testing.assert_array_equal(read, made.membership.inside[made.membership.targets])
    for row, target in zip(met, made.membership.targets, strict=True):
        rows = made.artifacts[target].history["taught/records"]
        np.testing.assert_array_equal(np.flatnonzero(row), rows)
    with pytest.raises(InputError, match="meet all their members"):
        met_members(fleet, seed=5)


def test_each_kind_of_member_stands_beside_all_non_members(world):
    fleet, _ = world
    who = fleet.membership
    inside = who.inside[who.targets]
    met = inside & (np.arange(240) % 3 == 0)
    scores = Scores(values=np.zeros((4, 240)), evaluated=np.ones((4, 240), np.bool_))
    found = kinds_of(scores, who, met, inside)
    assert list(found) == ["met", "not met", "all"]
    np.testing.assert_array_equal(found["met"].evaluated, ~inside | met)
    np.testing.assert_array_equal(found["not met"].evaluated, ~inside | (inside & ~met))
    assert found["all"].evaluated.all()
    read = met | (inside & (np.arange(240) % 3 == 1))
    found = kinds_of(scores, who, met, read)
    assert list(found) == ["met", "not met", "not known", "all"]
    np.testing.assert_array_equal(found["not met"].evaluated, ~inside | (read & ~met))
    np.testing.assert_array_equal(found["not known"].evaluated, ~inside | ~read)


def test_members_known_to_no_teacher_are_strangers(world):
    fleet, records = world
    noise = np.random.default_rng(0).integers(3, size=240)
    records = replace(records, labels=noise)
    fleet = train_fleet(RECIPE, records, fleet.membership, seed=5, engine="serial")
    method = Subsample(share=0.3, known=0.6, method=InSampleDistillation())
    made = apply(method, fleet, records, seed=5, engine="serial")
    met, read = met_members(made, seed=5)
    counts = made.membership.inside[made.membership.targets].sum(1)
    np.testing.assert_array_equal(met.sum(1), np.round(0.3 * counts))
    np.testing.assert_array_equal(read.sum(1), np.round(0.6 * counts))
    assert not (met & ~read).any()
    (rows,) = leaks(made, records, [LossThreshold()], seed=5, workers=0).values()
    assert rows["met"].value > 0.75
    assert rows["not known"].value == pytest.approx(0.5, abs=0.08)


def test_without_teachers_those_that_were_not_met_are_strangers(world):
    fleet, records = world
    noise = np.random.default_rng(0).integers(3, size=240)  # labels that can only be remembered
    records = replace(records, labels=noise)
    fleet = train_fleet(RECIPE, records, fleet.membership, seed=5, engine="serial")
    made = apply(Subsample(share=0.3), fleet, records, seed=5, engine="serial")
    met, read = met_members(made, seed=5)
    np.testing.assert_array_equal(met, read)
    (rows,) = leaks(made, records, [LossThreshold()], seed=5, workers=0).values()
    assert rows["met"].value > 0.75
    assert rows["not known"].value == pytest.approx(0.5, abs=0.08)
    assert rows["not known"].value < rows["all"].value < rows["met"].value


def test_a_fleet_of_a_sweep_is_measured_and_what_was_found_is_written(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sweep.toml").write_text("""
title = "Few"
data = "digits"
members = 40
population = 30
utility = 50
targets = 2
references = 8
recipe = "Recipe(build=MLP(widths=(64, 16, 10)), optimiser=Adam(lr=0.01), epochs=3, batch_size=16)"
attacks = ["LossThreshold()"]
[[method]]
name = "few"
steps = ["Subsample(share=0.5, method=SELENA(teachers=4, left_out=2))"]
""")
    done = secateur("sweep", "sweep.toml", "--out", "run", "--engine", "serial", "--workers", "1")
    assert done.code == 0, done.err
    assert main(["run/seed-0/few", "--title", "Few", "--out", "found.json"]) == 0
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["command"] == (
        "python -m tools.met run/seed-0/few --title Few --way features --data-dir DATA "
        "--out results/experiments/found.json"
    )
    assert (found["targets"], found["references"], found["seed"]) == (2, 8, 0)
    assert len(found["auc"]) == 5
    two_way = {"two-way bootstrap", "two-way bootstrap, widened"}
    assert set(found["intervals"].split(" or ")) == two_way
    for rows in found["auc"].values():
        assert set(rows) == {"met", "not met", "all"}
        assert all(r["low"] <= r["value"] <= r["high"] for r in rows.values())
    page = met_page(found)
    assert page.startswith("# Few\n") and "`Subsample(share=0.5" in page
    assert page.count("\n| ") == 7
    assert main(["run/seed-0/dense", "--title", "Dense", "--out", "other.json"]) == 2
    assert "meet all their members" in capsys.readouterr().err
    assert not (tmp_path / "other.json").exists()
