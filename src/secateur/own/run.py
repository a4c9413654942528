"""Run every check of a recipe file, in an order in which one mistake does not hide another."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import nn

from secateur.data import draw, given
from secateur.data.coins import REFERENCES, with_drawn_references
from secateur.data.handed_forms import Raw
from secateur.errors import InputError, SecateurError
from secateur.measure import AuditSize
from secateur.own import checks_network as network_checks
from secateur.own import checks_training as training_checks
from secateur.own import checks_world as world_checks
from secateur.own.checks_records import RAW_CHECKS, changing_records, duplicates
from secateur.own.checks_scale import unscaled_inputs
from secateur.own.findings import Finding
from secateur.own.module import inside, load_file, told
from secateur.own.recipe import named_sides, recipe_of, records_of, said_columns, shares
from secateur.own.records import as_raw
from secateur.train import Recipe
from secateur.train.rehearsal import rehearse
from secateur.types import AUDIT, POPULATION, UTILITY, Membership, Records

__all__ = ["Checked", "Wanted", "check_recipe"]


DRAWN_REFERENCES = 32  # as `secateur train` has it


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """The audit that a recipe is checked for; None is the default of the verb.

    Where the file names MEMBERS, it is that of one network by `secateur audit --recipe`, and
    `references`, `fpr` and `seed` alone are read.
    """

    targets: int = 8
    references: int | None = None
    members: int | None = None
    population: int | None = None
    utility: int | None = None
    fpr: float = 0.01
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What was found, and what was read on the way; `left` says what could not be looked at.

    `one` says that the audit is of one network, whose MEMBERS the file names; `membership` is then
    that of the references. `owned` says that a person owns several records.
    """

    recipe: Recipe
    findings: tuple[Finding, ...]
    left: str = ""
    records: Records | None = None
    membership: Membership | None = None
    size: AuditSize | None = None
    one: bool = False
    owned: bool = False
    seconds_per_record: float | None = None  # of the file's own train()


def check_recipe(file: str | Path, wanted: Wanted | None = None) -> Checked:
    """Look for the usual mistakes in a recipe file.

    Args:
        file: the recipe.
        wanted: the audit that it is meant for.

    Returns:
        The findings, none where nothing is wrong.

    Raises:
        InputError: the file cannot be read, or has no `build()` or `records()`.
    """
    path = Path(file).absolute()
    wanted = wanted or Wanted()
    recipe, module = recipe_of(path), load_file(path)
    found = _of_records(path, module)
    try:
        records = records_of(path)
    except InputError as error:
        if not callable(getattr(module, "records", None)):
            raise
        if not found:
            mend = "give records() what it needs; see docs/own.md"
            found.append(Finding(id="records", what=str(error), mend=mend))
        left = "the network, its training and the draw, until records() is right"
        return Checked(recipe=recipe, findings=tuple(found), left=left)
    found += _kept(duplicates(records))
    one = getattr(module, "MEMBERS", None) is not None
    if one:
        membership, size = _beside(records, module, wanted, found)
    else:
        membership = _drawn(records, wanted, found)
        size = _size(module, wanted, membership, found)
    fits = _of_network(path, recipe, records, found)
    seconds = _of_training(path, recipe, records, membership, found) if fits else None
    return Checked(
        recipe=recipe,
        findings=tuple(found),
        left=_left(fits, found),
        records=records,
        membership=membership,
        size=size,
        one=one,
        owned=len(np.unique(np.asarray(records.units))) < len(records),
        seconds_per_record=seconds,
    )


def _left(fits: bool, found: list[Finding]) -> str:
    """Return what could not be looked at."""
    if not fits:
        return "the training, until the network takes the records"
    if any(one.id == "training-step" for one in found):
        return "what the audit takes, until the first step of training works"
    return ""


def _kept(*found: Finding | None) -> list[Finding]:
    return [one for one in found if one is not None]


def _of_records(path: Path, module: ModuleType) -> list[Finding]:
    """Look at what `records()` gives, twice, before anything refuses it."""
    if not callable(getattr(module, "records", None)):
        return []
    given: list[Raw | Records] = []
    for chance in (1, 2):
        try:
            with inside(path, "records()"):
                torch.manual_seed(chance)
                np.random.seed(chance)
                random.seed(chance)
                raw = module.records()
                given.append(
                    raw if isinstance(raw, Records) else as_raw(raw, **said_columns(module))
                )
        except InputError:
            return []  # said when the records are made
    found = _kept(changing_records(given[0], given[1]))
    if isinstance(given[0], Raw):
        classes = getattr(module, "CLASSES", None)
        found += _kept(*(check(given[0], classes) for check in RAW_CHECKS))
    return found


