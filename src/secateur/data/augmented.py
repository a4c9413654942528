"""Moved, turned and mirrored pictures: the queries of the augmentation attack."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from scipy.ndimage import rotate

from secateur.data.forms import Form
from secateur.errors import DataError, MethodError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from secateur.protocols import Perturbed
    from secateur.types import IntArray, Membership, Records

    Change = Callable[[NDArray[np.float32]], NDArray[np.float32]]

__all__ = ["Augmented"]


@dataclass(frozen=True, kw_only=True)
class Augmented:
    """Ask about each picture moved, turned and mirrored.

    Args:
        translate: moved by all (i, j) with |i| + |j| equal to this, in pixels; 4 * translate
            queries.
        rotate: also turned by plus and minus so many degrees, in [0, 180); 0 for neither.
        flip: also mirrored left to right.

    Differs from the paper: moves, turns and mirrored pictures can stand in one attack. Borders are
    mirrored; turned pictures are interpolated linearly.

    Example:
        >>> len(Augmented(translate=2, rotate=4.0, flip=True))
        11
    """

    translate: int = 1
    rotate: float = 0.0
    flip: bool = False

    kind: ClassVar[str] = "perturbation"
    reference: ClassVar[str] = "choquettechoo2021labelonly"

    def __post_init__(self) -> None:
        if self.translate < 0 or not 0 <= self.rotate < 180:
            raise MethodError(
                f"translate must be at least 0 and rotate in [0, 180), got "
                f"translate={self.translate}, rotate={self.rotate}"
            )
        if not len(self):
            raise MethodError(
                "translate=0, rotate=0, flip=False asks nothing; give one of them, such as "
                "Augmented(translate=1)"
            )

    def __len__(self) -> int:
        """Return how many forms there are, the record as it is not counted."""
        return 4 * self.translate + 2 * (self.rotate > 0) + self.flip

    def forms(self) -> tuple[Change, ...]:
        """Return what makes each form."""
        d = self.translate
        places = [
            (i, j) for i in range(-d, d + 1) for j in range(-d, d + 1) if abs(i) + abs(j) == d
        ]
        moves: list[Change] = [Form(flip=False, down=i, right=j) for i, j in places if d]
        if self.rotate:
            moves += [partial(_turned, degrees=sign * self.rotate) for sign in (1.0, -1.0)]
        return (*moves, Form(flip=True, down=0, right=0)) if self.flip else tuple(moves)

    def prepared(self, records: Records, membership: Membership, where: IntArray) -> Perturbed:
        """Return the queries about records.

        Raises:
            DataError: they are no pictures, or smaller than the move.
        """
        del membership, where
        shape = records.input_shape
        if len(shape) != 3 or min(shape[1:]) <= self.translate:
            raise DataError(
                f"{self!r} needs pictures [channels, height, width] larger than {self.translate} "
                f"pixels, but the records have the shape {shape}; ask with Noise(), which "
                "takes tables too"
            )
        return _Forms(of=self)


@dataclass(frozen=True, kw_only=True)
class _Forms:
    of: Augmented

    def __len__(self) -> int:
        return len(self.of)

    def change(self, records: Records, query: int) -> Change:
        """Return one form."""
        del records
        return self.of.forms()[query]


def _turned(inputs: NDArray[np.float32], *, degrees: float) -> NDArray[np.float32]:
    """Return pictures `[n, channels, height, width]` turned about their middle."""
    found = rotate(inputs, degrees, axes=(2, 3), reshape=False, order=1, mode="mirror")
    return np.asarray(found, dtype=np.float32)
