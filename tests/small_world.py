"""A small world that trains in milliseconds: made records, a membership, a recipe."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import nn

from secateur.data import draw
from secateur.models import prunable
from secateur.train import Adam, Phase, Recipe
from secateur.train.batches import TrainData
from secateur.train.loop import run_phases
from secateur.types import Membership, Records

FEATURES = 8
CLASSES = 3


@dataclass(frozen=True, kw_only=True)
class SmallNet:
    """A two-layer network, with dropout and BatchNorm where asked."""

    hidden: int = 12
    dropout: float = 0.0
    batch_norm: bool = False

    def __call__(self) -> nn.Module:
        """Return a fresh network."""
        layers: list[nn.Module] = [nn.Linear(FEATURES, self.hidden)]
        if self.batch_norm:
            layers.append(nn.BatchNorm1d(self.hidden))
        layers += [nn.ReLU(), nn.Dropout(self.dropout), nn.Linear(self.hidden, CLASSES)]
        return nn.Sequential(*layers)


def small_records(n: int = 120, seed: int = 0) -> Records:
    """Return records whose labels follow a linear rule, with noise."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, FEATURES)).astype(np.float32)
    y = np.argmax(x[:, :CLASSES] + 0.3 * rng.normal(size=(n, CLASSES)), axis=1)
    return Records.from_arrays(x, y, n_classes=CLASSES, name="small")


def small_membership(records: Records, targets: int = 2, references: int = 4) -> Membership:
    """Return a draw over half of the records."""
    return draw(records, targets=targets, references=references, seed=3)


def small_recipe(**changes: object) -> Recipe:
    """Return a recipe of three epochs."""
    fields: dict[str, object] = {
        "build": SmallNet(),
        "optimiser": Adam(lr=1e-2),
        "epochs": 3,
        "batch_size": 16,
    }
    return Recipe(**{**fields, **changes})  # type: ignore[arg-type]


def run_alone(net: nn.Module, data: TrainData, recipe: Recipe, *, seed: int) -> nn.Module:
    """Train a network in place for the recipe's epochs, outside of any fleet, and return it."""
    initial = {n: p.detach().clone() for n, p in net.named_parameters()}
    context = (initial, prunable(net))
    run_phases(
        net, (Phase(epochs=recipe.epochs),), recipe, data, streams={}, context=context, seed=seed
    )
    return net
