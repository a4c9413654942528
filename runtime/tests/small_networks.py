"""Files of networks as small as can be, for changing them; records and what torch makes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from drawn_networks import file_of, settled
from torch import nn

from secateur.models import LeNet5


def network_files() -> list[bytes]:
    """Return files of small networks that have every kind of step between them."""
    torch.manual_seed(0)
    first = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1, groups=2, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU6(),
        nn.MaxPool2d(3, 2, 1, ceil_mode=True),
        nn.BatchNorm2d(4),
        nn.AvgPool2d(2, 1, 1),
        nn.Hardtanh(-1, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 3),
        nn.Softmax(dim=1),
    )
    second = nn.Sequential(_Joined(), nn.Flatten(), nn.Linear(54, 3), nn.ReLU())
    third = nn.Sequential(
        nn.Conv2d(2, 3, 3),
        nn.AdaptiveMaxPool2d((2, 4)),
        nn.AdaptiveAvgPool2d((1, 2)),
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
        nn.Linear(3, 3),
    )
    nets = [settled(net, zeros=0.6) for net in (first, second, third)]
    return [file_of(net, (2, 6, 6), resized=True) for net in nets]


class _Joined(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(2, 2, 3, 2, 1), nn.Conv2d(2, 2, 1, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a, b = self.a(x), self.b(x)
        return torch.cat([torch.relu(a + b), (a - 0.5) * 2, b], dim=1)


def records(n: int, shape: tuple[int, ...] = (1, 28, 28)) -> Any:
    """Return records, the same ones every time."""
    return np.random.default_rng(1).random((n, *shape), dtype=np.float32)


def truth(net: nn.Module, x: Any) -> Any:
    """Return what torch makes of records."""
    with torch.no_grad():
        return net(torch.from_numpy(x)).numpy()


def packed_lenet(path: Path) -> tuple[nn.Module, Path]:
    """Write LeNet-5 with nine of ten weights zero, and return it with its file."""
    torch.manual_seed(0)
    net = settled(LeNet5()(), zeros=0.9)
    path.write_bytes(file_of(net, (1, 28, 28)))
    return net, path
