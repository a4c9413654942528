"""The network that tells members from others by a model's output and the label."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["TwoBranches"]


@dataclass(frozen=True, kw_only=True)
class TwoBranches:
    """Two branches, one on the output, one on the one-hot label; joined, down to one logit.

    Every hidden layer ends in a ReLU. The default widths are those that Nasr et al. 2018 released
    for CIFAR-100.

    Args:
        posterior: widths of the branch on the output.
        label: widths of the branch on the label.
        joint: widths behind the two, before the last layer.

    Example:
        >>> network = TwoBranches(posterior=(16, 4), label=(4,), joint=(8,))
        >>> network.shapes(3)["joint.0.weight"]
        (8, 8)
        >>> network.module(3)(torch.zeros(5, 3), torch.eye(3)[[0, 1, 2, 0, 1]]).shape
        torch.Size([5])
    """

    posterior: tuple[int, ...] = (1024, 512, 64)
    label: tuple[int, ...] = (128, 64)
    joint: tuple[int, ...] = (256, 128, 64)

    def _layers(self, classes: int) -> dict[str, tuple[int, int]]:
        """Return (features in, features out) of each layer, by name."""
        widths = {
            "posterior": (classes, *self.posterior),
            "label": (classes, *self.label),
            "joint": (self.posterior[-1] + self.label[-1], *self.joint),
        }
        hidden = {
            f"{part}.{i}": pair
            for part, own in widths.items()
            for i, pair in enumerate(pairwise(own))
        }
        return {**hidden, "last": (self.joint[-1], 1)}

    def shapes(self, classes: int) -> dict[str, tuple[int, ...]]:
        """Return the shape of each weight `[out, in]` and bias `[out]`, by name."""
        found: dict[str, tuple[int, ...]] = {}
        for name, (into, out) in self._layers(classes).items():
            found |= {f"{name}.weight": (out, into), f"{name}.bias": (out,)}
        return found

    def start(self, classes: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Draw weights and biases as `torch.nn.Linear` does: uniform up to 1 / sqrt(in)."""
        found: dict[str, Tensor] = {}
        for name, (into, out) in self._layers(classes).items():
            for kind, shape in (("weight", (out, into)), ("bias", (out,))):
                drawn = torch.rand(shape, generator=generator)
                found[f"{name}.{kind}"] = (2 * drawn - 1) / math.sqrt(into)
        return found

    def module(self, classes: int) -> nn.Module:
        """Return a fresh module, from torch's current random state; it gives logits `[n]`."""
        return _Module(self, classes)

    def logits(self, weights: Mapping[str, Tensor], outputs: Tensor, one_hot: Tensor) -> Tensor:
        """Return a logit for each record, above 0 for a member.

        Args:
            weights: by the names of `shapes`; of one network, or of several along a first axis.
            outputs: of the model, `[n, classes]`, or `[networks, n, classes]`.
            one_hot: labels, of the same shape.
        """

        def branch(part: str, widths: tuple[int, ...], x: Tensor) -> Tensor:
            for i in range(len(widths)):
                x = torch.relu(_linear(weights, f"{part}.{i}", x))
            return x

        own = branch("posterior", self.posterior, outputs)
        joined = torch.cat([own, branch("label", self.label, one_hot)], dim=-1)
        return _linear(weights, "last", branch("joint", self.joint, joined)).squeeze(-1)


def _linear(weights: Mapping[str, Tensor], name: str, x: Tensor) -> Tensor:
    weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
    if weight.dim() == 2:
        return functional.linear(x, weight, bias)
    return torch.baddbmm(bias.unsqueeze(1), x, weight.mT)


class _Module(nn.Module):
    def __init__(self, plan: TwoBranches, classes: int) -> None:
        super().__init__()
        self.plan = plan
        for name, (into, out) in plan._layers(classes).items():
            part, _, place = name.partition(".")
            if place == "0":
                self.add_module(part, nn.ModuleList())
            own = self if not place else self.get_submodule(part)
            own.add_module(place or part, nn.Linear(into, out))

    def forward(self, outputs: Tensor, one_hot: Tensor) -> Tensor:
        return self.plan.logits(dict(self.named_parameters()), outputs, one_hot)
