"""Attacks on several versions of a model, and on whole outputs of shadows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from secateur import apply
from secateur.attack.learned import SAMIA
from secateur.attack.membership import HierarchicalLiRA, MultiVersion, PairAttack, VectorLiRA
from secateur.auditing import audit
from secateur.auditing.scoring import score
from secateur.auditing.subjects import observe_subjects
from secateur.compress import Magnitude
from secateur.data import draw, planted_world
from secateur.errors import MethodError, MissingViewError, NotEnoughReferencesError
from secateur.measure import per_target
from secateur.models import logits_of, rebuild
from secateur.probe.run import join_views, observe, sensitivity
from secateur.probe.signals import softmax
from secateur.train import train_fleet
from secateur.types import AUDIT, Observations, Records, Scores, Signal
from small_world import small_membership, small_recipe, small_records


def versions(count=2, seed=0, references=12, shift=1.0):
    """Versions of one model: one difficulty and membership, noise of its own in each."""
    world = planted_world(records=800, targets=3, references=references, shift=0.0, seed=seed)
    rng = np.random.default_rng(seed)
    base = 3 + rng.normal(size=world.membership.inside.shape[1])
    inside = world.membership.inside
    views = {
        f"v{k}": {"margin": base + rng.normal(size=inside.shape) + shift * inside}
        for k in range(count)
    }
    return replace(world, views=views, primary="v0", posteriors={})


def mean_auc(attack, seen):
    return per_target(attack(seen), seen.membership, "auc").mean()


def test_two_versions_leak_more_than_one_and_three_more_than_two():
    seen = versions(3)
    one, two = mean_auc(HierarchicalLiRA(), seen), mean_auc(PairAttack(), seen)
    three = mean_auc(MultiVersion(), seen)
    assert one + 0.04 < two < three - 0.02


def test_versions_that_say_the_same_add_nothing():
    seen = versions(1)
    copy = {"margin": np.array(seen.views["v0"]["margin"])}
    twice = replace(seen, views={**seen.views, "copy": copy})
    assert abs(mean_auc(PairAttack(), twice) - mean_auc(HierarchicalLiRA(), seen)) < 0.01


def test_the_pair_is_the_vector_of_both_margins():
    seen = versions(3)
    both = {"margin": np.stack([seen.views["v0"]["margin"], seen.views["v2"]["margin"]], axis=1)}
    as_queries = replace(seen, views={"v0": both})
    assert np.array_equal(PairAttack(other="v2")(seen).values, VectorLiRA()(as_queries).values)
    assert np.array_equal(
        MultiVersion(others=("v2",))(seen).values, PairAttack(other="v2")(seen).values
    )


def test_the_threshold_of_a_pair_comes_from_references():
    seen = versions(2, references=16)
    moved = replace(
        seen,
        views={
            view: {k: np.where(np.arange(len(v))[:, None] < 3, v + 50, v) for k, v in s.items()}
            for view, s in seen.views.items()
        },
    )
    assert PairAttack()(seen).threshold[0] == PairAttack()(moved).threshold[0]


@pytest.mark.parametrize("attack", [PairAttack(), MultiVersion(), PairAttack(other="v0")])
def test_a_view_that_is_alone_is_refused(attack):
    with pytest.raises(MissingViewError, match="beside 'v0' there are no views; audit both"):
        attack(versions(1))


def test_a_view_that_is_named_but_missing_is_refused():
    with pytest.raises(MissingViewError, match=r"and of 'v1', 'v9', but .* \['v1', 'v2'\]"):
        MultiVersion(others=("v1", "v9"))(versions(3))


@pytest.mark.parametrize(
    "make",
    [
        lambda: PairAttack(shrink=-0.1),
        lambda: PairAttack(variant="x"),
        lambda: MultiVersion(shrink=1.1),
        lambda: MultiVersion(variant="x"),
        lambda: MultiVersion(others=("a", "a")),
        lambda: SAMIA(shadows=0),
        lambda: SAMIA(batch_size=1),
        lambda: SAMIA(dropout=1.0),
    ],
)
def test_parameters_out_of_range_are_refused(make):
    with pytest.raises(MethodError, match="got"):
        make()


@pytest.fixture(scope="module")
def fleets():
    records = small_records()
    who = small_membership(records, targets=2, references=8)
    recipe = small_recipe()
    dense = train_fleet(recipe, records, who, seed=0, engine="serial")
    pruned = apply(Magnitude(rate=2.0, retrain_epochs=1), dense, records, seed=0, engine="serial")
    return records, dense, pruned


def test_an_audit_runs_the_pair_where_both_versions_are_there(fleets):
    records, dense, pruned = fleets
    attack = PairAttack()
    report = audit([dense, pruned], records, attacks=[HierarchicalLiRA(), attack])
    rows = [r for r in report.rows if r.method == repr(attack) and r.metric == "auc"]
    status = {r.subject: r.status for r in rows}
    assert status[pruned.name] == "measured"
    assert all(
        r.status.startswith("not run")
        for r in report.rows
        if r.method == repr(attack) and r.subject == dense.name
    )
    planted = [c.subject for c in report.controls if c.id == "planted-leak"]
    assert repr(attack) not in planted


def test_a_pruned_subject_holds_the_dense_view_too(fleets):
    records, dense, pruned = fleets
    subjects = observe_subjects([dense, pruned], records, [PairAttack()], workers=0)
    assert sorted(subjects[1].observations.views) == sorted([dense.name, pruned.name])
    assert subjects[1].observations.primary == pruned.name
    assert list(subjects[0].observations.views) == [dense.name]


def test_whole_outputs_are_kept_of_targets_and_shadows_alone(fleets):
    records, dense, _ = fleets
    seen = observe(dense, records, signals=[Signal(name="margin")], shadows=3, features=True)
    assert seen.posteriors[dense.name].shape == (2, len(records), 3)
    assert seen.shadow_posteriors[dense.name].shape == (3, len(records), 3)
    assert seen.sensitivities[dense.name].shape == (5, len(records), 3)
    third = int(seen.membership.references[2])
    module = rebuild(dense.artifacts[third], dense.recipe.build)
    expected = softmax(logits_of(module, records))
    assert np.array_equal(seen.shadow_posteriors[dense.name][2], expected)
    assert np.array_equal(seen.sensitivities[dense.name][4], sensitivity(module, records, expected))
    assert np.array_equal(seen.features, records.gather(np.arange(len(records))))
    bare = observe(dense, records, signals=[Signal(name="margin")], posteriors=False)
    assert not bare.posteriors
    assert not bare.sensitivities
    assert bare.features is None


def test_views_are_joined_with_their_whole_outputs(fleets):
    records, dense, pruned = fleets
    seen = [
        observe(f, records, signals=[Signal(name="margin")], shadows=2) for f in (dense, pruned)
    ]
    both = join_views(*seen)
    assert set(both.shadow_posteriors) == set(both.sensitivities) == {dense.name, pruned.name}


def test_sensitivity_is_the_slope_of_the_softmax():
    """For one linear layer the mean of |J u| over Gaussian u is sqrt(2 / pi) ||J row||."""
    import torch
    from torch import nn

    records = small_records(40)
    torch.manual_seed(0)
    layer = nn.Linear(8, 3).eval()
    p = softmax(logits_of(layer, records)).astype(np.float64)
    weight = layer.weight.detach().double().numpy()
    jacobian = p[:, :, None] * (weight[None] - (p @ weight)[:, None, :])
    expected = np.sqrt(2 / np.pi) * np.linalg.norm(jacobian, axis=2)
    found = sensitivity(layer, records, p.astype(np.float32))
    assert found.mean() == pytest.approx(expected.mean(), rel=0.1)
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.7


def outputs(leak, seed=0, n=300, classes=4, references=4):
    """Posteriors in which members get a sharper true class, with their sensitivities."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=n)
    records = Records.from_arrays(rng.normal(size=(n, 2)), labels, n_classes=classes)
    who = draw(records, targets=2, references=references, seed=seed, pools={"audit": n})
    logits = rng.normal(size=(2 + references, n, classes))
    logits[:, np.arange(n), labels] += 1 + leak * who.inside
    p = softmax(logits)
    return Observations(
        views={"dense": {"margin": np.zeros((2 + references, n))}},
        labels=records.labels,
        membership=who,
        n_classes=classes,
        posteriors={"dense": p[:2]},
        shadow_posteriors={"dense": p[2:]},
        sensitivities={"dense": p * (1 - p)},
        ids=records.ids,
    )


