"""Checks of a recipe file's own `train()`: it is called a few times on few records."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from secateur.errors import SecateurError
from secateur.own.checks_network import fresh
from secateur.own.findings import Finding
from secateur.protocols import TrainCallable
from secateur.types import Artifact, Records

__all__ = ["Trial", "other_network", "records_ignored", "seed_ignored", "tried", "unrepeatable"]

ROWS = 128
State = dict[str, torch.Tensor]


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What `train` made of records, of the same ones again, of another seed, of other records."""

    first: State
    again: State
    other_seed: State
    other_records: State
    rows: int
    seconds: float


def tried(train: TrainCallable, records: Records) -> Trial | Finding:
    """Call `train` four times on at most 128 records; the finding says what it raised."""
    n = min(ROWS, len(records) // 2)
    order = np.random.default_rng(0).permutation(len(records))
    some, others = (records.take(np.sort(part)) for part in (order[:n], order[n : 2 * n]))
    calls = ((some, 1, 1), (some, 1, 2), (some, 2, 1), (others, 1, 1))
    begun = time.perf_counter()
    try:
        made = [_trained(train, part, seed, chance) for part, seed, chance in calls]
    except SecateurError as error:
        return Finding(
            id="train",
            what=f"train() fails on {n} records: {error}",
            mend="let train() work on whatever number of records it is given, and return the "
            "network",
            values={"records": n},
        )
    seconds = (time.perf_counter() - begun) / len(calls)
    return Trial(
        first=made[0], again=made[1], other_seed=made[2], other_records=made[3],
        rows=n, seconds=seconds,
    )  # fmt: skip


def _trained(train: TrainCallable, records: Records, seed: int, chance: int) -> State:
    """Call as a fleet's engine does; numpy's random state is what another process might have."""
    before = np.random.get_state()
    try:
        np.random.seed(chance)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            made = train(records, seed=seed)
    finally:
        np.random.set_state(before)
    if isinstance(made, Artifact):
        return {k: torch.from_numpy(np.array(v)) for k, v in made.tensors.items()}
    return {k: v.detach().clone() for k, v in made.state_dict().items()}


def _equal(one: State, two: State) -> bool:
    return one.keys() == two.keys() and all(torch.equal(v, two[k]) for k, v in one.items())


def other_network(trial: Trial, build: Callable[[], nn.Module]) -> Finding | None:
    """Find a `train()` that returns another network than `build()` makes."""
    wanted = {k: tuple(v.shape) for k, v in fresh(build, 0).state_dict().items()}
    got = {k: tuple(v.shape) for k, v in trial.first.items()}
    if wanted == got:
        return None
    name = sorted(k for k in {*wanted, *got} if wanted.get(k) != got.get(k))[0]
    return Finding(
        id="other-network",
        what=f"train() returns a network that is not build()'s: {name!r} is {got.get(name)} there "
        f"and {wanted.get(name)} here",
        mend="begin train() with network = build(), and return that",
    )


def unrepeatable(trial: Trial) -> Finding | None:
    """Find a `train()` that makes other weights of the same records and seed."""
    if _equal(trial.first, trial.again):
        return None
    return Finding(
        id="not-repeatable",
        what="train() makes other weights of the same records and the same seed",
        mend="draw everything from the seed: np.random.default_rng(seed), torch.manual_seed(seed), "
        "random.Random(seed)",
    )


def seed_ignored(trial: Trial) -> Finding | None:
    """Find a `train()` that makes the same weights of every seed."""
    if not _equal(trial.first, trial.other_seed):
        return None
    return Finding(
        id="seed-ignored",
        what="train() makes the same weights of two seeds",
        mend="use the seed that is handed in, torch.manual_seed(seed), and no fixed one",
    )


def records_ignored(trial: Trial) -> Finding | None:
    """Find a `train()` that does not learn from the records that it is given."""
    if not _equal(trial.first, trial.other_records):
        return None
    return Finding(
        id="records-ignored",
        what=f"train() makes the same weights of two different sets of {trial.rows} records: every "
        "model would have the same members, and the audit would find nothing",
        mend="train on the records handed in, records.gather(np.arange(len(records))) and "
        "records.labels, and not on those of the file",
    )
