"""Which of its records a taught model itself meets, where that is not all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from secateur.errors import MethodError
from secateur.train.hooks import MEMBERS
from secateur.types import derive_seed

if TYPE_CHECKING:
    from secateur.train.steps import Taught
    from secateur.types import BoolArray, IntArray, Membership

__all__ = ["READ", "count_met", "drawn_of", "known_of", "met_by", "share_met", "taught_on"]

READ = "taught/read"
"""In a reference's history: which of its members it is made from, where that is not all of them.
Whoever trains references knows; of a target it is written nowhere.
"""
FEWEST = 2
"""Units that a model has to meet: one alone is no training set."""


def share_met(method: Taught) -> float:
    """Return the share of its pool's units whose records a model itself learns on, in (0, 1]."""
    found: float = getattr(method, "share_met", 1.0)
    return found


def met_by(
    method: Taught, units: IntArray, *, seed: int, known: BoolArray | None = None
) -> IntArray:
    """Return the positions, in ascending order, of the records that a model itself learns on.

    Args:
        method: by which it is taught.
        units: whose each record is `[records]`; a unit is met whole or not at all.
        seed: of this model; with another one others are met.
        known: whether any teacher is trained on a record `[records]`: those that are met are drawn
            from these. By default every record is.

    Raises:
        MethodError: so small a share that fewer than two units are met.

    Example:
        >>> from secateur.defend import SELENA, Subsample
        >>> met_by(SELENA(), np.arange(4), seed=0).tolist()
        [0, 1, 2, 3]
        >>> len(met_by(Subsample(share=0.5, method=SELENA()), np.arange(4), seed=0))
        2
    """
    share = share_met(method)
    if share == 1.0:
        return np.arange(len(units))
    distinct = np.unique(units)
    count = round(share * len(distinct))
    if count < FEWEST:
        raise MethodError(
            f"share={share}, of {len(distinct)} units, lets a model meet {count}, and it needs "
            f"{FEWEST} at least; take a larger share, or draw more members"
        )
    among = distinct if known is None else np.unique(units[known])
    return np.flatnonzero(np.isin(units, drawn_of(among, count, seed=derive_seed(seed, "met"))))


def known_of(method: Taught, split: BoolArray) -> BoolArray | None:
    """Return whether any teacher is trained on a member `[members]`; None where there is no
    teacher, or the model learns on other records.

    Args:
        method: by which it is taught.
        split: of `Taught.split`.
    """
    return split.sum(0) > 0 if method.pool == MEMBERS and len(split) else None


def drawn_of(distinct: IntArray, count: int, *, seed: int) -> IntArray:
    """Return so many of the units, each of them equally likely."""
    drawn: IntArray = np.random.default_rng(seed).choice(distinct, count, replace=False)
    return drawn


def taught_on(method: Taught, membership: Membership, model: int) -> IntArray:
    """Return the records of the pool, of which a model meets all or a share."""
    if method.pool == MEMBERS:
        return membership.members(model)
    return membership.pool(method.pool)


def count_met(method: Taught, membership: Membership, model: int, *, seed: int = 0) -> int:
    """Return how many of these a model meets: where units differ in size, by its seed.

    Args:
        method: by which it is taught.
        membership: who trains on what.
        model: its row there.
        seed: of the model; by default any, for estimates.
    """
    return len(met_by(method, membership.units[taught_on(method, membership, model)], seed=seed))
