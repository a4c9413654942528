"""Where settings of DP-SGD are tried: on records that a cell's audit does not read."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np

from secateur.cli.runs import pools_of
from secateur.cli.spelled import parse_recipe
from secateur.data import draw
from secateur.defend import DPSGD
from secateur.errors import DivergedError
from secateur.models import logits_of
from secateur.sweeping.reading import SweepPlan
from secateur.train import Recipe
from secateur.types import ATTACK, AUDIT, POPULATION, UTILITY, IntArray, Records, derive_seed

__all__ = ["BEYOND", "LEAST", "VALIDATION", "Bench", "bench_of", "pools_of_cell"]

BEYOND = "beyond the pools"
VALIDATION, LEAST = 4000, 200


@dataclass(frozen=True, kw_only=True)
class Bench:
    """The cell's recipe and records, and who of them may be a member or judge.

    `sources` says how many come from which pool of the cell.
    """

    recipe: Recipe
    records: Records
    members: int
    training: IntArray
    validation: IntArray
    sources: dict[str, int]
    seed: int

    @property
    def disjoint(self) -> bool:
        """Whether nobody that the cell audits is read."""
        return AUDIT not in self.sources

    def tried(self, method: DPSGD, number: int) -> float:
        """Return one model's validation accuracy; 0 where its training diverged."""
        rng = np.random.default_rng(derive_seed(self.seed, "members", str(number)))
        chosen = np.sort(rng.choice(self.training, self.members, replace=False))
        training = method.defended(self.recipe).train
        assert isinstance(training, DPSGD)  # what DPSGD puts there
        try:
            seed = derive_seed(self.seed, "model", str(number))
            module = training(self.records.take(chosen), seed=seed)
        except DivergedError:
            return 0.0
        logits = logits_of(module, self.records, indices=self.validation)
        return float((logits.argmax(axis=1) == self.records.labels[self.validation]).mean())


def bench_of(plan: SweepPlan, records: Records, *, seed: int) -> Bench:
    """Return who may be a member or judge: records that the cell audits only where others are few.

    Args:
        plan: of the cell.
        records: the whole data set.
        seed: of the choice.

    Raises:
        SystemExit: the data set is too small even with audited records.
    """
    assert plan.recipe is not None  # every cell has one
    place = _places(plan, records)
    members = pools_of_cell(plan)[AUDIT] // 2
    rng = np.random.default_rng(derive_seed(seed, "records"))
    found = np.zeros(0, dtype=np.int64)
    sources: dict[str, int] = {}
    for name in (BEYOND, ATTACK, POPULATION, AUDIT):
        if name == AUDIT and len(found) >= members + LEAST:
            break
        more = rng.permutation(np.flatnonzero(place == name))
        more = more[: 2 * members + VALIDATION - len(found)]
        found = np.concatenate([found, more])
        sources |= {name: len(more)} if len(more) else {}
    if len(found) < members + LEAST:
        sys.exit(
            f"tune_dpsgd: {len(found)} records can be had without the utility pool, but "
            f"{members} members and {LEAST} for validation are needed"
        )
    found = rng.permutation(found)
    size = min(VALIDATION, len(found) - members)
    return Bench(
        recipe=parse_recipe(plan.recipe),
        records=records,
        members=members,
        training=found[size:],
        validation=found[:size],
        sources=sources,
        seed=seed,
    )


def pools_of_cell(plan: SweepPlan) -> dict[str, int]:
    """Return the sizes of the pools that a sweep's file asks for."""
    asked = (plan.sizes.get("members"), plan.sizes.get("population"), plan.sizes.get("utility"))
    return {**pools_of(plan.data, asked), ATTACK: plan.sizes.get("attack_pool", 0)}


def _places(plan: SweepPlan, records: Records) -> np.ndarray:
    """Return the pool of each record; of one that is in several, seed by seed, the one that bars it
    most.
    """
    place = np.full(len(records), BEYOND, dtype=object)
    drawn = [
        draw(records, targets=1, references=0, seed=seed, pools=pools_of_cell(plan)).pools
        for seed in plan.seeds
    ]
    for name in (POPULATION, ATTACK, AUDIT, UTILITY):
        for pools in drawn:
            place[pools[name]] = name
    return place
