"""Lower bounds on epsilon from counts: the tails alone, no scores and no models."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
from scipy import special, stats

from secateur.errors import InputError
from secateur.measure.gaussian import gdp_epsilon

__all__ = [
    "Family",
    "epsilon_from_guesses",
    "epsilon_from_guesses_fdp",
    "epsilon_from_rates",
    "one_run_p_value",
]

Family = Literal["approximate", "gaussian"]

_PRECISION = 1e-6
_LARGEST = 1024.0  # no count that fits a computer rejects so large a parameter


def one_run_p_value(
    epsilon: float, *, guesses: int, correct: int, canaries: int, delta: float
) -> float:
    """Return the chance of so many correct guesses, at most, if the training is (epsilon,
    delta)-DP.

    beta + 2 m delta alpha, with B ~ Binomial(r, e^epsilon / (1 + e^epsilon)),
    beta = P(B >= v) and alpha = max over i of P(v > B >= v - i) / i.

    Args:
        epsilon: that is claimed, at least 0.
        guesses: r, how many canaries were guessed to be in or out.
        correct: v, how many of the guesses were right.
        canaries: m, each in the training set by its own fair coin, guessed or not.
        delta: that is claimed, in [0, 1].

    Raises:
        InputError: counts or parameters out of range.

    Example:
        >>> round(one_run_p_value(1.0, guesses=100, correct=80, canaries=1000, delta=1e-5), 5)
        0.07301

    Reference:
        steinke2023privacy.
    """
    _check_counts(guesses, correct, canaries)
    _check_delta(delta)
    if not (epsilon >= 0 and math.isfinite(epsilon)):
        raise InputError(f"epsilon must be finite and at least 0, got {epsilon}")
    q = float(special.expit(epsilon))
    beta = float(stats.binom.sf(correct - 1, guesses, q))
    if delta == 0 or correct == 0:
        return min(1.0, beta)
    steps = np.arange(1, correct + 1)
    below = np.cumsum(stats.binom.pmf(correct - steps, guesses, q))
    alpha = float(np.max(below / steps))
    return min(1.0, beta + 2 * canaries * delta * alpha)


def epsilon_from_guesses(
    *, guesses: int, correct: int, canaries: int, delta: float, confidence: float = 0.95
) -> float:
    """Return a lower bound on epsilon from one training run with many canaries.

    Args:
        guesses: how many canaries were guessed to be in or out; their number was fixed beforehand.
        correct: how many of the guesses were right.
        canaries: each in the training set by its own fair coin; those not guessed count too.
        delta: at which epsilon is bounded, in [0, 1].
        confidence: in (0, 1); a training that is (epsilon, delta)-DP under adding or removing a
            canary gives a larger bound with probability at most 1 - confidence.

    Returns:
        At least 0, and 0 where nothing is shown; without delta the logit of the one-sided
        Clopper-Pearson bound on the share of correct guesses.

    Raises:
        InputError: counts or parameters out of range.

    Example:
        >>> round(epsilon_from_guesses(guesses=100, correct=100, canaries=100, delta=0), 3)
        3.493

    Reference:
        steinke2023privacy.
    """
    _check_confidence(confidence)
    level = 1 - confidence

    def rejected(epsilon: float) -> bool:
        p = one_run_p_value(
            epsilon, guesses=guesses, correct=correct, canaries=canaries, delta=delta
        )
        return p <= level

    return _largest(rejected)


def epsilon_from_guesses_fdp(
    *,
    guesses: int,
    correct: int,
    canaries: int,
    delta: float,
    confidence: float = 0.95,
    family: Family = "approximate",
) -> float:
    """Return a lower bound on epsilon from one training run by the tail of f-DP.

    With `family="approximate"` the claim that is refuted is (epsilon, delta)-DP itself, so the
    bound holds for every training. With `"gaussian"` it is mu-GDP, and the bound is the epsilon at
    `delta` of the largest mu that is refuted: a bound only for a training whose trade-off curve is
    that of a Gaussian mechanism.

    Args:
        guesses: how many canaries were guessed to be in or out; their number was fixed beforehand.
        correct: how many of the guesses were right.
        canaries: each in the training set by its own fair coin; those not guessed count too.
        delta: in [0, 1], above 0 for `"gaussian"`.
        confidence: in (0, 1).
        family: of the trade-off curves that are tried.

    Raises:
        InputError: counts or parameters out of range.

    Example:
        >>> counts = {"guesses": 100, "correct": 90, "canaries": 1000}
        >>> round(epsilon_from_guesses_fdp(**counts, delta=1e-5, family="gaussian"), 3)
        2.456

    Reference:
        mahloujifar2024auditing, for membership (k = 2).
    """
    _check_counts(guesses, correct, canaries)
    _check_delta(delta)
    _check_confidence(confidence)
    if family not in ("approximate", "gaussian"):
        raise InputError(f"family must be 'approximate' or 'gaussian', got {family!r}")
    if family == "gaussian" and delta == 0:
        raise InputError("no epsilon is finite at delta=0 for a Gaussian curve; give delta > 0")
    level = 1 - confidence

    def rejected(parameter: float) -> bool:
        least = _approximate(parameter, delta) if family == "approximate" else _gaussian(parameter)
        return _impossible(least, guesses, correct, canaries, level)

    found = _largest(rejected)
    return gdp_epsilon(found, delta) if family == "gaussian" else found


def epsilon_from_rates(
    *,
    true_positives: int,
    members: int,
    false_positives: int,
    non_members: int,
    delta: float,
    confidence: float = 0.95,
) -> float:
    """Return a lower bound on epsilon from independent runs with one canary trial each.

    The larger of log((TPR - delta) / FPR) and log((TNR - delta) / FNR), where TPR and FPR stand for
    their one-sided Clopper-Pearson bounds, each at half of 1 - confidence.

    Args:
        true_positives: runs with the canary in which it was called a member.
        members: runs with the canary.
        false_positives: runs without it in which it was called a member.
        non_members: runs without it.
        delta: in [0, 1].
        confidence: in (0, 1), of both directions together.

    Raises:
        InputError: counts or parameters out of range.

    Example:
        >>> round(epsilon_from_rates(true_positives=500, members=500, false_positives=0,
        ...     non_members=500, delta=1e-5), 3)
        4.906

    Reference:
        nasr2021adversary.
    """
    for what, hits, n in (
        ("true_positives", true_positives, members),
        ("false_positives", false_positives, non_members),
    ):
        if not 0 <= hits <= n or n < 1:
            raise InputError(f"{what} must be in 0 .. n with n at least 1, got {hits} of {n}")
    _check_delta(delta)
    _check_confidence(confidence)
    tail = (1 - confidence) / 2
    misses = members - true_positives
    fpr = _upper(false_positives, non_members, tail)
    fnr = _upper(misses, members, tail)
    best = 0.0
    for caught, wrong in ((1 - fnr - delta, fpr), (1 - fpr - delta, fnr)):
        if caught > 0:
            best = max(best, math.log(caught) - math.log(wrong))
    return best


def _upper(hits: int, n: int, tail: float) -> float:
    """Return the one-sided Clopper-Pearson upper bound of a rate."""
    return 1.0 if hits == n else float(stats.beta.ppf(1 - tail, hits + 1, n - hits))


def _approximate(epsilon: float, delta: float) -> Callable[[float], float]:
    """Return y -> the least false-positive rate at which (epsilon, delta)-DP allows a TPR of y."""
    up, down = math.exp(min(epsilon, 700.0)), math.exp(-epsilon)
    return lambda y: max(0.0, (y - delta) * down, 1 - delta - up * (1 - y))


def _gaussian(mu: float) -> Callable[[float], float]:
    """Return y -> the least false-positive rate at which mu-GDP allows a TPR of y."""
    return lambda y: float(special.ndtr(special.ndtri(min(y, 1.0)) - mu))


def _impossible(
    least: Callable[[float], float], guesses: int, correct: int, canaries: int, level: float
) -> bool:
    """Tell whether the curve lets `correct` guesses be right with a chance below `level`.

    Let p_j be the chance of exactly j correct guesses. For a random canary, "guessed right, and at
    least i right in all" has the chance R_i = sum over j >= i of p_j j / m. With its coin turned
    the guess is wrong and one fewer is right: H_(i-1), where H_i = sum over j >= i of
    p_j (r - j) / m. So H_(i-1) >= least(R_i) for every i. Starting from P(>= v) = level, all of
    it at v, the least masses below v follow one by one; the curve is refuted when they exceed 1.
    """
    everything = guesses / canaries
    right = level * correct / canaries
    wrong = level * (guesses - correct) / canaries
    for i in range(correct - 1, -1, -1):
        more = max(wrong, least(right))
        if more == wrong:
            break  # neither sum can change any more
        right += i / (guesses - i) * (more - wrong)
        wrong = more
        if right + wrong > everything:
            return True
    return right + wrong > everything


def _largest(rejected: Callable[[float], bool]) -> float:
    """Return the largest parameter that is rejected, rounded down; 0 where none is."""
    if not rejected(0.0):
        return 0.0
    low, high = 0.0, 1.0
    while rejected(high) and high < _LARGEST:
        low, high = high, 2 * high
    while high - low > _PRECISION:
        middle = (low + high) / 2
        low, high = (middle, high) if rejected(middle) else (low, middle)
    return low


def _check_counts(guesses: int, correct: int, canaries: int) -> None:
    if not 0 <= correct <= guesses <= canaries or guesses < 1:
        raise InputError(
            f"correct <= guesses <= canaries is needed, with at least 1 guess; got {correct} "
            f"correct of {guesses} guesses on {canaries} canaries"
        )


def _check_delta(delta: float) -> None:
    if not 0 <= delta <= 1:
        raise InputError(f"delta must be in [0, 1], got {delta}")


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise InputError(f"confidence must be in (0, 1), got {confidence}")
