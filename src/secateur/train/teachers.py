"""Train the teachers of models: what each learns, one by one or in stacks."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import torch

from secateur.errors import MethodError, SecateurError
from secateur.models import logits_of, prunable
from secateur.train.batches import TrainData, pools_of, steps_of
from secateur.train.engines.cut import cut
from secateur.train.loop import run_phases
from secateur.train.model import initial_module
from secateur.train.planned import recipe_of_teachers, teaching
from secateur.train.stack import StackData, run_stack
from secateur.types import derive_seed

if TYPE_CHECKING:
    from torch import nn

    from secateur.train.engines.stacked import Stacked
    from secateur.train.hooks import Tensors
    from secateur.train.model import Job
    from secateur.train.recipe import Recipe
    from secateur.train.steps import Taught
    from secateur.types import BoolArray, FloatArray, IntArray, Membership, Records

__all__ = ["Class", "Teacher", "check_network", "trained_teachers"]


@dataclass(frozen=True, kw_only=True)
class Class:
    """One model's teachers: which of the members each learns `[teachers, members]`, and the
    records that they are asked for; or the inputs that were made for them, with `asked` all -1.
    `seen` says which of these each saw. `read` are those of the members that the model is made
    from, where that is not all of them and the model is a reference.
    """

    job: Job
    method: Taught
    members: IntArray
    split: BoolArray
    asked: IntArray
    seen: BoolArray
    inputs: FloatArray | None = None
    read: IntArray | None = None


@dataclass(frozen=True, kw_only=True)
class Teacher:
    """A trained teacher: the model `of` which it is one, its own number, its CPU seconds, and
    whether an earlier method had trained it.
    """

    of: int
    number: int
    module: nn.Module
    seconds: float
    found: bool = False


def trained_teachers(
    records: Records, membership: Membership, classes: Sequence[Class], how: Stacked | None
) -> Iterator[Teacher]:
    """Yield the teachers of several models, each as soon as it is trained.

    Args:
        records: all records.
        membership: who trains on what.
        classes: the models' teachers, of one recipe and one method.
        how: in which stacks; None: one by one.
    """
    wanted = [
        _Wanted(of, number, one.members[part], derive_seed(one.job.seed, "teacher", number))
        for of, one in enumerate(classes)
        for number, part in enumerate(one.split)
    ]
    plan = _Plan(records, membership, classes[0], how)
    if how is None:
        for each in wanted:
            yield plan.alone(each)
        return
    sizes = [steps_of(len(each.own), plan.recipe.batch_size) for each in wanted]
    for together in cut(sizes, how.models) if wanted else ():
        yield from plan.stacked([wanted[k] for k in together], how)


class _Wanted(NamedTuple):
    """A teacher before its training: of which model, its number, what it learns, its seed."""

    of: int
    number: int
    own: IntArray
    seed: int


class _Plan:
    """How the teachers of one method are trained."""

    def __init__(
        self, records: Records, membership: Membership, one: Class, how: Stacked | None
    ) -> None:
        self.records = records
        self.recipe = recipe_of_teachers(one.job.recipe, one.method)
        self.phases = teaching(one.job.recipe, one.method)
        if self.recipe.build != one.job.recipe.build:
            check_network(self.recipe, records, one.members[:1])
        self.pools = {pool: membership.pool(pool) for pool in pools_of(self.phases)}
        self.device = torch.device("cpu" if how is None else how.device)

    def alone(self, each: _Wanted) -> Teacher:
        begun = time.process_time()
        data = partial(TrainData.of, self.records, device=self.device)
        module = initial_module(self.recipe, each.seed).to(self.device)
        run_phases(
            module,
            self.phases,
            self.recipe,
            data(each.own),
            streams={pool: data(rows) for pool, rows in self.pools.items()},
            context=(_initial(module), prunable(module)),
            seed=derive_seed(each.seed, "train"),
        )
        return Teacher(
            of=each.of, number=each.number, module=module, seconds=time.process_time() - begun
        )

    def stacked(self, some: Sequence[_Wanted], how: Stacked) -> Iterator[Teacher]:
        begun = time.process_time()
        data = partial(StackData.of, self.records, device=self.device)
        modules = [initial_module(self.recipe, each.seed).to(self.device) for each in some]
        run_stack(
            modules,
            self.phases,
            self.recipe,
            data([each.own for each in some]),
            streams={pool: data([rows] * len(some)) for pool, rows in self.pools.items()},
            context=([_initial(module) for module in modules], prunable(modules[0])),
            seeds=[derive_seed(each.seed, "train") for each in some],
            kernels=how.kernels,
        )
        seconds = (time.process_time() - begun) / len(some)
        for each, module in zip(some, modules, strict=True):
            yield Teacher(of=each.of, number=each.number, module=module, seconds=seconds)


def check_network(recipe: Recipe, records: Records, rows: IntArray) -> None:
    """Refuse a network of teachers that does not take the records, or has other classes.

    Args:
        recipe: that teachers are trained by.
        records: all records.
        rows: which of them it is shown: the model's own.

    Raises:
        MethodError: names the network, and what it was given and what it made.
    """
    try:
        logits_of(initial_module(recipe, 0), records, indices=rows)
    except SecateurError as error:
        raise MethodError(f"the teachers' network {recipe.build!r}: {error}") from error


def _initial(module: nn.Module) -> Tensors:
    return {name: value.detach().clone() for name, value in module.named_parameters()}
