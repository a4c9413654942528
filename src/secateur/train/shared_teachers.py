"""Which methods have the same teachers, what they ask them, and what keeping these takes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from secateur.train.met import count_met, share_met
from secateur.train.model import initial_module
from secateur.train.planned import recipe_of_teachers, teaching
from secateur.train.recombined import recombined_of

if TYPE_CHECKING:
    from torch import Tensor

    from secateur.train.recipe import Recipe
    from secateur.train.steps import Taught
    from secateur.types import Membership, Records

__all__ = ["asked_again", "bytes_of_lessons", "teachers_of"]

UNITS = 5000
"""Units on which two ways to split are compared."""


def teachers_of(method: Taught, recipe: Recipe) -> str:
    """Return a name of a method's teachers: methods with the same one train the same networks.

    Args:
        method: whose teachers.
        recipe: what teachers are trained by.

    Example:
        >>> from secateur.defend import SELENA
        >>> from secateur.models import MLP
        >>> from secateur.train import Recipe
        >>> recipe = Recipe(build=MLP(widths=(64, 10)), epochs=1)
        >>> first, longer = SELENA(), SELENA(epochs=9)
        >>> teachers_of(first, recipe) == teachers_of(longer, recipe)
        True
    """
    trained = repr(recipe_of_teachers(recipe, method)), repr(teaching(recipe, method))
    found = hashlib.sha256(repr(trained).encode())
    found.update(method.split(np.arange(UNITS), seed=0).tobytes())
    return found.hexdigest()[:24]


def asked_again(method: Taught, others: Iterable[Taught], recipe: Recipe) -> bool:
    """Tell whether another method has the same teachers, and what they said to this one does not
    serve it, so that they are worth keeping.

    Args:
        method: whose teachers.
        others: further methods of the same run and recipe.
        recipe: what teachers are trained by.
    """

    def questions(one: Taught) -> tuple[str, float, str]:
        return one.pool, share_met(one), repr(recombined_of(one))

    own, name = questions(method), teachers_of(method, recipe)
    made = recombined_of(method) is not None  # what is said of made inputs is not kept
    return any(
        (made or questions(other) != own) and teachers_of(other, recipe) == name for other in others
    )


def bytes_of_lessons(
    method: Taught, recipe: Recipe, records: Records, membership: Membership
) -> tuple[int, int]:
    """Return how many bytes one model's lessons take where they are kept: what its teachers say,
    and the teachers themselves.

    Args:
        method: by which models are taught.
        recipe: what teachers are trained by.
        records: all records.
        membership: who trains on what; its first model stands for all.
    """
    members = membership.members(0)
    teachers = len(method.split(membership.units[members], seed=0)) if len(members) else 0
    asked = count_met(method, membership, 0) if recombined_of(method) is None else 0
    weights = sum(t.numel() * t.element_size() for t in _state(recipe_of_teachers(recipe, method)))
    logits = np.dtype(np.float32).itemsize * asked * records.n_classes
    return teachers * logits, teachers * weights


def _state(recipe: Recipe) -> Iterable[Tensor]:
    return initial_module(recipe, 0).state_dict().values()
