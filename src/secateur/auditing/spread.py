"""Work over model families, in this process or, where it is long, side by side in workers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from secateur.errors import InputError
from secateur.protocols import reads_one_view
from secateur.spreading import spread_tasks
from secateur.worker import pack

if TYPE_CHECKING:
    from secateur.protocols import MembershipAttack, Progress
    from secateur.types import Observations

__all__ = ["can_travel", "signals_alone", "spread"]


def spread(
    function: Callable[..., Any],
    tasks: Sequence[Any],
    *,
    shared: Sequence[Any],
    workers: int,
    progress: Progress | None = None,
) -> list[Any]:
    """Return `function(*shared, task)` for every task, in the order of tasks.

    As `spread_tasks`, but on one thread also where no workers are asked for, so that where it is
    done changes no value.

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
    beside = max(workers, 1)  # one thread, also where all is done here
    results = spread_tasks(function, tasks, workers=beside, shared=shared, progress=progress)
    return [result.value for result in results]


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
