"""Many models from one recipe: each from its own seed, on disk as it ends, found on resume."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from torch import nn

from secateur import store
from secateur.errors import InputError, InterruptedRunError, SecateurError, SecateurWarning
from secateur.train.engines import Processes, Serial
from secateur.train.model import Job, Snapshots, apply_to_module, make_model, rehearse
from secateur.train.plan import Plan
from secateur.train.recipe import Recipe, Transform
from secateur.types import Artifact, Fleet, Membership, Records, derive_seed

if TYPE_CHECKING:
    from secateur.parallel import TaskResult
    from secateur.protocols import Progress

__all__ = ["Engine", "Snapshots", "apply", "train_fleet"]

Engine = Serial | Processes | Literal["auto", "serial", "processes"]


def pick_engine(engine: Engine, models: int) -> Serial | Processes:
    """Resolve an engine's name; both give the same bytes, so `auto` looks at the size alone."""
    if engine == "auto":
        return Processes() if models >= 4 else Serial()
    if engine == "serial":
        return Serial()
    if engine == "processes":
        return Processes()
    if isinstance(engine, Serial | Processes):
        return engine
    raise InputError(f"unknown engine {engine!r}; there are 'auto', 'serial', 'processes'")


@dataclass(frozen=True, kw_only=True)
class _Place:
    """Where a fleet is made: engine, folder (None: in memory), and who is told of progress."""

    engine: Engine
    folder: Path | None
    progress: Progress | None


