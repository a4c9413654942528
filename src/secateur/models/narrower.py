"""The same network with fewer weights: narrower in every layer, not pruned."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from secateur.errors import MethodError
from secateur.models.blank import blank
from secateur.models.rebuild import prunable

if TYPE_CHECKING:
    from secateur.protocols import Builder

__all__ = ["count_prunable", "narrowed", "narrower"]

STEPS = 1000
"""Widths are looked for in thousandths."""
FARTHEST = 1.5
"""By which factor the number of weights may miss what was asked for."""


def count_prunable(build: Builder) -> int:
    """Return how many weights of a network pruning counts; nothing is allocated.

    Example:
        >>> from secateur.models import MLP
        >>> count_prunable(MLP(widths=(8, 4, 2)))
        40
    """
    module = blank(build)
    sizes = {name: value.numel() for name, value in module.named_parameters()}
    return sum(sizes[name] for name in prunable(module))


def narrowed(build: Builder, width: float) -> Builder:
    """Return a network with all hidden widths times a factor.

    Args:
        build: one of the listed networks, or one with a method `narrowed(width)`.
        width: in (0, 1].

    Raises:
        MethodError: a network that does not say how it is narrowed.
    """
    found = getattr(build, "narrowed", None)
    if found is None:
        raise MethodError(
            f"{build!r} does not say how it is made narrower; give the small network yourself, "
            "SmallDense(build=...), or give its builder a method narrowed(width) that returns one"
        )
    small: Builder = found(width)
    return small


def narrower(build: Builder, share: float) -> Builder:
    """Return the network that is narrowed to a share of its prunable weights, as near as it gets.

    Args:
        build: as in `narrowed`.
        share: of the prunable weights, in (0, 1].

    Returns:
        Of the widths in thousandths the one whose number of prunable weights is nearest to the
        share; of equally near ones the wider.

    Raises:
        MethodError: a network that cannot be narrowed, or not so far: its number of weights would
            miss the share by more than half.

    Example:
        >>> from secateur.models import MLP
        >>> narrower(MLP(widths=(64, 100, 10)), 0.1)
        MLP(widths=(64, 10, 10), dropout=0.0, activation='relu')
    """
    if not 0 < share <= 1:
        raise MethodError(f"share must be in (0, 1], got {share}")
    whole = count_prunable(build)
    goal = share * whole

    @cache
    def weights(step: int) -> int:
        return count_prunable(narrowed(build, step / STEPS))

    low, high = 1, STEPS  # the widest at or below the goal, and the next, lie between
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if weights(middle) <= goal else (low, middle)
    best = min((high, low), key=lambda step: abs(weights(step) - goal))
    found = weights(best)
    if not goal / FARTHEST <= found <= goal * FARTHEST:
        raise MethodError(
            f"{build!r} has {whole:,} prunable weights; narrowed to {goal:,.0f} it would have "
            f"{found:,}, which is too far off; ask for a lower rate, or give the small network "
            "yourself: SmallDense(build=...)"
        )
    return narrowed(build, best / STEPS)
