"""Make one model by itself: from scratch, from a parent, by training code of a user's."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import nn

from secateur.errors import MethodError
from secateur.models import prunable, rebuild, runnable
from secateur.train.batches import TrainData, pools_of
from secateur.train.hooks import MEMBERS, Left
from secateur.train.lesson import data_of, with_history
from secateur.train.loop import Trained, run_phases
from secateur.train.model import (
    Job,
    Start,
    artifact_of,
    ended,
    own_training,
    parent_of,
    phases_of,
    start_of,
    stored,
)
from secateur.train.recipe import spelled
from secateur.train.steps import Conversion, Taught
from secateur.train.teaching import lesson_of
from secateur.types import Artifact, Membership, Provenance, Records, derive_seed

if TYPE_CHECKING:
    from secateur.protocols import TrainCallable

__all__ = ["make_model"]


def make_model(records: Records, membership: Membership, job: Job) -> tuple[Artifact | str, float]:
    """Make one model.

    Returns:
        It, or its digest when it was written to `job.path`; and CPU seconds that went into it
        before this call.
    """
    own = own_training(job.recipe, job.transform)
    if own is not None:
        return _trained_by_user(own, records, membership, job), 0.0
    if isinstance(job.transform, Conversion):
        return _converted(job.transform, records, membership, job), 0.0
    start = start_of(job)
    phases = phases_of(job)
    device = next(start.module.parameters()).device
    pools = pools_of(phases)
    kept: dict[str, list[np.ndarray[Any, Any]]] = {}
    lesson = None
    if isinstance(job.transform, Taught):
        lesson = lesson_of(records, membership, job)
    trained = run_phases(
        start.module,
        phases,
        job.recipe,
        data_of(records, membership, job, lesson, device),
        streams={pool: TrainData.of(records, membership.pool(pool), device) for pool in pools},
        context=(start.initial, prunable(start.module)),
        seed=start.seed,
        after_epoch=None if job.snapshots is None else job.snapshots.taken(records, kept),
    )
    made = ended(records, job, start, with_history(trained, lesson), kept)
    return made, 0.0 if lesson is None else lesson.seconds_before


def _trained_by_user(
    train: TrainCallable, records: Records, membership: Membership, job: Job
) -> Artifact | str:
    """Call a user's training code with the members; torch's global state stays as it is."""
    seed = derive_seed(job.seed, "train")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = train(records.take(membership.members(job.model)), seed=seed)
    if isinstance(module, Artifact):
        made = _named(module, job)
        runnable(made, job.recipe.build)  # refuses what `build` does not fit
        return stored(made, records, job)
    if not isinstance(module, nn.Module):
        raise MethodError(
            f"{train!r} must return a torch module, or the Artifact that `secateur.apply` made of "
            f"one, got {type(module).__name__}"
        )
    start = Start(module=module.eval(), initial={}, parent=None, seed=seed)
    trained = Trained(
        params={k: v.detach() for k, v in module.named_parameters()},
        buffers=dict(module.named_buffers()),
        left=Left(masks={}, history={}),
    )
    artifact = artifact_of(module, trained, builder=spelled(job.recipe.build), key=job.key)
    rebuild(artifact, job.recipe.build)  # refuses what `build` does not fit
    return ended(records, job, start, trained, {})


def _converted(
    conversion: Conversion, records: Records, membership: Membership, job: Job
) -> Artifact | str:
    """Make another form of a trained model."""
    pools = {
        pool: records.take(
            membership.members(job.model) if pool == MEMBERS else membership.pool(pool)
        )
        for pool in conversion.pools
    }
    if getattr(conversion, "shape", ()) is None:  # not told: that of the records
        conversion = cast("Conversion", replace(cast("Any", conversion), shape=records.input_shape))
    seed = derive_seed(job.seed, "convert")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = conversion.converted(parent_of(job), job.recipe.build, pools, seed=seed)
    return stored(_named(made, job), records, job)


def _named(made: Artifact, job: Job) -> Artifact:
    """Return a model that was made elsewhere as one of this fleet."""
    builder = spelled(job.recipe.build)
    return replace(made, builder=builder, provenance=Provenance(key=job.key), snapshots={})