def train_fleet(
    recipe: Recipe,
    records: Records,
    membership: Membership,
    *,
    seed: int,
    engine: Engine = "auto",
    snapshots: Snapshots | None = None,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> Fleet:
    """Train one model per row of `membership`, each from its own seed.

    Args:
        recipe: how each model is trained.
        records: all records; a model reads its members alone.
        membership: who trains on what.
        seed: model i uses a sub-seed of its own.
        engine: `auto`, `serial`, `processes`, or an engine with its parameters.
        snapshots: what to keep of each model while it trains.
        folder: where models are written as they end; an interrupted run resumes there.
        progress: called after each model.

    Returns:
        A fleet named `dense`; its artifacts load lazily when there is a folder.

    Raises:
        InterruptedRunError: the run was stopped; the message says how to resume.
        StoreError: the folder holds another fleet.

    Example:
        >>> from secateur.data import digits, draw
        >>> from secateur.models import MLP
        >>> records = digits()
        >>> who = draw(records, targets=2, references=4, seed=0)
        >>> recipe = Recipe(build=MLP(widths=(64, 16, 10)), epochs=1)
        >>> len(train_fleet(recipe, records, who, seed=0, engine="serial"))
        6
    """
    plan = Plan(
        recipe=recipe, transform=None, name="dense", pipeline=(repr(recipe),), snapshots=snapshots
    )
    return _make(
        plan,
        records,
        membership,
        None,
        seed,
        _Place(engine=engine, folder=folder, progress=progress),
    )


def apply(
    transform: Transform,
    model: Fleet | nn.Module,
    records: Records,
    *,
    seed: int,
    engine: Engine = "auto",
    folder: Path | None = None,
    progress: Progress | None = None,
    name: str | None = None,
) -> Fleet | Artifact:
    """Apply a transform to every model of a fleet, or to one module; the input stays as it is.

    Args:
        transform: such as `ADMM(rate=10)`.
        model: a fleet, whose membership and seeds carry over, or one trained module, all of whose
            `records` are members.
        records: the fleet's records.
        seed: the fleet's seed, so that before and after are paired; another one is warned of.
        engine: as in `train_fleet`.
        folder: where a fleet's models are written.
        progress: called after each model.
        name: the new fleet's name; by default the transform's class name in lower case.

    Returns:
        A fleet with the same membership, or for a module one artifact.

    Raises:
        InputError: a fleet that was loaded without its recipe, or of other records.

    Example:
        >>> from secateur.data import digits
        >>> from secateur.models import MLP
        >>> from secateur.compress import Magnitude
        >>> net = MLP(widths=(64, 16, 10))()
        >>> small = apply(Magnitude(rate=4, retrain_epochs=0), net, digits(), seed=0)
        >>> int(sum(m.sum() for m in small.masks.values())), 64 * 16 + 16 * 10
        (296, 1184)
    """
    if isinstance(model, nn.Module):
        return apply_to_module(transform, model, records, seed)
    if model.recipe is None:
        raise InputError("this fleet has no recipe; open it with the recipe that trained it")
    model.check_records(records)
    key = model.artifacts[0].provenance.key
    if key.get("seed", derive_seed(seed, "model", 0)) != derive_seed(seed, "model", 0):
        warnings.warn(
            f"the fleet was trained with another seed than {seed}; before and after are paired "
            "only with the same one",
            SecateurWarning,
            stacklevel=2,
        )
    plan = Plan(
        recipe=model.recipe,
        transform=transform,
        name=name or type(transform).__name__.lower(),
        pipeline=(*model.pipeline, repr(transform)),
        snapshots=None,
    )
    place = _Place(engine=engine, folder=folder, progress=progress)
    return _make(plan, records, model.membership, model, seed, place)


def _jobs(
    plan: Plan, records: Records, membership: Membership, parent: Fleet | None, seed: int
) -> list[Job]:
    stored = None if parent is None else getattr(parent.artifacts, "path", None)
    jobs = []
    for model in range(len(membership)):
        model_seed = derive_seed(seed, "model", model)
        key = plan.key(records, membership, model, model_seed)
        start: Artifact | Path | None = None
        if parent is not None and plan.needs_parent:
            start = stored(model) if stored else parent.artifacts[model]
            key["parent"] = _key_digest(parent, model)
        jobs.append(
            Job(
                recipe=plan.recipe,
                transform=plan.transform,
                model=model,
                seed=model_seed,
                key=key,
                parent=start,
                snapshots=plan.snapshots,
            )
        )
    return jobs


def _key_digest(fleet: Fleet, model: int) -> str:
    stored = getattr(fleet.artifacts, "key_digest", None)
    return str(stored(model)) if stored else fleet.artifacts[model].provenance.digest


def _make(
    plan: Plan,
    records: Records,
    membership: Membership,
    parent: Fleet | None,
    seed: int,
    place: _Place,
) -> Fleet:
    if len(records) != membership.inside.shape[1]:
        raise InputError(
            f"{len(records)} records, but the membership is over {membership.inside.shape[1]}"
        )
    jobs = _jobs(plan, records, membership, parent, seed)
    engine = pick_engine(place.engine, len(jobs))
    shared = (records, membership)
    if place.folder is None:
        results = engine.run(make_model, jobs, shared=shared, progress=place.progress)
        return Fleet(
            artifacts=[r.value for r in results],
            membership=membership,
            name=plan.name,
            pipeline=plan.pipeline,
            costs=tuple(r.cpu_seconds for r in results),
            recipe=plan.recipe,
            snapshot_epochs=plan.snapshots.epochs if plan.snapshots else (),
        )
    return _make_on_disk(plan, jobs, shared, seed=seed, engine=engine, place=place)


def _make_on_disk(
    plan: Plan,
    jobs: Sequence[Job],
    shared: tuple[Records, Membership],
    *,
    seed: int,
    engine: Serial | Processes,
    place: _Place,
) -> Fleet:
    folder = place.folder
    assert folder is not None  # the caller looked
    records, membership = shared
    fleet_plan = store.FleetPlan(
        name=plan.name,
        pipeline=plan.pipeline,
        builder_repr=repr(plan.recipe.build),
        membership=membership,
        records_digest=records.digest,
        data=records.origin,
        keys=tuple(job.key for job in jobs),
        seed=seed,
        engine="one model, one thread",
        snapshot_epochs=plan.snapshots.epochs if plan.snapshots else (),
    )
    rehearse(plan.recipe, plan.transform, records, membership)
    store.create_fleet(folder, fleet_plan)
    keys = fleet_plan.key_digests
    todo = [i for i, key in enumerate(keys) if not store.has_model(folder, key)]
    work = [replace(jobs[i], path=store.model_path(folder, keys[i])) for i in todo]
    done = len(jobs) - len(todo)

    def note(index: int, result: TaskResult) -> None:
        nonlocal done
        done += 1
        store.note_cost(folder, keys[todo[index]], cpu_seconds=result.cpu_seconds)
        if place.progress is not None:
            place.progress(done, len(jobs), plan.name)

    if place.progress is not None:
        place.progress(done, len(jobs), plan.name)
    try:
        engine.run(make_model, work, shared=shared, on_result=note)
    except SecateurError:
        if not any(store.has_model(folder, key) for key in keys):
            store.remove_unstarted_fleet(folder)
        raise
    except KeyboardInterrupt as error:
        raise InterruptedRunError(
            f"stopped with {done} of {len(jobs)} models of {plan.name!r} finished, in {folder}; "
            "the same call, or the same command, goes on from there to the same result"
        ) from error
    digests = [store.read_artifact(store.model_path(folder, key)).digest for key in keys]
    store.finish_fleet(folder, digests=digests)
    return store.open_fleet(folder, recipe=plan.recipe)
