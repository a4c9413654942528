"""CrossFit against a version by hand, and what its answers may depend on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from secateur import store
from secateur.compress import ADMM, FromScratch, Magnitude, RandomMask
from secateur.data import draw
from secateur.defend import SELENA, CrossFit, InSampleDistillation
from secateur.errors import MethodError, StoreError
from secateur.train import Stacked, apply, teaching, train_fleet
from secateur.train.batches import TrainData
from secateur.train.model import initial_module
from secateur.types import derive_seed
from small_world import run_alone, small_recipe, small_records

RECIPE = small_recipe(epochs=2)
CPU = torch.device("cpu")


def world(labels=None, units=None):
    records = small_records(n=80)
    if labels is not None:
        records = replace(records, labels=labels)
    if units is not None:
        records = replace(records, units=units)
    who = draw(records, targets=2, references=2, seed=3)
    return train_fleet(RECIPE, records, who, seed=0, engine="serial"), records


def answers_of(fleet, model=0):
    history = fleet.artifacts[model].history
    return history["taught/records"], history["taught/answers"], history["taught/seen"]


def by_hand(fleet, records, folds, repeats=1):
    """Train folds, hear them, and train the student, one call after the other."""
    seed = derive_seed(0, "model", 0)
    members = fleet.membership.members(0)
    soft = torch.zeros(len(members), 3, dtype=torch.float64)
    cut = derive_seed(seed, "teachers")
    for number in range(folds * repeats):
        again, fold = divmod(number, folds)
        own = derive_seed(cut, "cut", again) if again else cut
        order = np.random.default_rng(own).permutation(len(members))
        out = np.zeros(len(members), bool)
        out[order[fold::folds]] = True
        own = derive_seed(seed, "teacher", number)
        net = initial_module(RECIPE, own)
        run_alone(
            net, TrainData.of(records, members[~out], CPU), RECIPE, seed=derive_seed(own, "train")
        )
        with torch.no_grad():
            logits = net(torch.from_numpy(records.gather(members[out])))
            soft[out] += functional.softmax(logits.double(), 1) / repeats
    student = initial_module(RECIPE, seed)
    data = replace(TrainData.of(records, members, CPU), labels=soft.float())
    run_alone(student, data, RECIPE, seed=derive_seed(seed, "transform"))
    return student.state_dict()


@pytest.mark.parametrize("repeats", [1, 3])
def test_it_is_the_version_by_hand(repeats):
    fleet, records = world()
    method = CrossFit(folds=4, repeats=repeats)
    found = apply(method, fleet, records, seed=0, engine="serial")
    expected = by_hand(fleet, records, folds=4, repeats=repeats)
    for name, value in found.artifacts[0].tensors.items():
        # not to the bit: some processors add up differently by where in memory a matrix lies
        np.testing.assert_allclose(value, expected[name].numpy(), rtol=1e-5, atol=5e-7)


def test_what_a_record_is_called_changes_no_answer_of_its_own_fold():
    fleet, records = world()
    method = CrossFit(folds=4, keep=True)
    rows, before, seen = answers_of(apply(method, fleet, records, seed=0, engine="serial"))
    labels = records.labels.copy()
    labels[rows[0]] = (labels[rows[0]] + 1) % 3
    other, changed = world(labels)
    _, after, again = answers_of(apply(method, other, changed, seed=0, engine="serial"))
    np.testing.assert_array_equal(seen, again)
    fold = ~seen[:, 0]
    own = (~seen[fold]).any(0)
    assert own[0]
    np.testing.assert_array_equal(before[own], after[own])
    assert (before[~own] != after[~own]).any(1).all()


def test_each_cut_is_another_one_and_leaves_every_record_out_once():
    units = np.arange(60)
    split = CrossFit(folds=3, repeats=2).split(units, seed=5)
    np.testing.assert_array_equal(split[:3], CrossFit(folds=3).split(units, seed=5))
    assert ((~split[:3]).sum(0) == 1).all() and ((~split[3:]).sum(0) == 1).all()
    assert (split[:3] != split[3:]).any()


def test_a_spelling_of_before_is_as_it_was():
    assert "repeats" not in repr(CrossFit())
    assert repr(CrossFit(repeats=2)).endswith("keep=False, repeats=2)")


def test_a_unit_is_answered_for_by_a_teacher_without_any_record_of_it():
    fleet, records = world(units=np.repeat(np.arange(20), 4))
    rows, _, seen = answers_of(
        apply(CrossFit(folds=3, keep=True), fleet, records, seed=0, engine="serial")
    )
    for unit in np.unique(records.units[rows]):
        own = seen[:, records.units[rows] == unit]
        assert (own == own[:, :1]).all()
        assert (~own[:, 0]).sum() == 1


def test_every_unit_is_left_out_of_so_many_sub_models_and_these_lack_equally_many():
    split = SELENA(teachers=7, left_out=3).split(np.arange(50), seed=0)
    assert ((~split).sum(0) == 3).all()
    lacking = (~split).sum(1)
    assert lacking.max() - lacking.min() <= 1


def test_in_sample_answers_agree_with_members_more_than_out_of_fold_ones():
    fleet, records = world()
    long = {"teacher_epochs": 40}
    out = apply(CrossFit(folds=4, **long), fleet, records, seed=0, engine="serial")
    own = apply(InSampleDistillation(**long), fleet, records, seed=0, engine="serial")
    for a, b in zip(out.artifacts, own.artifacts, strict=True):
        assert a.history["taught/agreement"] < b.history["taught/agreement"]


def test_the_control_inside_the_sample_has_the_teachers_and_the_student_of_cross_fit():
    fleet, records = world()
    how = {
        "teacher": RandomMask(rate=4, epochs=3),
        "prune": RandomMask(rate=4, epochs=2),
        "alpha": 0.25,
    }
    own, out = InSampleDistillation(**how), CrossFit(**how)
    assert own.teaching(RECIPE) == out.teaching(RECIPE) != InSampleDistillation().teaching(RECIPE)
    assert own.phases(RECIPE) == out.phases(RECIPE)
    rows, soft, _ = answers_of(
        apply(replace(own, alpha=0.0, keep=True), fleet, records, seed=0, engine="serial")
    )
    dense = replace(own, alpha=0.0, keep=True, teacher=None)
    said = answers_of(apply(dense, fleet, records, seed=0, engine="serial"))[1]
    assert np.abs(soft - said).max() > 1e-3
    mixed = answers_of(apply(replace(own, keep=True), fleet, records, seed=0, engine="serial"))[1]
    hard = np.eye(3)[records.labels[rows]]
    np.testing.assert_allclose(mixed, 0.75 * soft + 0.25 * hard, atol=1e-6)


def test_a_teacher_inside_the_sample_is_named_where_it_is_not_dense_and_may_not_go_on():
    assert "teacher=" not in repr(InSampleDistillation(teacher_epochs=3))
    assert "teacher=RandomMask(" in repr(InSampleDistillation(teacher=RandomMask(rate=4)))
    with pytest.raises(MethodError, match="goes on from a trained model"):
        InSampleDistillation(teacher=Magnitude(rate=4))
    with pytest.raises(MethodError, match="leave out epochs=3"):
        InSampleDistillation(teacher=RandomMask(rate=4), teacher_epochs=3)


def test_alpha_mixes_in_the_own_label():
    fleet, records = world()

    def told(alpha):
        method = CrossFit(folds=4, alpha=alpha, keep=True)
        return answers_of(apply(method, fleet, records, seed=0, engine="serial"))

    rows, soft, _ = told(0.0)
    hard = np.eye(3)[records.labels[rows]]
    np.testing.assert_allclose(told(0.25)[1], 0.75 * soft + 0.25 * hard, atol=1e-6)


@pytest.mark.parametrize("engine", ["serial", Stacked(models=4, workers=1)], ids=["one", "stack"])
@pytest.mark.parametrize(
    "prune",
    [
        ADMM(rate=4, updates=2, epochs_per_update=1, retrain_epochs=1),
        Magnitude(rate=4, retrain_epochs=1),
        RandomMask(rate=4, epochs=2),
    ],
    ids=lambda prune: type(prune).__name__,
)
def test_a_pruned_student_learns_answers_and_labels_by_alpha_alone(prune, engine, monkeypatch):
    fleet, records = world()
    other, relabelled = world((records.labels + 1) % 3)
    train = teaching.kept_or_trained

    def students(alpha):
        method = CrossFit(folds=4, prune=prune, alpha=alpha)
        for dense, told in ((fleet, records), (other, relabelled)):
            made = apply(method, dense, told, seed=0, engine=engine)
            yield [a.tensors for a in made.artifacts]

    # the teachers of both have the labels of the first, so that these alone differ in the students
    monkeypatch.setattr(teaching, "kept_or_trained", lambda _, *rest: train(records, *rest))
    for one, two in zip(*students(0.0), strict=True):
        assert all(np.array_equal(value, two[name]) for name, value in one.items())
    for one, two in zip(*students(0.5), strict=True):
        assert any(not np.array_equal(value, two[name]) for name, value in one.items())


def test_teachers_of_one_method_serve_another_and_change_nothing(tmp_path):
    fleet, records = world()
    mixed = CrossFit(folds=4, alpha=0.5, prune=Magnitude(rate=4, retrain_epochs=1))
    alone = apply(mixed, fleet, records, seed=0, engine="serial")
    apply(CrossFit(folds=4), fleet, records, seed=0, engine="serial", lessons=tmp_path)
    files = {p: p.stat().st_mtime_ns for p in tmp_path.iterdir()}
    assert len(files) == len(fleet)
    after = apply(mixed, fleet, records, seed=0, engine="serial", lessons=tmp_path)
    assert {p: p.stat().st_mtime_ns for p in tmp_path.iterdir()} == files
    assert [a.digest for a in after.artifacts] == [a.digest for a in alone.artifacts]


def test_teachers_of_several_models_are_trained_in_common_stacks(tmp_path):
    fleet, records = world()
    method = CrossFit(folds=4, keep=True)
    alone = apply(method, fleet, records, seed=0, engine="serial")
    how = {"seed": 0, "engine": Stacked(models=len(fleet), workers=1), "lessons": tmp_path}
    first = apply(method, fleet, records, **how)
    for one, other in zip(alone.artifacts, first.artifacts, strict=True):
        for name in ("taught/answers", "taught/agreement"):
            np.testing.assert_allclose(one.history[name], other.history[name], atol=1e-4)
    lost, kept = sorted(tmp_path.iterdir())[:2]
    before = kept.stat().st_mtime_ns
    lost.unlink()
    again = apply(method, fleet, records, **how)
    assert [a.digest for a in again.artifacts] == [a.digest for a in first.artifacts]
    assert lost.exists()
    assert kept.stat().st_mtime_ns > before  # of all, or of none


@pytest.mark.parametrize("change", [{"teacher_epochs": 3}, {"folds": 3}])
def test_other_teachers_are_not_taken_for_these(tmp_path, change):
    fleet, records = world()
    apply(CrossFit(folds=4), fleet, records, seed=0, engine="serial", lessons=tmp_path)
    other = replace(CrossFit(folds=4), **change)
    apply(other, fleet, records, seed=0, engine="serial", lessons=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2 * len(fleet)


def test_the_seconds_of_teachers_found_count_too(tmp_path):
    fleet, records = world()
    plain = CrossFit(folds=4)
    apply(plain, fleet, records, seed=0, engine="serial", lessons=tmp_path)
    for path in tmp_path.iterdir():
        logits, seconds = store.read_lesson(path)
        assert seconds > 0
        store.write_lesson(path, logits, seconds=400.0)
    again = apply(
        replace(plain, alpha=0.5), fleet, records, seed=0, engine="serial", lessons=tmp_path
    )
    assert all(400 < cost < 500 for cost in again.costs)


def test_a_damaged_lesson_is_refused(tmp_path):
    fleet, records = world()
    apply(CrossFit(folds=4), fleet, records, seed=0, engine="serial", lessons=tmp_path)
    first = sorted(tmp_path.iterdir())[0]
    first.write_bytes(first.read_bytes()[:40])
    with pytest.raises(StoreError, match="lesson"):
        apply(CrossFit(folds=4), fleet, records, seed=0, engine="serial", lessons=tmp_path)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"folds": 1}, "folds must be at least 2, got 1"),
        ({"repeats": 0}, "repeats must be at least 1, got 0"),
        ({"alpha": 1.5}, r"in \[0, 1\), got 1.5"),
        ({"alpha": 1.0}, "write the pruning method by itself"),
        ({"teacher_epochs": 0}, "at least 1, or None"),
        ({"temperature": 0.0}, "temperature must be positive"),
        ({"mixup": -1.0}, "mixup must be at least 0"),
        ({"epochs": -1}, "epochs must be at least 0"),
        ({"prune": FromScratch()}, "trains the masks of a pruned fleet"),
        ({"teacher": Magnitude(rate=4)}, "goes on from a trained model"),
        ({"prune": RandomMask(rate=4), "epochs": 3}, "leave out epochs=3"),
    ],
)
def test_what_cannot_be_is_refused_with_the_mend(wrong, why):
    with pytest.raises(MethodError, match=why):
        CrossFit(**wrong)


def test_more_folds_than_units_are_refused():
    fleet, records = world()
    with pytest.raises(MethodError, match="ask for fewer"):
        apply(CrossFit(folds=60), fleet, records, seed=0, engine="serial")
