"""Fleets: models x records per second of each engine, against a plain loop, in one run.

    python -m benchmarks.fleet [--quick] [--only NAME] [--out results/benchmarks/fleet.json]

The plain loop trains one model after another in one process: a DataLoader without workers, torch's
own Adam, passive waiting, and the better of one thread and one per core. Each round runs all routes
in turn; a ratio is that of one round. Rates are those of running workers: the time that workers
need to start, once per fleet, is left out and stated. Peak memory is that of one worker.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.fleet_tasks import Plain, peak, plain, shard, where_time_goes
from secateur import store
from secateur.context import hardware
from secateur.data import draw
from secateur.models import MLP, LeNet5, ResNet18, SmallCNN
from secateur.parallel import run_tasks
from secateur.protocols import Builder
from secateur.train import Adam, Processes, Recipe, Serial, Stacked
from secateur.train.engines.auto import choose
from secateur.train.plan import Plan
from secateur.train.shards import shards_of
from secateur.types import ArraySource, Membership, Records


@dataclass(frozen=True, kw_only=True)
class Case:
    """A network, the form of its made records, and how much of it is trained."""

    name: str
    build: Builder
    shape: tuple[int, ...]
    classes: int
    members: int
    batch_size: int
    models: int
    epochs: int
    plain: int
    """Models of the plain loop: its rate does not depend on their number."""
    compiled: bool = False
    """Also as a compiled stack; the compiler's time is left out."""


CASES = (
    Case(
        name="tiny MLP 32-64-10",
        build=MLP(widths=(32, 64, 10)),
        shape=(32,),
        classes=10,
        members=500,
        batch_size=32,
        models=64,
        epochs=20,
        plain=3,
    ),
    Case(
        name="Location-30 MLP",
        build=MLP(widths=(446, 512, 256, 128, 30)),
        shape=(446,),
        classes=30,
        members=1000,
        batch_size=64,
        models=8,
        epochs=8,
        plain=2,
    ),
    Case(
        name="Purchase-100 MLP",
        build=MLP(widths=(600, 1024, 512, 256, 128, 100), activation="tanh"),
        shape=(600,),
        classes=100,
        members=2000,
        batch_size=64,
        models=8,
        epochs=2,
        plain=1,
    ),
    Case(
        name="LeNet-5",
        build=LeNet5(),
        shape=(1, 28, 28),
        classes=10,
        members=1000,
        batch_size=64,
        models=8,
        epochs=3,
        plain=1,
    ),
    Case(
        name="small CNN 16-32-64, 32x32",
        build=SmallCNN(widths=(16, 32, 64)),
        shape=(3, 32, 32),
        classes=10,
        members=500,
        batch_size=64,
        models=4,
        epochs=2,
        plain=1,
        compiled=True,
    ),
    Case(
        name="ResNet-18, width 0.25, 32x32",
        build=ResNet18(width=0.25),
        shape=(3, 32, 32),
        classes=10,
        members=128,
        batch_size=32,
        models=4,
        epochs=1,
        plain=1,
    ),
)


def world(case: Case) -> tuple[Records, Membership]:
    """Return made records of the case's form; only speed counts."""
    n = 2 * case.members
    rng = np.random.default_rng(0)
    values = rng.normal(size=(n + 20, *case.shape)).astype(np.float32)
    labels = np.arange(n + 20) % case.classes
    records = Records(source=ArraySource(values=values), labels=labels, n_classes=case.classes)
    pools = {"audit": n, "population": 10, "utility": 10}
    return records, draw(records, targets=1, references=case.models - 1, seed=0, pools=pools)


def flops(case: Case) -> float:
    """Return the floating-point operations of one record's training step, matrix products alone."""
    total = 0.0

    def count(part: torch.nn.Module, args: Any, out: torch.Tensor) -> None:
        nonlocal total
        del args
        weight = part.weight
        places = out[0].numel() / weight.shape[0]
        total += 6 * weight.numel() * places

    module = case.build().eval()
    for part in module.modules():
        if isinstance(part, torch.nn.Linear | torch.nn.Conv2d):
            part.register_forward_hook(count)
    with torch.no_grad():
        module(torch.zeros(1, *case.shape))
    first = next(p for p in module.modules() if isinstance(p, torch.nn.Linear | torch.nn.Conv2d))
    inputs_gradient = 2 * first.weight.numel()  # of the first layer: never computed
    if isinstance(first, torch.nn.Conv2d):
        inputs_gradient *= case.shape[-1] * case.shape[-2]
    return total - inputs_gradient


def rate(found: list[Any], workers: int) -> tuple[float, float]:
    """Return models x records per second of these workers together, and one's peak megabytes."""
    values = [one.value for one in found]
    seconds = sum(v["seconds"] for v in values) / workers
    return sum(v["samples"] for v in values) / seconds, max(v["megabytes"] for v in values)


