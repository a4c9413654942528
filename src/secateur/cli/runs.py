"""What the verbs share: names of methods, worlds that can be drawn again, fleets opened with their
recipe.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from secateur import store
from secateur.data import draw, load, restrict
from secateur.errors import InputError, StoreError
from secateur.spelling import parse

if TYPE_CHECKING:
    from secateur.protocols import MembershipAttack
    from secateur.train import Recipe, Transform
    from secateur.types import Fleet, Membership, Records

__all__ = ["default_recipe", "log_spaced", "open_run", "parse_attack", "parse_recipe", "world"]

DEFAULT_RECIPES = {
    "digits": "Recipe(build=MLP(widths=(64, 256, 128, 10)), optimiser=Adam(lr=0.002), epochs=80, "
    "batch_size=32)",
    "location30": "Recipe(build=MLP(widths=(446, 512, 256, 128, 30)), optimiser=Adam(lr=0.001), "
    "epochs=30, batch_size=64)",
    "mnist": "Recipe(build=LeNet5(), optimiser=Adam(lr=0.003), epochs=25, batch_size=32)",
    "fashion-mnist": "Recipe(build=LeNet5(), optimiser=Adam(lr=0.003), epochs=25, batch_size=32)",
}
# members per model, population, utility
DEFAULT_SIZES = {
    "digits": (300, 400, 797),
    "location30": (1000, 1000, 2010),
    "mnist": (1000, 1000, 5000),
    "fashion-mnist": (1000, 1000, 5000),
}


def _names(*modules: str) -> dict[str, Callable[..., Any]]:
    from importlib import import_module

    found: dict[str, Callable[..., Any]] = {}
    for module in modules:
        room = import_module(f"secateur.{module}")
        for name in room.__all__:
            value = getattr(room, name)
            if isinstance(value, type):
                found[name] = value
    return found


def parse_recipe(text: str) -> Recipe:
    """Read a recipe as its repr spells it."""
    from secateur.train import Recipe

    found = parse(text, _names("models", "train"))
    if not isinstance(found, Recipe):
        raise InputError(f"{text!r} is a {type(found).__name__}, not a Recipe(build=...)")
    return found


def parse_transform(text: str) -> Transform:
    """Read a pruning method as its repr spells it."""
    from secateur.train import Transform

    found = parse(text, {**_names("train"), **_names("compress")})
    if not isinstance(found, Transform):
        raise InputError(
            f"{text!r} is no pruning method; `secateur methods` lists them, for instance "
            f"ADMM(rate=10)"
        )
    return found


def parse_attack(text: str) -> MembershipAttack:
    """Read an attack as its repr spells it."""
    found = parse(text, {**_names("attack.membership"), **_names("attack.learned")})
    attack: MembershipAttack = found
    return attack


def default_recipe(data: str) -> str:
    """Return the spelling of a data set's default recipe."""
    return DEFAULT_RECIPES[data]


def log_spaced(epochs: int) -> tuple[int, ...]:
    """Return at most 12 epochs from 1 to `epochs`, evenly spaced on a log scale.

    Example:
        >>> log_spaced(80)
        (1, 2, 3, 5, 7, 11, 16, 24, 36, 54, 80)
    """
    if epochs < 1:
        return ()
    return tuple(sorted({round(float(e)) for e in np.geomspace(1, epochs, 12)}))


def world(origin: Mapping[str, Any], data_dir: Path | None) -> tuple[Records, Membership]:
    """Read a data set and draw from it, as `origin` says; the same origin gives the same world.

    Args:
        origin: data, targets, references, share, seed, pools.
        data_dir: where the data set's files lie.
    """
    records = load(str(origin["data"]), data_dir)
    membership = draw(
        records,
        targets=int(origin["targets"]),
        references=int(origin["references"]),
        share=float(origin["share"]),
        seed=int(origin["seed"]),
        pools={str(k): int(v) for k, v in origin["pools"].items()},
    )
    records, membership = restrict(records, membership)
    return replace(records, origin=dict(origin)), membership


def open_run(folder: Path, data_dir: Path | None) -> tuple[Fleet, Records, int]:
    """Open a fleet's folder with its recipe, its records and its seed.

    Raises:
        StoreError: no fleet, an unfinished or damaged one, or data that are not those it was
            trained on.
    """
    plan = store.read_fleet_plan(folder)
    if "data" not in plan.data:
        raise StoreError(
            f"{folder} was not made by `secateur train`: its manifest does not say how to read its "
            "records; open it with secateur.store.open_fleet(folder, recipe=...)"
        )
    fleet = store.open_fleet(folder, recipe=parse_recipe(plan.pipeline[0]))
    records, _ = world(plan.data, data_dir)
    if records.digest != plan.records_digest:
        raise StoreError(
            f"{folder} was trained on records with the digest {plan.records_digest}, but "
            f"{plan.data['data']!r} now gives {records.digest}; point --data-dir to the same files"
        )
    return fleet, records, plan.seed
