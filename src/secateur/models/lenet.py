"""LeNet in its two common forms."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import nn

from secateur.errors import MethodError
from secateur.models.widths import check_width, scaled

__all__ = ["LeNet5", "LeNet20"]


def _check(channels: int, classes: int, width: float) -> None:
    check_width(width)
    if channels < 1 or classes < 2:
        raise MethodError(
            f"a LeNet needs at least 1 channel and 2 classes, got channels={channels}, "
            f"classes={classes}"
        )


@dataclass(frozen=True, kw_only=True)
class LeNet5:
    """LeNet-5 with ReLU and max pooling: conv 6, conv 16 (5x5), 120, 84, classes.

    Args:
        channels: of the input.
        size: height and width of the input, at least 12.
        classes: number of outputs.
        width: multiplies 6, 16, 120 and 84, in (0, 4].

    Reference: LeCun et al. 1998. Differs from it: ReLU, max pooling, full connections.

    Example:
        >>> sum(p.numel() for p in LeNet5()().parameters())
        61706
    """

    channels: int = 1
    size: int = 28
    classes: int = 10
    width: float = 1.0

    def __post_init__(self) -> None:
        if self.size < 12:
            raise MethodError(f"LeNet-5 needs inputs of at least 12x12, got size={self.size}")
        _check(self.channels, self.classes, self.width)

    def __call__(self) -> nn.Module:
        """Return a fresh network."""
        left = (self.size // 2 - 4) // 2
        first, second, third, fourth = (scaled(n, self.width) for n in (6, 16, 120, 84))
        return nn.Sequential(
            nn.Conv2d(self.channels, first, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(first, second, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(second * left * left, third),
            nn.ReLU(),
            nn.Linear(third, fourth),
            nn.ReLU(),
            nn.Linear(fourth, self.classes),
        )

    def narrowed(self, width: float) -> LeNet5:
        """Return this network with its channels times a width."""
        return replace(self, width=self.width * width)


@dataclass(frozen=True, kw_only=True)
class LeNet20:
    """The LeNet of the ADMM literature: conv 20, conv 50 (5x5, no padding), 500, classes.

    Args:
        channels: of the input.
        size: height and width of the input, at least 16.
        classes: number of outputs.
        width: multiplies 20, 50 and 500, in (0, 4].

    Reference: Zhang et al. 2018 (ECCV), about 430,500 weights.

    Example:
        >>> sum(p.numel() for p in LeNet20()().parameters())
        431080
    """

    channels: int = 1
    size: int = 28
    classes: int = 10
    width: float = 1.0

    def __post_init__(self) -> None:
        if self.size < 16:
            raise MethodError(f"this LeNet needs inputs of at least 16x16, got size={self.size}")
        _check(self.channels, self.classes, self.width)

    def __call__(self) -> nn.Module:
        """Return a fresh network."""
        left = ((self.size - 4) // 2 - 4) // 2
        first, second, third = (scaled(n, self.width) for n in (20, 50, 500))
        return nn.Sequential(
            nn.Conv2d(self.channels, first, 5),
            nn.MaxPool2d(2),
            nn.Conv2d(first, second, 5),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(second * left * left, third),
            nn.ReLU(),
            nn.Linear(third, self.classes),
        )

    def narrowed(self, width: float) -> LeNet20:
        """Return this network with its channels times a width."""
        return replace(self, width=self.width * width)
