"""One model after another, in this process, on one thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from secateur.parallel import TaskResult, run_tasks

if TYPE_CHECKING:
    from secateur.protocols import Progress

__all__ = ["ONE_BY_ONE", "Serial"]

ONE_BY_ONE = "one model, one thread"
"""The route of every engine that makes models one by one: they give the same bytes."""


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one thread inside, so that results do not depend on the machine's cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass(frozen=True, kw_only=True)
class Serial:
    """Run every task here; needed for code that lives in a notebook or in `__main__`."""

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
        with one_thread():
            return run_tasks(
                function, tasks, workers=0, shared=shared, progress=progress, on_result=on_result
            )
