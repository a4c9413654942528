"""Our fused steps give the bytes of torch's own optimisers."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import nn

from secateur.train import SGD, Adam

OURS: list[tuple[Any, Any]] = [
    (Adam(lr=0.01), lambda p: torch.optim.Adam(p, lr=0.01, fused=True)),
    (
        Adam(lr=0.01, weight_decay=0.1),
        lambda p: torch.optim.Adam(p, lr=0.01, weight_decay=0.1, fused=True),
    ),
    (
        Adam(lr=0.01, weight_decay=0.1, decoupled=True),
        lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1, fused=True),
    ),
    (SGD(lr=0.1), lambda p: torch.optim.SGD(p, 0.1, 0.9, weight_decay=5e-4, fused=True)),
    (
        SGD(lr=0.1, momentum=0.0, weight_decay=0.0),
        lambda p: torch.optim.SGD(p, 0.1, fused=True),
    ),
    (
        SGD(lr=0.1, nesterov=True, weight_decay=0.0),
        lambda p: torch.optim.SGD(p, 0.1, 0.9, nesterov=True, fused=True),
    ),
]


def trained(make: Any, dtype: torch.dtype) -> list[torch.Tensor]:
    """Take a few steps, with another learning rate on the way and a frozen bias."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(9, 7), nn.Tanh(), nn.Linear(7, 3)).to(dtype)
    net[0].bias.requires_grad_(False)
    optimiser = make(net.parameters())
    for step in range(6):
        for group in optimiser.param_groups:
            group["lr"] = 0.1 / (step + 1)
        optimiser.zero_grad(set_to_none=step % 2 == 0)
        net(torch.randn(5, 9, dtype=dtype)).square().sum().backward()
        optimiser.step()
    return [p.detach() for p in net.parameters()]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("plan", "theirs"), OURS, ids=[repr(plan) for plan, _ in OURS])
def test_a_plan_steps_as_torch_does(plan: Any, theirs: Any, dtype: torch.dtype) -> None:
    ours = trained(plan.make, dtype)
    for mine, other in zip(ours, trained(theirs, dtype), strict=True):
        assert torch.equal(mine, other)


def test_a_parameter_that_gets_its_first_gradient_later_starts_its_momentum_then() -> None:
    early, late = (nn.Parameter(torch.ones(2)) for _ in range(2))
    optimiser = SGD(lr=1.0, momentum=0.5, weight_decay=0.0).make([early, late])
    early.grad = torch.ones(2)
    optimiser.step()
    early.grad, late.grad = torch.ones(2), torch.ones(2)
    optimiser.step()
    assert early.tolist() == [1 - 1 - 1.5] * 2
    assert late.tolist() == [0.0, 0.0]


def test_training_imports_no_compiler() -> None:
    code = (
        "import sys; from secateur.data import digits, draw; from secateur.models import MLP;"
        "from secateur.train import Recipe, train_fleet; r = digits();"
        "w = draw(r, targets=1, references=0, seed=0);"
        "train_fleet(Recipe(build=MLP(widths=(64, 10)), epochs=1), r, w, seed=0, engine='serial');"
        "print('torch._dynamo' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "False"
