"""Checks of who is a member, and of what an audit of this size can say."""

from __future__ import annotations

import math

import numpy as np

from secateur.data import given
from secateur.data.twins import content_keys
from secateur.measure import AuditSize, blind_baseline, resolvable_fpr, training_size_control
from secateur.measure.roc import EXPECTED, FEW
from secateur.own.findings import Finding
from secateur.types import AUDIT, IntArray, Membership, Records

__all__ = ["few_records", "reference_size", "shared_records", "told_by_inputs"]

MOST = 4000
MOST_REFERENCES = 10_000


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
        f"{' each' * drawn}; below {EXPECTED:g} nothing is resolved"
        + ("" if lowest is None else f"; {100 * lowest:g} % is the lowest that is"),
        mend=f"give {need} non-members{' per target' * drawn} or more, "
        f"{'more targets (--targets), ' * drawn}or ask for a higher rate (--fpr)",
        values={"expected": expected, "needed": need},
    )


def reference_size(who: Membership) -> Finding | None:
    """Find references that train on another number of records than the network, as the audit does.

    Every record is in one reference at least, so that few members among many need many references.
    """
    control = training_size_control(who)
    if control.status != "raised":
        return None
    members, everyone = (len(np.unique(who.units[s])) for s in (who.members(0), who.pools[AUDIT]))
    share, count = members / everyone, len(who.references)
    need = next((r for r in range(count + 1, MOST_REFERENCES) if _fits(share, r)), None)
    ways = [] if need is None else [f"train {need} references (--references {need})"]
    most = math.floor(members * (1.09 * count - 1))  # inside 10 %, not on it
    if share < 1 / count and most < everyone - members:
        ways.append(f"name {most} non-members at most")
    return Finding(
        id="reference-size",
        what=f"the network was trained on {len(who.members(0))} records, each of {count} "
        f"references would be on about {who.inside[who.references].sum(axis=1).mean():.0f}: "
        f"{control.why}",
        mend=", or ".join(ways) or "give persons of about as many records each",
        values={"ratio": control.value or 0.0},
    )


def _fits(share: float, references: int) -> bool:
    """Tell whether so many references can train on about this share of the records."""
    inside = min(references - 1, max(1, round(share * references)))
    return abs(inside / references / share - 1) < 0.09
