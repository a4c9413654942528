"""The reference attack: how unusual is the target among models that never saw the record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from scipy.special import log_ndtr, logsumexp

from secateur.attack.membership.references import (
    as_slice,
    blocks,
    check_references,
    columns,
    sided_moments,
    with_queries,
)
from secateur.attack.membership.trials import audit_scores
from secateur.errors import MethodError
from secateur.protocols import Threat
from secateur.types import AUDIT, Observations, Scores, Signal

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["AttackR"]

MARGIN = Signal(name="margin")


@dataclass(frozen=True, kw_only=True)
class AttackR:
    """Share of references out of a record that are less confident than the target (Ye et al. 2022).

    Smoothed: each reference counts Phi((phi - phi_ref) / h), h = smooth * s * n^(-1/5), s the
    spread of references out within records, n their number; the score is the log-odds of the mean.
    Without smoothing it is the share itself, in [0, 1], equal values counting one half. Larger =
    more like a member.

    Args:
        smooth: width of the smoothing, at least 0; 0 is the paper's attack, whose score has only
            n + 1 values.

    Differs from the paper: smoothing is ours; the scaled logit instead of the loss, which has the
    same order.

    Several queries: the mean of the per-query scores.

    Example:
        >>> AttackR(smooth=0.0).min_in
        0
    """

    smooth: float = 1.0

    threat: ClassVar[Threat] = "adaptive"
    revision: ClassVar[int] = 1
    reference: ClassVar[str] = "ye2022enhanced"
    needs_posteriors: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not (self.smooth >= 0 and np.isfinite(self.smooth)):
            raise MethodError(f"smooth must be finite and at least 0, got {self.smooth}")

    @property
    def needs(self) -> tuple[Signal, ...]:
        """The scaled logit."""
        return (MARGIN,)

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
        who = observations.membership
        check_references(who, what="AttackR", min_in=0, min_out=1)
        audit = who.pools[AUDIT]
        phi = with_queries(observations.stored(MARGIN))
        inside = columns(who.inside[as_slice(who.references)], audit)
        scores = np.zeros((len(who.targets), len(audit)))
        for q in range(phi.shape[1]):
            moments = sided_moments(phi[:, q], who.references, audit, inside)[1]
            width = self.smooth * np.sqrt(moments.pooled()) * moments.count**-0.2
            targets = columns(phi[who.targets, q], audit).astype(np.float64)
            for at, references, mask in blocks(phi[:, q], who.references, audit, inside):
                scores[:, at] += self._some_records(
                    targets[:, at], references, mask == 0, width[at]
                )
        scores /= phi.shape[1]
        return scores

    def _some_records(
        self,
        targets: NDArray[np.float64],
        references: NDArray[np.float64],
        out: NDArray[np.bool_],
        width: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        scores = np.empty_like(targets)
        for row, phi in enumerate(targets):
            away = phi - references
            if self.smooth == 0:
                scores[row] = ((away > 0) + 0.5 * (away == 0)).sum(axis=0, where=out)
                scores[row] /= out.sum(axis=0)
                continue
            z = away / np.maximum(width, 1e-9)
            below = logsumexp(np.where(out, log_ndtr(z), -np.inf), axis=0)
            above = logsumexp(np.where(out, log_ndtr(-z), -np.inf), axis=0)
            scores[row] = below - above
        return scores