def one_round(case: Case, recipe: Recipe, stack: int, cores: int) -> dict[str, tuple[float, float]]:
    """Run every route once; return rates and megabytes by name."""
    shared = world(case)
    plan = Plan(recipe=recipe, transform=None, name="dense", pipeline=(), snapshots=None)
    found = {}
    for threads in sorted({1, cores}):
        task = Plain(recipe=recipe, models=tuple(range(case.plain)), threads=threads)
        done = run_tasks(plain, [task], workers=1, shared=shared)
        found[f"plain, {threads} threads"] = rate(done, 1)
    routes: dict[str, tuple[Any, int]] = {
        "serial": (Serial(), 1),
        "processes": (Processes(), cores),
    }
    routes |= {
        f"stacked {stack}, one worker": (Stacked(models=stack), 1),
        f"stacked {stack}": (Stacked(models=stack), cores),
    }
    if case.compiled:
        routes[f"stacked {stack}, compiled"] = (Stacked(models=stack, compile=True), cores)
    for name, (engine, workers) in routes.items():
        shards = shards_of(plan, *shared, None, seed=0, engine=engine)
        if workers == 1 and len(shards) > 1:  # a half of the work is enough for one core
            shards = shards[: max(1, len(shards) // 2)]
        found[name] = rate(run_tasks(shard, shards, workers=workers, shared=shared), workers)
    return found


def measured(case: Case, rounds: int, cores: int, top: float) -> dict[str, Any]:
    """Return one case's row: rates, ratios to the plain loop, memory, share of the peak."""
    recipe = Recipe(
        build=case.build,
        epochs=case.epochs,
        batch_size=case.batch_size,
        optimiser=Adam(lr=1e-3),
    )
    choice = choose(recipe, None, *world(case))
    stack = min(16, case.models // cores) if case.models < 64 else case.models // cores
    seen = [one_round(case, recipe, stack, cores) for _ in range(rounds)]
    plains = [name for name in seen[0] if name.startswith("plain")]
    best = [max(one[name][0] for name in plains) for one in seen]
    work = flops(case)
    row: dict[str, Any] = {
        "case": case.name,
        "parameters": sum(p.numel() for p in case.build().parameters()),
        "batch_size": case.batch_size,
        "models": case.models,
        "gflop_per_record": work / 1e9,
        "auto": {"chosen": choice.engine.route, "rates": dict(choice.rates)},
        "where": profiled(case, recipe),
        "routes": {},
    }
    for name in seen[0]:
        rates = [one[name][0] for one in seen]
        ratios = [r / b for r, b in zip(rates, best, strict=True)]
        used = 1 if "one worker" in name or name in ("serial", "plain, 1 threads") else cores
        row["routes"][name] = {
            "rate": spread(rates),
            "ratio": spread(ratios),
            "megabytes": max(one[name][1] for one in seen),
            "share_of_peak": statistics.median(rates) * work / 1e9 / (top * used),
        }
        shown = row["routes"][name]
        print(
            f"{case.name:30s} {name:22s} {shown['rate']['median']:12,.0f}/s  "
            f"{shown['ratio']['median']:6.2f}x ({shown['ratio']['min']:.2f} to "
            f"{shown['ratio']['max']:.2f})  {shown['megabytes']:6.0f} MB  "
            f"{100 * shown['share_of_peak']:5.1f} % of the peak",
            flush=True,
        )
    return row


def profiled(case: Case, recipe: Recipe) -> dict[str, float]:
    """Return where the time of one model after another goes, as shares."""
    shared = world(case)
    plan = Plan(recipe=recipe, transform=None, name="dense", pipeline=(), snapshots=None)
    first = shards_of(plan, *shared, None, seed=0, engine=Serial())[:1]
    (found,) = run_tasks(where_time_goes, first, workers=1, shared=shared)
    print("  ".join(f"{name} {100 * share:.0f} %" for name, share in found.value.items()))
    shares: dict[str, float] = found.value
    return shares


def spread(values: list[float]) -> dict[str, float]:
    """Return the smallest, the middle and the largest value."""
    return {"min": min(values), "median": statistics.median(values), "max": max(values)}


def start_up(cores: int) -> float:
    """Return the seconds until workers have started and loaded torch."""
    begun = time.perf_counter()
    run_tasks(peak, [0] * cores, workers=cores)
    return time.perf_counter() - begun


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round")
    parser.add_argument("--only", help="cases whose name begins so")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cores = len(os.sched_getaffinity(0))
    top = max(r.value for r in run_tasks(peak, [0, 0], workers=1))
    print(f"matrix products: {top:.0f} GFLOP/s per core; {cores} cores")
    rounds = 1 if arguments.quick else 5
    rows = [
        measured(case, rounds, cores, top)
        for case in CASES
        if case.name.startswith(arguments.only or "")
    ]
    report = {
        "format": "secateur-benchmark-1",
        "benchmark": "fleet",
        "command": "python -m benchmarks.fleet",
        "rounds": rounds,
        "peak_gflops_per_core": top,
        "start_up_seconds": start_up(cores),
        "machine": hardware(),
        "rows": rows,
    }
    if arguments.out:
        store.write_document(arguments.out, report)
        print(f"written: {arguments.out}")


if __name__ == "__main__":
    main()
