"""Attacks with priors over records, record by record and straight from Gaussian conditioning."""

from __future__ import annotations

import math

import numpy as np
from scipy.stats import multivariate_t, norm, t

from secateur.attack.membership.shrinkage import fit_variance_prior

CLIP = 2.5


def sides(references, inside):
    """Per side the lists of values of each record, out first."""
    models, records = inside.shape
    return [
        [[references[m][r] for m in range(models) if inside[m, r] == side] for r in range(records)]
        for side in (False, True)
    ]


def moments(groups):
    n = np.array([len(g) for g in groups], dtype=float)
    mean = np.array([np.mean(g) for g in groups])
    squares = np.array([sum((v - np.mean(g)) ** 2 for v in g) for g in groups])
    return n, mean, squares


def nig_log_marginal(groups, mu0, kappa, alpha, beta):
    """log p(all values) by the chain rule: each value under the predictive of those before it."""
    total = 0.0
    for group in groups:
        m, k, a, b = mu0, kappa, alpha, beta
        for x in group:
            total += t.logpdf(x, 2 * a, m, math.sqrt(b * (k + 1) / (a * k)))
            b += k * (x - m) ** 2 / (2 * (k + 1))
            m, k, a = (k * m + x) / (k + 1), k + 1, a + 0.5
    return total


def nig_log_predictive(x, group, mu0, kappa, alpha, beta, variant):
    """The log density of x after updating the prior value by value."""
    m, k, a, b = mu0, kappa, alpha, beta
    for v in group:
        b += k * (v - m) ** 2 / (2 * (k + 1))
        m, k, a = (k * m + v) / (k + 1), k + 1, a + 0.5
    if variant == "n":
        return norm.logpdf(x, m, math.sqrt(b / max(a - 1, 0.5)))
    return t.logpdf(x, 2 * a, m, math.sqrt(b * (k + 1) / (a * k)))


def powers(x):
    """Rows (1, u, u^2) of standardised, clipped x, and the slopes in x."""
    centre, scale = np.mean(x), np.std(x) or 1.0
    rows, slopes = [], []
    for v in x:
        u = (v - centre) / scale
        flat = abs(u) >= CLIP
        u = min(max(u, -CLIP), CLIP)
        rows.append([1.0, u, u * u])
        slopes.append([0.0, 0.0 if flat else 1 / scale, 0.0 if flat else 2 * u / scale])
    return np.array(rows), np.array(slopes)


def variances(n, squares, columns):
    prior = fit_variance_prior(squares, n - 1, columns, otherwise=math.nan)
    total = prior.freedom + n - 1
    found = (prior.freedom * prior.centre + squares) / total
    return np.maximum(found, 1e-9 * found.mean()), total


def hierarchical(targets, references, inside, variant):
    """`HierarchicalLiRA` on `[targets, records]` and `[models, records]`, two a side or more."""
    (n_out, x_out, s_out), (n_in, x_in, s_in) = map(moments, sides(references, inside))
    records, columns = len(x_out), None
    for _ in range(2):
        v_out, f_out = variances(n_out, s_out, columns)
        v_in, f_in = variances(n_in, s_in, columns)
        m = x_out.mean()
        spread = max(x_out.var() - np.mean(v_out / n_out), 0.05 * x_out.var())
        # mu_out given the references out alone
        alone = [
            m + spread / (spread + v_out[r] / n_out[r]) * (x_out[r] - m) for r in range(records)
        ]
        left = [spread - spread**2 / (spread + v_out[r] / n_out[r]) for r in range(records)]
        rows, slopes = powers(alone)
        coefficients = np.linalg.lstsq(rows, x_in, rcond=None)[0]
        q, slope = rows @ coefficients, slopes @ coefficients
        excess = [
            (x_in[r] - q[r]) ** 2 - v_in[r] / n_in[r] - slope[r] ** 2 * left[r]
            for r in range(records)
        ]
        tau = max(np.mean(excess), 0.1 * np.mean((x_in - q) ** 2))
        found = []
        for r in range(records):
            start = q[r] - slope[r] * alone[r]
            mean = np.array([m, start + slope[r] * m])
            prior = spread * np.outer([1, slope[r]], [1, slope[r]]) + np.diag([0, tau])
            noise = np.diag([v_out[r] / n_out[r], v_in[r] / n_in[r]])
            gain = prior @ np.linalg.inv(prior + noise)
            found.append(
                (mean + gain @ (np.array([x_out[r], x_in[r]]) - mean), prior - gain @ prior)
            )
        centres = np.array([f[0] for f in found])
        columns = np.column_stack([powers(centres[:, 0])[0], powers(centres[:, 1])[0][:, 1:]])
    scores = np.zeros((len(targets), records))
    for i, row in enumerate(targets):
        for r, phi in enumerate(row):
            (mu, c) = found[r]
            freedom = (1e4, 1e4) if variant == "n" else (f_in[r], f_out[r])
            scores[i, r] = t.logpdf(
                phi, freedom[0], mu[1], math.sqrt(v_in[r] + c[1, 1])
            ) - t.logpdf(phi, freedom[1], mu[0], math.sqrt(v_out[r] + c[0, 0]))
    return scores


