"""Gradients of single records, and the attack that reads them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from torch import nn

from secateur import apply
from secateur.attack.membership import (
    HierarchicalLiRA,
    LossThreshold,
    StackedAttack,
    WhiteBox,
    pseudo_targets,
)
from secateur.attack.membership.features import SIGNALS
from secateur.auditing import audit
from secateur.auditing.choices import strongest_on
from secateur.auditing.signals import score_signals
from secateur.auditing.statements import threat_model
from secateur.compress import Magnitude
from secateur.data import planted_world
from secateur.errors import DataError, InputError, MissingViewError
from secateur.measure import per_target
from secateur.models import MLP, rebuild
from secateur.models.gradients import gradient_norms
from secateur.probe.run import join_views, observe
from secateur.probe.signals import SignalProbe
from secateur.train import Snapshots, train_fleet
from secateur.types import AUDIT, Records, Scores, Signal
from small_world import small_membership, small_recipe, small_records

QUICK = WhiteBox(rows=3000, trees=15, folds=4)
MARGIN = Signal(name="margin")
PROBE = SignalProbe(signals=(*SIGNALS, Signal(name="correct")))


def by_autograd(net, x, y, names=None, masks=None):
    """Log norm of one record's gradient by one backward pass, of some weights or all."""
    loss = nn.functional.cross_entropy(net(x[None]), y[None])
    found = dict(net.named_parameters())
    gradients = dict(zip(found, torch.autograd.grad(loss, list(found.values())), strict=True))
    parts = [
        gradients[n] * (1 if masks is None else torch.from_numpy(masks[n]))
        for n in names or gradients
    ]
    return 0.5 * np.log(sum(float((p.double() ** 2).sum()) for p in parts) + 1e-24)


def random_masks(net, seed=0):
    rng = np.random.default_rng(seed)
    return {n: rng.random(tuple(p.shape)) < 0.3 for n, p in net.named_parameters() if p.ndim > 1}


def pictures(n=7):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 1, 28, 28)).astype(np.float32)
    return Records.from_arrays(x, np.arange(n) % 10, n_classes=10, name="pictures")


class Twice(nn.Module):
    """One linear layer that every record passes twice, in a sequence of positions."""

    def __init__(self):
        super().__init__()
        self.mix, self.head = nn.Linear(4, 4), nn.Linear(8, 3)

    def forward(self, x):
        x = x.reshape(len(x), 2, 4)
        return self.head(self.mix(torch.tanh(self.mix(x))).flatten(1))


def convolutions():
    return nn.Sequential(
        nn.Conv2d(1, 4, 5, stride=2, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(inplace=True),
        nn.Conv2d(4, 6, 3, groups=2, dilation=2),
        nn.ReLU(inplace=True),
        nn.Flatten(),
        nn.Linear(6 * 9 * 9, 10),
    )


NETS = {
    "layers": (MLP(widths=(8, 6, 5, 3)), lambda: small_records(20)),
    "convolutions": (convolutions, pictures),
    "one layer twice": (Twice, lambda: small_records(9)),
}


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("net", NETS)
def test_norms_are_those_of_one_backward_pass_per_record(net, masked):
    build, make = NETS[net]
    records = make()
    torch.manual_seed(0)
    network = build()
    network.eval()
    masks = random_masks(network) if masked else None
    found = gradient_norms(network, records, masks=masks)
    weights = [n for n, p in network.named_parameters() if p.ndim > 1]
    for r in range(len(records)):
        x = torch.from_numpy(np.array(records.gather(np.array([r])))[0])
        y = torch.tensor(int(records.labels[r]))
        expected = [by_autograd(network, x, y, weights)]
        expected += [by_autograd(network, x, y, [n], masks) for n in weights]
        if masks is not None:
            gone = {n: ~m for n, m in masks.items()}
            expected += [by_autograd(network, x, y, [n], gone) for n in weights]
        assert np.allclose(found[r], expected, atol=1e-4)


def test_batches_and_modes_change_nothing_and_the_network_is_left_as_it_was(monkeypatch):
    records = pictures()
    net = convolutions()
    net.train()
    net.requires_grad_(False)
    before = {k: v.clone() for k, v in net.state_dict().items()}
    whole = gradient_norms(net, records)
    monkeypatch.setattr("secateur.models.gradients.NUMBERS", 10_000)  # two records at once
    some = gradient_norms(net, records, indices=np.array([2, 5, 6]))
    assert np.allclose(some, whole[[2, 5, 6]], atol=1e-5)
    assert net.training
    assert all(torch.equal(before[k], v) for k, v in net.state_dict().items())
    assert not any(part._forward_hooks for part in net.modules())


def test_a_deep_network_has_few_parts():
    records = small_records(9)
    deep = MLP(widths=(8, *([4] * 20), 3))()
    assert gradient_norms(deep, records).shape == (9, 9)
    assert gradient_norms(deep, records, masks=random_masks(deep)).shape == (9, 17)


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (nn.Sequential(nn.ReLU()), "no linear layer and no convolution"),
        (nn.Sequential(nn.Conv2d(1, 2, 3, padding="same")), "0 pads by 'same'"),
    ],
)
def test_what_has_no_such_gradients_is_refused(net, message):
    with pytest.raises(InputError, match=message):
        gradient_norms(net, small_records(9))


