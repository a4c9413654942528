"""Many models from one recipe: each from its own seed, on disk as it ends, found on resume."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast, overload

from torch import nn

from secateur import store
from secateur.errors import (
    InputError,
    InterruptedRunError,
    MethodError,
    SecateurError,
    SecateurWarning,
)
from secateur.train.engines import Processes, Ray, Serial, Stacked
from secateur.train.engines.auto import Auto, Choice, choose, engine_of_route
from secateur.train.engines.cut import cut
from secateur.train.loop import steps_of
from secateur.train.model import Job, Shard, Snapshots, apply_to_module, make_shard, rehearse
from secateur.train.plan import Plan
from secateur.train.recipe import Recipe, Transform
from secateur.types import Artifact, Fleet, Membership, Provenance, Records, derive_seed

if TYPE_CHECKING:
    from secateur.parallel import TaskResult
    from secateur.protocols import Progress

__all__ = ["Engine", "Snapshots", "apply", "train_fleet"]

AnyEngine = Serial | Processes | Stacked | Ray
Engine = AnyEngine | Auto | Literal["auto", "serial", "processes", "stacked", "ray"]

_NAMED: Mapping[str, Callable[[], AnyEngine | Auto]] = {
    "auto": Auto,
    "serial": Serial,
    "processes": Processes,
    "stacked": Stacked,
    "ray": Ray,
}


@dataclass(frozen=True, kw_only=True)
class _Place:
    """Where a fleet is made: engine, folder (None: in memory), and who is told of progress."""

    engine: Engine
    folder: Path | None
    progress: Progress | None

    def resolved(self, plan: Plan, records: Records, membership: Membership) -> Choice:
        """Return the engine itself; `auto` keeps what an unfinished folder was begun with.

        Raises:
            InputError: an unknown engine.
        """
        engine = self.engine
        if isinstance(engine, str):
            if engine not in _NAMED:
                raise InputError(
                    f"unknown engine {engine!r}; there are {', '.join(map(repr, _NAMED))}"
                )
            engine = _NAMED[engine]()
        if not isinstance(engine, Auto):
            return Choice(engine=engine, rates={})
        begun = None if self.folder is None else store.begun_engine(self.folder)
        if begun is not None:
            return Choice(engine=engine_of_route(begun, engine.workers), rates={})
        return choose(plan.recipe, plan.transform, records, membership, workers=engine.workers)


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
        engine: `serial`, `processes` and `stacked`, or one with its parameters, such as
            `Stacked(models=8)`; `auto` times a few steps of each and takes the fastest. Models
            made one by one have the same bytes on every engine, stacked ones other last bits.
        snapshots: what to keep of each model while it trains.
        folder: where models are written as they end; an interrupted run resumes there.
        progress: called at the start and after each model, or stack of models.

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
    choice = place.resolved(plan, records, membership)
    engine = choice.engine
    shards = shards_of(plan, records, membership, parent, seed=seed, engine=engine)
    if place.folder is not None:
        return _make_on_disk(plan, shards, (records, membership), seed, choice, place)
    models = len(membership)
    made: dict[int, tuple[Artifact | str, float]] = {}

    def note(index: int, result: TaskResult) -> None:
        made.update(zip((job.model for job in shards[index].jobs), result.value, strict=True))
        if place.progress is not None:
            place.progress(len(made), models, plan.name)

    if place.progress is not None:
        place.progress(0, models, plan.name)
    engine.run(make_shard, shards, shared=(records, membership), on_result=note)
    return Fleet(
        artifacts=[cast("Artifact", made[i][0]) for i in range(models)],
        membership=membership,
        name=plan.name,
        pipeline=plan.pipeline,
        costs=tuple(made[i][1] for i in range(models)),
        recipe=plan.recipe,
        snapshot_epochs=plan.snapshots.epochs if plan.snapshots else (),
        engine=engine.route,
    )


def shards_of(
    plan: Plan,
    records: Records,
    membership: Membership,
    parent: Fleet | None,
    *,
    seed: int,
    engine: AnyEngine,
) -> list[Shard]:
    """Return what an engine would make for this plan, cut as it cuts it."""
    return _shards(_jobs(plan, records, membership, parent, seed), membership, engine)


def _shards(jobs: Sequence[Job], membership: Membership, engine: AnyEngine) -> list[Shard]:
    """Cut the jobs; those of a stack get its models into their keys."""
    stack = engine.stack if isinstance(engine, Ray) else engine
    if not isinstance(stack, Stacked):
        return [Shard(jobs=(job,)) for job in jobs]
    recipe = jobs[0].recipe
    _refuse_unstackable(jobs[0])
    steps = [steps_of(len(membership.members(job.model)), recipe.batch_size) for job in jobs]
    shards = []
    for models in cut(steps, stack.models):
        mates = [Provenance(key=jobs[i].key).digest for i in models]
        together = hashlib.sha256("".join(mates).encode()).hexdigest()
        own = [
            replace(
                jobs[i],
                key={**jobs[i].key, "route": f"{stack.route}, place {place} of stack {together}"},
            )
            for place, i in enumerate(models)
        ]
        shards.append(Shard(jobs=tuple(own), stacked=True, device=stack.device))
    return shards


def _refuse_unstackable(job: Job) -> None:
    phases = job.recipe.phases() if job.transform is None else job.transform.phases(job.recipe)
    for phase in phases:
        optimiser = phase.optimiser or job.recipe.optimiser
        if not getattr(optimiser, "elementwise", False):
            raise MethodError(
                f"{optimiser!r} does not say that it changes each weight by itself "
                "(`elementwise`), so models cannot be stacked; train them with engine='processes'"
            )


def _with_paths(shard: Shard, folder: Path, keys: Sequence[str]) -> Shard:
    """Return a shard whose worker writes its models."""
    jobs = (replace(job, path=store.model_path(folder, keys[job.model])) for job in shard.jobs)
    return replace(shard, jobs=tuple(jobs))


@dataclass(frozen=True)
class _Sent(Sequence[Shard]):
    """Shards for workers without our disks: parents are read when a shard is given out."""

    shards: Sequence[Shard]

    def __len__(self) -> int:
        return len(self.shards)

    @overload
    def __getitem__(self, index: int) -> Shard: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Shard]: ...
    def __getitem__(self, index: int | slice) -> Shard | Sequence[Shard]:
        if isinstance(index, slice):
            return _Sent(self.shards[index])
        shard = self.shards[index]
        jobs = (
            replace(job, parent=store.read_artifact(job.parent))
            if isinstance(job.parent, Path)
            else job
            for job in shard.jobs
        )
        return replace(shard, jobs=tuple(jobs))


def _make_on_disk(
    plan: Plan,
    shards: Sequence[Shard],
    shared: tuple[Records, Membership],
    seed: int,
    choice: Choice,
    place: _Place,
) -> Fleet:
    engine = choice.engine
    folder = place.folder
    assert folder is not None  # the caller looked
    records, membership = shared
    jobs = sorted((job for shard in shards for job in shard.jobs), key=lambda job: job.model)
    fleet_plan = store.FleetPlan(
        name=plan.name,
        pipeline=plan.pipeline,
        builder_repr=repr(plan.recipe.build),
        membership=membership,
        records_digest=records.digest,
        data=records.origin,
        keys=tuple(job.key for job in jobs),
        seed=seed,
        engine=engine.route,
        snapshot_epochs=plan.snapshots.epochs if plan.snapshots else (),
    )
    stacked = isinstance(engine, Stacked) or (isinstance(engine, Ray) and engine.models > 1)
    rehearse(plan.recipe, plan.transform, records, membership, stacked=stacked)
    store.create_fleet(folder, fleet_plan)
    if choice.rates:
        store.note_choice(folder, engine=engine.route, rates=choice.rates)
    keys = fleet_plan.key_digests
    there = {i for i, key in enumerate(keys) if store.has_model(folder, key)}
    todo = [shard for shard in shards if not {job.model for job in shard.jobs} <= there]
    remote = isinstance(engine, Ray)  # its workers may see none of our disks
    work: Sequence[Shard] = (
        _Sent(todo) if remote else [_with_paths(shard, folder, keys) for shard in todo]
    )

    def note(index: int, result: TaskResult) -> None:
        for job, (made, seconds) in zip(todo[index].jobs, result.value, strict=True):
            if isinstance(made, Artifact):
                store.write_artifact(store.model_path(folder, keys[job.model]), made)
            there.add(job.model)
            store.note_cost(folder, keys[job.model], cpu_seconds=seconds)
        if place.progress is not None:
            place.progress(len(there), len(jobs), plan.name)

    if place.progress is not None:
        place.progress(len(there), len(jobs), plan.name)
    try:
        engine.run(make_shard, work, shared=shared, on_result=note)
    except SecateurError:
        if not any(store.has_model(folder, key) for key in keys):
            store.remove_unstarted_fleet(folder)
        raise
    except KeyboardInterrupt as error:
        raise InterruptedRunError(
            f"stopped with {len(there)} of {len(jobs)} models of {plan.name!r} finished, in "
            f"{folder}; the same call, or the same command, goes on from there to the same result"
        ) from error
    digests = [store.read_artifact(store.model_path(folder, key)).digest for key in keys]
    store.finish_fleet(folder, digests=digests)
    return store.open_fleet(folder, recipe=plan.recipe)
