"""Read a recipe file: the recipe and the records that it stands for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from secateur.data.chosen import chosen_rows
from secateur.errors import DataError, InputError
from secateur.own.build import OwnBuild, OwnTrain
from secateur.own.module import code_digest, inside, load_file
from secateur.own.records import as_records
from secateur.train import Recipe
from secateur.types import IntArray, Records

__all__ = [
    "named_rows",
    "named_sides",
    "recipe_of",
    "records_of",
    "said_columns",
    "shares",
    "sides_of",
]

FIELDS = ("optimiser", "epochs", "batch_size", "label_smoothing", "hooks", "streams")


def recipe_of(file: str | Path) -> Recipe:
    """Return the recipe that a file's `build()`, `RECIPE` and `train()` stand for.

    Raises:
        InputError: the file cannot be read, has no `build()`, or its RECIPE holds what a recipe has
            not; the message names it.
    """
    path = Path(file).absolute()
    module = load_file(path)
    if not callable(getattr(module, "build", None)):
        raise InputError(
            f"{path} has no function build(), which returns the untrained network; write `def "
            "build(): return nn.Sequential(...)`"
        )
    given = getattr(module, "RECIPE", {})
    if not isinstance(given, Mapping) or not set(given) <= set(FIELDS):
        seen = sorted(map(str, given)) if isinstance(given, Mapping) else type(given).__name__
        raise InputError(
            f"RECIPE in {path} must be a dictionary with keys among {', '.join(FIELDS)}, such as "
            f'RECIPE = {{"epochs": 30, "optimiser": Adam(lr=0.001)}}; got {seen}'
        )
    digest = code_digest(module)
    train = None
    if hasattr(module, "train"):
        if not callable(module.train):
            raise InputError(f"train in {path} must be a function (records, *, seed) -> module")
        train = OwnTrain(file=str(path), digest=digest)
    return Recipe(build=OwnBuild(file=str(path), digest=digest), train=train, **given)


def records_of(file: str | Path) -> Records:
    """Return the records that a file's `records()` gives.

    Beside `records()` the file may say `CLASSES`, and for a DataFrame `LABEL`, `UNIT` and `GROUPS`.

    Raises:
        InputError: the file cannot be read, has no `records()`, or that gives none.
    """
    path = Path(file).absolute()
    module = load_file(path)
    if not callable(getattr(module, "records", None)):
        raise InputError(
            f"{path} has no function records(), which returns the data; add one, or name a data "
            "set with --data"
        )
    with inside(path, "records()"):
        found = module.records()
        return as_records(
            found,
            **said_columns(module),
            n_classes=getattr(module, "CLASSES", None),
            name=path.name,
        )


def said_columns(module: ModuleType) -> dict[str, Any]:
    """Return which columns of a DataFrame a recipe file names."""
    groups: Sequence[str] | str = getattr(module, "GROUPS", ())
    return {
        "label": getattr(module, "LABEL", None),
        "unit": getattr(module, "UNIT", None),
        "groups": (groups,) if isinstance(groups, str) else tuple(groups),
    }


def sides_of(file: str | Path, n: int) -> tuple[IntArray, IntArray | None]:
    """Return the indices of MEMBERS, and of NON_MEMBERS where a recipe file names them.

    Args:
        file: the recipe.
        n: how many records its `records()` gives.

    Raises:
        InputError: the file cannot be read, or names no members.
        DataError: no indices of records.
    """
    path = Path(file).absolute()
    module = load_file(path)
    members = named_rows(module, "MEMBERS", n)
    if members is None:
        raise InputError(
            f"{path} does not say what the network was trained on; add MEMBERS = indices (or a "
            "mask) of records(), and NON_MEMBERS where not all others are such"
        )
    return members, named_rows(module, "NON_MEMBERS", n)


def named_sides(module: ModuleType, n: int) -> tuple[IntArray, IntArray]:
    """Return the indices of a file's MEMBERS, and of NON_MEMBERS, by default all others.

    Raises:
        InputError: a function of them fails.
        DataError: no indices of records, or members alone.
    """
    members = named_rows(module, "MEMBERS", n)
    if members is None:
        raise DataError("MEMBERS is not there")
    others = named_rows(module, "NON_MEMBERS", n)
    if others is None:
        others = np.setdiff1d(np.arange(n), members)
    if not others.size:
        raise DataError(f"MEMBERS names all {n} records, so that none is left as a non-member")
    return members, others


def named_rows(module: ModuleType, name: str, n: int) -> IntArray | None:
    """Return the indices that a recipe file names, from indices, a mask, or a function of them.

    Args:
        module: the file's.
        name: `MEMBERS` or `NON_MEMBERS`.
        n: how many records there are.

    Raises:
        InputError: the function fails; names its line.
        DataError: no indices of records.
    """
    value = getattr(module, name, None)
    if value is None:
        return None
    if callable(value):
        with inside(Path(str(module.__file__)), f"{name}()"):
            value = value()
    return chosen_rows(name, value, n)


def shares(n: int) -> tuple[int, int, int]:
    """Return how many of a user's records are members, population and utility by default.

    Half of the audit pool are members of each model, so that 60 % of the records are audited, and
    20 % each are population and utility.

    Example:
        >>> shares(1000)
        (300, 200, 200)
    """
    return max(1, 3 * n // 10), n // 5, n // 5
