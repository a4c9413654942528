"""Teachers of a model: trained on parts of its members, heard, and forgotten.

A sweep keeps what they said, and some of them, while a seed runs: `Job.lessons`.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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
from secateur.train.lesson import Lesson
from secateur.train.loop import run_phases
from secateur.train.model import Job, initial_module
from secateur.train.recombined import recombined_of
from secateur.train.shared_teachers import taught_on
from secateur.train.sources import sources_of
from secateur.train.stack import StackData, run_stack
from secateur.train.steps import Heard, Taught
from secateur.types import Provenance, derive_seed

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn

    from secateur.train.hooks import Tensors
    from secateur.types import BoolArray, FloatArray, IntArray, Membership, Records

__all__ = ["lesson_of", "lessons_of"]

AT_ONCE = 2048
"""Records that a teacher is asked at once: it may change the last bits of what a student learns."""


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


@dataclass(frozen=True, kw_only=True)
class _Class:
    """One model's teachers: which of the members each learns `[teachers, members]`, and the
    records that they are asked for; or the inputs that were made for them, with `asked` all -1.
    `seen` says which of these each saw.
    """

    job: Job
    method: Taught
    members: IntArray
    split: BoolArray
    asked: IntArray
    seen: BoolArray
    inputs: FloatArray | None = None


def _class_of(records: Records, membership: Membership, job: Job) -> _Class:
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
    inputs = None
    made = recombined_of(method)
    if made is not None:
        own = np.array(records.gather(asked))
        inputs, seen = made.of(own, seen, seed=derive_seed(job.seed, "questions"))
        asked = np.full(len(inputs), -1)
    return _Class(
        job=job,
        method=method,
        members=members,
        split=split,
        asked=asked,
        seen=seen,
        inputs=inputs,
    )


def _lesson(records: Records, one: _Class, logits: FloatArray, seconds: float) -> Lesson:
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
    rows = asked[where.numpy()]
    if one.inputs is not None:
        inputs = one.inputs[where.numpy()]
        return Lesson(
            rows=rows, answers=answers, history=history, seconds_before=seconds, inputs=inputs
        )
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


# -- teachers ------------------------------------------------------------------------------------


def _heard(
    records: Records, membership: Membership, classes: Sequence[_Class], how: Stacked | None
) -> list[tuple[FloatArray, float]]:
    """Return for each model its teachers' logits `[teachers, records, classes]`, and CPU seconds
    spent before.

    What another method of the same run heard from the same teachers is taken from `job.lessons`,
    and so are teachers that were kept there; where the teachers of several models share stacks,
    from all of them or from none. What is said of inputs that were made is not kept: it is large,
    and teachers that saw a parent are not asked.
    """
    keys = _keys(records, membership, classes, how)
    made = classes[0].inputs is not None
    paths = [] if made else _paths(classes, keys, "{digest}")
    if paths and all(path.exists() for path in paths):
        return [store.read_lesson(path) for path in paths]
    begun = time.process_time()
    found = [
        np.zeros((len(one.split), len(one.asked), records.n_classes), np.float32) for one in classes
    ]
    before = [0.0] * len(classes)
    questions = [_questions(records, one) for one in classes]
    for teacher in _found_or_trained(records, membership, classes, how, keys):
        one, said = classes[teacher.of], found[teacher.of][teacher.number]
        asked = ~one.seen[teacher.number] if made else np.ones(len(said), np.bool_)
        if asked.any():
            where = np.flatnonzero(asked) if made else one.asked
            said[asked] = logits_of(
                teacher.module, questions[teacher.of], indices=where, batch_size=AT_ONCE
            )
        before[teacher.of] += teacher.seconds if teacher.found else 0.0
    seconds = (time.process_time() - begun) / len(classes)
    for path, logits, earlier in zip(paths, found, before, strict=bool(paths)):
        store.write_lesson(path, logits, seconds=seconds + earlier)
    return list(zip(found, before, strict=True))


def _paths(classes: Sequence[_Class], keys: Sequence[dict[str, Any]], name: str) -> list[Path]:
    """Return one file of the lessons' folder for each model; none where a model has no folder, or
    no teachers.
    """
    found = [
        one.job.lessons / f"{name.format(digest=Provenance(key=key).digest[:24])}.safetensors"
        for one, key in zip(classes, keys, strict=True)
        if one.job.lessons is not None and len(one.split)
    ]
    return found if len(found) == len(classes) else []


def _questions(records: Records, one: _Class) -> Records:
    """Return what a model's teachers are asked of: all records, or those that were made."""
    if one.inputs is None:
        return records
    unread = np.arange(len(one.asked)) % 2  # records must have labels of two classes
    return type(records).from_arrays(one.inputs, unread, n_classes=records.n_classes)


