"""What the verbs share: names of methods, worlds that can be drawn again, fleets opened with their
recipe.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from secateur import store
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
from secateur.data import canary_indices, data_set, draw, load, plant, restrict, with_columns
from secateur.errors import InputError, StoreError
from secateur.spelling import parse

if TYPE_CHECKING:
    from secateur.data import Queries
    from secateur.data.planting import Canaries
    from secateur.protocols import MembershipAttack
    from secateur.train import Conversion, Defence, Engine, Keep, Recipe, Transform
    from secateur.types import Fleet, Membership, Records

__all__ = [
    "default_recipe",
    "engine",
    "keep",
    "log_spaced",
    "open_runs",
    "parse_attack",
    "parse_canaries",
    "parse_conversion",
    "parse_defence",
    "parse_queries",
    "parse_recipe",
    "parse_step",
    "parse_transform",
    "processes",
    "world",
]


def _names(*kinds: str) -> dict[str, Callable[..., Any]]:
    """Return the listed methods of these kinds, imported."""
    return {
        entry.name: getattr(import_module(entry.module), entry.name)
        for entry in catalogue()
        if entry.kind in kinds
    }


def _parse(text: str, names: Mapping[str, Callable[..., Any]], *, what: str) -> Any:
    """Read a spelling whose parameters are checked against their annotations."""
    from torch import nn

    from secateur import protocols
    from secateur.train import hooks, recipe, steps

    kinds = {**vars(protocols), **vars(hooks), **vars(recipe), **vars(steps), "nn": nn}
    return parse(text, names, what=what, kinds=kinds)


def parse_recipe(text: str) -> Recipe:
    """Read a recipe as its repr spells it."""
    from secateur.train import Recipe

    found = _parse(text, _names(NETWORK, TRAINING, DEFENCE), what="network or training method")
    if not isinstance(found, Recipe):
        raise InputError(
            f"{text!r} is a {type(found).__name__}, not a recipe; write Recipe(build=...)"
        )
    if not callable(found.build):
        raise InputError(f"build={found.build!r} makes no network; write build=MLP(widths=...)")
    return found


def parse_transform(text: str) -> Transform:
    """Read a pruning method as its repr spells it."""
    from secateur.train import Transform

    pruning = _names(PRUNING)
    name = text.partition("(")[0].strip()
    refuse_other_kinds(text, PRUNING, what="pruning method")
    # an optimiser or a pattern may stand inside a pruning method, but is none
    known = pruning if name not in pruning else {**pruning, **_names(TRAINING, PATTERN)}
    found = _parse(text, known, what="pruning method")
    assert isinstance(found, Transform)  # the catalogue lists nothing else as pruning
    return found


def parse_defence(text: str) -> Defence | Transform:
    """Read a defence as its repr spells it: of the recipe, or one whose models are taught."""
    from secateur.train import Defence, Transform

    refuse_other_kinds(text, DEFENCE, what="defence")
    defences = _names(DEFENCE)
    name = text.partition("(")[0].strip()
    # an optimiser, a network or a pruning method may stand inside a defence, but is none
    inside = _names(TRAINING, NETWORK, PRUNING, PATTERN)
    found = _parse(
        text, defences if name not in defences else {**defences, **inside}, what="defence"
    )
    assert isinstance(found, Defence | Transform)  # the catalogue lists nothing else as a defence
    return found


def parse_conversion(text: str) -> Conversion:
    """Read a conversion as its repr spells it."""
    from secateur.train import Conversion

    refuse_other_kinds(text, CONVERSION, what="conversion")
    found = _parse(text, _names(CONVERSION), what="conversion")
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
        if name in _names(kind):
            return read(text)
    found: Transform = _parse(text, _names(*ways), what="pruning method, defence or conversion")
    return found


def parse_attack(text: str) -> MembershipAttack:
    """Read an attack as its repr spells it."""
    refuse_other_kinds(text, ATTACK, LEARNED, what="attack")
    attacks = _names(ATTACK, LEARNED)
    # a perturbation may stand inside an attack, but is none
    known = {**attacks, **_names(PERTURBATION)} if text.partition("(")[0] in attacks else attacks
    attack: MembershipAttack = _parse(text, known, what="attack")
    return attack


def parse_queries(text: str) -> Queries:
    """Read how records are asked about, as its repr spells it."""
    from secateur.data import Queries

    found: Queries = _parse(text, {"Queries": Queries}, what="way to ask")
    return found


def parse_canaries(text: str) -> Canaries:
    """Read a kind of canaries as its repr spells it."""
    found: Canaries = _parse(text, _names(CANARIES), what="kind of canaries")
    return found


def processes(workers: int) -> int:
    """Return how many worker processes an audit uses; 0 works in this process."""
    wanted = workers or len(os.sched_getaffinity(0))
    return 0 if wanted == 1 else wanted


def engine(text: str, workers: int) -> Engine:
    """Return the engine that a spelling stands for, with so many workers (0: one per core)."""
    from secateur.train import Auto, Processes, Ray, Serial, Stacked

    if text == "serial" or (text == "processes" and workers == 1):
        return Serial()
    kinds = (Auto, Processes, Ray, Stacked)
    for kind in kinds:
        if text == kind.__name__.lower():
            return kind(workers=workers)
    names = {kind.__name__: kind for kind in (Serial, *kinds)}
    found: Serial | Auto | Processes | Ray | Stacked = _parse(text, names, what="engine")
    if isinstance(found, Serial) or not workers:
        return found
    return replace(found, workers=workers)


def default_recipe(data: str, records: Records | None = None) -> str:
    """Return the spelling of a data set's default recipe.

    Args:
        data: the data set's name.
        records: for the advice where there is none.

    Raises:
        InputError: it has none, because classes or shapes depend on the user's own files.
    """
    found = data_set(data)
    if not found.recipe:
        classes = 10 if records is None else records.n_classes
        raise InputError(
            f"{data} has no default recipe, since its classes are those of your own files; give "
            f'one, such as --recipe "Recipe(build=SmallCNN(channels=3, classes={classes}))"'
        )
    return found.recipe


def keep(queries: Queries) -> Keep:
    """Return what stands for a reference's weights: the signals of the default attacks."""
    from secateur.auditing import default_attacks, needed_signals
    from secateur.probe import SignalProbe
    from secateur.train import Keep

    probe = SignalProbe(signals=needed_signals(default_attacks()))
    return Keep(probe=probe, queries=queries)


