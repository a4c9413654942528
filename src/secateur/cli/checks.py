"""What is looked at before long work: outputs, shapes, references, models that are there."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from secateur import store
from secateur.errors import (
    InputError,
    NotEnoughReferencesError,
    SecateurError,
    SecateurWarning,
    StoreError,
)
from secateur.types import AUDIT

if TYPE_CHECKING:
    from secateur.data import Queries
    from secateur.protocols import MembershipAttack
    from secateur.store import FleetPlan
    from secateur.train import Recipe
    from secateur.types import Fleet, Membership, Records

__all__ = [
    "check_fit",
    "common_part",
    "made_part",
    "refuse_apart",
    "refuse_folder_inside",
    "refuse_inside_fleet",
    "refuse_outputs",
    "refuse_same_fleet",
    "refuse_unread_data",
    "refuse_unwritable",
    "refuse_without_references",
]

TOLD = frozenset({"data", "targets", "references", "share", "seed", "pools"})
"""What the manifest of a fleet of `secateur train` says, from which its records are read again."""


def refuse_unread_data(folder: Path, plan: FleetPlan) -> None:
    """Refuse a fleet whose manifest does not say how to read its records.

    Raises:
        StoreError: says what it holds, and how to get a fleet that every verb takes.
    """
    if plan.data.keys() >= TOLD:
        return
    alone = len(plan.membership.references) == len(plan.membership)
    what = (
        "holds references alone, as an audit of one network trains them, and no model under audit"
        if alone
        else "was not made by `secateur train`, so that nothing says how to read its records"
    )
    raise StoreError(
        f"{folder} {what}; train a fleet by `secateur train` (with --recipe FILE.py for a network "
        "of your own), which every verb takes; in Python secateur.open_fleet(folder, recipe=...) "
        "opens it"
    )


def refuse_without_references(attacks: Sequence[MembershipAttack], membership: Membership) -> None:
    """Say before any query that none of the asked attacks has the references that it needs.

    Raises:
        NotEnoughReferencesError: no attack can run; the message counts the references.
    """
    references = membership.inside[membership.references][:, membership.pool(AUDIT)]
    ins = references.sum(axis=0).min() if len(references) else 0
    outs = (~references).sum(axis=0).min() if len(references) else 0
    short = [a for a in attacks if a.min_in > ins or a.min_out > outs]
    if short and len(short) == len(attacks):
        least = min(2 * max(a.min_in, a.min_out) for a in short)
        mend = f"train a fleet with --references {least} or more (16 or more are advisable)"
        if len(references) >= least:
            mend = "draw each record into half of them"
        raise NotEnoughReferencesError(
            f"{', '.join(type(a).__name__ for a in short)} cannot run: with {len(references)} "
            f"references, some record is in {ins} of them and out of {outs}; {mend}, or name an "
            "attack that needs none"
        )


def refuse_outputs(*files: Path | None, inputs: Sequence[Path]) -> None:
    """Say before long work which files could not, or should not, be written after it.

    Args:
        files: what will be written; None is left out.
        inputs: files and folders that the work reads.

    Raises:
        StoreError: a file that cannot be written, that is written twice, or that is one of the
            inputs or inside one of them.
    """
    seen: list[Path] = []
    for file in files:
        if file is None:
            continue
        refuse_unwritable(file)
        place = file.resolve()
        if place in seen:
            raise StoreError(f"{file} would be written twice; give each output its own path")
        for source in inputs:
            if place == source.resolve() or source.resolve() in place.parents:
                raise StoreError(
                    f"{file} is, or is inside, the input {source}, which would be overwritten; "
                    "choose another path"
                )
        seen.append(place)


def refuse_apart(scores: Path | None, out: Path) -> None:
    """Refuse scores of single records in another folder than the report that names them.

    A report names them by a plain name, so that `secateur clean` finds them beside it.

    Raises:
        StoreError: names both.
    """
    if scores is not None and scores.parent.resolve() != out.parent.resolve():
        raise StoreError(
            f"--scores {scores} is in another folder than --out {out}, where `secateur clean` "
            f"would not find it; give --scores {out.parent / scores.name}"
        )


def refuse_same_fleet(fleets: Sequence[Path]) -> None:
    """Refuse a fleet that is named twice.

    Raises:
        InputError: names the folder.
    """
    seen: list[Path] = []
    for folder in fleets:
        if folder.resolve() in seen:
            raise InputError(
                f"the fleet {folder} is named twice; name each fleet once, the dense one first"
            )
        seen.append(folder.resolve())


def refuse_inside_fleet(file: Path) -> None:
    """Refuse to write a file into the folder of any fleet: what is shipped lies apart from it.

    Raises:
        StoreError: names both.
    """
    for folder in file.resolve().parents:
        if (folder / "fleet.json").is_file():
            raise StoreError(
                f"{file} would lie inside the fleet {folder}, whose files say who was trained on "
                "what and are not shipped; choose a path outside of it"
            )


def refuse_folder_inside(folder: Path, fleet: Path, *, option: str = "--out") -> None:
    """Refuse to make a fleet in the folder of the fleet that it is made from, or below it.

    Args:
        folder: of the new fleet.
        fleet: that it is made from.
        option: that named the folder.

    Raises:
        StoreError: names both.
    """
    place, source = folder.resolve(), fleet.resolve()
    if place == source or source in place.parents:
        raise StoreError(
            f"{option} {folder} is, or is inside, the fleet {fleet}, which stays as it "
            "is; choose a new folder"
        )


def refuse_unwritable(path: Path) -> None:
    """Say before long work that a file could not be written after it.

    Raises:
        StoreError: the path is no plain file, or below something that is no writable folder.
    """
    store.refuse_no_file(path)
    parent = next(p for p in path.absolute().parents if p.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise StoreError(
            f"cannot write {path}: {parent} is not a folder that may be written; choose another"
        )


def check_fit(recipe: Recipe, records: Records, queries: Queries) -> None:
    """Query a fresh network in every form, so that a wrong shape is said before any training.

    Raises:
        DataError: the network does not accept the records.
        InputError: its output does not fit the classes.
    """
    from secateur.models import logits_of

    try:
        network = recipe.build()
    except SecateurError:
        raise
    except (RuntimeError, MemoryError, TypeError, ValueError) as error:
        raise InputError(f"{recipe.build!r} makes no network: {str(error)[:300]}") from error
    for change in queries.changes():
        logits_of(network, records, indices=np.arange(min(2, len(records))), change=change)


def made_part(fleet: Fleet) -> Fleet:
    """Return the models of a fleet that are there."""
    missing = set(getattr(fleet.artifacts, "missing", tuple)())
    return fleet.part([i for i in range(len(fleet)) if i not in missing]) if missing else fleet


def common_part(fleets: Sequence[Fleet]) -> list[Fleet]:
    """Return of each fleet the models that all of them have, and say how many those are.

    Raises:
        InputError: there is no target among them.
    """
    absent = {i for f in fleets for i in getattr(f.artifacts, "missing", tuple)()}
    if not absent:
        return list(fleets)
    rows = [i for i in range(len(fleets[0])) if i not in absent]
    roles = [fleets[0].membership.roles[i] for i in rows]
    targets = roles.count("target")
    if not targets:
        raise InputError(
            f"of {len(fleets[0])} models {len(rows)} are in every fleet, and no target is among "
            "them; make more of them first"
        )
    warnings.warn(
        f"of {len(fleets[0])} models {len(rows)} are in every fleet: {targets} targets and "
        f"{len(rows) - targets} references; the rest was not made",
        SecateurWarning,
        stacklevel=2,
    )
    return [fleet.part(rows) for fleet in fleets]
