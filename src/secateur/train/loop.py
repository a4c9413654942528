"""The one training loop: phases, hooks and snapshots for one model, repeatable from its seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional

from secateur.errors import DivergedError, MethodError, NotFiniteError
from secateur.models import channels_last, takes_channels_last
from secateur.train.batches import TrainData, batches
from secateur.train.hooks import MEMBERS, Batch, Hook, Left, Moment, overrides
from secateur.train.statistics import FreshStatistics, evaluating
from secateur.types import derive_seed

if TYPE_CHECKING:
    from torch import Tensor

    from secateur.train.hooks import Tensors
    from secateur.train.optimisers import Steps
    from secateur.train.recipe import Phase, Recipe

__all__ = [
    "Trained",
    "check_streams",
    "diverged",
    "learning_rate",
    "run_phases",
]

AfterEpoch = Callable[[nn.Module, int], None]


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What the loop returns: final parameters and buffers, masks and curves, all detached."""

    params: Tensors
    buffers: Tensors
    left: Left


def learning_rate(base: float, schedule: str, progress: float) -> float:
    """Return the rate after this share of a phase."""
    return base * 0.5 * (1.0 + float(np.cos(np.pi * progress))) if schedule == "cosine" else base


def check_streams(phase: Phase, sizes: Mapping[str, int]) -> None:
    """Refuse a phase that reads a pool without records."""
    for pool in phase.streams:
        if not sizes.get(pool):
            raise MethodError(
                f"this method reads the pool {pool!r}, which holds no records; "
                f"there are {sorted(sizes)}: draw a membership with that pool"
            )


def diverged(what: str, epoch: int) -> DivergedError:
    """Return the error for a training that left the finite numbers."""
    return DivergedError(
        f"training diverged: {what} after epoch {epoch + 1}; lower the learning rate or the "
        "strength of an added loss term"
    )


class _Run:
    """One model in training: its module, its hooks' states, its random numbers."""

    def __init__(
        self,
        module: nn.Module,
        recipe: Recipe,
        data: TrainData,
        streams: Mapping[str, TrainData],
        *,
        initial: Tensors,
        prunable: tuple[str, ...],
        seed: int,
    ) -> None:
        self.module = module
        self.recipe = recipe
        self.data = data
        self.streams = {**streams, MEMBERS: data}
        self.seed = seed
        self.statistics: FreshStatistics | None = None
        self.channels_last = takes_channels_last(module, data.inputs)
        self.params: Tensors = dict(module.named_parameters())
        self.buffers: Tensors = dict(module.named_buffers())
        self.now = Moment(
            params=self.params,
            buffers=self.buffers,
            initial=initial,
            prunable=prunable,
            forward=self._forward,
            predict=self._predict,
            classes=data.classes,
            epoch=0,
            step=0,
            epochs=0,
        )

    def _forward(
        self, params: Mapping[str, Tensor], buffers: Mapping[str, Tensor], inputs: Tensor
    ) -> Tensor:
        if self.channels_last:
            inputs = channels_last(inputs)
        if params is self.params and buffers is self.buffers:
            logits: Tensor = self.module(inputs)
        else:
            logits = functional_call(self.module, {**params, **buffers}, (inputs,))
        return logits

    def _predict(
        self, params: Mapping[str, Tensor], buffers: Mapping[str, Tensor], inputs: Tensor
    ) -> Tensor:
        with evaluating(self.module):
            return self._forward(params, buffers, inputs)

    def _take_over(self, new: Mapping[str, Tensor]) -> None:
        if new is self.params or self.statistics is not None:
            return
        with torch.no_grad():
            for name, value in new.items():
                if value is not self.params[name]:
                    self.params[name].copy_(value)

    def run(self, phase: Phase, number: int, after_epoch: AfterEpoch | None) -> Left:
        """Run one phase and return what its hooks leave behind."""
        rng = np.random.default_rng(derive_seed(self.seed, "order", number))
        drawn = np.random.default_rng(derive_seed(self.seed, "streams", number))
        generator = torch.Generator().manual_seed(derive_seed(self.seed, "noise", number))
        optimiser_plan = phase.optimiser or self.recipe.optimiser
        self.now = replace(self.now, epoch=0, step=0, epochs=phase.epochs)
        self.statistics = None if phase.trains else FreshStatistics(self.module)
        states = self._begin(phase.hooks, generator)
        optimiser = optimiser_plan.make(self.params.values())
        self.module.train()
        for epoch in range(phase.epochs):
            lr = learning_rate(optimiser_plan.lr, optimiser_plan.schedule, epoch / phase.epochs)
            for group in optimiser.param_groups:
                group["lr"] = lr
            loss = torch.zeros(())
            for rows in batches(len(self.data), self.recipe.batch_size, rng):
                self.now = replace(self.now, epoch=epoch)
                batch = self._batch(phase, rows, drawn)
                loss = self._step(phase, states, batch, optimiser, generator)
                self.now = replace(self.now, step=self.now.step + 1)
            self._check_finite(loss, epoch)
            self._after_epoch(phase.hooks, states)
            if after_epoch is not None:
                try:
                    after_epoch(self.module, epoch + 1)
                except NotFiniteError as error:
                    raise diverged("outputs are no longer finite", epoch) from error
                self.module.train()
        if self.statistics is not None:
            self.statistics.finish()
        return self._finish(phase.hooks, states)

    def _batch(self, phase: Phase, rows: Tensor, rng: np.random.Generator) -> Batch:
        streams = {}
        for pool, size in phase.streams.items():
            source = self.streams[pool]
            streams[pool] = source.batch(torch.from_numpy(rng.integers(len(source), size=size)), {})
        return self.data.batch(rows, streams)

    def _begin(self, hooks: Sequence[Hook], generator: torch.Generator) -> list[Tensors]:
        states = []
        with torch.no_grad():
            for hook in hooks:
                state, params = hook.begin(self.now, hook.noise(generator, self.now, 0))
                self._take_over(params)
                states.append(state)
        return states

    def _step(
        self,
        phase: Phase,
        states: list[Tensors],
        batch: Batch,
        optimiser: Steps,
        generator: torch.Generator,
    ) -> Tensor:
        hooks = phase.hooks
        for i, hook in enumerate(hooks):
            if overrides(hook, "batch"):
                noise = hook.noise(generator, self.now, len(batch.indices))
                states[i], batch = hook.batch(states[i], self.now, batch, noise)
        if self.statistics is not None:
            self.statistics.show(batch.inputs)
            return torch.zeros(())
        logits = self._forward(self.params, self.buffers, batch.inputs)
        loss = functional.cross_entropy(
            logits, batch.labels, label_smoothing=self.recipe.label_smoothing
        )
        for state, hook in zip(states, hooks, strict=True):
            if overrides(hook, "loss"):
                loss = hook.loss(state, self.now, batch, logits, loss)
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward([loss])
        with torch.no_grad():
            self._change_grads(hooks, states)
        optimiser.step()
        with torch.no_grad():
            for i, hook in enumerate(hooks):
                if overrides(hook, "after_step"):
                    states[i], params = hook.after_step(states[i], self.now)
                    self._take_over(params)
        return loss.detach()

    def _change_grads(self, hooks: Sequence[Hook], states: list[Tensors]) -> None:
        for i, hook in enumerate(hooks):
            if overrides(hook, "grads"):
                grads = {n: p.grad for n, p in self.params.items() if p.grad is not None}
                states[i], changed = hook.grads(states[i], self.now, grads)
                for name, grad in changed.items():
                    self.params[name].grad = grad

    def _after_epoch(self, hooks: Sequence[Hook], states: list[Tensors]) -> None:
        with torch.no_grad():
            for i, hook in enumerate(hooks):
                if overrides(hook, "after_epoch"):
                    states[i], params = hook.after_epoch(states[i], self.now)
                    self._take_over(params)

    def _finish(self, hooks: Sequence[Hook], states: list[Tensors]) -> Left:
        masks: Tensors = {}
        history: Tensors = {}
        with torch.no_grad():
            for state, hook in zip(states, hooks, strict=True):
                params, left = hook.finish(state, self.now)
                self._take_over(params)
                masks.update(left.masks)
                history.update(left.history)
        return Left(masks=masks, history=history)

    def _check_finite(self, loss: Tensor, epoch: int) -> None:
        if not bool(torch.isfinite(loss)):
            raise diverged(f"the loss is {float(loss)}", epoch)


