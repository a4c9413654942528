"""The most exposed records of one model family; no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from secateur.errors import InputError, MethodError
from secateur.measure import FEWEST_MODELS, most_exposed
from secateur.types import Series

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from secateur.types import Membership, Scores

__all__ = ["NAMED", "exposed_series_of"]

NAMED = 10
"""How many of the most exposed records a report names."""


def exposed_series_of(
    scores: Scores,
    membership: Membership,
    *,
    subject: str,
    method: str,
    ids: NDArray[np.int64],
    seed: int,
    about: Mapping[str, NDArray[Any]] | None = None,
) -> list[Series]:
    """Return the ten most exposed records of one family as a series, or nothing where too few
    models were audited, the attack has no threshold, or no ten records are in and out of models.

    Args:
        scores: of the strongest attack on the targets.
        membership: whose targets they are.
        subject: the models' name.
        method: the attack's spelling.
        ids: of all records.
        seed: of the split into halves, the one of `most_exposed`.
        about: further columns of the records, such as their class.
    """
    if len(membership.targets) < FEWEST_MODELS:
        return []
    try:
        top = most_exposed(
            scores, membership, seed=seed, subject=subject, method=method, count=NAMED
        )
    except (InputError, MethodError):  # the row of `consequence_rows` says why
        return []
    columns: dict[str, NDArray[Any]] = {
        "record": ids[top.records],
        **{name: column[top.records] for name, column in (about or {}).items()},
        "chosen": top.chosen,
        "reported": top.reported,
        "tpr": top.tpr,
        "low": top.low,
        "high": top.high,
        "fpr": top.fpr,
        "models_with_it": top.members,
        "models_without_it": top.non_members,
    }
    halves = top.row.counts
    return [
        Series(
            id=f"most-exposed/{subject}",
            kind="most exposed",
            subject=subject,
            method=method,
            columns={name: tuple(values.tolist()) for name, values in columns.items()},
            note=f"chosen on {halves['models_chosen_on']:g} models, reported on "
            f"{halves['targets']:g} others",
        )
    ]
