"""Look for settings of DP-SGD in a cell of `secateur reproduce`, on records that it does not audit.

    python -m tools.tune_dpsgd adult-mlp --noise 0.2 1.0 --data-dir DATA --out FILE

For each noise multiplier the cell's own settings and a seeded random search over batch size,
clipping norm, learning rate, epochs, optimiser and, where the recipe augments, copies of a record;
`--epsilon E`: at a noise at which some of them stay within that epsilon, one of these is taken.
`--recipe TEXT` searches for another recipe than the cell's; where that augments, the cell's own are
tried at each number of copies.
Each setting trains one model; the best three and the cell's own train two more, and the
best mean validation accuracy is taken. Each model has its own draw of members.

Members and validation records lie outside of all the cell's pools where the data set is large
enough, then in the attack pool and the population, whose members nobody audits. The utility pool is
never read. Where that is too little, audited records are taken too and the file says that tuning is
not accounted for.

FILE is written after each model; the same command goes on. `--seconds` ends a search in between.
"""

from __future__ import annotations

import argparse
import itertools
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from secateur import store
from secateur.cli.reproduce import recipe_of
from secateur.cli.spelled import parse_step
from secateur.context import hardware
from secateur.data import load
from secateur.defend import DPSGD
from secateur.errors import SecateurError
from secateur.sweeping import read_plan
from secateur.sweeping.reading import SweepPlan
from secateur.train import SGD, Adam, Recipe
from secateur.types import derive_seed
from tools.dpsgd_bench import Bench, bench_of

FORMAT = "secateur-experiment-1"
FINALISTS, MODELS = 3, 3
CLIPS = (0.1, 0.3, 0.5, 1.0, 2.0)
SHARES = (0.125, 0.25, 0.5, 1.0)  # of the members, in a batch
EPOCHS = (15, 30, 60)
OPTIMISERS = (
    *(Adam(lr=lr) for lr in (0.001, 0.003, 0.006, 0.01)),
    *(
        SGD(lr=lr, momentum=0.9, weight_decay=0.0, schedule="constant")
        for lr in (0.1, 0.3, 1.0, 3.0)
    ),
)
COPIES = (1, 4)

Document = dict[str, Any]


def own_settings(plan: SweepPlan, noise: float) -> list[DPSGD]:
    """Return what the cell itself trains DP-SGD with at this noise, if it does."""
    steps = [parse_step(step) for case in plan.cases for step in case.steps]
    return [m for m in steps if isinstance(m, DPSGD) and m.noise_multiplier == noise]


def in_copies(own: Sequence[DPSGD], recipe: Recipe) -> list[DPSGD]:
    """Return these settings as they are, then, where the recipe augments, at other copies."""
    copies = COPIES if recipe.hooks else ()
    others = [replace(method, augmentations=count) for count in copies for method in own]
    return [*own, *(method for method in others if method not in own)]


def searched(noise: float, recipe: Recipe, *, members: int, seed: int) -> Iterator[DPSGD]:
    """Yield every setting of the declared space once, in a random order."""
    copies = COPIES if recipe.hooks else COPIES[:1]
    space = list(itertools.product(SHARES, CLIPS, OPTIMISERS, EPOCHS, copies))
    rng = np.random.default_rng(derive_seed(seed, "settings"))
    for at in rng.permutation(len(space)):
        share, clip, optimiser, epochs, augmentations = space[at]
        yield DPSGD(
            noise_multiplier=noise,
            max_grad_norm=clip,
            batch_size=round(share * members),
            epochs=epochs,
            optimiser=optimiser,
            augmentations=augmentations,
        )


def wanted(plan: SweepPlan, bench: Bench, noise: float, *, trials: int) -> list[DPSGD]:
    """Return the settings to try: the cell's own, then so many searched ones."""
    own = in_copies(own_settings(plan, noise), bench.recipe)
    others = searched(noise, bench.recipe, members=bench.members, seed=bench.seed)
    return own + list(itertools.islice((m for m in others if m not in own), trials))


def normalised(recipe: Recipe) -> list[str]:
    """Return the layers that stand for batch normalisation in the network that DP-SGD trains: what
    was searched with other ones was searched for another network.

    Example:
        >>> from secateur.models import SmallCNN
        >>> normalised(Recipe(build=SmallCNN(widths=(16, 32)), epochs=1))
        ['GroupNorm(1, 16)', 'GroupNorm(2, 32)']
    """
    module = DPSGD().defended(recipe).build()
    found = [part for part in module.modules() if isinstance(part, nn.GroupNorm)]
    return [f"GroupNorm({part.num_groups}, {part.num_channels})" for part in found]


def mean(row: Document) -> float:
    """Return a setting's mean accuracy."""
    return float(np.mean(row["accuracies"]))


def best(rows: Sequence[Document]) -> Document:
    """Return the row of the best mean accuracy among those with the most models; of equal ones the
    one with the smaller epsilon.
    """
    most = max(len(r["accuracies"]) for r in rows)
    able = [r for r in rows if len(r["accuracies"]) == most]
    return max(able, key=lambda r: (mean(r), -r["epsilon"]))


def within(rows: Sequence[Document], epsilon: float) -> list[Document]:
    """Return the rows that stay within an epsilon; all of them where none does."""
    return [r for r in rows if r["epsilon"] <= epsilon] or list(rows)


