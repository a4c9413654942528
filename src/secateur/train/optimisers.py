"""Fused optimiser steps: one call for all parameters.

The same kernels as `torch.optim` with `fused=True`, hence the same bytes, without the second that
its first use in a process takes to import the compiler.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol

import torch

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["FusedAdam", "FusedSGD", "Steps"]


class Steps(Protocol):
    """What the training loop asks of an optimiser; `torch.optim.Optimizer` fits."""

    param_groups: list[dict[str, Any]]

    def step(self) -> Any:
        """Change the parameters by their gradients."""
        ...

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients."""
        ...


class _Fused:
    """Parameters, and the learning rate where the loop expects it."""

    def __init__(self, params: Iterable[Tensor], *, lr: float, weight_decay: float) -> None:
        self.params = list(params)
        self.weight_decay = weight_decay
        self.param_groups: list[dict[str, Any]] = [{"params": self.params, "lr": lr}]

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients."""
        for param in self.params:
            if set_to_none:
                param.grad = None
            elif param.grad is not None:
                param.grad.detach_().zero_()

    def _with_grads(self) -> tuple[list[int], list[Tensor], list[Tensor]]:
        """Return the places, the parameters and the gradients of those that have one."""
        places = [i for i, p in enumerate(self.params) if p.grad is not None]
        grads = [self.params[i].grad for i in places]
        return places, [self.params[i] for i in places], [g for g in grads if g is not None]


class FusedAdam(_Fused):
    """Adam, or AdamW where `decoupled`, with torch's default betas and epsilon."""

    def __init__(
        self, params: Iterable[Tensor], *, lr: float, weight_decay: float, decoupled: bool
    ) -> None:
        super().__init__(params, lr=lr, weight_decay=weight_decay)
        self._kernel = torch._fused_adamw_ if decoupled else torch._fused_adam_
        self._state: dict[int, tuple[Tensor, Tensor, Tensor]] = {}

    @torch.no_grad()
    def step(self) -> None:
        """Change the parameters that have a gradient."""
        places, params, grads = self._with_grads()
        for i, param in zip(places, params, strict=True):
            if i not in self._state:
                self._state[i] = (
                    torch.zeros_like(param, memory_format=torch.preserve_format),
                    torch.zeros_like(param, memory_format=torch.preserve_format),
                    torch.zeros((), dtype=torch.float32, device=param.device),
                )
        if not places:
            return
        state = [self._state[i] for i in places]
        steps = [counted for *_, counted in state]
        torch._foreach_add_(steps, 1)
        self._kernel(
            params,
            grads,
            [mean for mean, *_ in state],
            [square for _, square, _ in state],
            [],
            steps,
            lr=self.param_groups[0]["lr"],
            beta1=0.9,
            beta2=0.999,
            weight_decay=self.weight_decay,
            eps=1e-8,
            amsgrad=False,
            maximize=False,
        )


class FusedSGD(_Fused):
    """Stochastic gradient descent with momentum."""

    def __init__(
        self,
        params: Iterable[Tensor],
        *,
        lr: float,
        weight_decay: float,
        momentum: float,
        nesterov: bool,
    ) -> None:
        super().__init__(params, lr=lr, weight_decay=weight_decay)
        self.momentum = momentum
        self.nesterov = nesterov
        self._state: dict[int, Tensor] = {}

    @torch.no_grad()
    def step(self) -> None:
        """Change the parameters that have a gradient."""
        places, params, grads = self._with_grads()
        new = [i for i in places if i not in self._state]
        if self.momentum:
            self._state.update({i: torch.empty_like(self.params[i]) for i in new})
        for first in (True, False):  # a first step fills the momentum
            some = [k for k, i in enumerate(places) if (i in new) == first]
            if some:
                torch._fused_sgd_(
                    [params[k] for k in some],
                    [grads[k] for k in some],
                    [self._state[places[k]] for k in some] if self.momentum else [],
                    weight_decay=self.weight_decay,
                    momentum=self.momentum,
                    lr=self.param_groups[0]["lr"],
                    dampening=0.0,
                    nesterov=self.nesterov,
                    maximize=False,
                    is_first_step=first and bool(self.momentum),
                )
