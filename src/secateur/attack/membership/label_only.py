"""Label-only attacks: how often a record's label survives small changes of its input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from secateur.attack.membership.references import (
    above_out,
    columns,
)
from secateur.attack.membership.trials import audit_scores
from secateur.attack.membership.vectors import check_vector, log_ratio_of
from secateur.data import MeanSignal, Noise
from secateur.errors import MethodError
from secateur.protocols import Perturbation, Threat
from secateur.types import AUDIT, Observations, Scores, Signal

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["LabelOnly"]

CORRECT = Signal(name="correct")


@dataclass(frozen=True, kw_only=True)
class LabelOnly:
    """Compare how often perturbed queries keep the true label (Choquette-Choo et al. 2021).

    The attacker sees predicted labels alone. Per perturbation the signal is the share of queries,
    the record as it is among them, for which the model predicts the record's label. Larger = more
    like a member.

    Args:
        perturbations: how records are changed: `Noise`, which stands for the distance to the
            decision boundary; `Augmented` for pictures; several for a vector of shares.
        score: `likelihood ratio`, LiRA's, of the log-odds of the shares, with means and spreads
            learned over records; `difference`, the share less its mean over references out;
            `count`, the share itself, for which no references are needed.
        shrink: of `likelihood ratio`, weight of the covariance's diagonal, in [0, 1].
        variant: of `likelihood ratio`, `t` for Student-t predictives, `n` for Gaussians.

    Differs from the paper: its attacks are `count`; a network that reads the vector of single
    labels, and HopSkipJump's search for the boundary, are left out. Both other scores are ours:
    they make the references' labels the measure of how hard a record is. Log-odds are of
    (c + 1/2) / (n - c + 1/2), c of n queries.

    Example:
        >>> LabelOnly(score="count").min_out
        0
    """

    perturbations: tuple[Perturbation, ...] = (Noise(),)
    score: Literal["likelihood ratio", "difference", "count"] = "likelihood ratio"
    shrink: float = 0.1
    variant: Literal["t", "n"] = "t"

    threat: ClassVar[Threat] = "adaptive"
    revision: ClassVar[int] = 1
    reference: ClassVar[str] = "choquettechoo2021labelonly"
    needs_posteriors: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_vector(variant=self.variant, shrink=self.shrink)
        if self.score not in ("likelihood ratio", "difference", "count"):
            raise MethodError(
                f"score must be 'likelihood ratio', 'difference' or 'count', got {self.score!r}"
            )
        if not self.perturbations or len(set(self.perturbations)) != len(self.perturbations):
            raise MethodError(
                f"perturbations must be different and at least one, got {self.perturbations}; "
                "GapAttack() asks about records as they are alone"
            )

    @property
    def needs(self) -> tuple[Signal, ...]:
        """Whether the label is right: of the record as it is, and of perturbed ones."""
        means = (MeanSignal(name="correct", over=p) for p in self.perturbations)
        return (CORRECT, *means)

    @property
    def min_in(self) -> int:
        """References in; the ratio's covariance needs two."""
        return 2 if self.score == "likelihood ratio" else 0

    @property
    def min_out(self) -> int:
        """References out."""
        return {"likelihood ratio": 2, "difference": 1, "count": 0}[self.score]

    def __call__(self, observations: Observations, *, seed: int = 0) -> Scores:
        """Score the audit pool; the threshold is chosen on references as pseudo-targets.

        Raises:
            NotEnoughReferencesError: a record has too few references in or out.
            MissingViewError: these records cannot be perturbed like this.
        """
        del seed  # nothing is random here: the queries were
        otherwise = 0.0 if self.score == "likelihood ratio" else None
        return audit_scores(observations, self._score, otherwise=otherwise)

    def _score(self, observations: Observations) -> NDArray[np.float64]:
        who = observations.membership
        shares = self._shares(observations)
        if self.score == "difference":
            return above_out(who, np.stack(shares, axis=1), what="LabelOnly")
        if self.score == "count":
            mean = np.mean([s[who.targets] for s in shares], axis=0)
            return np.asarray(columns(mean, who.pools[AUDIT]), dtype=np.float64)
        odds = [
            _log_odds(share, queries=1 + len(p))[:, None]
            for share, p in zip(shares, self.perturbations, strict=True)
        ]
        return log_ratio_of(who, odds, self)

    def _shares(self, observations: Observations) -> list[NDArray[np.float64]]:
        """Return per perturbation the share `[model, record]` of right labels."""
        itself, *means = self.needs
        right = observations.plain(itself)
        found = []
        for signal, p in zip(means, self.perturbations, strict=True):
            share = (right + len(p) * observations.signal(signal)) / (1 + len(p))
            found.append(np.clip(share, 0.0, 1.0))
        return found


def _log_odds(share: NDArray[np.float64], *, queries: int) -> NDArray[np.float64]:
    kept = queries * share
    found: NDArray[np.float64] = np.log(kept + 0.5) - np.log(queries - kept + 0.5)
    return found
