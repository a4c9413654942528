"""Who trained on what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from secateur.errors import DataError
from secateur.types.base import (
    BoolArray,
    IntArray,
    canonical_json,
    digest_arrays,
    frozen,
    set_fields,
)
from secateur.types.shown import as_table

__all__ = ["ATTACK", "AUDIT", "POPULATION", "UTILITY", "Membership", "Role"]

Role = Literal["target", "reference", "given"]

# The named, disjoint pools of a Membership.
AUDIT = (
    "audit"  # coins are thrown over these; members and non-members of every model come from here
)
POPULATION = "population"  # never a member of any model; RMIA's z, the attacker's own records
UTILITY = "utility"  # never a member; test accuracy is measured here and nowhere else
ATTACK = "attack"  # never a member; data that a method declares (Min-Max, learned attacks)


@dataclass(frozen=True, kw_only=True, eq=False)
class Membership:
    """Who trained on what: `inside[m, r]` is true when model m trained on record r.

    `pools` maps a pool's name to sorted record indices; pools are disjoint, and only records of the
    pool `AUDIT` are ever inside a model. `units[r]` is the unit of record r: in or out as a whole.

    `drawn` and `share` say that each target's units are in by independent coins thrown before any
    training, with this probability. `draw` sets them; a bound on epsilon rests on them, so whoever
    sets them by hand vouches for such coins. A share that is None is not known.
    """

    inside: BoolArray
    roles: tuple[Role, ...]
    pools: Mapping[str, IntArray]
    units: NDArray[np.int64]
    seed: int
    drawn: bool = False
    share: float | None = None

    def __post_init__(self) -> None:
        inside = np.ascontiguousarray(self.inside)  # a choice of columns is laid out by columns
        if inside.ndim != 2 or inside.dtype != np.bool_:
            raise DataError(
                f"inside must be bool[models, records], got {inside.dtype}{inside.shape}"
            )
        models, records = inside.shape
        if len(self.roles) != models:
            raise DataError(f"{models} rows of inside but {len(self.roles)} roles")
        units = np.asarray(self.units)
        if units.shape != (records,):
            raise DataError(f"units need the shape ({records},), got {units.shape}")
        pools = {k: frozen(np.sort(np.asarray(v, dtype=np.int64))) for k, v in self.pools.items()}
        self._check_pools(inside, pools, self.roles)
        self._check_units(inside, pools, units)
        if self.share is not None and not (self.drawn and 0 < self.share < 1):
            raise DataError(
                f"share={self.share} is that of coins, in (0, 1), and needs drawn=True; got "
                f"drawn={self.drawn}; leave both out where no coins were thrown"
            )
        set_fields(self, inside=frozen(inside), pools=pools, units=frozen(units.astype(np.int64)))

    @staticmethod
    def _check_pools(
        inside: BoolArray, pools: Mapping[str, IntArray], roles: Sequence[Role]
    ) -> None:
        records = inside.shape[1]
        if AUDIT not in pools:
            raise DataError(f"pools need the name {AUDIT!r}, got {sorted(pools)}")
        owner = np.full(records, -1)
        for number, (name, indices) in enumerate(pools.items()):
            if indices.size and (indices[0] < 0 or indices[-1] >= records):
                raise DataError(
                    f"pool {name!r} holds indices {indices[0]} .. {indices[-1]}, "
                    f"but there are {records} records"
                )
            taken = indices[owner[indices] >= 0]
            twice = indices[1:][indices[1:] == indices[:-1]]
            if taken.size or twice.size:
                i = int(taken[0] if taken.size else twice[0])
                other = list(pools)[owner[i]] if taken.size else name
                raise DataError(
                    f"record {i} is in the pools {other!r} and {name!r}; pools must be disjoint "
                    "(a member that is also a non-member cannot be audited)"
                )
            owner[indices] = number
        outside = np.ones(records, dtype=bool)
        outside[pools[AUDIT]] = False
        wrong = np.flatnonzero(outside)
        if inside[:, wrong].any():
            m, place = (int(v[0]) for v in np.nonzero(inside[:, wrong]))
            r = int(wrong[place])
            raise DataError(
                f"model {m} has record {r} as a member, which is not in the pool {AUDIT!r}"
            )
        share = np.count_nonzero(inside, axis=1)  # all of them in the pool, as was just seen
        for m in np.flatnonzero((share == 0) | (share == len(pools[AUDIT]))).tolist():
            if roles[m] == "reference":  # an attacker's own data: an attack says what it needs
                continue
            raise DataError(
                f"model {m} has {share[m]} members of {len(pools[AUDIT])} records in the pool "
                f"{AUDIT!r}; "
                "an audit needs members and non-members of every model"
            )

    @staticmethod
    def _check_units(inside: BoolArray, pools: Mapping[str, IntArray], units: IntArray) -> None:
        audit = pools[AUDIT]
        ordered = np.sort(units)
        if (ordered[1:] != ordered[:-1]).all():  # every record is a unit of its own
            return
        _, inverse, counts = np.unique(units[audit], return_inverse=True, return_counts=True)
        owners = np.unique(units[audit])
        for row in inside[:, audit]:
            hits = np.bincount(inverse, weights=row)
            split = owners[(hits > 0) & (hits < counts)]
            if split.size:
                raise DataError(
                    f"{split.size} of {len(owners)} units (persons) are partly in and partly out "
                    f"of a model, the first is {split[0]}; draw by unit, or leave them out"
                )
        elsewhere = np.concatenate(
            [v for k, v in pools.items() if k != AUDIT] or [np.array([], dtype=np.int64)]
        )
        if np.intersect1d(units[audit], units[elsewhere]).size:
            raise DataError(
                f"a unit (person) has records in the pool {AUDIT!r} and in another pool; "
                "draw by unit"
            )

    def _repr_html_(self) -> str:
        """Return the table that notebooks show."""
        roles = [(f"models, {r}", self.roles.count(r)) for r in dict.fromkeys(self.roles)]
        pools = [(f"records, pool {name}", len(found)) for name, found in self.pools.items()]
        return as_table("Membership", [*roles, *pools])

    def __len__(self) -> int:
        return len(self.roles)

    @property
    def targets(self) -> IntArray:
        """Indices of the models under audit (roles `target` and `given`)."""
        return np.array([i for i, r in enumerate(self.roles) if r != "reference"], dtype=np.int64)

    @property
    def references(self) -> IntArray:
        """Indices of the attacker's reference models."""
        return np.array([i for i, r in enumerate(self.roles) if r == "reference"], dtype=np.int64)

    def pool(self, name: str) -> IntArray:
        """Return the record indices of a pool, empty when there is no such pool."""
        return self.pools.get(name, np.array([], dtype=np.int64))

    def part(self, models: Sequence[int]) -> Membership:
        """Return the membership of some of the models, in this order."""
        rows = list(models)
        return Membership(
            inside=self.inside[rows],
            roles=tuple(self.roles[i] for i in rows),
            pools=self.pools,
            units=self.units,
            seed=self.seed,
            drawn=self.drawn,
            share=self.share,
        )

    def members(self, model: int) -> IntArray:
        """Return the sorted indices of the records that a model trained on."""
        return np.flatnonzero(self.inside[model])

    def non_members(self, model: int) -> IntArray:
        """Return the sorted indices of the records of the audit pool that a model did not see."""
        audit = self.pools[AUDIT]
        outside: IntArray = audit[~self.inside[model, audit]]
        return outside

    @cached_property
    def digest(self) -> str:
        """SHA-256 over who trained on what; not over `share`, which old files do not hold."""
        arrays = {
            "inside": self.inside,
            "units": self.units,
            **{f"pool:{k}": v for k, v in self.pools.items()},
        }
        return digest_arrays(
            arrays, extra=canonical_json([list(self.roles), self.seed, self.drawn])
        )
