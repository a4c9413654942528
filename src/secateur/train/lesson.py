"""What one model learns from its teachers, and how training reads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from secateur.train.batches import TrainData
from secateur.train.loop import Trained
from secateur.train.stack import StackData

if TYPE_CHECKING:
    from torch import Tensor

    from secateur.train.hooks import Tensors
    from secateur.train.model import Job
    from secateur.types import FloatArray, IntArray, Membership, Records

__all__ = ["Lesson", "data_of", "stack_data_of", "with_history"]


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """What one model is to learn: records, soft labels for them, and what is left of the teachers.

    Args:
        rows: indices of the records `[n]`; -1 where they were made.
        answers: `[n, classes]`.
        inputs: of records that were made `[n, ...]`; None: those of `rows`.
        history: what the artifact keeps, see `Taught.keeps_answers`.
        seconds_before: CPU time of teachers that an earlier method of the run had trained.
    """

    rows: IntArray
    answers: Tensor
    history: Tensors
    seconds_before: float
    inputs: FloatArray | None = None


def data_of(
    records: Records, membership: Membership, job: Job, lesson: Lesson | None, device: torch.device
) -> TrainData:
    """Return what one model reads: its members, or the records of its lesson with the answers."""
    if lesson is None:
        return TrainData.of(records, membership.members(job.model), device)
    if lesson.inputs is not None:
        return TrainData(
            inputs=torch.from_numpy(lesson.inputs).to(device),
            labels=lesson.answers.to(device),
            indices=torch.from_numpy(lesson.rows).to(device),
            classes=records.n_classes,
        )
    data = TrainData.of(records, lesson.rows, device)
    return replace(data, labels=lesson.answers.to(device))


def stack_data_of(
    records: Records,
    membership: Membership,
    jobs: Sequence[Job],
    lessons: Sequence[Lesson],
    device: torch.device,
) -> StackData:
    """Return what the models of a stack read; `lessons` is empty where none is taught."""
    if not lessons:
        return StackData.of(records, [membership.members(job.model) for job in jobs], device)
    made = [lesson.inputs for lesson in lessons if lesson.inputs is not None]
    if made:
        ends = np.cumsum([len(one) for one in made])
        return StackData(
            inputs=torch.from_numpy(np.concatenate(made)).to(device),
            labels=torch.cat([lesson.answers for lesson in lessons]).to(device),
            indices=torch.from_numpy(np.concatenate([one.rows for one in lessons])).to(device),
            rows=tuple(
                torch.arange(end - len(one), end, device=device)
                for one, end in zip(made, ends.tolist(), strict=True)
            ),
            classes=records.n_classes,
        )
    return StackData.of(
        records,
        [lesson.rows for lesson in lessons],
        device,
        answers=[lesson.answers for lesson in lessons],
    )


def with_history(trained: Trained, lesson: Lesson | None) -> Trained:
    """Return a finished training with what is left of its lesson."""
    if lesson is None:
        return trained
    left = replace(trained.left, history={**trained.left.history, **lesson.history})
    return replace(trained, left=left)
