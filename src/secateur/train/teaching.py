"""Teachers of a model: trained on parts of its members, heard, and forgotten.

A sweep keeps what they said, and some of them, while a seed runs: `Job.lessons`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from secateur import store
from secateur.errors import MethodError
from secateur.models import logits_of
from secateur.train.engines.stacked import Stacked
from secateur.train.hooks import MEMBERS
from secateur.train.kept_teachers import kept_or_trained, keys_of, paths_of
from secateur.train.lesson import Lesson
from secateur.train.met import READ, known_of, met_by, share_met, taught_on
from secateur.train.model import Job
from secateur.train.recombined import recombined_of
from secateur.train.steps import Heard, Taught
from secateur.train.teachers import Class
from secateur.types import derive_seed

if TYPE_CHECKING:
    from torch import Tensor

    from secateur.types import BoolArray, FloatArray, Membership, Records

__all__ = ["lesson_of", "lessons_of"]


def lesson_of(records: Records, membership: Membership, job: Job) -> Lesson:
    """Train one model's teachers one by one, hear them, and return what the model is to learn."""
    (lesson,) = lessons_of(records, membership, [job], None)
    return lesson


def lessons_of(
    records: Records, membership: Membership, jobs: Sequence[Job], how: Stacked | None
) -> list[Lesson]:
    """Train the teachers of several models, hear them, and return what each model is to learn.

    Args:
        records: all records.
        membership: who trains on what.
        jobs: the models, of one recipe and one transform, which is a `Taught`.
        how: in which stacks the teachers of all of them are trained; None: one by one.

    Raises:
        MethodError: a split that does not fit the members, or answers that are none.
    """
    classes = [_class_of(records, membership, job) for job in jobs]
    heard = _heard(records, membership, classes, how)
    return [_lesson(records, one, *said) for one, said in zip(classes, heard, strict=True)]


def _class_of(records: Records, membership: Membership, job: Job) -> Class:
    method = job.transform
    assert isinstance(method, Taught)  # the callers looked
    members = membership.members(job.model)
    split = method.split(membership.units[members], seed=derive_seed(job.seed, "teachers"))
    if split.shape[1:] != members.shape or not split.any(1).all():
        raise MethodError(
            f"{method!r} gives a teacher nothing to learn, or no {len(members)} members: its split "
            f"has the shape {split.shape}; ask for fewer teachers"
        )
    asked = taught_on(method, membership, job.model)
    seen = split if method.pool == MEMBERS else np.zeros((len(split), len(asked)), np.bool_)
    known = known_of(method, split)
    met = met_by(method, membership.units[asked], seed=job.seed, known=known)
    read = None
    if share_met(method) < 1.0 and membership.roles[job.model] == "reference":
        read = members[met if known is None else known]
    every, asked, seen = asked, asked[met], seen[:, met]
    inputs = None
    made = recombined_of(method)
    if made is not None:
        own = np.array(records.gather(asked))
        unmet = np.delete(every, met)
        inputs, seen = made.of(
            own,
            seen,
            seed=derive_seed(job.seed, "questions"),
            units=membership.units[asked],
            others=np.array(records.gather(unmet)) if len(unmet) else None,
        )
        asked = np.full(len(inputs), -1)
    return Class(
        job=job,
        method=method,
        members=members,
        split=split,
        asked=asked,
        seen=seen,
        inputs=inputs,
        read=read,
    )


