"""One tensor of a packed file: how it is coded, and its numbers, dense or as rows of non-zeros."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secateur_runtime.errors import FileError
from secateur_runtime.frame import refuse
from secateur_runtime.plan import Weight

__all__ = ["Entry", "Tensor", "rotated_back"]

Array = NDArray[Any]
TABLE = np.dtype("<f4")
_WHOLE = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
_NAMES = ("bool", *_WHOLE, "float16", "float32", "float64")
DTYPES: dict[str, np.dtype[Any]] = {name: np.dtype(name).newbyteorder("<") for name in _NAMES}
_LAYOUTS = ("bitmask", "gaps", "dense")
_LOSSY = {"float16": "<u2", "int8": "<u1", "codebook": "<u1"}
_MAX_AXES = 32
_MAX_SIZE = 2**48  # along one axis; what is more is no network
_CHUNK = 2**18  # places at a time
_ESCAPE = 255


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What the head says of one tensor: `values` are stored `exact` or in a lossy coding."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    layout: str
    values: str
    stored: int
    n_positions: int
    n_table: int

    @classmethod
    def of_row(cls, row: Any) -> Entry:
        """Return what a row of the head says.

        Raises:
            FileError: it contradicts itself.
        """
        if not (isinstance(row, list) and len(row) == 8 and isinstance(row[2], list)):
            raise refuse(f"its head describes a tensor as {str(row)[:80]!r}")
        name, dtype, shape, layout, values, *counts = row
        words = all(isinstance(word, str) for word in (name, dtype, layout, values))
        if not words or not all(type(n) is int and 0 <= n < _MAX_SIZE for n in (*shape, *counts)):
            raise refuse(f"its head describes a tensor as {str(row)[:80]!r}")
        known = dtype in DTYPES and layout in _LAYOUTS and values in ("exact", *_LOSSY)
        if not known or len(shape) > _MAX_AXES:
            raise refuse(f"{name[:80]!r} is coded in a way that this version does not know")
        stored, n_positions, n_table = counts
        made = cls(
            name=name,
            dtype=dtype,
            shape=tuple(shape),
            layout=layout,
            values=values,
            stored=stored,
            n_positions=n_positions,
            n_table=n_table,
        )
        if not made._agrees():
            raise refuse(f"the sizes that its head gives of {name[:80]!r} contradict")
        return made

    def _agrees(self) -> bool:
        matrix = DTYPES[self.dtype].kind == "f" and len(self.shape) > 1 and self.size > 0
        table = {"int8": self.shape[:1] == (self.n_table,), "codebook": self.n_table <= 256}
        positions = {
            "dense": self.n_positions == 0 and self.stored == self.size,
            "bitmask": self.n_positions == -(-self.size // 8),
            "gaps": self.stored <= self.n_positions <= self.stored + self.size // _ESCAPE,
        }
        return (
            (self.values == "exact" or matrix)
            and table.get(self.values, self.n_table == 0)
            and positions[self.layout]
            and self.stored <= self.size
        )

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def n_bytes(self) -> int:
        """Bytes of the decoded tensor; an axis of 0 counts as 1, since numpy refuses the others."""
        return math.prod(max(1, n) for n in self.shape) * DTYPES[self.dtype].itemsize

    @property
    def weight_bytes(self) -> int:
        """Bytes that decoding it as weights takes at its highest."""
        if self.layout == "dense" or len(self.shape) < 2:
            return self.size * (DTYPES[self.dtype].itemsize + 5)
        return 16 * self.stored + 40 * self.shape[0]

    @property
    def symbol(self) -> np.dtype[Any]:
        """The whole number as which each value is stored."""
        if self.values == "exact":
            return np.dtype(f"<u{DTYPES[self.dtype].itemsize}")
        return np.dtype(_LOSSY[self.values])

    @property
    def rotated(self) -> bool:
        """Whether the sign stands behind the mantissa."""
        exact = self.values == "exact" and DTYPES[self.dtype].kind == "f"
        return exact or self.values == "float16"

    @property
    def kind(self) -> str:
        """Small tensors of one kind have their values in one block."""
        how = self.dtype if self.values == "exact" else self.values
        return f"{how}/{'dense' if self.layout == 'dense' else 'sparse'}"


@dataclass(frozen=True, kw_only=True, eq=False)
class Tensor:
    """A tensor as it lies in the file, entropy coding undone: `code` says where `numbers` stand."""

    entry: Entry
    code: Array
    numbers: Array
    table: Array

    def array(self) -> Array:
        """Return the whole array, in its own type.

        Raises:
            FileError: positions or numbers are damaged.
        """
        entry = self.entry
        out = np.zeros(entry.size, DTYPES[entry.dtype])
        start = 0
        for at in self._places():
            out[at] = self._values(start, at)
            start += len(at)
        return out.reshape(entry.shape).astype(out.dtype.newbyteorder("="), copy=False)

    def weight(self) -> Weight:
        """Return the tensor as float32 weights: rows of non-zeros where it is stored so.

        Raises:
            FileError: as `array`, or it has no rows or numbers that are not finite.
        """
        entry = self.entry
        if entry.size == 0 or not entry.shape:
            raise FileError(f"the tensor {entry.name[:80]!r} of shape {entry.shape} has no weights")
        with np.errstate(over="ignore"):
            if entry.layout == "dense" or len(entry.shape) == 1:
                return Weight.of(self.array())
            return self._rows()

    def _rows(self) -> Weight:
        shape = self.entry.shape
        row = math.prod(shape[1:])
        if row > 2**31 - 1:
            raise FileError(f"a row of {self.entry.name[:80]!r} has {row:,} places")
        values = np.zeros(self.entry.stored, np.float32)
        columns = np.zeros(self.entry.stored, np.int32)
        counts = np.zeros(shape[0], np.int64)
        n = start = 0
        for at in self._places():
            found = self._values(start, at).astype(np.float32)
            start += len(at)
            kept = found != 0
            own = at[kept]
            values[n : n + len(own)] = found[kept]
            columns[n : n + len(own)] = own % row
            if len(own):  # counted where they lie: a chunk may span few of very many rows
                rows = own // row
                first = int(rows[0])
                counts[first : int(rows[-1]) + 1] += np.bincount(rows - first)
            n += len(own)
        indptr = np.zeros(shape[0] + 1, np.int64)
        np.cumsum(counts, out=indptr[1:])
        return Weight(shape=shape, values=values[:n], indptr=indptr, columns=columns[:n])

    def _values(self, start: int, at: Array) -> Array:
        """Return the values of the numbers from `start` on, which stand at these places."""
        entry, numbers = self.entry, self.numbers[start : start + len(at)]
        found: Array = numbers
        with np.errstate(all="ignore"):
            if entry.values == "exact":
                return numbers.view(DTYPES[entry.dtype])
            if entry.values == "float16":
                found = numbers.view("<f2")
            elif entry.values == "int8":
                scale = self.table[at // (entry.size // entry.shape[0])].astype(np.float64)
                found = numbers.view(np.int8) * scale
            elif numbers.size and int(numbers.max()) >= len(self.table):
                raise refuse(f"{entry.name[:80]!r} names an entry that its table does not have")
            else:
                found = self.table[numbers]
            return found.astype(DTYPES[entry.dtype])

    def _places(self) -> Iterator[Array]:
        """Yield where the numbers stand, ascending, piece by piece."""
        entry, last, count = self.entry, np.intp(-1), 0
        if entry.layout == "dense":
            for start in range(0, entry.size, _CHUNK):
                yield np.arange(start, min(start + _CHUNK, entry.size))
            return
        step = _CHUNK // 8 if entry.layout == "bitmask" else _CHUNK
        for start in range(0, len(self.code), step):
            piece = self.code[start : start + step]
            if entry.layout == "bitmask":
                at = np.flatnonzero(np.unpackbits(piece, bitorder="little")) + 8 * start
            else:
                value = piece != _ESCAPE
                ends = np.cumsum(piece.astype(np.intp) + value) + last
                at, last = ends[value], ends[-1]
            count += len(at)
            if count > entry.stored or (len(at) and at[-1] >= entry.size):
                raise refuse(f"{entry.name[:80]!r} has more places than its head states")
            yield at
        escaped = entry.layout == "gaps" and len(self.code) and self.code[-1] == _ESCAPE
        if count != entry.stored or escaped:
            raise refuse(f"{entry.name[:80]!r} has {count} places, and states {entry.stored}")


def rotated_back(numbers: Array) -> Array:
    """Return whole numbers with the lowest bit moved before the highest."""
    one, rest = numbers.dtype.type(1), numbers.dtype.type(8 * numbers.dtype.itemsize - 1)
    turned: Array = (numbers << rest) | (numbers >> one)
    return turned
