"""The attacks as loops over records, straight from their formulas."""

from __future__ import annotations

import math

import numpy as np
from scipy.stats import norm


def lira(phi, inside, targets, references, audit, *, mode, variance, weight, centre):
    """LiRA for signals `[model, query, record]`; returns `[targets, records]`."""
    queries, records = phi.shape[1:]
    values = np.zeros((len(targets), records))
    middle = np.median if centre == "median" else np.mean
    for q in range(queries):
        sides = {}
        for side in (True, False):
            groups = {r: [phi[m, q, r] for m in references if inside[m, r] == side] for r in audit}
            squares = {r: sum((v - np.mean(g)) ** 2 for v in g) for r, g in groups.items() if g}
            freedom = sum(len(g) - 1 for g in groups.values() if g)
            pooled = sum(squares.values()) / freedom if freedom else 1.0
            sides[side] = (groups, squares, pooled)

        def spread(side, r, sides=sides):
            groups, squares, pooled = sides[side]
            n = len(groups[r])
            if variance == "shared":
                value = pooled
            elif variance == "per record":
                value = squares[r] / (n - 1)
            else:
                value = (squares[r] + weight * pooled) / (n - 1 + weight)
            return math.sqrt(max(value, 1e-9 * pooled, 1e-18))

        for row, t in enumerate(targets):
            for r in audit:
                out = (middle(sides[False][0][r]), spread(False, r))
                if mode == "offline":
                    value = norm.logcdf(phi[t, q, r], *out) - norm.logsf(phi[t, q, r], *out)
                else:
                    within = (middle(sides[True][0][r]), spread(True, r))
                    value = norm.logpdf(phi[t, q, r], *within) - norm.logpdf(phi[t, q, r], *out)
                values[row, r] += value / queries
    return values


def rmia(log_p, inside, targets, references, audit, population, *, mode, gamma, a):
    """RMIA by the full pairwise comparison of every record with every population record."""
    queries, records = log_p.shape[1:]
    values = np.zeros((len(targets), records))
    for q in range(queries):

        def prior(r, q=q):
            out = np.mean([math.exp(log_p[m, q, r]) for m in references if not inside[m, r]])
            if mode == "offline":
                return ((1 + a) * out + (1 - a)) / 2
            seen = [math.exp(log_p[m, q, r]) for m in references if inside[m, r]]
            return (np.mean(seen) + out) / 2 if seen else out

        for row, t in enumerate(targets):
            ratio = {r: log_p[t, q, r] - math.log(prior(r)) for r in [*audit, *population]}
            for r in audit:
                beaten = [ratio[r] - math.log(gamma) >= ratio[z] for z in population]
                values[row, r] += np.mean(beaten) / queries
    return values


def threshold(members, others):
    """The best balanced accuracy over all thresholds that are scores, by trying each."""
    best = -1.0
    for t in sorted({*members, *others}):
        tpr = sum(v >= t for v in members) / len(members)
        fpr = sum(v >= t for v in others) / len(others)
        best = max(best, tpr - fpr)
    return max(best, 0.0)


def auc(scores, members):
    """P(member > non-member) + P(equal) / 2, over all pairs."""
    wins = [
        1.0 if a > b else 0.5 if a == b else 0.0
        for a, m in zip(scores, members, strict=True)
        if m
        for b, n in zip(scores, members, strict=True)
        if not n
    ]
    return float(np.mean(wins))


def tpr_at(scores, members, fpr):
    """The largest TPR over all realisable thresholds whose FPR is at most `fpr`."""
    positives, negatives = sum(members), len(members) - sum(members)
    best = 0.0
    for t in [*sorted(set(scores)), math.inf]:
        false = sum(s >= t and not m for s, m in zip(scores, members, strict=True))
        true = sum(s >= t and m for s, m in zip(scores, members, strict=True))
        if false / negatives <= fpr + 1e-12:
            best = max(best, true / positives)
    return best
