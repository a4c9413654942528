"""What every audit of one model says, whether the model itself is at hand or its outputs alone."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from secateur.attack.membership import GapAttack
from secateur.auditing.statements import BEYOND, LIMIT_OF_ONE, LIMITS, PIPELINE_LIMIT
from secateur.measure import lowest_resolvable_fpr, over_targets, over_units
from secateur.measure.roc import FEW
from secateur.types import Control, Signal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from secateur.types import IntArray, Measurement, Membership, Observations, Report

__all__ = [
    "CORRECT",
    "accuracy_row",
    "accuracy_rows",
    "few_records_control",
    "gap_rows",
    "limits_of",
]

CORRECT = Signal(name="correct")


def limits_of(*, targets: int, references: int) -> list[str]:
    """Return what the numbers are not: of one model or of several, with references or without."""
    own = LIMIT_OF_ONE if targets == 1 else PIPELINE_LIMIT
    limits = [own if line == PIPELINE_LIMIT else line for line in LIMITS]
    return limits if references else [BEYOND, *limits]


def accuracy_rows(observations: Observations) -> list[Measurement]:
    """Return the audited models' accuracy on members and on the audit's non-members.

    Empty where it was not seen which answers are right.
    """
    who = observations.membership
    if CORRECT.key not in observations.views[observations.primary]:
        return []
    sides = {"train accuracy": who.members, "accuracy on non-members": who.non_members}
    return [
        accuracy_row(
            observations,
            [side(m) for m in who.targets.tolist()],
            metric=metric,
            counted="members" if metric == "train accuracy" else "non_members",
        )
        for metric, side in sides.items()
    ]


def accuracy_row(
    observations: Observations, asked: Sequence[IntArray], *, metric: str, counted: str
) -> Measurement:
    """Return how often the audited models are right; of one model with an interval over its units.

    Args:
        observations: which hold what is right, of the subject of their name.
        asked: the records that each target is asked about.
        metric: the row's name.
        counted: what the row's counts call these records; training records are no virtue.
    """
    who, correct = observations.membership, observations.plain(CORRECT)
    told: dict[str, Any] = {
        "about": (observations.primary, "utility", "accuracy", metric),
        "counts": {counted: float(np.mean([len(s) for s in asked]))},
        "better": "neither" if counted == "members" else "higher",
    }
    if len(asked) == 1:
        return over_units(correct[who.targets[0], asked[0]], who.units[asked[0]], **told)
    rates = [correct[m, s].mean() for m, s in zip(who.targets, asked, strict=True)]
    fewest = min(len(np.unique(who.units[s])) for s in asked)
    return over_targets(np.array(rates), trials=fewest, **told)


def gap_rows(report: Report) -> list[Measurement]:
    """Return how much more often the model is right on members: twice the gap attack's excess."""
    gap = (r for r in report.rows if r.method == repr(GapAttack()))
    row = next((r for r in gap if r.metric == "balanced accuracy"), None)
    if row is None or row.value is None or row.low is None or row.high is None:
        return []
    return [
        replace(
            row,
            risk="utility",
            method="accuracy",
            metric="accuracy gap",
            value=2 * row.value - 1,
            low=2 * row.low - 1,
            high=2 * row.high - 1,
            threat="",
            why="accuracy on members less accuracy on the audit's non-members",
        )
    ]


def few_records_control(who: Membership) -> Control:
    """Return whether there are few members or non-members, and what so many resolve."""
    first = int(who.targets[0])
    units = [len(np.unique(who.units[s])) for s in (who.members(first), who.non_members(first))]
    lowest = lowest_resolvable_fpr(units[1])
    resolved = (
        f"the lowest false-positive rate that can be resolved is {lowest:.3g}"
        if lowest is not None
        else "no false-positive rate can be resolved"
    )
    return Control(
        id="few-records",
        status="raised" if min(units) < FEW else "passed",
        subject="all",
        saw=f"{units[0]} members and {units[1]} non-members (persons); {resolved}",
        why="with few records intervals are wide, and nothing is known of the low false-alarm "
        "rates at which an attacker accuses nobody falsely",
        mend="hand over more members and non-members; a thousand of each resolve 1 %",
        value=float(min(units)),
    )
