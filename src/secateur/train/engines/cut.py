"""Which models are made together: decided by the plan, never by what is left to do."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["cut"]


def cut(steps: Sequence[int], models: int) -> list[tuple[int, ...]]:
    """Return the indices of models in shards of nearly equal size.

    Args:
        steps: of each model in an epoch; models of one shard take the same number.
        models: at most so many in one shard.

    Example:
        >>> cut([9, 9, 8, 9, 9, 9], 4)
        [(2,), (0, 1, 3), (4, 5)]
    """
    shards: list[tuple[int, ...]] = []
    for number in sorted(set(steps)):
        alike = [i for i, own in enumerate(steps) if own == number]
        parts = -(-len(alike) // models)
        share, more = divmod(len(alike), parts)
        start = 0
        for part in range(parts):
            end = start + share + (part < more)
            shards.append(tuple(alike[start:end]))
            start = end
    return shards
