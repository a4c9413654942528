"""What is looked at before a fleet is made: its pools, and a first step of everything."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from secateur.errors import MethodError
from secateur.models import prunable
from secateur.train.batches import TrainData, pools_of
from secateur.train.engines.serial import one_thread
from secateur.train.hooks import MEMBERS
from secateur.train.loop import run_phases
from secateur.train.model import initial_module, own_training
from secateur.train.planned import planned, read_pools, recipe_of_teachers, teaching
from secateur.train.stack import StackData, run_stack
from secateur.train.steps import Conversion
from secateur.train.teachers import check_network
from secateur.types import ATTACK, AUDIT, POPULATION, UTILITY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from secateur.train.recipe import Phase, Recipe
    from secateur.train.steps import Transform
    from secateur.types import Membership, Records

__all__ = ["check_pools", "rehearse"]

REHEARSED = 4
"""Records of a rehearsal: enough for a batch that normalisation accepts."""


def rehearse(
    recipe: Recipe,
    transform: Transform | Conversion | None,
    records: Records,
    membership: Membership,
    *,
    stacked: bool = False,
) -> None:
    """Take one step of every phase on a few members of the first model, and forget it.

    So that a network, hook or budget that does not fit is said before anything is written. Where
    models will be stacked, two of them are.

    Raises:
        SecateurError: whatever the training would raise in its first steps.
    """
    if own_training(recipe, transform) is not None or isinstance(transform, Conversion):
        return  # only its author knows what a rehearsal would be; a conversion has no steps
    check_pools(recipe, transform, membership)
    taught = recipe_of_teachers(recipe, transform), teaching(recipe, transform)
    if taught[0].build != recipe.build:
        check_network(taught[0], records, membership.members(0)[:1])
    with one_thread():
        for by, steps in (taught, (recipe, planned(recipe, transform))):
            phases = [replace(phase, epochs=min(phase.epochs, 1)) for phase in steps]
            if phases:
                _rehearse(by, phases, records, membership, stacked=stacked)


def _rehearse(
    recipe: Recipe,
    phases: Sequence[Phase],
    records: Records,
    membership: Membership,
    *,
    stacked: bool,
) -> None:
    module = initial_module(recipe, 0)
    device = next(module.parameters()).device
    pools = {pool: membership.pool(pool)[:REHEARSED] for pool in pools_of(phases)}
    first = membership.members(0)[:REHEARSED]
    run_phases(
        module,
        phases,
        recipe,
        TrainData.of(records, first, device),
        streams={pool: TrainData.of(records, rows, device) for pool, rows in pools.items()},
        context=(dict(module.named_parameters()), prunable(module)),
        seed=0,
    )
    if stacked:
        pair = [initial_module(recipe, seed) for seed in (0, 1)]
        run_stack(
            pair,
            phases,
            recipe,
            StackData.of(records, [first] * 2, device),
            streams={p: StackData.of(records, [rows] * 2, device) for p, rows in pools.items()},
            context=([dict(one.named_parameters()) for one in pair], prunable(module)),
            seeds=(0, 1),
        )


def check_pools(
    recipe: Recipe, transform: Transform | Conversion | None, membership: Membership
) -> None:
    """Refuse what reads a pool for which no records were drawn, or that belongs to the audit.

    Raises:
        MethodError: names the pool, and how to draw it.
    """
    if own_training(recipe, transform) is not None:
        return  # reads members alone
    pools = read_pools(recipe, transform)
    what = repr(transform) if isinstance(transform, Conversion) else "this training"
    for pool in pools:
        if pool in _OF_THE_AUDIT:
            raise MethodError(
                f"{what} reads records of the pool {pool!r}: {_OF_THE_AUDIT[pool]}; name "
                f"{POPULATION!r}, which no model was trained on, or {MEMBERS!r}, which stands for "
                "each model's own"
            )
        if len(membership.pool(pool)) == 0:
            raise MethodError(
                f"{what} reads records of the pool {pool!r}, for which none were drawn "
                f"{_how_to_draw(pool, membership)}"
            )


_OF_THE_AUDIT = {
    AUDIT: "members and non-members of every model are in it, and to read it is to mix them up",
    UTILITY: "accuracy is measured on it, and on nothing that a model has seen",
}
"""Pools that no model may read as a whole, and why."""


def _how_to_draw(pool: str, membership: Membership) -> str:
    there = ", ".join(f"{name} {len(rows)}" for name, rows in membership.pools.items())
    named = f"{pool}_pool" if pool == ATTACK else pool
    line = (
        f"--{named.replace('_', '-')} 1000 of `secateur train`, {named} = 1000 in a sweep's file, "
        if pool in (ATTACK, POPULATION)
        else ""
    )
    return f"(there are: {there}); ask for them: {line}draw(pools={{{pool!r}: 1000}}) in Python"
