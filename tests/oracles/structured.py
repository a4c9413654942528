"""Groups of weights listed entry by entry, and the nearest network by trying every choice."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np


def entries(shape):
    return list(np.ndindex(*shape))


def rows(shape):
    """Return the entries of each filter."""
    return [[e for e in entries(shape) if e[0] == r] for r in range(shape[0])]


def channels(shape):
    """Return the entries that read each input channel."""
    return [[e for e in entries(shape) if e[1] == c] for c in range(shape[1])]


def columns(shape):
    """Return the entries of each position of a filter, in the order of the flattened axes."""
    return [[e for e in entries(shape) if e[1:] == p] for p in np.ndindex(*shape[1:])]


def nearest_of_groups(values, groups, count):
    """Return the nearest array that is zero outside `count` of the groups; the first of equals."""
    best, error = None, np.inf
    for chosen in combinations(range(len(groups)), count):
        trial = np.zeros_like(values)
        for g in chosen:
            for entry in groups[g]:
                trial[entry] = values[entry]
        off = float(((values - trial) ** 2).sum())
        if off < error - 1e-12:
            best, error = trial, off
    return best


def nearest_n_of_m(values, n, m):
    """Return the nearest array with n non-zeros in each m of a row, and its share of the rest."""
    flat = np.asarray(values, dtype=np.float64).reshape(len(values), -1)
    out = np.zeros_like(flat)
    for r, row in enumerate(flat):
        for start in range(0, len(row), m):
            block = range(start, min(start + m, len(row)))
            count = n if len(block) == m else len(block) * n // m
            if len(row) < m and count == 0:
                count = 1
            best = max(combinations(block, count), key=lambda kept: sum(row[i] ** 2 for i in kept))
            for i in best:
                out[r, i] = row[i]
    return out.reshape(np.shape(values))


def best_channels(weights, counts):
    """Return the largest sum of squares of a chain of layers, and which channels give it.

    Args:
        weights: matrices `[out, in]` in order; rows of one are columns of the next.
        counts: channels kept between each two of them.
    """
    between = [w.shape[0] for w in weights[:-1]]
    best, found = -1.0, None
    for kept in product(*(combinations(range(n), k) for n, k in zip(between, counts, strict=True))):
        value = energy(weights, kept)
        if value > best + 1e-12:
            best, found = value, kept
    return best, found


def energy(weights, kept):
    """Return the sum of squares that is left where only these channels between layers are kept."""
    total = 0.0
    for k, w in enumerate(weights):
        outs = kept[k] if k < len(kept) else range(w.shape[0])
        ins = kept[k - 1] if k else range(w.shape[1])
        for o in outs:
            for i in ins:
                total += float(w[o, i]) ** 2
    return total
