"""Many models as one batched computation, stacks side by side in worker processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import torch

from secateur.errors import InputError
from secateur.models import check_device
from secateur.train.engines.processes import Processes, check_counts
from secateur.train.engines.serial import Serial
from secateur.train.stack.kernels import Kernels

if TYPE_CHECKING:
    from secateur.parallel import TaskResult
    from secateur.protocols import Progress

__all__ = ["Stacked"]


Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True, kw_only=True)
class Stacked:
    """Train up to `models` models at once: batched matrix products and grouped convolutions.

    Gains most where a step of one model is small: on a CPU, below some ten thousand parameters.
    Each model keeps its own members, order, augmentation, dropout and seed.

    Args:
        models: at most so many in one stack, at least 2. A part of the result's key: other stacks
            give other last bits.
        workers: stacks side by side, one thread each; 0 means one per core, or this process alone
            where the device is a card; 1 works in this process.
        device: where they are trained, such as `cpu` or `cuda:0`.
        precision: of the network's forward and backward pass; weights, losses and the optimiser
            stay in float32.
        compile: fuse the network with `torch.compile`, which takes longer than many steps, in every
            process, and needs a C++ compiler.


    Raises:
        InputError: fewer than 2 models, fewer than 0 workers, an unknown precision.

    Example:
        >>> Stacked(models=8).route
        "stacked(models=8, device='cpu')"
    """

    models: int = 16
    workers: int = 0
    device: str = "cpu"
    precision: Precision = "float32"
    compile: bool = False

    def __post_init__(self) -> None:
        if self.precision not in get_args(Precision):
            raise InputError(
                f"precision must be one of {', '.join(get_args(Precision))}, got {self.precision!r}"
            )
        check_counts(models=self.models, workers=self.workers)
        try:
            torch.device(self.device)
        except RuntimeError as error:
            raise InputError(
                f"device must be such as 'cpu' or 'cuda:0', got {self.device!r}"
            ) from error
        if self.models < 2:
            raise InputError(
                f"a stack holds at least 2 models, got models={self.models}; train them one by one "
                "with engine='processes'"
            )

    def check_device(self) -> None:
        """Refuse a device that is not there.

        Raises:
            InputError: names it.
        """
        check_device(self.device)

    @property
    def kernels(self) -> Kernels:
        """How the network of a stack is run."""
        return Kernels(precision=self.precision, compiled=self.compile)

    @property
    def route(self) -> str:
        """What of this engine can change a byte of a model."""
        more = "" if self.precision == "float32" else f", precision={self.precision!r}"
        more += ", compile=True" if self.compile else ""
        return f"stacked(models={self.models}, device={self.device!r}{more})"

    def run(
        self,
        function: Callable[..., Any],
        tasks: Sequence[Any],
        *,
        shared: tuple[Any, ...] = (),
        progress: Progress | None = None,
        on_result: Callable[[int, TaskResult], None] | None = None,
    ) -> list[TaskResult]:
        """Return `function(*shared, task)` for each task, in order."""
        # workers beside each other gain nothing on one card
        alone = self.workers == 1 or (not self.workers and torch.device(self.device).type != "cpu")
        where = Serial() if alone else Processes(workers=self.workers)
        return where.run(function, tasks, shared=shared, progress=progress, on_result=on_result)
