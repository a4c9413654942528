"""Trials for a bound on epsilon: units with fair, independent coins, and guesses on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import stats

from secateur.errors import DependentTrialsError, InputError
from secateur.measure.tails import epsilon_from_guesses, epsilon_from_guesses_fdp
from secateur.measure.targets import targets_of
from secateur.types import Membership, Scores

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "Guesses",
    "Tail",
    "Trials",
    "best_guesses",
    "checked_rules",
    "default_guesses",
    "refuse_dependent",
    "trials_of",
]

Tail = Literal["one run", "f-DP", "f-DP, Gaussian"]
Guesses = Sequence[tuple[int, int]]
"""Pairs (how many of the highest scores are guessed to be in, how many of the lowest out)."""

NEVER = 1e-6  # a fair coin that looks less fair than this is taken for an unfair one
FEWEST_TO_JUDGE = 24  # units from which a balanced design can be told from coins


@dataclass(frozen=True, kw_only=True)
class Trials:
    """Of each target its units' coins, ordered by score, highest first."""

    inside: tuple[NDArray[np.bool_], ...]

    @property
    def canaries(self) -> int:
        """Units of all targets together."""
        return sum(map(len, self.inside))

    @property
    def fewest(self) -> int:
        """Units of the target with the fewest."""
        return min(map(len, self.inside))

    def correct(self, rule: tuple[int, int]) -> int:
        """Count right guesses when the first are said to be in and the last to be out."""
        first, last = rule
        return sum(
            int(coins[:first].sum() + (~coins[len(coins) - last :]).sum()) for coins in self.inside
        )

    def bound(self, rule: tuple[int, int], *, delta: float, tail: Tail, confidence: float) -> float:
        """Return the lower bound on epsilon that one rule gives."""
        guesses, correct = len(self.inside) * sum(rule), self.correct(rule)
        if tail == "one run":
            return epsilon_from_guesses(
                guesses=guesses,
                correct=correct,
                canaries=self.canaries,
                delta=delta,
                confidence=confidence,
            )
        return epsilon_from_guesses_fdp(
            guesses=guesses,
            correct=correct,
            canaries=self.canaries,
            delta=delta,
            confidence=confidence,
            family="approximate" if tail == "f-DP" else "gaussian",
        )


def trials_of(scores: Scores, membership: Membership) -> Trials:
    """Return the trials of all targets; a unit with several records has their mean score.

    Equal scores keep the order of their units, which knows nothing of the coins.

    Raises:
        InputError: scores and membership disagree, or a target has fewer than 2 units.
    """
    found = []
    for row, target in enumerate(targets_of(scores, membership)):
        units = membership.units[scores.evaluated[row]]
        _, first, where, counts = np.unique(
            units, return_index=True, return_inverse=True, return_counts=True
        )
        if len(first) < 2:
            raise InputError(
                f"target {row} has {len(first)} evaluated units; at least 2 are needed"
            )
        mean = np.bincount(where, weights=target.scores) / counts
        found.append(target.members[first][np.argsort(-mean, kind="stable")])
    return Trials(inside=tuple(found))


def refuse_dependent(membership: Membership, trials: Trials) -> None:
    """Refuse memberships that are not independent fair coins, one per unit and target.

    Raises:
        DependentTrialsError: with what was seen.
    """
    refuse_given(membership)
    if membership.share != 0.5:
        raise DependentTrialsError(
            f"the targets' coins were thrown with share {membership.share}; a one-run bound needs "
            "fair ones: draw(share=0.5)"
        )
    together = np.concatenate(trials.inside)
    if stats.binomtest(int(together.sum()), len(together), 0.5).pvalue < NEVER:
        raise DependentTrialsError(
            f"{int(together.sum())} of {len(together)} (target, unit) pairs are members, which "
            "fair coins do not give; a one-run bound needs draw(share=0.5)"
        )
    for row, coins in enumerate(trials.inside):
        chance = stats.binomtest(int(coins.sum()), len(coins), 0.5).pvalue
        if chance < NEVER:
            raise DependentTrialsError(
                f"target {row} has {int(coins.sum())} members among {len(coins)} units, which fair "
                "coins do not give; a one-run bound needs draw(share=0.5)"
            )
    audited = membership.inside[:, membership.pools["audit"]]
    _, first = np.unique(membership.units[membership.pools["audit"]], return_index=True)
    by_unit = audited[:, first]
    if by_unit.shape[1] < FEWEST_TO_JUDGE:
        return
    if len(by_unit) > 1 and len(set(by_unit.sum(axis=0).tolist())) == 1:
        raise DependentTrialsError(
            f"each of {by_unit.shape[1]} units is in exactly {int(by_unit[:, 0].sum())} of "
            f"{len(by_unit)} models: a balanced design, such as that of references, has no "
            "independent coins; use the targets of `draw`"
        )
    rows = by_unit[membership.targets]
    if len(np.unique(rows, axis=0)) < len(rows):
        raise DependentTrialsError(
            "two targets were trained on the same members, so their coins are no further trials; "
            "draw each target anew"
        )


