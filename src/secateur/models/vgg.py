"""VGG-16 with batch normalisation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from torch import nn

from secateur.models.widths import Stem, check_network, he_initialised, scaled

__all__ = ["VGG16"]

# channels of the 13 convolutions, M for a pooling that halves the picture
PLAN: tuple[int | Literal["M"], ...] = (
    *(64, 64, "M", 128, 128, "M", 256, 256, 256, "M"),
    *(512, 512, 512, "M", 512, 512, 512, "M"),
)
HEAD = 4096


@dataclass(frozen=True, kw_only=True)
class VGG16:
    """VGG-16 with batch normalisation: thirteen 3x3 convolutions in five stages.

    Args:
        channels: of the input.
        classes: number of outputs.
        width: multiplies every number of channels, in (0, 4]; 1 is the published network.
        stem: `cifar` ends with global pooling and one linear layer, as is usual on 32x32 pictures;
            `imagenet` with pooling to 7x7 and two hidden layers of 4096.

    Pictures need at least 32x32 pixels.

    Reference:
        simonyan2015very.

    Example:
        >>> sum(p.numel() for p in VGG16()().parameters())
        14728266
    """

    channels: int = 3
    classes: int = 10
    width: float = 1.0
    stem: Stem = "cifar"

    def __post_init__(self) -> None:
        check_network(self.channels, self.classes, self.width, self.stem)

    def __call__(self) -> nn.Module:
        """Return a fresh network."""
        layers: list[nn.Module] = []
        before = self.channels
        for step in PLAN:
            if step == "M":
                layers.append(nn.MaxPool2d(2))
                continue
            after = scaled(step, self.width)
            # the CIFAR form has biases before its normalisation too, as published
            layers += [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
            before = after
        if self.stem == "cifar":
            head: list[nn.Module] = [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
            head.append(nn.Linear(before, self.classes))
        else:
            hidden = scaled(HEAD, self.width)
            head = [nn.AdaptiveAvgPool2d(7), nn.Flatten(), nn.Linear(49 * before, hidden)]
            head += [nn.ReLU(), nn.Dropout(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Dropout()]
            head.append(nn.Linear(hidden, self.classes))
        return he_initialised(nn.Sequential(*layers, *head))

    def narrowed(self, width: float) -> VGG16:
        """Return this network with its channels times a width."""
        return replace(self, width=self.width * width)
