"""What learns from features of references what members look like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from secateur.types import BoolArray

__all__ = ["Head", "Learner"]

Head = Literal["trees", "logistic", "both"]
FURTHEST = 0.001  # share of a feature's values, at each end, that the linear learner cuts off


@dataclass(frozen=True, kw_only=True)
class Learner:
    """Boosted trees, logistic regression, or both; `prior`: the log odds of members among rows."""

    models: tuple[Any, ...]
    prior: float

    @classmethod
    def fitted(cls, x: NDArray[np.float32], y: BoolArray, *, head: Head, trees: int) -> Learner:
        """Learn from features `[row, feature]` who is a member, `[row]`.

        Args:
            x: of references that play targets.
            y: True for members.
            head: which learners.
            trees: boosted.
        """
        from sklearn.ensemble import HistGradientBoostingClassifier

        order = np.lexsort((y, *x.T))  # sums depend on the order of rows in the last digits
        x, y = x[order], y[order]
        models: list[Any] = []
        if head != "logistic":
            boosted = HistGradientBoostingClassifier(
                max_iter=trees,
                learning_rate=0.1,
                max_leaf_nodes=15,
                min_samples_leaf=max(5, min(50, len(y) // 100)),
                l2_regularization=1.0,
                early_stopping=False,
                random_state=0,
            )
            models.append(boosted.fit(x, y))
        if head != "trees":
            models.append(_Linear.fitted(x, y))
        members, others = int(y.sum()), int((~y).sum())
        return cls(models=tuple(models), prior=float(np.log(members / others)))

    def log_odds(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the mean log odds of the learners, as if members and others were equally many."""
        found: NDArray[np.float64] = np.mean(
            [model.decision_function(x) for model in self.models], axis=0
        )
        return found - self.prior


@dataclass(frozen=True, kw_only=True)
class _Linear:
    """Logistic regression on features that are cut at extreme values and standardised."""

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    centre: NDArray[np.float64]
    scale: NDArray[np.float64]
    model: Any

    @classmethod
    def fitted(cls, x: NDArray[np.float32], y: BoolArray) -> _Linear:
        from sklearn.linear_model import LogisticRegression

        low, high = np.quantile(x.astype(np.float64), [FURTHEST, 1 - FURTHEST], axis=0)
        cut = np.clip(x.astype(np.float64), low, high)
        spread = cut.std(axis=0)
        centre, scale = cut.mean(axis=0), np.where(spread > 0, spread, 1.0)
        model = LogisticRegression(C=1.0, solver="newton-cholesky")
        return cls(
            low=low,
            high=high,
            centre=centre,
            scale=scale,
            model=model.fit((cut - centre) / scale, y),
        )

    def decision_function(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return log odds, `[row]`."""
        cut = np.clip(x.astype(np.float64), self.low, self.high)
        found: NDArray[np.float64] = self.model.decision_function((cut - self.centre) / self.scale)
        return found
