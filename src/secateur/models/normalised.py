"""Normalisation as a part of the network, so that it is kept with every model."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from secateur.errors import DataError, MethodError
from secateur.models.narrower import narrowed

if TYPE_CHECKING:
    from secateur.protocols import Builder

__all__ = ["Normalise", "Normalised"]


class Normalise(nn.Module):
    """Subtract a mean and divide by a deviation, per channel; both are buffers."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean))
        self.register_buffer("std", torch.tensor(std))

    def forward(self, x: Tensor) -> Tensor:
        """Return normalised inputs `[n, channels, ...]`."""
        if len(self.mean) not in (1, x.shape[1]):
            raise DataError(
                f"this network normalises {len(self.mean)} channels, but the records have the "
                f"shape {tuple(x.shape[1:])}"
            )
        shape = (1, -1, *(1,) * (x.dim() - 2))
        return (x - self.mean.view(shape)) / self.std.view(shape)


@dataclass(frozen=True, kw_only=True)
class Normalised:
    """Another network with a normalisation of its inputs before it.

    Mean and deviation are buffers, kept with the artifact: whoever queries a model, an attacker or
    a device, gives it raw inputs.

    Args:
        build: makes the network behind it.
        mean: per channel (or feature), or one number for all.
        std: as `mean`, each above 0.

    Example:
        >>> from secateur.models import SmallCNN
        >>> net = Normalised(build=SmallCNN(), mean=(0.49, 0.48, 0.45), std=(0.25, 0.24, 0.26))()
        >>> sorted(net.state_dict())[:2]
        ['0.mean', '0.std']
    """

    build: Builder
    mean: tuple[float, ...] = (0.5,)
    std: tuple[float, ...] = (0.5,)

    def __post_init__(self) -> None:
        numbers = (*self.mean, *self.std)
        if not self.mean or len(self.mean) != len(self.std):
            raise MethodError(
                f"mean and std need one number per channel each, got {len(self.mean)} and "
                f"{len(self.std)}"
            )
        if not all(math.isfinite(v) for v in numbers) or min(self.std) <= 0:
            raise MethodError(
                f"mean must be finite and std above 0, got mean={self.mean}, std={self.std}"
            )
        if not callable(self.build):
            raise MethodError(f"build={self.build!r} makes no network; write build=SmallCNN()")

    def __call__(self) -> nn.Module:
        """Return a fresh network."""
        return nn.Sequential(Normalise(tuple(self.mean), tuple(self.std)), self.build())

    def narrowed(self, width: float) -> Normalised:
        """Return this network with the one behind the normalisation narrowed."""
        return replace(self, build=narrowed(self.build, width))
