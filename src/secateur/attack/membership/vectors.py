"""The likelihood ratio of several numbers per (model, record): views, signals, queries."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from scipy.special import gammaln

from secateur.attack.membership.references import as_slice, check_references, columns
from secateur.attack.membership.shrinkage import (
    NORMAL,
    fit_variance_prior,
    floored,
    trend,
)
from secateur.errors import MethodError
from secateur.types import AUDIT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from secateur.types import IntArray, Membership

    Reader = Callable[[slice], NDArray[np.float64]]

__all__ = ["check_vector", "log_ratio_of", "vector_log_ratio"]

PASSES = 2
BLOCK = 4096
VALUES = 2**18  # of references read at once
LEAST = 1e-3  # of the largest eigenvalue of a covariance: below it a direction carries only noise


@dataclass(frozen=True, kw_only=True)
class _Side:
    """References in (or out) of each record: count, means `[records, S]`, covariance
    within, squared deviations in its units and their degrees of freedom.
    """

    count: NDArray[np.float64]
    mean: NDArray[np.float64]
    within: NDArray[np.float64]
    squares: NDArray[np.float64]
    freedom: NDArray[np.float64]

    @classmethod
    def of(cls, read: Reader, mask: NDArray[np.bool_], shrink: float) -> _Side:
        """Measure one side of references, block by block."""
        count = mask.sum(axis=0).astype(np.float64)
        width = read(slice(0, 1)).shape[2]
        mean, sums = np.empty((len(count), width)), np.zeros((width, width))
        parts = _blocks(count, VALUES // (len(mask) * width))
        for rows in parts:
            mean[rows], away = _centred(read(rows), mask[:, rows])
            sums += np.einsum("mra,mrb->ab", away, away)
        pooled = sums / max(float((count - 1).sum()), 1.0)
        within = _positive((1 - shrink) * pooled + shrink * np.diag(np.diag(pooled)))
        inverse = np.linalg.inv(within)
        squares = np.empty(len(count))
        for rows in parts:
            away = _centred(read(rows), mask[:, rows])[1]
            squares[rows] = np.einsum("mra,ab,mrb->r", away, inverse, away)
        # directions that carry variance: two views that say the same count as one
        directions = float(np.trace(inverse @ pooled))
        return cls(
            count=count,
            mean=mean,
            within=within,
            squares=squares,
            freedom=(count - 1) * directions,
        )


def _centred(
    values: NDArray[np.float64], mask: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return means `[records, S]` of `[models, records, S]` under a mask, and what is left of them.

    What the mask leaves out is 0.
    """
    shift = values[0]
    away = np.where(mask[..., None], values - shift, 0.0)
    mean = away.sum(axis=0) / mask.sum(axis=0)[:, None]
    return mean + shift, np.where(mask[..., None], away - mean, 0.0)


class _OfVectors(Protocol):
    """An attack on several numbers per model and record."""

    @property
    def variant(self) -> str:
        """`t` or `n`."""
        ...

    @property
    def shrink(self) -> float:
        """Weight of the covariance's diagonal."""
        ...

    @property
    def min_in(self) -> int:
        """References in."""
        ...

    @property
    def min_out(self) -> int:
        """References out."""
        ...


def check_vector(*, variant: str, shrink: float) -> None:
    """Refuse parameters that no vector attack knows.

    Raises:
        MethodError: names the value.
    """
    if variant not in ("t", "n"):
        raise MethodError(f"variant must be 't' or 'n', got {variant!r}")
    if not 0 <= shrink <= 1:
        raise MethodError(f"shrink must be in [0, 1], got {shrink}")


def log_ratio_of(
    who: Membership, seen: Sequence[NDArray[Any]], attack: _OfVectors
) -> NDArray[np.float64]:
    """Return an attack's scores `[targets, audit records]` of the vector of several signals.

    Args:
        who: of the audit.
        seen: signals as stored, `[model, query, record]`; may be mapped into memory.
        attack: its parameters.

    Raises:
        NotEnoughReferencesError: a record has too few references in or out.
    """
    what = type(attack).__name__
    check_references(who, what=what, min_in=attack.min_in, min_out=attack.min_out)
    audit = who.pools[AUDIT]
    return vector_log_ratio(
        partial(_read, seen, who.targets, audit),
        partial(_read, seen, who.references, audit),
        columns(who.inside[as_slice(who.references)], audit),
        variant=attack.variant,
        shrink=attack.shrink,
    )


def _read(
    seen: Sequence[NDArray[Any]], models: IntArray, audit: IntArray, rows: slice
) -> NDArray[np.float64]:
    """Return `[models, records, S]` of some audit records: only they are copied."""
    records = as_slice(audit[rows])
    parts = [values[:, :, records][as_slice(models)] for values in seen]
    return np.concatenate(parts, axis=1, dtype=np.float64).transpose(0, 2, 1)


