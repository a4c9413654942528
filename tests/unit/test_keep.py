"""Signals in place of weights, and models that runs share."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest

from command_line import listing, secateur, train
from secateur import read_report, store
from secateur.attack.membership import LiRA, LossThreshold
from secateur.auditing import audit, needed_signals
from secateur.compress import ADMM, RandomMask
from secateur.data import Queries
from secateur.errors import InputError, StoreError
from secateur.models import SmallCNN
from secateur.probe import SignalProbe
from secateur.probe.run import observe
from secateur.train import Keep, Stacked, apply, drop_weights, train_fleet
from secateur.types import Artifact, Kept, Provenance, Records, Signal
from small_world import small_membership, small_recipe, small_records

ATTACKS = (LiRA(), LossThreshold())
PRUNE = ADMM(rate=3, updates=1, epochs_per_update=1, retrain_epochs=1)
KEEP = Keep(probe=SignalProbe(signals=needed_signals(ATTACKS)))


@pytest.fixture
def world():
    records = small_records()
    return records, small_membership(records)


def small_pictures():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 1, 8, 8)).astype(np.float32)
    return Records.from_arrays(x, np.arange(40) % 3, n_classes=3, name="pictures")


def view(fleet, records):
    seen = observe(fleet, records, signals=needed_signals(ATTACKS), posteriors=False)
    return seen.views[fleet.name]


@pytest.mark.parametrize("engine", ["serial", Stacked(models=3, workers=1)], ids=str)
@pytest.mark.parametrize("stored", [True, False])
def test_kept_signals_are_those_of_the_weights(world, tmp_path, engine, stored):
    places = (tmp_path / "a", tmp_path / "b") if stored else (None, None)
    whole = train_fleet(small_recipe(), *world, seed=0, engine=engine, folder=places[0])
    thin = train_fleet(small_recipe(), *world, seed=0, engine=engine, folder=places[1], keep=KEEP)
    for key, values in view(whole, world[0]).items():
        assert np.array_equal(values, view(thin, world[0])[key])
    assert [bool(a.tensors) for a in thin.artifacts] == [True] * 2 + [False] * 4


def test_an_audit_of_kept_signals_is_that_of_the_weights(world):
    common = {"seed": 0, "engine": "serial"}
    whole = train_fleet(small_recipe(), *world, **common)
    thin = train_fleet(small_recipe(), *world, **common, keep=KEEP)
    one, other = (audit(f, world[0], attacks=ATTACKS) for f in (whole, thin))
    measured = [[r for r in report.rows if r.risk != "cost"] for report in (one, other)]
    assert measured[0] == measured[1]


def test_the_models_are_the_same_ones_whatever_is_kept_of_them(world, tmp_path):
    train_fleet(small_recipe(), *world, seed=0, engine="serial", folder=tmp_path / "a")
    train_fleet(small_recipe(), *world, seed=0, engine="serial", folder=tmp_path / "b", keep=KEEP)
    manifests = [(tmp_path / name / "fleet.json").read_bytes() for name in "ab"]
    assert manifests[0] == manifests[1]


def test_weights_are_dropped_afterwards_with_the_bytes_of_keeping_signals_at_once(world, tmp_path):
    for name, keep in (("a", None), ("b", KEEP)):
        folder = tmp_path / name
        train_fleet(small_recipe(), *world, seed=0, engine="serial", folder=folder, keep=keep)
    fleet = store.open_fleet(tmp_path / "a", recipe=small_recipe())
    freed = drop_weights(fleet, world[0], KEEP)
    assert freed != 0
    assert store.fleet_digest(tmp_path / "a") == store.fleet_digest(tmp_path / "b")
    assert (
        drop_weights(store.open_fleet(tmp_path / "a", recipe=small_recipe()), world[0], KEEP) == 0
    )


def test_a_fleet_without_weights_is_not_pruned_and_says_so(world, tmp_path):
    thin = train_fleet(
        small_recipe(), *world, seed=0, engine="serial", folder=tmp_path / "a", keep=KEEP
    )
    with pytest.raises(InputError, match=r"were not kept, only its signals: .* train the fleet"):
        apply(PRUNE, thin, world[0], seed=0, engine="serial", folder=tmp_path / "b")


@pytest.mark.parametrize(
    ("wanted", "queries", "message"),
    [
        ([Signal(name="entropy")], None, r"the signals \['entropy'\] cannot be had .* there are"),
        ([Signal(name="margin")], Queries(flip=True), r"signals under Queries\(flip=True"),
    ],
)
def test_what_was_not_kept_is_named(tmp_path, wanted, queries, message):
    who = small_membership(small_pictures())
    world = (small_pictures(), who)
    recipe = small_recipe(build=SmallCNN(channels=1, classes=3), epochs=1)
    thin = train_fleet(recipe, *world, seed=0, engine="serial", folder=tmp_path / "a", keep=KEEP)
    with pytest.raises(InputError, match=message):
        observe(thin, world[0], signals=wanted, posteriors=False, queries=queries)


def test_a_model_has_either_weights_or_signals():
    kept = Kept(signals={"margin": np.zeros(3)}, probe="p", queries="Queries()", model="m")
    with pytest.raises(InputError, match="either its weights or the signals"):
        Artifact(tensors={"w": np.zeros(2)}, builder="b", provenance=Provenance(key={}), kept=kept)


def test_kept_signals_are_part_of_the_digest(tmp_path):
    kept = Kept(signals={"margin": np.zeros(3)}, probe="p", queries="Queries()", model="m")
    one = Artifact(tensors={}, builder="b", provenance=Provenance(key={}), kept=kept)
    for other in (
        replace(kept, model="n"),
        replace(kept, probe="q"),
        replace(kept, queries="Queries(flip=True)"),
        replace(kept, signals={"margin": np.ones(3)}),
    ):
        assert replace(one, kept=other).digest != one.digest
    store.write_artifact(tmp_path / "m.safetensors", one)
    assert store.read_artifact(tmp_path / "m.safetensors").digest == one.digest


def test_the_command_line_keeps_signals_and_audits_them(tmp_path):
    assert train(tmp_path / "dense").code == 0
    method = "ADMM(rate=3, updates=1, epochs_per_update=1, retrain_epochs=1)"
    prune = ("prune", tmp_path / "dense", "--method", method, "--engine", "serial")
    assert secateur(*prune, "--out", tmp_path / "whole").code == 0
    assert secateur(*prune, "--out", tmp_path / "thin", "--keep", "targets").code == 0
    done = secateur("clean", tmp_path / "dense", "--workers", "1")
    assert done.code == 0
    assert "MB freed" in done.out
    rows = []
    for name in ("whole", "thin"):
        report = tmp_path / f"{name}.json"
        told = secateur(
            *("audit", tmp_path / "dense", tmp_path / name, "--attack", "LiRA", "--workers", "1"),
            *("--out", report),
        )
        assert told.code == 0, told.err
        rows.append([r for r in read_report(report).rows if r.risk != "cost"])
    assert len(rows[0]) > 10
    assert [(r.metric, r.value, r.low) for r in rows[0]] == [
        (r.metric, r.value, r.low) for r in rows[1]
    ]
    refused = secateur(*prune, "--out", tmp_path / "again")
    assert refused.code == 2
    assert "were not kept" in refused.err
    assert not (tmp_path / "again").exists()


# -- models that runs share --------------------------------------------------------------------


def test_a_run_takes_what_another_one_made(world, tmp_path):
    cache = tmp_path / "cache"
    made = []

    def count(done, total, what):
        made.append(done)

    for name in "ab":
        made.clear()
        train_fleet(
            small_recipe(),
            *world,
            seed=0,
            engine="serial",
            folder=tmp_path / name,
            cache=cache,
            progress=count,
        )
    assert made == [6]  # all there before the first is made
    assert store.fleet_digest(tmp_path / "a") == store.fleet_digest(tmp_path / "b")


def test_more_references_begin_with_those_that_are_there(tmp_path):
    records = small_records()
    counts = []
    for references in (6, 10):
        who = small_membership(records, targets=1, references=references)
        done = []
        fleet = train_fleet(
            small_recipe(epochs=1),
            records,
            who,
            seed=0,
            engine="serial",
            folder=tmp_path / str(references),
            cache=tmp_path / "cache",
            progress=lambda now, total, what, done=done: done.append(now),
        )
        counts.append(done[0])
        inside = who.inside[who.references].sum(axis=0)[who.pool("audit")]
        assert set(inside.tolist()) == {references // 2}
        assert len(fleet) == references + 1
    assert counts == [0, 7]


def test_what_is_kept_of_a_shared_model_is_what_this_run_asks_for(world, tmp_path):
    cache = tmp_path / "cache"
    common = {"seed": 0, "engine": "serial", "cache": cache}
    alone = train_fleet(
        small_recipe(), *world, folder=tmp_path / "alone", keep=KEEP, seed=0, engine="serial"
    )
    train_fleet(small_recipe(), *world, folder=tmp_path / "thin", keep=KEEP, **common)
    whole = train_fleet(small_recipe(), *world, folder=tmp_path / "whole", **common)
    assert all(a.tensors for a in whole.artifacts)
    later = train_fleet(small_recipe(), *world, folder=tmp_path / "later", keep=KEEP, **common)
    assert [a.digest for a in later.artifacts] == [a.digest for a in alone.artifacts]
    other = Keep(probe=SignalProbe(signals=(Signal(name="entropy"),)))
    last = train_fleet(small_recipe(), *world, folder=tmp_path / "last", keep=other, **common)
    assert set(last.artifacts[-1].kept.signals) == {"entropy"}


def test_a_resumed_run_keeps_what_the_first_one_kept_or_says_so(world, tmp_path):
    common = {"seed": 0, "engine": "serial", "folder": tmp_path / "a"}
    train_fleet(small_recipe(), *world, **common)
    thin = train_fleet(small_recipe(), *world, keep=KEEP, **common)
    assert thin.artifacts[-1].kept is not None
    with pytest.raises(InputError, match="was kept, and not its weights"):
        train_fleet(small_recipe(), *world, **common)
    other = Keep(probe=SignalProbe(signals=(Signal(name="entropy"),)))
    with pytest.raises(InputError, match="was kept, and not Keep"):
        train_fleet(small_recipe(), *world, keep=other, **common)


def test_two_runs_do_not_work_in_one_folder(world, tmp_path):
    folder = tmp_path / "a"
    with store.only_run_in(folder), pytest.raises(StoreError, match="another run works in"):
        train_fleet(small_recipe(), *world, seed=0, engine="serial", folder=folder)
    train_fleet(small_recipe(), *world, seed=0, engine="serial", folder=folder)


def test_a_shared_model_outlives_the_folder_and_is_checked(world, tmp_path):
    cache = tmp_path / "cache"
    common = {"seed": 0, "engine": "serial", "cache": cache}
    first = train_fleet(small_recipe(), *world, folder=tmp_path / "a", **common)
    drop_weights(first, world[0], KEEP)  # the shared files stay whole
    shared = sorted((cache / "models").iterdir())
    assert all(store.read_artifact(path).tensors for path in shared)
    shared[0].write_bytes(shared[0].read_bytes()[:-1] + b"x")
    with pytest.raises(StoreError, match=r"altered|damaged|digest"):
        train_fleet(small_recipe(), *world, folder=tmp_path / "b", **common)


def test_models_are_copied_where_links_cannot_be_made(world, tmp_path, monkeypatch):
    def no_link(source, place):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", no_link)
    for name in "ab":
        train_fleet(
            small_recipe(),
            *world,
            seed=0,
            engine="serial",
            folder=tmp_path / name,
            cache=tmp_path / "cache",
        )
    assert listing(tmp_path / "a" / "models") == listing(tmp_path / "b" / "models")


def test_a_cache_needs_a_folder(world, tmp_path):
    with pytest.raises(InputError, match="a limit or a cache needs a folder"):
        train_fleet(small_recipe(), *world, seed=0, engine="serial", cache=tmp_path)


def test_a_random_mask_needs_no_weights_and_gives_the_models_of_a_whole_fleet(world, tmp_path):
    made = {}
    for name, keep in (("whole", None), ("thin", KEEP)):
        dense = train_fleet(
            small_recipe(), *world, seed=0, engine="serial", folder=tmp_path / name, keep=keep
        )
        mask = RandomMask(rate=3, epochs=1)
        made[name] = apply(
            mask, dense, world[0], seed=0, engine="serial", folder=tmp_path / f"{name}-random"
        )
    assert [a.digest for a in made["thin"].artifacts] == [a.digest for a in made["whole"].artifacts]


def test_a_clean_fleet_is_told_so_and_starts_no_worker(tmp_path, monkeypatch):
    assert train(tmp_path / "dense").code == 0
    first = secateur("clean", tmp_path / "dense", "--workers", "1")
    assert first.code == 0 and "MB freed" in first.out

    def refuse(*_, **__):
        raise AssertionError("a worker was started")

    monkeypatch.setattr("secateur.train.keep.spread_tasks", refuse)
    before = listing(tmp_path)
    again = secateur("clean", tmp_path / "dense")
    assert again.code == 0 and "dense: already clean, nothing to do" in again.out
    assert listing(tmp_path) == before
