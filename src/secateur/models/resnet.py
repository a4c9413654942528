"""ResNet-18."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor, nn

from secateur.models.widths import Stem, check_network, he_initialised, scaled

__all__ = ["ResNet18"]


class _Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut; a 1x1 convolution where shapes change."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        self.relu = nn.ReLU()
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or before != after:
            self.shortcut = nn.Sequential(
                nn.Conv2d(before, after, 1, stride=stride, bias=False), nn.BatchNorm2d(after)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output."""
        out = self.relu(self.bn1(self.conv1(x)))
        found: Tensor = self.relu(self.bn2(self.conv2(out)) + self.shortcut(x))
        return found


@dataclass(frozen=True, kw_only=True)
class ResNet18:
    """ResNet-18: four stages of two residual blocks.

    Args:
        channels: of the input.
        classes: number of outputs.
        width: multiplies every number of channels, in (0, 4]; 1 is the published network.
        stem: `cifar` begins with a 3x3 convolution and no pooling, as is usual on 32x32 pictures;
            `imagenet` with 7x7, stride 2 and max pooling.

    Reference:
        he2016deep.

    Example:
        >>> sum(p.numel() for p in ResNet18()().parameters())
        11173962
    """

    channels: int = 3
    classes: int = 10
    width: float = 1.0
    stem: Stem = "cifar"

    def __post_init__(self) -> None:
        check_network(self.channels, self.classes, self.width, self.stem)

    def __call__(self) -> nn.Module:
        """Return a fresh network."""
        widths = [scaled(c, self.width) for c in (64, 128, 256, 512)]
        first = widths[0]
        if self.stem == "cifar":
            conv = nn.Conv2d(self.channels, first, 3, padding=1, bias=False)
            layers: list[nn.Module] = [conv, nn.BatchNorm2d(first), nn.ReLU()]
        else:
            conv = nn.Conv2d(self.channels, first, 7, stride=2, padding=3, bias=False)
            layers = [conv, nn.BatchNorm2d(first), nn.ReLU(), nn.MaxPool2d(3, stride=2, padding=1)]
        before = first
        for stage, after in enumerate(widths):
            layers += [_Block(before, after, 1 if stage == 0 else 2), _Block(after, after, 1)]
            before = after
        head = nn.Linear(before, self.classes)
        return he_initialised(nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), head))

    def narrowed(self, width: float) -> ResNet18:
        """Return this network with its channels times a width."""
        return replace(self, width=self.width * width)
