"""Membership risk group by group: the mean over everyone hides who is exposed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from secateur.errors import InputError
from secateur.measure.membership import auc, fpr_name, tpr_at_fpr
from secateur.measure.roc import resolved_fpr
from secateur.measure.targets import non_member_units
from secateur.measure.utility import over_targets, over_units
from secateur.types import UTILITY, Measurement, Membership, Records, Scores

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from secateur.types import BoolArray, IntArray

__all__ = ["CLASS", "FEWEST_IN_GROUP", "accuracy_by_group", "by_group", "column_of"]

CLASS = "class"
"""The name under which the label itself is a column of groups."""

FEWEST_IN_GROUP = 20
"""Members, and non-members, that a group needs in every target to be measured."""

MOST_GROUPS = 200


def column_of(records: Records, name: str) -> NDArray[Any]:
    """Return a column of groups, one value per record; `class` is the label.

    Raises:
        InputError: no such column, or one with more than 200 values; the message lists what there
            is.

    Example:
        >>> r = Records.from_arrays(np.zeros((2, 2)), np.array([0, 1]), groups={"sex": ["f", "m"]})
        >>> column_of(r, "sex").tolist()
        ['f', 'm']
    """
    if name in records.groups:
        column = np.asarray(records.groups[name])
    elif name == CLASS:
        column = np.asarray(records.labels)
    else:
        raise InputError(
            f"the records have no column {name!r} to group by; there are "
            f"{', '.join([*sorted(records.groups), CLASS])}"
        )
    if column.dtype.kind == "f" and np.isnan(column).any():
        raise InputError(
            f"the column {name!r} has {int(np.isnan(column).sum())} values that are NaN; give them "
            "a group of their own, such as a text"
        )
    values = len(np.unique(column))
    if values > MOST_GROUPS:
        raise InputError(
            f"the column {name!r} has {values} different values, at most {MOST_GROUPS} can be told "
            "apart; put them into bands first"
        )
    return column


def by_group(
    scores: Scores,
    membership: Membership,
    column: NDArray[Any],
    *,
    name: str,
    about: tuple[str, str, str],
    fpr: float = 0.01,
    fewest: int = FEWEST_IN_GROUP,
) -> list[Measurement]:
    """Measure one attack's AUC and TPR at an FPR within each group.

    Members of a group are told from non-members of the same group, so that groups which differ in
    themselves are not confused with members.

    Args:
        scores: of one attack on all records.
        membership: whose targets they are.
        column: `[records]`, the group of each.
        name: of the column; rows are named `name=value`.
        about: (subject, attack's repr, what the attacker knows).
        fpr: wanted, in (0, 1); of a group whose non-members do not resolve it, the lowest listed
            FPR that they do (`resolved_fpr`) takes its place.
        fewest: members, and non-members, that a group needs in every target; a person who owns
            several records counts once.

    Returns:
        Two rows per group in sorted order. A group that is too small is "not resolvable", with its
        counts. Intervals are those of `auc` and `tpr_at_fpr`, widened (Bonferroni) so that all
        groups of the column are covered at once: also the one that a reader picks because it looks
        worst.

    Raises:
        InputError: the column has another length than the records, or `fewest` is below 2.
    """
    _check_fewest(fewest)
    column = np.asarray(column)
    if column.shape != (membership.inside.shape[1],):
        raise InputError(
            f"the column {name!r} needs one value for each of {membership.inside.shape[1]} "
            f"records, got the shape {column.shape}"
        )
    inside = membership.inside[membership.targets]
    found = []
    for value in np.unique(column[scores.evaluated.any(axis=0)]).tolist():
        part = replace(scores, evaluated=scores.evaluated & (column == value))
        members = _fewest_units(part.evaluated & inside, membership.units)
        others = _fewest_units(part.evaluated & ~inside, membership.units)
        found.append((f"{name}={value}", part, members, others))
    enough = sum(min(members, others) >= fewest for _, _, members, others in found)
    subject, method, threat = about
    told: dict[str, Any] = {"subject": subject, "method": method, "threat": threat}
    told["confidence"] = _confidence_of_one(enough)
    rows: list[Measurement] = []
    for group, part, members, others in found:
        if min(members, others) < fewest:
            rows += _too_small(about, group, members, others, fewest, fpr)
        else:
            level = resolved_fpr(non_member_units(part, membership), fpr)
            found_in = [
                auc(part, membership, **told),
                tpr_at_fpr(part, membership, fpr=level, **told),
            ]
            rows += [_one_of(row, group, enough) for row in found_in]
    return rows


def _confidence_of_one(groups: int) -> float:
    """Return the confidence at which each of so many intervals holds for all to do at 95 %."""
    return 1 - 0.05 / groups if groups else 0.95


def _one_of(row: Measurement, group: str, groups: int) -> Measurement:
    """Return a row at the confidence 1 - 0.05 / groups as what it is among all of these groups."""
    note = f"95 % for all {groups} groups of this column together" if row.low is not None else ""
    return replace(
        row,
        group=group,
        confidence=0.95,
        counts={**row.counts, "groups": float(groups)},
        why="; ".join(filter(None, (row.why, note))),
    )


def _check_fewest(fewest: int) -> None:
    if fewest < 2:
        raise InputError(f"fewest must be at least 2 units, got {fewest}; the default is 20")


def _fewest_units(chosen: BoolArray, units: IntArray) -> int:
    """Return the smallest number of units, over models, among the chosen records."""
    return min((len(np.unique(units[row])) for row in chosen), default=0)


def _too_small(
    about: tuple[str, str, str], group: str, members: int, others: int, fewest: int, fpr: float
) -> list[Measurement]:
    subject, method, threat = about
    return [
        Measurement(
            subject=subject,
            risk="membership",
            method=method,
            metric=metric,
            value=None,
            status="not resolvable",
            threat=threat,
            group=group,
            counts={"members": float(members), "non_members": float(others)},
            why=f"over the targets as few as {members} members and {others} non-members of this "
            f"group (units, not records); {fewest} of each are needed",
        )
        for metric in ("auc", fpr_name(fpr))
    ]


def accuracy_by_group(
    correct: NDArray[np.float64],
    membership: Membership,
    column: NDArray[Any],
    *,
    name: str,
    subject: str,
    fewest: int = FEWEST_IN_GROUP,
) -> list[Measurement]:
    """Measure the targets' test accuracy within each group of the utility pool.

    Args:
        correct: `[models, records]`, 1 where a model is right.
        membership: whose targets are measured.
        column: `[records]`, the group of each.
        name: of the column.
        subject: the model family.
        fewest: units that a group needs in the utility pool.

    Returns:
        One row per group; a smaller one is "not resolvable". Intervals are widened (Bonferroni) as
        those of `by_group`.
    """
    _check_fewest(fewest)
    pool = membership.pool(UTILITY)
    own = np.asarray(column)[pool]
    groups = [(f"{name}={value}", own == value) for value in np.unique(own).tolist()]
    people = [len(np.unique(membership.units[pool[inside]])) for _, inside in groups]
    enough = sum(n >= fewest for n in people)
    about = (subject, "utility", "accuracy", "test accuracy")
    rows = []
    for (group, inside), units in zip(groups, people, strict=True):
        counts = {"records": float(inside.sum())}
        if units < fewest:
            rows.append(
                Measurement(
                    subject=subject,
                    risk="utility",
                    method="accuracy",
                    metric="test accuracy",
                    value=None,
                    status="not resolvable",
                    group=group,
                    counts=counts,
                    why=f"the utility pool holds {units} units of this group; {fewest} are needed",
                )
            )
            continue
        right = correct[np.ix_(membership.targets, pool[inside])]
        told: dict[str, Any] = {
            "about": about,
            "counts": counts,
            "better": "higher",
            "confidence": _confidence_of_one(enough),
        }
        row = (
            over_units(right[0], membership.units[pool[inside]], **told)
            if len(right) == 1
            else over_targets(right.mean(axis=1), trials=units, **told)
        )
        rows.append(_one_of(row, group, enough))
    return rows
