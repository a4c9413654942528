"""A control for targets that were left out of one balanced design with their references."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from secateur.measure.controls import far_from_a_coin, planted
from secateur.measure.exposure import FEWEST_MODELS
from secateur.measure.membership import auc
from secateur.types import AUDIT, Control, Membership, Observations, derive_seed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from secateur.protocols import MembershipAttack

__all__ = ["leave_one_out_control"]

UNLIKELY = -4.0  # standard deviations
FEWEST_TO_JUDGE = 8


def leave_one_out_control(
    attack: MembershipAttack, observations: Observations, *, subject: str, seed: int
) -> Control:
    """Raise where targets were left out of one balanced design with their references.

    The more references hold a record, the less likely does a target of the same design. An attack
    that compares models in with models out is biased by that: below 64 models the control is
    raised, from there where made signals without any leak give an AUC other than 0.5.
    """
    who = observations.membership
    told, tied = _told_by_counts(who)
    fields: dict[str, Any] = {
        "id": "leave-one-out",
        "subject": subject,
        "why": "where the other models of a balanced design tell who is in the one left out, "
        "attacks are biased: with few models they find less than nothing where nothing is",
        "mend": f"use references drawn apart from the targets, or {FEWEST_MODELS} models or more",
    }
    if not tied:
        saw = "how many references hold a record does not tell whether a target does"
        return Control(status="passed", saw=saw, **fields)
    bare = planted(observations, shift=0.0, seed=derive_seed(seed, "nothing"))
    row = auc(attack(bare, seed=seed), who, subject=subject, method="nothing planted")
    biased = far_from_a_coin(row)
    return Control(
        status="raised" if len(who) < FEWEST_MODELS or biased else "passed",
        saw=f"targets and references are {len(who)} models of one balanced design (references "
        f"holding a record and targets holding it correlate at {told:.2f}); on made signals "
        f"without any leak the AUC is {row.value:.3f} [{row.low:.3f}, {row.high:.3f}]",
        value=row.value,
        low=row.low,
        high=row.high,
        **fields,
    )


def _told_by_counts(membership: Membership) -> tuple[float, bool]:
    """Return how a unit's references inside correlate with targets inside, and if they are tied."""
    audit = membership.pools[AUDIT]
    first = np.unique(membership.units[audit], return_index=True)[1]
    inside = membership.inside[:, audit[first]]
    total = np.count_nonzero(inside, axis=0)
    varied = (total > 0) & (total < len(inside))
    if varied.sum() >= FEWEST_TO_JUDGE and not np.ptp(total[varied]):
        told = _correlation(inside[membership.targets][:, varied], total[varied])
        return told, told < 0
    # of all units: leaving out those that are in no model would tie independent models
    targets = inside[membership.targets]
    told = _correlation(targets, total)
    return told, told * targets.size**0.5 < UNLIKELY


def _correlation(targets: NDArray[np.bool_], total: NDArray[np.int64]) -> float:
    """Correlate, over targets and units, being in a target with the number of references in."""
    counts = total - targets.sum(axis=0)
    ins, beside = targets - targets.mean(axis=1, keepdims=True), counts - counts.mean()
    spread = float((ins**2).sum() * (beside**2).sum() * len(targets))
    return float((ins * beside).sum()) / spread**0.5 if spread else 0.0
