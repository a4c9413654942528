"""Try every setting of a sweep's file on records that it neither audits accuracy on nor reports.

    python -m tools.tune recipes/protects/location30.toml --scale tuning --data-dir DATA --out FILE

Each case of the file trains a few models, and its accuracy on validation records is written down:
epochs and dials are chosen by it, before anything is audited. No attack runs.

Members, validation records and the attack pool come from outside of all pools of all draws that
the file asks for, at any scale. Where the data set is too small for that, they come from outside of
the utility pools, in which accuracy is reported; and where that leaves too few, from outside of
those of as many draws as it can spare, in the order of seeds. Then validation records are taken
first from outside of them all. How many records lie in which draw's pools is printed and written
down.

FILE is written after each case; the same command goes on.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from secateur import store
from secateur.cli.spelled import parse_queries, parse_recipe, parse_step
from secateur.context import hardware
from secateur.data import load
from secateur.errors import MethodError, SecateurError
from secateur.models import logits_of, rebuild
from secateur.sweeping import Clock, Place, read_plan, tree_of
from secateur.sweeping.reading import SweepPlan
from secateur.sweeping.tree import chain, made
from secateur.sweeping.world import World
from secateur.types import UTILITY, Membership, Records
from tools.tune_bench import bench_of, draws_of, overlaps, said_of

FORMAT = "secateur-experiment-1"

Document = dict[str, Any]


def tried(
    plan: SweepPlan, records: Records, bench: Membership, out: Document
) -> Iterator[Document]:
    """Yield a row for each case that the document does not hold yet."""
    assert plan.recipe is not None  # files of this kind name one
    nodes = tree_of(plan, parse_recipe(plan.recipe), parse_step)
    known = {row["case"] for row in out["rows"]}
    with tempfile.TemporaryDirectory() as folder:
        world = World(seed=bench.seed, records=records, membership=bench, folder=Path(folder))
        place = Place(
            folder=Path(folder),
            snapshots=None,
            attacks=None,
            queries=parse_queries("Queries()"),
            clock=Clock(),
            engine="processes",
        )
        for node in made(nodes):
            if node.label in known or (node.case is None and node.steps):
                continue
            row: Document = {
                "case": node.label,
                "method": "dense" if node.case is None else node.case.method,
                "axes": {} if node.case is None else dict(node.case.axes),
                "steps": list(node.steps),
            }
            try:
                for step in chain(nodes, node):
                    if step.steps not in world.fleets:
                        world.make(step, place, rows=None, subjects=1)
            except MethodError as error:
                yield {**row, "why": str(error), "accuracies": [], "cpu_seconds": []}
                continue
            fleet = world.fleets[node.steps]
            nets = [rebuild(a, node.recipe.build) for a in fleet.artifacts]
            yield {
                **row,
                "accuracies": [_accuracy(net, records, bench.pool(UTILITY)) for net in nets],
                "train_accuracies": [
                    _accuracy(net, records, bench.members(i)) for i, net in enumerate(nets)
                ],
                "cpu_seconds": list(fleet.costs),
            }


def _accuracy(net: Any, records: Records, rows: np.ndarray) -> float:
    logits = logits_of(net, records, indices=rows)
    return float((logits.argmax(axis=1) == records.labels[rows]).mean())


def best(rows: list[Document]) -> dict[str, str]:
    """Return the case of the best mean accuracy of each method."""
    found: dict[str, Document] = {}
    for row in (r for r in rows if r["accuracies"]):
        other = found.get(row["method"])
        if other is None or np.mean(row["accuracies"]) > np.mean(other["accuracies"]):
            found[row["method"]] = row
    return {method: row["case"] for method, row in found.items()}


def run(arguments: argparse.Namespace) -> Document:
    """Try all cases, saving after each."""
    text = arguments.file.read_text(encoding="utf-8")
    plan = read_plan(text, scale=arguments.scale, where=str(arguments.file))
    records = load(plan.data, arguments.data_dir)
    draws = draws_of(text, records, where=str(arguments.file))
    bench = bench_of(plan, records, draws=draws, models=arguments.models, seed=arguments.seed)
    shared = overlaps(bench, draws)
    print("\n".join(said_of(shared, bench)), flush=True)
    key = {
        "file": arguments.file.name,
        "scale": arguments.scale,
        "models": arguments.models,
        "seed": arguments.seed,
        "records": records.digest,
        "recipe": plan.recipe,
        "in_pools": shared,
    }
    found: Document = {
        "format": FORMAT,
        "experiment": "tuning",
        "command": shlex.join(
            [
                *("python", "-m", "tools.tune", f"recipes/protects/{arguments.file.name}"),
                *("--scale", arguments.scale, "--models", str(arguments.models)),
                *("--data-dir", "DATA", "--seed", str(arguments.seed)),
                *("--out", f"results/experiments/{arguments.out.name}"),
            ]
        ),
        **key,
        "pools": {name: len(rows) for name, rows in bench.pools.items()},
        "machine": hardware(),
        "rows": [],
    }
    if arguments.out.exists():
        there = store.read_document(arguments.out, what="tuning")
        if any(there.get(k) != v for k, v in key.items()):
            sys.exit(f"tune: {arguments.out} is of another search; give another --out")
        found = there
    for row in tried(plan, records, bench, found):
        found["rows"].append(row)
        found["best"] = best(found["rows"])
        store.write_document(arguments.out, found)
        shown = f"{np.mean(row['accuracies']):.4f}" if row["accuracies"] else row["why"]
        print(f"{shown}  {row['case']}", flush=True)
    return found


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("file", type=Path)
    parser.add_argument("--scale", default="tuning")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--models", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1000)
    parser.add_argument("--out", type=Path, required=True)
    try:
        found = run(parser.parse_args())
    except SecateurError as error:
        print(f"tune: error: {error}", file=sys.stderr)
        sys.exit(2)
    for method, case in found.get("best", {}).items():
        print(f"best of {method}: {case}")


if __name__ == "__main__":
    main()
