"""Where settings of a sweep are tried: on records outside of what its file reports."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Mapping, Sequence

import numpy as np

from secateur.data import draw
from secateur.sweeping import read_plan
from secateur.sweeping.reading import SweepPlan
from secateur.types import (
    ATTACK,
    AUDIT,
    POPULATION,
    UTILITY,
    IntArray,
    Membership,
    Records,
    derive_seed,
)
from tools.dpsgd_bench import pools_of_cell

__all__ = ["Draws", "bench_of", "draws_of", "overlaps", "said_of"]

VALIDATION, LEAST = 4000, 400

Draws = Mapping[int, Sequence[Mapping[str, IntArray]]]
"""By seed, the pools of each draw of it."""


def draws_of(text: str, records: Records, *, where: str) -> Draws:
    """Return the pools of each draw that a sweep's file asks for, at any of its scales, by seed.

    A seed has several where scales have pools of other sizes.
    """
    found: dict[int, list[Mapping[str, IntArray]]] = {}
    known: set[tuple[int, tuple[tuple[str, int], ...]]] = set()
    for scale in (None, *tomllib.loads(text).get("scale", {})):
        plan = read_plan(text, scale=scale, where=where)
        sizes = pools_of_cell(plan)
        for seed in plan.seeds:
            if (seed, tuple(sizes.items())) not in known:
                known.add((seed, tuple(sizes.items())))
                who = draw(records, targets=1, references=0, seed=seed, pools=sizes)
                found.setdefault(seed, []).append(who.pools)
    return dict(sorted(found.items()))


def bench_of(
    plan: SweepPlan, records: Records, *, draws: Draws, models: int, seed: int
) -> Membership:
    """Return who trains, who judges and who is read beside them.

    Args:
        plan: the file's.
        records: the whole data set.
        draws: what the file audits, by `draws_of`.
        models: how many of each case.
        seed: of the draw.

    Raises:
        SystemExit: the data set is too small.
    """
    sizes = pools_of_cell(plan)
    members = sizes[AUDIT] // 2
    need = members + LEAST + sizes.get(ATTACK, 0)
    beyond = _outside(
        len(records), [rows for d in draws.values() for p in d for rows in p.values()]
    )
    enough = len(beyond) >= need + VALIDATION
    rng = np.random.default_rng(derive_seed(seed, "bench"))
    chosen = rng.permutation(beyond if enough else _spared(len(records), draws, need))
    judges = min(VALIDATION, max(LEAST, len(chosen) // 4))
    attack = min(sizes.get(ATTACK, 0), max(0, len(chosen) - judges - members) // 2)
    # whoever lies in a utility pool judges last
    reported = _in_pools(len(records), UTILITY, *draws.values())[chosen]
    chosen = chosen[np.argsort(reported, kind="stable")]
    validation, others = chosen[:judges], rng.permutation(chosen[judges:])
    beside, pool = others[:attack], others[attack:]
    if len(pool) < members:
        sys.exit(
            f"tune: {len(chosen)} records lie outside of the utility pool of the first draw, but "
            f"{members} members and {judges} for validation are needed"
        )
    inside = np.zeros((models, len(records)), np.bool_)
    for row in inside:
        row[rng.choice(pool, members, replace=False)] = True
    pools = {AUDIT: pool, UTILITY: validation, POPULATION: np.zeros(0, np.int64)}
    return Membership(
        inside=inside,
        roles=("target",) * models,
        pools={**pools, **({ATTACK: beside} if attack else {})},
        units=records.units,
        seed=seed,
    )


def _outside(n: int, parts: Sequence[IntArray]) -> IntArray:
    free = np.ones(n, np.bool_)
    for part in parts:
        free[part] = False
    return np.flatnonzero(free)


def _in_pools(n: int, name: str, *draws: Sequence[Mapping[str, IntArray]]) -> np.ndarray:
    """Return `[n]`: which records lie in the pool of this name of any of the draws."""
    found = np.zeros(n, np.bool_)
    for pools in (p for d in draws for p in d):
        found[pools[name]] = True
    return found


def _spared(n: int, draws: Draws, need: int) -> IntArray:
    """Return the records outside of the utility pools of the first draw, and of so many more as
    leave what is needed.
    """
    barred = np.zeros(n, np.bool_)
    for number, draw_ in enumerate(draws.values()):
        more = barred | _in_pools(n, UTILITY, draw_)
        if number and n - more.sum() < need:
            break
        barred = more
    return np.flatnonzero(~barred)


def overlaps(bench: Membership, draws: Draws) -> dict[str, dict[str, dict[str, int]]]:
    """Return how many of the records that are read lie in which pool of which draw.

    By seed, then by pool (`utility`, in which accuracy is reported, and `audit`, in which the leak
    is), then by what they do here: `validation`, or `others`, which train or are read beside.
    """
    n = bench.inside.shape[1]
    others = np.concatenate([bench.pool(AUDIT), bench.pools.get(ATTACK, np.zeros(0, np.int64))])
    found: dict[str, dict[str, dict[str, int]]] = {}
    for seed, pools in draws.items():
        where = {name: _in_pools(n, name, pools) for name in (UTILITY, AUDIT)}
        found[str(seed)] = {
            name: {
                "validation": int(inside[bench.pool(UTILITY)].sum()),
                "others": int(inside[others].sum()),
            }
            for name, inside in where.items()
        }
    return found


def said_of(shared: Mapping[str, Mapping[str, Mapping[str, int]]], bench: Membership) -> list[str]:
    """Return a line for each draw, of what `overlaps` found."""
    judges = len(bench.pool(UTILITY))
    others = len(bench.pool(AUDIT)) + len(bench.pools.get(ATTACK, ()))
    return [
        f"draw {seed}: of {judges:,} validation records {pools[UTILITY]['validation']:,} lie in "
        f"its utility pool and {pools[AUDIT]['validation']:,} among its audited records; of "
        f"{others:,} others {pools[UTILITY]['others']:,} and {pools[AUDIT]['others']:,}"
        for seed, pools in shared.items()
    ]
