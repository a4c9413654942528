"""The steps and the accounting of DP-SGD: the one file that knows Opacus."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from secateur.errors import MethodError, MissingExtraError

if TYPE_CHECKING:
    from secateur.defend.dpsgd import DPSGD
    from secateur.train import Batch

__all__ = ["Ghost", "Materialised", "accounted_epsilon", "drawn", "refuse_mixing"]

HELD = 2**25
"""Numbers of per-record gradients in memory at once; larger batches are summed in parts."""
ORDERS = (
    *(1 + 2.0**-k for k in range(13, 0, -1)),
    *(1 + k / 10 for k in range(6, 100)),
    *range(11, 65),
    *(80, 96, 128, 192, 256, 512, 1024),
)
"""Of the Renyi divergence; those close to 1 serve small noise and an epsilon in the thousands."""
NUMERIC = 300.0
"""Epsilons above this are not computed by numeric composition: its grid would be too large."""


class Materialised:
    """Steps by clipped gradients and noise, each record's gradient in memory."""

    kind: Any
    module: Any

    def __init__(self, method: DPSGD, module: nn.Module, generator: torch.Generator) -> None:
        self.method = method
        self.params: list[Any] = [p for p in module.parameters() if p.requires_grad]
        self.part = max(1, HELD // (sum(p.numel() for p in self.params) * method.augmentations))
        self.wrap(module)
        self.optimiser: Any = self.kind(
            method.optimiser.make(self.params),
            noise_multiplier=method.noise_multiplier,
            max_grad_norm=method.max_grad_norm,
            expected_batch_size=method.batch_size,
            generator=generator,
        )

    def wrap(self, module: nn.Module) -> None:
        """Have the module make a gradient per record."""
        self.kind = _opacus("optimizers").DPOptimizer
        # strict refuses constant buffers too; those that change are refused after training
        self.module = _opacus("grad_sample").GradSampleModule(module, strict=False)

    def parts(self, rows: Tensor, *, lr: float) -> Iterator[Tensor]:
        """Yield a step's rows in parts that fit memory; take the step when all had `gradients`.

        A step without rows is one empty part, and takes its noise.
        """
        for group in self.optimiser.param_groups:
            group["lr"] = lr
        parts = [rows[i : i + self.part] for i in range(0, max(1, len(rows)), self.part)]
        for number, part in enumerate(parts, 1):
            self.optimiser.signal_skip_step(do_skip=number < len(parts))
            self.optimiser.zero_grad(set_to_none=True)
            yield part
            self.optimiser.step()

    def loss(self, batch: Batch) -> Tensor:
        """Return the loss of each record."""
        return functional.cross_entropy(
            self.module(batch.inputs),
            batch.labels,
            reduction="none",
            label_smoothing=self.method.label_smoothing,
        )

    def gradients(self, batch: Batch, records: int) -> None:
        """Make the gradient of each record, the mean over its copies."""
        if records:
            torch.autograd.backward(self.loss(batch).mean())
        for param in self.params:
            seen: Tensor | None = param.grad_sample if records else None
            if seen is None:  # no record, or a layer that took no part
                param.grad_sample = param.new_zeros(records, *param.shape)
            elif self.method.augmentations > 1:
                param.grad_sample = seen.view(records, -1, *param.shape).mean(1)


class Ghost(Materialised):
    """The same sums from the norms alone, by a second backward pass."""

    def wrap(self, module: nn.Module) -> None:
        """Have the module find the norm of each record's gradient."""
        self.kind = _opacus("optimizers").DPOptimizerFastGradientClipping
        held = sum(p.numel() for part in module.modules() for p in _own(part))
        self.part = max(1, HELD // held) if held else HELD
        self.module = _opacus("grad_sample").GradSampleModuleFastGradientClipping(
            module, strict=False, max_grad_norm=self.method.max_grad_norm
        )

    def gradients(self, batch: Batch, records: int) -> None:
        """Leave the sum of the clipped gradients."""
        if records:
            self._clipped(batch)
        for param in self.params:
            if param.grad is None:  # no record, or a layer that took no part
                param.grad = torch.zeros_like(param)

    def _clipped(self, batch: Batch) -> None:
        loss = self.loss(batch)
        torch.autograd.backward(loss.mean(), retain_graph=True)
        self.optimiser.zero_grad(set_to_none=True)
        weights = self.module.get_clipping_coef()
        self.module.disable_hooks()
        torch.autograd.backward((weights * loss).sum())
        self.module.enable_hooks()


def _own(part: nn.Module) -> Iterator[Tensor]:
    """Yield the weights of which each record's gradient is made in ghost clipping."""
    return iter(()) if isinstance(part, nn.Linear) else part.parameters(recurse=False)


def drawn(members: int, *, rate: float, steps: int, seed: int) -> Iterator[Tensor]:
    """Yield the members of each step, each drawn by its own coin."""
    sampler = _opacus("utils.uniform_sampler").UniformWithReplacementSampler(
        num_samples=members,
        sample_rate=rate,
        steps=steps,
        generator=torch.Generator().manual_seed(seed),
    )
    for rows in sampler:
        yield torch.tensor(rows, dtype=torch.int64)


def refuse_mixing(module: nn.Module) -> None:
    """Refuse layers through which records of a batch see each other.

    Raises:
        MethodError: names them.
    """
    errors = _opacus("validators").ModuleValidator.validate(module, strict=False)
    if errors:
        raise MethodError(
            f"this network cannot be trained by DP-SGD: {'; '.join(map(str, errors[:3]))}; replace "
            "the layer (GroupNormed replaces batch normalisation)"
        )


@lru_cache(maxsize=1024)  # seconds each, and cases and reports ask the same again
def accounted_epsilon(sigma: float, rate: float, steps: int, delta: float) -> float:
    """Return an upper bound on epsilon under Poisson sampling: the smaller of two accountants'.

    Args:
        sigma: the noise's deviation in units of the sensitivity.
        rate: each record's probability to be in a step, below 1.
        steps: how many.
        delta: in (0, 1).
    """
    analysis = _opacus("accountants.analysis.rdp")
    spent = analysis.compute_rdp(q=rate, noise_multiplier=sigma, steps=steps, orders=ORDERS)
    with warnings.catch_warnings():
        # at an end of the orders a bound is less tight, but holds
        warnings.filterwarnings("ignore", message="Optimal order is")
        bound = float(analysis.get_privacy_spent(orders=ORDERS, rdp=spent, delta=delta)[0])
        if bound > NUMERIC:
            return bound
        numeric = _opacus("accountants").PRVAccountant()
        numeric.history = [(sigma, rate, steps)]
        error = max(0.01, 0.002 * bound)
        found = numeric.get_epsilon(delta, eps_error=error, delta_error=delta / 1000)
    return min(bound, float(found))


def _opacus(part: str) -> Any:
    """Return a module of Opacus.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        return import_module(f"opacus.{part}")
    except ImportError as error:
        raise MissingExtraError(
            "DPSGD trains by Opacus, which is not installed; pip install 'secateur[dp]'"
        ) from error
