"""Subsample: who is met, what is learned of them, and what it changes around it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from secateur import store
from secateur.attack.membership import LiRA
from secateur.auditing.subjects import observe_subjects
from secateur.compress import Magnitude, RandomMask
from secateur.data import draw
from secateur.defend import DMP, DPSGD, SELENA, CrossFit, InSampleDistillation, Subsample
from secateur.errors import MethodError
from secateur.probe import SignalProbe
from secateur.train import Stacked, apply, teaching, train_fleet
from secateur.train.batches import TrainData
from secateur.train.keep import Keep, thinned
from secateur.train.met import READ, count_met, met_by
from secateur.train.model import initial_module
from secateur.train.planned import work_parts
from secateur.train.recombined import Recombined
from secateur.train.shared_teachers import asked_again, teachers_of
from secateur.types import Records, Signal, derive_seed
from small_world import run_alone, small_recipe, small_records

RECIPE = small_recipe(epochs=2)
CPU = torch.device("cpu")
TAUGHT = SELENA(teachers=4, left_out=2)
HOW = {"seed": 0, "engine": "serial"}


def world(units=None, references=2):
    records = small_records(n=96)
    if units is not None:
        records = replace(records, units=units)
    who = draw(records, targets=2, references=references, seed=3)
    return train_fleet(RECIPE, records, who, **HOW), records


def met_in(fleet, share, model=0):
    """Return by hand which of its members a model meets, by unit."""
    members = fleet.membership.members(model)
    owners = fleet.membership.units[members]
    distinct = sorted(set(owners.tolist()))
    rng = np.random.default_rng(derive_seed(derive_seed(0, "model", model), "met"))
    chosen = set(rng.choice(distinct, round(share * len(distinct)), replace=False).tolist())
    return members[[owner in chosen for owner in owners.tolist()]]


def assert_close(artifact, net):
    expected = net.state_dict()
    for name, value in artifact.tensors.items():
        np.testing.assert_allclose(value, expected[name].numpy(), rtol=1e-5, atol=5e-7)


def test_the_student_learns_of_those_it_meets_what_it_would_have_been_told_of_them():
    fleet, records = world()
    plain = apply(replace(TAUGHT, keep=True), fleet, records, **HOW).artifacts[0].history
    method = Subsample(share=0.4, method=replace(TAUGHT, keep=True))
    (first, *_) = apply(method, fleet, records, **HOW).artifacts
    rows = met_in(fleet, 0.4)
    np.testing.assert_array_equal(first.history["taught/records"], rows)
    at = np.isin(plain["taught/records"], rows)
    np.testing.assert_array_equal(first.history["taught/answers"], plain["taught/answers"][at])
    np.testing.assert_array_equal(first.history["taught/seen"], plain["taught/seen"][:, at])
    seed = derive_seed(0, "model", 0)
    soft = torch.as_tensor(plain["taught/answers"][at])
    data = replace(TrainData.of(records, rows, CPU), labels=soft)
    assert_close(
        first,
        run_alone(initial_module(RECIPE, seed), data, RECIPE, seed=derive_seed(seed, "transform")),
    )


def test_without_teachers_it_is_plain_training_on_those_it_meets():
    fleet, records = world()
    (first, *_) = apply(Subsample(share=0.25), fleet, records, **HOW).artifacts
    seed = derive_seed(0, "model", 0)
    data = TrainData.of(records, met_in(fleet, 0.25), CPU)
    data = replace(data, labels=torch.nn.functional.one_hot(data.labels, 3).float())
    assert_close(
        first,
        run_alone(initial_module(RECIPE, seed), data, RECIPE, seed=derive_seed(seed, "transform")),
    )


def test_without_teachers_no_other_record_is_read():
    fleet, records = world()
    read = set()

    class Source:
        shape = records.source.shape

        def gather(self, indices):
            read.update(np.asarray(indices).tolist())
            return records.source.gather(indices)

        def digest(self):
            return records.source.digest()

    method = Subsample(share=0.25, method=RandomMask(rate=2, epochs=2))
    found = apply(method, fleet, replace(records, source=Source()), **HOW)
    assert read == {row for k in range(len(fleet)) for row in met_in(fleet, 0.25, k).tolist()}
    assert sum(mask.size for mask in found.artifacts[0].masks.values()) > 0


def test_every_model_meets_others_and_whom_it_meets_says_nothing_of_the_cut():
    units = np.arange(4000)
    one, two = (met_by(Subsample(share=0.3), units, seed=s) for s in (1, 2))
    assert len(one) == len(two) == 1200
    assert len(np.intersect1d(one, two)) == pytest.approx(360, abs=80)
    split = TAUGHT.split(units, seed=derive_seed(5, "teachers"))
    met = np.isin(units, met_by(Subsample(share=0.3), units, seed=5))
    for row in split:
        assert met[row].mean() == pytest.approx(0.3, abs=0.04)


def test_a_unit_is_met_whole_or_not_at_all():
    fleet, records = world(units=np.repeat(np.arange(24), 4))
    method = Subsample(share=0.4, method=replace(TAUGHT, keep=True))
    for model, artifact in enumerate(apply(method, fleet, records, **HOW).artifacts):
        rows = artifact.history["taught/records"]
        np.testing.assert_array_equal(rows, met_in(fleet, 0.4, model))
        owners = set(records.units[rows].tolist())
        own = fleet.membership.members(model)
        assert set(rows.tolist()) == {r for r in own.tolist() if int(records.units[r]) in owners}


def test_teachers_know_a_part_and_those_that_are_met_are_of_it():
    fleet, records = world(units=np.repeat(np.arange(48), 2))
    method = Subsample(share=0.3, known=0.6, method=replace(TAUGHT, keep=True))
    assert repr(method).endswith("known=0.6)")
    assert "known" not in repr(Subsample(share=0.3, method=TAUGHT))
    for model, artifact in enumerate(apply(method, fleet, records, **HOW).artifacts):
        members = fleet.membership.members(model)
        owners = records.units[members]
        own = derive_seed(0, "model", model)
        split = method.split(owners, seed=derive_seed(own, "teachers"))
        assert split.shape == (4, len(members))
        known = split.any(0)
        count = len(np.unique(owners))
        assert len(np.unique(owners[known])) == round(0.6 * count)
        assert not np.isin(owners[~known], owners[known]).any()  # a unit is known whole
        np.testing.assert_array_equal(split.sum(0)[known], 2)  # each by half of the four
        met = np.isin(members, artifact.history["taught/records"])
        assert len(np.unique(owners[met])) == round(0.3 * count)
        assert not (met & ~known).any()
        np.testing.assert_array_equal(artifact.history["taught/seen"], split[:, met])


def test_with_as_many_known_as_met_nothing_reads_another(monkeypatch):
    fleet, records = world()
    read = set()

    class Source:
        shape = records.source.shape

        def gather(self, indices):
            read.update(np.asarray(indices).tolist())
            return records.source.gather(indices)

        def digest(self):
            return records.source.digest()

    method = Subsample(share=0.4, known=0.4, method=replace(TAUGHT, keep=True))
    made = apply(method, fleet, replace(records, source=Source()), **HOW)
    rows = [artifact.history["taught/records"].tolist() for artifact in made.artifacts]
    assert read == {row for of_one in rows for row in of_one}
    for model, of_one in enumerate(rows):
        assert len(of_one) == round(0.4 * len(fleet.membership.members(model)))


def test_what_teachers_do_not_know_costs_nothing():
    fleet, _ = world()
    whole, half = (Subsample(share=0.3, known=k, method=TAUGHT) for k in (1.0, 0.5))
    parts = [work_parts(RECIPE, m, fleet.membership) for m in (whole, half)]
    assert parts[0][0] == parts[1][0]
    assert parts[1][1] == pytest.approx(parts[0][1] / 2, rel=0.05)
    assert teachers_of(whole, RECIPE) != teachers_of(half, RECIPE)


def test_inputs_are_made_of_those_that_are_met_alone(monkeypatch):
    fleet, records = world(units=np.repeat(np.arange(48), 2))
    of, asked = Recombined.of, []

    def noted(self, inputs, seen, *, seed, units=None, others=None):
        asked.append((inputs, units))
        return of(self, inputs, seen, seed=seed, units=units, others=others)

    monkeypatch.setattr(Recombined, "of", noted)
    method = Subsample(share=0.5, method=replace(TAUGHT, recombine="mixed", times=2))
    apply(method, fleet, records, **HOW)
    assert len(asked) == len(fleet)
    for model, (inputs, units) in enumerate(asked):
        rows = met_in(fleet, 0.5, model)
        np.testing.assert_array_equal(inputs, records.gather(rows))
        np.testing.assert_array_equal(units, records.units[rows])


@pytest.mark.parametrize(
    "inner",
    [replace(TAUGHT, recombine="features"), CrossFit(folds=3), RandomMask(rate=2), None],
    ids=["recombined", "cross-fit", "mask", "dense"],
)
def test_stacks_make_the_models_that_are_made_one_by_one(inner):
    fleet, records = world(units=np.arange(96) // 3)
    one = apply(Subsample(share=0.6, method=inner), fleet, records, **HOW)
    how = {"seed": 0, "engine": Stacked(models=3, workers=1)}
    two = apply(Subsample(share=0.6, method=inner), fleet, records, **how)
    for a, b in zip(one.artifacts, two.artifacts, strict=True):
        for name, value in a.tensors.items():
            np.testing.assert_allclose(value, b.tensors[name], rtol=1e-3, atol=2e-5)


@pytest.mark.parametrize("inner", [TAUGHT, None], ids=["taught", "alone"])
def test_stacks_know_how_many_steps_each_model_takes_where_units_differ_in_size(inner):
    """They are sorted by steps: counts of another draw than the model's own do not do."""
    rng = np.random.default_rng(1)
    sizes = rng.permutation(np.repeat([1, 1, 1, 2, 9], 8))
    records = replace(small_records(n=int(sizes.sum())), units=np.repeat(np.arange(40), sizes))
    recipe = small_recipe(epochs=1, batch_size=2)
    who = draw(records, targets=3, references=3, seed=3)
    fleet = train_fleet(recipe, records, who, **HOW)
    method = Subsample(share=0.4, method=inner)
    counts = [count_met(method, who, k) for k in range(6)]
    own = [len(met_in(fleet, 0.4, k)) for k in range(6)]
    assert counts != own
    one = apply(method, fleet, records, **HOW)
    two = apply(method, fleet, records, seed=0, engine=Stacked(models=6, workers=1))
    for a, b in zip(one.artifacts, two.artifacts, strict=True):
        for name, value in a.tensors.items():
            np.testing.assert_allclose(value, b.tensors[name], rtol=1e-3, atol=2e-5)