def world(shift=0.0, told=0.0, parts=3, seed=0, references=16):
    """Margins that tell by `shift`, and gradient norms whose last part tells by `told`."""
    seen = planted_world(records=1000, targets=4, references=references, shift=shift, seed=seed)
    rng = np.random.default_rng(seed)
    inside = seen.membership.inside
    norms = rng.normal(size=(inside.shape[1], parts)) + rng.normal(size=(*inside.shape, parts))
    norms[..., -1] -= told * inside
    return replace(seen, gradients={"dense": norms.astype(np.float32)})


def mean_auc(attack, seen):
    return per_target(attack(seen), seen.membership, "auc").mean()


def test_it_sees_what_gradients_alone_tell():
    seen = world(told=1.5)
    assert abs(mean_auc(HierarchicalLiRA(), seen) - 0.5) < 0.05
    assert mean_auc(QUICK, seen) > 0.8


def test_it_sees_no_less_than_the_signals_where_gradients_tell_nothing():
    seen = world(shift=1.0)
    assert mean_auc(QUICK, seen) > mean_auc(HierarchicalLiRA(), seen) - 0.02


def test_it_sees_nothing_where_nothing_is():
    assert abs(mean_auc(QUICK, world()) - 0.5) < 0.04


def test_gradients_of_pseudo_targets_are_those_of_the_references():
    seen = world()
    trial = pseudo_targets(seen)
    held = seen.gradients["dense"][seen.membership.references]
    assert np.array_equal(trial.gradients["dense"], held)


def test_it_is_chosen_on_references_where_it_sees_more():
    attacks = [HierarchicalLiRA(), StackedAttack(rows=3000, trees=15, folds=4), QUICK]
    assert strongest_on(world(shift=0.5, told=1.5), attacks, seed=0) == repr(QUICK)


def test_without_gradients_it_says_what_to_observe():
    with pytest.raises(MissingViewError, match="gradients=True"):
        QUICK(replace(world(), gradients={}))


@pytest.mark.parametrize(
    ("norms", "message"),
    [(np.zeros((2, 3, 1)), "need the shape"), (np.full((20, 1000, 1), np.nan), "NaN")],
)
def test_gradients_of_another_shape_or_not_finite_are_refused(norms, message):
    with pytest.raises(DataError, match=message):
        replace(world(), gradients={"dense": norms})


@pytest.fixture(scope="module")
def fleets():
    records = small_records()
    who = small_membership(records, targets=2, references=8)
    recipe = small_recipe()
    dense = train_fleet(
        recipe, records, who, seed=0, engine="serial", snapshots=Snapshots(epochs=(1,), probe=PROBE)
    )
    pruned = apply(Magnitude(rate=2.0, retrain_epochs=1), dense, records, seed=0, engine="serial")
    return records, dense, pruned


