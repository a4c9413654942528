"""The funnel: rounds with few references, after which clearly beaten cases are left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from secateur.sweeping.front import clearly_beaten
from secateur.types import Point

__all__ = ["dropped"]


def dropped(points: Sequence[Point], *, references: int, keep: str) -> list[dict[str, Any]]:
    """Return the cases that a round leaves out, and why.

    Compared are targets that serve the rounds alone: the numbers of the report come from others.
    A case that beats another one stays itself unless a third one beats it.

    Args:
        points: of the round.
        references: how many the round had.
        keep: the case that stays whatever happens.
    """
    found = []
    for point in points:
        beaten = None if point.case == keep else clearly_beaten(point, points)
        if beaten is not None:
            other, words = beaten
            found.append(
                {"case": point.case, "by": other.case, "references": references, "why": words}
            )
    return found
