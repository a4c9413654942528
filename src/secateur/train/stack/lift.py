"""Hooks, which are written for one model, called for many: lifted by vmap, or model by model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch.func import vmap
from torch.nn import functional

from secateur.errors import MethodError
from secateur.train.hooks import Batch, Hook, Left, Moment

if TYPE_CHECKING:
    from torch import Tensor

    from secateur.train.hooks import Tensors

__all__ = ["begin", "finish", "lifted", "lifted_batch", "of_model", "stack"]


def of_model(tensors: Mapping[str, Tensor], model: int) -> Tensors:
    """Return one model's slices."""
    return {name: value[model] for name, value in tensors.items()}


def stack(each: Sequence[Mapping[str, Tensor]]) -> Tensors:
    """Join the tensors of models along a new first axis; ragged ones are padded with zeros."""
    return {name: _stacked([one[name] for one in each]) for name in each[0]}


def _stacked(values: Sequence[Tensor]) -> Tensor:
    if len({value.shape for value in values}) == 1:
        return torch.stack(list(values))
    longest = max(len(value) for value in values)
    padded = [
        functional.pad(value, (*(0, 0) * (value.dim() - 1), 0, longest - len(value)))
        for value in values
    ]
    return torch.stack(padded)


def moment_of(now: Moment, model: int) -> Moment:
    """Return what one model's hook sees."""
    return replace(
        now,
        params=of_model(now.params, model),
        buffers=of_model(now.buffers, model),
        initial=of_model(now.initial, model),
    )


def begin(
    hook: Hook, moments: Sequence[Moment], noises: Sequence[Tensors]
) -> tuple[Tensors, Tensors]:
    """Start a phase for every model; return the stacked state and parameters."""
    states, params = [], []
    for now, noise in zip(moments, noises, strict=True):
        state, found = hook.begin(now, noise)
        states.append(state)
        params.append(found)
    return stack(states), stack(params)


def finish(hook: Hook, state: Tensors, moments: Sequence[Moment]) -> tuple[Tensors, list[Left]]:
    """End a phase for every model; return the stacked parameters and what each leaves."""
    params, left = [], []
    for model, now in enumerate(moments):
        found, leaves = hook.finish(of_model(state, model), now)
        params.append(found)
        left.append(leaves)
    return stack(params), left


def lifted(hook: Hook, method: str, state: Tensors, now: Moment, *given: Any) -> Any:
    """Call a hook's method for all models at once.

    Args:
        hook: whose `elementwise` names the methods that need no lifting.
        method: `loss`, `grads`, `after_step`, `after_epoch` or `batch`.
        state: stacked.
        now: with stacked parameters, buffers and initial parameters.
        given: the method's further arguments, stacked.

    Returns:
        What the method returns, stacked; of parameters only those that it changed.

    Raises:
        MethodError: torch cannot lift the method.
    """
    if method in hook.elementwise:
        return getattr(hook, method)(state, now, *given)

    def one(
        state: Tensors, params: Tensors, buffers: Tensors, initial: Tensors, *given: Any
    ) -> Any:
        here = replace(now, params=params, buffers=buffers, initial=initial)
        found = getattr(hook, method)(state, here, *given)
        if method in ("after_step", "after_epoch"):
            state, new = found
            return state, {name: v for name, v in new.items() if v is not params[name]}
        return found

    try:
        return vmap(one, randomness="different")(
            state, now.params, now.buffers, now.initial, *given
        )
    except RuntimeError as error:
        raise MethodError(
            f"{type(hook).__name__}.{method} cannot be computed for many models at once ({error}); "
            "train them one by one: engine='processes'"
        ) from error


def lifted_batch(
    hook: Hook, state: Tensors, now: Moment, batches: Sequence[Batch], noises: Sequence[Tensors]
) -> tuple[Tensors, list[Batch]]:
    """Call `batch` model by model, for batches of several sizes."""
    states, found = [], []
    for model, (batch, noise) in enumerate(zip(batches, noises, strict=True)):
        one, changed = hook.batch(of_model(state, model), moment_of(now, model), batch, noise)
        states.append(one)
        found.append(changed)
    return stack(states), found
