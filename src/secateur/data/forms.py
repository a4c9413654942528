"""One form of a picture, mirrored or moved: what queries of every kind are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from secateur.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Form"]


@dataclass(frozen=True, kw_only=True)
class Form:
    """One form of a picture: mirrored or not, moved by some pixels, the border mirrored."""

    flip: bool
    down: int
    right: int

    def __call__(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return inputs `[n, channels, height, width]` in this form."""
        if not (self.flip or self.down or self.right):
            return inputs
        reach = max(abs(self.down), abs(self.right))
        if inputs.ndim != 4 or min(inputs.shape[2:]) <= reach:
            raise DataError(
                f"queries that mirror or move need pictures [channels, height, width] larger than "
                f"{reach} pixels, but the records have the shape {inputs.shape[1:]}; ask with "
                "Queries(flip=False, shift=0)"
            )
        found = inputs[..., ::-1] if self.flip else inputs
        if reach:
            padded = np.pad(found, ((0, 0), (0, 0), (reach, reach), (reach, reach)), mode="reflect")
            height, width = inputs.shape[2:]
            top, left = reach + self.down, reach + self.right
            found = padded[:, :, top : top + height, left : left + width]
        return np.ascontiguousarray(found)
