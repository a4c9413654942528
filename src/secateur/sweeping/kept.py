"""What a sweep keeps beside fleets: teachers while a seed runs, and answers of models."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from secateur.auditing import default_attacks, needed_signals
from secateur.data import MeanSignal
from secateur.store import bytes_below
from secateur.sweeping.tree import Node, made, teachers_by_steps, teachers_to_keep
from secateur.train import Taught
from secateur.train.met import share_met
from secateur.train.shared_teachers import bytes_of_lessons
from secateur.types import AUDIT

if TYPE_CHECKING:
    from secateur.protocols import MembershipAttack
    from secateur.types import Membership, Records

__all__ = [
    "Lessons",
    "bytes_of_answers",
    "free_below",
    "kept_at_once",
    "lessons_of",
    "room_for_answers",
]

SHARE = 0.5
"""Of the free disk, what teachers and what they said may take; answers as much."""


@dataclass(frozen=True, kw_only=True)
class Lessons:
    """Who is taught by whom: `teachers` names by a fleet's steps its teachers; those whose steps
    stand in `asked_again` are asked something else by another fleet, and are kept themselves.
    """

    teachers: Mapping[tuple[str, ...], str]
    asked_again: frozenset[tuple[str, ...]]

    def bytes_of(
        self, node: Node, records: Records, membership: Membership, *, models: int
    ) -> tuple[int, int]:
        """Return the bytes that so many models' answers and teachers take; 0 for what is not kept.

        Args:
            node: the fleet.
            records: of one seed.
            membership: of one seed.
            models: how many of its rows are made.
        """
        if not isinstance(node.method, Taught):
            return 0, 0
        answers, teachers = bytes_of_lessons(node.method, node.recipe, records, membership)
        return models * answers, models * teachers * (node.steps in self.asked_again)


def lessons_of(nodes: Sequence[Node]) -> Lessons:
    """Return who is taught by whom in a sweep."""
    return Lessons(teachers=teachers_by_steps(nodes), asked_again=teachers_to_keep(nodes))


def kept_at_once(nodes: Sequence[Node], records: Records, membership: Membership) -> int:
    """Return the most bytes that teachers, and what they said, take at once while a seed runs.

    Each kind of teachers counts from the first fleet that has it to the last one, with all that is
    asked of them.

    Args:
        nodes: of `tree_of`.
        records: of one seed.
        membership: of one seed.
    """
    lessons = lessons_of(nodes)
    taught = [node for node in made(nodes) if node.steps in lessons.teachers]
    names = [lessons.teachers[node.steps] for node in taught]
    last = {name: at for at, name in enumerate(names)}
    there: dict[str, dict[str, int]] = {}
    most = 0
    for at, (node, name) in enumerate(zip(taught, names, strict=True)):
        answers, teachers = lessons.bytes_of(node, records, membership, models=len(membership))
        assert isinstance(node.method, Taught)  # only those have teachers
        own = there.setdefault(name, {})
        asked = f"answers for {share_met(node.method)} of {node.method.pool}"
        own[asked] = max(answers, own.get(asked, 0))
        own["teachers"] = max(teachers, own.get("teachers", 0))
        most = max(most, sum(sum(one.values()) for one in there.values()))
        if last[name] == at:
            del there[name]
    return most


def bytes_of_answers(
    attacks: Sequence[MembershipAttack] | None, membership: Membership, *, fleets: int
) -> int:
    """Return the bytes that answers around records take of one seed's audit, once it is whole.

    Args:
        attacks: that ask; None are those of every audit.
        membership: of the seed.
        fleets: how many are audited, of all models each.
    """
    wanted = needed_signals(attacks or default_attacks())
    around = sum(isinstance(signal, MeanSignal) for signal in wanted)
    return fleets * len(membership) * around * len(membership.pool(AUDIT)) * 4


def room_for_answers(
    folder: Path,
    attacks: Sequence[MembershipAttack] | None,
    membership: Membership,
    *,
    fleets: int,
) -> bool:
    """Tell whether the answers of one seed's audit take no more than half of the free disk; those
    that are in the folder already take no more room.

    Args:
        folder: in which they lie; may be missing.
        attacks: that ask; None are those of every audit.
        membership: of the seed.
        fleets: how many are audited, of all models each.
    """
    most = bytes_of_answers(attacks, membership, fleets=fleets)
    return most - bytes_below(folder) <= SHARE * free_below(folder)


def free_below(folder: Path) -> int:
    """Return the free bytes of the disk on which a folder is, or would be made."""
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    return shutil.disk_usage(there).free
