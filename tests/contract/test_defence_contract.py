"""What every defence of the house promises, over the folder's `__all__`."""

from __future__ import annotations

import numpy as np
import pytest

from secateur import defend
from secateur.compress import Magnitude
from secateur.data import digits, draw, restrict
from secateur.models import SmallCNN, count_prunable
from secateur.train import Defence, Recipe, Taught, apply, train_fleet

CLASSES = [getattr(defend, name) for name in defend.__all__]
STRONGER = {  # whose defaults do nothing yet in two epochs, or want more of them
    "RelaxLoss": {"alpha": 3.0},
    "EarlyStopping": {"epochs": 1},
}
DEFENCES = [
    kind(**STRONGER.get(kind.__name__, {})) for kind in CLASSES if hasattr(kind, "defended")
]
IDS = [type(d).__name__ for d in DEFENCES]
BUILD = SmallCNN(channels=1, widths=(8, 8), batch_norm=True)  # one that every defence takes
POOLS = {"audit": 120, "population": 20, "utility": 40, "attack": 60}


@pytest.fixture(scope="module")
def plain():
    everything = digits()
    records, who = restrict(
        everything, draw(everything, targets=1, references=2, seed=0, pools=POOLS)
    )
    recipe = Recipe(build=BUILD, epochs=2, batch_size=32)
    return train_fleet(recipe, records, who, seed=0, engine="serial"), records


def test_every_listed_method_is_a_defence_or_is_taught():
    taught = [kind for kind in CLASSES if not hasattr(kind, "defended")]
    assert DEFENCES
    assert taught  # tests/contract/test_taught_contract.py
    assert all(isinstance(d, Defence) for d in DEFENCES)
    needed = {defend.TeacherNetwork: {"build": BUILD, "method": defend.SELENA()}}
    assert all(isinstance(kind(**needed.get(kind, {})), Taught) for kind in taught)


@pytest.mark.parametrize("defence", DEFENCES, ids=IDS)
def test_members_and_seeds_carry_over_and_the_plain_fleet_stays(defence, plain):
    fleet, records = plain
    before = [a.provenance.digest for a in fleet.artifacts]
    made = apply(defence, fleet, records, seed=0, engine="serial")
    assert made.membership.digest == fleet.membership.digest
    assert [a.provenance.key["seed"] for a in made.artifacts] == [
        a.provenance.key["seed"] for a in fleet.artifacts
    ]
    assert [a.provenance.digest for a in fleet.artifacts] == before
    assert made.name == type(defence).__name__.lower()


@pytest.mark.parametrize("defence", DEFENCES, ids=IDS)
def test_the_same_seed_gives_the_same_bytes_and_something_changes(defence, plain):
    fleet, records = plain
    one, two = (apply(defence, fleet, records, seed=0, engine="serial") for _ in range(2))
    changed = False
    for a, b, dense in zip(one.artifacts, two.artifacts, fleet.artifacts, strict=True):
        for name, value in a.tensors.items():
            assert value.tobytes() == b.tensors[name].tobytes()
            changed |= not np.array_equal(value, dense.tensors.get(name))
    assert changed


@pytest.mark.parametrize("defence", DEFENCES, ids=IDS)
def test_pruning_a_defended_fleet_trains_with_the_defence(defence, plain):
    fleet, records = plain
    made = apply(defence, fleet, records, seed=0, engine="serial")
    assert made.recipe == defence.defended(fleet.recipe)
    method = Magnitude(rate=4.0, retrain_epochs=1)
    (phase, *_) = method.phases(made.recipe)
    assert phase.hooks[: len(made.recipe.hooks)] == made.recipe.hooks
    pruned = apply(method, made, records, seed=0, engine="serial")
    kept = sum(int(m.sum()) for m in pruned.artifacts[0].masks.values())
    assert kept == pytest.approx(count_prunable(made.recipe.build) / 4, abs=1.5)  # three layers


@pytest.mark.parametrize("defence", DEFENCES, ids=IDS)
def test_its_spelling_makes_it_again(defence):
    from secateur.cli.spelled import parse_defence, parse_recipe

    assert parse_defence(repr(defence)) == defence
    recipe = defence.defended(Recipe(build=BUILD))
    assert parse_recipe(repr(recipe)) == recipe


@pytest.mark.parametrize("kind", CLASSES)
def test_it_names_its_source(kind):
    from pathlib import Path

    bibliography = (Path(__file__).parents[2] / "docs/refs.bib").read_text(encoding="utf-8")
    assert f"{{{kind.reference}," in bibliography
