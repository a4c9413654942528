"""Draw who trains on what: targets by independent coins, references balanced, pools disjoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import (
    TYPE_CHECKING,
    Any,
)

import numpy as np

from secateur.data.chosen import chosen_rows
from secateur.data.coins import by_unit_inside
from secateur.errors import DataError, InputError
from secateur.types import (
    ATTACK,
    AUDIT,
    POPULATION,
    UTILITY,
    Membership,
    Records,
    derive_seed,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from secateur.types import IntArray, Role

__all__ = ["draw", "given", "restrict", "select"]


def draw(
    records: Records,
    *,
    targets: int,
    references: int,
    seed: int,
    share: float = 0.5,
    pools: Mapping[str, int] | None = None,
    audited: IntArray | None = None,
) -> Membership:
    """Draw pools and memberships by unit.

    Args:
        records: all records.
        targets: number of models under audit, each a coin of its own per unit.
        references: number of the attacker's models, 0 or at least 2; each unit of the audit pool is
            in exactly round(share * references) of them, at least 1 and at most all but one, drawn
            without looking at the targets. At a share of one half they come in pairs, of a random
            half and the other half, so that any even number of them is balanced (an odd one up to
            one model), and a draw with more references begins with those of a smaller one.
        seed: of the draw.
        share: probability of a unit being a member, in (0, 1).
        pools: records per pool, among `audit`, `population`, `utility`, `attack`; default half of
            the records for the audit, a quarter each for population and utility. A pool is filled
            with whole units, so it may hold more than asked; the audit pool comes last and takes
            what is left where less is left. Records beyond the pools are in none.
        audited: indices of records whose units are in the audit pool in any case, such as canaries;
            coins decide of them as of all others.

    Returns:
        Targets first, then references. A model left without members or without non-members (with
        a handful of units only) gets one unit changed.

    Raises:
        InputError: counts or shares that do not fit; the message shows the values.

    Example:
        >>> from secateur.data import digits
        >>> who = draw(digits(), targets=2, references=4, seed=0)
        >>> len(who), {k: len(v) for k, v in who.pools.items()}
        (6, {'utility': 449, 'population': 449, 'attack': 0, 'audit': 899})
    """
    _check(targets, references, share)
    sizes = _sizes(len(records), pools)
    rng = np.random.default_rng(derive_seed(seed, "pools"))
    assert records.units is not None  # set by Records
    held = None if audited is None or not len(audited) else records.units[audited]
    filled = _fill(records.units, sizes, rng, held=held)
    units, where = np.unique(records.units[filled[AUDIT]], return_inverse=True)
    inside = np.zeros((targets + references, len(records)), dtype=np.bool_)
    by_unit = by_unit_inside(
        len(units), targets=targets, references=references, share=share, seed=seed
    )
    inside[:, filled[AUDIT]] = by_unit[:, where]
    target: Role = "target"
    reference: Role = "reference"
    roles = (target,) * targets + (reference,) * references
    return Membership(
        inside=inside,
        roles=roles,
        pools=filled,
        units=records.units,
        seed=seed,
        drawn=True,
        share=float(share),
    )


def _check(targets: int, references: int, share: float) -> None:
    for what, number in (("targets", targets), ("references", references)):
        _whole(what, number)
    if targets < 1:
        raise InputError(f"an audit needs at least 1 target, got targets={targets}")
    if references < 0 or references == 1:
        raise InputError(
            f"references must be 0 or at least 2 (a record must be in some and out of others), "
            f"got {references}"
        )
    if not 0 < share < 1:
        raise InputError(f"share must be in (0, 1), got {share}")


def _whole(what: str, number: int) -> None:
    if isinstance(number, bool) or not isinstance(number, int | np.integer):
        raise InputError(f"{what} must be a whole number, got {number!r}")


def _sizes(n: int, pools: Mapping[str, int] | None) -> dict[str, int]:
    if pools is None:
        pools = {POPULATION: n // 4, UTILITY: n // 4, AUDIT: n - 2 * (n // 4)}
    known = (UTILITY, POPULATION, ATTACK, AUDIT)
    unknown = sorted(set(pools) - set(known))
    if unknown:
        raise InputError(f"unknown pools {unknown}; there are {list(known)}")
    for name, size in pools.items():
        _whole(f"the size of the pool {name!r}, in records,", size)
    sizes = {name: int(pools.get(name, 0)) for name in known}
    if min(sizes.values()) < 0 or sum(sizes.values()) > n:
        raise InputError(
            f"the pools ask for {sizes}, {sum(sizes.values())} records in all, but there are {n}; "
            "ask for fewer"
        )
    if sizes[AUDIT] < 2:
        raise InputError(f"the audit pool needs at least 2 records, got {sizes[AUDIT]}")
    return sizes


def _fill(
    units: IntArray, sizes: dict[str, int], rng: np.random.Generator, held: IntArray | None = None
) -> dict[str, NDArray[np.int64]]:
    """Return the records of each pool; the units `held` are in the audit pool."""
    distinct, inverse, counts = np.unique(units, return_inverse=True, return_counts=True)
    order = rng.permutation(len(distinct))
    kept = np.isin(distinct, [] if held is None else held)
    if kept.any():
        order = order[~kept[order]]
        sizes = {**sizes, AUDIT: _left(sizes[AUDIT], int(counts[kept].sum()))}
    reached = np.cumsum(counts[order])
    filled = {}
    start = 0
    for name, size in sizes.items():
        before = reached[start - 1] if start else 0
        stop = start if size == 0 else int(np.searchsorted(reached, before + size)) + 1
        stop = min(stop, len(order))
        chosen = kept.copy() if name == AUDIT else np.zeros(len(distinct), dtype=np.bool_)
        chosen[order[start:stop]] = True
        filled[name] = np.flatnonzero(chosen[inverse])
        start = stop
    return filled


def _left(size: int, held: int) -> int:
    if held > size:
        raise InputError(
            f"{held} records, with their units, must be in the audit pool, which has room for "
            f"{size}; make the pool larger, or plant fewer canaries"
        )
    return size - held


def given(records: Records, *, members: IntArray, non_members: IntArray) -> Membership:
    """State the membership of a user's own one model; the rest of the records is in no pool.

    Args:
        records: all records.
        members: indices of the training records, or a mask of all records.
        non_members: the same, of records of the same distribution that it never saw.

    Raises:
        DataError: one of them is empty, no indices and no mask, out of range, or names a record
            twice; a record is in both.

    Example:
        >>> from secateur.data import digits
        >>> who = given(digits(), members=np.arange(100), non_members=np.arange(100, 200))
        >>> who.drawn
        False
    """
    inside, outside = sides_of(members, non_members, len(records))
    assert records.units is not None  # set by Records
    mask = np.zeros((1, len(records)), dtype=np.bool_)
    mask[0, inside] = True
    pools = {AUDIT: np.union1d(inside, outside)}
    return Membership(inside=mask, roles=("given",), pools=pools, units=records.units, seed=0)


def sides_of(members: Any, non_members: Any, n: int) -> tuple[IntArray, IntArray]:
    """Return the indices, sorted, of members and of non-members among n records.

    Args:
        members: indices, or a mask of all records.
        non_members: the same.
        n: how many records there are.

    Raises:
        DataError: one of them is empty, no indices and no mask, out of range, or names a record
            twice; a record is in both.
    """
    members = chosen_rows("members", members, n)
    non_members = chosen_rows("non_members", non_members, n)
    both = np.intersect1d(members, non_members)
    if both.size:
        raise DataError(
            f"{both.size} records are members and non-members at once, first index {both[0]}; "
            "a record is either in the training set or not: remove them from one of the two"
        )
    return members, non_members


def restrict(records: Records, membership: Membership) -> tuple[Records, Membership]:
    """Drop the records that are in no pool, so that nothing is computed for them.

    Returns:
        The kept records in their old order, with their ids and units, and the same memberships at
        their new indices.

    Raises:
        DataError: the two speak of different numbers of records.

    Example:
        >>> from secateur.data import digits
        >>> records = digits()
        >>> who = draw(records, targets=1, references=2, seed=0, pools={"audit": 50, "utility": 9})
        >>> len(restrict(records, who)[0])
        59
    """
    if membership.inside.shape[1] != len(records):
        raise DataError(
            f"the membership speaks of {membership.inside.shape[1]} records, but there are "
            f"{len(records)}; give the records that it was drawn from"
        )
    kept = np.sort(np.concatenate(list(membership.pools.values())))
    place = np.full(len(records), -1)
    place[kept] = np.arange(len(kept))
    return records.take(kept), Membership(
        inside=membership.inside[:, kept],
        roles=membership.roles,
        pools={name: place[indices] for name, indices in membership.pools.items()},
        units=membership.units[kept],
        seed=membership.seed,
        drawn=membership.drawn,
        share=membership.share,
    )


def select(records: Records, n: int, *, seed: int) -> Records:
    """Return records of randomly chosen units, in their old order, to work on less data.

    Args:
        records: all records.
        n: how many; whole units are chosen until there are as many, so there may be more.
        seed: of the choice.

    Raises:
        InputError: n is not in 1 .. len(records).

    Example:
        >>> from secateur.data import digits
        >>> len(select(digits(), 100, seed=0))
        100
    """
    _whole("n", n)
    if not 1 <= n <= len(records):
        raise InputError(f"n must be in 1 .. {len(records)}, the number of records, got {n}")
    assert records.units is not None  # set by Records
    rng = np.random.default_rng(derive_seed(seed, "select"))
    return records.take(_fill(records.units, {"chosen": n}, rng)["chosen"])
