"""The population attack: how unusual is the target's loss among records that it never saw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from secateur.attack.membership.references import (
    population_of,
    with_queries,
)
from secateur.attack.membership.trials import audit_scores
from secateur.errors import MethodError
from secateur.protocols import Threat
from secateur.types import AUDIT, Observations, Scores, Signal

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["AttackP"]

MARGIN = Signal(name="margin")


@dataclass(frozen=True, kw_only=True)
class AttackP:
    """Share of population records to which the target is less confident (Ye et al. 2022).

    A record is called a member when its share is at least 1 - fpr: the threshold is the
    population's quantile, so the false-positive rate is set in advance and no reference is needed.
    Score in [0, 1], equal scores counting one half; larger = more like a member.

    Args:
        fpr: false-positive rate of the threshold, in (0, 1).

    Differs from the paper: the scaled logit instead of the loss, which has the same order.

    Several queries: the mean of the scaled logits.

    Example:
        >>> AttackP(fpr=0.01).min_out
        0
    """

    fpr: float = 0.05

    threat: ClassVar[Threat] = "no references"
    revision: ClassVar[int] = 1
    reference: ClassVar[str] = "ye2022enhanced"
    needs_posteriors: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not 0 < self.fpr < 1:
            raise MethodError(f"fpr must be in (0, 1), got {self.fpr}")

    @property
    def needs(self) -> tuple[Signal, ...]:
        """The scaled logit."""
        return (MARGIN,)

    @property
    def min_in(self) -> int:
        """No references."""
        return 0

    @property
    def min_out(self) -> int:
        """No references."""
        return 0

    def __call__(self, observations: Observations, *, seed: int = 0) -> Scores:
        """Score the audit pool; the threshold is 1 - fpr.

        Raises:
            DataError: the membership has no population.
        """
        del seed  # nothing is random here
        return audit_scores(observations, self._score, fixed=1 - self.fpr)

    def _score(self, observations: Observations) -> NDArray[np.float64]:
        who = observations.membership
        population = population_of(who, what="AttackP")
        stored = with_queries(observations.stored(MARGIN))
        values = stored[who.targets].mean(axis=1, dtype=np.float64)
        shares = []
        for row in values:
            z, x = np.sort(row[population]), row[who.pools[AUDIT]]
            below = np.searchsorted(z, x, side="left") + np.searchsorted(z, x, side="right")
            shares.append(below / (2 * len(z)))
        return np.stack(shares)