FAST = SAMIA(shadows=4, epochs=12, lr=0.02, dropout=0.0)


def test_samia_sees_a_planted_leak_in_targets_that_it_never_trained_on():
    assert mean_auc(FAST, outputs(leak=4.0)) > 0.85


def test_samia_sees_nothing_where_nothing_is():
    seen = outputs(leak=0.0, n=600)
    assert abs(mean_auc(replace(FAST, epochs=3), seen) - 0.5) < 0.06


def test_samia_is_repeatable_and_blind_to_the_order_of_records():
    seen = outputs(leak=1.0, n=120)
    attack = replace(FAST, epochs=2, dropout=0.2)
    first = attack(seen, seed=1)
    assert np.array_equal(first.values, attack(seen, seed=1).values)
    assert not np.array_equal(first.values, attack(seen, seed=2).values)
    order = np.random.default_rng(0).permutation(120)
    who = seen.membership
    shuffled = replace(
        seen,
        labels=seen.labels[order],
        membership=replace(who, inside=who.inside[:, order], units=who.units[order]),
        posteriors={"dense": seen.posteriors["dense"][:, order]},
        shadow_posteriors={"dense": seen.shadow_posteriors["dense"][:, order]},
        sensitivities={"dense": seen.sensitivities["dense"][:, order]},
        ids=seen.ids[order],
    )
    found = attack(shuffled, seed=1)
    assert np.allclose(first.values[:, order], found.values, atol=1e-5)
    assert found.evaluated[:, who.pools[AUDIT]].all()