def log_spaced(epochs: int) -> tuple[int, ...]:
    """Return at most 12 epochs from 1 to `epochs`, evenly spaced on a log scale.

    Example:
        >>> log_spaced(80)
        (1, 2, 3, 5, 7, 11, 16, 24, 36, 54, 80)
    """
    if epochs < 1:
        return ()
    return tuple(sorted({round(float(e)) for e in np.geomspace(1, epochs, 12)}))


def world(origin: Mapping[str, Any], records: Records) -> tuple[Records, Membership]:
    """Draw from a data set as `origin` says; the same origin gives the same world.

    Args:
        origin: data, targets, references, share, seed, pools, and perhaps a file of columns and
            canaries as they are spelled.
        records: the whole data set.
    """
    if "columns" in origin:
        records = with_columns(records, Path(origin["columns"]))
    canaries = [parse_canaries(str(text)) for text in origin.get("canaries", ())]
    records = plant(records, canaries, seed=int(origin["seed"]))
    wanted = origin["pools"]
    if sum(map(int, wanted.values())) > len(records):
        raise InputError(
            f"members {wanted['audit'] // 2} (the audit pool holds twice as many), population "
            f"{wanted['population']}, utility {wanted['utility']} and attack pool "
            f"{wanted.get('attack', 0)} need "
            f"{sum(wanted.values())} records, but {origin['data']} has {len(records)}; ask for "
            "fewer"
        )
    membership = draw(
        records,
        targets=int(origin["targets"]),
        references=int(origin["references"]),
        share=float(origin["share"]),
        seed=int(origin["seed"]),
        pools={str(k): int(v) for k, v in origin["pools"].items()},
        audited=canary_indices(records) if canaries else None,
    )
    records, membership = restrict(records, membership)
    return replace(records, origin=dict(origin)), membership


def open_runs(
    folders: Sequence[Path], data_dir: Path | None, *, partial: bool = False
) -> tuple[list[Fleet], Records, int]:
    """Open fleets of one draw with their recipes, their records and the first one's seed.

    Args:
        folders: of the fleets.
        data_dir: where their data set's files lie.
        partial: unfinished fleets too.

    Raises:
        StoreError: no fleet, an unfinished or damaged one, or data that are not those it was
            trained on.
        InputError: fleets of different records.
    """
    plans = [store.read_fleet_plan(folder) for folder in folders]
    fleets = []
    for folder, plan in zip(folders, plans, strict=True):
        if not set(plan.data) >= {"data", "targets", "references", "share", "seed", "pools"}:
            raise StoreError(
                f"{folder} was not made by `secateur train`: its manifest does not say how to read "
                "its records; open it with secateur.open_fleet(folder, recipe=...)"
            )
        if plan.records_digest != plans[0].records_digest:
            raise InputError(
                f"{folders[0]} and {folder} were trained on different records; before and after "
                "must be one draw: prune the first fleet instead of training another"
            )
        recipe = parse_recipe(plan.pipeline[0])
        fleets.append(store.open_fleet(folder, recipe=recipe, partial=partial))
    first = plans[0]
    records, drawn = world(first.data, load(str(first.data["data"]), data_dir))
    if records.digest != first.records_digest:
        raise StoreError(
            f"{folders[0]} was trained on records with the digest {first.records_digest}, but "
            f"{first.data['data']!r} now gives {records.digest}; point --data-dir to the same files"
        )
    # a fleet stored before shares were does not say how its coins were thrown; the draw does
    told = [
        replace(f, membership=drawn) if f.membership.digest == drawn.digest else f for f in fleets
    ]
    return told, records, first.seed
