"""The training loop for many models at once; step by step it does what `train/loop.py` does."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.func import functional_call

from secateur.errors import NotFiniteError
from secateur.train.batches import steps_of
from secateur.train.hooks import MEMBERS, Left, Moment, overrides
from secateur.train.loop import diverged, learning_rate
from secateur.train.stack import lift
from secateur.train.stack.batches import Draws, Reader, hook_losses, mean_losses
from secateur.train.stack.data import StackData, Step, steps_of_epoch
from secateur.train.stack.forward import Lowered, answers, forward_of, set_momentum
from secateur.train.stack.kernels import Kernels
from secateur.train.stack.layers import Context
from secateur.train.stack.optimisers import Optimisers, from_model
from secateur.train.statistics import evaluating, normalisations
from secateur.types import derive_seed

if TYPE_CHECKING:
    from torch import Tensor

    from secateur.train.hooks import Tensors
    from secateur.train.recipe import Phase, Recipe

__all__ = ["AfterEpoch", "Stack"]

AfterEpoch = Callable[[Sequence[nn.Module], int], None]


@dataclass(frozen=True, kw_only=True)
class _Active:
    """The models that take part in a step: all, or those that have more steps than the others.

    Its tensors share their memory with those of the whole stack.
    """

    now: Moment
    context: Context


class Stack:
    """Models in training: stacked tensors, hooks' states, and each model's random numbers."""

    def __init__(
        self,
        modules: Sequence[nn.Module],
        recipe: Recipe,
        data: StackData,
        streams: Mapping[str, StackData],
        *,
        initial: Tensors,
        prunable: tuple[str, ...],
        seeds: Sequence[int],
        kernels: Kernels,
    ) -> None:
        self.modules = modules
        self.models = len(modules)
        self.recipe = recipe
        self.data = data
        self.reader = Reader(data=data, streams={**streams, MEMBERS: data})
        self.seeds = seeds
        self.steps = [steps_of(len(rows), recipe.batch_size) for rows in data.rows]
        assert self.steps == sorted(self.steps)  # shards are cut so
        self.module = copy.deepcopy(modules[0]).train()
        self.plain = forward_of(self.module)
        self.network = kernels.apply(self.plain, data.inputs.device)
        needs = {name: p.requires_grad for name, p in modules[0].named_parameters()}
        stacked = lift.stack([_detached(m.named_parameters()) for m in modules])
        self.params = {n: value.requires_grad_(needs[n]) for n, value in stacked.items()}
        self.buffers: Tensors = lift.stack([_detached(m.named_buffers()) for m in modules])
        self.now = Moment(
            params=self.params,
            buffers=self.buffers,
            initial=initial,
            prunable=prunable,
            forward=self._forward_one,
            predict=self._predict_one,
            classes=data.classes,
            epoch=0,
            step=0,
            epochs=0,
        )
        context = Context(models=self.models, params=self.params, buffers=self.buffers)
        self.active = {0: _Active(now=self.now, context=context)}
        self.orders: list[np.random.Generator] = []
        self.drawn: list[np.random.Generator] = []
        self.noise: list[torch.Generator] = []
        self.dropout: list[torch.Generator] = []
        self.counts = [0] * self.models  # records seen, where statistics are taken afresh

    def _forward_one(
        self, params: Mapping[str, Tensor], buffers: Mapping[str, Tensor], inputs: Tensor
    ) -> Tensor:
        # for hooks, which are lifted over the models: there a layout in memory cannot be asked for
        logits: Tensor = functional_call(self.module, {**params, **buffers}, (inputs,))
        return logits

    def _predict_one(
        self, params: Mapping[str, Tensor], buffers: Mapping[str, Tensor], inputs: Tensor
    ) -> Tensor:
        if isinstance(self.plain, Lowered) and not torch.is_grad_enabled():
            return answers(self.plain, dict(params), dict(buffers), inputs)
        with evaluating(self.module):
            return self._forward_one(params, buffers, inputs)

    def _from(self, first: int) -> _Active:
        """Return the models from this one on, at this moment."""
        if first not in self.active:
            params = {
                n: p.detach()[first:].requires_grad_(p.requires_grad)
                for n, p in self.params.items()
            }
            buffers = from_model(self.buffers, first)
            initial = from_model(self.now.initial, first)
            self.active[first] = _Active(
                now=replace(self.now, params=params, buffers=buffers, initial=initial),
                context=Context(models=self.models - first, params=params, buffers=buffers),
            )
        held = self.active[first]
        now = replace(held.now, epoch=self.now.epoch, step=self.now.step, epochs=self.now.epochs)
        return replace(held, now=now, context=replace(held.context, dropout=self.dropout[first:]))

    def run(self, phase: Phase, number: int, after_epoch: AfterEpoch | None) -> list[Left]:
        """Run one phase and return what its hooks leave behind, per model."""
        self.orders = [np.random.default_rng(derive_seed(s, "order", number)) for s in self.seeds]
        self.drawn = [np.random.default_rng(derive_seed(s, "streams", number)) for s in self.seeds]
        self.noise = self._generators("noise", number)
        self.dropout = self._generators("dropout", number)
        plan = phase.optimiser or self.recipe.optimiser
        self.now = replace(self.now, epoch=0, step=0, epochs=phase.epochs)
        states = self._begin(phase)
        optimisers = Optimisers(plan, self.params, self.steps)
        if not phase.trains:
            self._forget_statistics(phase)
        for epoch in range(phase.epochs):
            self.now = replace(self.now, epoch=epoch)
            optimisers.set_rate(learning_rate(plan.lr, plan.schedule, epoch / phase.epochs))
            losses = self._one_epoch(phase, states, optimisers)
            self._check_finite(losses, epoch)
            with torch.no_grad():
                for i, hook in enumerate(phase.hooks):
                    if overrides(hook, "after_epoch"):
                        states[i], new = lift.lifted(hook, "after_epoch", states[i], self.now)
                        _take_over(self.params, new, phase)
            if after_epoch is not None:
                self.put_back()
                try:
                    after_epoch(self.modules, epoch + 1)
                except NotFiniteError as error:
                    raise diverged("outputs are no longer finite", epoch) from error
        return self._finish(phase, states)

    def _generators(self, what: str, number: int) -> list[torch.Generator]:
        return [torch.Generator().manual_seed(derive_seed(s, what, number)) for s in self.seeds]

    def _begin(self, phase: Phase) -> list[Tensors]:
        states = []
        with torch.no_grad():
            for hook in phase.hooks:
                moments = [lift.moment_of(self.now, k) for k in range(self.models)]
                noises = [hook.noise(g, now, 0) for g, now in zip(self.noise, moments, strict=True)]
                state, params = lift.begin(hook, moments, noises)
                _take_over(self.params, params, phase)
                states.append(state)
        return states

    def _forget_statistics(self, phase: Phase) -> None:
        """Let running statistics begin anew, and no pass of a hook's own count."""
        self.counts = [0] * self.models
        set_momentum(self.module, 0.0)
        if not phase.epochs:
            return
        for name, value in self.buffers.items():
            if name.endswith("running_var"):
                value.fill_(1)
            elif name.endswith(("running_mean", "num_batches_tracked")):
                value.zero_()

    def _one_epoch(self, phase: Phase, states: list[Tensors], optimisers: Optimisers) -> Tensor:
        """Take every model through its records once; return each one's last loss."""
        losses = torch.zeros(self.models, device=self.data.inputs.device)
        for step in steps_of_epoch(self.data.rows, self.recipe.batch_size, self.orders):
            active = self._from(step.first)
            own = [from_model(state, step.first) for state in states]
            found = self._step(phase, own, active, step, optimisers)
            losses[step.first :] = found.to(losses)
            for i, state in enumerate(own):
                states[i] = _joined(states[i], state, step.first)
            self.now = replace(self.now, step=self.now.step + 1)
        return losses

    def _step(
        self,
        phase: Phase,
        states: list[Tensors],
        active: _Active,
        step: Step,
        optimisers: Optimisers,
    ) -> Tensor:
        """Take one step of the active models; `states` are theirs, and are replaced in the list."""
        drawn = Draws(streams=self.drawn[step.first :], noise=self.noise[step.first :])
        each, batch = self.reader.batch(phase.hooks, states, active.now, step, drawn, phase.streams)
        context = replace(active.context, sizes=step.sizes)
        if not phase.trains:
            self._show(context, batch.inputs, step)
            return torch.zeros(len(step.where))
        logits = self.network(context, batch.inputs)
        losses = mean_losses(logits, batch.labels, step.sizes, self.recipe.label_smoothing)
        for state, hook in zip(states, phase.hooks, strict=True):
            if overrides(hook, "loss"):
                losses = hook_losses(hook, state, active.now, (batch, each), logits, losses)
        params = active.now.params
        torch.autograd.backward([losses.sum()])
        grads = {n: p.grad for n, p in params.items() if p.grad is not None}
        with torch.no_grad():
            for i, hook in enumerate(phase.hooks):
                if overrides(hook, "grads"):
                    states[i], grads = lift.lifted(hook, "grads", states[i], active.now, grads)
        optimisers.step(grads, step.first)
        for value in params.values():
            value.grad = None
        with torch.no_grad():
            for i, hook in enumerate(phase.hooks):
                if overrides(hook, "after_step"):
                    states[i], new = lift.lifted(hook, "after_step", states[i], active.now)
                    _take_over(params, new, phase)
        return losses.detach()

    def _show(self, context: Context, inputs: Tensor, step: Step) -> None:
        """Pass a batch through for its statistics; each batch counts by its records."""
        for k, size in enumerate(step.each):
            self.counts[step.first + k] += size
        seen = self.counts[step.first :]
        momentum = tuple(size / n for n, size in zip(seen, step.each, strict=True))
        with torch.no_grad():
            self.network(replace(context, momentum=momentum), inputs)
        set_momentum(self.module, 0.0)

    def _finish(self, phase: Phase, states: list[Tensors]) -> list[Left]:
        masks: list[Tensors] = [{} for _ in self.modules]
        history: list[Tensors] = [{} for _ in self.modules]
        with torch.no_grad():
            for state, hook in zip(states, phase.hooks, strict=True):
                moments = [lift.moment_of(self.now, k) for k in range(self.models)]
                params, left = lift.finish(hook, state, moments)
                _take_over(self.params, params, phase)
                for k, one in enumerate(left):
                    masks[k].update(one.masks)
                    history[k].update(one.history)
        parts = zip(normalisations(self.module), normalisations(self.modules[0]), strict=True)
        for part, own in parts:
            part.momentum = own.momentum
        return [Left(masks=m, history=h) for m, h in zip(masks, history, strict=True)]

    def _check_finite(self, losses: Tensor, epoch: int) -> None:
        wrong = (~torch.isfinite(losses)).nonzero().flatten().tolist()
        if wrong:
            raise diverged(f"the loss is {float(losses[wrong[0]])}", epoch)

    def put_back(self) -> None:
        """Write every model's slices into its module."""
        with torch.no_grad():
            for k, module in enumerate(self.modules):
                for name, parameter in module.named_parameters():
                    parameter.copy_(self.params[name][k])
                for name, buffer in module.named_buffers():
                    buffer.copy_(self.buffers[name][k])


def _detached(named: Iterable[tuple[str, Tensor]]) -> Tensors:
    return {name: value.detach() for name, value in named}


def _take_over(params: Tensors, new: Mapping[str, Tensor], phase: Phase) -> None:
    """Write what a hook returned into the parameters; where nothing is trained, nothing."""
    if new is params or not phase.trains:
        return
    with torch.no_grad():
        for name, value in new.items():
            if value is not params[name]:
                params[name].copy_(value)


def _joined(state: Tensors, own: Tensors, first: int) -> Tensors:
    """Return a state whose models from `first` on are replaced."""
    if not first:
        return own
    return {n: torch.cat([state[n][:first], value]) for n, value in own.items()}
