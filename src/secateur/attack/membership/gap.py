"""The gap attack: a record is called a member when its label is predicted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from secateur.attack.membership.references import (
    columns,
)
from secateur.attack.membership.trials import audit_scores
from secateur.protocols import Threat
from secateur.types import AUDIT, Observations, Scores, Signal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["GapAttack"]

CORRECT = Signal(name="correct")


@dataclass(frozen=True, kw_only=True)
class GapAttack:
    """Call a record a member when the model predicts its label (Yeom et al. 2018).

    It sees one label per record; its balanced accuracy is 1/2 + (train - test accuracy) / 2. What a
    label-only attack finds beyond it comes from perturbed queries. Score: 1 where the label is
    right, else 0; larger = more like a member; the threshold is 0.5.

    Example:
        >>> GapAttack().min_out
        0

    Reference:
        choquettechoo2021labelonly (the name, and its use as baseline).
    """

    threat: ClassVar[Threat] = "no references"
    revision: ClassVar[int] = 1
    reference: ClassVar[str] = "yeom2018privacy"
    needs_posteriors: ClassVar[bool] = False

    @property
    def needs(self) -> tuple[Signal, ...]:
        """Whether the label is right."""
        return (CORRECT,)

    @property
    def min_in(self) -> int:
        """References in: none."""
        return 0

    @property
    def min_out(self) -> int:
        """References out: none."""
        return 0

    def __call__(self, observations: Observations, *, seed: int = 0) -> Scores:
        """Score the audit pool."""
        del seed  # nothing is random here
        return audit_scores(observations, _correct, fixed=0.5)


def _correct(seen: Observations) -> NDArray[np.float64]:
    who = seen.membership
    return columns(seen.plain(CORRECT)[who.targets], who.pools[AUDIT])
