"""Which units each model trains on: targets by independent coins, references balanced."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from secateur.errors import InputError
from secateur.types import AUDIT, Membership, derive_seed

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["REFERENCES", "by_unit_inside", "with_drawn_references"]

REFERENCES = 16
"""How many references one network, or a recipe alone, is audited beside unless told otherwise."""


def by_unit_inside(
    units: int, *, targets: int, references: int, share: float, seed: int
) -> NDArray[np.bool_]:
    """Return bool[models, units]: targets by coins, then references, balanced."""
    if units < 2:
        raise InputError(f"the audit pool holds {units} units; at least 2 are needed")
    coins = np.random.default_rng(derive_seed(seed, "targets"))
    thrown = coins.random((targets, units)) < share
    balanced = _balanced(references, units, share, derive_seed(seed, "references"))
    by_unit = np.concatenate([thrown, balanced])
    _repair(by_unit, coins)
    return by_unit


def _balanced(models: int, units: int, share: float, seed: int) -> NDArray[np.bool_]:
    """Return bool[models, units] with the same number of models inside for every unit.

    At one half and an odd number of models, up to one.
    """
    if share != 0.5 or models < 2:
        return _by_rank(models, units, share, np.random.default_rng(derive_seed(seed, "ranks")))
    halves = [
        np.random.default_rng(derive_seed(seed, "pair", pair)).permutation(units) < units // 2
        for pair in range(-(-models // 2))
    ]
    return np.array([row for half in halves for row in (half, ~half)][:models], dtype=np.bool_)


def _by_rank(models: int, units: int, share: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    if models == 0:
        return np.zeros((0, units), dtype=np.bool_)
    inside = min(models - 1, max(1, round(share * models)))
    balanced: NDArray[np.bool_] = rng.random((models, units)).argsort(axis=0) < inside
    return balanced


def _repair(inside: NDArray[np.bool_], rng: np.random.Generator) -> None:
    """Give a model with no members, or no non-members, one of them (tiny pools only)."""
    for row in inside:
        if row.all() or not row.any():
            row[rng.integers(len(row))] ^= True


def with_drawn_references(who: Membership, references: int, *, seed: int) -> Membership:
    """Add references to the membership of one model: draws of about its size from the audit pool.

    Drawn by unit, each in the same number of them and in one at least, without looking at who is a
    member. So references are larger than a model whose share of the pool is below 1 in so many.

    Raises:
        InputError: one reference, or fewer than none.
    """
    if references < 0 or references == 1:
        raise InputError(f"references must be 0 or at least 2, got {references}")
    audit = who.pools[AUDIT]
    units, where = np.unique(who.units[audit], return_inverse=True)
    members = np.unique(who.units[who.members(0)])
    share = len(members) / len(units)
    drawn = by_unit_inside(len(units), targets=0, references=references, share=share, seed=seed)
    inside = np.zeros((1 + references, who.inside.shape[1]), dtype=np.bool_)
    inside[0] = who.inside[0]
    inside[1:, audit] = drawn[:, where]
    return Membership(
        inside=inside,
        roles=("given", *["reference"] * references),  # type: ignore[arg-type]
        pools=who.pools,
        units=who.units,
        seed=seed,
    )
