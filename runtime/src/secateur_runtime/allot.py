"""Places in one memory for values that do not all live at the same time."""

from __future__ import annotations

import heapq

import numpy as np
from numpy.typing import NDArray

__all__ = ["starts"]

MOST_PAIRS = 500_000
"""Pairs of values that live at the same time, up to which places are used again."""


def starts(lives: NDArray[np.int64]) -> tuple[NDArray[np.int64], int]:
    """Return where each value begins so that none overlaps another that lives at the same time.

    The work is in proportion to the pairs that live at the same time, which are few in a chain.
    With more than `MOST_PAIRS` values lie one after another, and no place is used again.

    Args:
        lives: of each value its size, and the first and the last operator that touch it.

    Returns:
        The starts, and the floats that all need together.

    Example:
        >>> at, floats = starts(np.array([[64, 0, 1], [32, 1, 2], [64, 2, 3]]))
        >>> at.tolist(), floats
        ([0, 64, 0], 96)
    """
    sizes = lives[:, 0].tolist()
    together = _together(lives)
    if together is None:
        ends = np.cumsum(lives[:, 0])
        return ends - lives[:, 0], int(ends[-1])
    found = [-1] * len(sizes)
    whole = 0
    for i in np.argsort(-lives[:, 0], kind="stable").tolist():  # the largest first
        at = 0
        for begin, size in sorted((found[j], sizes[j]) for j in together[i] if found[j] >= 0):
            if at + sizes[i] <= begin:
                break
            at = max(at, begin + size)
        found[i] = at
        whole = max(whole, at + sizes[i])
    return np.array(found, np.int64), whole


def _together(lives: NDArray[np.int64]) -> list[list[int]] | None:
    """Return for each value those that live at the same time, or None where they are too many."""
    found: list[list[int]] = [[] for _ in range(len(lives))]
    alive: list[tuple[int, int]] = []  # by when they end
    pairs = 0
    for i in np.argsort(lives[:, 1], kind="stable").tolist():
        first, last = int(lives[i, 1]), int(lives[i, 2])
        while alive and alive[0][0] < first:
            heapq.heappop(alive)
        pairs += len(alive)
        if pairs > MOST_PAIRS:
            return None
        for _, j in alive:
            found[i].append(j)
            found[j].append(i)
        heapq.heappush(alive, (last, i))
    return found
