"""The information view: what any attacker could gain from two distributions of outputs.

For an attacker h in (0, 1) on a model's output v, the gain is
E_in[log h(v)] + E_out[log(1 - h(v))]. The best h = p / (p + q) reaches -log 4 + 2 JSD(p, q), and
the best balanced accuracy is 1/2 + TV(p, q) / 2, where p and q are the distributions of v on
members and on non-members.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from secateur.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "LEAST_GAIN",
    "accuracy_bound",
    "accuracy_bound_of_jensen_shannon",
    "best_gain",
    "gain",
    "jensen_shannon",
    "total_variation",
]

LEAST_GAIN = -math.log(4)
"""The gain of an attacker who always says 1/2: the best there is where nothing leaks."""


def gain(on_members: NDArray[Any], on_non_members: NDArray[Any]) -> float:
    """Return the mean of log h over members plus that of log(1 - h) over non-members, in nats.

    Args:
        on_members: `[members]`, the attacker's probability of membership, in (0, 1).
        on_non_members: `[non_members]`, the same on non-members.

    Returns:
        At most 0; `LEAST_GAIN` for h = 1/2. An honest estimate only for an h that was made on other
        records.

    Raises:
        InputError: empty, or a probability that is not strictly between 0 and 1.

    Example:
        >>> gain(np.array([0.5, 0.5]), np.array([0.5])) == LEAST_GAIN
        True

    Reference:
        nasr2018machine, wang2021against.
    """
    for what, h in (("on_members", on_members), ("on_non_members", on_non_members)):
        values = np.asarray(h, dtype=np.float64)
        if values.size == 0 or not ((values > 0) & (values < 1)).all():
            raise InputError(
                f"{what} needs probabilities strictly between 0 and 1, got {values.size} values"
                + (f" in {values.min()} .. {values.max()}" if values.size else "")
            )
    return float(
        np.log(np.asarray(on_members, dtype=np.float64)).mean()
        + np.log1p(-np.asarray(on_non_members, dtype=np.float64)).mean()
    )


def jensen_shannon(p: NDArray[Any], q: NDArray[Any]) -> float:
    """Return the Jensen-Shannon divergence of two discrete distributions, in nats.

    Args:
        p: `[outcomes]`, sums to 1.
        q: `[outcomes]`, sums to 1.

    Returns:
        0 (equal) to log 2 (disjoint).

    Raises:
        InputError: they are no distributions over the same outcomes.

    Example:
        >>> jensen_shannon(np.array([1.0, 0.0]), np.array([0.0, 1.0])) == math.log(2)
        True

    Reference:
        lin1991divergence.
    """
    p, q = _distributions(p, q)
    middle = (p + q) / 2
    parts = [float(np.sum(d[d > 0] * np.log(d[d > 0] / middle[d > 0]))) for d in (p, q)]
    return min(max(0.0, sum(parts) / 2), math.log(2))


def total_variation(p: NDArray[Any], q: NDArray[Any]) -> float:
    """Return half the sum of absolute differences of two discrete distributions, 0 to 1.

    Raises:
        InputError: they are no distributions over the same outcomes.

    Example:
        >>> total_variation(np.array([0.5, 0.5]), np.array([0.75, 0.25]))
        0.25
    """
    p, q = _distributions(p, q)
    return float(np.abs(p - q).sum() / 2)


def best_gain(p: NDArray[Any], q: NDArray[Any]) -> float:
    """Return the largest gain of any attacker: -log 4 + 2 JSD(p, q), in nats.

    Args:
        p: `[outcomes]`, the distribution on members.
        q: `[outcomes]`, the distribution on non-members.

    Raises:
        InputError: they are no distributions over the same outcomes.

    Example:
        >>> best_gain(np.array([0.5, 0.5]), np.array([0.5, 0.5])) == LEAST_GAIN
        True

    Reference:
        wang2021against.
    """
    return LEAST_GAIN + 2 * jensen_shannon(p, q)


def accuracy_bound(p: NDArray[Any], q: NDArray[Any]) -> float:
    """Return the largest balanced accuracy of any attacker: 1/2 + TV(p, q) / 2.

    Raises:
        InputError: they are no distributions over the same outcomes.

    Example:
        >>> accuracy_bound(np.array([0.5, 0.5]), np.array([0.75, 0.25]))
        0.625
    """
    return 0.5 + total_variation(p, q) / 2


def accuracy_bound_of_jensen_shannon(divergence: float) -> float:
    """Return what no balanced accuracy can exceed at this Jensen-Shannon divergence.

    1/2 + TV/2 with TV <= sqrt(2 JSD), by Pinsker's inequality on both halves; at most 1.

    Args:
        divergence: in nats, 0 to log 2.

    Raises:
        InputError: out of range.

    Example:
        >>> accuracy_bound_of_jensen_shannon(0.02)
        0.6
    """
    if not 0 <= divergence <= math.log(2) + 1e-12:
        raise InputError(
            f"a Jensen-Shannon divergence is in 0 .. log 2 nats (0.693), got {divergence}"
        )
    return 0.5 + min(1.0, math.sqrt(2 * divergence)) / 2


def _distributions(
    p: NDArray[Any], q: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    p, q = np.asarray(p, dtype=np.float64), np.asarray(q, dtype=np.float64)
    if p.ndim != 1 or p.shape != q.shape:
        raise InputError(
            f"two distributions over the same outcomes are needed, got {p.shape} and {q.shape}"
        )
    for what, d in (("p", p), ("q", q)):
        if not (d >= 0).all() or abs(float(d.sum()) - 1) > 1e-9:
            raise InputError(
                f"{what} must be non-negative and sum to 1, got the sum {d.sum()} and the least "
                f"value {d.min() if d.size else 'of none'}"
            )
    return p, q
