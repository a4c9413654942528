"""The recipes of `secateur reproduce`: every cell has every row, and every spelling is one."""

from __future__ import annotations

import itertools
import json
import re
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from command_line import secateur
from secateur.cli.catalogue import DEFENCE, PRUNING, catalogue
from secateur.cli.listing import work_of
from secateur.cli.reproduce import OWN, SCALES, cells
from secateur.cli.spelled import (
    parse_defence,
    parse_queries,
    parse_recipe,
    parse_step,
    parse_transform,
)
from secateur.data import data_set
from secateur.defend import DPSGD, EarlyStopping, MinMax, SmallDense
from secateur.models import LeNet5, SmallCNN, has_batch_norm, multiply_adds, narrower
from secateur.models.blank import blank
from secateur.sweeping import read_plan

PAPER = {
    "mnist-lenet5",
    *(
        f"{data}-{network}"
        for data in ("cifar10", "cifar100", "imagenet")
        for network in ("vgg16", "mobilenetv2", "resnet18")
    ),
}
SMALL = {"location30-mlp", "fashion-mnist-lenet5", "adult-mlp", "cifar10-cnn", "mnist-lenet5"}
ROWS = {
    "dp-sgd": "DPSGD",
    "min-max": "MinMax",
    "mia-pruning": "ADMM",
    "mia-pruning-min-max": "MinMax ADMM",
    "weight-decay": "WeightDecay",
    "small-dense": "SmallDense",
    "random-mask": "RandomMask",
    "from-scratch": "ADMM FromScratch",
    "magnitude": "Magnitude",
    "trained-on": "Magnitude",
}
NORMED = {"group-norm": "GroupNormDense"}
FURTHER = {
    "early-stopping": "EarlyStopping",
    "small-dense-longer": "SmallDense Magnitude",
    "random-mask-longer": "RandomMask",
    "from-scratch-longer": "ADMM FromScratch",
}
"""Controls of the cells that two cores finish at full width, beside the smoke test's."""
LISTED = {e.name: e.kind for e in catalogue() if e.kind in (PRUNING, DEFENCE)}
EVERY = [(cell, scale) for cell in cells() for scale in SCALES]
TUNED = Path(__file__).parents[2] / "results" / "experiments"
FILES = sorted((Path(__file__).parents[2] / "recipes").rglob("*.toml"))
BUILT = ("imagenet-vgg16", "full")
"""Of this one every network is built, which takes seconds."""
everywhere = pytest.mark.parametrize(
    ("cell", "scale"),
    [pytest.param(*v, marks=[pytest.mark.slow] * (v == BUILT)) for v in EVERY],
    ids=lambda v: str(v),
)


def plan(cell, scale):
    found = tomllib.loads(cells()[cell].read_text(encoding="utf-8"))
    return {**found, **found["scale"][scale]}


def steps_of(found):
    """Every case's steps, as the sweep spells them."""
    for method in found["method"]:
        for values in itertools.product(*method.get("over", {}).values()):
            chosen = dict(zip(method.get("over", {}), values, strict=True))
            yield (
                method["name"],
                [
                    re.sub(r"\{(\w+)\}", lambda m, c=chosen: repr(c[m[1]]), s)
                    for s in method["steps"]
                ],
            )


def name_of(step):
    return step.partition("(")[0]


def parse(step):
    return parse_defence(step) if LISTED[name_of(step)] == DEFENCE else parse_transform(step)


def test_there_is_one_for_each_cell_of_the_papers_grid_and_for_each_world_of_ours():
    assert set(cells()) == PAPER | {*OWN}


@everywhere
def test_every_row_of_the_paper_and_every_control_is_there(cell, scale):
    found = plan(cell, scale)
    methods = {m["name"]: m for m in found["method"]}
    mixes = has_batch_norm(blank(parse_recipe(found["recipe"]).build))
    names = {n: " ".join(map(name_of, m["steps"])) for n, m in methods.items()}
    names["dp-sgd"] = names["dp-sgd"].removeprefix("GroupNormDense ")  # of other groups than 16
    assert names == {
        **ROWS,
        **(NORMED if mixes else {}),
        **(FURTHER if cell in SMALL and scale != "smoke" else {}),
    }


@everywhere
def test_the_dense_models_that_are_trained_on_train_as_long_as_pruning_does(cell, scale):
    found = plan(cell, scale)
    recipe = parse_recipe(found["recipe"])
    steps = {name: parse(steps[-1]) for name, steps in steps_of(found)}
    on, pruned = steps["trained-on"], steps["mia-pruning"]
    assert on.rates() == (1.0,)
    assert sum(p.epochs for p in on.phases(recipe)) == sum(p.epochs for p in pruned.phases(recipe))


