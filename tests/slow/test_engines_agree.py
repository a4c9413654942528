"""Whole trainings on two engines agree in distribution: accuracy and AUC, dense and pruned."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from torch import Tensor, nn

from secateur.attack.membership import LiRA
from secateur.compress import ADMM
from secateur.data import digits, draw
from secateur.measure import auc, difference
from secateur.models import SmallCNN
from secateur.probe.run import observe
from secateur.train import SGD, Recipe, Stacked, apply, train_fleet
from secateur.types import UTILITY, Records, Signal

pytestmark = pytest.mark.slow

SIGNALS = (Signal(name="margin"), Signal(name="correct"))


class Own(nn.Module):
    """A stranger's network, with dropout and a branch that no tracer follows."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(64, 48)
        self.drop = nn.Dropout(0.3)
        self.second = nn.Linear(48, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        if x.shape[0] > 0:
            x = self.drop(self.first(x).relu())
        out: Tensor = self.second(x)
        return out


@dataclass(frozen=True, kw_only=True)
class BuildOwn:
    """Builds it."""

    def __call__(self) -> nn.Module:
        """Return a fresh one."""
        return Own()


NETWORKS = {
    "BatchNorm": Recipe(
        build=SmallCNN(channels=1, widths=(8, 16), classes=10),
        optimiser=SGD(lr=0.05),
        epochs=30,
        batch_size=32,
    ),
    "lifted by vmap": Recipe(build=BuildOwn(), epochs=40, batch_size=32),
}


def mislabelled() -> Records:
    """Return digits of which a quarter have another label, so that members stand out."""
    records, rng = digits(), np.random.default_rng(0)
    wrong = rng.random(len(records)) < 0.25
    labels = np.where(
        wrong, (records.labels + rng.integers(1, 10, len(records))) % 10, records.labels
    )
    return replace(records, labels=labels)


@pytest.mark.parametrize("name", NETWORKS)
def test_accuracy_and_auc_agree_between_serial_and_stacked(name):
    records, recipe = mislabelled(), NETWORKS[name]
    pools = {"audit": 300, "population": 100, "utility": 800}
    who = draw(records, targets=12, references=16, seed=4, pools=pools)
    found = {}
    for engine in ("serial", Stacked(models=7, workers=1)):
        dense = train_fleet(recipe, records, who, seed=0, engine=engine)
        prune = ADMM(rate=4, updates=3, epochs_per_update=1, retrain_epochs=3)
        small = apply(prune, dense, records, seed=0, engine=engine)
        for fleet in (dense, small):
            seen = observe(fleet, records, signals=SIGNALS, posteriors=False)
            correct = seen.plain(SIGNALS[1])[:, who.pool(UTILITY)]
            scores = LiRA(variance="shared")(seen)
            found[(str(engine), fleet.name)] = (correct.mean(axis=1), scores)
    one, other = "serial", str(Stacked(models=7, workers=1))
    for fleet in ("dense", "admm"):
        accuracies, scores = zip(found[(one, fleet)], found[(other, fleet)], strict=True)
        gap = accuracies[0] - accuracies[1]
        noise = gap.std(ddof=1) / np.sqrt(len(gap))
        assert abs(gap.mean()) < 4 * noise + 1e-3, (fleet, gap.mean(), noise)
        about = (fleet, fleet, "LiRA")
        paired = difference(scores[0], scores[1], who, "auc", about=about)
        assert paired.value is not None
        assert paired.low is not None
        half = paired.value - paired.low  # 95 %: 2.2 standard errors at 12 targets
        assert abs(paired.value) < 2 * half + 1e-3, (fleet, paired.value, half)
        leak = auc(scores[0], who, subject=fleet, method="LiRA").value
        assert leak is not None
        assert leak > 0.52  # there is something to agree on