def test_no_input_that_is_made_is_that_of_a_member_who_is_not_met(monkeypatch):
    records = small_records(n=96)
    coarse = (np.array(records.gather(np.arange(96))) > 0).astype(np.float32)
    records = Records.from_arrays(coarse, np.array(records.labels), n_classes=3, name="coarse")
    who = draw(records, targets=2, references=2, seed=3)
    fleet = train_fleet(RECIPE, records, who, **HOW)
    of, made = Recombined.of, []

    def noted(self, inputs, *rest, **fields):
        made.append(of(self, inputs, *rest, **fields).inputs)
        return of(self, inputs, *rest, **fields)

    monkeypatch.setattr(Recombined, "of", noted)
    method = Subsample(share=0.3, method=replace(TAUGHT, recombine="features", times=4))
    apply(method, fleet, records, **HOW)
    for model, inputs in enumerate(made):
        own = {row.tobytes() for row in coarse[who.members(model)]}
        assert len(inputs) and not own & {row.tobytes() for row in inputs}


def test_teachers_are_shared_and_asked_anew_for_another_share(tmp_path):
    fleet, records = world()
    few, more = (Subsample(share=s, method=TAUGHT) for s in (0.3, 0.6))
    assert teachers_of(few, RECIPE) == teachers_of(TAUGHT, RECIPE)
    assert asked_again(few, [more], RECIPE) and asked_again(TAUGHT, [more], RECIPE)
    assert not asked_again(few, [few], RECIPE)
    alone = apply(few, fleet, records, **HOW)
    kept = {**HOW, "lessons": tmp_path, "keep_teachers": True}
    apply(TAUGHT, fleet, records, **kept)
    teachers = {p: p.stat().st_mtime_ns for p in tmp_path.glob("teacher-*")}
    assert len(teachers) == 4 * len(fleet)
    after = apply(few, fleet, records, **kept)
    assert [a.digest for a in after.artifacts] == [a.digest for a in alone.artifacts]
    assert {p: p.stat().st_mtime_ns for p in tmp_path.glob("teacher-*")} == teachers


