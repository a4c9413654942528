"""What a training promised beforehand: its accounted epsilon, and what voids it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from secateur import compress, deploy, train
from secateur.auditing.consequences import DELTA
from secateur.errors import SecateurError
from secateur.measure import epsilon_name
from secateur.spelling import parse
from secateur.train import Accounted, Conversion, Transform
from secateur.train.hooks import MEMBERS
from secateur.types import AUDIT, Measurement

if TYPE_CHECKING:
    from collections.abc import Sequence

    from secateur.train import Recipe
    from secateur.types import Fleet

__all__ = ["accounted_rows", "after_training"]

NOT_ACCOUNTED = (
    "not accounted: settings that were tried on the same members, and whatever else was published "
    "of them"
)


def accounted_rows(fleet: Fleet, *, subject: str, delta: float = DELTA) -> list[Measurement]:
    """Return the epsilon that a fleet's training promises, or why it no longer does.

    Nothing for a training that promises none. The promise holds for pruned models only where no
    step after the training read members.

    Args:
        fleet: opened with its recipe.
        subject: the models' name.
        delta: in (0, 1).

    Returns:
        One row: of the targets the one with the largest epsilon, which is the one with the fewest
        members; status "not run" where a later step read members without noise or may have, where
        a unit owns several records, or where Opacus is missing.
    """
    training = None if fleet.recipe is None else fleet.recipe.train
    if not isinstance(training, Accounted):
        return []
    about: dict[str, Any] = {
        "subject": subject,
        "risk": "membership",
        "method": repr(training),
        "metric": f"accounted {epsilon_name(delta)}",
        "estimand": "property",
    }
    void = after_training(fleet.pipeline[1:], fleet.recipe) or _shared_units(fleet)
    if void:
        return [Measurement(value=None, status="not run", why=void, **about)]
    who = fleet.membership
    sizes = sorted({len(who.members(m)) for m in who.targets.tolist()})
    try:
        bounds = [(training.epsilon(n, delta=delta), n) for n in sizes]
    except SecateurError as error:
        return [Measurement(value=None, status="not run", why=str(error), **about)]
    value, members = max(bounds)
    return [
        Measurement(
            value=value,
            status="exact",
            better="lower",
            counts={
                **training.accounted(members),
                "targets": float(len(who.targets)),
                "delta": delta,
            },
            why=(
                "an upper bound from the training's noise, not from any attack; adjacency: one "
                f"record added or removed, the number of members public; {training.accountant}; "
                f"of {len(who.targets)} targets the largest, with {members} members; "
                f"{NOT_ACCOUNTED}; the noise is a pseudo-random generator's, in floating point"
            ),
            **about,
        )
    ]


def after_training(steps: Sequence[str], recipe: Recipe) -> str:
    """Return which step after a training read its members without noise; empty where none did.

    A step that trains for no epoch, such as `Magnitude(rate=4.0, retrain_epochs=0)`, works on the
    weights alone.

    Args:
        steps: spellings of what was done to the trained models, in order.
        recipe: that the steps train with.

    Example:
        >>> from secateur.models import MLP
        >>> recipe = train.Recipe(build=MLP(widths=(64, 10)))
        >>> after_training(["Magnitude(rate=4.0, retrain_epochs=0)"], recipe)
        ''
        >>> after_training(["Magnitude(rate=4.0)"], recipe)[:44]
        'Magnitude(rate=4.0) read the members without'
    """
    for step in steps:
        try:
            method = parse(step, _listed(), what="pruning method", kinds=vars(train))
        except SecateurError:
            return (
                f"{step} is no listed method, so it cannot be told whether it read the members "
                "without noise, which would void what the training promised"
            )
        if _reads_members(method, recipe):
            return (
                f"{step} read the members without noise, which voids what the training promised; "
                "only steps that read no members, such as Magnitude(retrain_epochs=0), keep it"
            )
    return ""


def _reads_members(method: object, recipe: Recipe) -> bool:
    if isinstance(method, Conversion):
        return not {MEMBERS, AUDIT}.isdisjoint(method.pools)
    return not isinstance(method, Transform) or any(p.epochs for p in method.phases(recipe))


def _listed() -> dict[str, Any]:
    """Return the names that the spelling of a step may hold."""
    rooms = (compress, deploy, train)
    return {n: v for r in rooms for n in r.__all__ if isinstance(v := getattr(r, n), type)}


def _shared_units(fleet: Fleet) -> str:
    """Return why a bound for one record is none for these units; empty where each owns one."""
    who = fleet.membership
    inside = who.inside[who.targets].any(axis=0)
    most = int(np.unique(who.units[inside], return_counts=True)[1].max(initial=0))
    if most <= 1:
        return ""
    return (
        f"a unit owns up to {most} of the members, and the training's noise was accounted for one "
        "record each; a bound for all records of a unit would be far larger and is not computed"
    )
