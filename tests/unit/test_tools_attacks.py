"""The side-by-side experiment: subsets, intervals and ratios, and a page that invents nothing."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from tools import attack_rows, attack_runs, attacks
from tools.attacks_page import attacks_page
from tools.attacks_words import picture

from secateur import store
from secateur.attack.learned import SAMIA, NasrAttack
from secateur.attack.membership import RMIA, AttackP, HierarchicalLiRA, LiRA, LossThreshold
from secateur.attack.membership import PairAttack as Pair
from secateur.data import draw
from secateur.measure import auc, tpr_at_fpr
from secateur.probe.run import observe
from secateur.train import train_fleet
from secateur.types import Fleet, Observations, Records, Scores, Signal, derive_seed

N, CLASSES = 400, 3
LIST = (
    LiRA(), LiRA(variance="per record"), LiRA(mode="offline"), RMIA(), HierarchicalLiRA(),
    LossThreshold(), Pair(),
)  # fmt: skip


def view(who, shift, name):
    rng = np.random.default_rng(derive_seed(0, name))
    hardness = np.random.default_rng(1).normal(1, 2, size=N)
    margin = hardness + rng.normal(size=who.inside.shape) + shift * who.inside
    log_p = -np.logaddexp(0, -margin)
    signals = {"margin": margin, "log_confidence@4": log_p / 4, "loss": -log_p}
    labels = np.arange(N) % CLASSES
    whole = np.full((len(who.targets), N, CLASSES), 0.1)
    whole[:, np.arange(N), labels] = np.exp(log_p[who.targets])
    seen = Observations.from_arrays(signals, labels=labels, membership=who, view=name)
    return seen, whole


@pytest.fixture(scope="module")
def world():
    inputs = np.zeros((N, 1), dtype=np.float32)
    records = Records.from_arrays(inputs, np.arange(N) % CLASSES)
    pools = {"audit": 300, "population": 100}
    who = draw(records, targets=8, references=128, seed=0, pools=pools)
    seen = {}
    for name, shift in (("dense", 2.0), ("admm", 1.0)):
        one, whole = view(who, shift, name)
        seen[name] = Observations(
            views=one.views, labels=one.labels, membership=who, n_classes=CLASSES, primary=name,
            posteriors={name: whole},
        )  # fmt: skip
    join = attack_runs.join_views
    both = {"dense": join(seen["dense"], seen["admm"]), "admm": join(seen["admm"], seen["dense"])}
    fleets = tuple(
        Fleet(artifacts=[None] * 136, membership=who, name=name, costs=(cost,) * 136)
        for name, cost in (("dense", 2.0), ("admm", 3.0))
    )
    return attack_runs.World(
        name="location", folder=Path(), fleets=fleets, records=records, seen=both, digest="made"
    )


@pytest.fixture(scope="module")
def document(world, tmp_path_factory):
    patch = pytest.MonkeyPatch()
    for module in (attacks, attack_rows):
        patch.setattr(module, "WITH_REFERENCES", LIST)
        patch.setattr(module, "WITHOUT_REFERENCES", (LossThreshold(class_wise=False), AttackP()))
        patch.setattr(module, "LEARNED", NasrAttack(epochs=1))
    cache = attack_runs.Cache(folder=tmp_path_factory.mktemp("results"))
    asked = argparse.Namespace(samia_epochs=1, samia_seeds=0)
    parts = {}
    for subject in ("dense", "admm"):
        for what, found in attacks.measured(cache, world, subject, asked).items():
            parts.setdefault(what, []).extend(found)
    patch.undo()
    every = (*LIST, LossThreshold(class_wise=False), AttackP(), NasrAttack(epochs=1))
    return {
        "command": "python", "seed": 0, "not_swept": {}, **parts,
        "labels": {repr(a): attack_rows.spelled(a) for a in (*every, SAMIA(epochs=1))},
        "worlds": {"location": {"name": "Made", "n": attack_runs.audit_counts(world),
                                "commands": ["a", "b"],
                                "cpu_seconds_per_model": {"dense": 2.0, "admm": 3.0}}},
        "machine": {"processor": "p", "cores": 1, "flags": [], "versions": {}},
    }  # fmt: skip


def test_subsets_are_disjoint_and_balanced(world):
    who = world.fleets[0].membership
    for size in attack_runs.REFERENCES:
        parts = attack_runs.subsets(who.references.tolist(), size)
        models = [m for part in parts for m in part]
        assert len(set(models)) == len(models) == len(parts) * size
        assert len(parts) == min(attack_runs.SUBSETS, 128 // size)
        if size > 1:
            for part in parts:
                assert (who.inside[part][:, who.pools["audit"]].sum(axis=0) == size // 2).all()


@pytest.mark.parametrize("leak", ["as LiRA sees it", "all", "none"])
def test_an_interval_of_one_subset_is_that_of_the_measures(world, leak):
    seen = world.seen["dense"]
    scores, who = LiRA()(seen), seen.membership
    if leak != "as LiRA sees it":  # no spread: the t interval alone would have no width
        values = (leak == "all") * who.inside[who.targets].astype(float)
        scores = Scores(values=values, evaluated=scores.evaluated)
    values = attack_runs.values_of(scores, seen)
    told = {"subject": "dense", "method": "x"}
    rows = (auc(scores, who, **told), tpr_at_fpr(scores, who, fpr=0.01, **told))
    for row, metric in zip(rows, ("auc", "tpr at 1% fpr"), strict=True):
        found = attack_rows.summary([values], metric)
        assert (found["value"], found["low"], found["high"]) == pytest.approx(
            (row.value, row.low, row.high)
        )
        assert ("widened" in found) == row.interval.endswith("widened")
        assert found["low"] < found["high"]
        assert found.get("widened", "") in row.why


def test_a_rate_with_too_few_false_positives_is_not_given(world):
    seen = world.seen["dense"]
    found = attack_rows.summary([attack_runs.values_of(LiRA()(seen), seen)], "tpr at 0.2% fpr")
    assert set(found) == {"not_resolvable"}


def test_false_positives_of_a_persons_records_are_expected_once(world):
    seen = world.seen["dense"]
    runs = attack_runs.values_of(LiRA()(seen), seen)
    assert "value" in attack_rows.summary([runs], "tpr at 1% fpr")
    fewer = {**runs, "units": (np.array(runs["units"]) / 5).tolist()}
    assert set(attack_rows.summary([fewer], "tpr at 1% fpr")) == {"not_resolvable"}


def test_a_share_of_itself_is_one_and_of_its_double_a_half():
    own = [{"tpr": [0.1, 0.2, 0.3]}]
    double = [{"tpr": [0.2, 0.4, 0.6]}]
    for goal, value in ((own, 1.0), (double, 0.5)):
        found = attack_rows.share(own, goal, "tpr", floor=0.0)
        assert found == pytest.approx({"value": value, "low": value, "high": value})


def test_references_of_pruned_models_cost_both_steps_and_no_attack_is_free_of_its_own(document):
    cost = {
        (r["subject"], r["attack"]): r["reference_seconds"]
        for r in document["curves"]
        if r["references"] == 4
    }
    assert cost["dense", repr(LiRA())] == 4 * 2
    assert cost["admm", repr(LiRA())] == 4 * 5
    assert cost["dense", repr(Pair())] == 4 * 5


def test_every_attack_has_numbers_or_says_why_not(document):
    json.dumps(document, allow_nan=False)
    for row in document["rows"] + document["curves"]:
        assert ("not_run" in row) != ("value" in row.get("auc", {}))
        if "not_run" in row:
            assert row["not_run"]
    shown = {(r["subject"], r["attack"]) for r in document["rows"]}
    assert shown == {(s, a) for s in ("dense", "admm") for a in document["labels"]}
    one = [r for r in document["curves"] if r["references"] == 1 and "not_run" not in r]
    assert {r["attack"] for r in one} == {repr(LossThreshold())}


def test_a_planted_leak_is_found_and_the_pair_is_the_stronger(document):
    values = {
        (r["subject"], r["attack"]): r["auc"]["value"]
        for r in document["rows"]
        if "not_run" not in r
    }
    assert values["dense", repr(LiRA())] > 0.85
    assert values["admm", repr(Pair())] > values["admm", repr(LiRA())] + 0.05


def test_page_and_picture_are_functions_of_the_document(document):
    page = attacks_page(document)
    assert page == attacks_page(json.loads(json.dumps(document)))
    for label in document["labels"].values():
        assert f"`{label}`" in page
    assert "left out by --samia-seeds 0" in page
    pytest.importorskip("vl_convert")
    assert picture(document) == picture(document)


def test_a_second_run_finds_what_the_first_one_made(world, tmp_path, monkeypatch):
    cache = attack_runs.Cache(folder=tmp_path)
    models = world.fleets[0].membership.references.tolist()[:4]
    first = attack_runs.run_attack(cache, world, "dense", LiRA(), models=models)
    monkeypatch.setattr(LiRA, "__call__", None)
    assert attack_runs.run_attack(cache, world, "dense", LiRA(), models=models) == first


def test_an_attack_of_another_revision_is_run_anew(world, tmp_path, monkeypatch):
    cache = attack_runs.Cache(folder=tmp_path)
    models = world.fleets[0].membership.references.tolist()[:4]
    attack_runs.run_attack(cache, world, "dense", LiRA(), models=models)
    monkeypatch.setattr(LiRA, "revision", LiRA.revision + 1)
    attack_runs.run_attack(cache, world, "dense", LiRA(), models=models)
    assert len(list(tmp_path.glob("*.json"))) == 2


def test_a_result_without_units_is_made_from_kept_scores_and_keeps_its_seconds(
    world, tmp_path, monkeypatch
):
    cache = attack_runs.Cache(folder=tmp_path)
    first = attack_runs.run_attack(cache, world, "dense", AttackP(), models=[])
    path = next(tmp_path.glob("*.json"))
    older = {k: v for k, v in first.items() if k != "units"}
    store.write_document(path, {**older, "seconds": 99.0})
    monkeypatch.setattr(AttackP, "__call__", None)
    found = attack_runs.run_attack(cache, world, "dense", AttackP(), models=[])
    assert found == {**first, "seconds": 99.0}
    assert attack_runs.run_attack(cache, world, "dense", AttackP(), models=[]) == found


def test_an_experiment_is_told_from_an_audits_report(tmp_path):
    from tools.docs import ROOT, is_experiment

    assert not is_experiment(ROOT / "results" / "demo.json")
    store.write_document(tmp_path / "x.json", {"format": "secateur-experiment-1"})
    assert is_experiment(tmp_path / "x.json")


def test_samia_reads_whole_outputs_of_a_real_fleet(tmp_path):
    from small_world import small_membership, small_recipe, small_records

    records = small_records()
    who = small_membership(records, targets=2, references=2)
    dense = train_fleet(small_recipe(), records, who, seed=0, engine="serial")
    loss = Signal(name="loss")
    world = attack_runs.World(
        name="location",
        folder=Path(),
        fleets=(dense,),
        records=records,
        seen={"dense": observe(dense, records, signals=[loss])},
        digest="small",
    )
    cache = attack_runs.Cache(folder=tmp_path)
    samia = SAMIA(shadows=2, epochs=1)
    found = attack_runs.run_learned(cache, world, "dense", samia, seed=0)
    assert len(found["auc"]) == 2
    kept = cache.scores(attack_runs.key_of(world, "dense", samia, 2, 0, 0))
    assert kept.evaluated.sum() == found["members"] + found["non_members"]
