"""What a report says of models that are defended and not pruned."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from secateur.attack.learned import NasrAttack
from secateur.attack.membership import LiRA
from secateur.auditing import audit
from secateur.auditing.subjects import kind_of
from secateur.compress import FromScratch, Magnitude, RefreshStatistics
from secateur.defend import SmallDense, WeightDecay
from secateur.models import count_prunable
from secateur.report.words import answer
from secateur.train import Adam, Snapshots, apply, train_fleet
from small_world import SmallNet, small_membership, small_recipe, small_records


@pytest.fixture(scope="module")
def fleets():
    from secateur.auditing import needed_signals
    from secateur.models import MLP
    from secateur.probe import SignalProbe

    records = small_records(240)
    recipe = small_recipe(build=MLP(widths=(8, 20, 3)), epochs=4, optimiser=Adam(lr=0.02))
    who = small_membership(records, targets=3, references=8)
    snapshots = Snapshots(epochs=(1, 4), probe=SignalProbe(signals=needed_signals([LiRA()])))
    dense = train_fleet(recipe, records, who, seed=0, engine="serial", snapshots=snapshots)

    def made(method, fleet, name):
        return apply(method, fleet, records, seed=0, engine="serial", name=name)

    decay = made(WeightDecay(strength=5.0), dense, "decay")
    small = made(SmallDense(rate=4.0), dense, "small")
    both = made(Magnitude(rate=4.0, retrain_epochs=1), decay, "both")
    scratch = made(FromScratch(), both, "scratch")
    return records, [dense, decay, small, both, scratch]


@pytest.fixture(scope="module")
def report(fleets):
    records, found = fleets
    return audit(found, records, attacks=[LiRA(), NasrAttack(epochs=2)])


def value(report, subject, metric):
    (row,) = (r for r in report.rows if (r.subject, r.metric) == (subject, metric))
    return row.value


def test_kinds_follow_the_masks(fleets, report):
    records, (_, decay, small, both, scratch) = fleets
    assert [kind_of(f) for f in (decay, small, both, scratch)] == [
        "defended",
        "defended",
        "pruned",
        "pruned",
    ]
    whole = apply(RefreshStatistics(), decay, records, seed=0, engine="serial")
    assert whole.artifacts[0].masks
    assert kind_of(whole) == "defended"
    kinds = {name: about["kind"] for name, about in report.facts["subjects"].items()}
    assert (kinds["dense"], kinds["decay"], kinds["both"]) == ("dense", "defended", "pruned")


def test_what_was_pruned_without_masks_is_pruned(fleets):
    both = fleets[1][3]
    bare = replace(both, artifacts=[replace(a, masks={}) for a in both.artifacts])
    assert kind_of(bare) == "pruned"


def test_a_defended_model_has_the_compression_rate_one(report):
    for subject in ("decay", "small"):
        assert value(report, subject, "compression rate") == 1.0
        assert value(report, subject, "kept weights") == 1.0
    for subject in ("both", "scratch"):
        assert value(report, subject, "compression rate") == pytest.approx(4.0, rel=0.02)


def test_another_network_is_counted_beside_the_baseline_and_no_other(fleets, report):
    dense, small = fleets[1][0], fleets[1][2]
    share = count_prunable(small.recipe.build) / count_prunable(dense.recipe.build)
    assert value(report, "small", "kept of the baseline's weights") == pytest.approx(share)
    others = {r.subject for r in report.rows if r.metric == "kept of the baseline's weights"}
    assert others == {"small"}


def test_defended_models_are_compared_with_the_dense_and_the_stopped_one(report):
    for subject in ("decay", "small", "both", "scratch"):
        against = {r.versus for r in report.rows if r.subject == subject and r.versus}
        assert "dense" in against
        matched = {m["view"] for m in report.facts["matched"] if m["subject"] == subject}
        assert matched <= against
        assert any(r.subject == subject and r.threat == "naive" for r in report.rows)


def test_the_papers_own_number_is_compared_too(report):
    for subject in ("decay", "small", "both", "scratch"):
        (row,) = (
            r
            for r in report.rows
            if (r.subject, r.metric, r.versus) == (subject, "accuracy", "dense")
        )
        assert row.method.startswith("NasrAttack(")
        plain = {
            r.subject: r.value
            for r in report.rows
            if r.metric == "accuracy" and r.method == row.method and not r.versus
        }
        assert row.value == pytest.approx(plain[subject] - plain["dense"])
        assert row.low <= row.value <= row.high


def test_no_sentence_calls_a_defended_model_pruned(report):
    said = answer(report)
    about = [s for s in said if s.startswith("decay ")]
    assert about
    assert "is not pruned; it keeps all its weights" in about[0]
    assert any("small is another network, not pruned, with 2" in s for s in said)
    assert any(s.startswith("both keeps 25.0 % of the weights") for s in said)
    for sentence in said:
        if "decay" in sentence and "dense ones" in sentence:
            assert "does not prune" not in sentence
    controls = {c.subject: c.saw for c in report.controls if c.id == "adaptive"}
    assert "baseline's references" in controls["decay"]
    assert "trained in the same way" in controls["decay"]
    assert "pruned in the same way" in controls["both"]


def test_only_admm_is_asked_whether_it_converged(report):
    assert not [c for c in report.controls if c.id == "convergence"]


def test_differences_are_paired_over_the_same_targets(fleets):
    memberships = {f.membership.digest for f in fleets[1]}
    assert len(memberships) == 1
    seeds = [[a.provenance.key["seed"] for a in f.artifacts] for f in fleets[1]]
    assert all(np.array_equal(s, seeds[0]) for s in seeds)


def test_small_nets_of_a_strangers_hidden_size_need_their_own(fleets):
    from secateur.errors import MethodError

    with pytest.raises(MethodError, match="does not say how it is made narrower"):
        SmallDense().defended(small_recipe(build=SmallNet()))
