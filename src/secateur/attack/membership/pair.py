"""The attack on a dense model and its pruned version, both seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from secateur.attack.membership.references import (
    view_signals,
)
from secateur.attack.membership.trials import audit_scores
from secateur.attack.membership.vectors import check_vector, log_ratio_of
from secateur.protocols import Threat
from secateur.types import Observations, Scores, Signal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["PairAttack"]


@dataclass(frozen=True, kw_only=True)
class PairAttack:
    """Joint likelihood ratio of the scaled logits of two versions of one model.

    The attacker queries the model under audit and another version of it (the dense one, from
    which it was pruned), and has references through both pipelines. The pair of scaled logits is a
    vector: its covariance within records is pooled and shrunk, means and scale are shrunk per
    record. Larger = more like a member.

    Args:
        other: the other version's view; by default the first view that is not the primary one.
        shrink: weight of the covariance's diagonal, in [0, 1].
        variant: `t` for Student-t predictives, `n` for Gaussians.

    Differs from the paper: CompLeak's SR feeds both posteriors to a logistic regression or a
    random forest; this is LiRA's ratio in two dimensions.

    Several queries: all of them are parts of the vector.

    Example:
        >>> PairAttack(other="dense").min_in
        2
    """

    other: str = ""
    shrink: float = 0.1
    variant: Literal["t", "n"] = "t"

    threat: ClassVar[Threat] = "adaptive"
    revision: ClassVar[int] = 1
    reference: ClassVar[str] = "li2026compleak"
    needs_posteriors: ClassVar[bool] = False
    needs_more_views: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_vector(variant=self.variant, shrink=self.shrink)

    @property
    def needs(self) -> tuple[Signal, ...]:
        """The scaled logit, of both views."""
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
            MissingViewError: there is no other view.
            NotEnoughReferencesError: a record has fewer than two references in or out.
        """
        del seed  # nothing is random here
        return audit_scores(observations, self._score, otherwise=0.0, every_view=True)

    def _score(self, observations: Observations) -> NDArray[np.float64]:
        names = (self.other,) if self.other else None
        seen = view_signals(observations, self.needs[0], names, what="PairAttack", most=1)
        return log_ratio_of(observations.membership, seen, self)
