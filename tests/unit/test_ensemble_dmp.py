"""EnsembleDMP: who teaches, what the teachers say together, and of which records."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import softmax
from scipy.stats import entropy

from secateur.data import draw
from secateur.defend import DMP, EnsembleDMP
from secateur.errors import MethodError
from secateur.train import Heard, apply, train_fleet
from secateur.train.batches import TrainData
from secateur.train.model import initial_module
from secateur.types import ATTACK, AUDIT, derive_seed
from small_world import run_alone, small_recipe, small_records

RECIPE = small_recipe(epochs=2)
CPU = torch.device("cpu")
SAID = np.random.default_rng(0).normal(0.0, 3.0, (3, 12, 4))
"""What three teachers say of twelve records."""


def heard(logits):
    values = torch.tensor(np.array(logits), dtype=torch.float32)
    n = values.shape[1]
    return Heard(
        logits=values,
        seen=torch.zeros(values.shape[:2], dtype=torch.bool),
        labels=torch.zeros(n, dtype=torch.int64),
        classes=values.shape[2],
    )


@pytest.mark.parametrize("share", [0.25, 0.5, 1.0])
@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_the_student_learns_the_mean_softmax_where_that_is_surest(share, temperature):
    method = EnsembleDMP(teachers=3, share=share, temperature=temperature)
    where, answers = method.answers(heard(SAID))
    mean = softmax(SAID / temperature, axis=-1).mean(axis=0)
    expected = np.sort(np.argsort(entropy(mean, axis=1))[: round(share * 12)])
    assert where.tolist() == expected.tolist()
    np.testing.assert_allclose(answers, mean[expected], rtol=1e-5)


def test_of_one_teacher_it_would_say_what_dmp_says():
    ours, theirs = (m.answers(heard(SAID[:1])) for m in (EnsembleDMP(), DMP()))
    assert torch.equal(ours[0], theirs[0])
    torch.testing.assert_close(ours[1], theirs[1])


@pytest.mark.parametrize(("teachers", "left_out"), [(5, 1), (4, 3), (6, 2)])
def test_each_unit_is_whole_in_as_many_teachers_as_asked(teachers, left_out):
    units = np.repeat(np.arange(24), 2)
    split = EnsembleDMP(teachers=teachers, left_out=left_out).split(units, seed=1)
    assert split.shape == (teachers, 48)
    assert (split.sum(axis=0) == teachers - left_out).all()
    assert (split[:, ::2] == split[:, 1::2]).all()
    sizes = split.sum(axis=1)
    assert sizes.max() - sizes.min() <= 2  # one unit of two records


def by_hand(fleet, records, pool, folds):
    """Train teachers without a fold each, hear them on the pool, and train the student on that."""
    seed = derive_seed(0, "model", 0)
    members = fleet.membership.members(0)
    order = np.random.default_rng(derive_seed(seed, "teachers")).permutation(len(members))
    soft = torch.zeros(len(pool), 3, dtype=torch.float64)
    for number in range(folds):
        kept = np.ones(len(members), bool)
        kept[order[number::folds]] = False
        own = derive_seed(seed, "teacher", number)
        net = initial_module(RECIPE, own)
        data = TrainData.of(records, members[kept], CPU)
        run_alone(net, data, RECIPE, seed=derive_seed(own, "train"))
        with torch.no_grad():
            logits = net(torch.from_numpy(records.gather(pool)))
        soft += torch.softmax(logits.double(), 1) / folds
    student = initial_module(RECIPE, seed)
    data = replace(TrainData.of(records, pool, CPU), labels=soft.float())
    run_alone(student, data, RECIPE, seed=derive_seed(seed, "transform"))
    return student.state_dict()


def test_it_is_the_version_by_hand():
    records = small_records(n=120)
    pools = {AUDIT: 80, ATTACK: 40}
    who = draw(records, targets=2, references=2, seed=3, pools=pools)
    fleet = train_fleet(RECIPE, records, who, seed=0, engine="serial")
    method = EnsembleDMP(teachers=3)
    found = apply(method, fleet, records, seed=0, engine="serial").artifacts[0]
    expected = by_hand(fleet, records, who.pool(ATTACK), folds=3)
    for name, value in found.tensors.items():
        np.testing.assert_allclose(value, expected[name].numpy(), rtol=1e-5, atol=5e-7)
    assert int(found.history["taught/teachers"]) == 3 and "taught/answers" not in found.history


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"teachers": 1}, r"got left_out=1 of teachers=1; with one teacher it is DMP\(\)"),
        ({"left_out": 0}, r"left_out must be in 1 .. teachers - 1, got left_out=0"),
        ({"pool": "members"}, r"records that are no members; .* or use SELENA\(\) or CrossFit"),
        ({"share": 0.0}, r"share of the pool must be in \(0, 1\], got 0.0"),
        ({"temperature": 0.0}, "temperature"),
        ({"teacher_epochs": 0}, "teacher_epochs"),
    ],
)
def test_parameters_out_of_range_are_refused(parameters, message):
    with pytest.raises(MethodError, match=message):
        EnsembleDMP(**parameters)


def test_fewer_units_than_teachers_are_refused():
    with pytest.raises(MethodError, match=r"EnsembleDMP cuts .* into 5 parts, and there are 3"):
        EnsembleDMP().split(np.arange(3), seed=0)
