"""Label-only and indirect attacks: their scores by hand, and planted leaks that only they see."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from command_line import secateur, train
from oracles import perturbed as oracle
from secateur import (
    Augmented,
    GapAttack,
    LabelOnly,
    MeanSignal,
    NearestRecords,
    Neighbours,
    Noise,
    Observations,
    VectorLiRA,
)
from secateur.auditing import audit, audit_signals
from secateur.data import draw, planted_world
from secateur.errors import InputError, MethodError, MissingViewError
from secateur.measure import per_target
from secateur.probe.means import Asked
from secateur.probe.signals import signals
from secateur.train import train_fleet
from secateur.types import AUDIT, Records, Signal
from small_world import SmallNet, small_membership, small_recipe, small_records

CORRECT, MARGIN = Signal(name="correct"), Signal(name="margin")
TWO = (Noise(queries=6), Noise(sd=2.0, queries=10))


def world(shift=1.5, seed=0, records=200, references=8):
    """Made labels under two kinds of noise, and made margins at neighbours."""
    made = planted_world(
        records=records, targets=2, references=references, shift=shift, seed=seed, hardness=1.5
    )
    rng = np.random.default_rng(seed)
    margin = made.views["dense"]["margin"]
    views = {"margin": margin, "correct": made.views["dense"]["correct"]}
    for p in TWO:
        kept = rng.binomial(len(p), 1 / (1 + np.exp(-margin / 2)))
        views[MeanSignal(name="correct", over=p).key] = kept / len(p)
    near = MeanSignal(name="margin", over=NearestRecords()).key
    views[near] = margin / 3 + rng.normal(size=margin.shape)
    return replace(made, views={"dense": views})


def mean_auc(attack, seen):
    return per_target(attack(seen), seen.membership, "auc").mean()


def shares(seen, record, model):
    """Right labels of all queries of each kind, and how many these are."""
    views = seen.views["dense"]
    for p in TWO:
        perturbed = views[MeanSignal(name="correct", over=p).key][model, record] * len(p)
        yield views["correct"][model, record] + perturbed, 1 + len(p)


def test_the_count_is_the_mean_share_of_queries_with_the_true_label():
    seen = world()
    who = seen.membership
    found = LabelOnly(perturbations=TWO, score="count")(seen)
    for row, m in enumerate(who.targets):
        for r in who.pools[AUDIT]:
            by_hand = np.mean([right / n for right, n in shares(seen, r, m)])
            assert found.values[row, r] == pytest.approx(by_hand, abs=1e-9)


def test_the_difference_subtracts_what_references_out_say():
    seen = world()
    who = seen.membership
    found = LabelOnly(perturbations=TWO[:1], score="difference")(seen).values
    for row, m in enumerate(who.targets):
        for r in who.pools[AUDIT]:
            share = {k: next(c / n for c, n in shares(seen, r, k)) for k in (m, *who.references)}
            out = [share[k] for k in who.references if not who.inside[k, r]]
            assert found[row, r] == pytest.approx(share[m] - np.mean(out), abs=1e-9)


def test_the_ratio_is_that_of_the_vector_of_log_odds():
    seen = world()
    models, records = seen.membership.inside.shape
    odds = [
        [[oracle.log_odds(c, n) for c, n in shares(seen, r, m)] for r in range(records)]
        for m in range(models)
    ]
    as_queries = replace(seen, views={"dense": {"margin": np.moveaxis(odds, 2, 1)}})
    assert np.allclose(
        LabelOnly(perturbations=TWO)(seen).values, VectorLiRA()(as_queries).values, atol=1e-8
    )


@pytest.mark.parametrize("use", ["joint", "sum", "alone"])
def test_neighbours_are_joined_with_the_direct_query_as_asked(use):
    seen = world()
    near = seen.views["dense"][MeanSignal(name="margin", over=NearestRecords()).key]
    own = seen.views["dense"]["margin"]

    def ratio(*parts):
        return VectorLiRA()(replace(seen, views={"dense": {"margin": np.stack(parts, 1)}})).values

    expected = {
        "joint": lambda: ratio(near, own),
        "sum": lambda: ratio(near) + ratio(own),
        "alone": lambda: ratio(near),
    }[use]()
    assert np.allclose(Neighbours(use=use)(seen).values, expected, atol=1e-9)


def test_the_gap_attack_finds_half_of_the_gap_of_accuracies():
    seen = world(shift=3.0, records=2000)
    who = seen.membership
    audit_pool = who.pools[AUDIT]
    scores = GapAttack()(seen)
    assert (scores.threshold == 0.5).all()
    for row, m in enumerate(who.targets):
        inside = who.inside[m, audit_pool]
        right = seen.views["dense"]["correct"][m, audit_pool]
        gap = right[inside].mean() - right[~inside].mean()
        found = per_target(scores, who, "auc")[row]
        assert gap > 0.02 and found == pytest.approx(0.5 + gap / 2)


def test_labels_under_noise_find_more_than_the_label_and_less_than_the_margin():
    seen = world(shift=2.0, records=4000, references=16)
    gap, labels, margin = (
        mean_auc(a, seen) for a in (GapAttack(), LabelOnly(perturbations=TWO), VectorLiRA())
    )
    assert gap + 0.1 < labels < margin - 0.03


def test_references_tell_hard_records_apart_where_a_count_does_not():
    seen = world(shift=2.0, records=4000, references=16)
    count, difference, ratio = (
        mean_auc(LabelOnly(perturbations=TWO, score=s), seen)
        for s in ("count", "difference", "likelihood ratio")
    )
    assert count + 0.02 < min(difference, ratio)


class Around(nn.Module):
    """Answers with the labels of its members around an input, and never with its own."""

    def __init__(self, x, y, width):
        super().__init__()
        self.x, self.votes, self.width = torch.from_numpy(x), nn.functional.one_hot(y, 2), width
        self.at = nn.Parameter(torch.zeros(1))

    def forward(self, inputs):
        gaps = torch.cdist(inputs, self.x, compute_mode="donot_use_mm_for_euclid_dist") ** 2
        weights = torch.exp(-gaps / self.width**2) * (gaps > 1e-12)
        return torch.log(weights @ self.votes.float() + 0.1)


def smoothed(*, width, seed=0):
    """Observe made models that hide a member's label at the member alone, and say it beside it."""
    rng = np.random.default_rng(seed)
    x = rng.random((1600, 2)).astype(np.float32)
    records = Records.from_arrays(x, rng.integers(0, 2, 1600))
    who = draw(records, targets=3, references=16, seed=seed)
    near = MeanSignal(name="margin", over=NearestRecords(k=3))
    asked = Asked.about(records, who, [near])
    found = {"margin": [], near.key: []}
    for m in range(len(who)):
        members = who.members(m)
        module = Around(x[members], torch.from_numpy(records.labels[members]), width)
        with torch.no_grad():
            logits = module(torch.from_numpy(x)).numpy()
        found["margin"].append(signals(logits, records.labels, [MARGIN])["margin"])
        found[near.key].append(asked.means(module, records)[0][near.key])
    made = {key: np.stack(values) for key, values in found.items()}
    return Observations.from_arrays(made, labels=records.labels, membership=who), NearestRecords(
        k=3
    )


