"""Time a few steps of each way to make many models, and take the fastest."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from secateur.errors import SecateurError, StoreError
from secateur.train.engines.cluster import Ray
from secateur.train.engines.processes import Processes, check_counts
from secateur.train.engines.room import available, give_back, peak_of
from secateur.train.engines.serial import ONE_BY_ONE, Serial, one_thread
from secateur.train.engines.stacked import Stacked
from secateur.train.engines.timings import Timed, Timings
from secateur.train.engines.trial import LONG, Trial

if TYPE_CHECKING:
    from secateur.train.recipe import Recipe
    from secateur.train.steps import Transform
    from secateur.types import Membership, Records

__all__ = ["Auto", "Choice", "choose", "engine_of_route", "even"]

STACKED = re.compile(r"stacked\(models=(\d+), device='cpu'\)")
SIZES = (2, 4, 16, 32)
SHORT = 4.0
"""Seconds of all the work on one core below which no workers are started: that takes as long."""
MARGIN = 1.2
"""How much faster a stack must be, so that noise alone does not choose it."""

ROOM = 0.5
"""Share of the free memory that the stacks of all workers may take together."""


@dataclass(frozen=True, kw_only=True)
class Auto:
    """Time a few steps of each way to make models, and keep the fastest.

    The choice is part of the fleet's plan: an interrupted run keeps it. Which way is the fastest
    may differ between machines and, where two are close, between runs; name an engine where the
    last bits matter.

    Args:
        workers: worker processes of the chosen engine; 0 means one per core.
        timings: of fleets made before by this engine; give one engine to all fleets of a run.
    """

    workers: int = 0
    timings: Timings = field(default_factory=Timings, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_counts(workers=self.workers)


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What was chosen, and the models x records per second of each way on one core."""

    engine: Serial | Processes | Stacked | Ray
    rates: Mapping[str, float]


def engine_of_route(route: str, workers: int = 0) -> Serial | Processes | Stacked:
    """Return an engine that makes models by this route.

    Args:
        route: as an engine's `route` says it.
        workers: worker processes; 0 means one per core.

    Raises:
        StoreError: an unknown route.
    """
    if route == ONE_BY_ONE:
        return Serial() if workers == 1 else Processes(workers=workers)
    found = STACKED.fullmatch(route)
    if found:
        return Stacked(models=int(found[1]), workers=workers)
    raise StoreError(
        f"the fleet was begun by {route!r}, which 'auto' does not know; name the engine that began "
        "it, such as engine=Stacked(models=16, device='cuda:0')"
    )


def choose(
    recipe: Recipe,
    transform: Transform | None,
    records: Records,
    membership: Membership,
    *,
    workers: int = 0,
    stack: bool = True,
    timings: Timings | None = None,
) -> Choice:
    """Return the fastest engine for this fleet on this machine.

    Args:
        recipe: what trains the models.
        transform: what is applied to them; None for their training.
        records: all records.
        membership: who trains on what; its number of models bounds a stack.
        workers: worker processes; 0 means one per core.
        stack: whether models may be stacked.
        timings: what was timed before, and is not timed again.
    """
    if recipe.train is not None and transform is None:
        return Choice(engine=Processes(workers=workers), rates={})
    models = len(membership)
    cores = workers or len(os.sched_getaffinity(0))
    trial = Trial(recipe, transform, records, membership)
    stack = stack and trial.can_stack and len(trial.members) >= 4
    timings = Timings() if timings is None else timings
    timed = timings.of((trial.kind, stack, cores), partial(_time, trial, stack=stack, cores=cores))
    alone = trial.records / max(timed.alone, 1e-9)
    stacks = {size: trial.records * timed.stacks[size] for size in _fitting(timed, trial, cores)}
    rates = {"one by one": alone, **{f"stacks of {n}": rate for n, rate in stacks.items()}}
    best = max(stacks, key=lambda size: stacks[size], default=0)
    if not best or stacks[best] <= MARGIN * alone:
        few = models < 4 or cores == 1 or trial.work / alone < SHORT
        return Choice(engine=Serial() if few else Processes(workers=workers), rates=rates)
    if trial.work / stacks[best] < SHORT:
        workers = cores = 1
    engine = Stacked(models=even(models, best, cores), workers=workers)
    return Choice(engine=engine, rates=rates)


def _time(trial: Trial, *, stack: bool, cores: int) -> Timed:
    """Time a step of one model, and of stacks as large as memory has room for."""
    stacks: dict[int, float] = {}
    took: dict[int, int | None] = {}
    with one_thread():
        alone = trial.alone()
        if alone > LONG or not stack:
            return Timed(alone=alone, stacks=stacks)
        for size in [s for s in SIZES if s <= len(trial.members)]:
            try:
                seconds, taken = peak_of(partial(trial.stacked, size))
            except (SecateurError, RuntimeError, NotImplementedError, TypeError, ValueError):
                break  # what cannot be stacked is made one by one
            stacks[size] = size / max(seconds, 1e-9)
            took[size] = taken
            if not _has_room(size, taken, cores):
                break
    give_back()
    return Timed(alone=alone, stacks=stacks, took=took)


def _fitting(timed: Timed, trial: Trial, cores: int) -> list[int]:
    """Return the sizes of stacks that have room with what is made for their models."""
    found = []
    for size in timed.stacks:
        found.append(size)
        taken = timed.took.get(size)
        if not _has_room(size, None if taken is None else taken + size * trial.held, cores):
            break
    return found


def _has_room(size: int, taken: int | None, cores: int) -> bool:
    """Tell whether the next larger stack has room in memory, in as many workers as there are.

    Args:
        size: of the stack that was tried.
        taken: bytes that it took; None where that is not known.
        cores: workers.
    """
    larger = [s for s in SIZES if s > size]
    free = available()
    if taken is None or free is None or not larger:
        return True
    return taken / size * larger[0] * cores <= ROOM * free


def even(models: int, size: int, cores: int) -> int:
    """Return a size near this one that gives every core the same number of stacks."""
    rounds = max(1, round(models / (size * cores)))
    return max(2, -(-models // (rounds * cores)))
