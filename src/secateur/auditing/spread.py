"""Work over model families, in this process or, where it is long, side by side in workers."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from secateur.errors import InputError
from secateur.parallel import run_tasks
from secateur.protocols import reads_one_view
from secateur.worker import pack

if TYPE_CHECKING:
    from secateur.protocols import MembershipAttack, Progress
    from secateur.types import Observations

__all__ = ["can_travel", "signals_alone", "spread"]

WORTH = 20.0
"""Seconds of work left, above which the start of workers is soon won back."""


def spread(
    function: Callable[..., Any],
    tasks: Sequence[Any],
    *,
    shared: Sequence[Any],
    workers: int,
    progress: Progress | None = None,
) -> list[Any]:
    """Return `function(*shared, task)` for every task, in the order of tasks.

    The first is done here and timed; workers are started for the others where these would take
    long. One thread each, here as there, so that where it is done changes no value.

    Args:
        function: at the top of a module, so that a worker can import it.
        tasks: one argument for each call.
        shared: first arguments of every call.
        workers: processes; fewer than 2 do all of it here.
        progress: called after each task.

    Example:
        >>> spread(pow, [1, 2, 3], shared=[2], workers=2)
        [2, 4, 8]
    """
    from threadpoolctl import threadpool_limits

    if not tasks:
        return []

    def told(before: int) -> Progress:
        def of_all(done: int, _: int, name: str) -> None:
            if progress is not None:
                progress(before + done, len(tasks), name)

        return of_all

    begun = time.monotonic()
    with threadpool_limits(1):
        first = run_tasks(function, tasks[:1], workers=0, shared=shared, progress=told(0))
        left = (time.monotonic() - begun) * (len(tasks) - 1)
        beside = workers if workers > 1 and left > WORTH else 0
        rest = run_tasks(function, tasks[1:], workers=beside, shared=shared, progress=told(1))
    return [result.value for result in (*first, *rest)]


def can_travel(attacks: Sequence[MembershipAttack]) -> bool:
    """Tell whether workers could import these attacks; those of a notebook they cannot."""
    try:
        pack(tuple(attacks))
    except InputError:
        return False
    return True


def signals_alone(observations: Observations, attacks: Sequence[MembershipAttack]) -> Observations:
    """Return what attacks on signals read of a family: no outputs; one view, where that is all.

    Args:
        observations: of one family.
        attacks: none that needs posteriors.
    """
    view = observations.primary
    kept: dict[str, Any] = {}
    if all(reads_one_view(attack) for attack in attacks):
        kept = {"views": {view: observations.views[view]}, "gradients": {}}
    return replace(observations, posteriors={}, shadow_posteriors={}, sensitivities={}, **kept)
