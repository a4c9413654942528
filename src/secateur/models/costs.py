"""What a forward pass costs: how often each weight is applied to one record."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from secateur.models.blank import blank

if TYPE_CHECKING:
    from secateur.protocols import Builder

__all__ = ["multiply_adds", "output_positions", "positions_of"]

_FORWARD = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_RECURRENT = (nn.RNNBase, nn.RNNCellBase)


def positions_of(module: nn.Module, shape: tuple[int, ...]) -> dict[str, int]:
    """Return how often each weight of a network is applied to one record.

    A weight of n numbers then takes n times as many multiply-adds. Counted are linear layers,
    convolutions (transposed ones too), recurrent layers and the projections of attention; where
    these see queries, keys and values of other lengths, one weight of all three is counted with the
    mean length, rounded up. What multiplies activations with each other is no weight's.

    Args:
        module: in any mode; it is run once on zeros, in evaluation mode, and left as it was.
        shape: of one record, without its batch axis.

    Returns:
        By the weight's name; a layer that the forward pass does not call is left out.

    Example:
        >>> positions_of(nn.LSTM(4, 8, batch_first=True), (5, 4))
        {'weight_ih_l0': 5, 'weight_hh_l0': 5}
    """
    found: Counter[str] = Counter()
    handles = [
        part.register_forward_hook(_counter(found, f"{name}." if name else ""), with_kwargs=True)
        for name, part in module.named_modules()
    ]
    device = next((p.device for p in module.parameters()), None)
    try:
        with _evaluating(module), torch.no_grad():
            module(torch.zeros(1, *shape, device=device))
    finally:
        for handle in handles:
            handle.remove()
    return dict(found)


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, was_training in modes:
            part.training = was_training


def _counter(found: Counter[str], prefix: str) -> Any:
    def count(part: nn.Module, given: Any, named: Mapping[str, Any], out: Any) -> None:
        if isinstance(part, _FORWARD):
            found[f"{prefix}weight"] += out.numel() // part.weight.shape[0]
        elif isinstance(part, _TRANSPOSED):
            found[f"{prefix}weight"] += given[0].numel() // part.weight.shape[0]
        elif isinstance(part, _RECURRENT):
            first = out[0] if isinstance(out, tuple) else out
            steps = first.data if isinstance(first, nn.utils.rnn.PackedSequence) else first
            for name, value in part.named_parameters(recurse=False):
                if value.dim() > 1:
                    found[prefix + name] += steps.numel() // steps.shape[-1]
        elif isinstance(part, nn.MultiheadAttention):
            _count_attention(found, prefix, part, _read(given, named))

    return count


def _read(given: Any, named: Mapping[str, Any]) -> list[int]:
    """Return how many queries, keys and values attention reads."""
    read = [*given[:3], *(named[n] for n in ("query", "key", "value")[len(given) :])]
    return [tensor.numel() // tensor.shape[-1] for tensor in read]


def _count_attention(
    found: Counter[str], prefix: str, part: nn.MultiheadAttention, read: list[int]
) -> None:
    # its output layer is not called but read
    found[f"{prefix}out_proj.weight"] += read[0]
    if part.in_proj_weight is not None:
        found[f"{prefix}in_proj_weight"] += math.ceil(sum(read) / 3)
        return
    for letter, times in zip("qkv", read, strict=True):
        found[f"{prefix}{letter}_proj_weight"] += times


def output_positions(build: Builder, shape: tuple[int, ...]) -> dict[str, int]:
    """Return how often each weight of a builder's network is applied to one record.

    As `positions_of`, and nothing is computed.

    Args:
        build: makes the network.
        shape: of one record, without its batch axis.

    Returns:
        By the weight's name; a layer that the forward pass does not call is left out.

    Example:
        >>> from secateur.models import LeNet5
        >>> output_positions(LeNet5(), (1, 28, 28))["0.weight"] == 28 * 28
        True
    """
    module = blank(build)
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        return positions_of(module, shape)


def multiply_adds(build: Builder, shape: tuple[int, ...]) -> int:
    """Return the multiply-adds of one record's forward pass with the weights that are counted.

    Nothing is allocated.

    Args:
        build: makes the network.
        shape: of one record, without its batch axis.

    Example:
        >>> from secateur.models import MLP
        >>> multiply_adds(MLP(widths=(8, 4, 2)), (8,))
        40
    """
    sizes = {name: math.prod(value.shape) for name, value in blank(build).state_dict().items()}
    return sum(sizes[name] * times for name, times in output_positions(build, shape).items())