@pytest.mark.parametrize("cell", sorted(SMALL))
def test_longer_controls_train_as_long_as_training_and_pruning_together(cell):
    found = plan(cell, "small")
    recipe = parse_recipe(found["recipe"])

    def epochs(step, recipe):
        return sum(p.epochs for p in parse(step).phases(recipe))

    steps = {name: case for name, case in steps_of(found) if name != "early-stopping"}
    whole = recipe.epochs + epochs(steps["mia-pruning"][-1], recipe)
    small = parse(steps["small-dense-longer"][0]).defended(recipe)
    assert small.epochs + epochs(steps["small-dense-longer"][1], small) == whole
    for name in ("random-mask-longer", "from-scratch-longer"):
        assert epochs(steps[name][-1], recipe) == whole
    masks = {case[0] for name, case in steps_of(found) if name == "from-scratch"}
    assert steps["from-scratch-longer"][0] in masks
    stops = [parse(case[0]).epochs for name, case in steps_of(found) if name == "early-stopping"]
    assert len(stops) == 3
    assert max(stops) < recipe.epochs


@pytest.mark.parametrize("cell", sorted(SMALL))
def test_dp_sgd_has_the_settings_that_its_search_took(cell):
    taken = json.loads((TUNED / f"dpsgd-{cell}.json").read_text(encoding="utf-8"))["taken"]
    ours = {
        m.noise_multiplier: replace(m, device="cpu")
        for m in (parse(s[-1]) for name, s in steps_of(plan(cell, "small")) if name == "dp-sgd")
    }
    found = {float(noise): replace(parse(text), device="cpu") for noise, text in taken.items()}
    assert {0.2} <= found.keys() & ours.keys()
    for noise in found.keys() & ours.keys():
        assert ours[noise] == found[noise], noise


@everywhere
def test_the_control_of_dp_sgd_is_the_network_that_it_trains(cell, scale):
    found = plan(cell, scale)
    recipe = parse_recipe(found["recipe"])
    steps = dict(steps_of(found))
    control = parse(steps["group-norm"][0]).defended(recipe) if "group-norm" in steps else recipe
    *before, private = map(parse, steps["dp-sgd"])
    for defence in before:
        recipe = defence.defended(recipe)
    assert private.defended(recipe).build == control.build


@everywhere
def test_records_suffice_and_references_are_of_the_targets_size(cell, scale):
    found = plan(cell, scale)
    n = data_set(found["data"]).n_records
    needed = 2 * found["members"] + sum(found[k] for k in ("population", "utility", "attack_pool"))
    assert n == 0 or needed <= n
    assert found["attack_pool"] >= found["members"]
    if scale == "small":
        assert (found["targets"], found["references"]) == (8, 32)
        assert 500 <= found["members"] <= 2500
    if scale != "smoke":
        assert found["targets"] >= 8


def test_the_grids_are_those_of_the_plan():
    for cell in ("location30-mlp", "fashion-mnist-lenet5", "adult-mlp"):
        over = {m["name"]: m.get("over", {}) for m in plan(cell, "small")["method"]}
        assert over["mia-pruning"]["rate"] == [2, 4, 8, 16, 32]
        assert [0.3, 1, 3, 10] in [
            m["over"]["strength"] for m in plan(cell, "small")["method"] if m["name"] == "min-max"
        ]
        assert {1, 3, 10} <= set(over["weight-decay"]["strength"])
        for control in ("small-dense", "random-mask", "from-scratch", "magnitude"):
            assert set(over[control]["rate"]) <= set(over["mia-pruning"]["rate"])
            assert len(over[control]["rate"]) >= 3
    over = {m["name"]: m.get("over", {}) for m in plan("mnist-lenet5", "small")["method"]}
    assert over["mia-pruning"]["rate"] == [2, 4, 8, 15.78, 32]


@everywhere
def test_every_spelling_of_a_listed_method_is_one(cell, scale):
    found = plan(cell, scale)
    recipe = parse_recipe(found["recipe"])
    parse_queries(found.get("queries", "Queries()"))
    for _, steps in steps_of(found):
        for step in steps:
            method = parse(step)
            if isinstance(method, SmallDense):
                continue  # the test after the next
            if LISTED[name_of(step)] == DEFENCE:
                assert method.defended(recipe).epochs >= 0
            else:
                assert method.phases(recipe)


def test_every_method_of_every_recipe_is_listed():
    used = {
        name_of(s) for c, scale in EVERY for _, steps in steps_of(plan(c, scale)) for s in steps
    }
    assert used <= set(LISTED)


@pytest.mark.parametrize("cell", cells())
def test_every_small_dense_network_can_be_made(cell):
    found = plan(cell, "small")
    build = parse_recipe(found["recipe"]).build
    for name, (step, *_) in steps_of(found):
        if name == "small-dense":
            assert narrower(build, 1 / parse(step).rate)


