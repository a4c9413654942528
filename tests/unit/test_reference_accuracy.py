"""References that are right less or more often than the models under audit are raised."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.tree import DecisionTreeClassifier
from torch import nn

import secateur
from secateur.attack.membership import LossThreshold
from secateur.auditing.run import audit_fleets
from secateur.data import digits, draw
from secateur.measure import reference_accuracy_control
from secateur.models import MLP
from secateur.train import Recipe, train_fleet
from secateur.types import Membership, Observations

LOSS = [LossThreshold()]


def observed(rates, targets, *, n=200, seed=0, persons=None):
    """Models right on members and non-members at these rates; members by coins."""
    rng = np.random.default_rng(seed)
    persons = np.arange(n) if persons is None else persons
    inside = (rng.random((len(rates), n)) < 0.5)[:, persons]
    chance = np.where(inside, *np.asarray(rates, dtype=float).T[:, :, None])
    correct = (rng.random(inside.shape) < chance).astype(float)
    return seen_of(correct, inside, targets, persons=persons)


def seen_of(correct, inside, targets, *, persons=None):
    records = np.arange(inside.shape[1])
    who = Membership(
        inside=inside,
        roles=("target",) * targets + ("reference",) * (len(inside) - targets),
        pools={"audit": records},
        units=records.copy() if persons is None else persons,
        seed=0,
    )
    return Observations(
        views={"dense": {"correct": correct}},
        labels=records % 2,
        membership=who,
        n_classes=2,
        primary="dense",
    )


def held(seen):
    return reference_accuracy_control(seen, subject="dense")


def found(report, subject=None):
    (control,) = (
        c for c in report.controls if c.id == "reference-accuracy" and subject in (None, c.subject)
    )
    return control


def test_the_interval_is_the_two_sample_t_interval_over_models():
    # 40 members of 80; accuracies far apart, so that counting persons does not rule
    rights = [40, 30, 38, 10, 20, 4, 24]
    inside = np.zeros((7, 80), dtype=bool)
    inside[:, :40] = True
    correct = np.zeros(inside.shape)
    for row, k in zip(correct, rights, strict=True):
        row[:k] = 1
        row[40:60] = 1  # all equal on non-members
    control = held(seen_of(correct, inside, 3))
    rates = np.array(rights) / 40
    truth = stats.ttest_ind(rates[:3], rates[3:]).confidence_interval(0.95)
    assert control.value == pytest.approx(rates[:3].mean() - rates[3:].mean())
    assert (control.low, control.high) == pytest.approx((truth.low, truth.high))
    assert "their non-members, references on 50.0 % of theirs: a difference of +0.0" in control.saw


def test_one_model_is_held_to_where_one_more_reference_would_lie():
    inside = np.zeros((5, 80), dtype=bool)
    inside[:, :40] = True
    correct = np.zeros(inside.shape)
    rights = np.array([40, 20, 32, 8, 24])
    for row, k in zip(correct, rights, strict=True):
        row[:k] = row[40 : 40 + k] = 1
    control = held(seen_of(correct, inside, 1))
    others = rights[1:] / 40
    half = stats.t.ppf(0.975, 3) * others.std(ddof=1) * np.sqrt(1 + 1 / 4)
    d = 1 - others.mean()
    assert (control.low, control.high) == pytest.approx((d - half, min(1, d + half)))


@pytest.mark.parametrize("targets", [1, 8])
@pytest.mark.parametrize(
    ("own", "others"),
    [
        ((0.99, 0.80), (0.70, 0.68)),  # trained for fewer epochs
        ((0.70, 0.68), (0.99, 0.80)),  # trained for more
        ((0.80, 0.80), (0.80, 0.50)),  # on non-members alone
    ],
)
def test_references_of_another_training_are_raised(targets, own, others):
    control = held(observed([own] * targets + [others] * 16, targets))
    assert control.status == "raised"
    side = 0 if own[0] != others[0] else 1
    truth = own[side] - others[side]
    assert control.low <= truth <= control.high or abs(control.value - truth) < 0.15
    assert np.sign(control.value) == np.sign(truth)


@pytest.mark.parametrize("targets", [1, 8])
@pytest.mark.parametrize("rates", [(0.99, 0.8), (0.7, 0.65), (1.0, 1.0)])
@pytest.mark.parametrize("n", [40, 400])
def test_references_of_the_same_training_are_seldom_raised(targets, rates, n):
    worlds = 150
    raised = sum(
        held(observed([rates] * (targets + 8), targets, n=n, seed=s)).status == "raised"
        for s in range(worlds)
    )
    # two sides, each wrong in at most 5 % of worlds
    assert stats.binomtest(raised, worlds, 0.1, alternative="greater").pvalue > 0.001


def test_persons_count_and_not_their_records():
    rates = [(0.9, 0.9)] * 2 + [(0.75, 0.75)] * 4
    alone = held(observed(rates, 2, n=400))
    grouped = held(observed(rates, 2, n=400, persons=np.arange(400) // 40))
    assert alone.status == "raised" and grouped.low < 0.02


def test_a_difference_that_so_few_models_do_not_resolve_is_not_said_to_have_passed():
    rates = [(1.0, 0.9), (0.1, 0.9), (0.7, 0.9), (0.2, 0.9)]
    control = held(observed(rates, 1))
    assert control.status == "not run" and "so few cannot be told apart" in control.saw
    assert "a difference of +6" in control.saw


def test_models_that_all_answer_right_leave_an_interval():
    control = held(observed([(1.0, 1.0)] * 9, 1))
    assert control.status == "passed" and control.low < 0 < control.high


def test_what_cannot_be_compared_says_why():
    alone = observed([(0.9, 0.8)] * 2, 2)
    assert held(alone).status == "not run" and "no references" in held(alone).saw
    pair = observed([(0.9, 0.8)] * 2, 1)
    assert held(pair).saw == "one target and one reference give no interval"
    blind = observed([(0.9, 0.8)] * 4, 2)
    blind = replace(blind, views={"dense": {"margin": np.zeros((4, 200))}})
    assert held(blind).status == "not run" and "which answers are right" in held(blind).saw


def test_references_that_saw_nobody_are_compared_on_non_members():
    seen = observed([(0.9, 0.8)] * 2 + [(0.9, 0.4)] * 8, 2)
    inside = np.array(seen.membership.inside)
    inside[2:] = False
    correct = seen.views["dense"]["correct"]
    control = held(seen_of(np.array(correct), inside, 2))
    assert "of their members" not in control.saw and "of their non-members" in control.saw


@pytest.fixture(scope="module")
def fleets():
    """A fleet of digits trained for long, and one of the same draw trained for one epoch."""
    records = digits()
    who = draw(records, targets=2, references=8, seed=0)
    made = [
        train_fleet(
            Recipe(build=MLP(widths=(64, 10)), epochs=epochs, batch_size=32),
            records,
            who,
            seed=0,
            engine="serial",
        )
        for epochs in (12, 1)
    ]
    return records, who, *made


def test_a_fleet_of_one_training_passes_and_undertrained_references_are_raised(fleets):
    records, who, strong, weak = fleets
    assert found(audit_fleets(strong, records, attacks=LOSS)).status == "passed"
    mixed = [(strong if m in who.targets else weak).artifacts[m] for m in range(len(who))]
    control = found(audit_fleets(replace(strong, artifacts=mixed), records, attacks=LOSS))
    assert control.status == "raised" and control.low > 0.02
    assert control.subject == strong.name


def long_trained(x, y, epochs=150):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    steps = torch.optim.Adam(net.parameters(), lr=1e-2)
    for _ in range(epochs):
        steps.zero_grad()
        nn.functional.cross_entropy(net(torch.from_numpy(x)), torch.from_numpy(y)).backward()
        steps.step()
    return net


@pytest.fixture(scope="module")
def handed():
    records = digits()
    drawn = np.random.default_rng(0).permutation(len(records))[:600]  # they lie by writer
    x = records.gather(drawn).reshape(600, -1)
    x, y = np.ascontiguousarray(x / x.max(), dtype=np.float32), records.labels[drawn].copy()
    return (x[:300], y[:300]), (x[300:], y[300:])


@pytest.mark.parametrize(("epochs", "status"), [(1, "raised"), (40, "passed")])
def test_one_network_beside_a_recipe_of_too_few_epochs(handed, epochs, status):
    inside, outside = handed
    net = long_trained(*inside)
    build = lambda: nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))  # noqa: E731
    recipe = Recipe(build=build, epochs=epochs, batch_size=30)
    report = secateur.audit(
        net,
        members=inside,
        non_members=outside,
        recipe=recipe,
        references=4,
        attacks=LOSS,
    )
    assert found(report).status == status, found(report).saw


@pytest.mark.parametrize(("depth", "status"), [(1, "raised"), (None, "passed")])
def test_an_estimator_whose_settings_were_changed_after_it_was_fitted(handed, depth, status):
    inside, outside = handed
    tree = DecisionTreeClassifier(random_state=0).fit(*inside).set_params(max_depth=depth)
    report = secateur.audit(tree, members=inside, non_members=outside, references=6, attacks=LOSS)
    assert found(report).status == status, found(report).saw


@pytest.mark.parametrize(("own", "status"), [(0.98, "raised"), (0.7, "passed")])
def test_saved_logits_are_compared_where_labels_are_known(own, status):
    seen = observed([(own, 0.7)] + [(0.7, 0.7)] * 16, 1, n=800)
    inside, labels = np.array(seen.membership.inside), np.array(seen.labels)
    right = np.array(seen.views["dense"]["correct"]) > 0
    said = np.where(right, labels, 1 - labels)
    logits = 3.0 * np.eye(2)[said] + np.random.default_rng(1).normal(size=(17, 800, 2)) / 10
    report = secateur.audit(
        {"logits": logits[0], "labels": labels, "inside": inside[0]},
        references={"logits": logits[1:], "labels": labels, "inside": inside[1:]},
        attacks=LOSS,
    )
    assert found(report).status == status, found(report).saw
    assert found(report).subject == "given"
