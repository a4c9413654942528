"""One seed's world and the fleets in it: who is screened, who is measured, what is made by when."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from secateur import store
from secateur.errors import BudgetSpentError, InputError, StoreError
from secateur.sweeping.kept import SHARE, Lessons, free_below
from secateur.train import Limit, Processes, Snapshots, Stacked, apply, train_fleet
from secateur.types import Fleet, Membership, Records

if TYPE_CHECKING:
    from secateur.data import Queries
    from secateur.protocols import MembershipAttack, Progress
    from secateur.sweeping.tree import Node
    from secateur.train import Engine

__all__ = ["Clock", "Place", "World", "stored"]

RESERVE = 0.1
NO_LESSONS = Lessons(teachers={}, asked_again=frozenset())


@dataclass(kw_only=True)
class Clock:
    """How much of a budget is left, and how much of it audits will need."""

    seconds: float | None = None
    per_subject: float = 0.0
    begun: float = field(default_factory=time.monotonic)

    @property
    def left(self) -> float | None:
        """Seconds until the end; None is no end."""
        return None if self.seconds is None else self.begun + self.seconds - time.monotonic()

    def limit(self, *, subjects: int) -> Limit | None:
        """Return what training may take now, so that an audit of so many fleets still fits.

        Raises:
            BudgetSpentError: nothing is left for it.
        """
        left = self.left
        if left is None or self.seconds is None:
            return None
        left -= max(RESERVE * self.seconds, self.per_subject * subjects)
        if left <= 0:
            raise BudgetSpentError(f"the budget of {self.seconds:g} s is spent")
        return Limit(seconds=left)

    def audited(self, seconds: float, *, subjects: int) -> None:
        """Remember what an audit of so many fleets took."""
        self.per_subject = max(self.per_subject, seconds / subjects)


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where and how a sweep works, and who is told of progress; `say` is told what to know."""

    folder: Path
    snapshots: Snapshots | None
    attacks: Sequence[MembershipAttack] | None
    queries: Queries
    clock: Clock
    engine: Engine = "auto"
    workers: int = 0
    cache: Path | None = None
    progress: Progress | None = None
    device: str = "cpu"
    say: Callable[[str], None] | None = None


@dataclass(frozen=True, kw_only=True)
class World:
    """One seed's records and membership, and the fleets that are there by now.

    `screening` is how many of the targets, the first ones, serve the funnel's rounds alone;
    `lessons` says which fleets share teachers.
    """

    seed: int
    records: Records
    membership: Membership
    folder: Path
    screening: int = 0
    lessons: Lessons = NO_LESSONS
    fleets: dict[tuple[str, ...], Fleet] = field(default_factory=dict)

    def rows(self, references: int | None = None) -> list[int]:
        """Return the models of a round with so many references; of the last one (None) the
        targets that no round looked at, and all references.
        """
        targets: list[int] = self.membership.targets.tolist()
        others: list[int] = self.membership.references.tolist()
        if references is None:
            return targets[self.screening :] + others
        return targets[: self.screening] + others[:references]

    @property
    def lessons_folder(self) -> Path:
        """Where what teachers said is kept for cases with the same ones, and teachers that are
        asked something else: a folder for each kind of teachers.
        """
        return self.folder / store.LESSONS

    def forget_lessons(self, coming: Collection[Node] = (), rows: Sequence[int] = ()) -> None:
        """Remove teachers, and what they said, that no fleet asks any more.

        Args:
            coming: fleets that may be still to be made.
            rows: their models.
        """
        if self.lessons_folder.exists():
            asking = [n for n in coming if n.steps in self.lessons.teachers]
            left = [n for n in asking if not (self.has(n, rows) or self.has_stored(n, rows))]
            store.remove_lessons(
                self.lessons_folder, keep={self.lessons.teachers[n.steps] for n in left}
            )

    def make(self, node: Node, place: Place, *, rows: Sequence[int] | None, subjects: int) -> Fleet:
        """Make these models of a fleet, or find them; None makes all.

        Args:
            node: which fleet; what it starts from is there already.
            place: where and how.
            rows: of the membership.
            subjects: fleets that an audit afterwards will ask.

        Raises:
            BudgetSpentError: before the last of them.
        """
        folder = self.folder / node.name
        there = self.has_stored(node, rows)
        how: dict[str, Any] = {
            "seed": self.seed,
            "engine": place.engine,
            "folder": folder,
            "progress": place.progress,
            "cache": place.cache,
            "limit": None if there else place.clock.limit(subjects=subjects),
            "name": node.label,
            "models": rows,
        }
        if node.trains_anew and node.recipe.train is not None:
            how["engine"] = _one_by_one(place)
        if node.method is None or node.trains_anew:
            kept = place.snapshots if node.method is None else None
            made = train_fleet(node.recipe, self.records, self.membership, snapshots=kept, **how)
        else:
            assert node.parent is not None  # it does not train anew
            how |= {} if there else self._taught(node, place, rows)
            found = apply(node.method, self.fleets[node.parent], self.records, **how)
            if not isinstance(found, Fleet):  # apply of a fleet gives one
                raise InputError(f"{node.label} is no fleet")
            made = found
        self.fleets[node.steps] = made
        return made

    def _taught(self, node: Node, place: Place, rows: Sequence[int] | None) -> dict[str, Any]:
        """Return where a fleet finds teachers, and whether it keeps its own: they may take no more
        than half of the free disk, and are trained anew where they would.
        """
        if node.steps not in self.lessons.teachers:
            return {}
        folder = self.lessons_folder / self.lessons.teachers[node.steps]
        models = len(self.membership if rows is None else rows)
        answers, teachers = self.lessons.bytes_of(
            node, self.records, self.membership, models=models
        )
        said, taught = store.bytes_of_lessons(folder)
        answers, teachers = max(0, answers - said), max(0, teachers - taught)
        free = free_below(self.folder)
        room = free * SHARE
        if answers + teachers <= room:
            kept = node.steps in self.lessons.asked_again
            return {"lessons": folder, "keep_teachers": kept}
        if place.say is not None:
            place.say(
                f"{node.label}: its teachers and what they say would take "
                f"{(answers + teachers) / 1e6:,.1f} MB, more than half of the "
                f"{free / 1e6:,.1f} MB that are free in {self.folder}; "
                f"{'the teachers' if answers <= room else 'they'} are not kept, and cases that "
                "share them train them anew, to the same result"
            )
        return {"lessons": folder} if answers <= room else {}

    def has(self, node: Node, rows: Sequence[int]) -> bool:
        """Tell whether this run has made, or found, these models of a fleet."""
        fleet = self.fleets.get(node.steps)
        return fleet is not None and _missing(fleet).isdisjoint(rows)

    def has_stored(self, node: Node, rows: Sequence[int] | None) -> bool:
        """Tell whether the folder has these models of a fleet; whether they are whole is seen when
        they are opened.
        """
        return stored(self.folder / node.name, rows)


def stored(folder: Path, rows: Sequence[int] | None = None) -> bool:
    """Tell whether a folder has these models of a fleet (None: all)."""
    try:
        fleet = store.open_fleet(folder, partial=True)
    except StoreError:
        return False
    return _missing(fleet).isdisjoint(range(len(fleet)) if rows is None else rows)


def _one_by_one(place: Place) -> Engine:
    """Return the engine of models that train by code of their own, which no stack can run."""
    stacks = place.engine == "stacked" or isinstance(place.engine, Stacked)
    return Processes(workers=place.workers) if stacks else place.engine


def _missing(fleet: Fleet) -> set[int]:
    return set(getattr(fleet.artifacts, "missing", tuple)())
