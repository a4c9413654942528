"""Fleets on a graphics card: models x records per second of stacks, against a plain loop on it.

    python -m benchmarks.device [--device cuda:0] [--quick] [--only NAME] [--out FILE]

The plain loop trains one model after another on the same card, as people write it: records on the
card beforehand, torch's own fused Adam, no transfer within a step. Each round runs all routes in
turn; a ratio is that of one round. The first run of a route, which loads kernels and compiles, is
left out and stated.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from benchmarks.fleet import CASES, Case, flops, spread, world
from secateur import store
from secateur.context import hardware
from secateur.errors import SecateurError
from secateur.models import VGG16, MobileNetV2, ResNet18, check_device
from secateur.train import Adam, Recipe, Stacked
from secateur.train.model import initial_module
from secateur.train.plan import Plan
from secateur.train.shard import Shard, make_shard
from secateur.train.shards import shards_of
from secateur.types import Membership, Records

PICTURES: dict[str, Any] = {"shape": (3, 32, 32), "classes": 10, "batch_size": 128}
WIDE = (
    Case(
        name="ResNet-18, 32x32",
        build=ResNet18(),
        members=1024,
        models=8,
        epochs=1,
        plain=1,
        **PICTURES,
    ),
    Case(
        name="VGG-16, 32x32", build=VGG16(), members=1024, models=8, epochs=1, plain=1, **PICTURES
    ),
    Case(
        name="MobileNetV2, 32x32",
        build=MobileNetV2(),
        members=1024,
        models=8,
        epochs=1,
        plain=1,
        **PICTURES,
    ),
)
MODELS = {"tiny": 128, "Location": 40, "Purchase": 40, "LeNet": 40, "small": 40, "ResNet-18, w": 16}
EPOCHS = {"tiny": 5, "Location": 3, "Purchase": 2, "LeNet": 3, "small": 3, "ResNet-18, w": 4}
ROUTES: dict[str, dict[str, Any]] = {
    "stacked": {},
    "stacked, bfloat16": {"precision": "bfloat16"},
}


def sized(case: Case) -> Case:
    """Return a case with as many models as a card takes at once."""
    for start, models in MODELS.items():
        if case.name.startswith(start):
            return replace(case, models=models, epochs=EPOCHS[start])
    return case


def plain(
    recipe: Recipe, records: Records, membership: Membership, models: int, device: str
) -> tuple[float, float]:
    """Train one model after another on the card; return records and seconds."""
    seen = 0
    begun = time.perf_counter()
    for model in range(models):
        members = membership.members(model)
        x = torch.from_numpy(np.array(records.gather(members))).to(device)
        y = torch.from_numpy(np.array(records.labels[members])).to(device)
        network = initial_module(recipe, model).to(device).train()
        optimiser = torch.optim.Adam(network.parameters(), lr=recipe.optimiser.lr, fused=True)
        for _ in range(recipe.epochs):
            for rows in torch.randperm(len(y), device=device).split(recipe.batch_size):
                optimiser.zero_grad()
                functional.cross_entropy(network(x[rows]), y[rows]).backward()
                optimiser.step()
                seen += len(rows)
    settle(device)
    return float(seen), time.perf_counter() - begun


def stacked(records: Records, membership: Membership, shards: list[Shard]) -> tuple[float, float]:
    """Make the models of these shards; return records and seconds."""
    begun = time.perf_counter()
    seen = 0
    for one in shards:
        make_shard(records, membership, one)
        for job in one.jobs:
            seen += len(membership.members(job.model)) * job.recipe.epochs
    return float(seen), time.perf_counter() - begun


def settle(device: str) -> None:
    """Wait until the card has done what it was asked for."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize()


def measured(case: Case, rounds: int, device: str) -> dict[str, Any]:
    """Return one case's row: rates, ratios to the plain loop, memory."""
    recipe = Recipe(
        build=case.build,
        epochs=case.epochs,
        batch_size=case.batch_size,
        optimiser=Adam(lr=1e-3),
    )
    shared = world(case)
    plan = Plan(recipe=recipe, transform=None, name="dense", pipeline=(), snapshots=None)
    routes = {"plain": lambda: plain(recipe, *shared, case.plain, device)}
    for size in sorted({max(2, case.models // 4), case.models}):
        for name, more in ROUTES.items():
            engine = Stacked(models=size, device=device, **more)
            shards = shards_of(plan, *shared, None, seed=0, engine=engine)
            routes[f"{name} {size}"] = lambda shards=shards: stacked(*shared, shards[:1])
    row: dict[str, Any] = {
        "case": case.name,
        "batch_size": case.batch_size,
        "models": case.models,
        "gflop_per_record": flops(case) / 1e9,
        "routes": {},
    }
    first, rates = {}, {name: [] for name in routes}
    for number in range(rounds + 1):
        for name, run in routes.items():
            if name in row["routes"]:
                continue
            try:
                records, seconds = run()
            except (SecateurError, RuntimeError) as error:
                row["routes"][name] = {"not_run": str(error).splitlines()[0][:200]}
                print(f"{case.name:30s} {name:24s} not run: {error}"[:300], flush=True)
                continue
            if number:
                rates[name].append(records / seconds)
            else:
                first[name] = seconds
    for name, found in rates.items():
        if name in row["routes"]:
            continue
        ratios = [r / p for r, p in zip(found, rates["plain"], strict=True)]
        row["routes"][name] = {
            "rate": spread(found),
            "ratio": spread(ratios),
            "first_seconds": first[name],
            "tflops": spread(found)["median"] * row["gflop_per_record"] / 1e3,
        }
        shown = row["routes"][name]
        print(
            f"{case.name:30s} {name:24s} {shown['rate']['median']:12,.0f}/s  "
            f"{shown['ratio']['median']:6.2f}x ({shown['ratio']['min']:.2f} to "
            f"{shown['ratio']['max']:.2f})  {shown['tflops']:.2f} TFLOP/s",
            flush=True,
        )
    if torch.device(device).type == "cuda":
        row["gigabytes"] = torch.cuda.max_memory_allocated() / 1e9
        torch.cuda.reset_peak_memory_stats()
    return row


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--quick", action="store_true", help="one round")
    parser.add_argument("--only", help="cases whose name begins so")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    check_device(arguments.device)
    cuda = torch.device(arguments.device).type == "cuda"
    report = {
        "format": "secateur-benchmark-1",
        "benchmark": "device",
        "command": "python -m benchmarks.device",
        "rounds": 1 if arguments.quick else 3,
        "device": torch.cuda.get_device_name(arguments.device) if cuda else arguments.device,
        "tf32_in_convolutions": torch.backends.cudnn.allow_tf32,
        "machine": hardware(),
        "rows": [],
    }
    for case in map(sized, (*CASES, *WIDE)):
        if case.name.startswith(arguments.only or ""):
            report["rows"].append(measured(case, report["rounds"], arguments.device))
            if arguments.out:  # what is there so far
                store.write_document(arguments.out, report)
    if arguments.out:
        print(f"written: {arguments.out}")


if __name__ == "__main__":
    main()
