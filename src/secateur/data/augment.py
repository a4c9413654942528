"""Augmented queries: how often, and in which forms, an attacker asks about a record."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from secateur.data.forms import Form
from secateur.errors import MethodError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Change = Callable[[NDArray[np.float32]], NDArray[np.float32]]

__all__ = ["Queries", "joined_queries"]


@dataclass(frozen=True, kw_only=True)
class Queries:
    """Ask about each record as it is, and also mirrored and moved.

    An attack that reads several queries averages over them. Against a model that was trained with
    augmentation they strengthen it; queries of forms that the model never saw can weaken it.

    Args:
        flip: also mirrored left to right.
        shift: also moved by -shift, 0 or +shift pixels in both directions, 9 places in all.

    Example:
        >>> len(Queries()), len(Queries(flip=True)), len(Queries(flip=True, shift=2))
        (1, 2, 18)

    Reference:
        carlini2022membership (2 and 18 queries).
    """

    flip: bool = False
    shift: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.flip, bool):
            raise MethodError(f"flip must be True or False, got {self.flip!r}")
        if isinstance(self.shift, bool) or not isinstance(self.shift, int) or self.shift < 0:
            raise MethodError(f"shift must be a whole number of at least 0, got {self.shift!r}")

    def changes(self) -> tuple[Change, ...]:
        """Return the forms, the untouched record first."""
        steps = (0, self.shift, -self.shift) if self.shift else (0,)
        flips = (False, True) if self.flip else (False,)
        return tuple(
            Form(flip=flip, down=down, right=right)
            for flip, down, right in product(flips, steps, steps)
        )

    def __len__(self) -> int:
        return len(self.changes())


def joined_queries(found: Sequence[Mapping[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    """Put arrays `[record]` of several queries together, `[query, record]`; of one as they are.

    Example:
        >>> joined_queries([{"loss": np.zeros(3)}, {"loss": np.ones(3)}])["loss"].shape
        (2, 3)
    """
    if len(found) == 1:
        return dict(found[0])
    return {key: np.stack([one[key] for one in found]) for key in found[0]}
