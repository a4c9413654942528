"""Fully connected networks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from torch import nn

from secateur.errors import MethodError
from secateur.models.widths import scaled

__all__ = ["MLP"]


@dataclass(frozen=True, kw_only=True)
class MLP:
    """Fully connected network; inputs of any shape are flattened.

    Args:
        widths: features, hidden widths, classes; at least two numbers.
        dropout: share of hidden activations dropped in training, in [0, 1).
        activation: `relu`, or `tanh` as in the networks of Nasr et al. 2018 on Purchase-100 and
            Texas-100.

    Example:
        >>> net = MLP(widths=(64, 256, 128, 10))()
        >>> sum(p.numel() for p in net.parameters())
        50826
    """

    widths: tuple[int, ...]
    dropout: float = 0.0
    activation: Literal["relu", "tanh"] = "relu"

    def __post_init__(self) -> None:
        if len(self.widths) < 2 or min(self.widths) < 1:
            raise MethodError(f"widths must be at least two positive numbers, got {self.widths}")
        if not 0 <= self.dropout < 1:
            raise MethodError(f"dropout must be in [0, 1), got {self.dropout}")
        if self.activation not in ("relu", "tanh"):
            raise MethodError(f"activation must be 'relu' or 'tanh', got {self.activation!r}")

    def __call__(self) -> nn.Module:
        """Return a fresh network."""
        layers: list[nn.Module] = [nn.Flatten()]
        for a, b in zip(self.widths[:-2], self.widths[1:-1], strict=True):
            layers += [nn.Linear(a, b), nn.ReLU() if self.activation == "relu" else nn.Tanh()]
            if self.dropout:
                layers.append(nn.Dropout(self.dropout))
        layers.append(nn.Linear(self.widths[-2], self.widths[-1]))
        return nn.Sequential(*layers)

    def narrowed(self, width: float) -> MLP:
        """Return this network with its hidden widths times a width."""
        first, *hidden, last = self.widths
        return replace(self, widths=(first, *(scaled(n, width) for n in hidden), last))
