"""Quantile regression: what would a model that never saw this record have said of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from secateur.attack.membership.references import (
    MEND_POPULATION,
    population_of,
)
from secateur.attack.membership.trials import audit_scores
from secateur.errors import MethodError, NoPopulationError
from secateur.protocols import Threat
from secateur.types import AUDIT, POPULATION, Observations, Scores, Signal

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["QuantileRegression"]

MARGIN = Signal(name="margin")
FEWEST = 10  # records that a regression is fitted to


@dataclass(frozen=True, kw_only=True)
class QuantileRegression:
    """Compare the target's scaled logit with what a regression expects of a non-member.

    Per target, a regression from the record (features and label) to the scaled logit is fitted to
    the population, which no model has seen. `head='gaussian'`: mean and standard deviation, score
    (phi - mean) / sd; a record is called a member above the Gaussian's 1 - fpr quantile.
    `head='quantile'`: the 1 - fpr quantile by pinball loss, score phi - quantile, threshold 0.
    Larger = more like a member. No reference is needed.

    Args:
        head: `gaussian` or `quantile`.
        fpr: false-positive rate that the threshold aims at, in (0, 1).
        components: principal components (of the population) kept of the features; 0 keeps all.
        trees: of each boosted regression.

    Differs from the paper: boosted trees (scikit-learn's histogram ones) instead of a network on
    the input, the scaled logit instead of the gap between the two largest logits. Without
    `Observations.features` only the label is known, and the attack knows difficulty per class
    alone.

    Example:
        >>> QuantileRegression(head="quantile", fpr=0.01).min_out
        0
    """

    head: Literal["gaussian", "quantile"] = "gaussian"
    fpr: float = 0.05
    components: int = 32
    trees: int = 50

    threat: ClassVar[Threat] = "no references"
    revision: ClassVar[int] = 1
    reference: ClassVar[str] = "bertran2023scalable"
    needs_posteriors: ClassVar[bool] = False
    needs_features: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.head not in ("gaussian", "quantile"):
            raise MethodError(f"head must be 'gaussian' or 'quantile', got {self.head!r}")
        if not 0 < self.fpr < 1:
            raise MethodError(f"fpr must be in (0, 1), got {self.fpr}")
        if self.components < 0 or self.trees < 1:
            raise MethodError(
                f"components must be at least 0 and trees at least 1, got {self.components} and "
                f"{self.trees}"
            )

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
        """Fit per target and score the audit pool.

        Raises:
            DataError: the membership has no population, or a tiny one.
        """
        del seed  # nothing is random here: no subsampling, no early stopping
        from scipy.special import ndtri

        threshold = 0.0 if self.head == "quantile" else float(ndtri(1 - self.fpr))
        return audit_scores(observations, self._score, fixed=threshold)

    def _score(self, observations: Observations) -> NDArray[np.float64]:
        who = observations.membership
        population, audit = population_of(who, what="QuantileRegression"), who.pools[AUDIT]
        if len(population) < FEWEST:
            raise NoPopulationError(
                f"QuantileRegression fits a regression to the population, and the pool "
                f"{POPULATION!r} holds {len(population)} records; it takes at least {FEWEST}; "
                f"{MEND_POPULATION}"
            )
        x = self._inputs(observations, population)
        phi = observations.plain(MARGIN)[who.targets]
        scores = []
        for row in phi:
            # sorted: sums of trees depend on the order of records in the last digits
            order = population[np.lexsort((*x[population].T, row[population]))]
            scores.append(self._one(x[order], row[order], x[audit], row[audit]))
        return np.stack(scores)

    def _inputs(self, observations: Observations, population: NDArray[Any]) -> NDArray[np.float64]:
        """Return `[records, width]`: the label one-hot, then the features or their components."""
        labels = np.eye(observations.n_classes)[observations.labels]
        if observations.features is None:
            return labels
        features = np.asarray(observations.features, dtype=np.float64)
        if 0 < self.components < features.shape[1]:
            centre = features[population].mean(axis=0)
            away = features[population] - centre
            vectors = np.linalg.eigh(away.T @ away)[1][:, ::-1][:, : self.components]
            features = np.round((features - centre) @ vectors, 9)
        return np.concatenate([labels, features], axis=1)

    def _one(
        self,
        x: NDArray[np.float64],
        phi: NDArray[np.float64],
        x_audit: NDArray[np.float64],
        phi_audit: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        if self.head == "quantile":
            level = self._regression(loss="quantile", quantile=1 - self.fpr).fit(x, phi)
            gap: NDArray[np.float64] = phi_audit - level.predict(x_audit)
            return gap
        mean = self._regression().fit(x, phi)
        left = np.empty_like(phi)
        for fold in (0, 1):  # residuals of records that a fit has seen are too small
            seen, unseen = slice(1 - fold, None, 2), slice(fold, None, 2)
            half = self._regression().fit(x[seen], phi[seen])
            left[unseen] = phi[unseen] - half.predict(x[unseen])
        floor = 1e-4 * float(np.mean(left**2)) + 1e-12
        log_square = np.log(np.maximum(left**2, floor))
        spread = self._regression().fit(x, log_square)
        # the mean of log left^2 lies below log sigma^2: one factor sets z's mean square to one
        scale = np.exp(spread.predict(x))
        factor = float(np.mean(left**2 / scale))
        sd = np.sqrt(np.maximum(np.exp(spread.predict(x_audit)) * factor, floor))
        z: NDArray[np.float64] = (phi_audit - mean.predict(x_audit)) / sd
        return z

    def _regression(self, **loss: Any) -> Any:
        from sklearn.ensemble import HistGradientBoostingRegressor

        return HistGradientBoostingRegressor(
            max_iter=self.trees,
            learning_rate=0.1,
            max_leaf_nodes=8,
            min_samples_leaf=20,
            early_stopping=False,
            random_state=0,
            **loss,
        )
