"""Audits of what people bring: a network, an estimator, or a recipe of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from secateur.auditing.estimators import (
    Fitted,
    check_fitted,
    given_estimator,
)
from secateur.auditing.given_model import audit_given, audited_alone, pointed_at
from secateur.auditing.networks import LOOKED_AT, network_of
from secateur.auditing.run import audit_fleets
from secateur.data import draw
from secateur.data.coins import REFERENCES, with_drawn_references
from secateur.data.handed import Handed, as_records, handed_over, whole_of
from secateur.data.handed_tables import is_table
from secateur.errors import DataError, InputError
from secateur.models import rebuild
from secateur.train import train_fleet
from secateur.types import Records, derive_seed

if TYPE_CHECKING:
    from secateur.protocols import Builder, MembershipAttack
    from secateur.train import Recipe
    from secateur.types import Membership, Report

__all__ = ["Sides", "audit_estimator", "audit_network", "audit_recipe"]

TARGETS = 8
NAME = "these records"


@dataclass(frozen=True, kw_only=True, eq=False)
class Sides:
    """Members and non-members as they were handed over."""

    records: Any
    members: Any
    non_members: Any
    label: str | None
    unit: str | None

    def handed(self) -> Handed | None:
        """Return what was handed over as records of its own; None for indices into records."""
        if self.members is None:
            which = "" if self.records is None else " as indices or a mask of these records"
            raise InputError(
                f"say what the model was trained on: members={which}, and non_members= of the "
                "same people and time that it never saw"
            )
        if isinstance(self.records, Records):
            return None
        if self.records is not None:
            whole = whole_of(self.records, label=self.label, unit=self.unit)
            return whole.split(*pointed_at(self.members, self.non_members, len(whole)))
        if self.non_members is None:
            raise InputError("give non_members= too: an audit needs records that it never saw")
        return handed_over(self.members, self.non_members, label=self.label, unit=self.unit)

    def indexed(self) -> tuple[Records, Membership]:
        """Return the records that indices speak of, and the membership of the one model."""
        assert isinstance(self.records, Records)  # `handed` said so
        for word, name in (("label", self.label), ("unit", self.unit)):
            if name is not None:
                raise InputError(f"{word}={name!r} names a table's column; these are Records")
        return audited_alone(self.records, self.members, self.non_members)


def audit_network(
    target: Any,
    sides: Sides,
    *,
    build: Builder | None,
    recipe: Recipe | None,
    references: Any,
    folder: str | Path | None,
    attacks: Sequence[MembershipAttack] | None,
    seed: int,
    **further: Any,
) -> Report:
    """Audit a trained torch network, with references where a recipe makes them."""
    asked = {"references": references, "folder": folder}
    for name in [k for k, v in asked.items() if v is not None and recipe is None]:
        raise InputError(
            f"{name}={asked[name]!r} of a network needs recipe=, which says how references are "
            "trained"
        )
    handed = sides.handed()
    if handed is None:
        records, who = sides.indexed()
        inputs = records.gather(np.arange(min(LOOKED_AT, len(records))))
    else:
        _refuse_categories(handed)
        inputs = handed.inputs[:LOOKED_AT].astype(np.float32)
    made = build or (None if recipe is None else recipe.build)
    network = network_of(target, inputs, build=made)
    if handed is not None:
        records, who = _own(handed, as_records(handed, n_classes=network.n_classes, name=NAME))
    more: dict[str, Any] = {}
    if recipe is not None:
        rebuild(network.given(recipe.build).first, recipe.build)  # refuses before any training
        count = REFERENCES if references is None else references
        who = with_drawn_references(who, count, seed=seed)
        fleet = train_fleet(
            recipe,
            records,
            who.part(who.references.tolist()),
            seed=derive_seed(seed, "references"),  # else one may begin where the target began
            engine=_engine(further.get("workers", 0)),
            progress=further.get("progress"),
            folder=_path(folder),
            name="references",
        )
        more = {"references": tuple(fleet.artifacts), "pipeline": (repr(recipe),)}
    given = network.given(None if recipe is None else recipe.build, **more)
    further.setdefault("device", network.device)
    return audit_given(given, records, who, attacks=attacks, seed=seed, **further)


def audit_estimator(
    target: Any,
    sides: Sides,
    *,
    references: Any,
    attacks: Sequence[MembershipAttack] | None,
    seed: int,
    **further: Any,
) -> Report:
    """Audit a fitted estimator, with references refitted where they are asked for."""
    classes = check_fitted(target)
    handed = sides.handed()
    if handed is None:
        records, who = sides.indexed()
        fitted = Fitted(estimator=target, classes=classes)
    else:
        made = as_records(handed, n_classes=max(2, len(classes)), classes=classes, name=NAME)
        records, who = _own(handed, made)
        fitted = Fitted(estimator=target, classes=classes, columns=handed.columns)
    who = with_drawn_references(who, references or 0, seed=seed)
    given = given_estimator(
        fitted,
        records,
        who,
        attacks=attacks,
        seed=seed,
        workers=further.get("workers", 0),
        progress=further.get("progress"),
    )
    return audit_given(given, records, who, attacks=attacks, seed=seed, **further)


def audit_recipe(
    recipe: Recipe,
    given: Any,
    *,
    label: str | None = None,
    unit: str | None = None,
    references: Any,
    folder: str | Path | None,
    attacks: Sequence[MembershipAttack] | None,
    seed: int,
    **further: Any,
) -> Report:
    """Train targets and references by a recipe and audit them: pipeline risk."""
    records = _all_records(given, label=label, unit=unit)
    count = REFERENCES if references is None else references
    who = draw(records, targets=TARGETS, references=count, seed=seed)
    fleet = train_fleet(
        recipe,
        records,
        who,
        seed=seed,
        engine=_engine(further.get("workers", 0)),
        progress=further.get("progress"),
        folder=_path(folder),
    )
    return audit_fleets(fleet, records, attacks=attacks, seed=seed, **further)


def _all_records(given: Any, *, label: str | None, unit: str | None) -> Records:
    """Return the records that a recipe is audited on, in whatever form they are handed over."""
    if given is None:
        raise InputError("a recipe is audited on records: audit(recipe, records)")
    named = next((f"{k}={v!r}" for k, v in (("label", label), ("unit", unit)) if v), None)
    if isinstance(given, Records) and named:
        raise InputError(f"{named} names a table's column; these are Records")
    if is_table(given) and label is None:
        raise InputError(
            "records is a table; say which column holds the true classes, such as "
            f"label={str(given.columns[-1])!r}"
        )
    from secateur.own.records import as_records as read

    return read(given, label=label, unit=unit)


def _path(folder: str | Path | None) -> Path | None:
    return None if folder is None else Path(folder)


def _engine(workers: int) -> Any:
    if not workers:
        return "serial"
    from secateur.train import Processes

    return Processes(workers=workers)


def _own(handed: Handed, records: Records) -> tuple[Records, Membership]:
    inside = np.flatnonzero(handed.inside)
    return audited_alone(records, inside, np.flatnonzero(~handed.inside))


def _refuse_categories(handed: Handed) -> None:
    texts = [str(c.name) for c in handed.columns if c.values]
    if texts:
        raise DataError(
            f"the columns {', '.join(texts[:8])} hold no numbers, and a network takes numbers "
            "alone; encode them as for the training"
        )