def refuse_given(membership: Membership) -> None:
    """Refuse memberships of which nobody knows that coins were thrown."""
    roles = {membership.roles[m] for m in membership.targets.tolist()}
    if not membership.drawn or roles != {"target"}:
        raise DependentTrialsError(
            "a bound on epsilon needs members drawn by coins before the training; here they were "
            f"given (roles {sorted(roles)}, drawn={membership.drawn}); use draw, or "
            "epsilon_estimate, which is no bound"
        )
    if membership.share is None:
        raise DependentTrialsError(
            "a bound on epsilon needs members drawn by coins before the training, and this "
            "membership does not say with which share they were thrown: its models are references, "
            "or it was stored before shares were; draw it anew, from the same records and seed"
        )


def checked_rules(guesses: Guesses | None, trials: Trials) -> tuple[tuple[int, int], ...]:
    """Return the pairs to try.

    Raises:
        InputError: no pair, or one that does not fit the number of canaries.
    """
    fewest = trials.fewest
    rules = default_guesses(fewest) if guesses is None else tuple((a, b) for a, b in guesses)
    for first, last in rules:
        if first < 0 or last < 0 or not 1 <= first + last <= fewest:
            raise InputError(
                f"guesses are pairs (in, out) of 1 to {fewest} guesses together, the fewest "
                f"evaluated units of a target; got ({first}, {last})"
            )
    if not rules:
        raise InputError("guesses is empty; give at least one pair (in, out)")
    return rules


def best_guesses(
    scores: Scores,
    membership: Membership,
    *,
    delta: float,
    tail: Tail = "one run",
    confidence: float = 0.95,
) -> tuple[int, int]:
    """Return the pair (in, out) with the largest bound on models that are not under audit.

    Give the scores of pseudo-targets, that is, of references played as targets; the pair is then
    fixed before the targets are looked at, and `epsilon_bound(guesses=[pair])` needs no correction.

    Args:
        scores: of the same attack on other models with as many evaluated units.
        membership: of those models; it may be balanced, since nothing is claimed of them.
        delta: in [0, 1].
        tail: as in `epsilon_bound`.
        confidence: in (0, 1).
    """
    trials = trials_of(scores, membership)
    rules = default_guesses(trials.fewest, finest=2)
    bounds = [
        (trials.bound(rule, delta=delta, tail=tail, confidence=confidence), rule) for rule in rules
    ]
    return max(bounds)[1]


def default_guesses(canaries: int, *, finest: int = 4) -> tuple[tuple[int, int], ...]:
    """Return a few pairs (in, out) for so many canaries: all, and smaller shares of both ends.

    Args:
        canaries: evaluated units of a target, at least 2.
        finest: each share is this part of the one before, down to a 64th of the canaries.

    Raises:
        InputError: fewer than 2 canaries, or `finest` below 2.

    Example:
        >>> default_guesses(400)
        ((200, 200), (50, 50), (50, 0), (12, 12), (12, 0))
    """
    if canaries < 2 or finest < 2:
        raise InputError(
            f"at least 2 canaries and finest=2 are needed, got {canaries} and {finest}"
        )
    found = [(canaries // 2, canaries // 2)]
    size = canaries // 2 // finest
    while size >= max(1, canaries // 64):
        found += [(size, size), (size, 0)]
        size //= finest
    return tuple(found)
