"""Warm worker processes, one thread each, fed from one queue."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from secateur.errors import InputError
from secateur.parallel import TaskResult, run_tasks
from secateur.train.engines.serial import ONE_BY_ONE

if TYPE_CHECKING:
    from secateur.protocols import Progress

__all__ = ["Processes", "check_counts"]


def check_counts(**counts: int) -> None:
    """Refuse what is no whole number of at least 0.

    Raises:
        InputError: names the first.
    """
    for name, value in counts.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            more = " (0: one per core)" if name == "workers" else ""
            raise InputError(f"{name} must be a whole number, at least 0{more}, got {value!r}")


@dataclass(frozen=True, kw_only=True)
class Processes:
    """Run tasks in worker processes.

    Args:
        workers: how many; 0 means one per core.
    """

    workers: int = 0

    def __post_init__(self) -> None:
        check_counts(workers=self.workers)

    @property
    def route(self) -> str:
        """What of this engine can change a byte of a model."""
        return ONE_BY_ONE

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
        workers = self.workers or len(os.sched_getaffinity(0))
        return run_tasks(
            function,
            tasks,
            workers=max(1, min(workers, len(tasks))),
            shared=shared,
            progress=progress,
            on_result=on_result,
        )
