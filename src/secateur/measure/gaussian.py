"""Gaussian differential privacy: a trade-off curve as one number, and its epsilon at a delta."""

from __future__ import annotations

import math

from scipy import special

from secateur.errors import InputError

__all__ = ["gdp_delta", "gdp_epsilon", "gdp_mu"]


def gdp_mu(*, tpr: float, fpr: float) -> float:
    """Return the mu of the Gaussian trade-off curve through one point of the ROC.

    Raises:
        InputError: a rate that is not strictly between 0 and 1.

    Example:
        >>> round(gdp_mu(tpr=0.8413447, fpr=0.5), 4)
        1.0

    Reference:
        dong2022gaussian.
    """
    for what, rate in (("tpr", tpr), ("fpr", fpr)):
        if not 0 < rate < 1:
            raise InputError(f"{what} must be strictly between 0 and 1, got {rate}")
    return float(special.ndtri(tpr) - special.ndtri(fpr))


def gdp_delta(mu: float, epsilon: float) -> float:
    """Return the smallest delta with which a mu-GDP training is (epsilon, delta)-DP.

    Phi(mu/2 - epsilon/mu) - e^epsilon Phi(-mu/2 - epsilon/mu).

    Example:
        >>> round(gdp_delta(1.0, 1.0), 5)
        0.12694

    Reference:
        dong2022gaussian, corollary 2.13; exact for the Gaussian mechanism with mu = sensitivity /
        sigma.
    """
    if not (mu >= 0 and epsilon >= 0 and math.isfinite(mu) and math.isfinite(epsilon)):
        raise InputError(f"mu and epsilon must be finite and at least 0, got {mu} and {epsilon}")
    if mu == 0:
        return 0.0
    return math.exp(_log_gdp_delta(mu, epsilon))


def gdp_epsilon(mu: float, delta: float) -> float:
    """Return the smallest epsilon with which a mu-GDP training is (epsilon, delta)-DP.

    Raises:
        InputError: mu is negative or infinite, or delta is not in (0, 1].

    Example:
        >>> round(gdp_epsilon(1.0, 1e-5), 4)
        4.3772

    Reference:
        dong2022gaussian.
    """
    if not (mu >= 0 and math.isfinite(mu)):
        raise InputError(f"mu must be finite and at least 0, got {mu}")
    if not 0 < delta <= 1:
        raise InputError(f"delta must be in (0, 1], got {delta}; a Gaussian curve needs it above 0")
    if mu == 0 or _log_gdp_delta(mu, 0.0) <= math.log(delta):
        return 0.0
    # Phi(mu/2 - epsilon/mu) alone is larger than delta: where it equals delta, epsilon is too large
    low, high = 0.0, mu * mu / 2 - mu * float(special.ndtri(delta))
    for _ in range(200):
        middle = (low + high) / 2
        if _log_gdp_delta(mu, middle) > math.log(delta):
            low = middle
        else:
            high = middle
    return high


def _log_gdp_delta(mu: float, epsilon: float) -> float:
    first = float(special.log_ndtr(mu / 2 - epsilon / mu))
    second = epsilon + float(special.log_ndtr(-mu / 2 - epsilon / mu))
    if second >= first:  # both vanish together
        return -math.inf
    return first + math.log1p(-math.exp(second - first))