def test_work_counts_those_that_are_met():
    fleet, _ = world()
    who = fleet.membership
    method = Subsample(share=0.25, method=replace(TAUGHT, epochs=8))
    assert count_met(method, who, 0) == 6 == len(met_in(fleet, 0.25))
    models, teachers = work_parts(RECIPE, method, who)
    whole, same = work_parts(RECIPE, replace(TAUGHT, epochs=8), who)
    assert teachers == same
    assert models == len(who) * 8 * 6  # the first model stands for all
    assert whole == len(who) * 8 * len(who.members(0))
    made = Subsample(share=0.25, method=replace(TAUGHT, recombine="mixed", times=3, epochs=8))
    assert work_parts(RECIPE, made, who)[0] == 3 * models


def test_who_was_met_is_not_written_unless_answers_are(tmp_path):
    fleet, records = world()
    apply(Subsample(method=TAUGHT), fleet, records, folder=tmp_path / "fleet", **HOW)
    found = store.open_fleet(tmp_path / "fleet", recipe=RECIPE)
    for model in found.membership.targets:
        assert set(found.artifacts[model].history) == {"taught/teachers", "taught/agreement"}


@pytest.mark.parametrize(
    ("method", "share"),
    [
        (Subsample(share=0.5), 0.5),
        (Subsample(share=0.25, known=0.5, method=TAUGHT), 0.5),
        (Subsample(share=0.25, method=TAUGHT), 1.0),
    ],
)
def test_the_attacker_knows_what_his_own_references_read_and_not_whom_targets_did(method, share):
    fleet, records = world(references=16)
    small = apply(method, fleet, records, name="small", **HOW)
    who = fleet.membership
    dense, subject = observe_subjects([fleet, small], records, [LiRA()], workers=1)
    assert dense.observations.membership is who
    told = subject.observations.membership.inside
    np.testing.assert_array_equal(told[who.targets], who.inside[who.targets])
    read = np.zeros_like(who.inside)
    for model in who.references.tolist():
        members = who.members(model)
        seed = derive_seed(0, "model", model)
        split = method.split(who.units[members], seed=derive_seed(seed, "teachers"))
        own = members[split.any(0)] if len(split) else met_in(fleet, share, model)
        assert len(own) == round(share * len(members))
        read[model, own] = True
    audit = who.pools["audit"]
    counts = read[who.references][:, audit].sum(0)
    enough, few = audit[counts >= 3], audit[counts < 3]  # too few of these to learn from
    assert len(enough) > 20
    assert len(few) or share == 1.0
    for columns, expected in ((enough, read), (few, who.inside)):
        rows = np.ix_(who.references, columns)
        np.testing.assert_array_equal(told[rows], expected[rows])
    assert subject.naive.membership is who  # the baseline's references read all of theirs
    assert dense.whole is dense.observations
    # of targets and of references all members are compared
    np.testing.assert_array_equal(subject.whole.membership.inside, who.inside)
    correct = subject.observations.plain(Signal(name="correct"))
    expected = [correct[m, who.members(m)].mean() for m in range(len(who))]
    np.testing.assert_allclose(subject.accuracies()[0], expected)


