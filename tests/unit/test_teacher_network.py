"""TeacherNetwork: which network teaches, what the student is told, and where it is kept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from secateur import store
from secateur.data import draw
from secateur.defend import DPSGD, SELENA, CrossFit, Subsample, TeacherNetwork
from secateur.errors import MethodError
from secateur.models import MLP, logits_of
from secateur.train import SGD, Stacked, apply, train_fleet
from secateur.train.batches import TrainData
from secateur.train.engines.trial import Trial
from secateur.train.model import initial_module
from secateur.train.planned import recipe_of_teachers
from secateur.train.rehearsal import rehearse
from secateur.train.shared_teachers import asked_again, bytes_of_lessons, teachers_of
from secateur.types import derive_seed
from small_world import SmallNet, run_alone, small_recipe, small_records

LARGE = SmallNet(hidden=40)
RECIPE = small_recipe(epochs=2)
INNER = CrossFit(folds=3, keep=True)
METHOD = TeacherNetwork(build=LARGE, method=INNER)
HOW = {"seed": 0, "engine": "serial"}
CPU = torch.device("cpu")


def tensors(artifacts):
    return [{name: value.tobytes() for name, value in a.tensors.items()} for a in artifacts]


@pytest.fixture(scope="module")
def world():
    records = small_records(n=96)
    who = draw(records, targets=2, references=2, seed=3)
    return train_fleet(RECIPE, records, who, **HOW), records


def test_the_student_learns_what_networks_of_the_other_kind_answer(world):
    fleet, records = world
    (first, *_) = apply(METHOD, fleet, records, **HOW).artifacts
    seed = derive_seed(0, "model", 0)
    large = replace(RECIPE, build=LARGE)
    members = fleet.membership.members(0)
    split = INNER.split(fleet.membership.units[members], seed=derive_seed(seed, "teachers"))
    expected = np.zeros((len(members), records.n_classes))
    for number, part in enumerate(split):
        own = derive_seed(seed, "teacher", number)
        teacher = run_alone(
            initial_module(large, own),
            TrainData.of(records, members[part], CPU),
            large,
            seed=derive_seed(own, "train"),
        )
        said = torch.as_tensor(logits_of(teacher, records.take(members[~part])))
        expected[~part] = torch.softmax(said.double(), dim=-1).numpy()
    np.testing.assert_allclose(first.history["taught/answers"], expected, rtol=1e-5, atol=1e-6)
    assert first.tensors["0.weight"].shape == fleet.artifacts[0].tensors["0.weight"].shape


def test_teachers_of_the_recipes_own_network_are_those_of_the_method_alone(world):
    fleet, records = world
    same = apply(TeacherNetwork(build=RECIPE.build, method=INNER), fleet, records, **HOW)
    alone = apply(INNER, fleet, records, **HOW)
    assert tensors(same.artifacts) == tensors(alone.artifacts)
    assert tensors(apply(METHOD, fleet, records, **HOW).artifacts) != tensors(alone.artifacts)


def test_a_stack_makes_what_one_by_one_makes(world):
    fleet, records = world
    one = apply(METHOD, fleet, records, **HOW).artifacts
    many = apply(METHOD, fleet, records, seed=0, engine=Stacked(models=2)).artifacts
    for a, b in zip(one, many, strict=True):
        for name, value in a.tensors.items():
            np.testing.assert_allclose(value, b.tensors[name], rtol=1e-3, atol=1e-4)


def test_it_stands_inside_a_secret_share_and_is_found_there(world):
    fleet, records = world
    around = Subsample(share=0.5, known=0.5, method=METHOD)
    assert recipe_of_teachers(RECIPE, around).build == LARGE
    assert recipe_of_teachers(RECIPE, INNER) is recipe_of_teachers(RECIPE, None) is RECIPE
    (first, *_) = apply(around, fleet, records, **HOW).artifacts
    members = len(fleet.membership.members(0))
    assert len(first.history["taught/records"]) == round(members / 2)


def test_the_optimiser_is_the_teachers_alone():
    slow = replace(METHOD, optimiser=SGD(lr=0.5))
    assert slow.teachers_by(RECIPE).optimiser == SGD(lr=0.5)
    assert METHOD.teachers_by(RECIPE).optimiser == RECIPE.optimiser
    assert slow.phases(RECIPE) == INNER.phases(RECIPE)


def test_teachers_are_named_and_measured_by_their_network(world):
    fleet, records = world
    other = replace(METHOD, build=SmallNet(hidden=80))
    assert teachers_of(METHOD, RECIPE) != teachers_of(INNER, RECIPE)
    assert teachers_of(METHOD, RECIPE) != teachers_of(other, RECIPE)
    longer = replace(METHOD, method=replace(INNER, epochs=7))
    assert teachers_of(METHOD, RECIPE) == teachers_of(longer, RECIPE)
    recombined = replace(METHOD, method=CrossFit(folds=3, recombine="features"))
    assert asked_again(METHOD, [recombined], RECIPE)
    assert not asked_again(METHOD, [INNER], RECIPE)
    of_large, of_small = (
        bytes_of_lessons(method, RECIPE, records, fleet.membership)[1] for method in (METHOD, INNER)
    )
    assert of_large / of_small == pytest.approx(40 / 12, rel=0.1)


def test_kept_teachers_are_found_again_and_built_as_their_network(world, tmp_path):
    fleet, records = world
    lessons = tmp_path / "lessons"
    plain = replace(METHOD, method=replace(INNER, keep=False))
    made = replace(METHOD, method=CrossFit(folds=3, recombine="features", times=2))
    how = {**HOW, "lessons": lessons, "keep_teachers": True}
    first = apply(plain, fleet, records, **how).artifacts
    kept = {p: p.stat().st_mtime_ns for p in lessons.rglob(f"{store.TEACHER}*")}
    assert len(kept) == 3 * len(fleet)
    found = apply(made, fleet, records, **how).artifacts
    assert {p: p.stat().st_mtime_ns for p in lessons.rglob(f"{store.TEACHER}*")} == kept
    alone = apply(made, fleet, records, **HOW).artifacts
    assert tensors(found) == tensors(alone)
    assert tensors(first) == tensors(apply(plain, fleet, records, **HOW).artifacts)


def test_a_trial_times_the_teachers_network(world):
    fleet, records = world
    trial = Trial(RECIPE, METHOD, records, fleet.membership)
    assert trial.recipe.build == LARGE
    assert Trial(RECIPE, INNER, records, fleet.membership).recipe.build == RECIPE.build


@pytest.mark.parametrize(
    ("widths", "says"),
    [((3, 2), "takes 3 numbers, a record has 8"), ((8, 5), "3 classes")],
)
def test_a_network_that_does_not_fit_is_refused(world, widths, says):
    fleet, records = world
    wrong = replace(METHOD, build=MLP(widths=widths))
    with pytest.raises(MethodError, match=f"teachers' network.*{says}"):
        apply(wrong, fleet, records, **HOW)
    with pytest.raises(MethodError, match=says):
        rehearse(RECIPE, wrong, records, fleet.membership)


@pytest.mark.parametrize(
    ("method", "says"),
    [
        (DPSGD(noise_multiplier=1.0), "has no teachers"),
        (SELENA, "has no teachers"),
        (Subsample(share=0.5, method=INNER), "put TeacherNetwork inside"),
        (METHOD, "write one of them"),
    ],
)
def test_a_method_that_it_cannot_stand_around_is_refused(method, says):
    with pytest.raises(MethodError, match=says):
        TeacherNetwork(build=LARGE, method=method)


def test_a_network_that_is_none_is_refused():
    with pytest.raises(MethodError, match="makes no network"):
        TeacherNetwork(build="MLP", method=INNER)
