"""Features of a learned attack, record by record."""

from __future__ import annotations

import math

import numpy as np


def compared(value, within, out, pooled_in, pooled_out, weight=8.0):
    """Return z_in, z_out and LiRA's log ratio of one number against references in and out."""
    found = []
    for side, pooled in ((within, pooled_in), (out, pooled_out)):
        mean = sum(side) / len(side)
        squares = sum((x - mean) ** 2 for x in side)
        variance = (squares + weight * pooled) / (len(side) - 1 + weight)
        density = -0.5 * math.log(2 * math.pi * variance) - (value - mean) ** 2 / (2 * variance)
        found.append(((value - mean) / math.sqrt(variance), density))
    (z_in, p_in), (z_out, p_out) = found
    return z_in, z_out, p_in - p_out


def pooled(values, inside):
    """Return the variance within records, `[model, record]`, over the models that are inside."""
    squares, freedom = 0.0, 0
    for r in range(values.shape[1]):
        side = values[inside[:, r], r]
        squares += sum((x - side.mean()) ** 2 for x in side)
        freedom += len(side) - 1
    return squares / freedom


def rmia(value, references, inside, of_population, population):
    """Return RMIA's log ratio of one record, and the share of the population that it beats.

    `references` and `inside` are `[model]`; `population` `[model, z]`, `of_population` `[z]`.
    """
    p = np.exp(references)
    ratio = value - math.log((p[inside].mean() + p[~inside].mean()) / 2)
    beaten = 0
    for z in range(len(of_population)):
        beaten += ratio >= of_population[z] - math.log(np.exp(population[:, z]).mean())
    return ratio, beaten / len(of_population)
