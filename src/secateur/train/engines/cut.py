"""Which models are made together: decided by the plan, never by what is left to do."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["cut"]


def cut(steps: Sequence[int], models: int) -> list[tuple[int, ...]]:
    """Return the indices of models in shards of nearly equal size.

    Args:
        steps: of each model in an epoch; models of a shard are sorted by them, and shards hold
            neighbours.
        models: at most so many in one shard.

    Example:
        >>> cut([9, 9, 8, 9, 9, 9], 4)
        [(2, 0, 1), (3, 4, 5)]
    """
    order = sorted(range(len(steps)), key=lambda i: steps[i])
    parts = -(-len(order) // models)
    share, more = divmod(len(order), parts)
    shards: list[tuple[int, ...]] = []
    start = 0
    for part in range(parts):
        end = start + share + (part < more)
        shards.append(tuple(order[start:end]))
        start = end
    return shards
