"""How many of its parts each group keeps under one budget: whole numbers, so that shapes are known
before any value is. No torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from secateur.errors import SparsityError

__all__ = ["shared_counts"]

STEPS = 10**9


def _ratio(cost: Callable[[Sequence[int]], int], sizes: Sequence[int], least: Sequence[int]) -> str:
    """Return how many times smaller than the whole the least is, rounded down."""
    return f"{math.floor(100 * cost(sizes) / max(cost(least), 1)) / 100:g}"


def shared_counts(
    sizes: Sequence[int],
    cost: Callable[[Sequence[int]], int],
    total: int,
    *,
    multiple: int = 1,
) -> tuple[int, ...]:
    """Return how many parts each group keeps so that the cost is at most `total`.

    All groups keep the same share, rounded down, at least one part; then each group, the largest
    remainder first, gets one more part where it still fits. So less than one part of the costliest
    group is left over. With `multiple`, parts are counted in bundles of so many; a group of fewer
    stays whole, and a whole group may end with a smaller bundle.

    Args:
        sizes: parts of each group.
        cost: of so many parts kept; never falls when a number grows.
        total: what may be spent.
        multiple: at least 1; what a group keeps is a multiple of it, or all.

    Raises:
        SparsityError: one part (or bundle) of each group costs more.

    Example:
        >>> shared_counts([10, 20], lambda n: 3 * n[0] + n[1], total=25)
        (5, 10)
        >>> shared_counts([10, 20], lambda n: 3 * n[0] + n[1], total=25, multiple=4)
        (4, 12)
    """
    least = tuple(min(multiple, n) for n in sizes)
    if cost(least) > total:
        one = "one part" if multiple == 1 else f"{multiple} parts"
        raise SparsityError(
            f"the budget of {total:,} is below the {cost(least):,} that {one} of each group and "
            f"the layers that stay whole take; ask for less, at most {_ratio(cost, sizes, least)} "
            "times smaller, or take another pattern"
        )
    if cost(sizes) <= total:
        return tuple(sizes)

    def at(step: int) -> tuple[int, ...]:
        shares = (n * step // STEPS // multiple * multiple for n in sizes)
        return tuple(max(low, share) for share, low in zip(shares, least, strict=True))

    fits, too_much = 0, STEPS
    while too_much - fits > 1:
        middle = (fits + too_much) // 2
        if cost(at(middle)) <= total:
            fits = middle
        else:
            too_much = middle
    counts = list(at(fits))
    for k in sorted(range(len(sizes)), key=lambda k: -(sizes[k] * fits % (multiple * STEPS))):
        if counts[k] == sizes[k] or counts[k] > sizes[k] * fits // STEPS:
            continue  # whole, or above its share already
        before = counts[k]
        counts[k] = min(sizes[k], before + multiple)
        if cost(counts) > total:
            counts[k] = before
    return tuple(counts)
