"""Which attack to take where there are too few references to choose on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from secateur.attack.membership.hierarchical import HierarchicalLiRA
from secateur.attack.membership.lira import LiRA
from secateur.attack.membership.rmia import RMIA
from secateur.attack.membership.thresholds import LossThreshold
from secateur.errors import InputError

if TYPE_CHECKING:
    from secateur.protocols import MembershipAttack

__all__ = ["recommended"]


def recommended(*, n_in: int, n_out: int, population: bool = True) -> MembershipAttack:
    """Return the attack to take where no reference can be spared to choose one on.

    With references in and out of every record `HierarchicalLiRA()`, the attack that is never far
    from the best. On Location-30 and Fashion-MNIST, dense and pruned by ADMM, at 2 to 16
    references (results/attacks.json), the best AUC of all attacks with their references was at most
    0.011 larger, and the best TPR at 1 % FPR at most 1.1 points: the smallest such gap of all. It
    is not the largest everywhere: on Fashion-MNIST `RMIA(temperature=1.0)` has a larger AUC at
    each of these numbers, by 0.004 to 0.011, but on Location-30 it is up to 0.072 behind; and on
    Location-30 `variant='n'` is larger in three of the eight cases, by 0.0007 at most. With
    references out alone `RMIA(mode='offline', temperature=1.0)`, or offline LiRA where there is
    no population to compare with. Without references the bare loss. From 8 references on an audit
    chooses on pseudo-targets instead, where some trained on each record and some did not.

    Args:
        n_in: references that trained on a record, of the record with the fewest.
        n_out: references that did not, of the record with the fewest.
        population: whether there are records that no model trained on.

    Raises:
        InputError: a negative number.

    Example:
        >>> recommended(n_in=2, n_out=2)
        HierarchicalLiRA(variant='t')
        >>> recommended(n_in=0, n_out=0)
        LossThreshold(class_wise=False)
    """
    if n_in < 0 or n_out < 0:
        raise InputError(f"numbers of references must be at least 0, got {n_in} in, {n_out} out")
    if n_in and n_out:
        return HierarchicalLiRA()
    if n_out:
        return RMIA(mode="offline", temperature=1.0) if population else LiRA(mode="offline")
    return LossThreshold(class_wise=False)
