"""A child process that trains a small fleet of digits and prunes it into a folder."""

from __future__ import annotations

import sys
from pathlib import Path

from lifted_network import lifted

from secateur.compress import ADMM
from secateur.data import digits, draw
from secateur.models import MLP
from secateur.probe import SignalProbe
from secateur.train import (
    Adam,
    Keep,
    Processes,
    Recipe,
    Snapshots,
    Stacked,
    apply,
    train_fleet,
)
from secateur.types import Signal

PROBE = SignalProbe(signals=(Signal(name="margin"),))


def main(folder: Path, engine: str) -> None:
    """Train 8 models and prune them, in two worker processes.

    `lifted` is a stack of networks with dropout, with snapshots, a cache, and signals kept of the
    pruned references in place of their weights.
    """
    whole = engine != "lifted"
    made_by = Processes(workers=2) if engine == "processes" else Stacked(models=3, workers=2)
    records = digits()
    who = draw(records, targets=2, references=6, seed=0, pools={"audit": 200, "population": 50})
    build = MLP(widths=(64, 32, 10)) if whole else lifted
    recipe = Recipe(build=build, optimiser=Adam(lr=2e-3), epochs=6)
    dense = train_fleet(
        recipe,
        records,
        who,
        seed=0,
        engine=made_by,
        folder=folder / "dense",
        snapshots=None if whole else Snapshots(epochs=(1, 6), probe=PROBE),
        cache=None if whole else folder / "cache",
    )
    apply(
        ADMM(rate=4.0, updates=3, epochs_per_update=1, retrain_epochs=2),
        dense,
        records,
        seed=0,
        engine=made_by,
        folder=folder / "admm",
        keep=None if whole else Keep(probe=PROBE),
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