def _keys(
    records: Records, membership: Membership, classes: Sequence[_Class], how: Stacked | None
) -> list[dict[str, Any]]:
    """Return whatever can change a number that each model's teachers say."""
    job, method = classes[0].job, classes[0].method
    phases = method.teaching(job.recipe)
    own = [(phase.hooks, phase.optimiser) for phase in phases]

    def digest(*arrays: np.ndarray[Any, Any]) -> str:
        found = hashlib.sha256()
        for array in arrays:
            found.update(np.ascontiguousarray(array).tobytes())
        return found.hexdigest()

    common = {
        "recipe": repr(job.recipe),
        "teaching": repr(phases),
        "sources": sources_of([job.recipe, own, initial_module(job.recipe, 0)]),
        "records": records.digest,
        "streams": {pool: digest(membership.pool(pool)) for pool in pools_of(phases)},
        "route": ONE_BY_ONE if how is None else how.route,
        "versions": {name: version(name) for name in ("numpy", "secateur", "torch")},
    }
    each = [
        {
            "members": digest(one.members),
            "split": digest(one.split),
            "asked": digest(one.asked if one.inputs is None else one.inputs),
            "seed": one.job.seed,
        }
        for one in classes
    ]
    beside = {} if how is None else {"beside": each}
    return [{**common, **key, **beside} for key in each]


@dataclass(frozen=True, kw_only=True)
class _Teacher:
    """A trained teacher: the model `of` which it is one, its own number, its CPU seconds, and
    whether an earlier method had trained it.
    """

    of: int
    number: int
    module: nn.Module
    seconds: float
    found: bool = False


def _found_or_trained(
    records: Records,
    membership: Membership,
    classes: Sequence[_Class],
    how: Stacked | None,
    keys: Sequence[dict[str, Any]],
) -> Iterator[_Teacher]:
    """Yield all teachers: those that an earlier method kept, or trained now, and kept."""
    if not all(one.job.keeps_teachers for one in classes):
        yield from _teachers(records, membership, classes, how)
        return
    own = [_without_questions(key) for key in keys]
    paths = _paths(classes, own, f"{store.TEACHER}{{digest}}-{{{{number}}}}")

    def path(of: int, number: int) -> Path:
        return paths[of].with_name(paths[of].name.format(number=number))

    numbers = [(of, k) for of, one in enumerate(classes) for k in range(len(one.split))]
    if paths and all(path(*both).exists() for both in numbers):
        device = torch.device("cpu" if how is None else how.device)
        for of, number in numbers:
            state, seconds = store.read_teacher(path(of, number))
            module = initial_module(classes[of].job.recipe, 0)
            module.load_state_dict({name: torch.from_numpy(a) for name, a in state.items()})
            yield _Teacher(
                of=of, number=number, module=module.to(device), seconds=seconds, found=True
            )
        return
    for teacher in _teachers(records, membership, classes, how):
        if paths:
            state = {n: v.detach().cpu().numpy() for n, v in teacher.module.state_dict().items()}
            store.write_teacher(path(teacher.of, teacher.number), state, seconds=teacher.seconds)
        yield teacher


def _without_questions(key: dict[str, Any]) -> dict[str, Any]:
    """Return what decides a teacher, of what decides what it says."""
    own = {name: value for name, value in key.items() if name != "asked"}
    if "beside" in own:
        own["beside"] = [_without_questions(one) for one in own["beside"]]
    return own


def _teachers(
    records: Records, membership: Membership, classes: Sequence[_Class], how: Stacked | None
) -> Iterator[_Teacher]:
    """Yield teachers, each as soon as it is trained."""
    recipe, method = classes[0].job.recipe, classes[0].method
    phases = method.teaching(recipe)
    pools = {pool: membership.pool(pool) for pool in pools_of(phases)}
    device = torch.device("cpu" if how is None else how.device)
    every = [
        (of, number, one.members[part], derive_seed(one.job.seed, "teacher", number))
        for of, one in enumerate(classes)
        for number, part in enumerate(one.split)
    ]
    if how is None:
        for of, number, own, seed in every:
            begun = time.process_time()
            module = initial_module(recipe, seed).to(device)
            run_phases(
                module,
                phases,
                recipe,
                TrainData.of(records, own, device),
                streams={p: TrainData.of(records, which, device) for p, which in pools.items()},
                context=(_initial(module), prunable(module)),
                seed=derive_seed(seed, "train"),
            )
            seconds = time.process_time() - begun
            yield _Teacher(of=of, number=number, module=module, seconds=seconds)
        return
    sizes = [steps_of(len(own), recipe.batch_size) for _, _, own, _ in every]
    for together in cut(sizes, how.models) if every else ():
        some = [every[k] for k in together]
        begun = time.process_time()
        modules = [initial_module(recipe, seed).to(device) for *_, seed in some]
        run_stack(
            modules,
            phases,
            recipe,
            StackData.of(records, [own for _, _, own, _ in some], device),
            streams={
                p: StackData.of(records, [which] * len(some), device) for p, which in pools.items()
            },
            context=([_initial(module) for module in modules], prunable(modules[0])),
            seeds=[derive_seed(seed, "train") for *_, seed in some],
            kernels=how.kernels,
        )
        seconds = (time.process_time() - begun) / len(some)
        for (of, number, _, _), module in zip(some, modules, strict=True):
            yield _Teacher(of=of, number=number, module=module, seconds=seconds)


def _initial(module: nn.Module) -> Tensors:
    return {name: value.detach().clone() for name, value in module.named_parameters()}
