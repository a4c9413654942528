"""What a sweep will cost: a few steps of each method are timed, as `auto` times them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from secateur.errors import MethodError
from secateur.sweeping.tree import Node, made
from secateur.train import Conversion, Defence
from secateur.train.engines.auto import Timings, choose
from secateur.train.planned import work

if TYPE_CHECKING:
    from secateur.types import Membership, Records

__all__ = ["Cost", "cost_of"]


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What the fleets of one node take: how many are to be made, the models of each, and its
    seconds on all cores; None is not known before.

    `why` says what a method raised when it was timed.
    """

    name: str
    models: int
    fleets: int
    seconds: float | None
    why: str = ""


def cost_of(
    nodes: Sequence[Node],
    records: Records,
    membership: Membership,
    *,
    fleets: Callable[[Node], int] | None = None,
    workers: int = 0,
    timings: Timings | None = None,
) -> list[Cost]:
    """Time a few steps of every method, and return what each fleet will take.

    Methods that differ in numbers alone are timed once, and those of which no fleet is to be made
    are not. Audits and conversions are not counted, nor what training code of its own takes, which
    only its author could say. A method that fails when it is timed may fail again when it is run,
    which the sweep then says; the others are timed all the same.

    Args:
        nodes: of `tree_of`.
        records: of one seed.
        membership: of one seed.
        fleets: how many fleets of a node are to be made; None is one of each.
        workers: worker processes; 0 means one per core.
        timings: where what was timed is kept for the engine that makes the fleets.
    """
    cores = workers or len(os.sched_getaffinity(0))
    timings = Timings() if timings is None else timings
    found = []
    seconds: float | None
    for node in made(nodes):
        count = 1 if fleets is None else fleets(node)
        seconds, why = (
            (0.0, "") if not count else _seconds(node, records, membership, cores, timings)
        )
        found.append(
            Cost(name=node.label, models=len(membership), fleets=count, seconds=seconds, why=why)
        )
    return found


def _seconds(
    node: Node, records: Records, membership: Membership, cores: int, timings: Timings
) -> tuple[float | None, str]:
    """Return the seconds of one fleet on all cores, and why they are not known."""
    if isinstance(node.method, Conversion):  # seconds beside a training
        return 0.0, ""
    transform = None if node.method is None or isinstance(node.method, Defence) else node.method
    try:
        choice = choose(node.recipe, transform, records, membership, workers=cores, timings=timings)
    except MethodError as error:
        return None, str(error)
    rate = max(choice.rates.values(), default=None)
    return None if rate is None else work(node.recipe, transform, membership) / rate / cores, ""
