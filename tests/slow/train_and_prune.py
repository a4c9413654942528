"""A child process that trains a small fleet of digits and prunes it into a folder."""

from __future__ import annotations

import sys
from pathlib import Path

from secateur.compress import ADMM
from secateur.data import digits, draw
from secateur.models import MLP
from secateur.train import Adam, Processes, Recipe, Stacked, apply, train_fleet


def main(folder: Path, engine: str) -> None:
    """Train 8 models and prune them, in two worker processes."""
    made_by = Stacked(models=3, workers=2) if engine == "stacked" else Processes(workers=2)
    records = digits()
    who = draw(records, targets=2, references=6, seed=0, pools={"audit": 200, "population": 50})
    recipe = Recipe(build=MLP(widths=(64, 32, 10)), optimiser=Adam(lr=2e-3), epochs=6)
    dense = train_fleet(recipe, records, who, seed=0, engine=made_by, folder=folder / "dense")
    prune = ADMM(rate=4.0, updates=3, epochs_per_update=1, retrain_epochs=2)
    apply(prune, dense, records, seed=0, engine=made_by, folder=folder / "admm")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
