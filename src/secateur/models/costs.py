"""What a forward pass costs, counted on a network without memory."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

if TYPE_CHECKING:
    from secateur.protocols import Builder

__all__ = ["multiply_adds", "output_positions"]


def output_positions(build: Builder, shape: tuple[int, ...]) -> dict[str, int]:
    """Return how often each linear or convolutional layer's weight is applied to one record.

    A weight of n numbers then takes n times as many multiply-adds. Nothing is computed.

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
    found: Counter[str] = Counter()
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        module = build().eval()
        for name, part in module.named_modules():
            if isinstance(part, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d):
                part.register_forward_hook(_counter(found, f"{name}.weight" if name else "weight"))
        with torch.no_grad():
            device = next((p.device for p in module.parameters()), None)
            module(torch.zeros(1, *shape, device=device))
    return dict(found)


def _counter(found: Counter[str], name: str) -> Any:
    def count(part: nn.Module, given: Any, out: torch.Tensor) -> None:
        del given
        weight = part.weight
        assert isinstance(weight, torch.Tensor)  # of a linear or convolutional layer
        found[name] += out.numel() // weight.shape[0]

    return count


def multiply_adds(build: Builder, shape: tuple[int, ...]) -> int:
    """Return the multiply-adds of one record's forward pass, in linear and convolutional layers.

    Nothing is allocated.

    Args:
        build: makes the network.
        shape: of one record, without its batch axis.

    Example:
        >>> from secateur.models import MLP
        >>> multiply_adds(MLP(widths=(8, 4, 2)), (8,))
        40
    """
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        sizes = {name: math.prod(value.shape) for name, value in build().state_dict().items()}
    return sum(sizes[name] * times for name, times in output_positions(build, shape).items())