def _lesson(records: Records, one: Class, logits: FloatArray, seconds: float) -> Lesson:
    method, asked = one.method, one.asked
    own = records.labels[asked] if one.inputs is None else asked  # what was made has none
    heard = Heard(
        logits=torch.from_numpy(logits),
        seen=torch.from_numpy(one.seen),
        labels=torch.from_numpy(np.array(own)),
        classes=records.n_classes,
    )
    where, answers = method.answers(heard)
    _check(method, where, answers, heard)
    history = {"taught/teachers": torch.tensor(len(one.split))}
    if one.read is not None:
        history[READ] = torch.from_numpy(one.read.copy())
    rows = asked[where.numpy()]
    if one.inputs is not None:
        inputs = one.inputs[where.numpy()]
        return Lesson(
            rows=rows, answers=answers, history=history, seconds_before=seconds, inputs=inputs
        )
    if len(logits):
        history["taught/agreement"] = _agreement(logits, one.seen, heard)
    if method.keeps_answers:
        history |= {
            "taught/records": torch.from_numpy(rows.copy()),
            "taught/answers": answers,
            "taught/seen": heard.seen[:, where],
        }
    return Lesson(rows=rows, answers=answers, history=history, seconds_before=seconds)


def _agreement(logits: FloatArray, seen: BoolArray, heard: Heard) -> Tensor:
    """Return in which share of answers a teacher that did not see a record names its class; of
    those that saw it where none else is.
    """
    right = logits.argmax(-1) == heard.labels.numpy()
    counted = ~seen if (~seen).any() else seen
    share = right[counted].mean() if counted.any() else 1.0
    return torch.tensor(float(share), dtype=torch.float64)


def _check(method: Taught, where: Tensor, answers: Tensor, heard: Heard) -> None:
    """Refuse answers that are no distributions over the classes."""
    fits = where.dim() == 1 and answers.shape == (len(where), heard.classes) and len(where)
    if not fits or not bool(torch.isfinite(answers).all()) or bool((answers < 0).any()):
        raise MethodError(
            f"{method!r} must answer with soft labels, finite and at least 0, of the shape "
            f"({len(where)}, {heard.classes}); got {tuple(answers.shape)}, "
            f"{int((~torch.isfinite(answers)).sum())} of them not finite"
        )


# -- what teachers say ---------------------------------------------------------------------------


def _heard(
    records: Records, membership: Membership, classes: Sequence[Class], how: Stacked | None
) -> list[tuple[FloatArray, float]]:
    """Return for each model its teachers' logits `[teachers, records, classes]`, and CPU seconds
    spent before.

    What another method of the same run heard from the same teachers is taken from `job.lessons`,
    and so are teachers that were kept there; where the teachers of several models share stacks,
    from all of them or from none. What is said of inputs that were made is not kept: it is large,
    and teachers that saw a parent are not asked.
    """
    keys = keys_of(records, membership, classes, how)
    made = classes[0].inputs is not None
    paths = [] if made else paths_of(classes, keys, "{digest}")
    if paths and all(path.exists() for path in paths):
        return [store.read_lesson(path) for path in paths]
    begun = time.process_time()
    found = [
        np.zeros((len(one.split), len(one.asked), records.n_classes), np.float32) for one in classes
    ]
    before = [0.0] * len(classes)
    questions = [_questions(records, one) for one in classes]
    for teacher in kept_or_trained(records, membership, classes, how, keys):
        one, said = classes[teacher.of], found[teacher.of][teacher.number]
        asked = ~one.seen[teacher.number] if made else np.ones(len(said), np.bool_)
        if asked.any():
            where = np.flatnonzero(asked) if made else one.asked
            said[asked] = logits_of(teacher.module, questions[teacher.of], indices=where)
        before[teacher.of] += teacher.seconds if teacher.found else 0.0
    seconds = (time.process_time() - begun) / len(classes)
    for path, logits, earlier in zip(paths, found, before, strict=bool(paths)):
        store.write_lesson(path, logits, seconds=seconds + earlier)
    return list(zip(found, before, strict=True))


def _questions(records: Records, one: Class) -> Records:
    """Return what a model's teachers are asked of: all records, or those that were made."""
    if one.inputs is None:
        return records
    unread = np.arange(len(one.asked)) % 2  # records must have labels of two classes
    return type(records).from_arrays(one.inputs, unread, n_classes=records.n_classes)
