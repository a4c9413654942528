"""What shape of record a network takes, found by trying."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch
from torch import nn

from secateur.errors import MethodError, SecateurError
from secateur.models.blank import blank

if TYPE_CHECKING:
    from secateur.protocols import Builder

__all__ = ["input_shape"]

SIZES = (28, 32, 8, 16, 64, 96, 128, 224, 256)
"""Heights and widths of pictures that are tried, in this order."""


def input_shape(build: Builder) -> tuple[int, ...]:
    """Return a shape of one record that a network takes, without its batch axis.

    Of a network of convolutions that takes pictures of any size, the first of 32, 28, 8, 16, 64,
    96, 128, 224 and 256 pixels that fits; nothing is computed.

    Args:
        build: makes the network.

    Raises:
        MethodError: no tried shape fits; give the shape yourself.

    Example:
        >>> from secateur.models import MLP, LeNet5, SmallCNN
        >>> input_shape(MLP(widths=(64, 10))), input_shape(LeNet5()), input_shape(SmallCNN())
        ((64,), (1, 28, 28), (3, 32, 32))
    """
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        module = copy.deepcopy(blank(build)).to("meta").eval()  # weights of a user's may be real
        kinds = (nn.Linear, nn.Conv1d, nn.Conv2d)
        first = next((part for part in module.modules() if isinstance(part, kinds)), None)
        device = next((p.device for p in module.parameters()), None)
        for shape in _candidates(first):
            try:
                with torch.no_grad():
                    out = module(torch.empty(2, *shape, device=device))
            except (RuntimeError, ValueError, SecateurError):
                continue
            if isinstance(out, torch.Tensor) and out.dim() == 2 and len(out) == 2:
                return shape
    raise MethodError(
        f"no shape that was tried fits the network of {build!r}; say which one it takes, such as "
        "shape=(3, 32, 32)"
    )


def _candidates(first: nn.Module | None) -> list[tuple[int, ...]]:
    if isinstance(first, nn.Linear):
        return [(first.in_features,)]
    if isinstance(first, nn.Conv1d):
        return [(first.in_channels, size) for size in SIZES]
    if isinstance(first, nn.Conv2d):
        sizes = sorted(SIZES, key=lambda size: size != 32)
        return [(first.in_channels, size, size) for size in sizes]
    return []
