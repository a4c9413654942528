"""The audit: every subject has its rows, choices are made on references, and reports repeat."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from secateur import spreading, store
from secateur.attack.learned import NasrAttack
from secateur.attack.membership import RMIA, LiRA, LossThreshold
from secateur.auditing import audit, audit_key, needed_signals
from secateur.auditing.choices import matched_epochs, strongest
from secateur.auditing.contents import repeats
from secateur.auditing.subjects import observe_subjects, stopped, with_references_of
from secateur.compress import Magnitude
from secateur.errors import InputError
from secateur.probe import SignalProbe
from secateur.train import Snapshots, apply, train_fleet
from small_world import small_membership, small_recipe, small_records

ATTACKS = (LiRA(), RMIA(), LossThreshold(), NasrAttack(epochs=1))


@pytest.fixture(scope="module")
def fleets():
    records = small_records()
    who = small_membership(records, targets=2, references=12)
    probe = SignalProbe(signals=needed_signals(ATTACKS))
    dense = train_fleet(
        small_recipe(epochs=4),
        records,
        who,
        seed=0,
        engine="serial",
        snapshots=Snapshots(epochs=(1, 2, 4), probe=probe),
    )
    pruned = apply(
        Magnitude(rate=4, retrain_epochs=1), dense, records, seed=0, engine="serial", name="small"
    )
    return records, dense, pruned


@pytest.fixture(scope="module")
def report(fleets):
    records, dense, pruned = fleets
    return audit([dense, pruned], records, attacks=ATTACKS, seed=0)


def test_every_subject_has_accuracy_size_and_every_attack(report):
    for subject in ("dense", "small"):
        rows = [r for r in report.rows if r.subject == subject and not r.versus]
        assert {"train accuracy", "test accuracy", "kept weights"} <= {r.metric for r in rows}
        attacked = {r.method for r in rows if r.metric == "auc" and r.threat != "naive"}
        assert attacked == {repr(a) for a in ATTACKS}
    kept = next(r for r in report.rows if r.subject == "small" and r.metric == "kept weights")
    assert kept.value == pytest.approx(0.25)
    assert kept.status == "exact"


def test_every_row_has_an_interval_or_says_why_not(report):
    for row in report.rows:
        told = row.low is not None or row.status in ("exact", "not run", "not resolvable")
        assert told or row.why, row


def test_pruned_models_are_compared_with_the_dense_and_the_stopped_ones(report):
    versus = {r.versus for r in report.rows if r.subject == "small" and r.versus}
    views = {m["view"] for m in report.facts["matched"]}
    assert versus == {"dense"} | views
    nearest = {"train accuracy", "test accuracy"}
    assert {m["by"] for m in report.facts["matched"]} - {"no less test accuracy"} == nearest


def test_choices_do_not_look_at_the_targets(fleets):
    records, dense, pruned = fleets
    subjects = observe_subjects([dense, pruned], records, ATTACKS, workers=0)
    rng = np.random.default_rng(0)
    spoiled = []
    for subject in subjects:
        seen = subject.observations
        views = {
            view: {k: np.array(v) for k, v in arrays.items()} for view, arrays in seen.views.items()
        }
        for arrays in views.values():
            for key in arrays:
                noise = rng.normal(size=arrays[key][seen.membership.targets].shape)
                arrays[key][seen.membership.targets] = noise
        spoiled.append(replace(subject, observations=replace(seen, views=views)))
    curve = [(e, *stopped(subjects[0], records, e).accuracies()) for e in (1, 2, 4)]
    for before, after in zip(subjects, spoiled, strict=True):
        assert strongest([before], ATTACKS, seed=0) == strongest([after], ATTACKS, seed=0)
        assert matched_epochs(curve, before) == matched_epochs(curve, after)


def test_the_matching_epoch_is_the_nearest_and_of_equal_ones_the_earliest(fleets):
    records, dense, pruned = fleets
    subject = observe_subjects([dense, pruned], records, ATTACKS, workers=0)[1]
    train, test = subject.accuracies()
    curve = [(1, train - 0.5, test - 0.2), (2, train, test + 0.1), (4, train, test)]
    assert matched_epochs(curve, subject) == {
        "train accuracy": 2,
        "test accuracy": 4,
        "no less test accuracy": 2,
    }
    assert matched_epochs([], subject) == {}


def test_the_first_epoch_that_is_as_accurate_is_found_although_a_reference_failed(fleets):
    records, dense, pruned = fleets
    subject = observe_subjects([dense, pruned], records, ATTACKS, workers=0)[1]
    train, test = subject.accuracies()
    references = subject.observations.membership.references
    failed = np.full_like(test, np.median(test[references]) + 0.01)
    failed[references[0]] = 0.0
    assert failed[references].mean() < test[references].mean()  # it lowers a mean, not a median
    rises_and_falls = [(1, train, test - 0.01), (2, train, test + 0.1), (4, train, failed)]
    assert matched_epochs(rises_and_falls, subject)["no less test accuracy"] == 2
    late = [(1, train, test - 0.02), (2, train, failed)]
    assert matched_epochs(late, subject)["no less test accuracy"] == 2
    assert matched_epochs(late, subject)["test accuracy"] == 2  # nearest by medians, too
    never = [(1, train, test - 0.02), (2, train, test - 0.01)]
    assert set(matched_epochs(never, subject)) == {"train accuracy", "test accuracy"}


def test_a_reports_key_changes_with_the_revision_of_an_attack(fleets):
    records, dense, _ = fleets

    class Later(LossThreshold):
        revision = 99

        def __repr__(self):
            return repr(LossThreshold())

    one, other = (audit_key([dense], records, attacks=[a]) for a in (LossThreshold(), Later()))
    assert one["attacks"] == other["attacks"]
    assert one != other


def test_the_naive_attacker_has_the_targets_of_one_view_and_the_references_of_the_other(fleets):
    records, dense, pruned = fleets
    subjects = observe_subjects([dense, pruned], records, ATTACKS, workers=0)
    mixed = with_references_of(subjects[1].observations, subjects[0].observations)
    who = dense.membership
    margin = mixed.views["small"]["margin"]
    dense_margin = subjects[0].observations.views["dense"]["margin"]
    own_margin = subjects[1].observations.views["small"]["margin"]
    assert np.array_equal(margin[who.targets], own_margin[who.targets])
    assert np.array_equal(margin[who.references], dense_margin[who.references])


@pytest.mark.parametrize(
    "worth",
    [spreading.WORTH, pytest.param(-1.0, marks=pytest.mark.slow)],
    ids=["where workers are worth it", "in workers"],
)
def test_the_same_input_gives_the_same_report_with_any_number_of_workers(
    fleets, report, monkeypatch, worth
):
    monkeypatch.setattr(spreading, "WORTH", worth)
    records, dense, pruned = fleets
    again = audit([dense, pruned], records, attacks=ATTACKS, seed=0, workers=2).to_dict()
    first = report.to_dict()
    first["provenance"].pop("context")
    again["provenance"].pop("context")
    assert first == again


def test_a_report_read_again_is_the_same(report, tmp_path):
    store.write_report(tmp_path / "r.json", report)
    assert store.read_report(tmp_path / "r.json").to_dict() == report.to_dict()


def test_an_attack_without_its_references_gives_a_row_that_says_so():
    records = small_records()
    who = small_membership(records, targets=2, references=0)
    fleet = train_fleet(small_recipe(), records, who, seed=0, engine="serial")
    found = audit(fleet, records, attacks=(LiRA(), LossThreshold(class_wise=False)))
    row = next(r for r in found.rows if r.method == repr(LiRA()))
    assert row.status == "not run"
    assert "reference models" in row.why


def test_fleets_of_two_draws_or_of_one_name_cannot_be_compared(fleets):
    records, dense, pruned = fleets
    who = small_membership(small_records(seed=1), targets=2, references=12)
    other = train_fleet(small_recipe(epochs=1), records, who, seed=0, engine="serial")
    moved = replace(who, inside=np.roll(who.inside, 1, axis=0))
    with pytest.raises(InputError, match="different memberships"):
        audit([dense, replace(other, name="other", membership=moved)], records, attacks=ATTACKS)
    with pytest.raises(InputError, match="different names"):
        audit([dense, replace(pruned, name="dense")], records, attacks=ATTACKS)


def test_only_the_last_epoch_repeats_the_baseline(fleets):
    records, dense, pruned = fleets
    baseline, small = observe_subjects([dense, pruned], records, ATTACKS, workers=0)
    found = {e: repeats(stopped(baseline, records, e), baseline) for e in (1, 2, 4)}
    assert found == {1: {}, 2: {}, 4: {"repeats": "dense"}}
    assert repeats(small, baseline) == repeats(baseline, baseline) == {}
    other = replace(baseline, fleet=replace(dense, recipe=small_recipe(epochs=5)))
    assert repeats(stopped(baseline, records, 4), other) == {}
