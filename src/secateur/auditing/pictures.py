"""Pictures of the records that a report names, on request."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from secateur.errors import InputError
from secateur.store import png_uri

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from secateur.types import Records

__all__ = ["check_pictured", "pictures_of"]


def check_pictured(records: Records) -> None:
    """Refuse records that are no pictures.

    Raises:
        InputError: names the shape.
    """
    shape = records.input_shape
    if len(shape) != 3 or shape[0] not in (1, 3) or min(shape[1:]) < 4:
        raise InputError(
            f"records of the shape {shape} are no pictures, which are [1 or 3, height, width]; "
            "leave pictures out"
        )


def pictures_of(records: Records, ids: Sequence[int]) -> dict[int, str]:
    """Return records as PNG, by id, as data URIs for `secateur.report.html.render`.

    They are the training data that an audit asks about: whoever gets the page gets them.

    Args:
        records: `[1 or 3, height, width]` each; every picture's own smallest value becomes black,
            its largest white.
        ids: of the records to show.

    Raises:
        InputError: the records are no pictures, or an id is not theirs.

    Example:
        >>> from secateur.data import digits
        >>> pictures_of(digits(), [3])[3][:22]
        'data:image/png;base64,'
    """
    check_pictured(records)
    places = {int(i): place for place, i in enumerate(np.asarray(records.ids).tolist())}
    unknown = [i for i in ids if i not in places]
    if unknown:
        raise InputError(f"the records have no id {unknown[0]}; give those of the audit")
    inputs = records.gather(np.array([places[i] for i in ids], dtype=np.int64))
    return {i: png_uri(_pixels(x)) for i, x in zip(ids, inputs, strict=True)}


def _pixels(picture: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return 0 .. 255 `[height, width, channels]` of one record."""
    low, high = float(picture.min()), float(picture.max())
    scaled = (picture - low) / (high - low if high > low else 1.0)
    pixels: NDArray[np.uint8] = np.round(255 * scaled).astype(np.uint8).transpose(1, 2, 0)
    return pixels
