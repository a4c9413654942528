"""A long call of the compiled engine, a slice of its records after another."""

from __future__ import annotations

import time
from collections.abc import MutableMapping
from typing import Any

from secateur_runtime.plan import Floats

__all__ = ["ABREAST", "SLICE", "in_a_slice", "run_in_slices"]

ABREAST = 4
"""Groups of pictures side by side that one thread takes at once, at most."""
SLICE = 0.1
"""Seconds of a long call after which Python is to hear of signals."""


def in_a_slice(lanes: int, threads: int, pace: float) -> int:
    """Return how many records of a long call are run before Python hears of signals.

    They are as many as the engine takes at once, or a multiple, so that its work is not cut; or,
    where that takes long, one group for each thread.

    Args:
        lanes: of a group.
        threads: of the call.
        pace: seconds of a record, 0 where that is not known.

    Example:
        >>> [in_a_slice(16, 1, pace) for pace in (0, 0.001, 0.0001, 0.1)]
        [64, 64, 960, 16]
    """
    least = lanes * threads
    whole = least * max(1, ABREAST // threads)
    at_once = whole if pace * whole <= 5 * SLICE else least
    times = int(SLICE / (pace * at_once)) if pace else 1
    return at_once * max(1, times)


def run_in_slices(
    program: Any,
    lanes: int,
    given: Floats,
    made: Floats,
    threads: int,
    paces: MutableMapping[int, float],
) -> None:
    """Fill the outputs of a call; signals, such as that of Ctrl-C, come to Python between slices.

    What is computed is the same however records are cut.

    Args:
        program: of the compiled engine.
        lanes: of the program.
        given: `[n, ...]`, the inputs.
        made: `[n, ...]`, filled with the outputs.
        threads: of the call.
        paces: seconds of a record by lanes, as they last were; a long call changes them.
    """
    n, first = len(given), 0
    if n <= lanes * threads:
        program.run(given, made, n, threads)
        return
    pace = paces.get(lanes, 0.0)
    while first < n:
        last = min(n, first + in_a_slice(lanes, threads, pace))
        begin = time.perf_counter()
        program.run(given[first:last], made[first:last], last - first, threads)
        pace = (time.perf_counter() - begin) / (last - first)
        first = last
    paces[lanes] = pace
