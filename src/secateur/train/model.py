"""Make one model: from scratch or from a parent, with snapshots; and apply a transform to a user's
module.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from secateur import store
from secateur.errors import MethodError
from secateur.models import prunable, rebuild, tensors_of
from secateur.train.batches import TrainData, pools_of
from secateur.train.engines.serial import one_thread
from secateur.train.hooks import Left
from secateur.train.keep import Keep, Snapshots, thinned, weights_missing
from secateur.train.loop import Trained, as_arrays, run_phases
from secateur.train.recipe import Phase, Recipe, Transform, spelled
from secateur.train.stack import StackData, run_stack
from secateur.types import Artifact, Membership, Provenance, Records, derive_seed

if TYPE_CHECKING:
    from secateur.protocols import TrainCallable
    from secateur.train.hooks import Tensors

__all__ = [
    "Job",
    "Start",
    "artifact_of",
    "check_masks",
    "check_pools",
    "ended",
    "initial_module",
    "make_model",
    "own_training",
    "phases_of",
    "rehearse",
    "start_of",
    "takes_masks_only",
]


@dataclass(frozen=True, kw_only=True)
class Job:
    """One model to make: from scratch, or from a parent by a transform."""

    recipe: Recipe
    transform: Transform | None
    model: int
    seed: int
    key: Mapping[str, Any]
    parent: Artifact | Path | None = None
    path: Path | None = None
    snapshots: Snapshots | None = None
    keep: Keep | None = None


def initial_module(recipe: Recipe, seed: int) -> nn.Module:
    """Build the recipe's network as this seed initialises it; torch's global state is untouched."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "init"))
        return recipe.build()


REHEARSED = 4
"""Records of a rehearsal: enough for a batch that normalisation accepts."""


def rehearse(
    recipe: Recipe,
    transform: Transform | None,
    records: Records,
    membership: Membership,
    *,
    stacked: bool = False,
) -> None:
    """Take one step of every phase on a few members of the first model, and forget it.

    So that a network, hook or budget that does not fit is said before anything is written. Where
    models will be stacked, two of them are.

    Raises:
        SecateurError: whatever the training would raise in its first steps.
    """
    if own_training(recipe, transform) is not None:
        return  # only its author knows what a rehearsal would be
    check_pools(recipe, transform, membership)
    module = initial_module(recipe, 0)
    planned = recipe.phases() if transform is None else transform.phases(recipe)
    phases = [replace(phase, epochs=min(phase.epochs, 1)) for phase in planned]
    device = next(module.parameters()).device
    pools = pools_of(phases)
    with one_thread():
        run_phases(
            module,
            phases,
            recipe,
            TrainData.of(records, membership.members(0)[:REHEARSED], device),
            streams={
                pool: TrainData.of(records, membership.pool(pool)[:REHEARSED], device)
                for pool in pools
            },
            context=(dict(module.named_parameters()), prunable(module)),
            seed=0,
        )
        if stacked:
            pair = [initial_module(recipe, seed) for seed in (0, 1)]
            few = {pool: membership.pool(pool)[:REHEARSED] for pool in pools}
            run_stack(
                pair,
                phases,
                recipe,
                StackData.of(records, [membership.members(0)[:REHEARSED]] * 2, device),
                streams={p: StackData.of(records, [rows] * 2, device) for p, rows in few.items()},
                context=([dict(one.named_parameters()) for one in pair], prunable(module)),
                seeds=(0, 1),
            )


def check_pools(recipe: Recipe, transform: Transform | None, membership: Membership) -> None:
    """Refuse training that reads a pool for which no records were drawn.

    Raises:
        MethodError: names the pool, and how to draw it.
    """
    if own_training(recipe, transform) is not None:
        return  # reads members alone
    for pool in pools_of(recipe.phases() if transform is None else transform.phases(recipe)):
        if len(membership.pool(pool)) == 0:
            there = ", ".join(f"{name} {len(rows)}" for name, rows in membership.pools.items())
            raise MethodError(
                f"this training reads records of the pool {pool!r}, for which none were drawn "
                f"(there are: {there}); ask for them: --{pool}-pool 1000 of `secateur train`, "
                f"{pool}_pool = 1000 in a sweep's file, draw(pools={{{pool!r}: 1000}}) in Python"
            )


def takes_masks_only(transform: Transform) -> bool:
    """Tell whether a transform reads the parent's masks and goes back to the initial model."""
    return bool(getattr(transform, "masks_only", False))


def check_masks(transform: Transform, parent: Artifact, model: int) -> None:
    """Refuse a parent without masks where they are all that a transform takes of it.

    Raises:
        MethodError: no weight of the parent is masked.
    """
    if takes_masks_only(transform) and not parent.masks:
        raise MethodError(
            f"{type(transform).__name__} trains the masks of a pruned fleet anew, and model "
            f"{model} has none; apply it to what a pruning method made, such as ADMM(rate=10)"
        )


