"""Max pooling over 2 x 2 pixels as the largest of views, where nothing is differentiated."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["largest_of_four", "quick_pools"]


def largest_of_four(inputs: Tensor) -> Tensor:
    """Return what `max_pool2d(inputs, 2)` does, in the same layout; of two zeros either's sign.

    On CPUs it is several times faster, most where pictures have few channels
    (`benchmarks.forward`). Its gradient is not: ties are cut otherwise.

    Args:
        inputs: `[n, channels, height, width]`; a last odd row or column is left out.

    Example:
        >>> largest_of_four(torch.arange(12.0).view(1, 1, 3, 4)).flatten().tolist()
        [5.0, 7.0]
    """
    height, width = (2 * (size // 2) for size in inputs.shape[2:])
    rows = torch.maximum(inputs[:, :, 0:height:2, :width], inputs[:, :, 1:height:2, :width])
    return torch.maximum(rows[..., 0::2], rows[..., 1::2])


@contextmanager
def quick_pools(module: nn.Module) -> Iterator[None]:
    """Let a network's 2 x 2 max pools take `largest_of_four` inside the block, on CPUs.

    What a pool gives is the same number. Pools of other kinds or sizes, those whose forward pass
    somebody has replaced, and networks that `torch.compile` has a part of, stay as they are;
    afterwards all of them are as before.

    Args:
        module: any network; asked without gradients.
    """
    parts = list(module.modules())
    found = [p for p in parts if isinstance(p, nn.MaxPool2d) and _is_plain(p)]
    if any(map(_is_compiled, parts)):  # each block would be compiled anew
        found = []
    for part in found:
        part.forward = partial(_pooled, part)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for part in found:
            vars(part).pop("forward", None)  # another thread may have asked the same network


def _pooled(part: nn.MaxPool2d, inputs: Tensor) -> Tensor:
    if torch.is_grad_enabled() or not _is_dense(inputs):
        own: Tensor = nn.MaxPool2d.forward(part, inputs)
        return own
    return largest_of_four(inputs)


def _is_dense(inputs: Tensor) -> bool:
    """Tell whether these are pictures of at least 2 x 2 pixels that lie in a CPU's memory in one of
    the two common orders, which the largest of views keeps.
    """
    if inputs.device.type != "cpu" or inputs.layout != torch.strided or inputs.is_quantized:
        return False
    if inputs.dim() != 4 or min(inputs.shape[2:]) < 2:  # refused in torch's own words
        return False
    last = inputs.is_contiguous(memory_format=torch.channels_last)
    return last or inputs.is_contiguous()


def _is_compiled(part: nn.Module) -> bool:
    """Tell whether `torch.compile` was called on a part, or the part's own `compile`."""
    own = getattr(part, "_compiled_call_impl", None) is not None
    return own or type(part).__name__ == "OptimizedModule"


def _is_plain(part: nn.MaxPool2d) -> bool:
    """Tell whether a part is a max pool over 2 x 2 pixels that do not overlap."""
    if type(part) is not nn.MaxPool2d or "forward" in vars(part):
        return False
    twos = all(value in (2, (2, 2)) for value in (part.kernel_size, part.stride))
    plain = part.padding in (0, (0, 0)) and part.dilation in (1, (1, 1))
    return twos and plain and not part.return_indices and not part.ceil_mode
