"""Which tensors' numbers are coded together, and a block of numbers as segments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secateur.packed.entropy import compressed, decompressed
from secateur.packed.form import Coded, refuse
from secateur.packed.symbols import rotated

__all__ = ["LARGE", "Block", "blocks", "coded_block", "decoded_block", "planes", "streams"]

LARGE = 4096  # numbers: what has fewer is coded with others of its kind
_BOTH = 2**16  # bytes: up to here, planes are tried together as well as apart
Array = NDArray[Any]
Block = list[int]


def blocks(kinds: Sequence[str], counts: Sequence[int]) -> list[Block]:
    """Return which tensors go together: large ones alone, the others of a kind in one block.

    Example:
        >>> blocks(["a", "b", "a", "a"], [3, 9000, 9000, 5])
        [[1], [2], [0, 3]]
    """
    alone: list[Block] = []
    pooled: dict[str, Block] = {}
    for i, (kind, count) in enumerate(zip(kinds, counts, strict=True)):
        if count >= LARGE:
            alone.append([i])
        elif count:
            pooled.setdefault(kind, []).append(i)
    return [*alone, *pooled.values()]


def streams(entries: Sequence[Coded]) -> dict[str, list[Block]]:
    """Return the blocks of positions, values and tables, which follow from what the head says."""
    return {
        "positions": blocks([e.layout for e in entries], [e.n_positions for e in entries]),
        "values": blocks([e.kind for e in entries], [e.stored for e in entries]),
        "tables": blocks(["table"] * len(entries), [e.n_table for e in entries]),
    }


def planes(numbers: Array) -> Array:
    """Return all lowest bytes, then all next ones: `[bytes of a number, numbers]`."""
    width = numbers.dtype.itemsize
    return np.ascontiguousarray(numbers.view(np.uint8).reshape(len(numbers), width).T)


def coded_block(numbers: Array, *, rotate: bool = False) -> tuple[list[str], bytes]:
    """Return the segments of a block of numbers, for each byte plane one or one for all."""
    found = planes(rotated(numbers) if rotate else numbers)
    apart = [compressed(plane.tobytes()) for plane in found]
    segments, code = [name for name, _ in apart], b"".join(code for _, code in apart)
    if len(found) > 1 and found.size <= _BOTH:
        name, together = compressed(found.tobytes())
        if len(together) <= len(code):
            return [name], together
    return segments, code


def decoded_block(
    segments: Any, data: memoryview, count: int, symbol: np.dtype[Any], *, rotate: bool = False
) -> tuple[Array, int]:
    """Return a block's numbers, and how many bytes of `data` they took.

    Raises:
        StoreError: the segments do not fit, or are damaged.
    """
    width = symbol.itemsize
    if not isinstance(segments, list) or len(segments) not in (1, width):
        raise refuse(f"its head names {str(segments)[:40]!r} for numbers of {width} bytes")
    each = count * width // len(segments)
    at, parts = 0, []
    for segment in segments:
        part, length = decompressed(segment, data[at:], each)
        parts.append(part)
        at += length
    bytes_ = np.frombuffer(b"".join(parts), np.uint8).reshape(width, count)
    numbers = np.ascontiguousarray(bytes_.T).reshape(-1).view(symbol)
    return (rotated(numbers, back=True) if rotate else numbers), at
