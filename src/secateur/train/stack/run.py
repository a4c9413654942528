"""Train many models at once: what `run_phases` does, for a stack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn

from secateur.train.hooks import MEMBERS, Left
from secateur.train.loop import Trained, check_streams
from secateur.train.stack import lift
from secateur.train.stack.data import StackData
from secateur.train.stack.kernels import Kernels
from secateur.train.stack.training import AfterEpoch, Stack
from secateur.types import derive_seed

if TYPE_CHECKING:
    from secateur.train.hooks import Tensors
    from secateur.train.recipe import Phase, Recipe

__all__ = ["run_stack"]


def run_stack(  # noqa: PLR0913 - as `run_phases`, and how it is computed
    modules: Sequence[nn.Module],
    phases: Sequence[Phase],
    recipe: Recipe,
    data: StackData,
    *,
    streams: Mapping[str, StackData],
    context: tuple[Sequence[Tensors], tuple[str, ...]],
    seeds: Sequence[int],
    after_epoch: AfterEpoch | None = None,
    kernels: Kernels | None = None,
) -> list[Trained]:
    """Train modules of one architecture in place, all at once, each with its own data and seed.

    Args:
        modules: their parameters are the start; sorted by the number of their steps in an epoch.
        phases: what happens, in order, to every model.
        recipe: loss, batch size and default optimiser.
        data: the members.
        streams: further pools that phases declare, by name.
        context: the parameters of each model as initialised, and the names of prunable weights.
        seeds: one per model, of batch orders, noise and dropout.
        after_epoch: called in the first phase with the modules and the number of epochs done.
        kernels: in which precision the network runs, and whether it is compiled.

    Returns:
        For each model what `run_phases` returns.

    Raises:
        MethodError: as `run_phases`; a hook that cannot be lifted.
    """
    initial, prunable = context
    for phase in phases:
        sizes = {pool: len(part.rows[0]) for pool, part in streams.items()}
        check_streams(phase, {**sizes, MEMBERS: len(data.rows[0])})
    run = Stack(
        modules,
        recipe,
        data,
        streams,
        initial=lift.stack(initial),
        prunable=prunable,
        seeds=seeds,
        kernels=kernels or Kernels(),
    )
    masks: list[Tensors] = [{} for _ in modules]
    history: list[Tensors] = [{} for _ in modules]
    device = data.inputs.device
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        for number, phase in enumerate(phases):
            # what a network draws by itself, where it is lifted as a whole
            torch.manual_seed(derive_seed(seeds[0], "dropout", number))
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
