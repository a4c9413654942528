"""What several attacks need of reference models: enough of them, and moments in and out."""

from __future__ import annotations

from collections.abc import Sequence
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
from secateur.types import AUDIT, POPULATION, Membership, Observations

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from secateur.types import IntArray, Signal

__all__ = [
    "ENOUGH",
    "MEND_POPULATION",
    "Moments",
    "above_out",
    "as_slice",
    "blocks",
    "check_references",
    "columns",
    "masked_moments",
    "population_of",
    "sided_log_means",
    "sided_moments",
    "view_signals",
    "with_queries",
]

ENOUGH = 3
"""References in, and out, of every record, below which attacks that learn do not run."""


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
