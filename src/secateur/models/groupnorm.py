"""Batch normalisation replaced by group normalisation, which looks at one record at a time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from secateur.errors import MethodError
from secateur.models.blank import blank

if TYPE_CHECKING:
    from secateur.protocols import Builder

__all__ = ["GroupNormed", "builds_batch_norm", "has_batch_norm"]

_BatchNorm = nn.modules.batchnorm._BatchNorm


@dataclass(frozen=True, kw_only=True)
class GroupNormed:
    """Another network with group normalisation in place of batch normalisation.

    Batch normalisation mixes the records of a batch, so that no gradient belongs to one record.
    What is learned of a network under `DPSGD` is compared with a dense control that is built the
    same way (`GroupNormDense`): `Recipe(build=GroupNormed(build=ResNet18(), channels=16))`. All
    other layers, and their initial weights, stay; a network without batch normalisation stays as it
    is.

    Args:
        build: makes the network.
        groups: per layer at most this many; the largest number that divides both it and the
            channels, and leaves each group enough of these.
        channels: at least this many in a group, where the layer has them. `DPSGD` takes 16: with 1
            a layer of few channels has one in each, no channel's mean over the picture survives
            it, and narrow networks learn next to nothing.

    Raises:
        MethodError: fewer than 1 group or channel, or no network.

    Example:
        >>> from secateur.models import ResNet18
        >>> net = GroupNormed(build=ResNet18(width=0.125))()
        >>> has_batch_norm(net), sum(isinstance(part, nn.GroupNorm) for part in net.modules())
        (False, 20)

    Reference:
        wu2018group, which recommends 32 groups, or 16 channels in a group.
    """

    build: Builder
    groups: int = 32
    channels: int = 1

    def __post_init__(self) -> None:
        if self.groups < 1 or self.channels < 1:
            raise MethodError(
                f"groups and channels must be at least 1, got groups={self.groups}, "
                f"channels={self.channels}"
            )
        if not callable(self.build):
            raise MethodError(f"build={self.build!r} makes no network; write build=ResNet18()")

    def __call__(self) -> nn.Module:
        """Return a fresh network."""
        module = self.build()
        if isinstance(module, _BatchNorm):
            return self._group(module)
        for part in list(module.modules()):
            for name, child in part.named_children():
                if isinstance(child, _BatchNorm):
                    setattr(part, name, self._group(child))
        return module

    def _group(self, batch: _BatchNorm) -> nn.GroupNorm:
        """Return a group normalisation with the weights of a batch normalisation."""
        channels = batch.num_features
        most = math.gcd(self.groups, channels)
        able = [n for n in range(1, most + 1) if most % n == 0 and channels >= n * self.channels]
        found = nn.GroupNorm(max(able, default=1), channels, eps=batch.eps, affine=batch.affine)
        if batch.affine:
            with torch.no_grad():
                found.weight.copy_(batch.weight)
                found.bias.copy_(batch.bias)
        return found


def has_batch_norm(module: nn.Module) -> bool:
    """Return whether any layer mixes the records of a batch by batch normalisation."""
    return any(isinstance(part, _BatchNorm) for part in module.modules())


def builds_batch_norm(build: Builder) -> bool:
    """Return whether a builder's network has batch normalisation; its weights are not drawn.

    A builder that cannot do without memory, for instance since it reads weights, is run as it is.

    Example:
        >>> from secateur.models import VGG16, LeNet5
        >>> builds_batch_norm(VGG16()), builds_batch_norm(LeNet5())
        (True, False)
    """
    try:
        module = blank(build)
    except Exception:  # whatever a user's code raises without memory
        with torch.random.fork_rng(devices=[]):
            module = build()
    return has_batch_norm(module)
