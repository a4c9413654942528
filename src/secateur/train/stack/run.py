"""The training loop for many models at once; step by step it does what `train/loop.py` does."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional

from secateur.errors import NotFiniteError
from secateur.train.hooks import Batch, Hook, Left, Moment, overrides
from secateur.train.loop import Trained, check_streams, diverged, learning_rate, steps_of
from secateur.train.stack import lift
from secateur.train.stack.forward import forward_of, set_momentum
from secateur.train.stack.layers import Context
from secateur.train.statistics import normalisations
from secateur.types import derive_seed

if TYPE_CHECKING:
    from torch import Tensor

    from secateur.train.hooks import Tensors
    from secateur.train.recipe import Phase, Recipe
    from secateur.types import IntArray, Records

__all__ = ["StackData", "run_stack"]

AfterEpoch = Callable[[Sequence[nn.Module], int], None]


@dataclass(frozen=True, kw_only=True)
class StackData:
    """The records that a stack of models reads, once, and which of them each model may read.

    `rows[k]` are positions in `inputs` of the records of model k, in the order of their indices.
    """

    inputs: Tensor
    labels: Tensor
    indices: Tensor
    rows: tuple[Tensor, ...]

    @classmethod
    def of(cls, records: Records, indices: Sequence[IntArray], device: torch.device) -> StackData:
        """Gather the union of these records, one array of indices per model."""
        union = np.unique(np.concatenate(list(indices)))
        rows = tuple(torch.from_numpy(np.searchsorted(union, part)).to(device) for part in indices)
        return cls(
            inputs=torch.from_numpy(np.array(records.gather(union))).to(device),
            labels=torch.from_numpy(np.array(records.labels[union])).to(device),
            indices=torch.from_numpy(np.array(union, dtype=np.int64)).to(device),
            rows=rows,
        )

    def batch(self, where: Tensor, streams: Mapping[str, Batch]) -> Batch:
        """Return the records at positions of any shape."""
        return Batch(self.inputs[where], self.labels[where], self.indices[where], streams)


@dataclass(frozen=True)
class _Step:
    """Positions `[models, records]` of a step's records; `sizes` where models have fewer."""

    where: Tensor
    sizes: tuple[int, ...] | None = None

    def each(self, models: int) -> tuple[int, ...]:
        """Return the number of records of each model."""
        return self.sizes or (self.where.shape[1],) * models


