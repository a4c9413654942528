"""Many models as one batched computation: every tensor gains a leading axis, the model."""

from __future__ import annotations

from secateur.train.stack.data import StackData
from secateur.train.stack.forward import Lowered, Unsupported, Vmapped, lower
from secateur.train.stack.kernels import Kernels
from secateur.train.stack.run import run_stack

__all__ = ["Kernels", "Lowered", "StackData", "Unsupported", "Vmapped", "lower", "run_stack"]
