"""What benchmarks time with."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable


def seconds(call: Callable[[], object]) -> float:
    """Return the CPU time of one call."""
    begun = time.process_time()
    call()
    return time.process_time() - begun


def spread(values: list[float]) -> dict[str, float]:
    """Return the smallest, the middle and the largest."""
    return {"min": min(values), "median": statistics.median(values), "max": max(values)}
