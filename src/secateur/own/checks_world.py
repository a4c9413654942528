"""Checks of who is a member, and of what an audit of this size can say."""

from __future__ import annotations

import math

import numpy as np

from secateur.data import given
from secateur.data.twins import content_keys
from secateur.measure import AuditSize, blind_baseline, resolvable_fpr
from secateur.own.findings import Finding
from secateur.types import IntArray, Records

__all__ = ["few_records", "shared_records", "told_by_inputs"]

EXPECTED = 10  # false positives over all targets, below which a TPR is not resolvable
MOST = 4000
FEW = 50  # as the audit's own control of one network has it


def shared_records(records: Records, members: IntArray, others: IntArray) -> Finding | None:
    """Find members that are non-members too, by index or by content."""
    both = np.intersect1d(members, others)
    keys = content_keys(records.gather(np.concatenate([members, others])))
    equal = int(np.isin(keys[: len(members)], keys[len(members) :]).sum())
    if not both.size and equal <= 0.01 * len(members):
        return None
    return Finding(
        id="shared-records",
        what=f"{both.size} records are in MEMBERS and in NON_MEMBERS, and {equal} members have the "
        "inputs of a non-member",
        mend="a record is in one of the two: np.setdiff1d(NON_MEMBERS, MEMBERS), and drop doubles",
        values={"both": both.size, "equal": equal},
    )


def told_by_inputs(
    records: Records, members: IntArray, others: IntArray, *, seed: int
) -> Finding | None:
    """Find members that a classifier tells from non-members without any model."""
    rng = np.random.default_rng(seed)
    some, rest = (np.sort(rng.permutation(rows)[:MOST]) for rows in (members, others))
    control = blind_baseline(records, given(records, members=some, non_members=rest), seed=seed)
    if control.status != "raised":
        return None
    return Finding(
        id="told-by-inputs",
        what=f"{control.saw}; {control.why}",
        mend="take NON_MEMBERS from the same source, time and selection as MEMBERS, at best a "
        "random part that was kept out of the training",
        values={"auc": control.value or 0.0},
    )


def few_records(size: AuditSize, fpr: float, *, drawn: bool) -> Finding | None:
    """Find an audit of too few records; of one network no more can be `drawn`."""
    fewest = min(size.members, size.non_members)
    if not drawn and fewest < FEW:
        return Finding(
            id="few-records",
            what=f"there are {size.members} members and {size.non_members} non-members, counted in "
            f"persons; below {FEW} of either intervals are wide, and the audit says so",
            mend=f"name {FEW} members and {FEW} non-members or more; a thousand of each resolve "
            "1 % FPR",
            values={"fewest": fewest},
        )
    expected = size.targets * size.non_members * fpr
    if expected >= EXPECTED:
        return None
    lowest = resolvable_fpr(size)
    need = math.ceil(EXPECTED / fpr / size.targets)
    return Finding(
        id="few-records",
        what=f"at {100 * fpr:g} % FPR {expected:.2g} false positives are expected over "
        f"{size.targets} target{'s' * drawn} with {size.non_members} non-members"
        f"{' each' * drawn}; below {EXPECTED} nothing is resolved"
        + ("" if lowest is None else f"; {100 * lowest:g} % is the lowest that is"),
        mend=f"give {need} non-members{' per target' * drawn} or more, "
        f"{'more targets (--targets), ' * drawn}or ask for a higher rate (--fpr)",
        values={"expected": expected, "needed": need},
    )
