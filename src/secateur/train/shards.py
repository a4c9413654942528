"""What is to be made of a plan: one job for each model, cut into shards as an engine cuts them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from secateur.errors import MethodError
from secateur.train.batches import steps_of
from secateur.train.engines import Ray, Stacked
from secateur.train.engines.cut import cut
from secateur.train.model import Job, own_training, phases_of
from secateur.train.place import AnyEngine
from secateur.train.plan import Plan
from secateur.train.planned import learned_by, recipe_of_teachers, teaching
from secateur.train.shard import Shard
from secateur.types import Artifact, Fleet, Membership, Provenance, Records, derive_seed

__all__ = ["absent_of", "shards_of"]


def absent_of(fleet: Fleet | None) -> tuple[int, ...]:
    """Return the models of a partly made fleet that are not there."""
    missing = getattr(fleet.artifacts, "missing", None) if fleet is not None else None
    return tuple(missing()) if missing else ()


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
            key["parent"] = _parent_digests(parent, model)
        jobs.append(
            Job(
                recipe=plan.recipe,
                transform=plan.transform,
                model=model,
                seed=model_seed,
                key=key,
                parent=start,
                snapshots=plan.snapshots,
                keep=plan.keep if membership.roles[model] == "reference" else None,
            )
        )
    return jobs


def _parent_digests(fleet: Fleet, model: int) -> list[str]:
    """Return what names a parent: its key, and its bytes where the key does not settle them.

    It does where our code made the model and wrote it; not of models that a caller put together, or
    that training code of the caller's made.
    """
    stored = getattr(fleet.artifacts, "key_digest", None)
    if stored and fleet.recipe.train is None:
        return [str(stored(model))]
    if stored and model in absent_of(fleet):
        return [str(stored(model))]
    artifact = fleet.artifacts[model]
    return [artifact.provenance.digest, artifact.model_digest]


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
    _refuse_unstackable(jobs[0])
    step, size = jobs[0].transform, jobs[0].recipe.batch_size
    steps = [steps_of(learned_by(step, membership, job.model, seed=job.seed), size) for job in jobs]
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
        shards.append(Shard(jobs=tuple(own), stack=stack))
    return shards


def _refuse_unstackable(job: Job) -> None:
    if own_training(job.recipe, job.transform) is not None:
        raise MethodError(
            "training code of your own cannot be stacked; use engine='processes' or 'serial'"
        )
    others = recipe_of_teachers(job.recipe, job.transform)
    own = [phase.optimiser or job.recipe.optimiser for phase in phases_of(job)]
    theirs = teaching(job.recipe, job.transform)
    for optimiser in (*own, *(phase.optimiser or others.optimiser for phase in theirs)):
        if not getattr(optimiser, "elementwise", False):
            raise MethodError(
                f"{optimiser!r} does not say that it changes each weight by itself "
                "(`elementwise`), so models cannot be stacked; train them with engine='processes'"
            )
