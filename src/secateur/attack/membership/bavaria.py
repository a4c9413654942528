"""BaVarIA: LiRA with conjugate priors, for few references (Braennvall 2026)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from scipy.optimize import minimize
from scipy.special import gammaln

from secateur.attack.membership.references import (
    Moments,
    as_slice,
    check_references,
    columns,
    sided_moments,
    with_queries,
)
from secateur.attack.membership.shrinkage import floored, log_odds_below, student_log_density
from secateur.attack.membership.trials import audit_scores
from secateur.errors import MethodError
from secateur.protocols import Threat
from secateur.types import AUDIT, Observations, Scores, Signal

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["BaVarIA"]

MARGIN = Signal(name="margin")
# of (mu0 in spreads of the means, log kappa0, log alpha0, log beta0 in pooled variances)
START = (0.0, np.log(0.1), np.log(3.0), np.log(2.0))
BOUNDS = ((-5.0, 5.0), (-9.0, 5.0), (-2.0, 6.0), (-6.0, 8.0))


@dataclass(frozen=True, kw_only=True)
class BaVarIA:
    """Compare the target's scaled logit with its posterior predictive under references in and out.

    Per record and side, sigma^2 ~ InvGamma(alpha, beta) and mu | sigma^2 ~ N(mu0, sigma^2 / kappa).
    `variant='t'`: the Student-t predictive. `variant='n'`: a Gaussian at the posterior mean with
    the posterior mean of the variance. Online: log p_in - log p_out. Offline: the log-odds of
    P(phi' < phi) under p_out. Larger = more like a member.

    Args:
        variant: `t` or `n`.
        mode: `online` uses references in and out, `offline` those out alone.

    Differs from the paper: of which the abstract was at hand (the family, the two variants). How
    it sets the four hyperparameters is not known here; ours maximise the marginal likelihood of the
    audit pool's records, per side (empirical Bayes), so the prior comes from the references alone.

    Several queries: the mean of the per-query scores.

    Example:
        >>> BaVarIA(variant="n").min_out
        1
    """

    variant: Literal["t", "n"] = "t"
    mode: Literal["online", "offline"] = "online"

    threat: ClassVar[Threat] = "adaptive"
    revision: ClassVar[int] = 1
    reference: ClassVar[str] = "braennvall2026exponential"
    needs_posteriors: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.variant not in ("t", "n"):
            raise MethodError(f"variant must be 't' or 'n', got {self.variant!r}")
        if self.mode not in ("online", "offline"):
            raise MethodError(f"mode must be 'online' or 'offline', got {self.mode!r}")

    @property
    def needs(self) -> tuple[Signal, ...]:
        """The scaled logit."""
        return (MARGIN,)

    @property
    def min_in(self) -> int:
        """References in."""
        return 0 if self.mode == "offline" else 1

    @property
    def min_out(self) -> int:
        """References out."""
        return 1

    def __call__(self, observations: Observations, *, seed: int = 0) -> Scores:
        """Score the audit pool; the threshold is chosen on references as pseudo-targets.

        Raises:
            NotEnoughReferencesError: a record has no reference in or none out.
        """
        del seed  # nothing is random here
        return audit_scores(
            observations, self._score, otherwise=0.0 if self.mode == "online" else None
        )

    def _score(self, observations: Observations) -> NDArray[np.float64]:
        who = observations.membership
        check_references(who, what="BaVarIA", min_in=self.min_in, min_out=self.min_out)
        audit = who.pools[AUDIT]
        phi = with_queries(observations.stored(MARGIN))
        inside = columns(who.inside[as_slice(who.references)], audit)
        scores = np.zeros((len(who.targets), len(audit)))
        for q in range(phi.shape[1]):
            sides = sided_moments(phi[:, q], who.references, audit, inside)
            targets = columns(phi[who.targets, q], audit).astype(np.float64)
            scores += self._one_query(targets, *sides)
        scores /= phi.shape[1]
        return scores

    def _one_query(
        self, targets: NDArray[np.float64], seen: Moments, unseen: Moments
    ) -> NDArray[np.float64]:
        out = _Predictive.of(unseen)
        if self.mode == "offline":
            return out.log_odds(targets, self.variant)
        within = _Predictive.of(seen)
        return within.log_density(targets, self.variant) - out.log_density(targets, self.variant)


@dataclass(frozen=True, kw_only=True)
class _Predictive:
    """Posterior of a normal-inverse-gamma prior, per record: mu, kappa, alpha, beta."""

    mu: NDArray[np.float64]
    kappa: NDArray[np.float64]
    alpha: NDArray[np.float64]
    beta: NDArray[np.float64]

    @classmethod
    def of(cls, moments: Moments) -> _Predictive:
        """Return the posterior under the prior that makes these moments the most likely."""
        mu0, kappa0, alpha0, beta0 = _fit(moments)
        n = moments.count.astype(np.float64)
        kappa = kappa0 + n
        gap = (moments.centre - mu0) ** 2
        return cls(
            mu=(kappa0 * mu0 + n * moments.centre) / kappa,
            kappa=kappa,
            alpha=alpha0 + n / 2,
            beta=beta0 + moments.squares / 2 + kappa0 * n * gap / (2 * kappa),
        )

    def log_density(self, x: NDArray[np.float64], variant: str) -> NDArray[np.float64]:
        """Return the log predictive density of x `[targets, records]`."""
        if variant == "t":
            return student_log_density(x, self.mu, self._scale(), 2 * self.alpha)
        variance = self._variance()
        value: NDArray[np.float64] = -0.5 * (
            np.log(2 * np.pi * variance) + (x - self.mu) ** 2 / variance
        )
        return value

    def log_odds(self, x: NDArray[np.float64], variant: str) -> NDArray[np.float64]:
        """Return the log-odds that a model out of the record is below x."""
        if variant == "t":
            return log_odds_below((x - self.mu) / np.sqrt(self._scale()), 2 * self.alpha)
        return log_odds_below((x - self.mu) / np.sqrt(self._variance()))

    def _scale(self) -> NDArray[np.float64]:
        return self.beta * (self.kappa + 1) / (self.alpha * self.kappa)

    def _variance(self) -> NDArray[np.float64]:
        # the mean beta / (alpha - 1) exists for alpha > 1; below, the mode's neighbourhood
        return self.beta / np.maximum(self.alpha - 1, 0.5)


def _fit(moments: Moments) -> tuple[float, float, float, float]:
    """Return mu0, kappa0, alpha0, beta0 of the largest marginal likelihood."""
    order = np.lexsort((moments.squares, moments.centre, moments.count))  # blind to records' order
    n = moments.count[order].astype(np.float64)
    mean, squares = moments.centre[order], moments.squares[order]
    spread = float(mean.std())
    freedom = float((n - 1).sum())
    pooled = floored(float(squares.sum()) / freedom if freedom else spread**2 / 2)
    spread = max(spread, float(np.sqrt(pooled)))
    counts, which = np.unique(n, return_inverse=True)
    share = np.bincount(which) / len(n)
    middle = float(mean.mean())

    def loss(p: NDArray[np.float64]) -> float:
        kappa0, alpha0, scale = np.exp(p[1:])
        beta0 = scale * pooled
        kappa, alpha = kappa0 + counts, alpha0 + counts / 2
        gap = (mean - middle - p[0] * spread) ** 2
        beta = beta0 + squares / 2 + (kappa0 * counts / (2 * kappa))[which] * gap
        by_count = gammaln(alpha) + 0.5 * np.log(kappa0 / kappa) - alpha * np.log(beta0)
        by_record = -alpha[which] * np.log(beta / beta0)
        constant = gammaln(alpha0) - alpha0 * np.log(beta0)
        return -float(share @ by_count - constant + by_record.mean())

    best = minimize(loss, START, method="L-BFGS-B", bounds=BOUNDS).x
    kappa0, alpha0, scale = np.exp(best[1:])
    return middle + float(best[0]) * spread, float(kappa0), float(alpha0), float(scale) * pooled