def test_references_thinned_to_signals_still_say_what_they_read():
    fleet, records = world()
    small = apply(Subsample(share=0.25), fleet, records, **HOW)
    model = int(fleet.membership.references[0])
    keep = Keep(probe=SignalProbe(signals=(Signal(name="margin"),)))
    thin = thinned(small.artifacts[model], RECIPE.build, records, keep)
    np.testing.assert_array_equal(thin.history[READ], met_in(fleet, 0.25, model))


@pytest.mark.parametrize("share", [0.0, 1.0, -0.5, float("nan")])
def test_a_share_out_of_range_is_refused(share):
    with pytest.raises(MethodError, match=r"in \(0, 1\)"):
        Subsample(share=share)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"method": DMP()}, "the pool 'attack'"),
        ({"method": Subsample()}, "subsamples already"),
        ({"method": TAUGHT, "epochs": 3}, "epochs of its own"),
        ({"method": RandomMask(rate=2), "epochs": 3}, "epochs of its own"),
        ({"method": DPSGD(noise_multiplier=1.0)}, "no method that trains a model by itself"),
        ({"method": 3}, "no method that trains"),
        ({"known": 0.7}, "there are none"),
        ({"known": 0.7, "method": RandomMask(rate=2)}, "there are none"),
        (
            {"share": 0.4, "known": 0.3, "method": TAUGHT},
            r"in share \.\. 1.*known=0\.3 with share",
        ),
        ({"known": 1.5, "method": TAUGHT}, r"in share \.\. 1"),
        ({"known": float("nan"), "method": TAUGHT}, r"in share \.\. 1"),
        ({"epochs": -1}, "epochs must be at least 0"),
        ({"method": SELENA}, r"a class; write SELENA\(\.\.\.\)"),
    ],
)
def test_what_cannot_be_is_refused(fields, why):
    with pytest.raises(MethodError, match=why):
        Subsample(**fields)


