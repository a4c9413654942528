"""Teachers, and what they said, that a sweep keeps while a seed runs: under which names, in which
files, and which of them are found again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from secateur import store
from secateur.train.batches import pools_of
from secateur.train.engines.serial import ONE_BY_ONE
from secateur.train.model import initial_module
from secateur.train.planned import recipe_of_teachers, teaching
from secateur.train.sources import sources_of
from secateur.train.teachers import Teacher, trained_teachers
from secateur.types import Provenance

if TYPE_CHECKING:
    from pathlib import Path

    from secateur.train.engines.stacked import Stacked
    from secateur.train.teachers import Class
    from secateur.types import Membership, Records

__all__ = ["kept_or_trained", "keys_of", "paths_of"]


def keys_of(
    records: Records, membership: Membership, classes: Sequence[Class], how: Stacked | None
) -> list[dict[str, Any]]:
    """Return whatever can change a number that each model's teachers say."""
    job, method = classes[0].job, classes[0].method
    recipe, phases = recipe_of_teachers(job.recipe, method), teaching(job.recipe, method)
    own = [(phase.hooks, phase.optimiser) for phase in phases]

    def digest(*arrays: np.ndarray[Any, Any]) -> str:
        found = hashlib.sha256()
        for array in arrays:
            found.update(np.ascontiguousarray(array).tobytes())
        return found.hexdigest()

    common = {
        "recipe": repr(recipe),
        "teaching": repr(phases),
        "sources": sources_of([recipe, own, initial_module(recipe, 0)]),
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


def paths_of(classes: Sequence[Class], keys: Sequence[dict[str, Any]], name: str) -> list[Path]:
    """Return one file of the lessons' folder for each model; none where a model has no folder, or
    no teachers.
    """
    found = [
        one.job.lessons / f"{name.format(digest=Provenance(key=key).digest[:24])}.safetensors"
        for one, key in zip(classes, keys, strict=True)
        if one.job.lessons is not None and len(one.split)
    ]
    return found if len(found) == len(classes) else []


def kept_or_trained(
    records: Records,
    membership: Membership,
    classes: Sequence[Class],
    how: Stacked | None,
    keys: Sequence[dict[str, Any]],
) -> Iterator[Teacher]:
    """Yield all teachers: those that an earlier method kept, or trained now, and kept."""
    if not all(one.job.keeps_teachers for one in classes):
        yield from trained_teachers(records, membership, classes, how)
        return
    own = [_without_questions(key) for key in keys]
    paths = paths_of(classes, own, f"{store.TEACHER}{{digest}}-{{{{number}}}}")

    def path(of: int, number: int) -> Path:
        return paths[of].with_name(paths[of].name.format(number=number))

    numbers = [(of, k) for of, one in enumerate(classes) for k in range(len(one.split))]
    if paths and all(path(*both).exists() for both in numbers):
        device = torch.device("cpu" if how is None else how.device)
        recipe = recipe_of_teachers(classes[0].job.recipe, classes[0].method)
        for of, number in numbers:
            state, seconds = store.read_teacher(path(of, number))
            module = initial_module(recipe, 0)
            module.load_state_dict({name: torch.from_numpy(a) for name, a in state.items()})
            yield Teacher(
                of=of, number=number, module=module.to(device), seconds=seconds, found=True
            )
        return
    for teacher in trained_teachers(records, membership, classes, how):
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
