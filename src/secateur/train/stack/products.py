"""Convolutions of many models as matrix products, for cards, on which grouped ones are slow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["by_products", "convolved", "has_products"]


def has_products(part: nn.Conv2d) -> bool:
    """Tell whether a convolution has this form, and gains by it.

    Its padding is zeros, in numbers; depthwise ones have kernels of their own on a card.
    """
    depthwise = part.groups == part.in_channels > 1
    return not (isinstance(part.padding, str) or part.padding_mode != "zeros" or depthwise)


def convolved(inputs: Tensor, weight: Tensor, bias: Tensor | None, part: nn.Conv2d) -> Tensor:
    """Return what a convolution gives, with the patches laid out and multiplied.

    Pictures lie in the axis of channels while patches are gathered: one kernel for all, where torch
    starts one for each picture.

    Args:
        inputs: `[..., records, channels, height, width]`.
        weight: `[..., out, channels / groups, height, width]`.
        bias: `[..., out]`.
        part: with its stride, padding, dilation and groups.
    """
    *lead, _, height, width = inputs.shape
    assert not isinstance(part.padding, str)  # `has_products` looked
    pads = part.padding
    sizes = zip((height, width), part.kernel_size, part.stride, pads, part.dilation, strict=True)
    high, wide = (
        (size + 2 * pad - dilation * (kernel - 1) - 1) // stride + 1
        for size, kernel, stride, pad, dilation in sizes
    )
    if part.kernel_size == (1, 1) and part.stride == (1, 1) and not any(pads):
        patches = inputs
    else:
        patches = functional.unfold(
            inputs.reshape(1, -1, height, width),
            part.kernel_size,
            part.dilation,
            pads,
            part.stride,
        )
    groups = part.groups
    patches = patches.reshape(*lead, groups, -1, high * wide)
    before = weight.shape[:-4]
    rows = weight.reshape(*before, 1, groups, weight.shape[-4] // groups, -1)
    out = rows @ patches
    if bias is not None:
        out = out + bias.reshape(*before, 1, groups, -1, 1)
    return out.reshape(*lead, -1, high, wide)


class _ByProducts(nn.Conv2d):
    def forward(self, inputs: Tensor) -> Tensor:
        """Return `[records, out, height, width]`; lifted over models by vmap."""
        return convolved(inputs, self.weight, self.bias, self)


def by_products(module: nn.Module) -> None:
    """Let a module's own convolutions work by products from now on, in place."""
    for part in module.modules():
        if type(part) is nn.Conv2d and has_products(part):
            part.__class__ = _ByProducts
