"""Teachers of a model: trained on parts of its members, heard, and forgotten."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from secateur import store
from secateur.errors import MethodError
from secateur.models import logits_of, prunable
from secateur.train.batches import TrainData, pools_of, steps_of
from secateur.train.engines.cut import cut
from secateur.train.engines.serial import ONE_BY_ONE
from secateur.train.engines.stacked import Stacked
from secateur.train.hooks import MEMBERS
from secateur.train.loop import Trained, run_phases
from secateur.train.model import Job, initial_module
from secateur.train.sources import sources_of
from secateur.train.stack import StackData, run_stack
from secateur.train.steps import Heard, Taught
from secateur.types import Provenance, derive_seed

if TYPE_CHECKING:
    from torch import Tensor, nn

    from secateur.train.hooks import Tensors
    from secateur.types import BoolArray, FloatArray, IntArray, Membership, Records

__all__ = ["Lesson", "data_of", "lesson_of", "stack_data_of", "with_history"]


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """What one model is to learn: records, soft labels for them, and what is left of the teachers.

    Args:
        rows: indices of the records `[n]`.
        answers: `[n, classes]`.
        history: what the artifact keeps, see `Taught.keeps_answers`.
        seconds_before: CPU time of teachers that an earlier method of the run had trained.
    """

    rows: IntArray
    answers: Tensor
    history: Tensors
    seconds_before: float


def _taught_on(method: Taught, membership: Membership, model: int) -> IntArray:
    """Return the records that the teachers of a model answer for."""
    if method.pool == MEMBERS:
        return membership.members(model)
    return membership.pool(method.pool)


def lesson_of(
    records: Records, membership: Membership, job: Job, how: Stacked | None = None
) -> Lesson:
    """Train a model's teachers, hear them, and return what the model is to learn.

    Args:
        records: all records.
        membership: who trains on what.
        job: the model; its transform is a `Taught`.
        how: in which stacks the teachers are trained; None: one by one.

    Raises:
        MethodError: a split that does not fit the members, or answers that are none.
    """
    method = job.transform
    assert isinstance(method, Taught)  # the callers looked
    members, asked = membership.members(job.model), _taught_on(method, membership, job.model)
    split = method.split(membership.units[members], seed=derive_seed(job.seed, "teachers"))
    if split.shape[1:] != members.shape or not split.any(1).all():
        raise MethodError(
            f"{method!r} gives a teacher nothing to learn, or no {len(members)} members: its split "
            f"has the shape {split.shape}; ask for fewer teachers"
        )
    logits, seconds = _heard(records, membership, job, split, asked, how)
    own = split if method.pool == MEMBERS else np.zeros((len(split), len(asked)), np.bool_)
    labels = torch.from_numpy(np.array(records.labels[asked]))
    heard = Heard(
        logits=torch.from_numpy(logits),
        seen=torch.from_numpy(own),
        labels=labels,
        classes=records.n_classes,
    )
    where, answers = method.answers(heard)
    _check(method, where, answers, heard)
    agree = _agreement(logits, own, heard)
    history = {"taught/agreement": agree, "taught/teachers": torch.tensor(len(split))}
    rows = asked[where.numpy()]
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


# -- teachers ------------------------------------------------------------------------------------


def _heard(
    records: Records,
    membership: Membership,
    job: Job,
    split: BoolArray,
    asked: IntArray,
    how: Stacked | None,
) -> tuple[FloatArray, float]:
    """Return the teachers' logits `[teachers, records, classes]`, and CPU seconds spent before.

    What another method of the same run heard from the same teachers is taken from `job.lessons`.
    """
    path = None
    if job.lessons is not None and len(split):
        key = _key(records, membership, job, split, asked, how)
        path = job.lessons / f"{Provenance(key=key).digest[:24]}.safetensors"
        if path.exists():
            return store.read_lesson(path)
    begun = time.process_time()
    found = np.zeros((len(split), len(asked), records.n_classes), np.float32)
    for number, module in _teachers(records, membership, job, split, how):
        found[number] = logits_of(module, records, indices=asked)
    if path is not None:
        store.write_lesson(path, found, seconds=time.process_time() - begun)
    return found, 0.0


def _key(
    records: Records,
    membership: Membership,
    job: Job,
    split: BoolArray,
    asked: IntArray,
    how: Stacked | None,
) -> dict[str, Any]:
    """Return whatever can change a number that the teachers say."""
    assert isinstance(job.transform, Taught)
    phases = job.transform.teaching(job.recipe)
    own = [(phase.hooks, phase.optimiser) for phase in phases]

    def digest(indices: np.ndarray[Any, Any]) -> str:
        return hashlib.sha256(np.ascontiguousarray(indices).tobytes()).hexdigest()

    return {
        "recipe": repr(job.recipe),
        "teaching": repr(phases),
        "sources": sources_of([job.recipe, own, initial_module(job.recipe, 0)]),
        "records": records.digest,
        "members": digest(membership.members(job.model)),
        "split": digest(split),
        "asked": digest(asked),
        "streams": {pool: digest(membership.pool(pool)) for pool in pools_of(phases)},
        "seed": job.seed,
        "route": ONE_BY_ONE if how is None else how.route,
        "versions": {name: version(name) for name in ("numpy", "secateur", "torch")},
    }


def _teachers(
    records: Records, membership: Membership, job: Job, split: BoolArray, how: Stacked | None
) -> Iterator[tuple[int, nn.Module]]:
    """Yield teachers with their numbers, each as soon as it is trained."""
    assert isinstance(job.transform, Taught)
    phases = job.transform.teaching(job.recipe)
    members = membership.members(job.model)
    rows = [members[part] for part in split]
    pools = {pool: membership.pool(pool) for pool in pools_of(phases)}
    seeds = [derive_seed(job.seed, "teacher", number) for number in range(len(split))]
    device = torch.device("cpu" if how is None else how.device)
    if how is None:
        for number, (own, seed) in enumerate(zip(rows, seeds, strict=True)):
            module = initial_module(job.recipe, seed).to(device)
            run_phases(
                module,
                phases,
                job.recipe,
                TrainData.of(records, own, device),
                streams={p: TrainData.of(records, which, device) for p, which in pools.items()},
                context=(_initial(module), prunable(module)),
                seed=derive_seed(seed, "train"),
            )
            yield number, module
        return
    sizes = [steps_of(len(own), job.recipe.batch_size) for own in rows]
    for together in cut(sizes, how.models) if rows else ():
        modules = [initial_module(job.recipe, seeds[k]).to(device) for k in together]
        run_stack(
            modules,
            phases,
            job.recipe,
            StackData.of(records, [rows[k] for k in together], device),
            streams={
                p: StackData.of(records, [which] * len(together), device)
                for p, which in pools.items()
            },
            context=([_initial(module) for module in modules], prunable(modules[0])),
            seeds=[derive_seed(seeds[k], "train") for k in together],
            kernels=how.kernels,
        )
        yield from zip(together, modules, strict=True)


def _initial(module: nn.Module) -> Tensors:
    return {name: value.detach().clone() for name, value in module.named_parameters()}


def data_of(
    records: Records, membership: Membership, job: Job, lesson: Lesson | None, device: torch.device
) -> TrainData:
    """Return what one model reads: its members, or the records of its lesson with the answers."""
    if lesson is None:
        return TrainData.of(records, membership.members(job.model), device)
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
