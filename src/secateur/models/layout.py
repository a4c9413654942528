"""How pictures lie in memory and how many are asked at once, where a network is faster so.

On CPUs convolution, pooling and normalisation are faster with channels last, and with what passes
between layers in a core's cache (`benchmarks.forward`). Values are the same up to the last bits.
"""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["RECORDS", "at_once", "channels_last", "takes_channels_last"]

RECORDS = 2048
PICTURES = 64


def at_once(module: nn.Module, device: torch.device) -> int:
    """Return of how many records a forward pass is fast.

    Example:
        >>> from secateur.models import LeNet5
        >>> at_once(LeNet5()(), torch.device("cpu")), at_once(LeNet5()(), torch.device("cuda"))
        (64, 2048)
    """
    convolves = any(isinstance(part, nn.Conv2d) for part in module.modules())
    return PICTURES if convolves and device.type == "cpu" else RECORDS


def channels_last(inputs: torch.Tensor) -> torch.Tensor:
    """Return pictures `[n, channels, height, width]` with their channels last in memory."""
    return inputs.contiguous(memory_format=torch.channels_last)


def takes_channels_last(module: nn.Module, inputs: torch.Tensor) -> bool:
    """Tell whether a network gains from this layout and accepts it.

    Args:
        module: any; its mode is put back.
        inputs: at least one of its inputs.

    Returns:
        True where there are convolutions over single-precision pictures, and a pass of one picture
        works: a forward pass that calls `view` on a convolution's output needs the other layout.

    Example:
        >>> from secateur.models import MLP, SmallCNN
        >>> takes_channels_last(SmallCNN()(), torch.zeros(1, 3, 8, 8))
        True
        >>> takes_channels_last(MLP(widths=(192, 10))(), torch.zeros(1, 3, 8, 8))
        False
    """
    if inputs.dim() != 4 or inputs.dtype == torch.float64:
        return False
    if not any(isinstance(part, nn.Conv2d) for part in module.modules()):
        return False
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        with torch.no_grad():
            module(channels_last(inputs[:1]))
    except (RuntimeError, ValueError):  # said where the network is used
        return False
    finally:
        for part, mode in modes:
            part.training = mode
    return True
