"""Gradients of the loss on further records, for hooks that compare them with those of members."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

    from secateur.train.hooks import Batch, Moment, Tensors

__all__ = ["slopes"]


def slopes(now: Moment, batch: Batch, names: Iterable[str]) -> Tensors:
    """Return the gradient of a batch's mean cross entropy at the parameters of this moment.

    The pass is in the mode of training: batch normalisation takes the statistics of this batch, and
    its running ones are left as they are. May be lifted by `torch.func.vmap`.

    Args:
        now: the model.
        batch: inputs `[n, ...]` and labels `[n]`, or soft ones `[n, classes]`.
        names: parameters to differentiate by.

    Returns:
        A tensor of the parameter's shape for each name.
    """
    chosen = {name: now.params[name] for name in names}

    def loss(chosen: Mapping[str, Tensor]) -> Tensor:
        buffers = {name: value.clone() for name, value in now.buffers.items()}
        logits = now.forward({**now.params, **chosen}, buffers, batch.inputs)
        return functional.cross_entropy(logits, batch.labels)

    with torch.no_grad():  # of the graph around; torch.func.grad makes its own
        found: Tensors = torch.func.grad(loss)(chosen)
    return found
