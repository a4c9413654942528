"""What a sweep will cost: a few steps of each method are timed, as `auto` times them."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from secateur.errors import MethodError
from secateur.sweeping.tree import Node, made
from secateur.train import Conversion, Defence, Taught
from secateur.train.engines.auto import choose
from secateur.train.engines.timings import Timings
from secateur.train.planned import work_parts
from secateur.train.shared_teachers import teachers_of

if TYPE_CHECKING:
    from secateur.train import Transform
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
    are not. Teachers that several methods share count once. Audits and conversions are not counted,
    nor what training code of its own takes, which only its author could say. A method that fails
    when it is timed may fail again when it is run, which the sweep then says; the others are timed
    all the same.

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
    heard: dict[Any, int] = {}
    seconds: float | None
    for node in made(nodes):
        count = 1 if fleets is None else fleets(node)
        seconds, why = 0.0, ""
        if count:
            rate, why = _rate(node, records, membership, cores, timings)
            read = _read(node, membership, count, heard)
            seconds = None if rate is None else read / rate / cores
        found.append(
            Cost(name=node.label, models=len(membership), fleets=count, seconds=seconds, why=why)
        )
    return found


def _rate(
    node: Node, records: Records, membership: Membership, cores: int, timings: Timings
) -> tuple[float | None, str]:
    """Return how many records a second one core reads, and why that is not known."""
    if isinstance(node.method, Conversion):  # seconds beside a training
        return math.inf, ""
    try:
        choice = choose(
            node.recipe,
            _transform(node),
            records,
            membership,
            workers=cores,
            timings=timings,
        )
    except MethodError as error:
        return None, str(error)
    return max(choice.rates.values(), default=None), ""


def _read(node: Node, membership: Membership, fleets: int, heard: dict[Any, int]) -> float:
    """Return how many records a fleet's trainings read, the mean over its fleets: teachers that
    another one had count once.

    Args:
        node: of the fleets.
        membership: of one seed.
        fleets: how many are to be made, at least 1.
        heard: of which teachers so many fleets' were counted; this one's are added.
    """
    method = _transform(node)
    models, teachers = work_parts(node.recipe, method, membership)
    if not isinstance(method, Taught):
        return models
    split = method.split(membership.units[membership.members(0)], seed=0)
    who = split.tobytes(), teachers_of(method, node.recipe)
    more = max(0, fleets - heard.get(who, 0))
    heard[who] = heard.get(who, 0) + more
    return models + teachers * more / fleets


def _transform(node: Node) -> Transform | None:
    method = node.method
    return None if method is None or isinstance(method, Conversion | Defence) else method
