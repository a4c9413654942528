"""The time of a step of a model alone and in a stack, as `Auto` measures it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from secateur.models import prunable
from secateur.train.batches import TrainData, pools_of
from secateur.train.engines.timings import bare, hashable
from secateur.train.loop import run_phases
from secateur.train.planned import learned_by, planned, recipe_of_teachers, teaching, work
from secateur.train.recombined import recombined_of
from secateur.train.stack import StackData, run_stack
from secateur.train.steps import Taught

if TYPE_CHECKING:
    from torch import nn

    from secateur.train.hooks import Tensors
    from secateur.train.recipe import Recipe
    from secateur.train.steps import Transform
    from secateur.types import IntArray, Membership, Records

__all__ = ["LONG", "Trial"]

STEPS = 6
LONG = 0.25
"""Seconds of one model's step above which stacking is not tried: Python costs nothing there."""
STREAM = 512
"""Records of a further pool: enough to draw batches from."""


class Trial:
    """The time of a step: of a few more steps, what they take more.

    So that what is done once, such as stacking the weights, does not count.

    Args:
        recipe: what trains the models.
        transform: what is applied to them; None for their training.
        records: all records.
        membership: who trains on what.
    """

    def __init__(
        self, recipe: Recipe, transform: Transform | None, records: Records, membership: Membership
    ) -> None:
        # teachers first: they take longest, and methods with the same ones then go the same way, by
        # which they can share them
        others = recipe_of_teachers(recipe, transform)
        phases = [(others, phase) for phase in teaching(recipe, transform)]
        phases += [(recipe, phase) for phase in planned(recipe, transform)]
        self.recipe, self.phase = next((both for both in phases if both[1].epochs), phases[0])
        plans = [phase.optimiser or by.optimiser for by, phase in phases]
        self.can_stack = all(getattr(plan, "elementwise", False) for plan in plans)
        self.all = records
        self.membership = membership
        every = [membership.members(k)[: recipe.batch_size] for k in range(len(membership))]
        every = [rows for rows in every if len(rows)]
        self.records = min(map(len, every), default=1)
        self.members = [rows[: self.records] for rows in every]
        self.work = work(recipe, transform, membership)
        self.held = 0  # bytes of inputs that are made for a model, and of their copy in a stack
        if isinstance(transform, Taught) and recombined_of(transform) is not None:
            numbers = learned_by(transform, membership, 0) * math.prod(records.input_shape)
            self.held = 2 * 4 * numbers

    @property
    def kind(self) -> Any:
        """What decides how long a step takes: network, phase, shape and number of records."""
        recipe = self.recipe
        shape = self.all.input_shape, self.records, len(self.members)
        streams = tuple(sorted(recipe.streams.items()))
        how = recipe.batch_size, streams, bare(recipe.optimiser), self.can_stack
        return hashable(recipe.build), bare(self.phase), how, shape

    def _fresh(self, models: int) -> list[nn.Module]:
        with torch.random.fork_rng(devices=[]):
            return [self.recipe.build() for _ in range(models)]

    def _pools(self) -> dict[str, IntArray]:
        return {pool: self.membership.pool(pool)[:STREAM] for pool in pools_of([self.phase])}

    def alone(self) -> float:
        """Return the seconds of a step of one model."""
        cpu = torch.device("cpu")
        if not self.members:
            return 0.0
        data = TrainData.of(self.all, self.members[0], cpu)
        streams = {pool: TrainData.of(self.all, rows, cpu) for pool, rows in self._pools().items()}

        def steps(n: int) -> float:
            (module,) = self._fresh(1)
            initial: Tensors = dict(module.named_parameters())
            begun = time.perf_counter()
            run_phases(
                module,
                (replace(self.phase, epochs=n),),
                self.recipe,
                data,
                streams=streams,
                context=(initial, prunable(module)),
                seed=0,
            )
            return time.perf_counter() - begun

        return _per_step(steps)

    def stacked(self, models: int) -> float:
        """Return the seconds of a step of so many models at once."""
        cpu = torch.device("cpu")
        data = StackData.of(self.all, self.members[:models], cpu)
        streams = {
            pool: StackData.of(self.all, [rows] * models, cpu)
            for pool, rows in self._pools().items()
        }

        def steps(n: int) -> float:
            modules = self._fresh(models)
            initial: list[Tensors] = [dict(module.named_parameters()) for module in modules]
            begun = time.perf_counter()
            run_stack(
                modules,
                (replace(self.phase, epochs=n),),
                self.recipe,
                data,
                streams=streams,
                context=(initial, prunable(modules[0])),
                seeds=range(models),
            )
            return time.perf_counter() - begun

        return _per_step(steps)


def _per_step(steps: Callable[[int], float]) -> float:
    """Return the seconds that a step takes, from runs of one step and of some more.

    Every step is an epoch here, of one batch.
    """
    first = min(steps(1) for _ in range(2))
    if first > LONG:
        return first
    more = min(steps(1 + STEPS) for _ in range(2))
    return max((more - first) / STEPS, 1e-7)
