"""What the workers of `benchmarks.fleet` run: the routes, and the plain loop beside them."""

from __future__ import annotations

import resource
import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from secateur.train.model import initial_module
from secateur.train.recipe import Recipe
from secateur.train.shard import Shard, make_shard
from secateur.types import Membership, Records

__all__ = ["Plain", "peak", "plain", "shard", "where_time_goes"]


@dataclass(frozen=True, kw_only=True)
class Plain:
    """Models to train one after another, as people write it."""

    recipe: Recipe
    models: tuple[int, ...]
    threads: int


def megabytes() -> float:
    """Return the largest memory that this process held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


_WARM: set[str] = set()


def warm(key: str) -> bool:
    """Return whether this process did this before; the first call in a process loads kernels."""
    was = key in _WARM
    _WARM.add(key)
    return was


def plain(records: Records, membership: Membership, task: Plain) -> dict[str, float]:
    """Train with a DataLoader without workers, torch's own Adam, and `threads` threads."""
    torch.set_num_threads(task.threads)
    recipe = task.recipe
    if not warm("plain"):
        few = replace(task, models=task.models[:1], recipe=replace(recipe, epochs=1))
        plain(records, membership, few)
    samples = 0
    begun = time.perf_counter()
    for model in task.models:
        members = membership.members(model)
        inputs = torch.from_numpy(np.array(records.gather(members)))
        labels = torch.from_numpy(np.array(records.labels[members]))
        loader = DataLoader(
            TensorDataset(inputs, labels), batch_size=recipe.batch_size, shuffle=True
        )
        network = initial_module(recipe, model)
        network.train()
        optimiser = torch.optim.Adam(network.parameters(), lr=recipe.optimiser.lr)
        for _ in range(recipe.epochs):
            for x, y in loader:
                optimiser.zero_grad()
                functional.cross_entropy(network(x), y).backward()
                optimiser.step()
                samples += len(y)
    seconds = time.perf_counter() - begun
    return {"samples": float(samples), "seconds": seconds, "megabytes": megabytes()}


def shard(records: Records, membership: Membership, task: Shard) -> dict[str, float]:
    """Make the models of a shard and forget them."""
    if not warm(f"shard {task.stack} {len(task.jobs)}"):
        few = tuple(replace(job, recipe=replace(job.recipe, epochs=1)) for job in task.jobs)
        make_shard(records, membership, replace(task, jobs=few))
    begun = time.perf_counter()
    made = make_shard(records, membership, task)
    seconds = time.perf_counter() - begun
    members = sum(len(membership.members(job.model)) for job in task.jobs)
    assert len(made) == len(task.jobs)
    samples = float(members * task.jobs[0].recipe.epochs)
    return {"samples": samples, "seconds": seconds, "megabytes": megabytes()}


def peak(task: Any) -> float:
    """Return the machine's matrix-product peak on one thread, in GFLOP/s, best of many."""
    del task
    a, b = torch.rand(1024, 1024), torch.rand(1024, 1024)
    best = float("inf")
    for _ in range(30):
        begun = time.perf_counter()
        torch.mm(a, b)
        best = min(best, time.perf_counter() - begun)
    return 2 * 1024**3 / best / 1e9


PARTS = {
    "matrix products": ("mm", "addmm", "bmm", "baddbmm", "convolution", "mkldnn", "_conv"),
    "optimiser": ("_fused_adam", "_fused_sgd", "_foreach"),
    "gathering batches": ("index", "index_select", "gather"),
}
REST = "activations, normalisation, loss"
PYTHON = "Python and dispatch"


def where_time_goes(records: Records, membership: Membership, task: Shard) -> dict[str, float]:
    """Return the share of a model's training time that each kind of operation takes by itself."""
    from torch.profiler import ProfilerActivity, profile

    make_shard(records, membership, task)
    begun = time.perf_counter()
    make_shard(records, membership, task)
    seconds = time.perf_counter() - begun
    with profile(activities=[ProfilerActivity.CPU], acc_events=True) as seen:
        make_shard(records, membership, task)
    parts = dict.fromkeys([*PARTS, REST], 0.0)
    for event in seen.key_averages():
        name = event.key.removeprefix("aten::")
        if not event.key.startswith("aten::"):
            continue
        kind = next((k for k, starts in PARTS.items() if name.startswith(starts)), REST)
        parts[kind] += event.self_cpu_time_total / 1e6 / seconds
    whole = max(1.0, sum(parts.values()))  # profiling itself takes time
    shares = {kind: share / whole for kind, share in parts.items()}
    return {**shares, PYTHON: 1.0 - sum(shares.values())}
