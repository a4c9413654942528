"""What models say of each record by itself: counts over models, of one attack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from secateur.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from secateur.types import Scores

__all__ = ["RECORD_COLUMNS", "record_columns"]

RECORD_COLUMNS = (
    "models_asked",
    "called_member",
    "mean_score",
    "models_with_it",
    "found",
    "mean_score_with_it",
    "models_without_it",
    "falsely_called",
    "mean_score_without_it",
    "balanced_accuracy",
)
"""What is said of one record: over all models, over those with it, over those without it."""

Column = list[int] | list[float | None] | list[None]


def record_columns(
    scores: Scores, inside: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.int64], dict[str, Column]]:
    """Count, record by record, how many models call it a member.

    Args:
        scores: of one attack, `[targets, records]`; larger is more like a member.
        inside: which target was trained on which record, `[targets, records]`, where known.

    Returns:
        Indices of the records that were judged on some target, and of these the columns
        `RECORD_COLUMNS`. None where a thing is not known: calls without a threshold, models with
        and without a record whose members are not known, means over no model. `balanced_accuracy`
        is (found / models with it + 1 - falsely called / models without it) / 2, which needs both.

    Raises:
        InputError: shapes differ.

    Example:
        >>> from secateur.types import Scores
        >>> found = Scores(values=np.array([[2.0], [0.0]]), evaluated=np.ones((2, 1), np.bool_),
        ...     threshold=np.array([1.0, 1.0]))
        >>> record_columns(found, np.array([[True], [False]]))[1]["balanced_accuracy"]
        [1.0]
    """
    if inside is not None and inside.shape != scores.values.shape:
        raise InputError(
            f"inside has the shape {inside.shape}, the scores need {scores.values.shape}"
        )
    judged = np.flatnonzero(scores.evaluated.any(axis=0))
    seen = scores.evaluated[:, judged]
    values = np.where(seen, scores.values[:, judged], 0.0)
    called = None
    if scores.threshold is not None:
        called = seen & (values >= scores.threshold[:, None])
    unknown: list[None] = [None] * len(judged)
    groups: list[NDArray[np.bool_] | None] = [seen, None, None]
    if inside is not None:
        groups[1:] = [seen & inside[:, judged], seen & ~inside[:, judged]]
    cells: list[Column] = []
    for rows in groups:
        cells += [unknown] * 3 if rows is None else _three(rows, called, values)
    found = dict(zip(RECORD_COLUMNS, [*cells, unknown], strict=True))
    if inside is not None and called is not None:
        found["balanced_accuracy"] = _balanced(groups[1], groups[2], called)
    return judged, found


def _three(
    rows: NDArray[np.bool_], called: NDArray[np.bool_] | None, values: NDArray[np.float64]
) -> list[Column]:
    """Return of these models per record how many, how many call it a member, the mean score."""
    n = rows.sum(axis=0)
    calls: Column = [None] * len(n) if called is None else (rows & called).sum(axis=0).tolist()
    means = (values * rows).sum(axis=0) / np.maximum(n, 1)
    return [n.tolist(), calls, _where(n > 0, means)]


def _balanced(inner: Any, outer: Any, called: NDArray[np.bool_]) -> list[float | None]:
    with_it, without = inner.sum(axis=0), outer.sum(axis=0)
    tpr = (inner & called).sum(axis=0) / np.maximum(with_it, 1)
    fpr = (outer & called).sum(axis=0) / np.maximum(without, 1)
    return _where((with_it > 0) & (without > 0), (tpr + 1 - fpr) / 2)


def _where(known: NDArray[np.bool_], values: NDArray[np.float64]) -> list[float | None]:
    return [v if k else None for k, v in zip(known.tolist(), values.tolist(), strict=True)]
