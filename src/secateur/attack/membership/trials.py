"""References that play targets: honest thresholds, chosen without a target's members."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from secateur.attack.membership.blocks import as_slice, columns, count_inside
from secateur.attack.membership.references import ENOUGH
from secateur.errors import NotEnoughReferencesError
from secateur.types import AUDIT, Membership, Observations, Scores

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from secateur.types import BoolArray, Role

__all__ = ["audit_scores", "best_threshold", "pseudo_targets", "reference_threshold"]

PSEUDO_TARGETS = 8
SPARED = 0.1
"""Of the audit records, those that a trial on references may leave out as too few hold them."""


def pseudo_targets(
    observations: Observations, most: int = PSEUDO_TARGETS, *, every_view: bool = False
) -> Observations | None:
    """Return observations in which the first references play the targets; the targets are left out.

    A quarter of the references, at most `most`, are played by, in whole pairs of a draw; the others
    stay references. None when there are fewer than 8 references: too few to spare any. Where
    references read a part of their members alone, a few records may be left in too few of them for
    attacks to run, while all references together are enough: those are no audit records here, if
    nine tenths stay.

    Args:
        observations: with targets and references.
        most: pseudo-targets at most.
        every_view: keep all views, for attacks that read several, instead of the primary one.
    """
    membership = observations.membership
    references = membership.references
    if len(references) < 8:
        return None
    n = min(most, 2 * (len(references) // 8))  # whole pairs: what is left is balanced without them
    played = np.arange(len(references)) < n
    roles: tuple[Role, ...] = tuple("target" if p else "reference" for p in played.tolist())
    rows = as_slice(references)
    inside = membership.inside[rows]
    audit = membership.pools[AUDIT]
    members = np.count_nonzero(columns(inside, audit), axis=1)
    if (members == 0).any() or (members == len(audit)).any():
        return None
    pools = membership.pools
    short = _short(columns(inside[n:], audit))
    if short.any() and short.mean() <= SPARED and not _short(columns(inside, audit)).any():
        inside = inside.copy()
        inside[:, audit[short]] = False
        pools = {**pools, AUDIT: audit[~short]}
    inner = Membership(
        inside=inside,
        roles=roles,
        pools=pools,
        units=membership.units,
        seed=membership.seed,
        drawn=membership.drawn,  # without a share: references are balanced, not thrown
    )
    names = observations.views if every_view else (observations.primary,)
    views = {
        name: {key: values[rows] for key, values in observations.views[name].items()}
        for name in names
    }
    return replace(
        observations,
        views=views,
        membership=inner,
        posteriors={},
        shadow_posteriors={},
        sensitivities={},
        gradients={
            name: values[rows] for name, values in observations.gradients.items() if name in names
        },
    )


def _short(inside: BoolArray) -> BoolArray:
    """Return which records too few of the models hold, or lack `[records]`."""
    held = count_inside(inside)
    short: BoolArray = (held < ENOUGH) | (len(inside) - held < ENOUGH)
    return short


def audit_scores(
    observations: Observations,
    score: Callable[[Observations], NDArray[np.float64]],
    *,
    otherwise: float | None = None,
    fixed: float | None = None,
    every_view: bool = False,
) -> Scores:
    """Return scores of the audit pool with a threshold chosen on references as pseudo-targets.

    Args:
        observations: with targets.
        score: an attack's bare scores `[targets, audit records]`.
        otherwise: the threshold where there are too few references to spare; None for none.
        fixed: the threshold of an attack that needs no references to know it.
        every_view: hand all views to `score`.
    """
    audit = observations.membership.pools[AUDIT]

    def spread(seen: Observations) -> NDArray[np.float64]:
        values = np.zeros((len(seen.membership.targets), seen.membership.inside.shape[1]))
        values[:, seen.membership.pools[AUDIT]] = score(seen)  # a trial may have fewer
        return values

    values = spread(observations)
    evaluated = np.zeros(values.shape, dtype=np.bool_)
    evaluated[:, audit] = True
    threshold = fixed
    if threshold is None:
        threshold = reference_threshold(observations, spread, every_view=every_view)
    if threshold is None:
        threshold = otherwise
    return Scores(
        values=values,
        evaluated=evaluated,
        threshold=None if threshold is None else np.full(len(values), threshold),
    )


def reference_threshold(
    observations: Observations,
    score: Callable[[Observations], NDArray[np.float64]],
    *,
    every_view: bool = False,
) -> float | None:
    """Return the threshold of best balanced accuracy on pseudo-targets; None without enough of
    them.

    Args:
        observations: with targets and references.
        score: an attack's bare scores `[targets, records]`.
        every_view: hand all views to `score`.
    """
    trial = pseudo_targets(observations, every_view=every_view)
    if trial is None:
        return None
    try:
        values = score(trial)
    except NotEnoughReferencesError:
        return None
    who = trial.membership
    audit = who.pools[AUDIT]
    inside = columns(who.inside[as_slice(who.targets)], audit)
    seen = columns(values, audit)
    return best_threshold(seen[inside], seen[~inside])


def best_threshold(members: NDArray[Any], others: NDArray[Any]) -> float:
    """Return the threshold t with the largest balanced accuracy of "member if score >= t".

    It lies half-way between two distinct scores; of equally good ones the largest is taken, and the
    lowest score itself where calling everyone a member is best.

    Example:
        >>> best_threshold(np.array([3.0, 2.0]), np.array([1.0, 0.0]))
        1.5
    """
    both = np.concatenate([members, others])
    order = np.argsort(both)
    ordered = both[order]
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    distinct = ordered[starts]
    below = np.append(0, np.cumsum(order < len(members)))[starts]  # members below each score
    true, false = len(members) - below, len(others) - (starts - below)
    gain = true / len(members) - false / len(others)
    best = len(distinct) - 1 - int(np.argmax(gain[::-1]))
    if gain[best] < 0:  # calling nobody a member is better: a threshold above every score
        return float(np.nextafter(distinct[-1], np.inf))
    if best == 0:
        return float(distinct[0])
    middle = (distinct[best - 1] + distinct[best]) / 2
    return float(middle if middle > distinct[best - 1] else distinct[best])
