"""Tasks in this process while that is quicker, in workers once it is not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from secateur.parallel import TaskResult, name_of, run_tasks
from secateur.worker import pack

if TYPE_CHECKING:
    from pickle import PickleBuffer

    from secateur.protocols import Progress

__all__ = ["WORTH", "spread_tasks"]

WORTH = 20.0
"""Seconds of work left, above which the start of workers is soon won back."""


def spread_tasks(
    function: str | Callable[..., Any],
    tasks: Sequence[Any],
    *,
    workers: int,
    shared: Sequence[Any] = (),
    progress: Progress | None = None,
) -> list[TaskResult]:
    """Do as `run_tasks`, and start workers only where the work is long enough.

    Tasks are done here and timed, until as many as are left would take more than `WORTH` seconds at
    the pace of the last; workers do these. One thread each, here as there, so that where it is done
    changes no value. An exception of a task that is done here travels unchanged.

    Args:
        function: as of `run_tasks`.
        tasks: one argument for each call.
        workers: processes; 1 does all of it here on one thread, 0 on all of them.
        shared: first arguments of every call.
        progress: called as by `run_tasks`, wherever a task is done.

    Raises:
        InputError: with several workers, something that one could not import; before any work.

    Example:
        >>> [r.value for r in spread_tasks("math:sqrt", [4, 9], workers=2)]
        [2.0, 3.0]
    """
    if workers < 1:
        return run_tasks(function, tasks, workers=workers, shared=shared, progress=progress)
    from threadpoolctl import threadpool_limits

    if workers > 1:
        apart: list[PickleBuffer] = []  # large arrays are named, not copied
        pack((function, tuple(shared), tuple(tasks)), apart.append)
    if progress is not None and tasks:
        progress(0, len(tasks), name_of(function))
    done: list[TaskResult] = []
    with threadpool_limits(1):
        while len(done) < len(tasks):
            done += run_tasks(function, tasks[len(done) : len(done) + 1], workers=0, shared=shared)
            if progress is not None:
                progress(len(done), len(tasks), name_of(function))
            left = len(tasks) - len(done)
            if workers > 1 and left and left * done[-1].wall_seconds > WORTH:
                break
    before, told = len(done), progress

    def of_all(since: int, _: int, name: str) -> None:
        if told is not None and since:  # that none of the rest is done was said already
            told(before + since, len(tasks), name)

    return done + run_tasks(
        function, tasks[before:], workers=workers, shared=shared, progress=of_all
    )
