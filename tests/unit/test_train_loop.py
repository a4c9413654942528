"""The training loop: repeatable, faithful to plain PyTorch, hooks in the stated order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch.nn import functional

from secateur.errors import MethodError
from secateur.models import prunable
from secateur.train import SGD, Adam, Hook, Left, Phase, Recipe
from secateur.train.batches import TrainData, batches
from secateur.train.loop import run_phases
from secateur.types import derive_seed
from small_world import SmallNet, small_membership, small_recipe, small_records


def run(recipe, *, phases=None, records=None, seed=1, streams=None):
    records = records or small_records()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        module = recipe.build()
    initial = {k: v.detach().clone() for k, v in module.named_parameters()}
    data = TrainData.of(records, np.arange(50), torch.device("cpu"))
    trained = run_phases(
        module,
        phases or recipe.phases(),
        recipe,
        data,
        streams=streams or {},
        context=(initial, prunable(module)),
        seed=seed,
    )
    return module, trained, initial


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))


def test_same_seed_gives_the_same_bytes_and_another_seed_does_not():
    recipe = small_recipe(build=SmallNet(dropout=0.5, batch_norm=True))
    first, again, other = (run(recipe, seed=s)[0] for s in (1, 1, 2))
    assert same(first, again)
    assert not same(first, other)


def test_the_loop_equals_a_plain_pytorch_loop():
    recipe = small_recipe(optimiser=SGD(lr=0.1, schedule="constant"))
    trained, _, initial = run(recipe)
    plain = SmallNet()()
    plain.load_state_dict(initial, strict=False)
    records = small_records()
    x, y = (
        torch.from_numpy(records.gather(np.arange(50))),
        torch.from_numpy(records.labels[:50].copy()),
    )
    optimiser = torch.optim.SGD(plain.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    rng = np.random.default_rng(derive_seed(1, "order", 0))
    for _ in range(recipe.epochs):
        for rows in batches(50, 16, rng):
            optimiser.zero_grad()
            functional.cross_entropy(plain(x[rows]), y[rows]).backward()
            optimiser.step()
    for a, b in zip(plain.parameters(), trained.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-6)


def test_the_cosine_schedule_scales_every_group_by_its_progress():
    seen = []

    @dataclass(frozen=True)
    class Spy(Adam):
        def make(self, params):
            optimiser = super().make(params)
            step = optimiser.step

            def stepping(*args, **kwargs):
                seen.append(optimiser.param_groups[0]["lr"])
                return step(*args, **kwargs)

            optimiser.step = stepping
            return optimiser

    run(small_recipe(optimiser=Spy(lr=1.0, schedule="cosine"), epochs=4, batch_size=50))
    assert np.allclose(seen, [0.5 * (1 + np.cos(np.pi * e / 4)) for e in range(4)])


@pytest.mark.parametrize(
    ("n", "size", "sizes"), [(50, 16, [16, 16, 16, 2]), (49, 16, [16, 16, 17])]
)
def test_an_epoch_visits_every_record_once_and_never_ends_in_a_batch_of_one(n, size, sizes):
    parts = list(batches(n, size, np.random.default_rng(0)))
    assert [len(p) for p in parts] == sizes
    assert sorted(torch.cat(parts).tolist()) == list(range(n))


class Logger(Hook):
    """Writes down every call, and adds a constant where a value is handed on."""

    def __init__(self, name: str, calls: list) -> None:
        self.name, self.calls = name, calls

    def note(self, what):
        self.calls.append((what, self.name))

    def begin(self, now, noise):
        self.note("begin")
        return {}, now.params

    def batch(self, state, now, batch, noise):
        self.note("batch")
        return state, batch

    def loss(self, state, now, batch, logits, loss):
        self.note("loss")
        return loss + 0.0 * logits.sum()

    def grads(self, state, now, grads):
        self.note("grads")
        return state, grads

    def after_step(self, state, now):
        self.note("after_step")
        return state, now.params

    def after_epoch(self, state, now):
        self.note("after_epoch")
        return state, now.params

    def finish(self, state, now):
        self.note("finish")
        return now.params, Left()


def test_hooks_run_in_the_order_of_the_tuple_at_every_call():
    calls = []
    hooks = (Logger("a", calls), Logger("b", calls))
    run(small_recipe(epochs=1, batch_size=50), phases=(Phase(epochs=1, hooks=hooks),))
    order = ["begin", "batch", "loss", "grads", "after_step", "after_epoch", "finish"]
    assert calls == [(what, name) for what in order for name in "ab"]


class Freeze(Hook):
    """Puts the initial parameters back after every step."""

    def after_step(self, state, now):
        return state, now.initial


class NoGrad(Hook):
    """Gives zero gradients."""

    def grads(self, state, now, grads):
        return state, {k: torch.zeros_like(v) for k, v in grads.items()}


@pytest.mark.parametrize("hook", [Freeze(), NoGrad()])
def test_a_hook_that_undoes_each_step_leaves_the_initial_weights(hook):
    module, _, initial = run(small_recipe(), phases=(Phase(epochs=2, hooks=(hook,)),))
    assert all(torch.equal(p, initial[n]) for n, p in module.named_parameters())


def test_a_phase_of_no_epochs_still_begins_and_finishes():
    calls = []
    run(small_recipe(), phases=(Phase(epochs=0, hooks=(Logger("a", calls),)),))
    assert calls == [("begin", "a"), ("finish", "a")]


class Streamed(Hook):
    """Remembers which records the stream delivered."""

    def __init__(self, seen: set) -> None:
        self.seen = seen

    def batch(self, state, now, batch, noise):
        self.seen.update(batch.streams["attack"].indices.tolist())
        return state, batch


def test_a_stream_delivers_records_of_its_pool_alone():
    seen: set[int] = set()
    pool = TrainData.of(small_records(), np.arange(80, 100), torch.device("cpu"))
    phase = Phase(epochs=2, hooks=(Streamed(seen),), streams={"attack": 7})
    run(small_recipe(), phases=(phase,), streams={"attack": pool})
    assert seen and seen <= set(range(80, 100))


def test_a_declared_pool_that_is_missing_is_named():
    with pytest.raises(MethodError, match=r"reads the pool 'attack', which holds no records"):
        run(small_recipe(), phases=(Phase(epochs=1, streams={"attack": 4}),))


def test_training_that_diverges_says_so_and_how_to_mend():
    with pytest.raises(
        MethodError, match=r"training diverged: the loss is (nan|inf).*learning rate"
    ):
        run(small_recipe(optimiser=SGD(lr=1e30, schedule="constant"), epochs=5))


def test_the_global_random_state_is_left_as_it_was():
    torch.manual_seed(0)
    before = torch.get_rng_state().clone()
    run(small_recipe(build=SmallNet(dropout=0.5)))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": -1}, "epochs must be at least 0, got -1"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"label_smoothing": 1.0}, r"label_smoothing must be in \[0, 1\), got 1.0"),
    ],
)
def test_a_recipe_refuses_what_cannot_be_trained(change, message):
    with pytest.raises(MethodError, match=message):
        small_recipe(**change)


@pytest.mark.parametrize("make", [lambda: Adam(lr=0.0), lambda: SGD(lr=float("nan"))])
def test_an_optimiser_refuses_a_learning_rate_that_is_not_positive(make):
    with pytest.raises(MethodError, match="lr must be positive and finite"):
        make()


def test_a_recipe_is_its_own_provenance():
    assert repr(small_recipe()) == repr(small_recipe())
    assert repr(small_recipe()) != repr(small_recipe(epochs=4))
    assert isinstance(small_recipe(), Recipe)


def test_the_membership_of_the_small_world_has_every_pool():
    who = small_membership(small_records())
    assert {"audit", "population", "utility"} <= set(who.pools)