def test_neighbours_find_a_label_that_the_model_hides_at_the_record_itself():
    seen, nearest = smoothed(width=0.02)
    assert abs(mean_auc(VectorLiRA(), seen) - 0.5) < 0.04
    for use in ("alone", "joint", "sum"):
        assert mean_auc(Neighbours(perturbations=(nearest,), use=use), seen) > 0.65, use


def test_neighbours_find_nothing_where_labels_do_not_travel():
    seen, nearest = smoothed(width=1e-5)
    assert abs(mean_auc(Neighbours(perturbations=(nearest,), use="alone"), seen) - 0.5) < 0.04


@pytest.fixture(scope="module")
def fleet():
    records = small_records(n=240)
    who = small_membership(records, targets=4, references=16)
    recipe = small_recipe(build=SmallNet(hidden=48), epochs=60)
    return records, train_fleet(recipe, records, who, seed=0, engine="serial")


def test_an_audit_finds_the_leak_of_overfitted_models_by_labels_alone(fleet):
    records, models = fleet
    attacks = [LabelOnly(perturbations=(Noise(sd=0.5),)), GapAttack()]
    report = audit(models, records, attacks=attacks)
    found = {r.method: r.value for r in report.rows if r.metric == "auc"}
    assert found[repr(attacks[0])] > found[repr(attacks[1])] > 0.5
    planted = {c.subject: c.status for c in report.controls if c.id == "planted-leak"}
    assert planted == {repr(attacks[0]): "passed"}
    assert {c.status for c in report.controls if c.id == "null"} == {"passed"}


