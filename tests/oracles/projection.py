"""The best sparse approximation by trying every support."""

from __future__ import annotations

from itertools import combinations

import numpy as np


def nearest_sparse(values, total, groups=None, floors=None):
    """Return the nearest vector with at most `total` non-zeros, and at least `floors[g]` kept of
    group g; of equally near ones the support that comes first in lexicographic order.
    """
    values = np.asarray(values, dtype=np.float64)
    groups = np.zeros(len(values), dtype=int) if groups is None else np.asarray(groups)
    best, best_error = None, np.inf
    for support in combinations(range(len(values)), total):
        kept = groups[list(support)]
        if floors is not None and any((kept == g).sum() < f for g, f in floors.items()):
            continue
        trial = np.zeros_like(values)
        trial[list(support)] = values[list(support)]
        error = float(((values - trial) ** 2).sum())
        if error < best_error - 1e-12:
            best, best_error = trial, error
    return best
