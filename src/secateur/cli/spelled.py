"""Methods as the command line spells them, read by kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from secateur.cli.catalogue import (
    ATTACK,
    CANARIES,
    CONVERSION,
    DEFENCE,
    LEARNED,
    NETWORK,
    PATTERN,
    PERTURBATION,
    PRUNING,
    TRAINING,
    catalogue,
    refuse_other_kinds,
)
from secateur.errors import InputError
from secateur.spelling import parse

if TYPE_CHECKING:
    from secateur.data import Queries
    from secateur.data.planting import Canaries
    from secateur.protocols import MembershipAttack
    from secateur.train import Conversion, Defence, Recipe, Transform

__all__ = [
    "names_of",
    "parse_attack",
    "parse_canaries",
    "parse_conversion",
    "parse_defence",
    "parse_queries",
    "parse_recipe",
    "parse_step",
    "parse_transform",
    "read_spelling",
]


def names_of(*kinds: str) -> dict[str, Callable[..., Any]]:
    """Return the listed methods of these kinds, imported."""
    return {
        entry.name: getattr(import_module(entry.module), entry.name)
        for entry in catalogue()
        if entry.kind in kinds
    }


def read_spelling(text: str, names: Mapping[str, Callable[..., Any]], *, what: str) -> Any:
    """Read a spelling whose parameters are checked against their annotations."""
    from torch import nn

    from secateur import protocols
    from secateur.train import hooks, recipe, steps

    kinds = {**vars(protocols), **vars(hooks), **vars(recipe), **vars(steps), "nn": nn}
    return parse(text, names, what=what, kinds=kinds)


def parse_recipe(text: str, folder: Path | None = None) -> Recipe:
    """Read a recipe as its repr spells it, or the recipe file that a path ending in .py names.

    Args:
        text: the spelling, or the path.
        folder: where a recipe file lies of which the spelling gives the name alone.
    """
    from secateur.own import OwnBuild, OwnTrain, is_recipe_file, placed, recipe_of, refuse_changed
    from secateur.train import Recipe

    if is_recipe_file(text):
        return _read_again(recipe_of(text.strip()), Path(text.strip()).absolute().parent)
    own = {"OwnBuild": OwnBuild, "OwnTrain": OwnTrain}
    found = read_spelling(
        text, {**names_of(NETWORK, TRAINING, DEFENCE), **own}, what="network or training method"
    )
    if not isinstance(found, Recipe):
        raise InputError(
            f"{text!r} is a {type(found).__name__}, not a recipe; write Recipe(build=...)"
        )
    if not callable(found.build):
        raise InputError(f"build={found.build!r} makes no network; write build=MLP(widths=...)")
    found = replace(found, build=placed(found.build, folder), train=placed(found.train, folder))
    refuse_changed(found.build, found.train)
    return found


def _read_again(recipe: Recipe, folder: Path) -> Recipe:
    """Return a recipe file's recipe, spelled and read: so every later command finds it."""
    from secateur.errors import MethodError

    try:
        return parse_recipe(repr(recipe), folder)
    except MethodError as error:
        raise InputError(
            f"what RECIPE holds cannot be read again by a later command ({error}); name there "
            "optimisers and hooks of `secateur methods`, and put your own into train()"
        ) from error


def parse_transform(text: str) -> Transform:
    """Read a pruning method as its repr spells it."""
    from secateur.train import Transform

    pruning = names_of(PRUNING)
    name = text.partition("(")[0].strip()
    refuse_other_kinds(text, PRUNING, what="pruning method")
    # an optimiser or a pattern may stand inside a pruning method, but is none
    known = pruning if name not in pruning else {**pruning, **names_of(TRAINING, PATTERN)}
    found = read_spelling(text, known, what="pruning method")
    assert isinstance(found, Transform)  # the catalogue lists nothing else as pruning
    return found


def parse_defence(text: str) -> Defence | Transform:
    """Read a defence as its repr spells it: of the recipe, or one whose models are taught."""
    from secateur.train import Defence, Transform

    refuse_other_kinds(text, DEFENCE, what="defence")
    defences = names_of(DEFENCE)
    name = text.partition("(")[0].strip()
    # an optimiser, a network or a pruning method may stand inside a defence, but is none
    inside = names_of(TRAINING, NETWORK, PRUNING, PATTERN)
    found = read_spelling(
        text, defences if name not in defences else {**defences, **inside}, what="defence"
    )
    assert isinstance(found, Defence | Transform)  # the catalogue lists nothing else as a defence
    return found


def parse_conversion(text: str) -> Conversion:
    """Read a conversion as its repr spells it."""
    from secateur.train import Conversion

    refuse_other_kinds(text, CONVERSION, what="conversion")
    found = read_spelling(text, names_of(CONVERSION), what="conversion")
    assert isinstance(found, Conversion)  # the catalogue lists nothing else as a conversion
    return found


def parse_step(text: str) -> Transform | Defence | Conversion:
    """Read a pruning method, a defence or a conversion as its repr spells it."""
    name = text.partition("(")[0].strip()
    ways: dict[str, Callable[[str], Transform | Defence | Conversion]] = {
        PRUNING: parse_transform,
        DEFENCE: parse_defence,
        CONVERSION: parse_conversion,
    }
    for kind, read in ways.items():
        if name in names_of(kind):
            return read(text)
    found: Transform = read_spelling(
        text, names_of(*ways), what="pruning method, defence or conversion"
    )
    return found


def parse_attack(text: str) -> MembershipAttack:
    """Read an attack as its repr spells it."""
    refuse_other_kinds(text, ATTACK, LEARNED, what="attack")
    attacks = names_of(ATTACK, LEARNED)
    # a perturbation may stand inside an attack, but is none
    known = {**attacks, **names_of(PERTURBATION)} if text.partition("(")[0] in attacks else attacks
    attack: MembershipAttack = read_spelling(text, known, what="attack")
    return attack


def parse_queries(text: str) -> Queries:
    """Read how records are asked about, as its repr spells it."""
    from secateur.data import Queries

    found: Queries = read_spelling(text, {"Queries": Queries}, what="way to ask")
    return found


def parse_canaries(text: str) -> Canaries:
    """Read a kind of canaries as its repr spells it."""
    found: Canaries = read_spelling(text, names_of(CANARIES), what="kind of canaries")
    return found
