"""What methods whose models learn from teachers share: splits of units, soft labels, phases."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional

from secateur.errors import MethodError
from secateur.train.mixup import Mixup
from secateur.train.recipe import Phase
from secateur.train.recombined import Recombined
from secateur.train.steps import Taught

if TYPE_CHECKING:
    from torch import Tensor

    from secateur.data.recombinations import Way
    from secateur.train.recipe import Recipe
    from secateur.train.steps import Heard, Transform
    from secateur.types import BoolArray, IntArray

__all__ = [
    "RECOMBINATION",
    "check_dials",
    "check_inside",
    "check_recombined",
    "every_record",
    "left_out_of",
    "mean_answers",
    "recombination",
    "soft_labels",
    "trained_by",
]

RECOMBINATION = ("recombine", "times", "parents", "least")
"""Fields of methods that say how inputs are made; None in all of them is none."""


def left_out_of(units: IntArray, parts: int, *, out: int, seed: int, what: str) -> BoolArray:
    """Return `[parts, members]`: which members each of the teachers trains on.

    Each unit is left out of `out` of them, drawn at random, and every teacher is left as many units
    as the others, but for one.

    Args:
        units: whose record each member is.
        parts: how many teachers.
        out: of how many of them each unit is left out, in 1 .. parts - 1.
        seed: of the draw.
        what: the method, for the message.

    Raises:
        MethodError: fewer units than teachers.
    """
    distinct, inverse = np.unique(units, return_inverse=True)
    if len(distinct) < parts:
        raise MethodError(
            f"{what} cuts each model's members into {parts} parts, and there are {len(distinct)} "
            "units of them; ask for fewer, or draw more members"
        )
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(distinct))
    seen = np.ones((parts, len(distinct)), np.bool_)
    if out == 1:
        seen[np.arange(len(distinct)) % parts, order] = False
        return seen[:, inverse]
    # the teachers that a unit is left out of are drawn from those that lack the fewest units
    lacking = np.zeros(parts)
    for unit in order:
        chosen = np.lexsort((rng.random(parts), lacking))[:out]
        seen[chosen, unit] = False
        lacking[chosen] += 1
    return seen[:, inverse]


def mean_answers(heard: Heard, *, temperature: float) -> Tensor:
    """Return the mean softmax `[records, classes]` of the teachers that did not see a record."""
    unseen = ~heard.seen
    total = torch.zeros(heard.logits.shape[1:], dtype=torch.float64)
    for said, asked in zip(heard.logits, unseen, strict=True):
        total[asked] += torch.softmax(said[asked].double() / temperature, dim=-1)
    return total / unseen.sum(0)[:, None]


def soft_labels(answers: Tensor, heard: Heard, *, alpha: float) -> Tensor:
    """Return (1 - alpha) times the answers plus alpha times the records' own labels."""
    if not alpha:
        return answers.float()
    hard = functional.one_hot(heard.labels, heard.classes).to(answers)
    return ((1.0 - alpha) * answers + alpha * hard).float()


def every_record(heard: Heard) -> Tensor:
    """Return the positions of all records."""
    return torch.arange(len(heard.labels))


def trained_by(
    recipe: Recipe, method: Transform | None, epochs: int | None, *, mixup: float = 0.0
) -> tuple[Phase, ...]:
    """Return the recipe's training for so many epochs, then a method that goes on from it.

    A method that starts from fresh weights stands in place of the recipe's training. With `mixup`
    all of it is trained on mixed records, the mixing behind the recipe's hooks.
    """
    if mixup:
        recipe = replace(recipe, hooks=(*recipe.hooks, Mixup(alpha=mixup)))
    if method is not None and method.fresh:
        return method.phases(recipe)
    first = Phase(
        epochs=recipe.epochs if epochs is None else epochs,
        hooks=recipe.hooks,
        streams=recipe.streams,
    )
    return (first, *(() if method is None else method.phases(recipe)))


def recombination(
    way: Way | None, *, times: float | None, parents: int | None, least: float | None
) -> Recombined | None:
    """Return how inputs are made that a student learns on; None where they are not.

    Args:
        way: of `Recombined`, as the others are; None there is its default.
        times: how many.
        parents: of how many members each.
        least: their least share.

    Raises:
        MethodError: a number out of range, or one that nothing reads.
    """
    values = {"times": times, "parents": parents, "least": least}
    given: dict[str, Any] = {name: v for name, v in values.items() if v is not None}
    if way is not None:
        return Recombined(way=way, **given)
    for name, value in given.items():
        raise MethodError(
            f"{name}={value} is read with recombine alone; name a way, or leave it out"
        )
    return None


def check_recombined(
    made: Recombined | None, *, what: str, alpha: float = 0.0, keep: bool = False
) -> None:
    """Refuse what does not go with made inputs.

    Raises:
        MethodError: names it.
    """
    if made is not None and (alpha or keep):
        raise MethodError(
            f"{what}: with recombine={made.way!r} the model learns on inputs that are no member's: "
            f"they have no label of their own, and no row to be kept by; leave out "
            f"{f'alpha={alpha}' if alpha else 'keep=True'}"
        )


def check_dials(
    *,
    temperature: float = 1.0,
    alpha: float = 0.0,
    epochs: int | None = None,
    teacher_epochs: int | None = None,
) -> None:
    """Refuse a temperature, a share of the hard label or epochs out of range.

    Raises:
        MethodError: names the value.
    """
    if not (temperature > 0 and np.isfinite(temperature)):
        raise MethodError(f"temperature must be positive and finite, got {temperature}")
    if not 0 <= alpha < 1:
        raise MethodError(
            f"alpha, the share of the records' own labels, is in [0, 1), got {alpha}; at 1 no "
            "teacher is listened to: write the pruning method by itself"
        )
    if epochs is not None and epochs < 0:
        raise MethodError(f"epochs must be at least 0, or None for the recipe's; got {epochs}")
    if teacher_epochs is not None and teacher_epochs < 1:
        raise MethodError(
            f"teacher_epochs must be at least 1, or None for the recipe's; got {teacher_epochs}: "
            "an untrained teacher's answers are noise"
        )


def check_inside(field: str, method: Transform | None, epochs: int | None, *, what: str) -> None:
    """Refuse what cannot stand inside a taught method.

    Raises:
        MethodError: a method that trains masks anew, or epochs that a fresh method would not read.
    """
    if method is None:
        return
    if isinstance(method, Taught):
        raise MethodError(
            f"{what}: {field}={method!r} is no pruning method but has teachers of its own; write "
            "ADMM(...), Magnitude(...) or RandomMask(...)"
        )
    if getattr(method, "masks_only", False):
        raise MethodError(
            f"{what}: {field}={method!r} trains the masks of a pruned fleet anew, and here is "
            "none; write ADMM(...), Magnitude(...) or RandomMask(...)"
        )
    if method.fresh and epochs is not None:
        raise MethodError(
            f"{what}: {field}={method!r} starts from fresh weights and has epochs of its own; "
            f"leave out epochs={epochs} here"
        )
