"""ROC curves and their summaries, exact under ties; larger scores mean member."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from secateur.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "Roc",
    "auc_value",
    "balanced_accuracy_at",
    "best_balanced_accuracy",
    "lowest_resolvable_fpr",
    "resolved_fpr",
    "roc_curve",
    "tpr_at_fpr_value",
    "tpr_segment",
]

FPRS = (0.0001, 0.001, 0.01, 0.05, 0.1)
EXPECTED = 10.0  # false positives, in units, below which a TPR at an FPR says nothing
FEW = 50  # members, or non-members, below which it is said what so few cannot resolve


@dataclass(frozen=True, kw_only=True)
class Roc:
    """One point per distinct score, from (0, 0) to (1, 1); "member if score >= threshold"."""

    fpr: NDArray[np.float64]
    tpr: NDArray[np.float64]
    thresholds: NDArray[np.float64]


def _checked(scores: NDArray[Any], members: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    scores, members = np.asarray(scores, dtype=np.float64), np.asarray(members, dtype=np.bool_)
    if scores.ndim != 1 or scores.shape != members.shape:
        raise InputError(
            f"scores and members need one shape [records], got {scores.shape} and {members.shape}"
        )
    if members.all() or not members.any():
        raise InputError(
            f"an ROC needs members and non-members, got {int(members.sum())} members of "
            f"{len(members)}"
        )
    if not np.isfinite(scores).all():
        raise InputError(f"{int((~np.isfinite(scores)).sum())} scores are NaN or infinite")
    return scores, members


def roc_curve(scores: NDArray[Any], members: NDArray[Any]) -> Roc:
    """Return the ROC; tied scores share one point, so no order of ties can flatter it.

    Args:
        scores: `[records]`, finite, larger = more like a member.
        members: bool `[records]`.

    Raises:
        InputError: shapes differ, a score is not finite, or one of the two kinds is missing.

    Example:
        >>> roc_curve(np.array([1.0, 1.0, 0.0]), np.array([True, False, False])).fpr.tolist()
        [0.0, 0.5, 1.0]
    """
    scores, members = _checked(scores, members)
    order = np.argsort(-scores, kind="stable")
    s, m = scores[order], members[order]
    last = np.flatnonzero(np.append(s[1:] != s[:-1], True))
    tp, fp = np.cumsum(m)[last], np.cumsum(~m)[last]
    return Roc(
        fpr=np.append(0.0, fp / fp[-1]),
        tpr=np.append(0.0, tp / tp[-1]),
        thresholds=np.append(np.inf, s[last]),
    )


def auc_value(scores: NDArray[Any], members: NDArray[Any]) -> float:
    """Return P(member's score > non-member's) + P(equal) / 2.

    Example:
        >>> auc_value(np.array([2.0, 1.0, 1.0]), np.array([True, True, False]))
        0.75
    """
    roc = roc_curve(scores, members)
    return float(np.sum(np.diff(roc.fpr) * (roc.tpr[1:] + roc.tpr[:-1]) / 2))


def tpr_at_fpr_value(
    scores: NDArray[Any], members: NDArray[Any], fpr: float
) -> tuple[float, float]:
    """Return (TPR, realised FPR) of the lowest threshold whose FPR is at most `fpr`; no
    interpolation.

    Example:
        >>> tpr_at_fpr_value(np.array([3.0, 1.0, 2.0]), np.array([True, True, False]), 0.0)
        (0.5, 0.0)
    """
    roc = roc_curve(scores, members)
    at = int(np.searchsorted(roc.fpr, fpr + 1e-12, side="right")) - 1
    return float(roc.tpr[at]), float(roc.fpr[at])


def tpr_segment(scores: NDArray[Any], members: NDArray[Any], fpr: float) -> tuple[float, float]:
    """Return the lowest and the highest TPR of the ROC at the FPR that `tpr_at_fpr_value` realises.

    With k of n non-members let in, the highest has an expected FPR of (k + 1) / (n + 1) on other
    non-members, more than was asked for; the lowest, at the k-th non-member's own score, has k /
    (n + 1). The TPR at the FPR itself lies between their expectations.

    Example:
        >>> tpr_segment(np.array([3.0, 2.0, 1.0]), np.array([False, True, False]), 0.5)
        (0.0, 1.0)
    """
    roc = roc_curve(scores, members)
    at = int(np.searchsorted(roc.fpr, fpr + 1e-12, side="right")) - 1
    first = int(np.searchsorted(roc.fpr, roc.fpr[at], side="left"))
    return float(roc.tpr[first]), float(roc.tpr[at])


def balanced_accuracy_at(scores: NDArray[Any], members: NDArray[Any], threshold: float) -> float:
    """Return (TPR + 1 - FPR) / 2 of "member if score >= threshold"."""
    scores, members = _checked(scores, members)
    said = scores >= threshold
    return float((said[members].mean() + (~said[~members]).mean()) / 2)


def best_balanced_accuracy(scores: NDArray[Any], members: NDArray[Any]) -> float:
    """Return the largest balanced accuracy over all thresholds: an optimist's number."""
    roc = roc_curve(scores, members)
    return float(np.max(1 + roc.tpr - roc.fpr) / 2)


def lowest_resolvable_fpr(non_member_units: int, expected: float = EXPECTED) -> float | None:
    """Return the lowest of .0001, .001, .01, .05, .1 with `expected` false positives; None if none.

    Args:
        non_member_units: over all targets; a person with several records counts once.
        expected: false positives, counted in units.

    Example:
        >>> lowest_resolvable_fpr(1200), lowest_resolvable_fpr(50)
        (0.01, None)
    """
    for fpr in FPRS:
        if fpr * non_member_units >= expected - 1e-9:
            return fpr
    return None


def resolved_fpr(non_member_units: int, wanted: float) -> float:
    """Return the FPR wanted, or the lowest listed one that is resolved where it is not.

    Where no listed one is, the one wanted, at which a measure then says "not resolvable".

    Example:
        >>> resolved_fpr(2000, 0.01), resolved_fpr(300, 0.01), resolved_fpr(50, 0.01)
        (0.01, 0.05, 0.01)
    """
    if wanted * non_member_units >= EXPECTED - 1e-9:
        return wanted
    return lowest_resolvable_fpr(non_member_units) or wanted


def few_false_positives(expected: float, non_member_units: int) -> str:
    """Return why a TPR is not resolvable, and the lowest listed FPR that is; empty where it is.

    Args:
        expected: false positives, counted in units.
        non_member_units: over all targets.
    """
    if expected >= EXPECTED - 1e-9:
        return ""
    lowest = lowest_resolvable_fpr(non_member_units)
    mend = "no listed FPR is resolvable" if lowest is None else f"the lowest is {lowest:g}"
    return (
        f"{expected:.1f} false positives (units) are expected, at least {EXPECTED:g} are needed; "
        f"{mend}"
    )
