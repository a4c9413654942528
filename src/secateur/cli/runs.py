"""What the verbs share: names of methods, worlds that can be drawn again, fleets opened with their
recipe.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from secateur import store
from secateur.cli.checks import refuse_unread_data
from secateur.cli.spelled import parse_canaries, parse_recipe, read_spelling
from secateur.data import canary_indices, data_set, draw, load, plant, restrict, with_columns
from secateur.errors import InputError, StoreError

if TYPE_CHECKING:
    from secateur.data import Queries
    from secateur.own import OwnBuild, OwnTrain
    from secateur.train import Engine, Keep, Recipe
    from secateur.types import Fleet, Membership, Records

__all__ = [
    "default_recipe",
    "engine",
    "keep",
    "log_spaced",
    "open_runs",
    "origin_of",
    "pools_of",
    "processes",
    "read_data",
    "whole_name",
    "world",
]


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
    found: Serial | Auto | Processes | Ray | Stacked = read_spelling(text, names, what="engine")
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
    if data.endswith(".py"):
        return data
    found = data_set(data)
    if not found.recipe:
        classes = 10 if records is None else records.n_classes
        raise InputError(
            f"{data} has no default recipe, since its classes are those of your own files; give "
            f'one, such as --recipe "Recipe(build=SmallCNN(channels=3, classes={classes}))"'
        )
    return found.recipe


def read_data(data: str, folder: Path | None) -> Records:
    """Return a data set's records, or those of a recipe file where `data` ends in .py.

    Args:
        data: its name, or the file.
        folder: where the data sets' files lie.
    """
    if data.endswith(".py"):
        from secateur.own import records_of

        return records_of(data)
    return load(data, folder)


def whole_name(data: str) -> str:
    """Return a data set's name, or the whole path of a recipe file, so that any folder finds it.

    Example:
        >>> whole_name("digits")
        'digits'
    """
    return str(Path(data.strip()).absolute()) if data.strip().endswith(".py") else data


def pools_of(
    data: str,
    asked: tuple[int | None, int | None, int | None],
    records: Records | None = None,
    *,
    attack: int = 0,
) -> dict[str, int]:
    """Return records per pool; members, population, utility are by default the data set's.

    Args:
        data: its name, or a recipe file.
        asked: members, population, utility; None is the default.
        records: of a recipe file, of which the default takes shares.
        attack: non-members that a defence reads; none have no pool.
    """
    if records is not None and data.endswith(".py"):
        from secateur.own import shares

        usual = shares(len(records))
    else:
        usual = data_set(data).sizes
    sizes = zip(asked, usual, strict=True)
    members, population, utility = (default if n is None else n for n, default in sizes)
    found = {"audit": 2 * members, "population": population, "utility": utility}
    return {**found, "attack": attack} if attack else found


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


def _same_data(origin: Mapping[str, Any]) -> str:
    """Return how to get the records back that a fleet was trained on."""
    if str(origin["data"]).endswith(".py"):
        return "its records() must give the same records on every call: put back what it reads"
    return "point --data-dir to the same files"


def origin_of(
    recipe: Recipe,
    data: str,
    *,
    models: tuple[int, int],
    seed: int,
    pools: Mapping[str, int],
    queries: Queries,
    columns: Path | None = None,
    canaries: Sequence[str] = (),
) -> dict[str, Any]:
    """Return what a fleet's manifest says of its records and its draw, which `world` reads.

    Args:
        recipe: what trains; where its file lies is said, if it is not the records' too.
        data: as `whole_name` gives it.
        models: targets and references.
        seed: of the draw.
        pools: records per pool.
        queries: how records are asked about.
        columns: the file of units and groups.
        canaries: as they are spelled.
    """
    files = {str(part.path.absolute()) for part in _own_parts(recipe)} - {data}
    return {
        "data": data,
        **({"recipe": files.pop()} if files else {}),
        "targets": models[0],
        "references": models[1],
        "share": 0.5,
        "seed": seed,
        "pools": dict(pools),
        **({"queries": repr(queries)} if len(queries) > 1 else {}),
        **({} if columns is None else {"columns": str(columns.absolute())}),
        **({"canaries": list(canaries)} if canaries else {}),
    }


def _own_parts(recipe: Recipe) -> list[OwnBuild | OwnTrain]:
    from secateur.own import OwnBuild, OwnTrain

    parts = (recipe.build, recipe.train)
    return [part for part in parts if isinstance(part, OwnBuild | OwnTrain)]


def _recipe_folder(origin: Mapping[str, Any]) -> Path | None:
    """Return where the recipe file of a fleet lies; None where it has none."""
    file = str(origin.get("recipe", origin["data"]))
    return Path(file).parent if file.endswith(".py") else None


def _without_folder(fleet: Fleet) -> Fleet:
    """Return a fleet whose recipe file is named alone, as that of old ones is not."""
    if not _own_parts(fleet.recipe):
        return fleet
    return replace(fleet, pipeline=(repr(fleet.recipe), *fleet.pipeline[1:]))


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
        refuse_unread_data(folder, plan)
        if plan.records_digest != plans[0].records_digest:
            raise InputError(
                f"{folders[0]} and {folder} were trained on different records; before and after "
                "must be one draw: prune the first fleet instead of training another"
            )
        recipe = parse_recipe(plan.pipeline[0], _recipe_folder(plan.data))
        fleet = store.open_fleet(folder, recipe=recipe, partial=partial)
        fleets.append(_without_folder(fleet))
    first = plans[0]
    records, drawn = world(first.data, read_data(str(first.data["data"]), data_dir))
    if records.digest != first.records_digest:
        raise StoreError(
            f"{folders[0]} was trained on records with the digest {first.records_digest}, but "
            f"{first.data['data']!r} now gives {records.digest}; {_same_data(first.data)}"
        )
    # a fleet stored before shares were does not say how its coins were thrown; the draw does
    told = [
        replace(f, membership=drawn) if f.membership.digest == drawn.digest else f for f in fleets
    ]
    return told, records, first.seed
