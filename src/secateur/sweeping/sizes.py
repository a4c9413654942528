"""What a case weighs and what it took to make: its bytes and its CPU seconds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from secateur.types import Measurement

if TYPE_CHECKING:
    from secateur.types import Artifact, Fleet

__all__ = ["bytes_of", "cpu_seconds_of"]


def bytes_of(subject: str, fleet: Fleet) -> Measurement:
    """Return the largest target's file in bytes, where the steps end with one; else its weights:
    each array whole, or its non-zeros and one bit per place, whichever is less.
    """
    artifacts = [fleet.artifacts[target] for target in fleet.membership.targets.tolist()]
    files = [a.shipped for a in artifacts if a.shipped is not None]
    sizes = [len(file.data) for file in files] or [_weight_bytes(a) for a in artifacts]
    return Measurement(
        subject=subject,
        risk="size",
        method=files[0].form if files else "non-zeros and one bit per place",
        metric="bytes of the file" if files else "bytes of weights",
        value=float(max(sizes)),
        unit="B",
        better="lower",
        status="exact",
        estimand="property",
        counts={"targets": float(len(sizes))},
    )


def _weight_bytes(artifact: Artifact) -> int:
    arrays = [a for a in artifact.tensors.values() if a.dtype.kind == "f"]
    return sum(
        min(a.nbytes, int(np.count_nonzero(a)) * a.itemsize + math.ceil(a.size / 8)) for a in arrays
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
