"""Where a fleet is made: with which engine, in which folder, within which budget."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from secateur import store
from secateur.errors import (
    InputError,
)
from secateur.train.engines import Processes, Ray, Serial, Stacked
from secateur.train.engines.auto import Auto, Choice, choose, engine_of_route
from secateur.train.limit import Limit
from secateur.train.plan import Plan
from secateur.train.steps import Conversion
from secateur.types import Membership, Records

if TYPE_CHECKING:
    from secateur.protocols import Progress

__all__ = ["AnyEngine", "Engine", "Place"]

AnyEngine = Serial | Processes | Stacked | Ray
Engine = AnyEngine | Auto | Literal["auto", "serial", "processes", "stacked", "ray"]


def _one_by_one(engine: AnyEngine | Auto) -> AnyEngine:
    """Return the engine that converts models, which is never done in stacks."""
    if not isinstance(engine, Auto | Stacked):
        return engine
    return Serial() if engine.workers == 1 else Processes(workers=engine.workers)


_NAMED: Mapping[str, Callable[[], AnyEngine | Auto]] = {
    "auto": Auto,
    "serial": Serial,
    "processes": Processes,
    "stacked": Stacked,
    "ray": Ray,
}


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a fleet is made: engine, folder (None: in memory), and who is told of progress.

    `cache` is a folder of models that runs share; `models` those rows of the membership that are
    made now (None: all), the others another time. `lessons` is a folder where what teachers said is
    kept for other methods of the run, and with `keeps_teachers` they themselves; the caller removes
    it.
    """

    engine: Engine
    folder: Path | None
    progress: Progress | None
    limit: Limit | None = None
    cache: Path | None = None
    models: Sequence[int] | None = None
    lessons: Path | None = None
    keeps_teachers: bool = False

    def left_out(self, membership: Membership) -> set[int]:
        """Return the rows that are not made now.

        Raises:
            InputError: rows that are not there, or no folder where the others can be made later.
        """
        rows = set(range(len(membership)))
        if self.models is None:
            return set()
        if not self.models or not rows.issuperset(self.models):
            raise InputError(
                f"models must be rows in 0 .. {len(rows) - 1}, got {list(self.models)[:20]}"
            )
        if self.folder is None and len(set(self.models)) < len(rows):
            raise InputError("a choice of models needs a folder, where the others are made later")
        return rows.difference(self.models)

    def resolved(
        self, plan: Plan, records: Records, membership: Membership, *, stack: bool = True
    ) -> Choice:
        """Return the engine itself; `auto` keeps what an unfinished folder was begun with.

        Args:
            plan: what is made.
            records: all records.
            membership: who trains on what.
            stack: whether `auto` may stack.

        Raises:
            InputError: an unknown engine, or a device that is not there.
        """
        engine = self.engine
        if isinstance(engine, str):
            if engine not in _NAMED:
                raise InputError(
                    f"unknown engine {engine!r}; there are {', '.join(map(repr, _NAMED))}"
                )
            engine = _NAMED[engine]()
        if isinstance(engine, Stacked):
            engine.check_device()
        if isinstance(plan.transform, Conversion):
            return Choice(engine=_one_by_one(engine), rates={})
        if not isinstance(engine, Auto):
            return Choice(engine=engine, rates={})
        begun = None if self.folder is None else store.begun_engine(self.folder)
        if begun is not None:
            return Choice(engine=engine_of_route(begun, engine.workers), rates={})
        return choose(
            plan.recipe,
            plan.transform,
            records,
            membership,
            workers=engine.workers,
            stack=stack,
            timings=engine.timings,
        )
