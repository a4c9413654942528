"""A small convolutional network for small pictures."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

from torch import nn

from secateur.errors import MethodError
from secateur.models.widths import scaled

__all__ = ["SmallCNN"]


@dataclass(frozen=True, kw_only=True)
class SmallCNN:
    """3x3 convolutions with ReLU and pooling, then global average pooling and one linear layer.

    Takes pictures of any size of at least 2^(number of widths) pixels.

    Args:
        channels: of the input.
        classes: number of outputs.
        widths: channels after each convolution; each halves the picture.
        batch_norm: normalise after each convolution.

    Example:
        >>> sum(p.numel() for p in SmallCNN(channels=1, widths=(8, 16))().parameters())
        1466
    """

    channels: int = 3
    classes: int = 10
    widths: tuple[int, ...] = (32, 64)
    batch_norm: bool = True

    def __post_init__(self) -> None:
        if not self.widths or min(self.widths) < 1:
            raise MethodError(f"widths must be positive numbers, got {self.widths}")
        if self.channels < 1 or self.classes < 2:
            raise MethodError(
                f"a classifier of pictures needs at least 1 channel and 2 classes, got "
                f"channels={self.channels}, classes={self.classes}"
            )

    def __call__(self) -> nn.Module:
        """Return a fresh network."""
        layers: list[nn.Module] = []
        for a, b in pairwise((self.channels, *self.widths)):
            layers.append(nn.Conv2d(a, b, 3, padding=1))
            if self.batch_norm:
                layers.append(nn.BatchNorm2d(b))
            layers += [nn.ReLU(), nn.MaxPool2d(2)]
        head = nn.Linear(self.widths[-1], self.classes)
        return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), head)

    def narrowed(self, width: float) -> SmallCNN:
        """Return this network with its channels times a width."""
        return replace(self, widths=tuple(scaled(n, width) for n in self.widths))