def test_a_recipe_is_shown_as_it_is_in_the_file():
    done = secateur("reproduce", "mnist-lenet5", "--show")
    assert done.code == 0
    assert done.out == cells()["mnist-lenet5"].read_text(encoding="utf-8")


@pytest.mark.slow
def test_without_a_cell_every_one_is_listed_with_trainings_and_cost():
    done = secateur("reproduce", "--scale", "small")
    assert done.code == 0, done.err
    rows = {
        line.split()[0]: line.split()[1:] for line in done.out.splitlines() if " small " in line
    }
    assert {name for name in rows if name in cells()} == set(cells())
    whole = read_plan(cells()["location30-mlp"].read_text(encoding="utf-8"), scale="small")
    fleets = len(whole.cases) + 1  # of which none needs a fleet that is no case
    assert rows["location30-mlp"][:3] == ["small", f"{fleets}", f"{40 * fleets:,}"]
    assert "--dry-run" in done.out
    assert done.out.splitlines()[0].endswith("  trainings  core hours (no audits), at least")


def test_common_beginnings_are_counted_once_and_epochs_are_those_of_the_methods():
    text = """
data = "location30"
members = 100
targets = 2
references = 4
recipe = "Recipe(build=MLP(widths=(446, 20, 30)), epochs=3)"
[[method]]
name = "admm"
steps = ["ADMM(rate=2, updates=1, epochs_per_update=1, retrain_epochs=1)"]
[[method]]
name = "scratch"
steps = ["ADMM(rate=2, updates=1, epochs_per_update=1, retrain_epochs=1)", "FromScratch()"]
[[method]]
name = "decay"
steps = ["WeightDecay(strength=3)"]
"""
    work = work_of(read_plan(text))
    assert (work.cases, work.trainings) == (4, 4 * 6)
    epochs = 3 + 2 + 3 + 3
    assert work.multiply_adds == 3 * 6 * 100 * epochs * (446 * 20 + 20 * 30)


@pytest.mark.parametrize(
    ("build", "shape", "expected"),
    [
        (LeNet5(), (1, 28, 28), 6 * 25 * 784 + 16 * 150 * 100 + 400 * 120 + 120 * 84 + 840),
        (SmallCNN(channels=3, widths=(4,)), (3, 8, 8), 27 * 4 * 64 + 40),
    ],
)
def test_multiply_adds_are_counted_as_by_hand(build, shape, expected):
    assert multiply_adds(build, shape) == expected


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_case_of_the_recipes_beside_the_package_is_spelled_at_every_scale(file):
    text = file.read_text(encoding="utf-8")
    for scale in (None, *tomllib.loads(text).get("scale", {})):
        found = read_plan(text, scale=scale, where=file.name)
        assert {*found.compare} <= {case.method for case in found.cases}
        for case in found.cases:
            for step in case.steps:
                parse_step(step)


@pytest.mark.parametrize("file", [f for f in FILES if f.stem.startswith("min-max-")], ids=str)
def test_a_game_of_fewer_epochs_stands_beside_the_dense_training_of_as_few(file):
    found = read_plan(file.read_text(encoding="utf-8"), where=file.name)
    steps = [parse_step(case.steps[0]) for case in found.cases]
    games = {s.epochs for s in steps if isinstance(s, MinMax) and s.epochs is not None}
    assert games == {s.epochs for s in steps if isinstance(s, EarlyStopping)}
    assert games
    assert found.references >= 16  # the strongest attack and the paper's are chosen on them


def test_a_game_that_is_pruned_stands_beside_the_same_game_alone():
    found = plan("location30-mlp", "small")
    games = {steps[0] for name, steps in steps_of(found) if name == "min-max"}
    assert {steps[0] for name, steps in steps_of(found) if name == "mia-pruning-min-max"} <= games


@pytest.mark.parametrize("cell", sorted(SMALL))
def test_dp_sgd_is_tried_with_noise_that_promises_something(cell):
    found = plan(cell, "small")
    private = [parse(steps[-1]) for name, steps in steps_of(found) if name == "dp-sgd"]
    strong = max((m for m in private if isinstance(m, DPSGD)), key=lambda m: m.noise_multiplier)
    about = found["members"]  # a model's members vary a little around it
    assert max(strong.epsilon(n) for n in (about - 40, about, about + 1)) <= 8


def test_an_unknown_cell_is_refused_with_the_nearest(tmp_path):
    done = secateur("reproduce", "mnist-lenet", "--scale", "smoke", "--out", tmp_path / "x")
    assert done.code == 2
    assert "did you mean 'mnist-lenet5'?" in done.err


def test_a_cell_needs_a_scale():
    done = secateur("reproduce", "mnist-lenet5", "--out", "x")
    assert done.code == 2
    assert "smoke, small, full" in done.err
