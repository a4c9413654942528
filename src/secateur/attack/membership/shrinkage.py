"""What attacks with few references share: variances shrunk by empirical Bayes, and their
predictive densities.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import brentq
from scipy.special import digamma, gammaln, log_ndtr, polygamma, stdtr

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "NORMAL",
    "VariancePrior",
    "fit_variance_prior",
    "floored",
    "log_odds_below",
    "student_log_density",
    "trend",
]

NORMAL = 1e4  # degrees of freedom from which a Student-t counts as a Gaussian
CLIP = 2.5  # standard deviations beyond which a trend is flat: polynomials explode in the tails
DEFAULT_FREEDOM = 4.0  # of a prior that no data speak of


def student_log_density(
    x: NDArray[np.float64],
    centre: NDArray[np.float64],
    variance: NDArray[np.float64],
    freedom: NDArray[np.float64] | float,
) -> NDArray[np.float64]:
    """Return log St(x; centre, variance, freedom); `variance` is the squared scale."""
    nu = np.asarray(freedom, dtype=np.float64)
    constant = gammaln((nu + 1) / 2) - gammaln(nu / 2) - 0.5 * np.log(np.pi * nu * variance)
    value: NDArray[np.float64] = constant - (nu + 1) / 2 * np.log1p(
        (x - centre) ** 2 / (nu * variance)
    )
    return value


def log_odds_below(
    z: NDArray[np.float64], freedom: NDArray[np.float64] | float | None = None
) -> NDArray[np.float64]:
    """Return log P(Z < z) - log P(Z > z) of a Student-t, or of a Gaussian without `freedom`.

    The order is that of P(Z < z), and both tails keep their digits.
    """
    if freedom is None:
        value: NDArray[np.float64] = log_ndtr(z) - log_ndtr(-z)
        return value
    tiny = np.finfo(np.float64).tiny
    below, above = stdtr(freedom, z), stdtr(freedom, -z)
    value = np.log(np.maximum(below, tiny)) - np.log(np.maximum(above, tiny))
    return value


@dataclass(frozen=True, kw_only=True)
class VariancePrior:
    """Scaled inverse chi-squared prior of each record's variance: `freedom` pseudo-observations of
    the variance `centre[record]`.
    """

    freedom: float
    centre: NDArray[np.float64]

    def posterior(
        self, squares: NDArray[np.float64], freedom: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return each record's shrunk variance and its degrees of freedom."""
        total = self.freedom + freedom
        variance: NDArray[np.float64] = (self.freedom * self.centre + squares) / total
        # equal references have no spread: a floor far below any real one keeps the ratio finite
        return np.maximum(variance, floored(1e-9 * float(variance.mean()))), total


def fit_variance_prior(
    squares: NDArray[np.float64],
    freedom: NDArray[np.float64],
    columns: NDArray[np.float64] | None,
    *,
    otherwise: float,
) -> VariancePrior:
    """Fit the prior of the variances by the moments of their logarithms.

    log s^2 of a record with d degrees of freedom has the mean log sigma^2 + psi(d/2) - log(d/2) and
    the variance psi'(d/2) + psi'(freedom/2).

    Args:
        squares: sum of squared deviations of each record.
        freedom: their degrees of freedom.
        columns: `[records, k]`, first column 1: the prior's log centre is linear in them; without,
            or with too few records, one centre for all.
        otherwise: the centre where no record has any freedom.

    Reference:
        smyth2004linear.
    """
    known = freedom > 0
    if known.sum() < 2:
        pooled = float(squares.sum() / freedom.sum()) if known.any() else otherwise
        return VariancePrior(freedom=DEFAULT_FREEDOM, centre=np.full(len(squares), floored(pooled)))
    half = freedom[known] / 2
    s2 = squares[known] / freedom[known]
    z = np.log(np.maximum(s2, floored(1e-5 * float(s2.mean())))) - digamma(half) + np.log(half)
    b = np.ones((len(squares), 1)) if columns is None else columns
    if known.sum() < 10 * b.shape[1]:
        b = b[:, :1]
    found = np.linalg.lstsq(b[known], z, rcond=None)[0]
    left = max(int(known.sum()) - b.shape[1], 1)
    excess = float(((z - b[known] @ found) ** 2).sum() / left - polygamma(1, half).mean())
    prior = 2 * _inverse_trigamma(excess)
    shift = float(digamma(prior / 2) - np.log(prior / 2))
    return VariancePrior(freedom=prior, centre=np.exp(np.clip(b @ found + shift, -40, 80)))


def _inverse_trigamma(y: float) -> float:
    """Return x with psi'(x) = y, within [0.05, NORMAL / 2]."""
    low, high = 0.05, NORMAL / 2
    if y <= polygamma(1, high):
        return high
    if y >= polygamma(1, low):
        return low
    return float(brentq(lambda x: float(polygamma(1, x)) - y, low, high, xtol=1e-13, rtol=1e-14))


def trend(
    x: NDArray[np.float64], degree: int = 2
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the powers 0 .. degree of standardised x, flat beyond `CLIP`, and their slopes in x.

    Returns:
        Two arrays `[records, degree + 1]`.
    """
    spread = float(x.std())
    scale = spread if spread > 0 else 1.0
    u = (x - x.mean()) / scale
    within = np.abs(u) < CLIP
    u = np.clip(u, -CLIP, CLIP)
    powers = np.stack([u**j for j in range(degree + 1)], axis=1)
    slopes = np.stack(
        [np.zeros_like(u)] + [j * u ** (j - 1) / scale * within for j in range(1, degree + 1)],
        axis=1,
    )
    return powers, slopes


def floored(value: float) -> float:
    """Return a variance that may be divided by."""
    return max(value, 1e-18)
