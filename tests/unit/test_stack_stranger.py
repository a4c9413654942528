"""Networks that no tracer follows, optimisers that cannot be stacked, memberships with holes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from secateur import store
from secateur.compress import Magnitude
from secateur.errors import BudgetSpentError, InputError, MethodError
from secateur.train import Auto, Limit, Processes, Ray, Stacked, apply, train_fleet
from secateur.train.engines.auto import choose
from small_world import small_membership, small_recipe, small_records


class Stranger(nn.Module):
    """Dropout as a function, and a branch on the shape."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(8, 12)
        self.last = nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.first(x).relu() if x.shape[-1] == 8 else x
        out: Tensor = self.last(functional.dropout(hidden, 0.4, training=self.training))
        return out


def stranger() -> nn.Module:
    """Return a fresh one."""
    return Stranger()


class BadValue(nn.Module):
    """A network that refuses to be lifted, with an error of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        if torch._C._functorch.is_batchedtensor(x):
            raise ValueError("one model at a time")
        if x.shape[0] < 0:
            return x
        out: Tensor = self.last(x)
        return out


def bad_value() -> nn.Module:
    """Return a fresh one."""
    return BadValue()


@dataclass(frozen=True, kw_only=True)
class Whole:
    """An optimiser that does not say that it treats each weight by itself."""

    lr: float = 0.01
    schedule: str = "constant"

    def make(self, params):
        return torch.optim.SGD(list(params), lr=self.lr)


@pytest.fixture
def world():
    records = small_records()
    return records, small_membership(records)


def test_a_lifted_network_with_dropout_is_repeatable_and_leaves_the_random_state(world, tmp_path):
    recipe = small_recipe(build=stranger)
    engine = Stacked(models=3, workers=1)
    first = train_fleet(recipe, *world, seed=0, engine=engine, folder=tmp_path / "a")
    state = torch.random.get_rng_state()
    torch.rand(7)
    expected = torch.random.get_rng_state()
    again = train_fleet(recipe, *world, seed=0, engine=engine, folder=tmp_path / "b")
    assert torch.equal(expected, torch.random.get_rng_state())
    assert not torch.equal(state, expected)
    assert [a.digest for a in first.artifacts] == [a.digest for a in again.artifacts]
    store.model_path(tmp_path / "b", first.artifacts[2].provenance.digest).unlink()
    train_fleet(recipe, *world, seed=0, engine=engine, folder=tmp_path / "b")
    assert store.fleet_digest(tmp_path / "a") == store.fleet_digest(tmp_path / "b")


@pytest.mark.parametrize("recipe", [small_recipe(optimiser=Whole()), small_recipe(build=bad_value)])
def test_auto_makes_one_by_one_what_cannot_be_stacked(world, recipe):
    records, who = world
    assert not isinstance(choose(recipe, None, records, who, workers=1).engine, Stacked)
    train_fleet(recipe, records, who, seed=0, engine=Auto(workers=1))


def test_auto_leaves_a_model_without_members_out_of_its_trial(world):
    records, who = world
    inside = who.inside.copy()
    inside[-1] = False
    holed = replace(who, inside=inside)
    assert choose(small_recipe(), None, records, holed, workers=1).rates


def test_models_that_are_there_of_no_whole_stack_are_refused_with_the_way_out(world, tmp_path):
    with pytest.raises(BudgetSpentError):
        train_fleet(
            small_recipe(),
            *world,
            seed=0,
            engine="serial",
            folder=tmp_path / "dense",
            limit=Limit(models=2),
        )
    part = store.open_fleet(tmp_path / "dense", recipe=small_recipe(), partial=True)
    prune = Magnitude(rate=2, retrain_epochs=0)
    common = {"seed": 0, "folder": tmp_path / "small"}
    with pytest.raises(InputError, match="every stack would need one of them; use engine="):
        apply(prune, part, world[0], engine=Stacked(models=6, workers=1), **common)
    assert not (tmp_path / "small").exists()
    made = apply(prune, part, world[0], engine=Auto(workers=1), **common)
    assert len(made.artifacts.missing()) == 4


@pytest.mark.parametrize(
    "make",
    [
        lambda: Stacked(models=2.5),
        lambda: Stacked(workers=-1),
        lambda: Processes(workers=1.5),
        lambda: Auto(workers=-1),
        lambda: Ray(workers=True),
        lambda: Stacked(device="gpu"),
    ],
)
def test_engines_refuse_what_is_no_number_or_no_device(make):
    with pytest.raises(InputError, match=r"whole number|device must be"):
        make()


@pytest.mark.skipif(torch.cuda.is_available(), reason="a card is there")
def test_a_card_that_is_not_there_is_said_before_anything_is_written(world, tmp_path):
    engine = Stacked(models=2, device="cuda:0")
    with pytest.raises(InputError, match="torch sees no CUDA device here"):
        train_fleet(small_recipe(), *world, seed=0, engine=engine, folder=tmp_path / "f")
    assert not (tmp_path / "f").exists()


def test_an_unstackable_optimiser_is_named(world):
    with pytest.raises(MethodError, match="cannot be stacked"):
        train_fleet(
            small_recipe(optimiser=Whole()), *world, seed=0, engine=Stacked(models=2, workers=1)
        )


def test_an_odd_number_of_references_gets_training_sets_of_the_same_size():
    who = small_membership(small_records(), references=5)
    sizes = who.inside[who.references].sum(axis=1)
    assert sizes.max() - sizes.min() <= 1
    counts = who.inside[who.references][:, who.pool("audit")].sum(axis=0)
    assert set(counts.tolist()) <= {2, 3}
