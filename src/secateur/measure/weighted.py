"""Metrics of one target under many weightings of its records at once; exact under ties."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "Ranked",
    "rank",
    "weighted_auc",
    "weighted_balanced_accuracy",
    "weighted_tpr_at_fpr",
]

_SLACK = 1e-12  # of rates: 0.05 * 100 must allow 5 false positives


@dataclass(frozen=True, kw_only=True, eq=False)
class Ranked:
    """Records sorted once, best score first, and joined into the fewest steps of the ROC.

    A step is a run of members followed by a run of non-members, or one score that both kinds share
    (`tied`). `members` and `others` are sparse 0/1 matrices `[steps, records]`: a product with
    weights `[records, replicates]` sorts and joins these in one pass.
    """

    members: Any
    others: Any
    tied: NDArray[np.bool_]

    def _steps(
        self, weights: NDArray[Any]
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.float64]]:
        """Return the weights of both kinds per step, and those of non-members before it."""
        by_record = np.ascontiguousarray(weights.T)
        members, others = self.members @ by_record, self.others @ by_record
        return members, others, _running(others) - others

    def auc(self, weights: NDArray[Any]) -> NDArray[np.float64]:
        """Return the AUC for each row of weights `[replicates, records]`; NaN without both kinds.

        The weighted count of pairs in order is all pairs, less those with the non-member before
        the member, less half of those in a tie.
        """
        members, others, before = self._steps(weights)
        m, n = _total(members), _total(others)
        lost = _products(members, before) + _products(members[self.tied], others[self.tied]) / 2
        return _ratio(m * n - lost, m * n)

    def tpr(self, weights: NDArray[Any], fprs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the TPR at each FPR, `[replicates, fprs]`; NaN without both kinds."""
        members, others, before = self._steps(weights)
        cost = np.where(self.tied[:, None], before + others, before)
        found = np.concatenate(
            [np.zeros((1, members.shape[1]), dtype=members.dtype), _running(members)]
        )
        m, n = _total(members), _total(others)
        allowed = np.multiply.outer(n, fprs) + _SLACK * np.maximum(n, 1)[:, None]
        reached = np.stack(
            [
                found[np.searchsorted(cost[:, b], allowed[b], side="right"), b]
                for b in range(cost.shape[1])
            ]
        )
        return _ratio(reached, np.where(n > 0, m, 0.0)[:, None])


def _running(steps: NDArray[Any]) -> NDArray[Any]:
    """Return cumulative sums along the first axis.

    In chunks side by side: numpy's own goes down one column after the other, through all memory.
    """
    rows, columns = steps.shape
    length = int(np.sqrt(rows)) + 1
    padded = np.zeros((-(-rows // length), length, columns), dtype=steps.dtype)
    padded.reshape(-1, columns)[:rows] = steps
    for i in range(1, length):
        padded[:, i] += padded[:, i - 1]
    padded[1:] += np.cumsum(padded[:-1, -1], axis=0)[:, None]
    return padded.reshape(-1, columns)[:rows]


def _total(steps: NDArray[Any]) -> NDArray[np.float64]:
    total: NDArray[np.float64] = steps.sum(axis=0, dtype=np.float64)
    return total


def _products(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.float64]:
    """Return the sums of products over steps in float64, where whole numbers stay exact."""
    sums: NDArray[np.float64] = np.einsum("sb,sb->b", a, b, dtype=np.float64)
    return sums


def _ratio(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    value: NDArray[np.float64] = np.divide(
        part, whole, out=np.full(part.shape, np.nan), where=whole > 0
    )
    return value


def rank(
    scores: NDArray[Any],
    members: NDArray[np.bool_],
    *,
    columns: NDArray[Any] | None = None,
    width: int | None = None,
) -> Ranked:
    """Sort the records of one target for `Ranked.auc` and `Ranked.tpr`.

    Args:
        scores: `[records]`, finite, larger = more like a member.
        members: bool `[records]`.
        columns: where each record stands among the columns of the weights; default 0, 1, 2, ...
        width: number of those columns.

    Example:
        >>> ranked = rank(np.array([3.0, 1.0, 2.0]), np.array([True, True, False]))
        >>> ranked.auc(np.array([[1.0, 1.0, 1.0], [2.0, 1.0, 1.0]])).round(3).tolist()
        [0.5, 0.667]
    """
    columns = np.arange(len(scores)) if columns is None else columns
    width = len(scores) if width is None else width
    order = np.argsort(-scores, kind="stable")
    s, m = scores[order], members[order]
    starts = np.flatnonzero(np.append(True, s[1:] != s[:-1]))
    inside = np.add.reduceat(m.astype(np.int64), starts)
    size = np.diff(np.append(starts, len(s)))
    mixed = (inside > 0) & (inside < size)
    pure = (inside > 0) & ~mixed
    # a step ends where a tie stands alone or where members follow non-members
    begins = mixed | np.append(True, mixed[:-1]) | (pure & np.append(True, ~pure[:-1]))
    step = np.repeat(np.cumsum(begins) - 1, size)
    steps = int(step[-1]) + 1
    tied = np.zeros(steps, dtype=np.bool_)
    tied[step[starts[mixed]]] = True

    def matrix(kind: NDArray[np.bool_]) -> Any:
        pointer = np.searchsorted(step[kind], np.arange(steps + 1))
        ones = np.ones(int(kind.sum()), dtype=np.float32)
        return sparse.csr_matrix((ones, columns[order[kind]], pointer), shape=(steps, width))

    return Ranked(members=matrix(m), others=matrix(~m), tied=tied)


def weighted_auc(
    scores: NDArray[np.float64], members: NDArray[np.bool_], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the AUC for each row of record weights `[replicates, records]`; NaN without both
    kinds.
    """
    return rank(scores, members).auc(weights)


def weighted_tpr_at_fpr(
    scores: NDArray[np.float64],
    members: NDArray[np.bool_],
    weights: NDArray[np.float64],
    fpr: float,
) -> NDArray[np.float64]:
    """Return the TPR at an FPR for each row of record weights."""
    return rank(scores, members).tpr(weights, np.array([fpr]))[:, 0]


def weighted_balanced_accuracy(
    scores: NDArray[np.float64],
    members: NDArray[np.bool_],
    weights: NDArray[np.float64],
    threshold: float,
) -> NDArray[np.float64]:
    """Return the balanced accuracy at a fixed threshold for each row of record weights."""
    said = scores >= threshold
    tp, fn = weights @ (said & members), weights @ (~said & members)
    tn, fp = weights @ (~said & ~members), weights @ (said & ~members)
    with np.errstate(invalid="ignore", divide="ignore"):
        value: NDArray[np.float64] = (tp / (tp + fn) + tn / (tn + fp)) / 2
    return value
