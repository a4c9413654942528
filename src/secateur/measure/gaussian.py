"""Gaussian differential privacy: a trade-off curve as one number, and its epsilon at a delta."""

from __future__ import annotations

import math

import numpy as np
from scipy import special

from secateur.errors import InputError
from secateur.measure.membership import auc
from secateur.measure.targets import adjacency
from secateur.types import Measurement, Membership, Scores

__all__ = ["epsilon_estimate", "epsilon_name", "gdp_delta", "gdp_epsilon", "gdp_mu"]


def epsilon_name(delta: float) -> str:
    """Return the metric's name.

    Example:
        >>> epsilon_name(1e-5)
        'epsilon at delta 1e-05'
    """
    return f"epsilon at delta {delta:g}"


def epsilon_estimate(
    scores: Scores, membership: Membership, *, delta: float, about: tuple[str, str, str]
) -> Measurement:
    """Estimate epsilon by fitting a Gaussian trade-off curve to the AUC: an estimate, not a bound.

    mu = sqrt(2) Phi^-1(AUC), and the epsilon at `delta` of mu-GDP. The interval is that of the AUC,
    carried over.

    Args:
        scores: of one attack.
        membership: whose targets they are; no independent coins are needed.
        delta: in (0, 1].
        about: (subject, attack's repr, what the attacker knows).

    Returns:
        "not resolvable" where the attack is right of every pair.

    Raises:
        InputError: delta out of range.

    Example:
        >>> inside = np.arange(200)[None] % 2 == 0
        >>> who = Membership(inside=inside, roles=("given",), pools={"audit": np.arange(200)},
        ...     units=np.arange(200), seed=0)
        >>> seen = Scores(values=inside + np.sin(np.arange(200.0))[None], evaluated=inside | True)
        >>> row = epsilon_estimate(seen, who, delta=1e-5, about=("dense", "x", ""))
        >>> row.why.startswith("an estimate, not a bound")
        True

    Reference:
        dong2022gaussian; nasr2023tight for estimates by a Gaussian curve.
    """
    subject, method, threat = about
    row = auc(scores, membership, subject=subject, method=method, threat=threat)
    assert row.value is not None and row.low is not None and row.high is not None  # auc measures
    value, low, high = (_epsilon_of_auc(v, delta) for v in (row.value, row.low, row.high))
    words = (
        "an estimate, not a bound: assumes the trade-off curve of a Gaussian mechanism, equal for "
        f"all records; {adjacency(scores, membership)}"
    )
    counts = {**row.counts, "delta": delta}
    metric = f"{epsilon_name(delta)}, gdp fit"
    if value is None:
        return Measurement(
            subject=subject,
            risk="membership",
            method=method,
            metric=metric,
            value=None,
            status="not resolvable",
            estimand=row.estimand,
            counts=counts,
            threat=threat,
            why=f"the AUC is {row.value:g}, so no finite mu fits; {words}",
        )
    return Measurement(
        subject=subject,
        risk="membership",
        method=method,
        metric=metric,
        value=value,
        low=low if high is not None else None,
        high=high,
        confidence=row.confidence,
        interval=row.interval if high is not None else "none",
        estimand=row.estimand,
        counts=counts,
        better="lower",
        threat=threat,
        why="; ".join(filter(None, (words, row.why if high is not None else ""))),
    )


def _epsilon_of_auc(value: float, delta: float) -> float | None:
    """Return the Gaussian epsilon of an AUC, None where it is infinite."""
    if value >= 1:
        return None
    mu = max(0.0, float(np.sqrt(2) * special.ndtri(max(value, 0.5))))
    return gdp_epsilon(mu, delta)


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
