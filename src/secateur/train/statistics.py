"""Running statistics of normalisation layers, taken afresh by passing batches through."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["FreshStatistics", "evaluating", "normalisations"]

# BatchNorm of all dimensions, and InstanceNorm where it keeps statistics
Normalisation = nn.modules.batchnorm._BatchNorm | nn.modules.instancenorm._InstanceNorm


def normalisations(module: nn.Module) -> list[Normalisation]:
    """Return the layers that keep running statistics."""
    return [
        part
        for part in module.modules()
        if isinstance(part, Normalisation) and part.running_mean is not None
    ]


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Put a module into the mode of evaluation, and back into the mode in which it was."""
    training = module.training
    module.eval()
    try:
        yield
    finally:
        module.train(training)


class FreshStatistics:
    """Replaces the running statistics of a module by averages over the batches that it is shown.

    Nothing changes before the first batch. Then old statistics are forgotten, and each batch counts
    by its number of records; `finish` puts the layers' own momentum back. Momentum is a number that
    follows from the sizes of batches alone, so that a stacked engine can do the same.
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.seen = 0
        self.layers = normalisations(module)
        self.momenta = [layer.momentum for layer in self.layers]

    def show(self, inputs: Tensor) -> None:
        """Pass one batch `[n, ...]` through the module, in the mode in which it is."""
        if not self.seen:
            for layer in self.layers:
                layer.reset_running_stats()
        self.seen += len(inputs)
        self._set_momentum(len(inputs) / self.seen)
        with torch.no_grad():
            self.module(inputs)
        # a hook may pass other inputs through before the next batch; they must leave no trace
        self._set_momentum(0.0)

    def finish(self) -> None:
        """Put the layers' own momentum back."""
        for layer, momentum in zip(self.layers, self.momenta, strict=True):
            layer.momentum = momentum

    def _set_momentum(self, momentum: float) -> None:
        for layer in self.layers:
            layer.momentum = momentum
