"""In which precision a stack's network runs, and whether it is compiled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from secateur.errors import MethodError

if TYPE_CHECKING:
    from torch import Tensor

    from secateur.train.stack.layers import Context

__all__ = ["Kernels", "Network"]

Network = Callable[["Context", "Tensor"], "Tensor"]


@dataclass(frozen=True, kw_only=True)
class Kernels:
    """How a network's forward pass is run.

    Args:
        precision: `float32`, or `bfloat16` for what autocast holds to be safe in it; logits come
            back in float32.
        compiled: by `torch.compile`.
    """

    precision: str = "float32"
    compiled: bool = False

    def apply(self, network: Network, device: torch.device) -> Network:
        """Return a network that is run in this way."""
        if self.compiled:
            network = _compiled(network)
        if self.precision == "float32":
            return network
        dtype = getattr(torch, self.precision)

        def lower(c: Context, inputs: Tensor) -> Tensor:
            with torch.autocast(device.type, dtype=dtype):
                logits = network(c, inputs)
            return logits.float()

        return lower


def _compiled(network: Network) -> Network:
    fused = torch.compile(network, dynamic=False)

    def run(c: Context, inputs: Tensor) -> Tensor:
        from torch._dynamo.exc import BackendCompilerFailed, TorchDynamoException

        try:
            return fused(c, inputs)
        except (BackendCompilerFailed, TorchDynamoException) as error:
            told = (str(error).splitlines() or [""])[0][:300]
            raise MethodError(
                f"torch cannot compile this network here ({told}); leave compile=True out, or "
                "install a C++ compiler"
            ) from error

    return run
