"""The search for DP-SGD's settings: whose records it reads, and that a stopped one goes on."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tools import tune_dpsgd
from tools.dpsgd_bench import BEYOND, LEAST, bench_of
from tools.tune_dpsgd import best, normalised, own_settings, searched, wanted, within

from secateur import store
from secateur.cli.spelled import parse_recipe
from secateur.data import digits, draw
from secateur.defend import DPSGD
from secateur.sweeping import read_plan
from secateur.types import ATTACK, AUDIT, POPULATION, UTILITY

CELL = """
data = "digits"
members = {members}
population = 100
utility = 200
attack_pool = {attack}
targets = 2
references = 2
seeds = [0, 1]
recipe = "Recipe(build=MLP(widths=(64, 8, 10)), epochs=1{more})"
[[method]]
name = "dp-sgd"
steps = ["DPSGD(noise_multiplier={{noise}}, batch_size=64, epochs=2)"]
over = {{ noise = [1.0, 2.0] }}
[[method]]
name = "mask"
steps = ["RandomMask(rate=4)"]
"""


def plan(members=150, attack=150, more=""):
    return read_plan(CELL.format(members=members, attack=attack, more=more))


def audited(found):
    """Everybody who may be a member in some seed of the cell, and who its test accuracy is of."""
    pools = {
        AUDIT: 2 * found.sizes["members"],
        **{POPULATION: 100, UTILITY: 200, ATTACK: found.sizes["attack_pool"]},
    }
    who = [draw(digits(), targets=2, references=2, seed=s, pools=pools) for s in found.seeds]
    return tuple(
        np.unique(np.concatenate([w.pools[name] for w in who])) for name in (AUDIT, UTILITY)
    )


def test_nobody_that_the_cell_audits_in_any_seed_is_read_nor_who_its_accuracy_is_of():
    found = plan()
    bench = bench_of(found, digits(), seed=0)
    read = np.concatenate([bench.training, bench.validation])
    assert len(np.unique(read)) == len(read)
    assert bench.members == 150
    assert bench.disjoint
    for barred in audited(found):
        assert not np.isin(read, barred).any()


def test_pools_whose_members_nobody_audits_are_read_where_nothing_else_is_left():
    found = read_plan(CELL.format(members=300, attack=897, more="").replace("[0, 1]", "[0]"))
    bench = bench_of(found, digits(), seed=0)
    assert bench.disjoint
    assert bench.sources == {ATTACK: 897, POPULATION: 100}
    assert not np.isin(bench.training, audited(found)[0]).any()


def test_audited_records_are_read_only_where_others_are_too_few_and_then_it_is_said():
    found = plan(members=500, attack=0)
    bench = bench_of(found, digits(), seed=0)
    assert not bench.disjoint
    assert AUDIT in bench.sources
    assert len(bench.validation) >= LEAST
    assert not np.isin(np.concatenate([bench.training, bench.validation]), audited(found)[1]).any()


def test_a_data_set_that_is_too_small_even_so_is_refused():
    text = CELL.format(members=150, attack=0, more="").replace("[0, 1]", "[0]")
    text = text.replace("utility = 200", "utility = 1497").replace(
        "population = 100", "population = 0"
    )
    with pytest.raises(SystemExit, match=r"300 records .* 150 members and 200 for validation"):
        bench_of(read_plan(text), digits(), seed=0)


def test_the_search_is_seeded_holds_no_setting_twice_and_the_cells_own_are_tried_first():
    found, bench = plan(), bench_of(plan(), digits(), seed=0)
    methods = wanted(found, bench, 1.0, trials=12)
    assert methods == wanted(found, bench, 1.0, trials=12)
    assert len({repr(m) for m in methods}) == 13
    assert methods[:1] == own_settings(found, 1.0)
    assert wanted(found, bench, 0.3, trials=12)[0].noise_multiplier == 0.3
    assert own_settings(found, 0.3) == []
    every = {repr(m) for m in searched(1.0, bench.recipe, members=150, seed=0)}
    assert every == {repr(m) for m in searched(1.0, bench.recipe, members=150, seed=1)}


def test_copies_of_a_record_are_searched_where_the_recipe_augments_and_only_there():
    for more, copies in (("", {1}), (", hooks=(RandomFlip(),)", {1, 4})):
        bench = bench_of(plan(more=more), digits(), seed=0)
        found = searched(1.0, bench.recipe, members=150, seed=0)
        assert {m.augmentations for m in found} == copies


def test_the_cells_own_are_tried_at_each_number_of_copies_where_the_recipe_augments():
    found = plan(more=", hooks=(RandomFlip(),)")
    methods = wanted(found, bench_of(found, digits(), seed=0), 1.0, trials=3)
    (own,) = own_settings(found, 1.0)
    assert methods[:2] == [own, replace(own, augmentations=4)]
    assert len(methods) == 5


def test_the_best_has_the_highest_mean_of_those_with_most_models_then_the_smaller_epsilon():
    rows = [
        {"accuracies": [0.99], "epsilon": 1.0},
        {"accuracies": [0.8, 0.9], "epsilon": 9.0},
        {"accuracies": [0.9, 0.8], "epsilon": 3.0},
        {"accuracies": [0.7, 0.7], "epsilon": 1.0},
    ]
    assert best(rows) is rows[2]


@pytest.fixture
def search(tmp_path, monkeypatch, capsys):
    """Run the command on digits; a model is a number that its setting and its draw decide."""
    (tmp_path / "cell.toml").write_text(CELL.format(members=150, attack=150, more=""))
    monkeypatch.setattr(tune_dpsgd, "recipe_of", lambda cell: tmp_path / f"{cell}.toml")
    out = tmp_path / "found.json"
    asked = []

    def tried(self, method, number):
        asked.append((repr(method), number))
        return (method.max_grad_norm + method.epochs + number) % 1 + 1 / method.batch_size

    def epsilon(self, members, *, delta=1e-5):
        del members, delta
        return self.epochs / self.noise_multiplier  # the accountants are tested elsewhere

    monkeypatch.setattr("tools.dpsgd_bench.Bench.tried", tried)
    monkeypatch.setattr(DPSGD, "epsilon", epsilon)

    def run(*more, seed="0"):
        asked.clear()
        line = ["tune", "cell", "--noise", "1.0", "3.0", "--trials", "5", "--seed", seed]
        monkeypatch.setattr(sys, "argv", [*line, "--out", str(out), *more])
        read = read_plan
        monkeypatch.setattr(
            tune_dpsgd, "read_plan", lambda text, *, scale, where: read(text, where=where)
        )
        tune_dpsgd.main()
        return list(asked), capsys.readouterr().out

    run.out = out
    return run


def without_times(found):
    rows = [{k: v for k, v in r.items() if k != "cpu_seconds"} for r in found["rows"]]
    return {**found, "rows": rows}


def test_a_stopped_search_goes_on_to_the_same_end_and_tries_nothing_twice(search):
    whole, _ = search()
    wanted_ = without_times(store.read_document(search.out, what="x"))
    search.out.unlink()
    parts = []
    for _ in range(4):
        asked, said = search("--seconds", "0")
        assert len(asked) == 1
        assert "the same command goes on" in said
        parts += asked
    rest, _ = search()
    assert parts + rest == whole
    assert without_times(store.read_document(search.out, what="x")) == wanted_


def test_within_an_epsilon_one_of_those_is_taken_that_stay_within_it(search):
    search()
    whole = store.read_document(search.out, what="x")
    few = min(r["epsilon"] for r in whole["rows"] if r["noise"] == 3.0)
    search("--epsilon", str(few))
    found = store.read_document(search.out, what="x")
    taken = {r["setting"]: r for r in found["rows"]}[found["taken"]["3.0"]]
    assert taken["epsilon"] == few
    assert len(taken["accuracies"]) == 3
    assert within(found["rows"], 0.1) == found["rows"]  # none stays within it
    assert f" --epsilon {few:g} " in found["command"]
    assert (whole["within"], found["within"]) == (None, few)
    assert len(found["rows"]) == len(whole["rows"])


def test_another_recipe_than_the_cells_is_searched_as_one_of_its_own(search):
    search()
    other = "Recipe(build=MLP(widths=(64, 12, 10)), epochs=3)"
    with pytest.raises(SystemExit, match="is of another search"):
        search("--recipe", other)
    search.out.unlink()
    search("--recipe", other)
    found = store.read_document(search.out, what="x")
    assert found["recipe"] == repr(parse_recipe(other))
    assert found["command"].count(f"--recipe '{other}'") == 1


def test_the_file_names_the_layers_that_stand_for_batch_normalisation(search):
    search("--recipe", "Recipe(build=MLP(widths=(64, 12, 10)), epochs=1)")
    assert store.read_document(search.out, what="x")["normalised"] == []
    recipe = parse_recipe("Recipe(build=SmallCNN(widths=(8, 48)), epochs=1)")
    assert normalised(recipe) == ["GroupNorm(1, 8)", "GroupNorm(2, 48)"]


def test_the_file_says_what_was_tried_where_and_what_was_taken(search):
    search()
    found = store.read_document(search.out, what="x")
    assert found["accounted"] is True
    assert found["sources"].keys() <= {BEYOND, ATTACK, POPULATION}
    assert found["command"].startswith("python -m tools.tune_dpsgd cell --scale small --noise 1.0")
    assert found["machine"]["versions"]["opacus"]
    assert set(found["taken"]) == {"1.0", "3.0"}
    for noise in (1.0, 3.0):
        rows = [r for r in found["rows"] if r["noise"] == noise]
        assert sum(r["own"] for r in rows) == (noise == 1.0)
        assert len(rows) == 5 + (noise == 1.0)
        assert sum(len(r["accuracies"]) == 3 for r in rows) >= 3
        assert found["taken"][str(noise)] in [r["setting"] for r in rows]
        assert all(r["epsilon"] > 0 for r in rows)


def test_a_file_of_another_search_is_refused(search):
    search()
    with pytest.raises(SystemExit, match="is of another search"):
        search(seed="1")