def run_phases(
    module: nn.Module,
    phases: Sequence[Phase],
    recipe: Recipe,
    data: TrainData,
    *,
    streams: Mapping[str, TrainData],
    context: tuple[Tensors, tuple[str, ...]],
    seed: int,
    after_epoch: AfterEpoch | None = None,
) -> Trained:
    """Train `module` in place through `phases`, repeatably: same seed, same bytes on one machine.

    Args:
        module: on the device where it is to be trained; its parameters are the start.
        phases: what happens, in order; a later phase's masks and curves override an earlier one's.
        recipe: loss, batch size and default optimiser.
        data: the members.
        streams: further pools that phases declare, by name.
        context: the parameters as initialised, and the names of prunable weights.
        seed: of batch orders, noise and dropout.
        after_epoch: called in the first phase with the module and the number of epochs done.

    Raises:
        DivergedError: the loss or the outputs are not finite.
        MethodError: a declared pool is missing or empty.
    """
    initial, prunable = context
    for phase in phases:
        sizes = {pool: len(part) for pool, part in streams.items()}
        check_streams(phase, {**sizes, MEMBERS: len(data)})
    run = _Run(module, recipe, data, streams, initial=initial, prunable=prunable, seed=seed)
    masks: Tensors = {}
    history: Tensors = {}
    with torch.random.fork_rng(devices=[]):
        for number, phase in enumerate(phases):
            torch.manual_seed(derive_seed(seed, "dropout", number))
            left = run.run(phase, number, after_epoch if number == 0 else None)
            masks.update(left.masks)
            history.update(left.history)
    module.eval()
    return Trained(
        params={k: v.detach() for k, v in run.params.items()},
        buffers=run.buffers,
        left=Left(masks=masks, history=history),
    )


def as_arrays(tensors: Mapping[str, Tensor]) -> dict[str, np.ndarray[Any, Any]]:
    """Return copies of tensors as numpy arrays."""
    return {k: v.detach().cpu().numpy().copy() for k, v in tensors.items()}
