"""Labels as people write them, as places in a model's output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from secateur.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["looked_up", "numbered", "plain_labels"]

SHOWN = 5


def plain_labels(labels: NDArray[Any]) -> NDArray[Any]:
    """Return labels as whole numbers where they are such, else as texts."""
    if labels.dtype.kind == "b":
        return labels.astype(np.int64)
    if labels.dtype.kind == "f" and np.isfinite(labels).all() and (labels % 1 == 0).all():
        return labels.astype(np.int64)
    return labels.astype(str) if labels.dtype.kind in "OUST" else labels


def numbered(labels: NDArray[Any]) -> NDArray[np.int64]:
    """Return labels that are numbers already; refuse others."""
    if labels.dtype.kind not in "iu":
        shown = ", ".join(map(repr, np.unique(labels)[:SHOWN].tolist()))
        raise DataError(
            f"labels must be whole numbers, the places of the true classes in the model's output, "
            f"got {shown}; number them as for the training"
        )
    return labels.astype(np.int64)


def looked_up(labels: NDArray[Any], classes: Sequence[Any]) -> NDArray[np.int64]:
    """Return the places of labels among the model's own names of its classes."""
    own = plain_labels(np.asarray(classes))
    if (own.dtype.kind in "iu") != (labels.dtype.kind in "iu"):
        own, labels = own.astype(str), labels.astype(str)
    order = np.argsort(own)
    place = np.searchsorted(own[order], labels).clip(max=len(own) - 1)
    found: NDArray[np.int64] = order[place]
    unknown = np.unique(labels[own[found] != labels])
    if unknown.size:
        raise DataError(
            f"the model knows the classes {own[:12].tolist()}, but there are records of "
            f"{unknown[:SHOWN].tolist()}; number them as for the training (from 1 here, from 0 "
            "there?), or leave records of a class that it never met out"
        )
    return found
