"""What a case weighs and what it took to make: its bytes and its CPU seconds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from secateur.types import Measurement

if TYPE_CHECKING:
    from secateur.types import Fleet

__all__ = ["bytes_of", "cpu_seconds_of"]


def bytes_of(subject: str, fleet: Fleet) -> Measurement:
    """Return the largest target's weights in bytes: each array whole, or its non-zeros and one bit
    per place, whichever is less.
    """
    sizes = []
    for target in fleet.membership.targets.tolist():
        arrays = [a for a in fleet.artifacts[target].tensors.values() if a.dtype.kind == "f"]
        sizes.append(
            sum(
                min(a.nbytes, int(np.count_nonzero(a)) * a.itemsize + math.ceil(a.size / 8))
                for a in arrays
            )
        )
    return Measurement(
        subject=subject,
        risk="size",
        method="non-zeros and one bit per place",
        metric="bytes of weights",
        value=float(max(sizes)),
        unit="B",
        better="lower",
        status="exact",
        estimand="property",
        counts={"targets": float(len(sizes))},
    )


def cpu_seconds_of(subject: str, fleets: Sequence[Fleet]) -> Measurement | None:
    """Return CPU seconds per model of all steps; None where a step's cost is not known."""
    known = [[c for c in f.costs if c > 0] for f in fleets]
    if not all(known):
        return None
    return Measurement(
        subject=subject,
        risk="cost",
        method="process time",
        metric="cpu seconds per model, all steps",
        value=float(sum(np.mean(costs) for costs in known)),
        unit="s",
        better="lower",
        status="exact",
        estimand="property",
        counts={"models": float(min(map(len, known)))},
    )
