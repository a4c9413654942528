"""The attack on every version of a model that its owner ever gave out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from secateur.attack.membership.references import (
    view_signals,
)
from secateur.attack.membership.trials import audit_scores
from secateur.attack.membership.vectors import check_vector, log_ratio_of
from secateur.errors import MethodError
from secateur.protocols import Threat
from secateur.types import Observations, Scores, Signal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["MultiVersion"]


@dataclass(frozen=True, kw_only=True)
class MultiVersion:
    """Joint likelihood ratio of the scaled logits of any number of versions of one model.

    As `PairAttack`, with all views: the dense model and several prunings of it, or a sequence of
    checkpoints. Larger = more like a member.

    Args:
        others: views beside the primary one; empty for all there are.
        shrink: weight of the covariance's diagonal, in [0, 1].
        variant: `t` for Student-t predictives, `n` for Gaussians.

    Differs from the paper: CompLeak's MR feeds differences of posteriors and losses to a network;
    this is LiRA's ratio in as many dimensions as there are versions.

    Several queries: all of them are parts of the vector.

    Example:
        >>> MultiVersion(others=("dense", "rate 4")).min_out
        2
    """

    others: tuple[str, ...] = ()
    shrink: float = 0.1
    variant: Literal["t", "n"] = "t"

    threat: ClassVar[Threat] = "adaptive"
    revision: ClassVar[int] = 1
    reference: ClassVar[str] = "li2026compleak"
    needs_posteriors: ClassVar[bool] = False
    needs_more_views: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_vector(variant=self.variant, shrink=self.shrink)
        if len(set(self.others)) != len(self.others):
            raise MethodError(f"others must be different views, got {self.others}")

    @property
    def needs(self) -> tuple[Signal, ...]:
        """The scaled logit, of every view."""
        return (Signal(name="margin"),)

    @property
    def min_in(self) -> int:
        """References in; the covariance needs two."""
        return 2

    @property
    def min_out(self) -> int:
        """References out; the covariance needs two."""
        return 2

    def __call__(self, observations: Observations, *, seed: int = 0) -> Scores:
        """Score the audit pool; the threshold is chosen on references as pseudo-targets.

        Raises:
            MissingViewError: there is no other view, or not the one that was named.
            NotEnoughReferencesError: a record has fewer than two references in or out.
        """
        del seed  # nothing is random here
        return audit_scores(observations, self._score, otherwise=0.0, every_view=True)

    def _score(self, observations: Observations) -> NDArray[np.float64]:
        seen = view_signals(observations, self.needs[0], self.others or None, what="MultiVersion")
        return log_ratio_of(observations.membership, seen, self)
