"""Audits by hand: rows against the measures, what is left out and why; see also test_audit.py."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest

from secateur import measure
from secateur.attack.learned import NasrAttack
from secateur.attack.membership import (
    RMIA,
    AttackP,
    ConfidenceThreshold,
    LiRA,
    LossThreshold,
    QuantileRegression,
)
from secateur.auditing import audit, default_attacks, needed_signals
from secateur.auditing.choices import matched_epochs, strongest, strongest_on
from secateur.auditing.subjects import observe_subjects
from secateur.compress import Magnitude
from secateur.probe import SignalProbe
from secateur.train import Snapshots, apply, train_fleet
from secateur.types import Observations
from small_world import small_membership, small_recipe, small_records

PER_RECORD = LiRA(variance="per record")
LEARNED = NasrAttack(epochs=1)
ATTACKS = (LiRA(), LossThreshold(), LEARNED)
CONSEQUENCES = (
    "false-positive rate",
    "precision at 10% prior",
    "epsilon at delta 1e-05",
    "epsilon at delta 1e-05, gdp fit",
    "reachable accuracy",
)
METRICS = {"auc", "balanced accuracy", "accuracy", "tpr at 1% fpr"}


def grown(who, attacks=ATTACKS):
    """A dense fleet with snapshots and a pruned one, over the records of the small world."""
    records = small_records()
    dense = train_fleet(
        small_recipe(),
        records,
        who,
        seed=0,
        engine="serial",
        snapshots=Snapshots(epochs=(1, 3), probe=SignalProbe(signals=needed_signals(attacks))),
    )
    pruned = apply(
        Magnitude(rate=4, retrain_epochs=1), dense, records, seed=0, engine="serial", name="small"
    )
    return records, dense, pruned


@pytest.fixture(scope="module")
def world():
    return grown(small_membership(small_records(), targets=2, references=8))


@pytest.fixture(scope="module")
def report(world):
    records, dense, pruned = world
    return audit([dense, pruned], records, attacks=ATTACKS, seed=0)


def rows_of(report, **wanted):
    return [r for r in report.rows if all(getattr(r, k) == v for k, v in wanted.items())]


def test_every_subject_has_every_metric_of_every_attack_that_can_run(report):
    stopped = {m["view"] for m in report.facts["matched"]}
    subjects = {r.subject for r in report.rows}
    assert subjects == {"dense", "small"} | stopped
    for subject in subjects:
        for attack in ATTACKS:
            rows = rows_of(report, subject=subject, method=repr(attack), versus="")
            metrics = {r.metric for r in rows if r.threat == attack.threat}
            if subject in stopped and attack is LEARNED:  # no posteriors are kept on the way
                assert not metrics
            else:
                assert metrics >= METRICS, (subject, attack)


def test_of_every_subject_the_chosen_attack_alone_has_consequences(report):
    for subject in {r.subject for r in report.rows}:
        chosen = report.facts["strongest"][subject]
        assert report.facts["chosen_on"][subject] == "references"
        for metric in CONSEQUENCES:
            rows = rows_of(report, subject=subject, metric=metric)
            assert [(r.method, r.threat) for r in rows] == [(chosen, "adaptive")], metric
        bound = rows_of(report, subject=subject, metric="epsilon at delta 1e-05")[0]
        assert bound.status == "measured" and bound.counts["rules_tried"] == 1
    assert not rows_of(report, metric="balanced accuracy of the 20 most exposed records")


def test_a_default_audit_without_references_speaks_of_the_bare_loss():
    records = small_records()
    who = small_membership(records, targets=2, references=0)
    fleet = train_fleet(small_recipe(), records, who, seed=0, engine="serial")
    report = audit(fleet, records)
    wanted = repr(LossThreshold(class_wise=False))
    assert report.facts["strongest"] == {"dense": wanted}
    assert report.facts["chosen_on"] == {"dense": "number of references"}
    assert rows_of(report, method=wanted, metric="auc")[0].status == "measured"
    assert rows_of(report, method=wanted, metric="precision at 1% prior")[0].status == "not run"


def test_adaptive_and_naive_rows_are_what_the_measures_say(world, report):
    records, dense, pruned = world
    seen = [s.observations for s in observe_subjects([dense, pruned], records, ATTACKS, workers=0)]
    who = dense.membership
    mixed = {}
    for key, values in seen[1].views["small"].items():
        mixed[key] = np.array(seen[0].views["dense"][key])
        mixed[key][who.targets] = values[who.targets]
    naive = replace(seen[1], views={"small": mixed})
    for attack in (LiRA(), LossThreshold()):
        about = {"subject": "small", "method": repr(attack)}
        for threat, observations in (("adaptive", seen[1]), ("naive", naive)):
            wanted = measure.auc(attack(observations), who, threat=threat, **about)
            kind = attack.threat if threat == "adaptive" else threat
            found = rows_of(report, metric="auc", versus="", threat=kind, **about)
            assert [r.value for r in found] == [wanted.value]
            assert (found[0].low, found[0].high) == (wanted.low, wanted.high)
    assert not rows_of(report, subject="dense", threat="naive")
    assert not rows_of(report, method=repr(LEARNED), threat="naive")


def test_differences_are_the_targets_own(report):
    for row in report.rows:
        if row.versus and row.metric == "auc":
            about = {"method": row.method, "metric": "auc", "threat": row.threat, "versus": ""}
            one = rows_of(report, subject=row.subject, **about)[0]
            other = rows_of(report, subject=row.versus, **about)[0]
            assert row.value == pytest.approx(one.value - other.value, abs=1e-12)
            assert row.counts["targets"] == 2


def test_the_whole_audit_keeps_its_choices_when_the_targets_change(world, report):
    records, dense, pruned = world
    swapped = []
    for fleet in (dense, pruned):  # another model stands where each target stood
        targets = fleet.membership.targets.tolist()
        artifacts = list(fleet.artifacts)
        for target, other in zip(targets, reversed(targets), strict=True):
            artifacts[target] = fleet.artifacts[other]
        swapped.append(replace(fleet, artifacts=artifacts))
    found = audit(swapped, records, attacks=ATTACKS, seed=0)
    assert found.facts["strongest"] == report.facts["strongest"]
    assert found.facts["matched"] == report.facts["matched"]
    about = {"subject": "dense", "method": repr(LiRA()), "metric": "auc"}
    assert rows_of(found, **about)[0].value != rows_of(report, **about)[0].value


def test_the_strongest_attack_has_the_largest_auc_on_pseudo_targets(world):
    records, dense, _ = world
    subject = observe_subjects([dense], records, ATTACKS, workers=0)[0]
    chosen = strongest([subject], ATTACKS, seed=0)[subject.name]
    assert chosen in {repr(a) for a in ATTACKS if not a.needs_posteriors}
    for attack in (LiRA(), LossThreshold()):
        assert strongest([subject], [attack], seed=0)[subject.name] == repr(attack)
    assert strongest([subject], [LEARNED], seed=0) == {subject.name: None}


def test_a_larger_auc_is_chosen_over_more_members_at_a_low_false_alarm_rate():
    who = small_membership(small_records(), targets=2, references=32)
    rng = np.random.default_rng(0)
    clear = who.inside & (rng.random(who.inside.shape) < 0.2)  # a fifth stand out, the rest do not
    seen = Observations.from_arrays(
        {
            "loss": -rng.normal(size=who.inside.shape) - who.inside,
            "log_confidence": rng.normal(size=who.inside.shape) + 9 * clear,
        },
        labels=np.arange(who.inside.shape[1]) % 2,
        membership=who,
    )
    broad, narrow = LossThreshold(class_wise=False), ConfidenceThreshold(class_wise=False)
    auc, tpr = (
        [np.mean(measure.per_target(a(seen), who, metric)) for a in (broad, narrow)]
        for metric in ("auc", "tpr")
    )
    assert auc[0] > auc[1] and tpr[0] < tpr[1]
    for attacks in ((broad, narrow), (narrow, broad)):
        assert strongest_on(seen, attacks, seed=0) == repr(broad)


def test_the_default_attacks_try_rmia_at_both_temperatures_and_keep_one_signal_for_it():
    tried = {(a.mode, a.temperature) for a in default_attacks() if isinstance(a, RMIA)}
    assert tried == {(mode, t) for mode in ("online", "offline") for t in (1.0, 4.0)}
    assert len(set(map(repr, default_attacks()))) == len(default_attacks())
    others = [a for a in default_attacks() if a not in (RMIA(), RMIA(mode="offline"))]
    further = set(needed_signals(default_attacks())) - set(needed_signals(others))
    assert [s.key for s in further] == ["log_confidence@4"]


def test_of_equally_near_epochs_the_earliest_matches(world):
    records, _, pruned = world
    subject = observe_subjects([pruned], records, ATTACKS, workers=0)[0]
    train, test = subject.accuracies()
    points = [(1, train - 0.1, test - 0.1), (2, train + 0.1, test + 0.1), (5, train + 0.1, test)]
    assert matched_epochs(points, subject) == {
        "train accuracy": 1,
        "test accuracy": 5,
        "no less test accuracy": 2,
    }


def test_an_attack_without_its_references_says_so_as_naive_too():
    records = small_records()
    who = small_membership(records, targets=2, references=8)
    inside = who.inside.copy()
    record = int(who.pools["audit"][0])
    inside[who.references, record] = np.arange(len(who.references)) > 0  # one alone is without it
    records, dense, pruned = grown(replace(who, inside=inside), (PER_RECORD, LossThreshold()))
    report = audit([dense, pruned], records, attacks=(PER_RECORD, LossThreshold()), seed=0)
    rows = rows_of(report, method=repr(PER_RECORD))
    assert {(r.subject, r.threat) for r in rows} >= {("dense", "adaptive"), ("small", "naive")}
    for row in rows:
        assert row.status == "not run" and row.value is None
        assert f"record {record} has 7 in and 1 out of 8 references" in row.why
    assert set(report.facts["strongest"].values()) == {repr(LossThreshold())}


def test_one_seed_gives_one_report(world, report):
    records, dense, pruned = world
    again = audit([dense, pruned], records, attacks=ATTACKS, seed=0)
    first, second = report.to_dict(), again.to_dict()
    contexts = [found["provenance"].pop("context") for found in (first, second)]
    for context in contexts:
        assert context.pop("made") and context.pop("audit_seconds") >= 0
    assert contexts[0] == contexts[1]
    assert first == second
    other = audit([dense, pruned], records, attacks=ATTACKS, seed=1).to_dict()
    assert other["rows"] != first["rows"]  # the learned attack alone has coins to toss
    changed = {a["method"] for a, b in zip(first["rows"], other["rows"], strict=True) if a != b}
    assert changed == {repr(LEARNED)}


def with_snapshots_for_lira():
    """Records, and dense models whose snapshots hold what LiRA reads."""
    records = small_records()
    who = small_membership(records, references=8)
    dense = train_fleet(
        small_recipe(),
        records,
        who,
        seed=0,
        engine="serial",
        snapshots=Snapshots(epochs=(1, 3), probe=SignalProbe(signals=needed_signals([LiRA()]))),
    )
    return records, dense


def test_an_attack_that_reads_more_than_snapshots_hold_leaves_the_curve_out():
    records, dense = with_snapshots_for_lira()
    report = audit(dense, records, attacks=[RMIA()])
    assert not [s for s in report.series if s.kind == "early stopping"]
    assert [row for row in report.rows if row.metric == "auc" and row.status == "measured"]


def test_the_curve_is_of_the_strongest_attack_that_snapshots_serve():
    records, dense = with_snapshots_for_lira()

    @dataclass(frozen=True, kw_only=True)
    class Knows(LossThreshold):
        """As strong as can be, and reads weights."""

        needs_more_views: ClassVar[bool] = True

        def __call__(self, observations, *, seed):
            scores = super().__call__(observations, seed=seed)
            who = observations.membership
            return replace(scores, values=who.inside[who.targets].astype(float), threshold=None)

    report = audit(dense, records, attacks=[Knows(), LossThreshold(), LiRA()])
    assert report.facts["strongest"]["dense"] == repr(Knows())
    (curve,) = [s for s in report.series if s.kind == "early stopping"]
    assert curve.method in (repr(LiRA()), repr(LossThreshold()))
    assert curve.columns["epoch"] == (1.0, 3.0)


def test_targets_hold_the_accuracy_of_the_attack_that_decides_for_itself(report):
    (row,) = rows_of(report, method=repr(LEARNED), metric="accuracy", subject="small", versus="")
    (series,) = [s for s in report.series if s.id == "targets/small"]
    assert np.mean(series.columns["insider_accuracy"]) == pytest.approx(row.value)


def test_without_a_population_attacks_that_need_one_are_rows_and_the_others_run():
    records = small_records()
    who = small_membership(records, targets=2, references=8)
    pools = {name: at for name, at in who.pools.items() if name != "population"}
    fleet = train_fleet(small_recipe(), records, replace(who, pools=pools), seed=0, engine="serial")
    attacks = (LiRA(), RMIA(), AttackP(), QuantileRegression())
    report = audit(fleet, records, attacks=attacks, seed=0)
    for attack in attacks[1:]:
        (row,) = rows_of(report, method=repr(attack), metric="auc")
        assert row.status == "not run" and "'population' is empty" in row.why
    assert report.facts["strongest"] == {"dense": repr(LiRA())}
    assert rows_of(report, method=repr(LiRA()), metric="auc")[0].status == "measured"
