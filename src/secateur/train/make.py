"""Make a plan's models with an engine: in memory, or in a folder where they are found again."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from secateur import store
from secateur.errors import (
    BudgetSpentError,
    InputError,
    InterruptedRunError,
    MethodError,
    SecateurError,
)
from secateur.train.engines import Ray
from secateur.train.engines.auto import Choice
from secateur.train.keep import thinned
from secateur.train.model import Job, own_training
from secateur.train.place import AnyEngine, Place
from secateur.train.plan import Plan
from secateur.train.recipe import spelled
from secateur.train.rehearsal import check_pools, rehearse
from secateur.train.sent import Sent
from secateur.train.shard import Shard, make_shard
from secateur.train.shards import absent_of, shards_of
from secateur.train.steps import Conversion
from secateur.types import Artifact, Fleet, Membership, Records

if TYPE_CHECKING:
    from secateur.parallel import TaskResult

__all__ = ["make"]


def make(
    plan: Plan,
    records: Records,
    membership: Membership,
    parent: Fleet | None,
    seed: int,
    place: Place,
) -> Fleet:
    """Make every model of a plan, or those that are not found in the folder.

    Args:
        plan: what is made.
        records: all records.
        membership: who trains on what.
        parent: the fleet that a transform starts from.
        seed: of the fleet.
        place: with which engine, and where.

    Raises:
        InputError: lengths disagree, an unknown engine, a limit without a folder.
        MethodError: a pool that training reads has no records.
        InterruptedRunError: stopped by the user, or by the limit.
    """
    if len(records) != membership.inside.shape[1]:
        raise InputError(
            f"{len(records)} records, but the membership is over {membership.inside.shape[1]}"
        )
    if place.folder is None and (place.limit or place.cache) is not None:
        raise InputError("a limit or a cache needs a folder, where the run can go on another time")
    if plan.snapshots is not None and own_training(plan.recipe, plan.transform) is not None:
        raise MethodError(
            "snapshots are taken in our training loop, and this recipe has training code of its "
            "own; leave the snapshots out"
        )
    check_pools(plan.recipe, plan.transform, membership)
    absent = place.left_out(membership) | set(absent_of(parent) if plan.needs_parent else ())
    choice = place.resolved(plan, records, membership, stack=not absent)
    engine = choice.engine
    shards = shards_of(plan, records, membership, parent, seed=seed, engine=engine)
    if place.lessons is not None and not isinstance(engine, Ray):  # its workers see no disk of ours
        kept = {"lessons": place.lessons, "keeps_teachers": place.keeps_teachers}
        shards = [_changed(shard, lambda job: kept) for shard in shards]
    if place.folder is not None:
        if all(absent & {job.model for job in shard.jobs} for shard in shards):
            raise InputError(
                f"{len(absent)} of {len(membership)} models are not to be made, or have nothing to "
                "begin with, and every stack would need one of them; use engine='processes' "
                "(--engine processes), or make the missing ones first"
            )
        with store.only_run_in(place.folder):
            return _make_on_disk(plan, shards, (records, membership), seed, choice, place, absent)
    return _make_in_memory(plan, shards, (records, membership), choice, place)


def _make_in_memory(
    plan: Plan,
    shards: Sequence[Shard],
    shared: tuple[Records, Membership],
    choice: Choice,
    place: Place,
) -> Fleet:
    engine, (_, membership) = choice.engine, shared
    models = len(membership)
    made: dict[int, tuple[Artifact | str, float]] = {}

    def note(index: int, result: TaskResult) -> None:
        made.update(zip((job.model for job in shards[index].jobs), result.value, strict=True))
        if place.progress is not None:
            place.progress(len(made), models, plan.name)

    if place.progress is not None:
        place.progress(0, models, plan.name)
    engine.run(make_shard, shards, shared=shared, on_result=note)
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


def _changed(shard: Shard, fields: Callable[[Job], dict[str, Any]]) -> Shard:
    """Return a shard whose jobs have other fields."""
    return replace(shard, jobs=tuple(replace(job, **fields(job)) for job in shard.jobs))


def _is_there(place: Place, key: str, job: Job, records: Records) -> bool:
    """Tell whether a model is in the folder, or was made by another run, as it is to be kept.

    Raises:
        InputError: of the model in the folder other things were kept than are asked for.
    """
    assert place.folder is not None  # the caller looked
    found = store.found_model(place.folder, key)
    if found is None and place.cache and store.take_model(place.cache, place.folder, key):
        found = store.found_model(place.folder, key)
    if found is None:
        return False
    if found.kept is None and job.keep is not None:
        thin = thinned(found, job.recipe.build, records, job.keep)
        store.write_artifact(store.model_path(place.folder, key), thin)
    elif found.kept is not None and not _suffices(found, job):
        asked = "its weights" if job.keep is None else f"{job.keep!r}"
        raise InputError(
            f"of model {job.model} in {place.folder} {found.kept.probe} under "
            f"{found.kept.queries} was kept, and not {asked}; ask for the same again (--keep "
            "targets), or choose another folder"
        )
    return True


def _suffices(found: Artifact, job: Job) -> bool:
    """Tell whether the signals that stand for a model in the folder are what is asked for.

    A converted model is not made again for its weights: an audit reads signals, and what needs
    weights says so itself.
    """
    if job.keep is None:
        return isinstance(job.transform, Conversion)
    return job.keep.kept_by(found)


@dataclass(kw_only=True)
class _Run:
    """One run into a folder: what it was asked for, and what is there by now."""

    plan: Plan
    place: Place
    folder: Path
    keys: Sequence[str]
    todo: Sequence[Shard]
    wanted: int
    there: set[int]

    def __post_init__(self) -> None:
        self.begun, self.before = time.monotonic(), len(self.there)

    def tell(self) -> None:
        """Say how many of the models that were asked for are there."""
        if self.place.progress is not None:
            asked = set(range(len(self.keys)) if self.place.models is None else self.place.models)
            self.place.progress(len(self.there & asked), len(asked), self.plan.name)

    def note(self, index: int, result: TaskResult) -> None:
        """Take in what a shard made; stop where the budget is spent."""
        for job, (made, seconds) in zip(self.todo[index].jobs, result.value, strict=True):
            key = self.keys[job.model]
            if isinstance(made, Artifact):
                store.write_artifact(store.model_path(self.folder, key), made)
            self.there.add(job.model)
            store.note_cost(self.folder, key, cpu_seconds=seconds)
            if self.place.cache is not None and job.keep is None:
                store.give_model(self.place.cache, self.folder, key)
        self.tell()
        limit, made_now = self.place.limit, len(self.there) - self.before
        more = len(self.there) < self.wanted
        if limit and more and limit.spent(begun=self.begun, models=made_now):
            raise BudgetSpentError(
                f"the budget of {limit} is spent: {self.count} are in {self.folder}; the same "
                "call, or the same command, goes on from there; --partial prunes and audits what "
                "is there"
            )

    @property
    def count(self) -> str:
        """How many models are there, in words."""
        return f"{len(self.there)} of {len(self.keys)} models of {self.plan.name!r}"

    def run(self, engine: AnyEngine, shared: tuple[Records, Membership]) -> None:
        """Make what is to do."""

        def with_path(job: Job) -> dict[str, Any]:
            return {"path": store.model_path(self.folder, self.keys[job.model])}

        work: Sequence[Shard] = [_changed(shard, with_path) for shard in self.todo]
        if isinstance(engine, Ray):  # its workers may see none of our disks
            work = Sent(self.todo)
        if self.place.limit is not None:
            self.place.limit.warn_of_stacks([len(shard.jobs) for shard in self.todo])
        self.tell()
        try:
            engine.run(make_shard, work, shared=shared, on_result=self.note)
        except BudgetSpentError:
            raise
        except SecateurError:
            if not any(store.model_path(self.folder, key).exists() for key in self.keys):
                store.remove_unstarted_fleet(self.folder)
            raise
        except KeyboardInterrupt as error:
            raise InterruptedRunError(
                f"stopped with {self.count} finished, in {self.folder}; the same call, or the same "
                "command, goes on from there to the same result"
            ) from error


def _is_open(shard: Shard, there: AbstractSet[int], absent: AbstractSet[int]) -> bool:
    """Tell whether some model of a shard is not there, and none is left out."""
    own = {job.model for job in shard.jobs}
    return not own <= there and not own & absent


def _make_on_disk(
    plan: Plan,
    shards: Sequence[Shard],
    shared: tuple[Records, Membership],
    seed: int,
    choice: Choice,
    place: Place,
    absent: AbstractSet[int],
) -> Fleet:
    engine, folder = choice.engine, place.folder
    assert folder is not None  # the caller looked
    records, membership = shared
    jobs = sorted((job for shard in shards for job in shard.jobs), key=lambda job: job.model)
    fleet_plan = store.FleetPlan(
        name=plan.name,
        pipeline=plan.pipeline,
        builder_repr=spelled(plan.recipe.build),
        membership=membership,
        records_digest=records.digest,
        data=records.origin,
        keys=tuple(job.key for job in jobs),
        seed=seed,
        engine=engine.route,
        snapshot_epochs=plan.snapshots.epochs if plan.snapshots else (),
    )
    stacked = any(shard.stack for shard in shards)
    rehearse(plan.recipe, plan.transform, records, membership, stacked=stacked)
    store.create_fleet(folder, fleet_plan)
    if choice.rates:
        store.note_choice(folder, engine=engine.route, rates=choice.rates)
    keys = fleet_plan.key_digests
    there = {job.model for job in jobs if _is_there(place, keys[job.model], job, records)}
    run = _Run(
        plan=plan,
        place=place,
        folder=folder,
        keys=keys,
        todo=[shard for shard in shards if _is_open(shard, there, absent)],
        wanted=len({job.model for job in jobs} - absent | there),
        there=there,
    )
    run.run(engine, shared)
    if len(there) < len(jobs):
        return store.open_fleet(folder, recipe=plan.recipe, partial=True)
    digests = [store.read_artifact(store.model_path(folder, key)).model_digest for key in keys]
    store.finish_fleet(folder, digests=digests)
    return store.open_fleet(folder, recipe=plan.recipe)
