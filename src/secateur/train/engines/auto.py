"""Time a few steps of each way to make many models, and take the fastest."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from secateur.errors import SecateurError, StoreError
from secateur.models import prunable
from secateur.train.batches import TrainData
from secateur.train.engines.cluster import Ray
from secateur.train.engines.processes import Processes
from secateur.train.engines.serial import ONE_BY_ONE, Serial, one_thread
from secateur.train.engines.stacked import Stacked
from secateur.train.loop import run_phases
from secateur.train.stack import StackData, run_stack

if TYPE_CHECKING:
    from torch import nn

    from secateur.train.hooks import Tensors
    from secateur.train.recipe import Recipe, Transform
    from secateur.types import Membership, Records

__all__ = ["Auto", "Choice", "choose", "engine_of_route", "even"]

STACKED = re.compile(r"stacked\(models=(\d+), device='cpu'\)")
STEPS = 4
SIZES = (4, 16, 32)
LONG = 0.25
"""Seconds of one model's step above which stacking is not tried: Python costs nothing there."""
SHORT = 4.0
"""Seconds of all the work on one core below which no workers are started: that takes as long."""
MARGIN = 1.2
"""How much faster a stack must be, so that noise alone does not choose it."""


@dataclass(frozen=True, kw_only=True)
class Auto:
    """Time a few steps of each way to make models, and keep the fastest.

    The choice is part of the fleet's plan: an interrupted run keeps it. Which way is the fastest
    may differ between machines and, where two are close, between runs; name an engine where the
    last bits matter.

    Args:
        workers: worker processes of the chosen engine; 0 means one per core.
    """

    workers: int = 0


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
) -> Choice:
    """Return the fastest engine for this fleet on this machine.

    Args:
        recipe: what trains the models.
        transform: what is applied to them; None for their training.
        records: all records.
        membership: who trains on what; its number of models bounds a stack.
        workers: worker processes; 0 means one per core.
    """
    if recipe.train is not None and transform is None:
        return Choice(engine=Processes(workers=workers), rates={})
    models = len(membership)
    cores = workers or len(os.sched_getaffinity(0))
    trial = _Trial(recipe, transform, records, membership)
    with one_thread():
        alone = trial.alone()
        rates = {"one by one": trial.records / alone}
        few = models < 4 or cores == 1 or trial.work / rates["one by one"] < SHORT
        one_by_one = Serial() if few else Processes(workers=workers)
        if alone / trial.steps > LONG or models < 4:
            return Choice(engine=one_by_one, rates=rates)
        best, fastest = 0, MARGIN * rates["one by one"]
        for size in [s for s in SIZES if s <= models]:
            try:
                seconds = trial.stacked(size)
            except (SecateurError, RuntimeError, NotImplementedError):
                break  # what cannot be stacked is made one by one
            rate = rates[f"stacks of {size}"] = size * trial.records / seconds
            if rate > fastest:
                best, fastest = size, rate
    if not best:
        return Choice(engine=one_by_one, rates=rates)
    if trial.work / fastest < SHORT:
        workers = cores = 1
    engine = Stacked(models=even(models, best, cores), workers=workers)
    return Choice(engine=engine, rates=rates)


def even(models: int, size: int, cores: int) -> int:
    """Return a size near this one that gives every core the same number of stacks."""
    rounds = max(1, round(models / (size * cores)))
    return max(2, -(-models // (rounds * cores)))


class _Trial:
    """A few steps of the first phase that trains, on a few records."""

    def __init__(
        self, recipe: Recipe, transform: Transform | None, records: Records, membership: Membership
    ) -> None:
        planned = recipe.phases() if transform is None else transform.phases(recipe)
        some = next((p for p in planned if p.epochs), planned[0])
        self.phases = (replace(some, epochs=1),)
        self.recipe = recipe
        self.all = records
        self.membership = membership
        self.members = [
            membership.members(k)[: STEPS * recipe.batch_size] for k in range(len(membership))
        ]
        self.records = min(map(len, self.members))
        self.members = [rows[: self.records] for rows in self.members]
        self.steps = max(1, self.records // recipe.batch_size)
        all_members = int(membership.inside.sum())
        self.work = all_members * sum(p.epochs for p in planned)

    def _fresh(self, models: int) -> list[nn.Module]:
        with torch.random.fork_rng(devices=[]):
            return [self.recipe.build() for _ in range(models)]

    def alone(self) -> float:
        """Return the seconds of one model; of a single step where already that is long."""
        first = min(self._alone(self.recipe.batch_size) for _ in range(2))
        if first > LONG:
            self.records, self.steps = min(self.records, self.recipe.batch_size), 1
            return first
        return min(self._alone(self.records) for _ in range(2))

    def _alone(self, records: int) -> float:
        data = TrainData.of(self.all, self.members[0][:records], torch.device("cpu"))
        pools = {pool for phase in self.phases for pool in phase.streams}
        streams = {
            pool: TrainData.of(self.all, self.membership.pool(pool)[:STREAM], torch.device("cpu"))
            for pool in pools
        }
        (module,) = self._fresh(1)
        initial: Tensors = dict(module.named_parameters())
        context = (initial, prunable(module))
        begun = time.perf_counter()
        run_phases(module, self.phases, self.recipe, data, streams=streams, context=context, seed=0)
        return time.perf_counter() - begun

    def stacked(self, models: int) -> float:
        """Return the seconds of so many models at once."""
        device = torch.device("cpu")
        data = StackData.of(self.all, self.members[:models], device)
        pools = {pool for phase in self.phases for pool in phase.streams}
        streams = {
            pool: StackData.of(self.all, [self.membership.pool(pool)[:STREAM]] * models, device)
            for pool in pools
        }

        def once() -> float:
            modules = self._fresh(models)
            initial: list[Tensors] = [dict(module.named_parameters()) for module in modules]
            begun = time.perf_counter()
            run_stack(
                modules,
                self.phases,
                self.recipe,
                data,
                streams=streams,
                context=(initial, prunable(modules[0])),
                seeds=range(models),
            )
            return time.perf_counter() - begun

        once()  # what is done the first time does not count
        return min(once(), once())


STREAM = 512  # records of a further pool: enough to draw batches from
