"""Models that are made in one task, one by one or stacked."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from secateur.models import prunable
from secateur.train.alone import make_model
from secateur.train.batches import pools_of
from secateur.train.engines.serial import one_thread
from secateur.train.engines.stacked import Stacked
from secateur.train.stack import StackData, run_stack
from secateur.train.steps import Taught
from secateur.train.teaching import lessons_of
from secateur.types import Artifact, Membership, Records

if TYPE_CHECKING:
    from secateur.train.hooks import Tensors

from secateur.train.lesson import Lesson, stack_data_of, with_history
from secateur.train.model import Job, ended, phases_of, start_of

__all__ = ["Shard", "make_shard"]


@dataclass(frozen=True, kw_only=True)
class Shard:
    """Models that are made in one task: one by one, or with `stack` as one batched computation."""

    jobs: tuple[Job, ...]
    stack: Stacked | None = None


def make_shard(
    records: Records, membership: Membership, shard: Shard
) -> list[tuple[Artifact | str, float]]:
    """Make the models of a shard.

    Returns:
        For each job its model, or the model's digest when it was written to `job.path`, and its
        CPU seconds (of a stack, an equal share).
    """
    with one_thread():
        return _made(records, membership, shard)


def _made(
    records: Records, membership: Membership, shard: Shard
) -> list[tuple[Artifact | str, float]]:
    if shard.stack is None:
        return [_timed(records, membership, job) for job in shard.jobs]
    begun = time.process_time()
    made = _make_stack(records, membership, shard.jobs, shard.stack)
    seconds = (time.process_time() - begun) / len(shard.jobs)
    return [(one, before + seconds) for one, before in made]


def _timed(records: Records, membership: Membership, job: Job) -> tuple[Artifact | str, float]:
    begun = time.process_time()
    made, before = make_model(records, membership, job)
    return made, before + time.process_time() - begun


def _make_stack(
    records: Records, membership: Membership, jobs: Sequence[Job], how: Stacked
) -> list[tuple[Artifact | str, float]]:
    """Make all models of a shard at once; see `make_model`."""
    device = torch.device(how.device)
    first = jobs[0]
    starts = [start_of(job) for job in jobs]
    for start in starts:
        start.module.to(device)
    phases = phases_of(first)
    kept: list[dict[str, list[np.ndarray[Any, Any]]]] = [{} for _ in jobs]

    def take(modules: Sequence[nn.Module], epoch: int) -> None:
        for module, into in zip(modules, kept, strict=True):
            assert first.snapshots is not None  # see below
            first.snapshots.taken(records, into)(module, epoch)

    pools = pools_of(phases)
    taught = isinstance(first.transform, Taught)
    lessons = lessons_of(records, membership, jobs, how) if taught else []
    trained = run_stack(
        [start.module for start in starts],
        phases,
        first.recipe,
        stack_data_of(records, membership, jobs, lessons, device),
        streams={
            pool: StackData.of(records, [membership.pool(pool)] * len(starts), device)
            for pool in pools
        },
        context=([_on(start.initial, device) for start in starts], prunable(starts[0].module)),
        seeds=[start.seed for start in starts],
        after_epoch=None if first.snapshots is None else take,
        kernels=how.kernels,
    )
    heard: Sequence[Lesson | None] = lessons or [None] * len(jobs)
    return [
        (
            ended(records, job, start, with_history(one, lesson), into),
            0.0 if lesson is None else lesson.seconds_before,
        )
        for job, start, one, into, lesson in zip(jobs, starts, trained, kept, heard, strict=True)
    ]


def _on(tensors: Tensors, device: torch.device) -> Tensors:
    return {name: value.to(device) for name, value in tensors.items()}
