"""Fleets: paired, resumable to the same bytes, equal on every engine."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from secateur import store
from secateur.compress import Magnitude, RandomMask
from secateur.errors import (
    DivergedError,
    InputError,
    InterruptedRunError,
    MethodError,
    SecateurWarning,
    StoreError,
)
from secateur.models import MLP, rebuild
from secateur.probe.run import observe
from secateur.probe.signals import SignalProbe
from secateur.train import SGD, RandomFlip, Snapshots, apply, train_fleet
from secateur.train.model import initial_module
from secateur.train.plan import Plan
from secateur.types import Records, Signal, derive_seed
from small_world import SmallNet, small_membership, small_recipe, small_records

PROBE = SignalProbe(signals=(Signal(name="margin"), Signal(name="correct")))


@pytest.fixture
def world():
    records = small_records()
    return records, small_membership(records)


def digests(fleet):
    return [a.digest for a in fleet.artifacts]


def test_both_engines_give_the_same_bytes(world):
    serial = train_fleet(small_recipe(), *world, seed=0, engine="serial")
    workers = train_fleet(small_recipe(), *world, seed=0, engine="processes")
    assert digests(serial) == digests(workers)


def test_every_model_has_a_seed_of_its_own_and_reads_its_members_alone(world):
    records, who = world
    fleet = train_fleet(small_recipe(), records, who, seed=0, engine="serial")
    assert len(set(digests(fleet))) == len(who)
    outside = who.non_members(0)
    inputs = np.array(records.gather(np.arange(len(records))))
    inputs[outside] += 100.0
    other = replace(records, source=type(records.source)(values=inputs))
    changed = train_fleet(small_recipe(), other, who, seed=0, engine="serial")
    before, after = fleet.artifacts[0].tensors, changed.artifacts[0].tensors
    assert all(np.array_equal(before[k], after[k]) for k in before)
    assert any(
        not np.array_equal(fleet.artifacts[1].tensors[k], changed.artifacts[1].tensors[k])
        for k in before
    )


def test_an_interrupted_fleet_resumes_to_the_same_bytes(world, tmp_path, monkeypatch):
    whole = train_fleet(small_recipe(), *world, seed=0, engine="serial", folder=tmp_path / "whole")
    calls = []

    def stop_after_two(done, total, what):
        calls.append(done)
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(
        InterruptedRunError, match=r"stopped with 2 of 6 models .* goes on from there"
    ):
        train_fleet(
            small_recipe(),
            *world,
            seed=0,
            engine="serial",
            folder=tmp_path / "half",
            progress=stop_after_two,
        )
    with pytest.raises(StoreError, match="4 of 6 models are missing"):
        store.open_fleet(tmp_path / "half")
    made = []
    original = store.write_artifact
    monkeypatch.setattr(
        "secateur.store.write_artifact", lambda p, a: (made.append(p), original(p, a))[1]
    )
    train_fleet(small_recipe(), *world, seed=0, engine="serial", folder=tmp_path / "half")
    assert len(made) == 4
    assert store.fleet_digest(tmp_path / "half") == store.fleet_digest(tmp_path / "whole")
    assert len(whole.costs) == 6


def test_a_folder_with_another_fleet_is_refused(world, tmp_path):
    train_fleet(small_recipe(), *world, seed=0, engine="serial", folder=tmp_path)
    with pytest.raises(StoreError, match=r"another|differ"):
        train_fleet(small_recipe(epochs=2), *world, seed=0, engine="serial", folder=tmp_path)


def test_the_key_changes_with_everything_that_can_change_a_byte(world):
    records, who = world

    def key(recipe=None, records=records, membership=who, model=0, seed=0, transform=None):
        plan = Plan(
            recipe=recipe or small_recipe(),
            transform=transform,
            name="dense",
            pipeline=(),
            snapshots=None,
        )
        return repr(sorted(plan.key(records, membership, model, seed).items()))

    base = key()
    assert base == key()
    for change in (
        {"recipe": small_recipe(epochs=9)},
        {"recipe": small_recipe(build=SmallNet(hidden=13))},
        {"records": small_records(seed=1)},
        {"model": 1},
        {"seed": 1},
        {"transform": Magnitude(rate=2.0)},
    ):
        assert key(**change) != base, change


def test_snapshots_hold_the_probe_of_the_model_at_that_epoch(world):
    records, who = world
    snapshots = Snapshots(epochs=(1, 3), probe=PROBE)
    fleet = train_fleet(small_recipe(), records, who, seed=0, engine="serial", snapshots=snapshots)
    short = train_fleet(small_recipe(epochs=1), records, who, seed=0, engine="serial")
    assert fleet.snapshot_epochs == (1, 3)
    kept = fleet.artifacts[0].snapshots["margin"]
    assert kept.shape == (2, len(records))
    from secateur.models import logits_of

    early = PROBE(logits_of(rebuild(short.artifacts[0], SmallNet()), records), records.labels)
    final = PROBE(logits_of(rebuild(fleet.artifacts[0], SmallNet()), records), records.labels)
    assert np.array_equal(kept[0], early["margin"])
    assert np.array_equal(kept[1], final["margin"])


def test_taking_snapshots_does_not_change_what_is_trained(world):
    snapshots = Snapshots(epochs=(1, 2), probe=PROBE)
    recipe = small_recipe(build=SmallNet(dropout=0.5, batch_norm=True))
    a = train_fleet(recipe, *world, seed=0, engine="serial")
    b = train_fleet(recipe, *world, seed=0, engine="serial", snapshots=snapshots)
    for x, y in zip(a.artifacts, b.artifacts, strict=True):
        assert all(np.array_equal(x.tensors[k], y.tensors[k]) for k in x.tensors)


@pytest.mark.parametrize("epochs", [(), (0, 1), (3, 2), (1, 1), tuple(range(1, 14))])
def test_snapshot_epochs_out_of_order_or_too_many_are_refused(epochs):
    with pytest.raises(MethodError, match="snapshot epochs"):
        Snapshots(epochs=epochs, probe=PROBE)


def test_a_transform_carries_membership_and_seeds_over_and_leaves_its_input(world):
    records, who = world
    dense = train_fleet(small_recipe(), records, who, seed=0, engine="serial")
    before = digests(dense)
    pruned = apply(Magnitude(rate=4.0, retrain_epochs=1), dense, records, seed=0, engine="serial")
    assert digests(dense) == before
    assert pruned.membership is who
    assert pruned.pipeline[:-1] == dense.pipeline
    assert pruned.name == "magnitude"


def test_a_fresh_transform_starts_from_the_initial_weights_of_the_same_seed(world):
    records, who = world
    dense = train_fleet(small_recipe(), records, who, seed=0, engine="serial")
    fresh = apply(
        RandomMask(rate=2.0, epochs=0, scale_initialisation=False),
        dense,
        records,
        seed=0,
        engine="serial",
    )
    module = initial_module(small_recipe(), derive_seed(0, "model", 0))
    for name, parameter in module.named_parameters():
        stored = fresh.artifacts[0].tensors[name]
        mask = fresh.artifacts[0].masks.get(name, np.ones_like(stored, dtype=bool))
        assert np.array_equal(stored[mask], parameter.detach().numpy()[mask])


def test_one_module_can_be_pruned_alone_and_stays_as_it_was():
    torch.manual_seed(0)
    net = SmallNet()()
    before = [p.detach().clone() for p in net.parameters()]
    artifact = apply(Magnitude(rate=4.0, retrain_epochs=1), net, small_records(), seed=0)
    assert all(torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))
    kept = sum(int(m.sum()) for m in artifact.masks.values())
    assert kept == round((8 * 12 + 12 * 3) / 4)


def test_a_single_module_refuses_a_fresh_transform():
    with pytest.raises(MethodError, match="trains from fresh weights"):
        apply(RandomMask(rate=2.0), SmallNet()(), small_records(), seed=0)


def test_a_fleet_without_its_recipe_cannot_be_pruned(world):
    fleet = train_fleet(small_recipe(), *world, seed=0, engine="serial")
    with pytest.raises(InputError, match="has no recipe"):
        apply(Magnitude(rate=2.0), replace(fleet, recipe=None), world[0], seed=0)


def test_records_of_another_length_are_refused(world):
    with pytest.raises(InputError, match=r"119 records, but the membership is over 120"):
        train_fleet(
            small_recipe(), world[0].take(np.arange(119)), world[1], seed=0, engine="serial"
        )


def test_an_unknown_engine_is_named(world):
    with pytest.raises(InputError, match="unknown engine 'gpu'"):
        train_fleet(small_recipe(), *world, seed=0, engine="gpu")


def test_a_run_that_fails_before_its_first_model_leaves_no_folder(world, tmp_path):
    wild = replace(small_recipe(), optimiser=SGD(lr=1e30, momentum=0.0), epochs=3)
    with pytest.raises(DivergedError, match=r"training diverged: .* lower the learning rate"):
        train_fleet(wild, *world, seed=0, engine="serial", folder=tmp_path / "f")
    assert not (tmp_path / "f").exists()


def test_a_run_that_fails_later_keeps_what_it_finished(world, tmp_path, monkeypatch):
    train_fleet(small_recipe(), *world, seed=0, engine="serial", folder=tmp_path / "f")
    before = store.fleet_digest(tmp_path / "f")
    some = sorted((tmp_path / "f" / "models").iterdir())[:3]
    for file in some:
        file.unlink()

    def fails(records, membership, shard):
        raise DivergedError("training diverged")

    monkeypatch.setattr("secateur.train.make.make_shard", fails)
    with pytest.raises(DivergedError):
        train_fleet(small_recipe(), *world, seed=0, engine="serial", folder=tmp_path / "f")
    monkeypatch.undo()
    train_fleet(small_recipe(), *world, seed=0, engine="serial", folder=tmp_path / "f")
    assert store.fleet_digest(tmp_path / "f") == before


def test_other_records_or_another_seed_than_the_fleets_are_refused(world):
    fleet = train_fleet(small_recipe(), *world, seed=0, engine="serial")
    records = world[0]
    turned = Records.from_arrays(
        records.gather(np.arange(len(records)))[::-1].copy(), records.labels[::-1]
    )
    method = Magnitude(rate=2, retrain_epochs=0)
    with pytest.raises(InputError, match="was trained on records with the digest"):
        apply(method, fleet, turned, seed=0)
    with pytest.warns(SecateurWarning, match="was trained with another seed than 1"):
        apply(method, fleet, records, seed=1)
    with pytest.raises(InputError, match="was trained on records with the digest"):
        observe(fleet, turned, signals=[Signal(name="loss")])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"build": MLP}, "build must make a network"),
        ({"optimiser": 3}, "optimiser must be one"),
        ({"optimiser": SGD}, "optimiser must be one"),
        ({"hooks": RandomFlip()}, r"hooks must be a tuple of hooks, such as \(RandomFlip\(\),\)"),
        ({"hooks": (RandomFlip,)}, "hooks must be a tuple of hooks"),
        ({"epochs": 1.5}, "epochs must be a whole number, got 1.5"),
        ({"batch_size": True}, "batch_size must be a whole number, got True"),
    ],
)
def test_a_recipe_of_other_kinds_is_refused(fields, message):
    with pytest.raises(MethodError, match=message):
        replace(small_recipe(), **fields)


def test_some_models_now_and_the_rest_later_are_the_bytes_of_all_at_once(tmp_path):
    records = small_records()
    who = small_membership(records)
    recipe, half = small_recipe(), Magnitude(rate=2, retrain_epochs=1)

    def made(folder, choices):
        for models in choices:
            how = {"seed": 1, "engine": "serial", "models": models}
            dense = train_fleet(recipe, records, who, folder=folder / "dense", **how)
            apply(half, dense, records, folder=folder / "half", **how)
            if models is not None:
                assert set(range(len(who))) - set(dense.artifacts.missing()) >= set(models)
        return [store.fleet_digest(folder / part) for part in ("dense", "half")]

    first = [0, 2, 3]
    assert made(tmp_path / "parts", [first, None]) == made(tmp_path / "whole", [None])


def test_models_that_are_no_rows_or_have_no_folder_are_refused(tmp_path):
    records = small_records()
    who = small_membership(records)
    for models, folder, message in (
        ([6], tmp_path, r"rows in 0 \.\. 5, got \[6\]"),
        ([], tmp_path, r"rows in 0 \.\. 5, got \[\]"),
        ([0], None, "a choice of models needs a folder"),
    ):
        with pytest.raises(InputError, match=message):
            train_fleet(
                small_recipe(), records, who, seed=0, engine="serial", folder=folder, models=models
            )
    assert list(tmp_path.iterdir()) == []
