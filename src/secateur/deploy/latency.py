"""How long an answer takes: models in turn, so that their ratios hold on a noisy machine."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from secateur.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from secateur.protocols import Progress

__all__ = ["Latency", "Run", "latency"]

Run = Callable[["NDArray[Any]"], Any]
"""Answers a batch `[n, ...]`."""

LONGEST = 10_000
"""Calls of one model in a round, at most."""


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Milliseconds per call of one model on batches of one size.

    Args:
        batch: records per call.
        median: over all calls of all rounds.
        p95: of the calls.
        speed_up: per round, the first model's median divided by this one's; above 1 is faster.
        calls: in all.
    """

    batch: int
    median: float
    p95: float
    speed_up: tuple[float, ...]
    calls: int

    @property
    def faster(self) -> tuple[float, float, float]:
        """The smallest, the median and the largest speed-up of a round."""
        return min(self.speed_up), statistics.median(self.speed_up), max(self.speed_up)


def latency(
    runs: Mapping[str, Run],
    inputs: NDArray[Any],
    *,
    batch: int = 1,
    rounds: int = 5,
    seconds: float = 0.2,
    progress: Progress | None = None,
) -> dict[str, Latency]:
    """Time models in turn on the same batches.

    Each round times every model once, in an order that moves on by one from round to round, so that
    what slows the machine for a while slows them all. The first calls of each are not counted.

    Args:
        runs: by name; the first is the one that others are compared with.
        inputs: `[records, ...]`, from which batches are taken, again from the start where they end.
        batch: records per call.
        rounds: how often each model is timed.
        seconds: how long a model is timed in a round, at least 3 calls.
        progress: called after each round of a model.

    Returns:
        By name.

    Raises:
        InputError: no model, no record, or a count below 1.

    Example:
        >>> found = latency({"sum": np.sum, "sort": np.sort}, np.ones((8, 64)), seconds=0.001)
        >>> found["sum"].batch, len(found["sort"].speed_up), found["sum"].speed_up[0]
        (1, 5, 1.0)
    """
    if not runs or not len(inputs) or min(batch, rounds) < 1 or seconds <= 0:
        raise InputError(
            f"latency needs a model, a record, batch, rounds and seconds above 0, got {len(runs)} "
            f"models, {len(inputs)} records, batch={batch}, rounds={rounds}, seconds={seconds}"
        )
    batches = _batches(inputs, batch)
    names = list(runs)
    for name in names:
        _timed(runs[name], batches, seconds / 4)
    times: dict[str, list[list[float]]] = {name: [] for name in names}
    for turn in range(rounds):
        start = turn % len(names)
        for place, name in enumerate(names[start:] + names[:start]):
            times[name].append(_timed(runs[name], batches, seconds))
            if progress is not None:
                progress(
                    turn * len(names) + place + 1, rounds * len(names), f"timing, {batch} at once"
                )
    first = [statistics.median(calls) for calls in times[names[0]]]
    return {name: _summary(times[name], first, batch) for name in names}


def _batches(inputs: NDArray[Any], batch: int) -> list[NDArray[Any]]:
    count = max(1, min(16, len(inputs) // batch))
    rows = np.arange(count * batch) % len(inputs)
    return [np.ascontiguousarray(inputs[part]) for part in np.split(rows, count)]


def _timed(run: Run, batches: Sequence[NDArray[Any]], seconds: float) -> list[float]:
    """Return the milliseconds of each call, for so many seconds."""
    found: list[float] = []
    begun = time.perf_counter()
    while len(found) < 3 or (time.perf_counter() - begun < seconds and len(found) < LONGEST):
        given = batches[len(found) % len(batches)]
        before = time.perf_counter()
        run(given)
        found.append(1000 * (time.perf_counter() - before))
    return found


def _summary(rounds: Sequence[Sequence[float]], first: Sequence[float], batch: int) -> Latency:
    calls = [call for one in rounds for call in one]
    own = [statistics.median(one) for one in rounds]
    return Latency(
        batch=batch,
        median=statistics.median(calls),
        p95=float(np.quantile(calls, 0.95)),
        speed_up=tuple(a / b for a, b in zip(first, own, strict=True)),
        calls=len(calls),
    )
