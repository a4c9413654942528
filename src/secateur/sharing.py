"""Large arrays that a parent and its workers hold once.

They lie in memory that has no name (a file without one where the system knows no such memory).
Children inherit it and map it read-only; it is gone with the last of them, however they end.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pickle import PickleBuffer

__all__ = ["Spilled", "mapped", "spilled"]

_ALIGNED = 64  # bytes: what vector instructions like
_WORTH = 1 << 20  # bytes below which a pipe is as good


@dataclass(frozen=True)
class Spilled:
    """Where buffers lie: the descriptor of the memory, and (start, size) of each.

    A descriptor of -1 says that there is none, since the buffers are small or cannot be inherited.
    """

    descriptor: int
    spans: tuple[tuple[int, int], ...]

    @property
    def inherited(self) -> tuple[int, ...]:
        """Descriptors that a child must inherit."""
        return (self.descriptor,) if self.descriptor >= 0 else ()


@contextmanager
def spilled(buffers: Sequence[PickleBuffer]) -> Iterator[Spilled]:
    """Hold copies of these buffers in memory that children can map, until the block ends.

    Args:
        buffers: of a pickled object; contiguous.

    Example:
        >>> with spilled([PickleBuffer(bytes(1 << 20))]) as held:
        ...     [len(part) for part in mapped(held)]
        [1048576]
    """
    sizes = [buffer.raw().nbytes for buffer in buffers]
    if os.name != "posix" or sum(sizes) < _WORTH:
        yield Spilled(-1, ())
        return
    spans, end = [], 0
    for size in sizes:
        spans.append((end, size))
        end += -(-size // _ALIGNED) * _ALIGNED
    descriptor = _nameless()
    try:
        os.ftruncate(descriptor, end)
        with mmap.mmap(descriptor, end) as memory:
            for buffer, (start, size) in zip(buffers, spans, strict=True):
                memory[start : start + size] = buffer.raw()
        yield Spilled(descriptor, tuple(spans))
    finally:
        os.close(descriptor)


def _nameless() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("secateur")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def mapped(held: Spilled) -> list[memoryview]:
    """Return the buffers as another process sees them, read-only and without a copy."""
    memory = memoryview(mmap.mmap(held.descriptor, 0, access=mmap.ACCESS_READ))
    return [memory[start : start + size] for start, size in held.spans]
