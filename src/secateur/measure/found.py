"""Which members an attack finds at a false-positive rate."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from secateur.measure.targets import Target

__all__ = ["Finder", "found_at_fpr", "found_resampled", "found_surely_at_fpr"]

Finder = Callable[["NDArray[Any]", "NDArray[np.bool_]", float], "NDArray[np.bool_]"]


def found_at_fpr(scores: NDArray[Any], members: NDArray[np.bool_], fpr: float) -> NDArray[np.bool_]:
    """Return which records are members that stand above all but a share `fpr` of non-members.

    Args:
        scores: `[records]`, larger = more like a member.
        members: bool `[records]`.
        fpr: the largest share of non-members at or above the threshold.

    Example:
        >>> members = np.array([True, True, False, False])
        >>> found_at_fpr(np.array([3.0, 1.0, 2.0, 0.0]), members, 0.0).tolist()
        [True, False, False, False]
    """
    others = np.sort(scores[~members])[::-1]
    allowed = int(fpr * len(others) + 1e-9)
    if allowed >= len(others):
        return members.copy()
    found: NDArray[np.bool_] = members & (scores > others[allowed])
    return found


def found_surely_at_fpr(
    scores: NDArray[Any], members: NDArray[np.bool_], fpr: float
) -> NDArray[np.bool_]:
    """Return who is found at the lower end of the ROC's step at that FPR (`tpr_segment`).

    Example:
        >>> members = np.array([True, True, False, False])
        >>> found_surely_at_fpr(np.array([3.0, 1.0, 2.0, 0.0]), members, 0.5).tolist()
        [True, False, False, False]
    """
    others = np.sort(scores[~members])[::-1]
    allowed = int(fpr * len(others) + 1e-9)
    let_in = len(others) if allowed >= len(others) else int((others > others[allowed]).sum())
    least = others[let_in - 1] if let_in else np.inf
    found: NDArray[np.bool_] = members & (scores >= least)
    return found


def found_resampled(target: Target, weights: NDArray[Any], fpr: float) -> NDArray[np.bool_]:
    """Return who is found at thresholds that each row of weights chooses anew.

    Args:
        target: one target.
        weights: `[replicates, width]`, how often each record is there.
        fpr: as for `found_at_fpr`, to which a row of ones is equal.

    Returns:
        bool `[replicates, width]`.
    """
    order = np.argsort(-target.scores, kind="stable")
    order = order[~target.members[order]]
    counted = np.cumsum(weights[:, target.columns[order]], axis=1, dtype=np.float64)
    above = counted > fpr * counted[:, -1:] + 1e-9
    others = target.scores[order]
    threshold = np.where(above.any(axis=1), others[above.argmax(axis=1)], -np.inf)
    found = np.zeros(weights.shape, dtype=np.bool_)
    inside = target.columns[target.members]
    found[:, inside] = target.scores[target.members] > threshold[:, None]
    return found
