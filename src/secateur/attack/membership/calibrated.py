"""Difficulty calibration: the target's signal less what models without the record give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from secateur.attack.membership.references import (
    above_out,
    with_queries,
)
from secateur.attack.membership.trials import audit_scores
from secateur.errors import MethodError
from secateur.protocols import Threat
from secateur.types import Observations, Scores, Signal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Calibrated"]

SIGNS = {"loss": -1.0, "log_confidence": 1.0, "margin": 1.0, "modified_entropy": -1.0}


@dataclass(frozen=True, kw_only=True)
class Calibrated:
    """Signal of the target minus its mean over references out of the record (Watson et al. 2022).

    Larger = more like a member.

    Args:
        signal: `margin`, `loss` (the paper's), `log_confidence` or `modified_entropy`, turned so
            that members are larger.

    Differs from the paper: the scaled logit is the default. Differences of losses are ruled by
    the few records with large ones, and vanish for an overfitted network.

    Several queries: the mean of the signals.

    Example:
        >>> Calibrated(signal="loss").min_out
        1
    """

    signal: Literal["loss", "log_confidence", "margin", "modified_entropy"] = "margin"

    threat: ClassVar[Threat] = "adaptive"
    revision: ClassVar[int] = 1
    reference: ClassVar[str] = "watson2022importance"
    needs_posteriors: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.signal not in SIGNS:
            raise MethodError(f"signal must be one of {', '.join(SIGNS)}, got {self.signal!r}")

    @property
    def needs(self) -> tuple[Signal, ...]:
        """The one signal."""
        return (Signal(name=self.signal),)

    @property
    def min_in(self) -> int:
        """References in: none."""
        return 0

    @property
    def min_out(self) -> int:
        """References out."""
        return 1

    def __call__(self, observations: Observations, *, seed: int = 0) -> Scores:
        """Score the audit pool; the threshold is chosen on references as pseudo-targets.

        Raises:
            NotEnoughReferencesError: a record has no reference out.
        """
        del seed  # nothing is random here
        return audit_scores(observations, self._score)

    def _score(self, observations: Observations) -> NDArray[np.float64]:
        seen = with_queries(observations.stored(self.needs[0]))
        return SIGNS[self.signal] * above_out(observations.membership, seen, what="Calibrated")