class _Stack:
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
    ) -> None:
        self.modules = modules
        self.models = len(modules)
        self.recipe = recipe
        self.data = data
        self.streams = streams
        self.seeds = seeds
        self.module = copy.deepcopy(modules[0]).train()
        self.network = forward_of(self.module)
        needs = {name: p.requires_grad for name, p in modules[0].named_parameters()}
        self.params: Tensors = {
            name: value.requires_grad_(needs[name])
            for name, value in lift.stack(
                [_detached(m.named_parameters()) for m in modules]
            ).items()
        }
        self.buffers: Tensors = lift.stack([_detached(m.named_buffers()) for m in modules])
        self.context = Context(models=self.models, params=self.params, buffers=self.buffers)
        self.now = Moment(
            params=self.params,
            buffers=self.buffers,
            initial=initial,
            prunable=prunable,
            forward=self._forward_one,
            epoch=0,
            step=0,
            epochs=0,
        )
        self.orders: list[np.random.Generator] = []
        self.noise: list[torch.Generator] = []
        self.counts: list[int] = []  # records seen, where statistics are taken afresh

    def _forward_one(
        self, params: Mapping[str, Tensor], buffers: Mapping[str, Tensor], inputs: Tensor
    ) -> Tensor:
        logits: Tensor = functional_call(self.module, {**params, **buffers}, (inputs,))
        return logits

    def _take_over(self, new: Mapping[str, Tensor], phase: Phase) -> None:
        if new is self.params or not phase.trains:
            return
        with torch.no_grad():
            for name, value in new.items():
                if value is not self.params[name]:
                    self.params[name].copy_(value)

    # -- a phase -------------------------------------------------------------------------------

    def run(self, phase: Phase, number: int, after_epoch: AfterEpoch | None) -> list[Left]:
        """Run one phase and return what its hooks leave behind, per model."""
        self._seed(number)
        plan = phase.optimiser or self.recipe.optimiser
        self.now = replace(self.now, epoch=0, step=0, epochs=phase.epochs)
        states = []
        with torch.no_grad():
            for hook in phase.hooks:
                noises = [hook.noise(g, lift.moment_of(self.now, k), 0) for k, g in self._noise()]
                state, params = lift.begin(hook, self.now, noises)
                self._take_over(params, phase)
                states.append(state)
        optimiser = plan.make(self.params.values())
        if not phase.trains:
            self._forget_statistics(phase)
        for epoch in range(phase.epochs):
            rate = learning_rate(plan.lr, plan.schedule, epoch / phase.epochs)
            for group in optimiser.param_groups:
                group["lr"] = rate
            losses = torch.zeros(self.models)
            for step in self._epoch():
                self.now = replace(self.now, epoch=epoch)
                losses = self._step(phase, states, step, optimiser)
                self.now = replace(self.now, step=self.now.step + 1)
            self._check_finite(losses, epoch)
            with torch.no_grad():
                for i, hook in enumerate(phase.hooks):
                    if overrides(hook, "after_epoch"):
                        states[i], params = lift.lifted(hook, "after_epoch", states[i], self.now)
                        self._take_over(params, phase)
            if after_epoch is not None:
                self.put_back()
                try:
                    after_epoch(self.modules, epoch + 1)
                except NotFiniteError as error:
                    raise diverged("outputs are no longer finite", epoch) from error
        return self._finish(phase, states)

    def _seed(self, number: int) -> None:
        self.orders = [np.random.default_rng(derive_seed(s, "order", number)) for s in self.seeds]
        self.noise = [
            torch.Generator().manual_seed(derive_seed(s, "noise", number)) for s in self.seeds
        ]
        dropout = [
            torch.Generator().manual_seed(derive_seed(s, "dropout", number)) for s in self.seeds
        ]
        self.context = replace(self.context, dropout=dropout)

    def _noise(self) -> enumerate[torch.Generator]:
        return enumerate(self.noise)

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

    def _epoch(self) -> list[_Step]:
        """Return for each step where every model's records stand."""
        lengths = [len(rows) for rows in self.data.rows]
        where = self.data.rows[0].new_zeros(self.models, max(lengths))
        for k, (rows, rng) in enumerate(zip(self.data.rows, self.orders, strict=True)):
            order = torch.from_numpy(rng.permutation(len(rows)))
            where[k, : len(rows)] = rows[order.to(rows.device)]
        size = self.recipe.batch_size
        steps = steps_of(lengths[0], size)
        found = [_Step(where[:, s * size : (s + 1) * size]) for s in range(steps - 1)]
        first = (steps - 1) * size  # the last batch takes the rest, which may differ
        rest = tuple(length - first for length in lengths)
        same = len(set(rest)) == 1
        return [*found, _Step(where[:, first:], None if same else rest)]

    # -- a step --------------------------------------------------------------------------------

    def _step(
        self,
        phase: Phase,
        states: list[Tensors],
        step: _Step,
        optimiser: torch.optim.Optimizer,
    ) -> Tensor:
        sizes = step.sizes
        each, batch = self._batch(phase, states, step)
        context = replace(self.context, sizes=sizes)
        if not phase.trains:
            self._show(context, batch.inputs, step.each(self.models))
            return torch.zeros(self.models)
        logits = self.network(context, batch.inputs)
        losses = self._losses(batch, logits, sizes)
        for state, hook in zip(states, phase.hooks, strict=True):
            if overrides(hook, "loss"):
                losses = self._hook_losses(hook, state, (batch, each), logits, losses)
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward([losses.sum()])
        with torch.no_grad():
            for i, hook in enumerate(phase.hooks):
                if overrides(hook, "grads"):
                    grads = {n: p.grad for n, p in self.params.items() if p.grad is not None}
                    states[i], changed = lift.lifted(hook, "grads", states[i], self.now, grads)
                    for name, grad in changed.items():
                        self.params[name].grad = grad
        optimiser.step()
        with torch.no_grad():
            for i, hook in enumerate(phase.hooks):
                if overrides(hook, "after_step"):
                    states[i], params = lift.lifted(hook, "after_step", states[i], self.now)
                    self._take_over(params, phase)
        return losses.detach()

    def _batch(self, phase: Phase, states: list[Tensors], step: _Step) -> tuple[list[Batch], Batch]:
        """Return the batch after all hooks: per model where sizes differ, and stacked."""
        drawn = {
            pool: torch.stack(
                [
                    part[torch.from_numpy(rng.integers(len(part), size=size))]
                    for part, rng in zip(self.streams[pool].rows, self.orders, strict=True)
                ]
            )
            for pool, size in phase.streams.items()
        }
        hooks = [(i, hook) for i, hook in enumerate(phase.hooks) if overrides(hook, "batch")]
        sizes = step.each(self.models)
        if step.sizes is None:
            streams = {p: self.streams[p].batch(where, {}) for p, where in drawn.items()}
            batch = self.data.batch(step.where, streams)
            for i, hook in hooks:
                noises = lift.stack(self._noises(hook, sizes))
                states[i], batch = lift.lifted(hook, "batch", states[i], self.now, batch, noises)
            return [], batch
        if not hooks and not any(overrides(hook, "loss") for hook in phase.hooks):
            return [], self.data.batch(step.where, {})
        each = [
            self.data.batch(
                step.where[k, :size],
                {p: self.streams[p].batch(w[k], {}) for p, w in drawn.items()},
            )
            for k, size in enumerate(sizes)
        ]
        for i, hook in hooks:
            states[i], each = lift.lifted_batch(
                hook, states[i], self.now, each, self._noises(hook, sizes)
            )
        joined = lift.stack([{"x": b.inputs, "y": b.labels, "i": b.indices} for b in each])
        return each, Batch(joined["x"], joined["y"], joined["i"])

    def _noises(self, hook: Hook, sizes: Sequence[int]) -> list[Tensors]:
        now = self.now
        return [hook.noise(g, now, size) for g, size in zip(self.noise, sizes, strict=True)]

    def _losses(self, batch: Batch, logits: Tensor, sizes: tuple[int, ...] | None) -> Tensor:
        """Return each model's mean cross entropy over its own records."""
        each = functional.cross_entropy(
            logits.flatten(0, 1),
            batch.labels.flatten(0, 1),
            reduction="none",
            label_smoothing=self.recipe.label_smoothing,
        ).view(self.models, -1)
        if sizes is None:
            return each.mean(1)
        count = torch.tensor(sizes, device=each.device)
        valid = torch.arange(each.shape[1], device=each.device) < count[:, None]
        return (each * valid).sum(1) / count

    def _hook_losses(
        self,
        hook: Hook,
        state: Tensors,
        seen: tuple[Batch, list[Batch]],
        logits: Tensor,
        losses: Tensor,
    ) -> Tensor:
        batch, each = seen
        if not each:
            found: Tensor = lift.lifted(hook, "loss", state, self.now, batch, logits, losses)
            return found
        return torch.stack(
            [
                hook.loss(
                    lift.of_model(state, k),
                    lift.moment_of(self.now, k),
                    one,
                    logits[k, : len(one.labels)],
                    losses[k],
                )
                for k, one in enumerate(each)
            ]
        )

    def _show(self, context: Context, inputs: Tensor, sizes: Sequence[int]) -> None:
        """Pass a batch through for its statistics; each batch counts by its records."""
        self.counts = [seen + size for seen, size in zip(self.counts, sizes, strict=True)]
        momentum = tuple(size / seen for seen, size in zip(self.counts, sizes, strict=True))
        with torch.no_grad():
            self.network(replace(context, momentum=momentum), inputs)
        set_momentum(self.module, 0.0)

    def _finish(self, phase: Phase, states: list[Tensors]) -> list[Left]:
        masks: list[Tensors] = [{} for _ in self.modules]
        history: list[Tensors] = [{} for _ in self.modules]
        with torch.no_grad():
            for state, hook in zip(states, phase.hooks, strict=True):
                params, left = lift.finish(hook, state, self.now, self.models)
                self._take_over(params, phase)
                for k, one in enumerate(left):
                    masks[k].update(one.masks)
                    history[k].update(one.history)
        for part, own in zip(
            normalisations(self.module), normalisations(self.modules[0]), strict=True
        ):
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


