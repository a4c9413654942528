"""What the verbs share: names of methods, worlds that can be drawn again, fleets opened with their
recipe.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from secateur import store
from secateur.cli.catalogue import ATTACK, LEARNED, NETWORK, PRUNING, TRAINING, catalogue
from secateur.data import data_set, draw, load, restrict, with_columns
from secateur.errors import (
    InputError,
    NotEnoughReferencesError,
    SecateurWarning,
    StoreError,
)
from secateur.spelling import parse
from secateur.types import AUDIT

if TYPE_CHECKING:
    from secateur.data import Queries
    from secateur.protocols import MembershipAttack
    from secateur.train import Engine, Recipe, Transform
    from secateur.types import Fleet, Membership, Records

__all__ = [
    "check_fit",
    "common_part",
    "default_recipe",
    "engine",
    "log_spaced",
    "made_part",
    "open_runs",
    "parse_attack",
    "parse_queries",
    "parse_recipe",
    "parse_transform",
    "processes",
    "refuse_outputs",
    "refuse_unwritable",
    "refuse_without_references",
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
    from secateur.train import hooks, recipe

    kinds = {**vars(protocols), **vars(hooks), **vars(recipe), "nn": nn}
    return parse(text, names, what=what, kinds=kinds)


def parse_recipe(text: str) -> Recipe:
    """Read a recipe as its repr spells it."""
    from secateur.train import Recipe

    found = _parse(text, _names(NETWORK, TRAINING), what="network or training method")
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
    # an optimiser may stand inside a pruning method, but is none
    known = pruning if name not in pruning else {**pruning, **_names(TRAINING)}
    found = _parse(text, known, what="pruning method")
    assert isinstance(found, Transform)  # the catalogue lists nothing else as pruning
    return found


def parse_attack(text: str) -> MembershipAttack:
    """Read an attack as its repr spells it."""
    attack: MembershipAttack = _parse(text, _names(ATTACK, LEARNED), what="attack")
    return attack


def parse_queries(text: str) -> Queries:
    """Read how records are asked about, as its repr spells it."""
    from secateur.data import Queries

    found: Queries = _parse(text, {"Queries": Queries}, what="way to ask")
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


def refuse_without_references(attacks: Sequence[MembershipAttack], membership: Membership) -> None:
    """Say before any query that none of the asked attacks has the references that it needs.

    Raises:
        NotEnoughReferencesError: no attack can run; the message counts the references.
    """
    references = membership.inside[membership.references][:, membership.pool(AUDIT)]
    ins = references.sum(axis=0).min() if len(references) else 0
    outs = (~references).sum(axis=0).min() if len(references) else 0
    short = [a for a in attacks if a.min_in > ins or a.min_out > outs]
    if short and len(short) == len(attacks):
        raise NotEnoughReferencesError(
            f"{', '.join(type(a).__name__ for a in short)} cannot run: with {len(references)} "
            f"references, some record is in {ins} of them and out of {outs}; train a fleet with "
            "--references 2 or more (16 or more are advisable), or name an attack that needs none"
        )


def refuse_outputs(*files: Path | None, inputs: Sequence[Path]) -> None:
    """Say before long work which files could not, or should not, be written after it.

    Args:
        files: what will be written; None is left out.
        inputs: files and folders that the work reads.

    Raises:
        StoreError: a file that cannot be written, that is written twice, or that is one of the
            inputs or inside one of them.
    """
    seen: list[Path] = []
    for file in files:
        if file is None:
            continue
        refuse_unwritable(file)
        place = file.resolve()
        if place in seen:
            raise StoreError(f"{file} would be written twice; give each output its own path")
        for source in inputs:
            if place == source.resolve() or source.resolve() in place.parents:
                raise StoreError(
                    f"{file} is, or is inside, the input {source}, which would be overwritten; "
                    "choose another path"
                )
        seen.append(place)


def refuse_unwritable(path: Path) -> None:
    """Say before long work that a file could not be written after it.

    Raises:
        StoreError: the path is no plain file, or below something that is no writable folder.
    """
    store.refuse_no_file(path)
    parent = next(p for p in path.absolute().parents if p.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise StoreError(
            f"cannot write {path}: {parent} is not a folder that may be written; choose another"
        )


def check_fit(recipe: Recipe, records: Records, queries: Queries) -> None:
    """Query a fresh network in every form, so that a wrong shape is said before any training.

    Raises:
        DataError: the network does not accept the records.
        InputError: its output does not fit the classes.
    """
    from secateur.models import logits_of

    try:
        network = recipe.build()
    except (RuntimeError, MemoryError, TypeError, ValueError) as error:
        raise InputError(f"{recipe.build!r} makes no network: {str(error)[:300]}") from error
    for change in queries.changes():
        logits_of(network, records, indices=np.arange(min(2, len(records))), change=change)


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
        origin: data, targets, references, share, seed, pools, and perhaps a file of columns.
        records: the whole data set.
    """
    if "columns" in origin:
        records = with_columns(records, Path(origin["columns"]))
    wanted = origin["pools"]
    if sum(map(int, wanted.values())) > len(records):
        raise InputError(
            f"--members {wanted['audit'] // 2} (the audit pool holds twice as many), --population "
            f"{wanted['population']} and --utility {wanted['utility']} need "
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
    )
    records, membership = restrict(records, membership)
    return replace(records, origin=dict(origin)), membership


def made_part(fleet: Fleet) -> Fleet:
    """Return the models of a fleet that are there."""
    missing = set(getattr(fleet.artifacts, "missing", tuple)())
    return fleet.part([i for i in range(len(fleet)) if i not in missing]) if missing else fleet


def common_part(fleets: Sequence[Fleet]) -> list[Fleet]:
    """Return of each fleet the models that all of them have, and say how many those are.

    Raises:
        InputError: there is no target among them.
    """
    absent = {i for f in fleets for i in getattr(f.artifacts, "missing", tuple)()}
    if not absent:
        return list(fleets)
    rows = [i for i in range(len(fleets[0])) if i not in absent]
    roles = [fleets[0].membership.roles[i] for i in rows]
    targets = roles.count("target")
    if not targets:
        raise InputError(
            f"of {len(fleets[0])} models {len(rows)} are in every fleet, and no target is among "
            "them; make more of them first"
        )
    warnings.warn(
        f"of {len(fleets[0])} models {len(rows)} are in every fleet: {targets} targets and "
        f"{len(rows) - targets} references; the rest was not made",
        SecateurWarning,
        stacklevel=2,
    )
    return [fleet.part(rows) for fleet in fleets]


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
    records, _ = world(first.data, load(str(first.data["data"]), data_dir))
    if records.digest != first.records_digest:
        raise StoreError(
            f"{folders[0]} was trained on records with the digest {first.records_digest}, but "
            f"{first.data['data']!r} now gives {records.digest}; point --data-dir to the same files"
        )
    return fleets, records, first.seed
