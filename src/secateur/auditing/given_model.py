"""Audit one trained model that somebody hands over: this-model risk, without its training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from secateur.attack.membership import (
    ConfidenceThreshold,
    EntropyThreshold,
    GapAttack,
    LabelOnly,
    LossThreshold,
    ModifiedEntropyThreshold,
)
from secateur.auditing.leak import leak_rows
from secateur.auditing.run import audit_fleets, default_attacks
from secateur.auditing.single import few_records_control, gap_rows, limits_of
from secateur.auditing.statements import THREAT_MODEL_OF_ONE
from secateur.data import MeanSignal, restrict
from secateur.data import given as stated
from secateur.data.chosen import chosen_rows
from secateur.data.membership import sides_of
from secateur.errors import InputError
from secateur.train import Recipe
from secateur.types import Control, Fleet, Provenance

if TYPE_CHECKING:
    from secateur.protocols import Builder, MembershipAttack
    from secateur.types import Artifact, Membership, Records, Report

__all__ = ["Given", "audit_given", "audited_alone", "no_reference_attacks", "pointed_at"]

NAME = "model"


@dataclass(frozen=True, kw_only=True, eq=False)
class Given:
    """A trained model ready to be asked, and what is known of how it answers.

    `build` makes the network of every artifact, `first` being the model under audit. `lossy` says
    what of its answers is rounded, `unsuited` why perturbed queries make no sense of its inputs;
    both empty where nothing is.
    """

    build: Builder
    first: Artifact
    references: tuple[Artifact, ...] = ()
    pipeline: tuple[str, ...] = ()
    lossy: str = ""
    mend: str = "hand over the network without its last softmax or sigmoid"
    unsuited: str = ""
    notes: tuple[str, ...] = ()


def no_reference_attacks() -> tuple[MembershipAttack, ...]:
    """Return the attacks that ask the model under audit alone.

    Example:
        >>> [type(a).__name__ for a in no_reference_attacks()][-2:]
        ['GapAttack', 'LabelOnly']
    """
    return (
        LossThreshold(class_wise=False),
        ConfidenceThreshold(class_wise=False),
        EntropyThreshold(class_wise=False),
        ModifiedEntropyThreshold(class_wise=False),
        GapAttack(),
        LabelOnly(score="count"),
    )


def audit_given(
    given: Given,
    records: Records,
    who: Membership,
    *,
    attacks: Sequence[MembershipAttack] | None,
    seed: int,
    about: Mapping[str, Any] | None = None,
    name: str = "given",
    **further: Any,
) -> Report:
    """Audit one model, alone or beside references of its kind.

    Args:
        given: the model, and its references in the order of the membership.
        records: all that the membership speaks of.
        who: the model first, of the role `given`.
        attacks: by default those that these references allow.
        seed: of attacks and controls.
        about: further facts.
        name: what the report calls the model.
        further: as `audit_fleets` takes them.
    """
    alone = not given.references
    default = no_reference_attacks() if alone else (*default_attacks(), GapAttack())
    chosen = default if attacks is None else tuple(attacks)
    unsuited = [a for a in chosen if given.unsuited and _perturbs(a)]
    if unsuited and len(unsuited) == len(chosen):
        raise InputError(
            f"{unsuited[0]!r} cannot be run: {given.unsuited}; name an attack that asks about the "
            "records as they are, such as LossThreshold()"
        )
    fleet = Fleet(
        artifacts=[given.first, *given.references],
        membership=who,
        name=NAME,
        pipeline=given.pipeline,
        recipe=Recipe(build=given.build),
    )
    report = audit_fleets(
        fleet,
        records,
        attacks=[a for a in chosen if a not in unsuited],
        seed=seed,
        about={
            "title": "Membership audit of one model",
            "labels": {NAME: name},
            **(about or {}),
        },
        **further,
    )
    rows = [*report.rows, *gap_rows(report)]
    for attack in unsuited:
        rows += leak_rows(
            given.unsuited, who, subject=NAME, method=repr(attack), threat=attack.threat
        )
    return replace(
        report,
        rows=tuple(rows),
        controls=(*_own_controls(report), *_further_controls(given, who)),
        facts={**report.facts, **_facts(given, report, name)},
    )


def provenance_of(kind: str, **key: Any) -> Provenance:
    """Return the provenance of a model whose training nobody saw."""
    return Provenance(key={"step": f"given {kind}", **key})


def _perturbs(attack: MembershipAttack) -> bool:
    return any(isinstance(s, MeanSignal) for s in attack.needs)


def _own_controls(report: Report) -> list[Control]:
    """Return the controls of the audit; what needs a training that nobody saw was not run."""
    return [
        replace(
            c,
            status="not run",
            saw="a trained model was handed over, and nothing of its training",
        )
        if c.id == "early-stopping-curve"
        else c
        for c in report.controls
    ]


def _further_controls(given: Given, who: Membership) -> list[Control]:
    found = []
    if given.lossy:
        found.append(
            Control(
                id="logits",
                status="raised",
                subject=NAME,
                saw=given.lossy,
                why="a probability next to 1 keeps few of its digits: attacks understate the leak "
                "there",
                mend=given.mend,
            )
        )
    return [*found, few_records_control(who)]


def _facts(given: Given, report: Report, label: str) -> dict[str, Any]:
    alone = not given.references
    return {
        "subjects": {
            NAME: {"pipeline": list(given.pipeline), "label": label, "kind": "given"},
        },
        "limits": [*limits_of(targets=1, references=len(given.references)), *given.notes],
        "threat_model": THREAT_MODEL_OF_ONE if alone else report.facts["threat_model"],
    }


def audited_alone(records: Records, members: Any, non_members: Any) -> tuple[Records, Membership]:
    """Return the records that are spoken of, and the membership of the one model.

    Args:
        records: all records.
        members: indices, or a mask of all records.
        non_members: the same; None takes every other record.
    """
    inside, outside = pointed_at(members, non_members, len(records))
    return restrict(records, stated(records, members=inside, non_members=outside))


def pointed_at(members: Any, non_members: Any, n: int) -> tuple[Any, Any]:
    """Return the indices of members and of non-members among n records.

    Args:
        members: indices, or a mask of all records.
        non_members: the same; None takes every other record.
        n: number of records.

    Raises:
        DataError: neither indices nor a mask, out of range, empty; a record on both sides.
    """
    if non_members is None:
        non_members = np.setdiff1d(np.arange(n), chosen_rows("members", members, n))
    return sides_of(members, non_members, n)