def search(
    found: Document,
    plan: SweepPlan,
    bench: Bench,
    save: Any,
    *,
    trials: int,
    epsilon: float = float("inf"),
) -> None:
    """Try every noise's settings, one model each, then the finalists with more.

    Args:
        found: the document; rows that are there are not tried again.
        plan: of the cell.
        bench: where to try.
        save: called after each model; raises to end the search.
        trials: searched settings per noise.
        epsilon: within which one is taken, at noises where some stay within it.
    """
    for noise in found["noises"]:
        there = {r["setting"]: r for r in found["rows"] if r["noise"] == noise}
        methods = wanted(plan, bench, noise, trials=trials)
        own = own_settings(plan, noise)
        given = in_copies(own, bench.recipe)
        for method in methods:
            row = there.get(repr(method))
            if row is None:
                row = {
                    "noise": noise,
                    "setting": repr(method),
                    "own": method in own,
                    "epsilon": method.epsilon(bench.members),
                    "accuracies": [],
                    "cpu_seconds": 0.0,
                }
                there[repr(method)] = row
                found["rows"].append(row)
            _train(row, method, bench, save, models=1)
        rows = [there[repr(m)] for m in methods]
        able = within(rows, epsilon)
        last = sorted(able, key=lambda r: (-r["accuracies"][0], r["epsilon"]))[:FINALISTS]
        for row, method in zip(rows, methods, strict=True):
            if method in given or row in last:
                _train(row, method, bench, save, models=MODELS)
        found["taken"][str(noise)] = best(able)["setting"]
        save(None)


def _train(row: Document, method: DPSGD, bench: Bench, save: Any, *, models: int) -> None:
    for number in range(len(row["accuracies"]), models):
        begun = time.process_time()
        row["accuracies"].append(bench.tried(method, number))
        row["cpu_seconds"] += time.process_time() - begun
        save(row)


def begun(arguments: argparse.Namespace, bench: Bench) -> Document:
    """Return the document to go on with.

    Raises:
        SystemExit: the file is of another search.
    """
    versions = hardware()
    try:
        versions["versions"]["opacus"] = version("opacus")
    except PackageNotFoundError:
        sys.exit("tune_dpsgd: Opacus is not installed: pip install 'secateur[dp]'")
    key = {
        "cell": arguments.cell,
        "scale": arguments.scale,
        "noises": arguments.noise,
        "trials": arguments.trials,
        "seed": arguments.seed,
        "records": bench.records.digest,
        "recipe": repr(bench.recipe),
        "normalised": normalised(bench.recipe),
    }
    fresh: Document = {
        "format": FORMAT,
        "experiment": "dpsgd-tuning",
        "command": shlex.join(["python", "-m", "tools.tune_dpsgd", *arguments.shown]),
        **key,
        "within": arguments.epsilon if arguments.epsilon < float("inf") else None,
        "members": bench.members,
        "validation": len(bench.validation),
        "sources": bench.sources,
        "accounted": bench.disjoint,
        "delta": 1e-5,
        "space": {
            "batch, share of members": list(SHARES),
            "max_grad_norm": list(CLIPS),
            "epochs": list(EPOCHS),
            "optimiser": [repr(o) for o in OPTIMISERS],
            "augmentations": list(COPIES if bench.recipe.hooks else COPIES[:1]),
        },
        "machine": versions,
        "rows": [],
        "taken": {},
    }
    if not arguments.out.exists():
        return fresh
    there = store.read_document(arguments.out, what="tuning of DP-SGD")
    if any(there.get(k) != v for k, v in key.items()):
        sys.exit(f"tune_dpsgd: {arguments.out} is of another search; give another --out")
    return there | {name: fresh[name] for name in ("command", "within")}


def run(arguments: argparse.Namespace) -> Document:
    """Search, saving after each model."""
    text = recipe_of(arguments.cell).read_text(encoding="utf-8")
    plan = read_plan(text, scale=arguments.scale, where=arguments.cell)
    plan = replace(plan, recipe=arguments.recipe or plan.recipe)
    bench = bench_of(plan, load(plan.data, arguments.data_dir), seed=arguments.seed)
    found = begun(arguments, bench)
    end = time.monotonic() + arguments.seconds

    def save(row: Document | None) -> None:
        store.write_document(arguments.out, found)
        if row is not None:
            print(
                f"{row['accuracies'][-1]:.4f}, epsilon {row['epsilon']:.4g}: {row['setting']}",
                flush=True,
            )
        if time.monotonic() > end:
            raise TimeoutError

    try:
        search(found, plan, bench, save, trials=arguments.trials, epsilon=arguments.epsilon)
    except TimeoutError:
        print("the time is spent; the same command goes on", flush=True)
    return found


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("cell")
    parser.add_argument("--scale", default="small")
    parser.add_argument("--noise", type=float, nargs="+", required=True)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epsilon", type=float, default=float("inf"))
    parser.add_argument("--recipe", help="in place of the cell's own")
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.shown = [
        *(arguments.cell, "--scale", arguments.scale, "--noise", *map(str, arguments.noise)),
        *("--data-dir", "DATA", "--trials", str(arguments.trials), "--seed", str(arguments.seed)),
        *(("--epsilon", f"{arguments.epsilon:g}") if arguments.epsilon < float("inf") else ()),
        *(("--recipe", arguments.recipe) if arguments.recipe else ()),
        *("--out", f"results/experiments/{arguments.out.name}"),
    ]
    try:
        found = run(arguments)
    except SecateurError as error:
        print(f"tune_dpsgd: error: {error}", file=sys.stderr)
        sys.exit(2)
    for noise, setting in found["taken"].items():
        print(f"taken at noise {noise}: {setting}")


if __name__ == "__main__":
    main()
