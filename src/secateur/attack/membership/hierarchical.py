"""LiRA with a joint prior over what a record looks like in and out: strong from 4 references."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from secateur.attack.membership.references import (
    Moments,
    as_slice,
    check_references,
    columns,
    sided_moments,
    with_queries,
)
from secateur.attack.membership.shrinkage import (
    NORMAL,
    fit_variance_prior,
    floored,
    student_log_density,
    trend,
)
from secateur.attack.membership.trials import audit_scores
from secateur.errors import MethodError
from secateur.protocols import Threat
from secateur.types import AUDIT, POPULATION, Observations, Scores, Signal

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from secateur.types import Membership

__all__ = ["HierarchicalLiRA"]

MARGIN = Signal(name="margin")
PASSES = 2  # the means need the variances and the other way round


@dataclass(frozen=True, kw_only=True)
class HierarchicalLiRA:
    """LiRA whose means and variances are learned over records, so that few references suffice.

    Prior per record: mu_out ~ N(m, T); mu_in | mu_out ~ N(q(mu_out), tau^2) with q quadratic: how
    a record looks to models that saw it is read off how it looks to those that did not, and
    corrected by its own references. The variances in and out have scaled inverse chi-squared
    priors whose centres follow both means (log-quadratic). All of it is fitted to the references
    (empirical Bayes by moments). Score: log p_in(phi) - log p_out(phi), Student-t predictives
    (`variant='t'`) or Gaussians (`'n'`). Larger = more like a member.

    With one reference in and one out of each record no spread is seen: the spread out is then
    that of the population's records, and the spread in has the same share of the means' variance.

    Args:
        variant: `t` or `n`.

    Differs from the paper: LiRA's likelihood ratio; the joint prior is ours. With many references
    it becomes LiRA with a variance per record.

    Several queries: the mean of the per-query scores.

    Example:
        >>> HierarchicalLiRA().min_in, HierarchicalLiRA().min_out
        (1, 1)
    """

    variant: Literal["t", "n"] = "t"

    threat: ClassVar[Threat] = "adaptive"
    revision: ClassVar[int] = 1
    reference: ClassVar[str] = "carlini2022membership"
    needs_posteriors: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.variant not in ("t", "n"):
            raise MethodError(f"variant must be 't' or 'n', got {self.variant!r}")

    @property
    def needs(self) -> tuple[Signal, ...]:
        """The scaled logit."""
        return (MARGIN,)

    @property
    def min_in(self) -> int:
        """References in."""
        return 1

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
        return audit_scores(observations, self._score, otherwise=0.0)

    def _score(self, observations: Observations) -> NDArray[np.float64]:
        who = observations.membership
        check_references(who, what="HierarchicalLiRA", min_in=self.min_in, min_out=self.min_out)
        audit = who.pools[AUDIT]
        phi = with_queries(observations.stored(MARGIN))
        inside = columns(who.inside[as_slice(who.references)], audit)
        scores = np.zeros((len(who.targets), len(audit)))
        for q in range(phi.shape[1]):
            within, out = sided_moments(phi[:, q], who.references, audit, inside)
            pair = _Pair.fit(out, within, unseen=_within(phi[:, q], who))
            targets = columns(phi[who.targets, q], audit).astype(np.float64)
            scores += pair.log_ratio(targets, self.variant)
        scores /= phi.shape[1]
        return scores


def _within(values: NDArray[Any], who: Membership) -> float | None:
    """Return the mean variance of references `[model, record]` on the population; None without."""
    population, references = who.pool(POPULATION), who.references
    if len(references) < 2 or not population.size:
        return None
    inside = columns(who.inside[as_slice(references)], population)
    return sided_moments(values, references, population, inside)[1].pooled()


@dataclass(frozen=True, kw_only=True)
class _Pair:
    """Per record the predictive centre, squared scale and degrees of freedom, out and in."""

    out: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]
    within: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]

    @classmethod
    def fit(cls, out: Moments, within: Moments, *, unseen: float | None) -> _Pair:
        """Fit the prior to both sides' moments and return the posterior.

        Args:
            out: moments of the references out of each record.
            within: of those in.
            unseen: the variance of references on records that none of them saw.
        """
        spread = floored(float(out.centre.var()))
        share = 0.5 if unseen is None else min(unseen / spread, 0.9)
        blank = (share * spread, share * floored(float(within.centre.var())))
        columns = None
        for _ in range(PASSES):
            v_out, f_out = _variances(out, columns, blank[0])
            v_in, f_in = _variances(within, columns, blank[1])
            mu_out, mu_in, c_out, c_in = _means(out, within, v_out, v_in)
            columns = np.concatenate([trend(mu_out)[0], trend(mu_in)[0][:, 1:]], axis=1)
        return cls(out=(mu_out, v_out + c_out, f_out), within=(mu_in, v_in + c_in, f_in))

    def log_ratio(self, phi: NDArray[np.float64], variant: str) -> NDArray[np.float64]:
        """Return log p_in - log p_out of `[targets, records]`."""
        (a, va, fa), (b, vb, fb) = self.within, self.out
        if variant == "n":
            return student_log_density(phi, a, va, NORMAL) - student_log_density(phi, b, vb, NORMAL)
        return student_log_density(phi, a, va, fa) - student_log_density(phi, b, vb, fb)


def _variances(
    moments: Moments, columns: NDArray[np.float64] | None, otherwise: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return each record's shrunk variance and its degrees of freedom."""
    freedom = (moments.count - 1).astype(np.float64)
    prior = fit_variance_prior(moments.squares, freedom, columns, otherwise=otherwise)
    return prior.posterior(moments.squares, freedom)


def _means(
    out: Moments, within: Moments, v_out: NDArray[np.float64], v_in: NDArray[np.float64]
) -> tuple[NDArray[np.float64], ...]:
    """Return posterior means and variances of (mu_out, mu_in), q linearised at mu_out given out."""
    noise_out, noise_in = v_out / out.count, v_in / within.count
    m, total = float(out.centre.mean()), float(out.centre.var())
    t = floored(max(total - float(noise_out.mean()), 0.05 * total))
    c = 1 / (1 / t + 1 / noise_out)
    at = c * (m / t + out.centre / noise_out)
    powers, slopes = trend(at)
    found = np.linalg.lstsq(powers, within.centre, rcond=None)[0]
    q, slope = powers @ found, slopes @ found
    left = (within.centre - q) ** 2
    tau = floored(max(float((left - noise_in - slope**2 * c).mean()), 0.1 * float(left.mean())))
    start = q - slope * at  # mu_in = start + slope * mu_out + N(0, tau)
    a = 1 / t + slope**2 / tau + 1 / noise_out
    d = 1 / tau + 1 / noise_in
    b = -slope / tau
    right_out = m / t - slope * start / tau + out.centre / noise_out
    right_in = start / tau + within.centre / noise_in
    determinant = a * d - b * b
    mu_out = (d * right_out - b * right_in) / determinant
    mu_in = (a * right_in - b * right_out) / determinant
    return mu_out, mu_in, d / determinant, a / determinant
