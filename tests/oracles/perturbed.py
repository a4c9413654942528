"""Perturbed queries, one record and one query at a time."""

from __future__ import annotations

import math

import numpy as np
import torch


def margin_of(module, x, y):
    """log p_y - log(1 - p_y) of one input."""
    with torch.no_grad():
        z = module(torch.from_numpy(np.asarray(x, np.float32))[None])[0].double().numpy()
    others = [v for c, v in enumerate(z) if c != y]
    return z[y] - np.logaddexp.reduce(others)


def label_kept(module, x, y):
    """1.0 where the largest output is the record's class."""
    with torch.no_grad():
        z = module(torch.from_numpy(np.asarray(x, np.float32))[None])[0].numpy()
    return float(int(np.argmax(z)) == y)


def neighbours(inputs, units, record, others, k):
    """The k records nearest to one, of equally near ones the first, none of its own unit."""
    near = []
    for o in others:
        if units[o] == units[record]:
            continue
        gap = sum(
            (float(a) - float(b)) ** 2 for a, b in zip(inputs[record], inputs[o], strict=True)
        )
        near.append((gap, int(o)))
    return [o for _, o in sorted(near)[:k]]


def log_odds(right, queries):
    """Smoothed log-odds of a share of right labels."""
    return math.log((right + 0.5) / (queries - right + 0.5))