def _drawn(records: Records, wanted: Wanted, found: list[Finding]) -> Membership | None:
    asked = (wanted.members, wanted.population, wanted.utility)
    usual = shares(len(records))
    sizes = [default if n is None else n for n, default in zip(asked, usual, strict=True)]
    pools = {AUDIT: 2 * sizes[0], POPULATION: sizes[1], UTILITY: sizes[2]}
    try:
        return draw(
            records,
            targets=wanted.targets,
            references=DRAWN_REFERENCES if wanted.references is None else wanted.references,
            seed=wanted.seed,
            pools=pools,
        )
    except InputError as error:
        mend = "ask for fewer records (--members, --population, --utility), or give more"
        found.append(Finding(id="pools", what=str(error), mend=mend))
        return None


def _size(
    module: ModuleType, wanted: Wanted, membership: Membership | None, found: list[Finding]
) -> AuditSize | None:
    """Return the size of an audit of models that are drawn, in units."""
    if hasattr(module, "NON_MEMBERS"):
        mend = "name MEMBERS too, what the network was trained on, or leave NON_MEMBERS out"
        found.append(Finding(id="members", what="NON_MEMBERS is there without MEMBERS", mend=mend))
    if membership is None:
        return None
    half = max(1, len(np.unique(membership.units[membership.pool(AUDIT)])) // 2)
    size = AuditSize(targets=wanted.targets, members=half, non_members=half, between_sd=0.0)
    found += _kept(world_checks.few_records(size, wanted.fpr, drawn=True))
    return size


def _beside(
    records: Records, module: ModuleType, wanted: Wanted, found: list[Finding]
) -> tuple[Membership | None, AuditSize | None]:
    """Look at the named members as `secateur audit --recipe` takes them.

    Returns:
        Who trains the references, and the audit's size in units; None where members are no such.
    """
    count = REFERENCES if wanted.references is None else wanted.references
    try:
        members, others = named_sides(module, len(records))
        found += _kept(world_checks.shared_records(records, members, others))
        alone = np.setdiff1d(others, members)
        if not alone.size:
            return None, None
        if len(members) > 1:
            told = world_checks.told_by_inputs(records, members, alone, seed=wanted.seed)
            found += _kept(told)
        who = given(records, members=members, non_members=alone)
    except InputError as error:
        mend = "name them by index, such as MEMBERS = np.arange(0, 500), whole persons on one side"
        found.append(Finding(id="members", what=str(error), mend=mend))
        return None, None
    who = with_drawn_references(who, count, seed=wanted.seed)
    found += _kept(world_checks.reference_size(who))
    inside, outside = (len(np.unique(who.units[rows])) for rows in (members, alone))
    size = AuditSize(targets=1, members=inside, non_members=outside, between_sd=0.0)
    found += _kept(world_checks.few_records(size, wanted.fpr, drawn=False))
    return (who.part(who.references.tolist()) if count else None), size


def _of_network(path: Path, recipe: Recipe, records: Records, found: list[Finding]) -> bool:
    """Look at the network; return whether it takes the records."""
    try:
        network = network_checks.fresh(recipe.build, 0)
    except SecateurError as error:
        mend = "let build() take nothing and return a torch module"
        found.append(Finding(id="build", what=str(error), mend=mend))
        return False

    def looked(check: Callable[..., Finding | None], *given: Any) -> Finding | None:
        try:
            seen = check(*given)
        except (Exception, SystemExit) as error:  # whatever a user's code raises
            seen = network_checks.failed(path, error)
        if seen is not None and seen not in found:
            found.append(seen)
        return seen

    looked(network_checks.hidden_modules, network)
    looked(network_checks.mode, network)
    if looked(network_checks.outputs_fit, network, records) is not None:
        return False
    chance = looked(network_checks.random_outputs, network, records)
    looked(network_checks.softmax, network, recipe.build, records)
    updated = looked(network_checks.eval_updates, network, records)
    if chance is None and updated is None:
        looked(network_checks.batch_statistics, network, records)
    looked(unscaled_inputs, network, records)
    looked(network_checks.same_weights, recipe.build)
    looked(network_checks.trained_build, recipe.build, records)
    return True


def _of_training(
    path: Path,
    recipe: Recipe,
    records: Records,
    membership: Membership | None,
    found: list[Finding],
) -> float | None:
    """Look at the training; return the seconds that the file's own takes per record."""
    if recipe.train is None:
        if membership is not None:
            try:
                rehearse(recipe, None, records, membership)
            except (Exception, SystemExit) as error:  # whatever a user's code raises
                what = told(path, "the first step of training", error)
                mend = "let the network take batches in training mode too, and RECIPE's hooks fit"
                found.append(Finding(id="training-step", what=what, mend=mend))
        return None
    trial = training_checks.tried(recipe.train, records)
    if isinstance(trial, Finding):
        found.append(trial)
        return None
    build: Callable[[], nn.Module] = recipe.build
    found += _kept(
        training_checks.other_network(trial, build),
        training_checks.unrepeatable(trial),
        training_checks.seed_ignored(trial),
        training_checks.records_ignored(trial),
    )
    return trial.seconds / trial.rows
