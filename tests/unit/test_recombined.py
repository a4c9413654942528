"""Inputs made of two members that a teacher has not seen, and models that learn on them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from secateur import store
from secateur.compress import RandomMask
from secateur.data import draw
from secateur.data.recombinations import WAYS
from secateur.defend import SELENA, CrossFit
from secateur.errors import MethodError, StoreError
from secateur.models import logits_of
from secateur.train import Stacked, apply, teaching, train_fleet
from secateur.train.batches import TrainData
from secateur.train.model import initial_module
from secateur.train.planned import work_parts
from secateur.train.recombined import Recombined
from secateur.types import Membership, derive_seed
from small_world import run_alone, small_recipe, small_records

RECIPE = small_recipe(epochs=2)
CPU = torch.device("cpu")


def world(n=120):
    records = small_records(n=n)
    who = draw(records, targets=1, references=2, seed=3)
    return train_fleet(RECIPE, records, who, seed=0, engine="serial"), records


def split(teachers=5, out=2, members=30, seed=0):
    return SELENA(teachers=teachers, left_out=out).split(np.arange(members), seed=seed)


def pictures(n=30):
    """Every pixel says which picture it is of, the same in both channels."""
    return np.broadcast_to(np.arange(n, dtype=np.float32)[:, None, None, None], (n, 2, 6, 5)).copy()


@pytest.mark.parametrize("way", WAYS)
def test_one_teacher_at_least_saw_neither_parent(way):
    seen = split()
    inputs, told = Recombined(way=way, times=10).of(pictures(), seen, seed=0)
    assert inputs.shape == (300, 2, 6, 5)
    assert inputs.dtype == np.float32
    assert (~told).any(0).all()
    if way == "mixed":
        return
    for one, saw in zip(inputs, told.T, strict=True):
        parents = np.unique(one).astype(int)
        assert len(parents) == 2  # an input that is a member's own is drawn anew
        np.testing.assert_array_equal(one[0], one[1])  # channels of a pixel stay together
        np.testing.assert_array_equal(saw, seen[:, parents].any(1))


def test_a_patch_is_a_rectangle():
    inputs, _ = Recombined(way="patches", times=4).of(pictures(), split(), seed=1)
    begins = set()
    for one in inputs[:, 0]:
        ways = [np.argwhere(one == parent) for parent in np.unique(one)]
        (patch, *_) = [w for w in ways if len(w) == np.prod(np.ptp(w, axis=0) + 1)]
        begins.add(tuple(patch.min(0)))
    assert {y for y, _ in begins} >= {0, 1, 2, 3} and {x for _, x in begins} >= {0, 1, 2}


def test_a_mixture_is_the_weighted_mean_of_two_members_unseen_by_one_teacher():
    rng = np.random.default_rng(3)
    members, seen = rng.normal(size=(12, 40)).astype(np.float32), split(members=12)
    inputs, told = Recombined(way="mixed", times=5).of(members, seen, seed=0)
    for one, saw in zip(inputs, told.T, strict=True):
        weights, away, *_ = np.linalg.lstsq(members.T, one, rcond=None)
        assert away.max(initial=0) < 1e-8
        parents = np.flatnonzero(np.abs(weights) > 1e-4)
        assert len(parents) == 2
        assert weights[parents].min() > 0 and weights[parents].sum() == pytest.approx(1, abs=1e-4)
        np.testing.assert_array_equal(saw, seen[:, parents].any(1))


def test_no_input_is_a_members_own_however_alike_members_are():
    rng = np.random.default_rng(0)
    members = (rng.random((40, 12)) < 0.2).astype(np.float32)  # of few features that differ
    made = Recombined(way="features", times=10).of(members, split(members=40), seed=0).inputs
    known = {row.tobytes() for row in members}
    assert not any(row.tobytes() in known for row in made)
    with pytest.raises(MethodError, match="so alike are the members"):
        Recombined(way="mixed", times=1).of(np.ones((30, 4), np.float32), split(), seed=0)


@pytest.mark.parametrize("parents", [2, 3])
def test_parents_are_of_different_units(parents):
    whose = np.arange(30) // 5  # six persons of five records each
    seen = np.zeros((1, 30), np.bool_)  # so that chance alone would often take two of one person
    how = Recombined(way="features", times=20, parents=parents)
    made = how.of(pictures(), seen, seed=0, units=whose).inputs
    for picture in made:
        mothers = np.unique(picture).astype(int)  # those of whom a pixel is left
        assert len(np.unique(whose[mothers])) == len(mothers) <= parents
    alone = how.of(pictures(), seen, seed=0, units=np.arange(30)).inputs
    assert np.array_equal(alone, how.of(pictures(), seen, seed=0).inputs)
    with pytest.raises(MethodError, match=f"left more than {parents - 1} unseen"):
        how.of(pictures(), seen, seed=0, units=np.arange(30) % (parents - 1))


def test_a_persons_records_are_not_put_together_in_training(monkeypatch):
    records = replace(small_records(n=120), units=np.arange(120) // 4)
    who = draw(records, targets=1, references=2, seed=3)
    fleet = train_fleet(RECIPE, records, who, seed=0, engine="serial")
    asked = []
    plain = Recombined.of

    def of(self, inputs, seen, *, units=None, **others):
        asked.append(units)
        return plain(self, inputs, seen, units=units, **others)

    monkeypatch.setattr(Recombined, "of", of)
    apply(CrossFit(folds=3, recombine="features"), fleet, records, seed=0, engine="serial")
    members = [who.members(model) for model in range(len(who))]
    assert [u.tolist() for u in asked] == [who.units[m].tolist() for m in members]


def test_the_work_grows_with_what_is_made():
    fleet, _ = world()
    plain = work_parts(RECIPE, CrossFit(folds=3), fleet.membership)
    more = work_parts(RECIPE, CrossFit(folds=3, recombine="mixed", times=3), fleet.membership)
    assert more == (3 * plain[0], plain[1])


def test_features_of_a_table_are_drawn_one_by_one():
    rows = np.arange(30, dtype=np.float32)[:, None].repeat(400, 1)
    inputs, _ = Recombined(way="features", times=4).of(rows, split(), seed=1)
    shares = np.array([max((one == p).mean() for p in np.unique(one)) for one in inputs])
    assert 0.5 <= shares.min() < 0.55 and shares.max() > 0.95  # the larger share, uniform
    assert abs(shares.mean() - 0.75) < 0.03


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("parents", [3, 5])
def test_an_input_of_more_parents_is_answered_by_teachers_that_saw_none_of_them(way, parents):
    seen = split(teachers=5, out=2, members=40)
    members = pictures(40) if way != "mixed" else np.eye(40, dtype=np.float32)[:, :, None, None]
    inputs, told = Recombined(way=way, times=10, parents=parents).of(members, seen, seed=0)
    assert (~told).any(0).all()
    for one, saw in zip(inputs, told.T, strict=True):
        found = np.flatnonzero(one.ravel()) if way == "mixed" else np.unique(one).astype(int)
        assert 2 <= len(found) <= parents
        assert not seen[np.ix_(~saw, found)].any()
        if way != "patches":  # a later patch may cover an earlier one
            assert len(found) == parents or way == "features"
    if way == "mixed":
        np.testing.assert_allclose(inputs.sum((1, 2, 3)), 1.0, rtol=1e-5)
        mean = np.sort(inputs.reshape(len(inputs), -1), 1)[:, -parents:].mean(0)
        shares = [
            sum(1 / k for k in range(j, parents + 1)) / parents for j in range(1, parents + 1)
        ]
        np.testing.assert_allclose(mean[::-1], shares, atol=0.03)  # uniform over the simplex


@pytest.mark.parametrize(("parents", "least"), [(2, 0.4), (2, 0.0), (4, 0.2)])
def test_no_parent_has_less_than_its_least_share(parents, least):
    members = np.eye(40, dtype=np.float32)
    made = Recombined(way="mixed", times=20, parents=parents, least=least)
    inputs, _ = made.of(members, split(members=40), seed=0)
    found = np.sort(inputs, 1)[:, -parents:]
    assert found.min() >= least - 1e-6
    assert found.min() < least + 0.05
    rows = np.arange(40, dtype=np.float32)[:, None].repeat(3000, 1)
    drawn, _ = replace(made, way="features", times=1).of(rows, split(members=40), seed=0)
    for one in drawn:
        _, counts = np.unique(one, return_counts=True)
        assert counts.min() / 3000 > least - 0.05 and len(counts) <= parents


def test_disjoint_folds_pair_within_a_fold():
    seen = CrossFit(folds=3).split(np.arange(30), seed=0)
    inputs, told = Recombined(way="features", times=20).of(pictures(), seen, seed=0)
    fold = (~seen).argmax(0)
    for one, saw in zip(inputs, told.T, strict=True):
        assert len({fold[int(p)] for p in np.unique(one)}) == 1
        assert (~saw).sum() == 1


def test_the_same_seed_makes_the_same_and_another_another():
    made = Recombined(way="features", times=2)
    one, two, other = (made.of(pictures(), split(), seed=s).inputs for s in (0, 0, 1))
    np.testing.assert_array_equal(one, two)
    assert (one != other).any()


@pytest.mark.parametrize("repeats", [1, 2])
def test_a_student_is_the_version_by_hand(repeats):
    fleet, records = world()
    method = CrossFit(folds=3, repeats=repeats, recombine="features", times=2.5)
    found = apply(method, fleet, records, seed=0, engine="serial").artifacts[0].tensors
    seed = derive_seed(0, "model", 0)
    members = fleet.membership.members(0)
    seen = method.split(members, seed=derive_seed(seed, "teachers"))
    inputs, told = method.recombined.of(
        np.array(records.gather(members)), seen, seed=derive_seed(seed, "questions")
    )
    assert len(inputs) == round(2.5 * len(members))
    said = torch.zeros(len(inputs), 3, dtype=torch.float64)
    for number, own in enumerate(seen):
        teacher = initial_module(RECIPE, derive_seed(seed, "teacher", number))
        data = TrainData.of(records, members[own], CPU)
        run_alone(
            teacher, data, RECIPE, seed=derive_seed(derive_seed(seed, "teacher", number), "train")
        )
        with torch.no_grad():
            answer = functional.softmax(teacher(torch.from_numpy(inputs)).double(), 1)
        said[~told[number]] += answer[~told[number]]
    soft = (said / torch.from_numpy((~told).sum(0))[:, None]).float()
    student = initial_module(RECIPE, seed)
    data = TrainData(
        inputs=torch.from_numpy(inputs),
        labels=soft,
        indices=torch.full((len(inputs),), -1),
        classes=3,
    )
    run_alone(student, data, RECIPE, seed=derive_seed(seed, "transform"))
    for name, value in student.state_dict().items():
        np.testing.assert_allclose(found[name], value.numpy(), rtol=1e-5, atol=5e-7)


@pytest.mark.parametrize(
    "method",
    [
        CrossFit(folds=3, recombine="features", prune=RandomMask(rate=2)),
        SELENA(teachers=4, left_out=2, recombine="mixed", times=1.5),
    ],
    ids=["cross-fit", "selena"],
)
def test_stacks_make_the_models_that_are_made_one_by_one(method):
    fleet, records = world()
    one = apply(method, fleet, records, seed=0, engine="serial")
    two = apply(method, fleet, records, seed=0, engine=Stacked(models=3, workers=1))
    for a, b in zip(one.artifacts, two.artifacts, strict=True):
        assert set(a.history) == {"taught/teachers"}
        for name, value in a.tensors.items():
            np.testing.assert_allclose(value, b.tensors[name], rtol=1e-3, atol=2e-5)


def test_models_of_a_stack_are_sorted_by_what_they_learn_on():
    records = small_records(n=120)
    inside = np.zeros((4, 120), bool)
    for row, count in zip(inside, (40, 33, 48, 35), strict=True):
        row[:count] = True  # three steps an epoch on members, 10, 9, 12 and 9 on what is made
    who = Membership(
        inside=inside,
        roles=("target",) * 4,
        pools={"audit": np.arange(120)},
        units=np.arange(120),
        seed=0,
    )
    fleet = train_fleet(RECIPE, records, who, seed=0, engine="serial")
    method = SELENA(teachers=4, left_out=2, recombine="features")
    one = apply(method, fleet, records, seed=0, engine="serial")
    two = apply(method, fleet, records, seed=0, engine=Stacked(models=4, workers=1))
    for a, b in zip(one.artifacts, two.artifacts, strict=True):
        for name, value in a.tensors.items():
            np.testing.assert_allclose(value, b.tensors[name], rtol=1e-3, atol=2e-5)


def test_a_teacher_of_whom_nothing_is_asked_is_left_alone():
    fleet, records = world()
    few = CrossFit(folds=3, recombine="mixed", times=0.01)  # two inputs, three teachers
    found = apply(few, fleet, records, seed=0, engine="serial")
    assert all(np.isfinite(v).all() for v in found.artifacts[0].tensors.values())


def test_what_is_said_of_made_inputs_is_not_written(tmp_path):
    fleet, records = world()
    method = CrossFit(folds=3, recombine="features", times=2)
    how = {"seed": 0, "engine": "serial", "lessons": tmp_path}
    apply(method, fleet, records, **how)
    assert not list(tmp_path.glob("*"))
    apply(CrossFit(folds=3), fleet, records, **how)
    assert len(list(tmp_path.glob("*"))) == len(fleet)
    apply(replace(method, recombine="mixed"), fleet, records, **how)
    assert len(list(tmp_path.glob("*"))) == len(fleet)


def test_a_teacher_is_asked_of_made_inputs_whose_parents_it_has_not_seen(monkeypatch):
    fleet, records = world()
    asked = []

    def noted(module, made, *, indices):
        asked.append(indices)
        return logits_of(module, made, indices=indices)

    monkeypatch.setattr(teaching, "logits_of", noted)
    method = SELENA(teachers=5, left_out=2, recombine="mixed", times=3)
    apply(method, fleet, records, seed=0, engine="serial")
    members = fleet.membership.members(0)
    seed = derive_seed(0, "model", 0)
    seen = method.split(members, seed=derive_seed(seed, "teachers"))
    own = np.array(records.gather(members))
    told = method.recombined.of(own, seen, seed=derive_seed(seed, "questions")).seen
    assert len(asked) == 5 * len(fleet)
    for found, saw in zip(asked, told, strict=False):
        np.testing.assert_array_equal(found, np.flatnonzero(~saw))


@pytest.mark.parametrize("engine", ["serial", Stacked(models=3, workers=1)])
def test_kept_teachers_are_asked_something_else_and_change_nothing(tmp_path, engine):
    fleet, records = world()
    plain = SELENA(teachers=4, left_out=2, teacher_epochs=20)
    other = replace(plain, recombine="features")
    how = {"seed": 0, "engine": engine}
    kept = {**how, "lessons": tmp_path, "keep_teachers": True}
    alone = apply(other, fleet, records, **how)
    apply(plain, fleet, records, **kept)
    for path in tmp_path.glob("teacher-*"):
        store.write_teacher(path, store.read_teacher(path)[0], seconds=100.0)
    teachers = {p: p.stat().st_mtime_ns for p in tmp_path.glob("teacher-*")}
    assert len(teachers) == 4 * len(fleet)
    after = apply(other, fleet, records, **kept)
    assert [a.digest for a in after.artifacts] == [a.digest for a in alone.artifacts]
    assert {p: p.stat().st_mtime_ns for p in tmp_path.glob("teacher-*")} == teachers
    assert all(400 < cost < 500 for cost in after.costs)  # their seconds count here too
    min(teachers).unlink()
    for path in set(tmp_path.iterdir()) - set(teachers):
        path.unlink()
    again = apply(other, fleet, records, **kept)
    assert [a.digest for a in again.artifacts] == [a.digest for a in alone.artifacts]
    assert min(teachers).exists()


def test_a_damaged_teacher_is_refused(tmp_path):
    fleet, records = world()
    how = {"seed": 0, "engine": "serial", "lessons": tmp_path, "keep_teachers": True}
    apply(CrossFit(folds=3), fleet, records, **how)
    path = min(tmp_path.glob("teacher-*"))
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(StoreError, match="teacher"):
        apply(CrossFit(folds=3, recombine="features"), fleet, records, **how)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"recombine": "stirred"}, "one of features, mixed, patches, got 'stirred'"),
        ({"recombine": "mixed", "times": 0.0}, "times must be above 0"),
        ({"recombine": "mixed", "times": 1e9}, "at most 1000, got"),
        ({"times": 2.0}, "times=2.0 is read with recombine alone"),
        ({"parents": 3}, "parents=3 is read with recombine alone"),
        ({"least": 0.1}, "least=0.1 is read with recombine alone"),
        ({"recombine": "mixed", "parents": 1}, "parents must be 2 to 100, got 1"),
        ({"recombine": "mixed", "least": 0.5}, "below 0.5, an equal share of 2 parents, got 0.5"),
        ({"recombine": "mixed", "least": -0.1}, "least must be at least 0"),
        ({"recombine": "mixed", "parents": 4, "least": 0.25}, "below 0.25, an equal"),
        ({"recombine": "mixed", "alpha": 0.5}, "leave out alpha=0.5"),
        ({"recombine": "mixed", "keep": True}, "leave out keep=True"),
    ],
)
def test_what_cannot_be_is_refused(wrong, why):
    with pytest.raises(MethodError, match=why):
        CrossFit(**wrong)


def test_patches_of_a_table_are_refused():
    fleet, records = world()
    with pytest.raises(MethodError, match="'patches' needs pictures"):
        apply(CrossFit(recombine="patches"), fleet, records, seed=0, engine="serial")


def test_a_fold_of_one_member_has_no_pair():
    with pytest.raises(MethodError, match="ask for fewer folds"):
        Recombined(way="mixed", times=1).of(
            np.zeros((3, 2), np.float32), ~np.eye(3, dtype=bool), seed=0
        )


def test_spellings_of_before_are_as_they_were():
    assert "recombine" not in repr(CrossFit()) + repr(SELENA())
    assert repr(SELENA(recombine="mixed", times=2.0)).endswith("recombine='mixed', times=2.0)")
