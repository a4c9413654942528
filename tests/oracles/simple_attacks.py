"""Population, reference and calibrated attacks, and the released scripts' quirks, as loops."""

from __future__ import annotations

import math

import numpy as np
from scipy.stats import norm


def population_share(x, population):
    """Share of the population below x, equal ones one half."""
    return sum(1.0 if z < x else 0.5 if z == x else 0.0 for z in population) / len(population)


def reference_log_odds(phi, out, width):
    """Log-odds of the mean of Phi((phi - ref) / width)."""
    below = np.mean([norm.cdf((phi - v) / width) for v in out])
    above = np.mean([norm.sf((phi - v) / width) for v in out])
    return math.log(below) - math.log(above)


def released_lira(phi, inside, targets, references, audit, *, mode, shared):
    """The authors' script for signals `[model, query, record]`."""
    queries = phi.shape[1]
    groups = {
        side: [[phi[m, :, r] for m in references if inside[m, r] == side] for r in audit]
        for side in (True, False)
    }
    kept = {side: np.array([g[: min(map(len, gs))] for g in gs]) for side, gs in groups.items()}
    values = np.zeros((len(targets), phi.shape[2]))
    for k, r in enumerate(audit):
        for row, t in enumerate(targets):
            for q in range(queries):
                parts = {}
                for side in (True, False):
                    values_here = kept[side][k][:, q]
                    spread = np.std(values_here)
                    if shared:
                        spread = np.std(kept[mode == "online"])
                    parts[side] = norm.logpdf(phi[t, q, r], np.median(values_here), spread + 1e-30)
                score = parts[True] - parts[False] if mode == "online" else -parts[False]
                values[row, r] += score / queries
    return values


def released_rmia(p, inside, targets, references, audit, population, *, gamma, a):
    """ML Privacy Meter's offline score from probabilities `[model, record]`."""
    k = max(len(references) // 2, 1)

    def prior(r):
        seen = sorted((0.0 if inside[m, r] else p[m, r] for m in references), reverse=True)[:k]
        return (1 + a) / 2 * np.mean(seen) + (1 - a) / 2

    values = np.zeros((len(targets), p.shape[1]))
    for row, t in enumerate(targets):
        for r in audit:
            ratio = p[t, r] / prior(r)
            values[row, r] = np.mean([ratio / (p[t, z] / prior(z)) > gamma for z in population])
    return values
