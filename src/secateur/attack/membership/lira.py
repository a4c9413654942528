"""LiRA, the likelihood-ratio attack of Carlini et al. 2022."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from scipy.stats import norm

from secateur.attack.membership.references import (
    Moments,
    as_slice,
    blocks,
    check_references,
    columns,
    sided_moments,
    with_queries,
)
from secateur.attack.membership.shrinkage import log_odds_below
from secateur.attack.membership.trials import reference_threshold
from secateur.errors import MethodError
from secateur.protocols import Threat
from secateur.types import AUDIT, Observations, Scores, Signal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from secateur.types import BoolArray, IntArray, Membership

__all__ = ["LiRA"]

MARGIN = Signal(name="margin")


@dataclass(frozen=True, kw_only=True)
class LiRA:
    """Compare the target's scaled logit with those of references in and out of each record.

    Online: log N(phi; mu_in, s_in^2) - log N(phi; mu_out, s_out^2). Offline: the log-odds of
        Phi((phi - mu_out) / s_out), the probability that a model that did not see the record is
        less confident. Larger = more like a member.

    Args:
        mode: `online` uses references in and out, `offline` those out alone.
        variance: `per record`; `shared`, pooled over records; `shrunk`, (SS + weight * pooled) / (n
            - 1 + weight).
        weight: of the pooled variance in `shrunk`, in records; > 0.
        centre: `mean` as in the paper, `median` as in its released code.
        compatibility: `paper`, or `released`: as the authors' script computes it, quirks
            included. Medians; every record has as many references as the one with the fewest; the
            spread divides by n; `shared` is one spread of all values in (out, offline), differences
            between records included, for both sides; offline is -log p_out, which is two-sided.

    Differs from the paper: variances are unbiased (n - 1), and `shrunk` is ours. Offline, the
    paper's score is Phi itself, which is 1 to all digits from 9 spreads on; its log-odds have its
    order and no ties.

    Several queries: the mean of the per-query scores.

    Example:
        >>> LiRA(mode="offline").min_in
        0
    """

    mode: Literal["online", "offline"] = "online"
    variance: Literal["per record", "shared", "shrunk"] = "shrunk"
    weight: float = 8.0
    centre: Literal["mean", "median"] = "mean"
    compatibility: Literal["paper", "released"] = "paper"

    threat: ClassVar[Threat] = "adaptive"
    revision: ClassVar[int] = 2
    reference: ClassVar[str] = "carlini2022membership"
    needs_posteriors: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.mode not in ("online", "offline"):
            raise MethodError(f"mode must be 'online' or 'offline', got {self.mode!r}")
        if self.variance not in ("per record", "shared", "shrunk"):
            raise MethodError(
                f"variance must be 'per record', 'shared' or 'shrunk', got {self.variance!r}"
            )
        if self.centre not in ("mean", "median"):
            raise MethodError(f"centre must be 'mean' or 'median', got {self.centre!r}")
        if self.compatibility not in ("paper", "released"):
            raise MethodError(
                f"compatibility must be 'paper' or 'released', got {self.compatibility!r}"
            )
        if self.compatibility == "released" and (
            self.variance == "shrunk" or self.centre == "mean"
        ):
            raise MethodError(
                f"the released script knows medians and two variances, got "
                f"variance={self.variance!r}, centre={self.centre!r}; write "
                f"LiRA(compatibility='released', variance='shared', centre='median'), or "
                f"variance='per record'"
            )
        if not (self.weight > 0 and np.isfinite(self.weight)):
            raise MethodError(f"weight must be positive and finite, got {self.weight}")

    @property
    def needs(self) -> tuple[Signal, ...]:
        """The scaled logit."""
        return (MARGIN,)

    @property
    def min_in(self) -> int:
        """References in; two where each record has a variance of its own."""
        return 0 if self.mode == "offline" else self.min_out

    @property
    def min_out(self) -> int:
        """References out."""
        return 2 if self.variance == "per record" else 1

    def __call__(self, observations: Observations, *, seed: int = 0) -> Scores:
        """Score the audit pool; the threshold is chosen on references as pseudo-targets.

        Raises:
            NotEnoughReferencesError: a record has too few references in or out.
        """
        del seed  # nothing is random here
        values = self._values(observations)
        evaluated = np.zeros(values.shape, dtype=np.bool_)
        evaluated[:, observations.membership.pools[AUDIT]] = True
        threshold = reference_threshold(observations, self._values)
        if threshold is None and self.mode == "online":
            threshold = 0.0  # a likelihood ratio of one: members and non-members equally many
        return Scores(
            values=values,
            evaluated=evaluated,
            threshold=None if threshold is None else np.full(len(values), threshold),
        )

    def _values(self, observations: Observations) -> NDArray[np.float64]:
        membership = observations.membership
        check_references(membership, what="LiRA", min_in=self.min_in, min_out=self.min_out)
        audit, references = membership.pools[AUDIT], membership.references
        phi = with_queries(observations.stored(MARGIN))
        records = as_slice(audit)
        inside = columns(membership.inside[as_slice(references)], audit)
        if self.compatibility == "released":
            return self._released(phi, membership, inside)
        values = np.zeros((len(membership.targets), membership.inside.shape[1]))
        for q in range(phi.shape[1]):
            within, out = sided_moments(
                phi[:, q], references, audit, inside, median=self.centre == "median"
            )
            sides = (within, self._variance(within)), (out, self._variance(out))
            for row, target in enumerate(membership.targets):
                own = phi[target, q, records].astype(np.float64)
                values[row, records] += self._one_query(own, *sides) / phi.shape[1]
        return values

    def _one_query(
        self,
        phi: NDArray[np.float64],
        within: tuple[Moments, NDArray[np.float64]],
        out: tuple[Moments, NDArray[np.float64]],
    ) -> NDArray[np.float64]:
        """Score one target's records, given moments and variances in and out."""
        if self.mode == "offline":
            return log_odds_below((phi - out[0].centre) / np.sqrt(out[1]))
        return _log_density(phi, *within) - _log_density(phi, *out)

    def _released(
        self, phi: NDArray[Any], membership: Membership, inside: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """Return scores of `[model, query, record]` as the authors' script computes them."""
        audit, references = membership.pools[AUDIT], membership.references
        masks = (~inside,) if self.mode == "offline" else (inside, ~inside)
        shared = None
        if self.variance == "shared":
            shared = _spread_of_all(phi, references, audit, masks[0])
        scores = np.zeros((len(membership.targets), len(audit)))
        for q in range(phi.shape[1]):
            targets = columns(phi[membership.targets, q], audit).astype(np.float64)
            logs = [np.empty_like(scores) for _ in masks]
            for log, mask in zip(logs, masks, strict=True):
                for at, held in _equally_many(phi[:, q], references, audit, mask):
                    spread = held.std(axis=0) if shared is None else shared
                    log[:, at] = norm.logpdf(
                        targets[:, at], np.median(held, axis=0), spread + 1e-30
                    )
            scores += -logs[0] if len(logs) == 1 else logs[0] - logs[1]
        values = np.zeros((len(membership.targets), membership.inside.shape[1]))
        values[:, audit] = scores / phi.shape[1]
        return values

    def _variance(self, moments: Moments) -> NDArray[np.float64]:
        pooled = moments.pooled()
        if self.variance == "shared":
            variance = np.full(len(moments.count), pooled)
        elif self.variance == "per record":
            variance = moments.squares / np.maximum(moments.count - 1, 1)
        else:
            variance = (moments.squares + self.weight * pooled) / (moments.count - 1 + self.weight)
        # equal references have no spread: a floor far below any real one keeps the ratio finite
        floored: NDArray[np.float64] = np.maximum(variance, max(1e-9 * pooled, 1e-18))
        return floored


def _log_density(
    phi: NDArray[np.float64], moments: Moments, variance: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return log N(phi; centre, variance) up to the constant that cancels in the ratio."""
    value: NDArray[np.float64] = -0.5 * (np.log(variance) + (phi - moments.centre) ** 2 / variance)
    return value


def _equally_many(
    values: NDArray[Any], models: IntArray, records: IntArray, mask: BoolArray
) -> Iterator[tuple[slice, NDArray[np.float64]]]:
    """Read per record the first k models that the mask selects, k the fewest of a record.

    Args:
        values: `[model, record]`, as stored.
        models: the reference models.
        records: the records that are asked for.
        mask: `[len(models), len(records)]`.

    Yields:
        Places in `records`; values `[k, records]`.
    """
    k = int(mask.sum(axis=0).min())
    for at, block, _ in blocks(values, models, records, mask):
        first = np.argsort(~mask[:, at], axis=0, kind="stable")[:k]
        yield at, np.take_along_axis(block, first, axis=0)


def _spread_of_all(
    phi: NDArray[Any], models: IntArray, records: IntArray, mask: BoolArray
) -> float:
    """Return the standard deviation of what `_equally_many` gives, of all records and queries."""
    n, mean, squares = 0, 0.0, 0.0
    for q in range(phi.shape[1]):
        for _, held in _equally_many(phi[:, q], models, records, mask):
            gap, share = float(held.mean()) - mean, held.size / (n + held.size)
            squares += float(((held - held.mean()) ** 2).sum()) + gap**2 * n * share
            n, mean = n + held.size, mean + gap * share
    return float(np.sqrt(squares / n))
