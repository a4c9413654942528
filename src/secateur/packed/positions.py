"""Where the values of a sparse tensor stand: one bit for each place, or the steps between them."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secateur.packed.form import refuse

__all__ = ["CHUNK", "Places", "bitmask", "gaps", "of_bitmask", "of_gaps", "shorter"]

Places = Iterator[NDArray[np.intp]]
CHUNK = 2**18  # bytes of positions at a time, so that a reader's memory follows the tensors'
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


def of_bitmask(code: bytes, size: int, stored: int) -> Places:
    """Yield the places of a bitmask's values, ascending.

    Raises:
        StoreError: another number of values, or bits behind the last place.
    """
    bits, count = np.frombuffer(code, np.uint8), 0
    for start in range(0, len(bits), CHUNK):
        chunk = np.unpackbits(bits[start : start + CHUNK], bitorder="little")
        at = np.flatnonzero(chunk) + 8 * start
        count += len(at)
        _refuse_more(at, count, size, stored)
        yield at
    if count != stored:
        raise refuse(f"a bitmask has {count} values, and its head states {stored}")


def of_gaps(code: bytes, size: int, stored: int) -> Places:
    """Yield the places of the values, ascending.

    Raises:
        StoreError: another number of values, or a value behind the last place.
    """
    steps, count, last = np.frombuffer(code, np.uint8), 0, np.intp(-1)
    for start in range(0, len(steps), CHUNK):
        chunk = steps[start : start + CHUNK].astype(np.intp)
        value = chunk != _ESCAPE
        ends = np.cumsum(chunk + value) + last
        at, last = ends[value], ends[-1]
        count += len(at)
        _refuse_more(at, count, size, stored)
        yield at
    if count != stored or (len(steps) and steps[-1] == _ESCAPE):
        raise refuse(f"gaps lead to {count} values, and its head states {stored}")


def _refuse_more(at: NDArray[np.intp], count: int, size: int, stored: int) -> None:
    if count > stored or (len(at) and at[-1] >= size):
        raise refuse(f"positions of {size} places have more than the {stored} values stated")


def shorter(kept: NDArray[np.bool_]) -> tuple[str, bytes]:
    """Return the layout whose bytes are shorter once they are deflated, and the bytes."""
    codes: dict[str, Any] = {"gaps": gaps(kept), "bitmask": bitmask(kept)}
    return min(codes.items(), key=lambda item: len(zlib.compress(item[1], 6)))