def test_samia_reads_the_sensitivities():
    seen = outputs(leak=0.0)
    told = np.where(seen.membership.inside[..., None], 1.0, 0.0) + np.zeros((1, 1, 4))
    helped = replace(seen, sensitivities={"dense": told.astype(np.float32)})
    assert mean_auc(replace(FAST, epochs=3), helped) > 0.99


def test_samia_says_what_is_missing():
    seen = outputs(leak=1.0)
    with pytest.raises(NotEnoughReferencesError, match=r"there are 4; .* SAMIA\(shadows=4\)"):
        SAMIA()(seen)
    with pytest.raises(MissingViewError, match="holds those of 0 references; observe it with"):
        FAST(replace(seen, shadow_posteriors={}))
    with pytest.raises(MissingViewError, match="posteriors=True, shadows=4"):
        FAST(replace(seen, sensitivities={}))


def test_in_an_audit_samia_is_trained_once_and_scores_every_target(fleets):
    records, dense, pruned = fleets
    attack = SAMIA(shadows=3, epochs=1)
    subjects = observe_subjects([dense, pruned], records, [attack], workers=0)
    found = score(subjects, [attack], seed=0, workers=0)
    assert [s.subject.name for s in found] == [dense.name, pruned.name]
    for item in found:
        assert isinstance(item.scores, Scores)
        assert np.array_equal(item.scores.values, attack(item.subject.observations, seed=0).values)
    too_many = score(subjects, [SAMIA(shadows=9, epochs=1)], seed=0, workers=0)
    assert "there are 8" in too_many[0].scores
