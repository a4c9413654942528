"""Where the values of a sparse tensor stand: one bit for each place, or the steps between them."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secateur.packed.form import refuse

__all__ = ["bitmask", "gaps", "of_bitmask", "of_gaps", "shorter"]

_ESCAPE = 255


def bitmask(kept: NDArray[np.bool_]) -> bytes:
    """Return a bit for each place, the first one lowest.

    Example:
        >>> bitmask(np.array([True, False, False, True]))
        b'\\t'
    """
    return np.packbits(kept, bitorder="little").tobytes()


def gaps(kept: NDArray[np.bool_]) -> bytes:
    """Return how many places are empty before each value, a byte for each; 255 skips 255 places.

    Example:
        >>> gaps(np.array([True, False, False, True]))
        b'\\x00\\x02'
    """
    at = np.flatnonzero(kept)
    empty = np.diff(at, prepend=-1) - 1
    escapes = empty // _ESCAPE
    out = np.full(len(at) + int(escapes.sum()), _ESCAPE, np.uint8)
    out[np.cumsum(escapes + 1) - 1] = empty % _ESCAPE
    return out.tobytes()


def of_bitmask(code: bytes, size: int, stored: int) -> NDArray[np.intp]:
    """Return the places of a bitmask's values, ascending.

    Raises:
        StoreError: another number of values, or bits behind the last place.
    """
    bits = np.unpackbits(np.frombuffer(code, np.uint8), bitorder="little")
    at = np.flatnonzero(bits)
    if len(at) != stored or (stored and at[-1] >= size):
        raise refuse(f"a bitmask of {size} places has not the {stored} values that are stated")
    return at


def of_gaps(code: bytes, size: int, stored: int) -> NDArray[np.intp]:
    """Return the places of the values, ascending.

    Raises:
        StoreError: another number of values, or a value behind the last place.
    """
    steps = np.frombuffer(code, np.uint8).astype(np.intp)
    value = steps != _ESCAPE
    at: NDArray[np.intp] = (np.cumsum(steps + value) - 1)[value]
    fits = len(at) == stored and (stored == 0 or (value[-1] and at[-1] < size))
    if not fits or (stored == 0 and len(steps)):
        raise refuse(f"the gaps of {size} places have not the {stored} values that are stated")
    return at


def shorter(kept: NDArray[np.bool_]) -> tuple[str, bytes]:
    """Return the layout whose bytes are shorter once they are deflated, and the bytes."""
    codes: dict[str, Any] = {"gaps": gaps(kept), "bitmask": bitmask(kept)}
    return min(codes.items(), key=lambda item: len(zlib.compress(item[1], 6)))
