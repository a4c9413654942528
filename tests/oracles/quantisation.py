"""Rounding weights, one number at a time."""

from __future__ import annotations

import numpy as np


def rounded_slowly(weight, levels, per_channel):
    """Return every weight at the nearest of `levels` steps on each side of zero."""
    groups = weight.reshape(len(weight), -1) if per_channel else weight.reshape(1, -1)
    out = np.zeros(groups.shape)
    for g, group in enumerate(groups):
        largest = max(abs(float(v)) for v in group)
        for i, value in enumerate(group):
            if largest:
                grid = [k * largest / levels for k in range(-levels, levels + 1)]
                out[g, i] = min(grid, key=lambda point: abs(point - float(value)))
    return out.reshape(weight.shape)