def vector_log_ratio(
    targets: Reader,
    references: Reader,
    inside: NDArray[np.bool_],
    *,
    variant: str = "t",
    shrink: float = 0.1,
) -> NDArray[np.float64]:
    """Return log p_in - log p_out of vectors, with means and covariances learned over records.

    Per side a vector is N(mu[record], s[record] W): W is the covariance within records, pooled
    over them; s has a scaled inverse chi-squared prior whose centre follows the means. (mu_out,
    mu_in) of a record is Gaussian over records. All priors are fitted to the references.

    Args:
        targets: called with a slice of records, gives `[targets, records, S]`.
        references: gives `[models, records, S]`, in at least one record twice on each side.
        inside: `[models, records]`, at least one in and one out per record.
        variant: `t` or `n`.
        shrink: weight of W's diagonal against W itself, in [0, 1].

    Returns:
        `[targets, records]`; larger = more like a member.
    """
    out = _Side.of(references, ~inside, shrink)
    within = _Side.of(references, inside, shrink)
    by_record = None
    width = out.mean.shape[1]
    parts = _blocks(out.count, VALUES // (2 * width) ** 2)  # a covariance per record
    for _ in range(PASSES):
        s_out, f_out = _scales(out, by_record)
        s_in, f_in = _scales(within, by_record)
        prior = _prior(out, within, s_out, s_in)
        means = [prior.means(out, within, s_out, s_in, rows)[0] for rows in parts]
        by_record = np.concatenate(
            [np.ones((len(s_out), 1)), *(trend(m)[0][:, 1:] for m in np.concatenate(means).T)],
            axis=1,
        )
    if variant == "n":
        f_in = f_out = np.full(len(s_out), NORMAL)
    scores = np.empty((len(targets(slice(0, 1))), len(s_out)))
    for rows in parts:
        mean, covariance = prior.means(out, within, s_out, s_in, rows)
        total_in = s_in[rows, None, None] * within.within + covariance[:, width:, width:]
        total_out = s_out[rows, None, None] * out.within + covariance[:, :width, :width]
        x = targets(rows)
        scores[:, rows] = _log_density(x, mean[:, width:], total_in, f_in[rows]) - _log_density(
            x, mean[:, :width], total_out, f_out[rows]
        )
    return scores


def _blocks(records: NDArray[np.float64], most: int) -> list[slice]:
    """Return slices of at most so many records: all at once would not fit."""
    step = max(1, min(BLOCK, most))
    return [slice(start, start + step) for start in range(0, len(records), step)]


def _scales(
    side: _Side, columns: NDArray[np.float64] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    prior = fit_variance_prior(side.squares, side.freedom, columns, otherwise=1.0)
    return prior.posterior(side.squares, side.freedom)


@dataclass(frozen=True, kw_only=True)
class _Prior:
    """Gaussian over records of (mu_out, mu_in): centre `[2 S]` and precision `[2 S, 2 S]`."""

    centre: NDArray[np.float64]
    precision: NDArray[np.float64]

    def means(
        self,
        out: _Side,
        within: _Side,
        s_out: NDArray[np.float64],
        s_in: NDArray[np.float64],
        rows: slice,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return posterior means `[records, 2 S]` and covariances of some records."""
        width = out.mean.shape[1]
        by_out = (out.count / s_out)[rows, None, None] * np.linalg.inv(out.within)
        by_in = (within.count / s_in)[rows, None, None] * np.linalg.inv(within.within)
        full = np.repeat(self.precision[None], len(by_out), axis=0)
        full[:, :width, :width] += by_out
        full[:, width:, width:] += by_in
        right = np.repeat((self.precision @ self.centre)[None], len(by_out), axis=0)
        right[:, :width] += np.einsum("rab,rb->ra", by_out, out.mean[rows])
        right[:, width:] += np.einsum("rab,rb->ra", by_in, within.mean[rows])
        covariance = np.linalg.inv(full).astype(np.float64)
        mean: NDArray[np.float64] = np.einsum("rab,rb->ra", covariance, right)
        return mean, covariance


def _prior(
    out: _Side, within: _Side, s_out: NDArray[np.float64], s_in: NDArray[np.float64]
) -> _Prior:
    """Fit by moments: the covariance of the observed means less the mean noise in them."""
    width = out.mean.shape[1]
    both = np.concatenate([out.mean, within.mean], axis=1)
    covariance = np.atleast_2d(np.cov(both.T, bias=True))
    covariance[:width, :width] -= out.within * float((s_out / out.count).mean())
    covariance[width:, width:] -= within.within * float((s_in / within.count).mean())
    precision = np.linalg.inv(_positive(covariance)).astype(np.float64)
    return _Prior(centre=both.mean(axis=0), precision=precision)


def _positive(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the symmetric matrix with eigenvalues of its correlation form floored at `LEAST`."""
    scale = np.sqrt(np.maximum(np.abs(np.diag(matrix)), floored(0.0)))
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2 / np.outer(scale, scale))
    kept = np.maximum(values, LEAST * max(float(values[-1]), 1.0))
    found: NDArray[np.float64] = (vectors * kept) @ vectors.T * np.outer(scale, scale)
    return found


def _log_density(
    x: NDArray[np.float64],
    mean: NDArray[np.float64],
    scale: NDArray[np.float64],
    freedom: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the log density of a multivariate Student-t, `[targets, records]`."""
    width = x.shape[2]
    root = np.linalg.cholesky(scale)
    away = np.swapaxes(np.swapaxes(x - mean, 0, 1), 1, 2)  # [records, S, targets]
    squares = (np.linalg.solve(root, away) ** 2).sum(axis=1).T
    log_root = np.log(np.diagonal(root, axis1=1, axis2=2)).sum(axis=1)
    value: NDArray[np.float64] = (
        gammaln((freedom + width) / 2)
        - gammaln(freedom / 2)
        - width / 2 * np.log(np.pi * freedom)
        - log_root
        - (freedom + width) / 2 * np.log1p(squares / freedom)
    )
    return value