def test_a_share_of_too_few_units_is_refused_before_anything_is_trained():
    fleet, records = world()
    with pytest.raises(MethodError, match=r"share=0\.03, of 2\d units, lets a model meet 1"):
        apply(Subsample(share=0.03, method=TAUGHT), fleet, records, **HOW)


def test_training_the_control_on_is_refused_for_what_it_is():
    fleet, records = world()
    made = apply(Subsample(share=0.4), fleet, records, **HOW)
    assert "taught/agreement" not in made.artifacts[0].history  # nobody was asked
    with pytest.raises(MethodError, match=r"on all of their members.*of Subsample"):
        apply(Magnitude(rate=2), made, records, **HOW)


def test_it_stands_around_and_not_inside():
    with pytest.raises(MethodError, match="teachers of its own"):
        SELENA(prune=Subsample())
    assert Subsample(method=InSampleDistillation()).split(np.arange(9), seed=0).shape == (1, 9)


def test_the_questions_of_a_lesson_are_those_of_the_members_that_are_met(monkeypatch):
    fleet, records = world()
    asked = []
    logits_of = teaching.logits_of

    def noted(module, data, *, indices):
        asked.append(indices)
        return logits_of(module, data, indices=indices)

    monkeypatch.setattr(teaching, "logits_of", noted)
    apply(Subsample(share=0.25, method=TAUGHT), fleet, records, **HOW)
    assert len(asked) == 4 * len(fleet)
    for found in asked[:4]:
        np.testing.assert_array_equal(found, met_in(fleet, 0.25))
