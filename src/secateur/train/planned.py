"""What will happen to each model of a fleet, and which pools that reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from secateur.train.batches import pools_of
from secateur.train.hooks import MEMBERS
from secateur.train.met import count_met
from secateur.train.recombined import recombined_of
from secateur.train.steps import Conversion, Taught

if TYPE_CHECKING:
    from collections.abc import Callable

    from secateur.train.recipe import Phase, Recipe
    from secateur.train.steps import Transform
    from secateur.types import Membership

__all__ = [
    "learned_by",
    "planned",
    "read_pools",
    "recipe_of_teachers",
    "teaching",
    "work",
    "work_parts",
]


def planned(recipe: Recipe, step: Transform | Conversion | None) -> tuple[Phase, ...]:
    """Return what happens to a model, in order; None is the recipe's own training."""
    if isinstance(step, Conversion):
        return ()
    return recipe.phases() if step is None else step.phases(recipe)


def teaching(recipe: Recipe, step: Transform | Conversion | None) -> tuple[Phase, ...]:
    """Return what happens to each teacher of a model that is taught."""
    return step.teaching(recipe_of_teachers(recipe, step)) if isinstance(step, Taught) else ()


def recipe_of_teachers(recipe: Recipe, step: Transform | Conversion | None) -> Recipe:
    """Return the recipe that teachers are trained by: the models' own, unless a method says another
    (`Taught`).

    Example:
        >>> from secateur.defend import SELENA, Subsample, TeacherNetwork
        >>> from secateur.models import MLP
        >>> from secateur.train import Recipe
        >>> inside = TeacherNetwork(build=MLP(widths=(4, 9, 2)), method=SELENA())
        >>> recipe = Recipe(build=MLP(widths=(4, 2)))
        >>> recipe_of_teachers(recipe, Subsample(method=inside)).build.widths
        (4, 9, 2)
    """
    around: Taught | None = getattr(step, "taught", None)
    if around is not None:
        return recipe_of_teachers(recipe, around)
    other: Callable[[Recipe], Recipe] | None = getattr(step, "teachers_by", None)
    return recipe if other is None else other(recipe)


def read_pools(recipe: Recipe, step: Transform | Conversion | None) -> list[str]:
    """Return the names of the pools that are read beside the members."""
    if isinstance(step, Conversion):
        return sorted({*step.pools} - {MEMBERS})
    found = {*pools_of(planned(recipe, step)), *pools_of(teaching(recipe, step))}
    if isinstance(step, Taught):
        found |= {step.pool} - {MEMBERS}
    return sorted(found)


def work(recipe: Recipe, step: Transform | Conversion | None, membership: Membership) -> int:
    """Return how many records all trainings of a fleet read, counted each time."""
    return sum(work_parts(recipe, step, membership))


def work_parts(
    recipe: Recipe, step: Transform | Conversion | None, membership: Membership
) -> tuple[int, int]:
    """Return how many records the models read, and how many their teachers did before."""
    epochs = sum(phase.epochs for phase in planned(recipe, step))
    if not isinstance(step, Taught):
        return int(membership.inside.sum()) * epochs, 0
    own = sum(phase.epochs for phase in teaching(recipe, step))
    first = membership.members(0)
    taught = int(step.split(membership.units[first], seed=0).sum()) if len(first) else 0
    learned = learned_by(step, membership, 0)
    return len(membership) * learned * epochs, len(membership) * taught * own


def learned_by(
    step: Transform | Conversion | None, membership: Membership, model: int, *, seed: int = 0
) -> int:
    """Return on how many records a model is trained in an epoch, if its teachers answer for all
    that they are asked.

    Args:
        step: that makes it.
        membership: who trains on what.
        model: its row there.
        seed: of the model, which says whom it meets where that is not everybody; by default any,
            for estimates.
    """
    if not isinstance(step, Taught):
        return len(membership.members(model))
    asked = count_met(step, membership, model, seed=seed)
    made = recombined_of(step)
    return asked if made is None else made.count(asked)
