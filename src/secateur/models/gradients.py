"""How strongly each record pulls at a network's weights."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.func import functional_call, grad, vmap

from secateur.errors import InputError
from secateur.models.rebuild import prunable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray
    from torch import Tensor

    from secateur.types import BoolArray, IntArray, Records

    PerRecord = Callable[[dict[str, Tensor], Tensor, Tensor], Tensor]

__all__ = ["gradient_norms"]

GROUPS = 8  # of layers at most, so that a deep network takes no more memory than a shallow one
NUMBERS = 2**24  # of gradients held at once, unless one record's are more
LEAST = 1e-24  # added to squares: where all of a gradient is 0 its logarithm is finite


def gradient_norms(
    module: nn.Module,
    records: Records,
    *,
    indices: IntArray | None = None,
    masks: Mapping[str, BoolArray] | None = None,
) -> NDArray[np.float32]:
    """Return log norms of each record's loss gradient, `[record, part]`, in eval mode.

    The first part is the gradient of all parameters. The others are groups of consecutive weights
    (of those that pruning counts), at most 8: the kept weights of each group, then, with masks, the
    removed ones of each, which stand at zero in the network but have a gradient too. Smaller = the
    record is fitted better.

    Args:
        module: a classifier whose forward pass `torch.func.vmap` can lift; left as it was.
        records: inputs and labels.
        indices: which records, default all.
        masks: by weight, True where it is kept.

    Raises:
        InputError: the network cannot be lifted, or has no parameters.

    Example:
        >>> from secateur.data import digits
        >>> from secateur.models import MLP
        >>> net = MLP(widths=(64, 8, 10))()
        >>> gradient_norms(net, digits(), indices=np.arange(3)).shape
        (3, 3)
    """
    where = np.arange(len(records)) if indices is None else np.asarray(indices)
    parameters = {name: p.detach() for name, p in module.named_parameters()}
    if not parameters:
        raise InputError("a network without parameters has no gradients")
    device = next(iter(parameters.values())).device
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    one = vmap(_of_one_record(module, _groups(module), _as_tensors(masks, device)), (None, 0, 0))
    at_once = max(1, min(1024, NUMBERS // sum(p.numel() for p in parameters.values())))
    found = []
    try:
        for start in range(0, len(where), at_once):
            rows = where[start : start + at_once]
            inputs = torch.from_numpy(np.array(records.gather(rows))).to(device)
            labels = torch.from_numpy(np.array(records.labels[rows])).to(device)
            found.append(one(parameters, inputs, labels).cpu().numpy())
    except (RuntimeError, NotImplementedError) as error:
        raise InputError(
            f"gradients of single records cannot be had from {type(module).__name__}: vmap does "
            f"not lift its forward pass ({error}); leave attacks out that read gradients"
        ) from error
    finally:
        for part, was_training in modes:
            part.training = was_training
    norms: NDArray[Any] = np.concatenate(found)
    return norms.astype(np.float32)


def _groups(module: nn.Module) -> list[tuple[str, ...]]:
    """Return names of weights in at most `GROUPS` runs of equal length, up to one."""
    names = prunable(module)
    number = min(GROUPS, len(names))
    cuts = [round(k * len(names) / number) for k in range(number + 1)] if number else []
    return [names[a:b] for a, b in pairwise(cuts)]


def _as_tensors(
    masks: Mapping[str, BoolArray] | None, device: torch.device
) -> dict[str, Tensor] | None:
    if not masks:
        return None
    return {k: torch.from_numpy(np.array(m, dtype=np.float32)).to(device) for k, m in masks.items()}


def _of_one_record(
    module: nn.Module, groups: list[tuple[str, ...]], masks: dict[str, Tensor] | None
) -> PerRecord:
    """Return what maps parameters and one record to the log norms of its gradient's parts."""
    buffers = dict(module.named_buffers())

    def loss(parameters: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        logits = functional_call(module, (parameters, buffers), (x[None],))
        return nn.functional.cross_entropy(logits, y[None])

    def norms(parameters: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        squares = {k: g**2 for k, g in grad(loss)(parameters, x, y).items()}
        parts = [[s.sum() for s in squares.values()]]
        removed = []
        for names in groups:
            kept = [(squares[n] * masks[n] if masks and n in masks else squares[n]) for n in names]
            parts.append([k.sum() for k in kept])
            removed.append([(squares[n] - k).sum() for n, k in zip(names, kept, strict=True)])
        if masks is not None:
            parts += removed
        return torch.stack([0.5 * torch.log(torch.stack(p).sum() + LEAST) for p in parts])

    return norms