def test_pictures_are_asked_for_and_a_table_is_a_row_that_says_why(fleet):
    records, models = fleet
    wrong = LabelOnly(perturbations=(Augmented(),))
    report = audit(models, records, attacks=[wrong, GapAttack()])
    rows = [r for r in report.rows if r.method == repr(wrong) and r.metric == "auc"]
    assert [r.status for r in rows] == ["not run"]
    assert "needs pictures [channels, height, width]" in rows[0].why


def test_saved_signals_have_no_perturbed_queries():
    made = planted_world(records=60, targets=1, references=8, shift=1.0, seed=0)
    with pytest.raises(InputError, match="perturbed records: run it on a fleet with `secateur aud"):
        audit_signals(made, [LabelOnly()])


def test_a_reason_that_was_kept_is_the_message():
    seen = replace(world(), missing={LabelOnly().needs[1].key: "these are no pictures"})
    with pytest.raises(MissingViewError, match="these are no pictures"):
        LabelOnly()(seen)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LabelOnly(score="mean"), "score must be 'likelihood ratio', 'difference' or"),
        (lambda: LabelOnly(perturbations=()), r"at least one, got \(\); GapAttack\(\) asks"),
        (lambda: LabelOnly(perturbations=(Noise(), Noise())), "must be different"),
        (lambda: LabelOnly(shrink=2.0), "shrink must be in"),
        (lambda: Neighbours(use="both"), "use must be 'joint', 'sum' or 'alone', got 'both'"),
        (lambda: Neighbours(perturbations=()), "at least one, got"),
        (lambda: Neighbours(variant="x"), "variant must be"),
    ],
)
def test_parameters_out_of_range_are_refused(make, message):
    with pytest.raises(MethodError, match=message):
        make()


def test_the_command_line_runs_them_on_digits(tmp_path):
    assert train(tmp_path / "dense").code == 0
    spelled = [
        "LabelOnly(perturbations=(Noise(sd=0.5, queries=4), Augmented(translate=1, flip=True)))",
        "LabelOnly(score='count', perturbations=(Noise(queries=4),))",
        "Neighbours(perturbations=(NearestRecords(k=3),))",
        "GapAttack",
    ]
    options = [part for s in spelled for part in ("--attack", s)]
    out = tmp_path / "r.json"
    done = secateur("audit", tmp_path / "dense", *options, "--workers", "1", "--out", out)
    assert done.code == 0, done.err
    rows = [r for r in json.loads(out.read_text())["rows"] if r["metric"] == "auc"]
    measured = {r["method"].partition("(")[0] for r in rows if r["status"] == "measured"}
    assert measured == {"LabelOnly", "Neighbours", "GapAttack"}


@pytest.mark.parametrize(
    ("spelled", "message"),
    [
        ("Noise(sd=1.0)", "Noise is a perturbation, named inside an attack"),
        ("LabelOnly(perturbations=(Noice(),))", "did you mean 'Noise'?"),
        ("LabelOnly(perturbations=Noise())", "perturbations must be a tuple of Perturbations"),
    ],
)
def test_a_wrong_spelling_is_explained(tmp_path, spelled, message):
    assert train(tmp_path / "dense").code == 0
    done = secateur("audit", tmp_path / "dense", "--attack", spelled, "--out", tmp_path / "r.json")
    assert done.code == 2 and message in " ".join(done.err.split())
