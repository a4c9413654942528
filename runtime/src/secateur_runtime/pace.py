"""How long runs take, fairly beside each other."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

__all__ = ["least_seconds"]


def least_seconds(runs: Sequence[Callable[[], object]], rounds: int) -> list[float]:
    """Return the least processor seconds of each run in this thread; they take turns.

    Args:
        runs: what is called; each once more before anything counts, for the first makes ready.
        rounds: of turns that count.

    Example:
        >>> [took >= 0 for took in least_seconds([lambda: None, lambda: sum(range(9))], 2)]
        [True, True]
    """
    least = [math.inf] * len(runs)
    for turn in range(1 + rounds):
        for k, run in enumerate(runs):
            begin = time.thread_time()
            run()
            if turn:
                least[k] = min(least[k], time.thread_time() - begin)
    return least
