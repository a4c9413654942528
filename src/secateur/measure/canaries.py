"""How many canaries an attack finds: the worst case that means over all records hide."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from secateur.errors import InputError
from secateur.measure.groups import FEWEST_IN_GROUP, by_group

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from secateur.types import Measurement, Membership, Scores

__all__ = ["tpr_on_canaries"]

NAME = "canary"
ORDINARY = "no"


def tpr_on_canaries(
    scores: Scores,
    membership: Membership,
    column: NDArray[Any],
    *,
    about: tuple[str, str, str],
    fpr: float = 0.01,
    fewest: int = FEWEST_IN_GROUP,
) -> list[Measurement]:
    """Measure the share of member canaries found, kind by kind, against non-member canaries.

    Args:
        scores: of one attack on all records.
        membership: whose targets they are; canaries are members by the same coins as all others.
        column: `[records]`, the kind of each canary, `no` for other records.
        about: (subject, attack's repr, what the attacker knows).
        fpr: wanted, in (0, 1); a false positive is a canary that was not trained on.
        fewest: canaries, in and out, that a kind needs in every target.

    Returns:
        One row per kind, `canary=kind`, as `by_group` gives them: the intervals hold for all kinds
        together. Where the number of canaries does not resolve `fpr`, the lowest listed FPR that it
        does resolve takes its place; where none is, or there are too few canaries, the row is "not
        resolvable".

    Raises:
        InputError: the column has another length than the records, or marks no canary.

    Reference:
        aerni2024evaluations.
    """
    column = np.asarray(column)
    if column.shape != (membership.inside.shape[1],):
        raise InputError(
            f"the column {NAME!r} needs one value for each of {membership.inside.shape[1]} "
            f"records, got the shape {column.shape}"
        )
    canaries = scores.evaluated & (column != ORDINARY)
    if not canaries.any():
        raise InputError(
            f"no evaluated record is a canary: every value of the column is {ORDINARY!r}; plant "
            "some before the draw"
        )
    alone = replace(scores, evaluated=canaries)
    rows = by_group(alone, membership, column, name=NAME, about=about, fpr=fpr, fewest=fewest)
    return [row for row in rows if row.metric.startswith("tpr at")]
