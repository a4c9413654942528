"""A graphics card: the same code, the same results up to rounding.

Run by hand where there is one: `python -m pytest -m gpu tests/gpu`.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from secateur.attack.membership import LiRA, LossThreshold
from secateur.auditing import audit, needed_signals
from secateur.compress import ADMM, Magnitude, RandomMask
from secateur.data import digits, draw, restrict
from secateur.defend import DPSGD
from secateur.models import MLP, LeNet5, MobileNetV2, ResNet18, SmallCNN
from secateur.probe import SignalProbe
from secateur.probe.run import observe
from secateur.train import (
    SGD,
    Adam,
    RandomCrop,
    RandomFlip,
    Recipe,
    Snapshots,
    Stacked,
    apply,
    train_fleet,
)
from secateur.types import ArraySource, Records, Signal

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(300)]
CARD = "cuda:0"
NETWORKS = {
    "MLP": (MLP(widths=(12, 16, 4)), (12,)),
    "LeNet5": (LeNet5(classes=4), (1, 28, 28)),
    "SmallCNN": (SmallCNN(widths=(4, 8, 8), classes=4), (3, 16, 16)),
    "ResNet18": (ResNet18(width=0.125, classes=4), (3, 16, 16)),
    "MobileNetV2": (MobileNetV2(width=0.25, classes=4), (3, 16, 16)),
}


@pytest.fixture(autouse=True)
def _full_precision():
    """Without TF32 in convolutions a difference is rounding alone."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32 = before


def _world(shape, n=96):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(n, *shape)).astype(np.float32)
    labels = np.arange(n) % 4
    records = Records(source=ArraySource(values=values), labels=labels, n_classes=4)
    return records, draw(records, targets=1, references=2, seed=0)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_first_steps_are_those_of_the_cpu(name):
    build, shape = NETWORKS[name]
    records, who = _world(shape)
    recipe = Recipe(build=build, epochs=1, batch_size=16, optimiser=Adam(lr=1e-4))
    here, there = (
        train_fleet(recipe, records, who, seed=0, engine=Stacked(models=3, device=d, workers=1))
        for d in ("cpu", CARD)
    )
    for a, b in zip(here.artifacts, there.artifacts, strict=True):
        for key, value in a.tensors.items():
            np.testing.assert_allclose(b.tensors[key], value, atol=5e-3, err_msg=key)


@pytest.mark.parametrize("clipping", ["ghost", "materialised"])
def test_dp_sgd_trains_there(clipping):
    build, shape = NETWORKS["LeNet5"]
    records, _ = _world(shape)
    how = {"noise_multiplier": 1e-6, "batch_size": 96, "epochs": 3, "build": build}
    how |= {"optimiser": SGD(lr=0.1, weight_decay=0.0), "clipping": clipping}
    here, there = (DPSGD(**how, device=d)(records, seed=0) for d in ("cpu", CARD))
    for (name, a), b in zip(here.named_parameters(), there.parameters(), strict=True):
        assert b.device.type == "cpu"
        torch.testing.assert_close(b, a, atol=1e-3, rtol=1e-3, msg=name)


@pytest.mark.parametrize(
    "method",
    [ADMM(rate=4.0, updates=2), Magnitude(rate=4.0), RandomMask(rate=4.0)],
    ids=["ADMM", "Magnitude", "RandomMask"],
)
def test_pruning_keeps_as_many_weights_as_on_the_cpu(method):
    build, shape = NETWORKS["SmallCNN"]
    records, who = _world(shape)
    recipe = Recipe(
        build=build, epochs=2, batch_size=16, hooks=(RandomCrop(padding=2), RandomFlip())
    )
    card = Stacked(models=3, device=CARD)
    dense = train_fleet(recipe, records, who, seed=0, engine=card)
    pruned = apply(method, dense, records, seed=0, engine=card)
    beside = apply(method, dense, records, seed=0, engine="serial")
    for a, b in zip(pruned.artifacts, beside.artifacts, strict=True):
        for key, mask in a.masks.items():
            assert mask.sum() == b.masks[key].sum()
            assert not np.any(a.tensors[key][~mask])


def test_the_same_card_gives_the_same_models_up_to_rounding():
    build, shape = NETWORKS["LeNet5"]
    records, who = _world(shape)
    recipe = Recipe(build=build, epochs=2, batch_size=16)
    one, two = (
        train_fleet(recipe, records, who, seed=0, engine=Stacked(models=3, device=CARD))
        for _ in range(2)
    )
    for a, b in zip(one.artifacts, two.artifacts, strict=True):
        for key, value in a.tensors.items():
            np.testing.assert_allclose(b.tensors[key], value, atol=1e-4, err_msg=key)


@pytest.mark.parametrize("more", [{"precision": "bfloat16"}, {"compile": True}], ids=repr)
def test_lower_precision_and_compiled_stacks_learn_as_well(more):
    everything = digits()
    pools = {"audit": 600, "population": 100, "utility": 400}
    records, who = restrict(
        everything, draw(everything, targets=2, references=4, seed=0, pools=pools)
    )
    recipe = Recipe(build=MLP(widths=(64, 128, 10)), epochs=15, optimiser=Adam(lr=2e-3))
    tests = []
    for how in ({}, more):
        engine = Stacked(models=6, device=CARD, **how)
        fleet = train_fleet(recipe, records, who, seed=0, engine=engine)
        seen = observe(fleet, records, signals=[Signal(name="correct")], device=CARD)
        correct = seen.views["dense"]["correct"]
        tests.append(correct[:, who.pools["utility"]].mean())
    assert tests[0] > 0.85
    assert abs(tests[1] - tests[0]) < 0.03


def test_queries_on_the_card_see_what_queries_on_the_cpu_see():
    build, shape = NETWORKS["ResNet18"]
    records, who = _world(shape)
    recipe = Recipe(build=build, epochs=1, batch_size=16)
    fleet = train_fleet(recipe, records, who, seed=0, engine=Stacked(models=3, device=CARD))
    signals = [Signal(name="margin"), Signal(name="log_confidence")]
    here, there = (observe(fleet, records, signals=signals, device=d) for d in ("cpu", CARD))
    for key, values in here.views["dense"].items():
        np.testing.assert_allclose(there.views["dense"][key], values, atol=1e-3)


def test_the_whole_way_gives_a_report_like_that_of_the_cpu():
    everything = digits()
    pools = {"audit": 400, "population": 100, "utility": 400}
    records, who = restrict(
        everything, draw(everything, targets=4, references=12, seed=0, pools=pools)
    )
    recipe = Recipe(build=MLP(widths=(64, 128, 10)), epochs=40, batch_size=32)
    attacks = [LiRA(), LossThreshold()]
    found = {}
    for name, engine in (("cpu", "serial"), (CARD, Stacked(models=16, device=CARD))):
        probe = SignalProbe(signals=needed_signals(attacks))
        dense = train_fleet(
            recipe,
            records,
            who,
            seed=0,
            engine=engine,
            snapshots=Snapshots(epochs=(5, 40), probe=probe),
        )
        admm = apply(ADMM(rate=4.0), dense, records, seed=0, engine=engine)
        report = audit([dense, admm], records, attacks=attacks, device=name)
        found[name] = {
            (r.subject, r.method, r.metric): r
            for r in report.rows
            if r.metric == "auc" and not r.versus and r.threat != "naive"
        }
    assert found["cpu"]
    assert found["cpu"].keys() == found[CARD].keys()
    for key, row in found["cpu"].items():
        assert abs(found[CARD][key].value - row.value) < 0.05, key
