"""What several attacks need of reference models: moments in and out, and honest thresholds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from secateur.attack.membership.blocks import (
    Moments,
    as_slice,
    blocks,
    columns,
    count_inside,
    masked_moments,
    sided_log_means,
    sided_moments,
)
from secateur.attack.membership.lacks import MEND_POPULATION, few_words, mend_words
from secateur.errors import MissingViewError, NoPopulationError, NotEnoughReferencesError
from secateur.types import AUDIT, POPULATION, Membership, Observations, Scores

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from secateur.types import BoolArray, IntArray, Role, Signal

__all__ = [
    "ENOUGH",
    "MEND_POPULATION",
    "Moments",
    "above_out",
    "as_slice",
    "audit_scores",
    "best_threshold",
    "blocks",
    "check_references",
    "columns",
    "masked_moments",
    "population_of",
    "pseudo_targets",
    "reference_threshold",
    "sided_log_means",
    "sided_moments",
    "view_signals",
    "with_queries",
]

PSEUDO_TARGETS = 8
ENOUGH = 3
"""References in, and out, of every record, below which attacks that learn do not run."""
SPARED = 0.1
"""Of the audit records, those that a trial on references may leave out as too few hold them."""


def check_references(membership: Membership, *, what: str, min_in: int, min_out: int) -> None:
    """Refuse when a record of the audit pool has too few references in or out.

    Raises:
        NotEnoughReferencesError: names the attack, the first such record, the counts, and a mend.
    """
    audit = membership.pools[AUDIT]
    references = membership.references
    n_in = count_inside(columns(membership.inside[as_slice(references)], audit))
    n_out = len(references) - n_in
    short = np.flatnonzero((n_in < min_in) | (n_out < min_out))
    if short.size:
        first = int(short[0])
        sides = (few_words(n_in, min_in, "in"), few_words(n_out, min_out, "out of"))
        raise NotEnoughReferencesError(
            f"{what} needs at least {min_in} reference models in and {min_out} out of every "
            f"record, but {' and '.join(filter(None, sides))}: record {audit[first]} has "
            f"{int(n_in[first])} in and {int(n_out[first])} out of {len(references)} references; "
            f"{mend_words(len(references), min_in, min_out)}"
        )


def above_out(membership: Membership, seen: NDArray[Any], *, what: str) -> NDArray[np.float64]:
    """Return the targets' signal less its mean over references out, mean over queries.

    Args:
        membership: of the audit.
        seen: `[model, query, record]`, as stored.
        what: the attack, for the message.

    Returns:
        `[targets, audit records]`.

    Raises:
        NotEnoughReferencesError: a record has no reference out.
    """
    check_references(membership, what=what, min_in=0, min_out=1)
    audit, references = membership.pools[AUDIT], membership.references
    inside = columns(membership.inside[as_slice(references)], audit)
    gap = np.zeros((len(membership.targets), len(audit)))
    for q in range(seen.shape[1]):
        out = sided_moments(seen[:, q], references, audit, inside)[1]
        gap += columns(seen[membership.targets, q], audit) - out.centre
    gap /= seen.shape[1]
    return gap


def population_of(membership: Membership, *, what: str) -> IntArray:
    """Return the population's records.

    Raises:
        DataError: there are none; the message names the attack.
    """
    population = membership.pool(POPULATION)
    if not population.size:
        raise NoPopulationError(
            f"{what} compares with population records, but the pool {POPULATION!r} is empty; "
            f"{MEND_POPULATION}"
        )
    return population


def with_queries(signal: NDArray[Any]) -> NDArray[Any]:
    """Return a signal as `[model, query, record]`."""
    return signal if signal.ndim == 3 else signal[:, None, :]


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


def view_signals(
    observations: Observations,
    signal: Signal,
    others: Sequence[str] | None,
    *,
    what: str,
    most: int | None = None,
) -> list[NDArray[Any]]:
    """Return a signal of several views as stored, `[model, query, record]`, the primary one first.

    Args:
        observations: with more than one view.
        signal: which.
        others: views beside the primary one; None for all there are, in alphabetical order.
        what: the attack, for the message.
        most: of the others taken at most.

    Raises:
        MissingViewError: there is no other view, or one that was named is missing or the primary
            one itself, or does not hold the signal.
    """
    primary = observations.primary
    there = sorted(name for name in observations.views if name != primary)
    chosen = (there if others is None else list(others))[:most]
    missing = [n for n in chosen if n not in there or signal.key not in observations.views[n]]
    if not chosen or missing:
        raise MissingViewError(
            f"{what} reads {signal.key!r} of {primary!r} and of "
            f"{', '.join(map(repr, chosen)) or 'another version of it'}, but beside {primary!r} "
            f"there are {there or 'no views'}; audit both fleets together, or join their "
            f"observations with join_views"
        )
    return [with_queries(observations.stored(signal, view=n)) for n in (primary, *chosen)]
