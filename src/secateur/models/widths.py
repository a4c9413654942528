"""What the larger networks share: widths, checks, initialisation."""

from __future__ import annotations

from typing import Literal

from torch import nn

from secateur.errors import MethodError

__all__ = ["Stem", "check_network", "check_width", "he_initialised", "scaled"]

Stem = Literal["cifar", "imagenet"]
"""How a network begins and ends: for pictures of about 32x32, or of about 224x224."""


def check_network(channels: int, classes: int, width: float, stem: str) -> None:
    """Refuse fields that make no network.

    Raises:
        MethodError: the message shows the values.
    """
    whole = all(isinstance(n, int) and not isinstance(n, bool) for n in (channels, classes))
    if not whole or channels < 1 or classes < 2:
        raise MethodError(
            f"a classifier of pictures needs at least 1 channel and 2 classes, got "
            f"channels={channels!r}, classes={classes!r}"
        )
    check_width(width)
    if stem not in ("cifar", "imagenet"):
        raise MethodError(f"stem must be 'cifar' or 'imagenet', got {stem!r}")


def check_width(width: float) -> None:
    """Refuse a width outside (0, 4].

    Raises:
        MethodError: the message shows it.
    """
    if not isinstance(width, int | float) or isinstance(width, bool) or not 0 < width <= 4:
        raise MethodError(f"width must be in (0, 4], got {width!r}; 1 is the published network")


def scaled(channels: int, width: float, divisor: int = 1) -> int:
    """Return a number of channels times a width, rounded to a multiple of `divisor`, at least one.

    Rounding never loses more than a tenth.

    Example:
        >>> scaled(64, 0.25), scaled(32, 0.5, divisor=8)
        (16, 16)
    """
    wanted = channels * width
    found = max(divisor, int(wanted + divisor / 2) // divisor * divisor)
    return found + divisor if found < 0.9 * wanted else found


def he_initialised(module: nn.Module) -> nn.Module:
    """Initialise by He et al. 2015 (fan out) for convolutions; N(0, 0.01) for linear layers.

    Biases are 0; normalisation starts as the identity.
    """
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(part, nn.Linear):
            nn.init.normal_(part.weight, 0.0, 0.01)
        else:
            continue
        if part.bias is not None:
            nn.init.zeros_(part.bias)
    return module
