"""The search for settings: what its page says, and whose records it reads."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tools.dpsgd_bench import pools_of_cell
from tools.protects import tuning_page
from tools.tune import best, run
from tools.tune_bench import bench_of, draws_of, overlaps, said_of

from secateur.data import digits, draw
from secateur.sweeping import read_plan
from secateur.types import ATTACK, AUDIT, UTILITY


def test_the_tuning_page_says_what_was_tried_and_what_failed():
    found = {
        "file": "location30.toml",
        "models": 2,
        "seed": 7,
        "pools": {"audit": 100, "utility": 50},
        "machine": {"processor": "p", "cores": 2, "versions": {"torch": "1"}},
        "command": "python -m tools.tune",
        "rows": [
            {"case": "a", "method": "a", "accuracies": [0.5, 0.6], "train_accuracies": [0.9, 0.9],
             "cpu_seconds": [1.0, 2.0]},
            {"case": "b", "method": "b", "accuracies": [], "why": "no", "cpu_seconds": []},
        ],
    }  # fmt: skip
    text = tuning_page(found)
    assert "| a | 55.0 (50.0, 60.0) | 90.0 | 1.5 |" in text
    assert "| b | no | - | - |" in text
    assert best(found["rows"]) == {"a": "a"}
    assert "those of later draws were not" in text  # an older search, which spared the first alone
    none = {"utility": {"validation": 0, "others": 0}, "audit": {"validation": 9, "others": 9}}
    spared = tuning_page({**found, "in_pools": {"0": none}})
    assert "Records on which a draw reports accuracy were spared." in spared
    some = {**none, "utility": {"validation": 3, "others": 7}}
    shared = tuning_page({**found, "in_pools": {"0": none, "2": some}})
    assert "are 3 and 7 of the pool `utility` of draw 2." in shared


def file_of_draws(utility):
    return (
        f'data = "digits"\nmembers = 300\npopulation = 50\nutility = {utility}\n'
        'attack_pool = 40\nseeds = [0]\nrecipe = "Recipe(build=MLP(widths=(64, 10)))"\n'
        '[[method]]\nname = "a"\nsteps = ["ADMM()"]\n'
        "[scale.draws]\nseeds = [0, 1, 2]\n[scale.tuning]\ncompare = []\n"
    )


def tried_on(utility):
    """The draws that a file asks for at any scale, and who is read to tune it."""
    text, records = file_of_draws(utility), digits()
    plan = read_plan(text, scale="tuning")
    draws = draws_of(text, records, where="here")
    bench = bench_of(plan, records, draws=draws, models=3, seed=5)
    drawn = [
        draw(records, targets=1, references=0, seed=seed, pools=pools_of_cell(plan)).pools
        for seed in (0, 1, 2)
    ]
    return draws, bench, [set(pools[UTILITY].tolist()) for pools in drawn]


def test_tuning_reads_nobody_whose_accuracy_is_reported_in_any_draw_of_any_scale():
    draws, bench, reported = tried_on(300)
    assert list(draws) == [0, 1, 2]
    read = {int(i) for name in (AUDIT, UTILITY, ATTACK) for i in bench.pool(name)}
    assert not any(pool & read for pool in reported)
    assert [len(bench.members(m)) for m in range(3)] == [300] * 3
    assert all(
        pools[UTILITY] == {"validation": 0, "others": 0}
        for pools in overlaps(bench, draws).values()
    )


def test_where_there_are_too_few_draws_are_spared_in_the_order_of_seeds_and_the_rest_is_said():
    draws, bench, reported = tried_on(
        600
    )  # of 1,797: all three leave about 530, and 740 are needed
    judges = set(bench.pool(UTILITY).tolist())
    others = {int(i) for name in (AUDIT, ATTACK) for i in bench.pool(name)}
    assert not (reported[0] | reported[1]) & (judges | others)
    assert not reported[2] & judges  # validation records are the last to come from there
    shared = overlaps(bench, draws)
    assert shared["1"][UTILITY] == {"validation": 0, "others": 0}
    assert shared["2"][UTILITY] == {"validation": 0, "others": len(reported[2] & others)}
    assert shared["2"][UTILITY]["others"] > 0
    line = said_of(shared, bench)[2]
    assert line.startswith(f"draw 2: of {len(judges)} validation records 0 lie in its utility pool")
    assert f"of {len(others)} others {len(reported[2] & others)} and " in line


@pytest.mark.slow
def test_a_search_writes_down_in_which_draws_pools_it_read(tmp_path, capsys):
    file = tmp_path / "own.toml"
    file.write_text(file_of_draws(600).replace("ADMM()", "EarlyStopping(epochs=1)"))
    arguments = argparse.Namespace(
        file=file, scale="tuning", data_dir=None, models=1, seed=5, out=tmp_path / "own.json"
    )
    found = run(arguments)
    assert found["in_pools"]["0"][UTILITY] == {"validation": 0, "others": 0}
    assert found["in_pools"]["2"][UTILITY]["others"] > 0
    assert "draw 2: of " in capsys.readouterr().out
    assert [row["case"] for row in found["rows"]] == ["dense", "a"]
    arguments.file.write_text(file_of_draws(500).replace("ADMM()", "EarlyStopping(epochs=1)"))
    with pytest.raises(SystemExit, match="another search"):
        run(arguments)