def _detached(named: object) -> Tensors:
    return {name: value.detach() for name, value in named}  # type: ignore[attr-defined]


def run_stack(
    modules: Sequence[nn.Module],
    phases: Sequence[Phase],
    recipe: Recipe,
    data: StackData,
    *,
    streams: Mapping[str, StackData],
    context: tuple[Sequence[Tensors], tuple[str, ...]],
    seeds: Sequence[int],
    after_epoch: AfterEpoch | None = None,
) -> list[Trained]:
    """Train modules of one architecture in place, all at once, each with its own data and seed.

    Args:
        modules: their parameters are the start.
        phases: what happens, in order, to every model.
        recipe: loss, batch size and default optimiser.
        data: the members; all models take the same number of steps in an epoch.
        streams: further pools that phases declare, by name.
        context: the parameters of each model as initialised, and the names of prunable weights.
        seeds: one per model, of batch orders, noise and dropout.
        after_epoch: called in the first phase with the modules and the number of epochs done.

    Returns:
        For each model what `run_phases` returns.

    Raises:
        MethodError: as `run_phases`; a hook that cannot be lifted.
    """
    initial, prunable = context
    for phase in phases:
        check_streams(phase, {pool: len(part.rows[0]) for pool, part in streams.items()})
    run = _Stack(
        modules, recipe, data, streams, initial=lift.stack(initial), prunable=prunable, seeds=seeds
    )
    masks: list[Tensors] = [{} for _ in modules]
    history: list[Tensors] = [{} for _ in modules]
    for number, phase in enumerate(phases):
        for k, left in enumerate(run.run(phase, number, after_epoch if number == 0 else None)):
            masks[k].update(left.masks)
            history[k].update(left.history)
    run.put_back()
    for module in modules:
        module.eval()
    return [
        Trained(
            params={n: v.detach() for n, v in module.named_parameters()},
            buffers=dict(module.named_buffers()),
            left=Left(masks=masks[k], history=history[k]),
        )
        for k, module in enumerate(modules)
    ]
