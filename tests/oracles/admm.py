"""ADMM pruning of least-squares layers, written out in float64 with loops over entries."""

from __future__ import annotations

import numpy as np


def keep_largest(matrix, count):
    """Zero all but the `count` largest magnitudes, found one at a time."""
    flat = np.asarray(matrix, dtype=np.float64).ravel()
    out = np.zeros_like(flat)
    left = list(range(len(flat)))
    for _ in range(count):
        best = left[0]
        for i in left:
            if abs(flat[i]) > abs(flat[best]):
                best = i
        out[best] = flat[best]
        left.remove(best)
    return out.reshape(np.shape(matrix))


def admm(weights, goals, curvatures, counts, *, rhos, steps, lr):
    """Run ADMM on the sum of curvature / 2 * (W - goal)^2 with `steps` gradient steps a period.

    The dual is kept unscaled (Y = rho U), so that a change of rho needs no rescaling.

    Returns:
        W, Z, U (scaled by the last rho) per layer, and residuals and duals `[periods][layer]`.
    """
    w = {n: np.array(v, dtype=np.float64) for n, v in weights.items()}
    z = {n: keep_largest(w[n], counts[n]) for n in w}
    y = {n: np.zeros_like(w[n]) for n in w}
    residuals, duals = [], []
    for rho in rhos:
        for _ in range(steps):
            for n in w:
                slope = curvatures[n] * (w[n] - goals[n]) + rho * (w[n] - z[n]) + y[n]
                w[n] = w[n] - lr * slope
        residual_row, dual_row = [], []
        for n in sorted(w):
            new = keep_largest(w[n] + y[n] / rho, counts[n])
            size = np.sqrt((w[n] ** 2).sum())
            residual_row.append(np.sqrt(((w[n] - new) ** 2).sum()) / size)
            dual_row.append(np.sqrt(((new - z[n]) ** 2).sum()) / size)
            y[n] = y[n] + rho * (w[n] - new)
            z[n] = new
        residuals.append(residual_row)
        duals.append(dual_row)
    u = {n: y[n] / rhos[-1] for n in w}
    return w, z, u, np.array(residuals), np.array(duals)