def positive(matrix):
    """Floor the eigenvalues of the correlation form at a thousandth of the largest, at least 1."""
    scale = np.sqrt(np.maximum(np.abs(np.diag(matrix)), 1e-18))
    values, vectors = np.linalg.eigh(matrix / np.outer(scale, scale))
    floor = 1e-3 * max(values.max(), 1.0)
    return (vectors @ np.diag(np.maximum(values, floor)) @ vectors.T) * np.outer(scale, scale)


def vectors(targets, references, inside, shrink, variant):
    """`vector_log_ratio` for `[targets, records, S]` and `[models, records, S]`."""
    models, records = inside.shape
    width = targets.shape[2]
    n, x, within, squares, free = [], [], [], [], []
    for side in (False, True):
        groups = [
            [references[m, r] for m in range(models) if inside[m, r] == side]
            for r in range(records)
        ]
        total = sum(np.outer(v - np.mean(g, 0), v - np.mean(g, 0)) for g in groups for v in g)
        pooled = total / sum(len(g) - 1 for g in groups)
        w = positive((1 - shrink) * pooled + shrink * np.diag(np.diag(pooled)))
        n.append(np.array([len(g) for g in groups], dtype=float))
        x.append(np.array([np.mean(g, 0) for g in groups]))
        within.append(w)
        inverse = np.linalg.inv(w)
        free.append((n[-1] - 1) * sum((inverse @ pooled)[a, a] for a in range(width)))
        squares.append(
            np.array(
                [
                    sum((v - np.mean(g, 0)) @ inverse @ (v - np.mean(g, 0)) for v in g)
                    for g in groups
                ]
            )
        )
    columns = None
    both = np.hstack(x)
    centre = both.mean(axis=0)
    for _ in range(2):
        scale, freedom = [], []
        for k in range(2):
            prior = fit_variance_prior(squares[k], free[k], columns, otherwise=1.0)
            freedom.append(prior.freedom + free[k])
            s = (prior.freedom * prior.centre + squares[k]) / freedom[k]
            scale.append(np.maximum(s, 1e-9 * s.mean()))
        spread = sum(np.outer(b - centre, b - centre) for b in both) / records
        for k in range(2):
            part = slice(k * width, (k + 1) * width)
            spread[part, part] -= within[k] * np.mean(scale[k] / n[k])
        spread = positive(spread)
        found = []
        for r in range(records):
            noise = np.zeros((2 * width, 2 * width))
            for k in range(2):
                part = slice(k * width, (k + 1) * width)
                noise[part, part] = within[k] * scale[k][r] / n[k][r]
            gain = spread @ np.linalg.inv(spread + noise)
            found.append((centre + gain @ (both[r] - centre), spread - gain @ spread))
        means = np.array([f[0] for f in found])
        columns = np.column_stack(
            [np.ones(records), *(powers(means[:, j])[0][:, 1:] for j in range(2 * width))]
        )
    scores = np.zeros(targets.shape[:2])
    for r in range(records):
        mu, c = found[r]
        for k, sign in ((1, 1.0), (0, -1.0)):
            part = slice(k * width, (k + 1) * width)
            df = 1e4 if variant == "n" else freedom[k][r]
            shape = scale[k][r] * within[k] + c[part, part]
            for i in range(len(targets)):
                scores[i, r] += sign * multivariate_t.logpdf(targets[i, r], mu[part], shape, df)
    return scores
