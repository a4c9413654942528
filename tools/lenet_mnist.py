"""ADMM on LeNets over all of MNIST, at rates of the literature, beside one-shot magnitude.

    python -m tools.lenet_mnist --data-dir DATA --network LeNet5 --seeds 3 --out lenet5.json
    python -m tools.lenet_mnist --data-dir DATA --network LeNet20 --seeds 1 --out lenet20.json

All 60,000 training pictures are members, the 10,000 test pictures are never read in training.
Both routes start from the same dense network and take the same number of epochs: ADMM, hard prune,
masked retraining; or as many epochs of further dense training, one-shot magnitude, the same
retraining.
Models lie in `--work` and are found again: an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import logsumexp

from secateur import store
from secateur.compress import ADMM, Magnitude, convergence, count_kept
from secateur.context import hardware
from secateur.data import load
from secateur.errors import SecateurError
from secateur.models import LeNet5, LeNet20, logits_of, prunable, rebuild
from secateur.train import Adam, Recipe, Serial, apply, train_fleet
from secateur.types import AUDIT, Fleet, Membership, Records

NETWORKS = {"LeNet5": LeNet5(), "LeNet20": LeNet20()}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A budget, and how many epochs each part takes."""

    budget: dict[str, Any]
    updates: int
    rho: tuple[float, float]
    retrain_epochs: int
    lr: float
    retrain_lr: float


# LeNet-5: the paper's rate, over all layers together, since its layers' rates are not published.
# LeNet20: the layers' sparsities of Zhang et al. 2018, 71x in all; they train ADMM for 125 epochs.
PLANS = {
    "LeNet5": Plan(
        budget={"rate": 15.78, "scope": "global"},
        updates=10,
        rho=(1e-2, 3.0),
        retrain_epochs=15,
        lr=2e-3,
        retrain_lr=1e-3,
    ),
    "LeNet20": Plan(
        budget={
            "sparsities": (
                ("0.weight", 0.8),
                ("2.weight", 0.92),
                ("5.weight", 0.991),
                ("7.weight", 0.93),
            )
        },
        updates=10,
        rho=(1e-2, 3.0),
        retrain_epochs=20,
        lr=1e-3,
        retrain_lr=1e-3,
    ),
}
TRAIN, TEST = slice(0, 60_000), slice(60_000, 70_000)


def everything_inside(records: Records, seeds: int) -> Membership:
    """Return a membership in which every model trains on the canonical training pictures."""
    inside = np.zeros((seeds, len(records)), dtype=np.bool_)
    inside[:, TRAIN] = True
    assert records.units is not None  # set by Records
    return Membership(
        inside=inside,
        roles=("given",) * seeds,
        pools={AUDIT: np.arange(len(records))},
        units=records.units,
        seed=0,
        drawn=False,
    )


def steps(plan: Plan) -> dict[str, tuple[str, Any]]:
    """Return each step's name, the step that it starts from, and its transform."""
    optimiser = Adam(lr=plan.lr)
    toward = ADMM(
        **plan.budget, updates=plan.updates, rho=plan.rho, optimiser=optimiser, retrain_epochs=0
    )
    further = Magnitude(
        sparsity=0.0,
        retrain_epochs=toward.updates * toward.epochs_per_update,
        optimiser=optimiser,
    )
    once = Magnitude(**plan.budget, retrain_epochs=0)
    last = Magnitude(
        **plan.budget,
        retrain_epochs=plan.retrain_epochs,
        optimiser=Adam(lr=plan.retrain_lr, schedule="cosine"),
    )
    return {
        "admm, hard pruned": ("dense", toward),
        "admm, retrained": ("admm, hard pruned", last),
        "dense, trained on": ("dense", further),
        "magnitude, hard pruned": ("dense, trained on", once),
        "magnitude, retrained": ("magnitude, hard pruned", last),
    }


def measured(fleet: Fleet, records: Records, name: str) -> list[dict[str, Any]]:
    """Return one row per model: losses and accuracies on the two parts, weights kept, residuals."""
    rows = []
    for seed, artifact in enumerate(fleet.artifacts):
        module = rebuild(artifact, fleet.recipe.build)
        logits = logits_of(module, records).astype(np.float64)
        loss = logsumexp(logits, axis=1) - logits[np.arange(len(records)), records.labels]
        right = logits.argmax(axis=1) == records.labels
        counts = count_kept(artifact.tensors, prunable(module), dict(module.named_parameters()))
        rows.append(
            {
                "step": name,
                "seed": seed,
                "train_loss": float(loss[TRAIN].mean()),
                "test_loss": float(loss[TEST].mean()),
                "train_accuracy": float(right[TRAIN].mean()),
                "test_accuracy": float(right[TEST].mean()),
                **counts,
                "residual": convergence(artifact),
                "kept_per_layer": {
                    layer: [
                        int(np.count_nonzero(artifact.tensors[layer])),
                        artifact.tensors[layer].size,
                    ]
                    for layer in prunable(module)
                },
            }
        )
        print(
            f"{name}, seed {seed}: test accuracy {100 * rows[-1]['test_accuracy']:.2f} %, "
            f"train loss {rows[-1]['train_loss']:.5f}, "
            f"kept {counts['kept']} of {counts['prunable']}",
            flush=True,
        )
    return rows


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Train, prune and measure every step."""
    records = load("mnist", arguments.data_dir)
    membership = everything_inside(records, arguments.seeds)
    recipe = Recipe(
        build=NETWORKS[arguments.network],
        optimiser=Adam(lr=1e-3, schedule="cosine"),
        epochs=20,
        batch_size=128,
    )
    work = arguments.work / arguments.network
    fleets = {
        "dense": train_fleet(
            recipe, records, membership, seed=0, engine=Serial(), folder=work / "dense"
        )
    }
    rows = measured(fleets["dense"], records, "dense")
    for name, (start, transform) in steps(PLANS[arguments.network]).items():
        folder = work / name.replace(", ", "-").replace(" ", "-")
        made = apply(
            transform, fleets[start], records, seed=0, engine=Serial(), folder=folder, name=name
        )
        assert isinstance(made, Fleet)
        made = store.open_fleet(folder, recipe=recipe)
        fleets[name] = made
        rows += measured(made, records, name)
    return {
        "experiment": "lenet-mnist",
        "command": shlex.join(["python", "-m", "tools.lenet_mnist", *arguments.shown]),
        "network": repr(recipe.build),
        "seeds": arguments.seeds,
        "records": records.digest,
        "pipelines": {name: list(f.pipeline) for name, f in fleets.items()},
        "cpu_seconds_per_model": {name: list(f.costs) for name, f in fleets.items()},
        "machine": hardware(),
        "rows": rows,
    }


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--network", choices=sorted(NETWORKS), default="LeNet5")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--work", type=Path, default=Path("runs/lenet-mnist"))
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.shown = [
        *("--data-dir", "DATA", "--network", arguments.network, "--seeds", str(arguments.seeds)),
        *("--out", f"results/experiments/{arguments.out.name}"),
    ]
    try:
        found = run(arguments)
    except SecateurError as error:
        print(f"lenet_mnist: error: {error}", file=sys.stderr)
        sys.exit(2)
    store.write_document(arguments.out, {"format": "secateur-experiment-1", **found})
    print(f"written: {arguments.out}")


if __name__ == "__main__":
    main()
