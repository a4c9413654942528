"""MobileNetV2."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor, nn

from secateur.errors import MethodError
from secateur.models.widths import Stem, check_network, he_initialised, scaled

__all__ = ["MobileNetV2"]

# per stage: expansion, channels, blocks, stride of the first block (on ImageNet's pictures)
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def _unit(before: int, after: int, size: int, *, stride: int = 1, groups: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(
        before, after, size, stride=stride, padding=size // 2, groups=groups, bias=False
    )
    return nn.Sequential(conv, nn.BatchNorm2d(after), nn.ReLU6())


class _Block(nn.Module):
    """Expand, filter each channel by itself, project without ReLU; a shortcut where it may be.

    `joined` gives the form that is common on CIFAR: an expansion also where it multiplies by one,
    and a shortcut, by a 1x1 convolution where channels change, at every stride of one.
    """

    def __init__(
        self, before: int, after: int, *, stride: int, expansion: int, joined: bool
    ) -> None:
        super().__init__()
        inner = before * expansion
        steps: list[nn.Module] = [] if expansion == 1 and not joined else [_unit(before, inner, 1)]
        steps += [
            _unit(inner, inner, 3, stride=stride, groups=inner),
            nn.Conv2d(inner, after, 1, bias=False),
            nn.BatchNorm2d(after),
        ]
        self.steps = nn.Sequential(*steps)
        self.adds = stride == 1 and (joined or before == after)
        self.shortcut: nn.Module = nn.Identity()
        if self.adds and before != after:
            self.shortcut = nn.Sequential(
                nn.Conv2d(before, after, 1, bias=False), nn.BatchNorm2d(after)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output."""
        out: Tensor = self.steps(x)
        return out + self.shortcut(x) if self.adds else out


@dataclass(frozen=True, kw_only=True)
class MobileNetV2:
    """MobileNetV2: inverted residuals with depthwise 3x3 convolutions, which pruning leaves whole.

    Args:
        channels: of the input.
        classes: number of outputs.
        width: multiplies every number of channels, in (0, 4]; 1 is the published network.
        last: channels before the linear layer, which a width below 1 does not make fewer.
        stem: `imagenet` is the published network; `cifar` the widespread form for 32x32 pictures:
            stride 1 in the stem and in the second stage, shortcuts at every stride of one.

    Channels are rounded to multiples of 8, in the `cifar` form at width 1 as published.

    Reference:
        sandler2018mobilenetv2. Differs from it: the dropout before the last layer is left out in
        the `cifar` form.

    Example:
        >>> sum(p.numel() for p in MobileNetV2()().parameters())
        2296922
    """

    channels: int = 3
    classes: int = 10
    width: float = 1.0
    stem: Stem = "cifar"
    last: int = 1280

    def __post_init__(self) -> None:
        check_network(self.channels, self.classes, self.width, self.stem)
        if self.last < 1:
            raise MethodError(f"last must be at least 1, got {self.last}; it is 1280 as published")

    def __call__(self) -> nn.Module:
        """Return a fresh network."""
        small = self.stem == "cifar"
        before = scaled(32, self.width, divisor=8)
        layers: list[nn.Module] = [_unit(self.channels, before, 3, stride=1 if small else 2)]
        for number, (expansion, wanted, blocks, stride) in enumerate(STAGES):
            after = scaled(wanted, self.width, divisor=8)
            for k in range(blocks):
                first = 1 if small and number == 1 else stride
                layers.append(
                    _Block(
                        before,
                        after,
                        stride=first if k == 0 else 1,
                        expansion=expansion,
                        joined=small,
                    )
                )
                before = after
        last = scaled(self.last, max(1.0, self.width), divisor=8)
        layers += [_unit(before, last, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        if not small:
            layers.append(nn.Dropout(0.2))
        return he_initialised(nn.Sequential(*layers, nn.Linear(last, self.classes)))

    def narrowed(self, width: float) -> MobileNetV2:
        """Return this network with its channels times a width, those before the head too."""
        return replace(
            self, width=self.width * width, last=scaled(self.last, min(1.0, width), divisor=8)
        )
