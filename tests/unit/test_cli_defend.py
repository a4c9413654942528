from __future__ import annotations

import json

import pytest
from tests.command_line import secateur

from secateur.store import read_fleet_plan


@pytest.fixture(scope="module")
def dense(tmp_path_factory):
    folder = tmp_path_factory.mktemp("defend") / "dense"
    done = secateur(
        "train", "--members", "100", "--population", "20", "--utility", "60", "--targets", "2",
        "--attack-pool", "80", "--references", "4", "--workers", "1", "--engine", "serial",
        "--recipe", "Recipe(build=MLP(widths=(64, 16, 10)), epochs=3)", "--out", folder,
    )  # fmt: skip
    assert done.code == 0, done.err
    return folder


@pytest.mark.slow
def test_a_defended_fleet_is_audited_beside_the_plain_one_and_its_pruned_form(dense, tmp_path):
    made, pruned, report = tmp_path / "decay", tmp_path / "pruned", tmp_path / "report.json"
    for arguments in (
        ("defend", dense, "--method", "WeightDecay(strength=5.0)", "--name", "decay"),
        ("prune", made, "--method", "Magnitude(rate=4, retrain_epochs=1)", "--name", "both"),
    ):
        out = made if arguments[0] == "defend" else pruned
        done = secateur(*arguments, "--engine", "serial", "--workers", "1", "--out", out)
        assert done.code == 0, done.err
    done = secateur("audit", dense, made, pruned, "--workers", "1", "--out", report)
    assert done.code == 0, done.err
    found = json.loads(report.read_text())
    assert {row["subject"] for row in found["rows"]} >= {"dense", "decay", "both"}
    assert "weight_decay=5.0" in json.dumps(found["facts"])


def test_a_pruned_fleet_is_not_defended_which_would_lose_its_pruning(dense, tmp_path):
    done = secateur(
        *("prune", dense, "--method", "Magnitude(rate=4, retrain_epochs=0)"),
        *("--workers", "1", "--out", tmp_path / "pruned"),
    )
    assert done.code == 0, done.err
    done = secateur(
        *("defend", tmp_path / "pruned", "--method", "WeightDecay()", "--out", tmp_path / "x")
    )
    assert done.code == 2
    assert "fresh weights, so that what made 'magnitude' of its dense fleet would be" in done.err
    assert "give the fleet that it was made from, and prune afterwards" in done.err
    assert not (tmp_path / "x").exists()


@pytest.mark.slow
def test_a_taught_defence_says_what_became_of_its_teachers_and_is_audited(dense, tmp_path):
    made, report = tmp_path / "cross-fit", tmp_path / "report.json"
    method = "CrossFit(folds=3, prune=Magnitude(rate=4, retrain_epochs=1))"
    done = secateur(
        *("defend", dense, "--method", method, "--engine", "serial", "--workers", "1"),
        *("--out", made),
    )
    assert done.code == 0, done.err
    assert "each learned from 3 teachers of its own, which are forgotten" in done.out
    assert "were never written" in done.out
    done = secateur("audit", dense, made, "--workers", "1", "--out", report)
    assert done.code == 0, done.err
    found = json.loads(report.read_text())
    assert found["facts"]["subjects"]["crossfit"]["kind"] == "pruned"
    assert "CrossFit(folds=3" in json.dumps(found["facts"]["subjects"]["crossfit"])


def test_a_taught_fleet_is_not_pruned_on_labels_nor_taught_again(dense, tmp_path):
    made = tmp_path / "pool"
    done = secateur(
        *("defend", dense, "--method", "PoolOnly(epochs=1)", "--engine", "serial"),
        *("--workers", "1", "--out", made),
    )
    assert done.code == 0, done.err
    done = secateur("prune", made, "--method", "ADMM(rate=4)", "--out", tmp_path / "x")
    assert done.code == 2
    assert "put it inside the method that made them: method=ADMM(rate=4" in done.err
    done = secateur("prune", made, "--method", "RandomMask(rate=4)", "--out", tmp_path / "x")
    assert done.code == 2
    assert "would be lost: PoolOnly(" in done.err
    assert not (tmp_path / "x").exists()


def test_the_attack_pool_is_drawn(dense):
    pools = read_fleet_plan(dense).data["pools"]
    assert pools["attack"] == 80


def test_a_pruning_method_is_no_defence(dense, tmp_path):
    done = secateur("defend", dense, "--method", "ADMM(rate=10)", "--out", tmp_path / "x")
    assert done.code == 2
    assert "defence" in done.err
    assert not (tmp_path / "x").exists()