def test_observing_keeps_the_gradients_of_every_model_at_its_audit_records(fleets):
    records, dense, pruned = fleets
    seen = [observe(f, records, signals=[MARGIN], gradients=True) for f in (dense, pruned)]
    audit = dense.membership.pools[AUDIT]
    outside = np.setdiff1d(np.arange(len(records)), audit)
    for fleet, one, parts in zip((dense, pruned), seen, (3, 5), strict=True):
        held = one.gradients[fleet.name]
        assert held.shape == (10, len(records), parts)
        assert not held[:, outside].any()
        artifact = fleet.artifacts[4]
        net = rebuild(artifact, fleet.recipe.build)
        expected = gradient_norms(net, records, indices=audit, masks=artifact.masks)
        assert np.array_equal(held[4, audit], expected)
    both = join_views(seen[1], seen[0])
    assert sorted(both.gradients) == sorted([dense.name, pruned.name])
    assert observe(dense, records, signals=[MARGIN]).gradients == {}


def test_an_audit_runs_it_on_weights_and_leaves_snapshots_out(fleets):
    records, dense, pruned = fleets
    beside = replace(QUICK, others=(dense.name,))
    attacks = [HierarchicalLiRA(), QUICK, beside]
    report = audit([dense, pruned], records, attacks=attacks)
    rows = [r for r in report.rows if r.metric == "auc" and r.threat == "adaptive"]
    status = {(r.subject, r.method): r.status for r in rows}
    assert status[dense.name, repr(QUICK)] == status[pruned.name, repr(QUICK)] == "measured"
    assert status[pruned.name, repr(beside)] == "measured"
    assert status[dense.name, repr(beside)].startswith("not run")
    stopped = [s for s, m in status if s not in (dense.name, pruned.name) and m == repr(QUICK)]
    assert not stopped
    assert not [r for r in report.rows if r.threat == "naive" and r.method == repr(QUICK)]
    assert not [c for c in report.controls if c.subject == repr(QUICK)]


def test_norms_that_are_all_alike_give_finite_scores():
    seen = world(shift=1.0)
    flat = replace(seen, gradients={"dense": np.full_like(seen.gradients["dense"], -27.6)})
    assert np.isfinite(QUICK(flat).values).all()


def test_of_saved_signals_the_learner_reads_them_and_the_white_box_says_why_it_cannot():
    seen = replace(world(shift=1.0), gradients={})
    learner = StackedAttack(rows=3000, trees=15, folds=4)
    found = score_signals(seen, [learner, QUICK])
    assert isinstance(found[repr(learner)], Scores)
    assert "observe it with gradients=True" in found[repr(QUICK)]


@dataclass(frozen=True, kw_only=True)
class PaddedAlike:
    """A network whose convolution pads in a way that gradients of single records do not know."""

    def __call__(self):
        """Return a fresh one."""
        return nn.Sequential(
            nn.Unflatten(1, (1, 2, 4)),
            nn.Conv2d(1, 2, 3, padding="same"),
            nn.Flatten(),
            nn.Linear(16, 3),
        )


def test_an_audit_goes_on_where_a_network_has_no_such_gradients():
    records = small_records()
    who = small_membership(records, targets=2, references=8)
    fleet = train_fleet(
        small_recipe(build=PaddedAlike(), epochs=1), records, who, seed=0, engine="serial"
    )
    report = audit(fleet, records, attacks=[HierarchicalLiRA(), QUICK])
    (row,) = [r for r in report.rows if r.method == repr(QUICK) and r.metric == "auc"]
    assert row.status == "not run"
    assert "pads by 'same'" in row.why
    assert [r for r in report.rows if r.method == repr(HierarchicalLiRA()) and r.value is not None]


def test_a_report_does_not_deny_that_an_attack_reads_weights():
    told = threat_model([LossThreshold(), QUICK])
    assert "But WhiteBox reads the weights of target and references" in told
    assert "But" not in threat_model([LossThreshold()])
    beside = threat_model([replace(QUICK, others=("dense",))])
    assert "But WhiteBox reads further models of the same members beside the target" in beside
