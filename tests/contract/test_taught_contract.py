"""What every method whose models learn from teachers promises, over `defend.__all__`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from secateur import defend, store
from secateur.compress import ADMM, Magnitude
from secateur.data import draw
from secateur.errors import MethodError
from secateur.models import rebuild
from secateur.train import Heard, Stacked, Taught, apply, train_fleet
from small_world import SmallNet, small_recipe, small_records

CLASSES = [getattr(defend, name) for name in defend.__all__]
TAUGHT = [kind for kind in CLASSES if hasattr(kind, "teaching")]
FEW = {
    "SELENA": {"teachers": 5, "left_out": 2},
    "Subsample": {"share": 0.5, "method": defend.CrossFit(folds=3)},
    "TeacherNetwork": {"build": SmallNet(hidden=20), "method": defend.CrossFit(folds=3)},
}
AROUND = (defend.Subsample, defend.TeacherNetwork)
METHODS = [kind(**FEW.get(kind.__name__, {})) for kind in TAUGHT]
IDS = [kind.__name__ for kind in TAUGHT]
SPARSE = Magnitude(rate=4.0, retrain_epochs=1)
POOLS = {"audit": 60, "population": 12, "utility": 20, "attack": 28}

pytestmark = pytest.mark.parametrize("method", METHODS, ids=IDS)


def trained(build):
    records = small_records(n=120)
    who = draw(records, targets=2, references=2, seed=3, pools=POOLS)
    recipe = small_recipe(build=build, epochs=2)
    return train_fleet(recipe, records, who, seed=0, engine="serial"), records


@pytest.fixture(scope="module")
def world():
    return trained(SmallNet(batch_norm=True))


@pytest.fixture(scope="module")
def smooth():
    """Without normalisation, behind which a bias has no gradient but rounding."""
    return trained(SmallNet())


def made(method, world, **how):
    fleet, records = world
    return apply(method, fleet, records, seed=0, **{"engine": "serial", **how})


def innermost(method):
    return method.method if type(method) in AROUND else method


def given(method, **fields):
    """Return the method with these, which the one around another hands on."""
    inner = replace(innermost(method), **fields)
    return replace(method, method=inner) if type(method) in AROUND else inner


def test_it_is_taught_and_its_repr_spells_it(method, world):
    assert isinstance(method, Taught)
    assert eval(repr(method), {**vars(defend), "SmallNet": SmallNet}) == method


def test_the_same_seed_gives_the_same_bytes(method, world):
    one, two = made(method, world), made(method, world)
    assert [a.digest for a in one.artifacts] == [a.digest for a in two.artifacts]
    assert one.membership.digest == world[0].membership.digest


def test_the_dense_fleet_is_not_read(method, world):
    fleet, records = world
    before = [a.digest for a in fleet.artifacts]
    noise = [
        replace(a, tensors={n: np.full_like(t, 7) for n, t in a.tensors.items()})
        for a in fleet.artifacts
    ]
    other = replace(fleet, artifacts=noise)
    one, two = made(method, world), made(method, (other, records))
    assert [a.model_digest for a in one.artifacts] == [a.model_digest for a in two.artifacts]
    assert [a.digest for a in fleet.artifacts] == before


def test_a_pruner_inside_reaches_its_sparsity(method, world):
    small = given(method, prune=SPARSE)
    for artifact in made(small, world).artifacts:
        kept = sum(int(mask.sum()) for mask in artifact.masks.values())
        total = sum(mask.size for mask in artifact.masks.values())
        assert kept == sum(int((artifact.tensors[n] != 0).sum()) for n in artifact.masks)
        assert kept == pytest.approx(total / 4, abs=len(artifact.masks))


def test_each_model_reads_only_its_own_members_and_its_pool(method, world):
    fleet, records = world
    who = fleet.membership
    read = [set()]  # before the first model, for each of them, after the last

    class Source:
        shape = records.source.shape

        def gather(self, indices):
            read[-1].update(np.asarray(indices).tolist())
            return records.source.gather(indices)

        def digest(self):
            return records.source.digest()

    watched = replace(records, source=Source())
    made(method, (fleet, watched), progress=lambda *_: read.append(set()))
    before, *each, after = read
    assert not before | after
    assert len(each) == len(who)
    pool = set() if method.pool == "members" else {*who.pool(method.pool).tolist()}
    for model, found in enumerate(each):
        own = set() if type(method) is defend.PoolOnly else {*who.members(model).tolist()}
        assert found
        assert found <= own | pool


def test_answers_are_written_only_where_asked_for(method, world, tmp_path):
    kept = [a.history for a in made(method, world).artifacts]
    alone = type(method) is defend.PoolOnly
    always = {"taught/teachers"} | (set() if alone else {"taught/agreement"})
    assert all(set(h) >= always for h in kept)
    assert not any(name in h for h in kept for name in ("taught/answers", "taught/seen"))
    made(method, world, folder=tmp_path / "fleet")
    assert not list(tmp_path.rglob("*lesson*"))
    if hasattr(innermost(method), "keep"):
        (first, *_) = made(given(method, keep=True), world).artifacts
        assert first.history["taught/answers"].shape[1] == 3
        np.testing.assert_allclose(first.history["taught/answers"].sum(1), 1, atol=1e-6)


def test_a_stack_trains_the_same_teachers_and_students(method, smooth):
    alone, stack = made(method, smooth), made(method, smooth, engine=Stacked(models=4, workers=1))
    for one, two in zip(alone.artifacts, stack.artifacts, strict=True):
        for name, value in one.tensors.items():
            np.testing.assert_allclose(value, two.tensors[name], atol=1e-4)
        agreed = [h.history.get("taught/agreement") for h in (one, two)]
        assert agreed[0] == agreed[1]


def test_save_and_load_keep_the_models(method, world, tmp_path):
    made(method, world, folder=tmp_path / "fleet")
    fleet = store.open_fleet(tmp_path / "fleet", recipe=world[0].recipe)
    for artifact, again in zip(made(method, world).artifacts, fleet.artifacts, strict=True):
        assert artifact.digest == again.digest
        rebuild(again, world[0].recipe.build)


def test_training_on_the_members_labels_afterwards_is_refused(method, world):
    fleet = made(method, world)
    with pytest.raises(MethodError, match="put it inside"):
        apply(ADMM(rate=4), fleet, world[1], seed=0, engine="serial")
    apply(Magnitude(rate=4, retrain_epochs=0), fleet, world[1], seed=0, engine="serial")


def test_answers_are_distributions_of_records_it_was_asked_for(method, world):
    rng = np.random.default_rng(0)
    split = method.split(np.arange(30), seed=1)
    seen = split if method.pool == "members" else np.zeros((len(split), 30), bool)
    heard = Heard(
        logits=torch.from_numpy(rng.normal(size=(len(split), 30, 3)).astype(np.float32)),
        seen=torch.from_numpy(seen),
        labels=torch.from_numpy(rng.integers(3, size=30)),
        classes=3,
    )
    where, answers = method.answers(heard)
    assert answers.shape == (len(where), 3)
    assert answers.dtype == torch.float32
    assert torch.equal(where, where.unique())
    torch.testing.assert_close(answers.sum(1), torch.ones(len(where)))


def test_no_unit_is_cut_by_a_split(method, world):
    units = np.repeat(np.arange(12), 3)
    for row in method.split(units, seed=0):
        assert all(len(set(row[units == unit].tolist())) == 1 for unit in range(12))


def test_answers_do_not_follow_the_own_labels_of_records_unless_it_says_so(method, world):
    split = method.split(np.arange(30), seed=1)
    heard = Heard(
        logits=torch.randn(len(split), 30, 3, generator=torch.Generator().manual_seed(0)),
        seen=torch.from_numpy(split),
        labels=torch.zeros(30, dtype=torch.long),
        classes=3,
    )
    other = replace(heard, labels=torch.ones(30, dtype=torch.long))
    same = torch.equal(method.answers(heard)[1], method.answers(other)[1])
    assert same == (type(method) is not defend.PoolOnly)
