"""A budget stops a run; what is there can be pruned and audited, and the run goes on later."""

from __future__ import annotations

import warnings

import pytest

from command_line import secateur, train
from secateur import read_report, store
from secateur.compress import ADMM
from secateur.errors import BudgetSpentError, InputError, StoreError
from secateur.train import Limit, Stacked, apply, train_fleet
from small_world import small_membership, small_recipe, small_records

PRUNE = ADMM(rate=3, updates=1, epochs_per_update=1, retrain_epochs=1)


@pytest.fixture
def world():
    records = small_records()
    return records, small_membership(records)


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("600s", Limit(seconds=600)),
        ("1.5h", Limit(seconds=5400)),
        ("20 m", Limit(seconds=1200)),
        ("12 models", Limit(models=12)),
        ("1 model", Limit(models=1)),
    ],
)
def test_budgets_are_read(text, limit):
    assert Limit.of(text) == limit


@pytest.mark.parametrize("text", ["", "ten", "-3s", "2.5 models", "3 days", "models"])
def test_what_is_no_budget_is_refused(text):
    with pytest.raises(InputError, match="is no budget; write seconds"):
        Limit.of(text)


@pytest.mark.parametrize("fields", [{"seconds": 0}, {"models": 0}])
def test_a_budget_of_nothing_is_refused(fields):
    with pytest.raises(InputError, match="above 0, got 0"):
        Limit(**fields)


@pytest.mark.parametrize(
    ("limit", "sizes", "said"),
    [
        (Limit(seconds=1), [6], "all 6 models that are to do are one stack"),
        (Limit(seconds=1), [3, 3], None),
        (Limit(models=2), [3, 3], "a stack holds 3 models"),
        (Limit(models=3), [3, 3], None),
        (Limit(models=1), [1, 1], None),
        (Limit(seconds=1), [1], None),
        (Limit(seconds=1), [], None),
    ],
)
def test_a_budget_that_a_stack_overruns_is_warned_of_before_the_work(limit, sizes, said):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        limit.warn_of_stacks(sizes)
    assert [said in str(w.message) for w in caught] == ([True] if said else [])


def test_the_command_line_says_that_one_stack_overruns_the_budget(tmp_path):
    done = train(tmp_path / "one", "--engine", "Stacked(models=6)", "--budget", "1s")
    assert done.code == 0
    assert "warning: the budget of 1 s is looked at when a stack ends" in done.err
    assert done.err.index("warning") < done.err.index("0 of 6")


def test_time_is_spent_too():
    assert Limit(seconds=1e-9).spent(begun=0.0, models=0)
    assert not Limit(seconds=1e9, models=2).spent(begun=0.0, models=1)
    assert Limit(seconds=1e9, models=2).spent(begun=0.0, models=2)


def test_a_run_in_parts_ends_with_the_bytes_of_one_at_once(world, tmp_path):
    whole = tmp_path / "whole"
    train_fleet(small_recipe(), *world, seed=0, engine="serial", folder=whole)
    here = tmp_path / "parts"
    for done in (2, 4):
        with pytest.raises(BudgetSpentError, match=rf"budget of 2 models is spent: {done} of 6"):
            train_fleet(
                small_recipe(),
                *world,
                seed=0,
                engine="serial",
                folder=here,
                limit=Limit(models=2),
            )
    train_fleet(small_recipe(), *world, seed=0, engine="serial", folder=here, limit=Limit(models=2))
    assert store.fleet_digest(here) == store.fleet_digest(whole)


@pytest.mark.parametrize("engine", ["serial", Stacked(models=2, workers=1)], ids=str)
def test_what_is_there_is_pruned_and_the_rest_later(world, tmp_path, engine):
    records, _ = world
    dense, admm = tmp_path / "dense", tmp_path / "admm"
    with pytest.raises(BudgetSpentError):
        train_fleet(
            small_recipe(), *world, seed=0, engine=engine, folder=dense, limit=Limit(models=4)
        )
    with pytest.raises(StoreError, match=r"2 of 6 models are missing .*--partial"):
        store.open_fleet(dense)
    part = store.open_fleet(dense, recipe=small_recipe(), partial=True)
    assert len(part.artifacts.missing()) == 2
    made = apply(PRUNE, part, records, seed=0, engine=engine, folder=admm)
    assert made.artifacts.missing() == part.artifacts.missing()
    with pytest.raises(InputError, match="2 of 6 models of 'dense' are not there"):
        apply(PRUNE, part, records, seed=0, engine=engine)
    full = train_fleet(small_recipe(), *world, seed=0, engine=engine, folder=dense)
    apply(PRUNE, full, records, seed=0, engine=engine, folder=admm)
    apply(PRUNE, full, records, seed=0, engine=engine, folder=tmp_path / "at once")
    assert store.fleet_digest(admm) == store.fleet_digest(tmp_path / "at once")


def test_a_limit_needs_a_folder(world):
    with pytest.raises(InputError, match="a limit or a cache needs a folder"):
        train_fleet(small_recipe(), *world, seed=0, engine="serial", limit=Limit(models=1))


def test_a_part_of_a_fleet_keeps_each_models_row(world, tmp_path):
    _, who = world
    fleet = train_fleet(small_recipe(), *world, seed=0, engine="serial", folder=tmp_path / "f")
    part = fleet.part([0, 3, 5])
    assert part.membership.roles == (who.roles[0], who.roles[3], who.roles[5])
    assert (part.membership.inside[1] == who.inside[3]).all()
    assert part.artifacts[2].digest == fleet.artifacts[5].digest
    assert part.costs == (fleet.costs[0], fleet.costs[3], fleet.costs[5])


def test_the_command_line_stops_goes_on_and_audits_what_is_there(tmp_path):
    dense = tmp_path / "dense"
    stopped = train(dense, "--budget", "5 models")
    assert stopped.code == 0, stopped.err
    assert "the budget of 5 models is spent: 5 of 6 models of 'dense'" in stopped.out
    assert "go on with: secateur train" in stopped.out
    pruned = secateur(
        *("prune", dense, "--method", "Magnitude(rate=2, retrain_epochs=0)", "--partial"),
        *("--engine", "serial", "--out", tmp_path / "magnitude"),
    )
    assert pruned.code == 0, pruned.err
    assert "5 models in" in pruned.out
    report = tmp_path / "r.json"
    audit = ("audit", dense, tmp_path / "magnitude", "--attack", "LossThreshold", "--workers", "1")
    refused = secateur(*audit, "--out", report)
    assert refused.code == 2 and "--partial" in refused.err
    done = secateur(*audit, "--partial", "--out", report)
    assert done.code == 0, done.err
    assert "5 are in every fleet: 2 targets and 3 references" in done.err
    assert read_report(report).facts["models"]["references"] == 3
    assert train(dense).code == 0
    assert len(store.open_fleet(dense)) == 6