@dataclass(frozen=True, kw_only=True)
class Start:
    """A model before its first step."""

    module: nn.Module
    initial: Tensors
    parent: Artifact | None
    seed: int


def start_of(job: Job) -> Start:
    """Return a job's model as its seed, or its parent, makes it."""
    module = initial_module(job.recipe, job.seed)
    initial = {k: v.detach().clone() for k, v in module.named_parameters()}
    step = "train" if job.transform is None else "transform"
    parent: Artifact | None = None
    if job.transform is not None and not job.transform.fresh:
        parent = store.read_artifact(job.parent) if isinstance(job.parent, Path) else job.parent
        assert parent is not None  # every such job has one
        if parent.kept is not None:
            raise weights_missing(job.model)
        check_masks(job.transform, parent, job.model)
        state = rebuild(parent, job.recipe.build).state_dict()
        if takes_masks_only(job.transform):
            state |= dict(module.named_buffers())
        module.load_state_dict(state)
    return Start(module=module, initial=initial, parent=parent, seed=derive_seed(job.seed, step))


def phases_of(job: Job) -> tuple[Phase, ...]:
    """Return what happens to a job's model, in order."""
    return job.recipe.phases() if job.transform is None else job.transform.phases(job.recipe)


def ended(
    records: Records,
    job: Job,
    start: Start,
    trained: Trained,
    kept: Mapping[str, list[np.ndarray[Any, Any]]],
) -> Artifact | str:
    """Return what is kept of the finished model, or write it and return its digest."""
    artifact = artifact_of(
        start.module, trained, builder=spelled(job.recipe.build), key=job.key, kept=kept
    )
    parent = start.parent
    if parent is not None and not any(phase.trains for phase in phases_of(job)):
        # the weights are the parent's, so its masks and curves still hold
        history = {**parent.history, **artifact.history}
        artifact = replace(artifact, masks=parent.masks or artifact.masks, history=history)
    if job.keep is not None:
        artifact = thinned(artifact, job.recipe.build, records, job.keep)
    if job.path is None:
        return artifact
    store.write_artifact(job.path, artifact)
    return artifact.digest


def own_training(recipe: Recipe, transform: Transform | None) -> TrainCallable | None:
    """Return the user's code that makes a model, where it is not our loop."""
    return recipe.train if transform is None else None


def _trained_by_user(
    train: TrainCallable, records: Records, membership: Membership, job: Job
) -> Artifact | str:
    """Call a user's training code with the members; torch's global state stays as it is."""
    seed = derive_seed(job.seed, "train")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = train(records.take(membership.members(job.model)), seed=seed)
    if not isinstance(module, nn.Module):
        raise MethodError(f"{train!r} must return a torch module, got {type(module).__name__}")
    start = Start(module=module.eval(), initial={}, parent=None, seed=seed)
    trained = Trained(
        params={k: v.detach() for k, v in module.named_parameters()},
        buffers=dict(module.named_buffers()),
        left=Left(masks={}, history={}),
    )
    artifact = artifact_of(module, trained, builder=spelled(job.recipe.build), key=job.key)
    rebuild(artifact, job.recipe.build)  # refuses what `build` does not fit
    return ended(records, job, start, trained, {})


def make_model(records: Records, membership: Membership, job: Job) -> Artifact | str:
    """Make one model; return it, or its digest when it was written to `job.path`."""
    own = own_training(job.recipe, job.transform)
    if own is not None:
        return _trained_by_user(own, records, membership, job)
    start = start_of(job)
    phases = phases_of(job)
    device = next(start.module.parameters()).device
    pools = pools_of(phases)
    kept: dict[str, list[np.ndarray[Any, Any]]] = {}
    trained = run_phases(
        start.module,
        phases,
        job.recipe,
        TrainData.of(records, membership.members(job.model), device),
        streams={pool: TrainData.of(records, membership.pool(pool), device) for pool in pools},
        context=(start.initial, prunable(start.module)),
        seed=start.seed,
        after_epoch=None if job.snapshots is None else job.snapshots.taken(records, kept),
    )
    return ended(records, job, start, trained, kept)


def artifact_of(
    module: nn.Module,
    trained: Trained,
    *,
    builder: str,
    key: Mapping[str, Any],
    kept: Mapping[str, list[np.ndarray[Any, Any]]] | None = None,
) -> Artifact:
    """Return a trained module as an artifact."""
    return Artifact(
        tensors=tensors_of(module),
        builder=builder,
        provenance=Provenance(key=key),
        masks={k: v.astype(np.bool_) for k, v in as_arrays(trained.left.masks).items()},
        history=as_arrays(trained.left.history),
        snapshots={k: np.stack(v) for k, v in (kept or {}).items()},
    )
