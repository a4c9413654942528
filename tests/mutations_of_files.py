"""Files changed at random, for the readers that must refuse them in words."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

GIBIBYTE = 2**30


def _flip(data: bytearray, rng: np.random.Generator) -> None:
    for _ in range(int(rng.integers(1, 9))):
        data[rng.integers(len(data))] ^= 1 << int(rng.integers(8))


def _truncate(data: bytearray, rng: np.random.Generator) -> None:
    del data[int(rng.integers(len(data))) :]


def _delete(data: bytearray, rng: np.random.Generator) -> None:
    start = int(rng.integers(len(data)))
    del data[start : start + int(rng.integers(1, 65))]


def _insert(data: bytearray, rng: np.random.Generator) -> None:
    at = int(rng.integers(len(data) + 1))
    data[at:at] = rng.bytes(int(rng.integers(1, 65)))


def _repeat(data: bytearray, rng: np.random.Generator) -> None:
    start = int(rng.integers(len(data)))
    stop = start + int(rng.integers(1, 513))
    data[stop:stop] = data[start:stop]


def _zero(data: bytearray, rng: np.random.Generator) -> None:
    start = int(rng.integers(len(data)))
    stop = min(len(data), start + int(rng.integers(1, 65)))
    data[start:stop] = bytes(stop - start)


def _number(data: bytearray, rng: np.random.Generator) -> None:
    """Write a number where a length may stand: the largest ones, negative ones, small ones."""
    width = int(rng.choice([1, 2, 4, 8]))
    values = (2 ** (8 * width) - 1, 2 ** (8 * width - 1), 2 ** (8 * width - 1) - 1, 0, 1, 2**7)
    value = values[rng.integers(len(values))] % 2 ** (8 * width)
    at = int(rng.integers(len(data)))
    order = "little" if rng.random() < 0.5 else "big"
    data[at : at + width] = value.to_bytes(width, order)


def _digits(data: bytearray, rng: np.random.Generator) -> None:
    """Write a long decimal number, or a sign, or a word that floats know."""
    words = (b"9" * 400, b"-1", b"nan", b"1e999", b"\xff\xfe", b"\x00", b",,,", b"\r\n", b'"')
    at = int(rng.integers(len(data) + 1))
    data[at : at + int(rng.integers(0, 3))] = words[rng.integers(len(words))]


MUTATIONS: tuple[Callable[[bytearray, np.random.Generator], None], ...] = (
    _flip,
    _truncate,
    _delete,
    _insert,
    _repeat,
    _zero,
    _number,
    _digits,
)


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """Return the bytes after one to three changes of different kinds."""
    changed = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        if changed:
            MUTATIONS[rng.integers(len(MUTATIONS))](changed, rng)
    return bytes(changed)


@contextmanager
def bounded_memory(extra: int = 2 * GIBIBYTE) -> Iterator[None]:
    """Let the process take so many more bytes of address space and no more, on Linux."""
    with open("/proc/self/statm") as statm:  # noqa: PTH123 - no file to open by a path object
        pages = int(statm.read().split()[0])
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = pages * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + extra, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
