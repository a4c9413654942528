"""Indirect membership inference: what a model says of a record's label at other inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from secateur.attack.membership.references import (
    with_queries,
)
from secateur.attack.membership.trials import audit_scores
from secateur.attack.membership.vectors import check_vector, log_ratio_of
from secateur.data import MeanSignal, NearestRecords
from secateur.errors import MethodError
from secateur.protocols import Perturbation, Threat
from secateur.types import Observations, Scores, Signal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Neighbours"]

MARGIN = Signal(name="margin")


@dataclass(frozen=True, kw_only=True)
class Neighbours:
    """Compare the model near a record with references in and out of it (Long et al. 2018).

    The signal is the mean, over a record's neighbours, of the scaled logit of the *record's* label:
    a model that learned the label also says it a little more often beside the record, even where
    the record's own output was smoothed or replaced. The score is LiRA's ratio of that signal, with
    means and spreads learned over records. Larger = more like a member.

    Args:
        perturbations: where the model is asked: `NearestRecords`, mixtures with them, `Noise`, or
            `Augmented` pictures; several for a vector.
        use: `joint`, the ratio of the vector of the record's own scaled logit and its neighbours';
            `sum`, the sum of both ratios, as if they were independent; `alone`, the neighbours':
            with `NearestRecords(mix=1.0)` the model is never asked about the record.
        shrink: weight of the covariance's diagonal, in [0, 1].
        variant: `t` for Student-t predictives, `n` for Gaussians.

    What neighbours add is `Neighbours(use='joint')` less `VectorLiRA()`, the same ratio of the
    direct query alone; `use='alone'` says whether the label travels at all.

    Differs from the paper: neighbours are near in the inputs and not chosen by their influence; the
    ratio is LiRA's instead of a test against references out.

    Several direct queries: all of them are parts of the vector.

    Example:
        >>> Neighbours(use="alone").min_out
        2
    """

    perturbations: tuple[Perturbation, ...] = (NearestRecords(),)
    use: Literal["joint", "sum", "alone"] = "joint"
    shrink: float = 0.1
    variant: Literal["t", "n"] = "t"

    threat: ClassVar[Threat] = "adaptive"
    revision: ClassVar[int] = 1
    reference: ClassVar[str] = "long2018understanding"
    needs_posteriors: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_vector(variant=self.variant, shrink=self.shrink)
        if self.use not in ("joint", "sum", "alone"):
            raise MethodError(f"use must be 'joint', 'sum' or 'alone', got {self.use!r}")
        if not self.perturbations or len(set(self.perturbations)) != len(self.perturbations):
            raise MethodError(
                f"perturbations must be different and at least one, got {self.perturbations}"
            )

    @property
    def needs(self) -> tuple[Signal, ...]:
        """The scaled logit: over neighbours, and of the record unless they stand alone."""
        means = tuple(MeanSignal(name="margin", over=p) for p in self.perturbations)
        return means if self.use == "alone" else (*means, MARGIN)

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
            NotEnoughReferencesError: a record has fewer than two references in or out.
            MissingViewError: these records have no such neighbours.
        """
        del seed  # nothing is random here
        return audit_scores(observations, self._score, otherwise=0.0)

    def _score(self, observations: Observations) -> NDArray[np.float64]:
        who = observations.membership
        seen = [with_queries(observations.stored(s)) for s in self.needs]
        if self.use != "sum":
            return log_ratio_of(who, seen, self)
        near, own = seen[:-1], seen[-1:]
        return log_ratio_of(who, near, self) + log_ratio_of(who, own, self)
