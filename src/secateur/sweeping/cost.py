"""What a sweep will cost: a few steps of each method are timed, as `auto` times them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from secateur.errors import MethodError
from secateur.sweeping.tree import Node, made
from secateur.train import Conversion, Defence
from secateur.train.engines.auto import choose
from secateur.train.planned import work

if TYPE_CHECKING:
    from secateur.types import Membership, Records

__all__ = ["Cost", "cost_of"]


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one fleet takes: its models, and seconds on all cores; None is not known before.

    `why` says what a method raised when it was timed.
    """

    name: str
    models: int
    seconds: float | None
    why: str = ""


def cost_of(
    nodes: Sequence[Node], records: Records, membership: Membership, *, workers: int = 0
) -> list[Cost]:
    """Time a few steps of every method, and return what each fleet of one seed will take.

        Methods that differ in numbers alone are timed once. Audits and conversions are not counted,
    nor what training code of its own takes, which only its author could say. A method that fails
    when it is timed may fail again when it is run, which the sweep then says; the others are timed
    all the same.

    Args:
        nodes: of `tree_of`.
        records: of one seed.
        membership: of one seed.
        workers: worker processes; 0 means one per core.
    """
    cores = workers or len(os.sched_getaffinity(0))
    rates: dict[tuple[str, ...], float | None] = {}
    found = []
    for node in made(nodes):
        if isinstance(node.method, Conversion):  # seconds beside a training
            found.append(Cost(name=node.label, models=len(membership), seconds=0.0))
            continue
        transform = None if node.method is None or isinstance(node.method, Defence) else node.method
        kind = tuple(text.partition("(")[0] for text in node.steps)
        if kind not in rates:
            try:
                choice = choose(node.recipe, transform, records, membership, workers=workers)
            except MethodError as error:
                models = len(membership)
                found.append(Cost(name=node.label, models=models, seconds=None, why=str(error)))
                continue
            rates[kind] = max(choice.rates.values(), default=None)
        rate = rates[kind]
        read = work(node.recipe, transform, membership)
        seconds = None if rate is None else read / rate / cores
        found.append(Cost(name=node.label, models=len(membership), seconds=seconds))
    return found
