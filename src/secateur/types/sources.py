"""Where the inputs of records come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from secateur.errors import DataError
from secateur.types.base import IntArray, digest_arrays, frozen, set_fields

__all__ = ["ArraySource", "ByteSource", "CompactSource", "PatchedSource", "Source"]


@runtime_checkable
class Source(Protocol):
    """Where a record's input comes from: memory, a memory map, files read lazily."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape with the number of records first."""
        ...

    def gather(self, indices: IntArray) -> NDArray[np.float32]:
        """Return the inputs at these indices, float32 `[len(indices), *shape[1:]]`."""
        ...

    def digest(self) -> str:
        """Return a digest of the content of all records."""
        ...


@runtime_checkable
class CompactSource(Source, Protocol):
    """A source that can give some of its records as a smaller source in memory."""

    def take(self, indices: IntArray) -> Source:
        """Return a source of these records alone, in this order."""
        ...


@dataclass(frozen=True, kw_only=True)
class ArraySource:
    """Inputs in memory, float32 `[records, ...]`, all finite."""

    values: NDArray[np.float32]

    def __post_init__(self) -> None:
        values = np.asarray(self.values)
        if values.ndim < 2:
            raise DataError(
                f"inputs need the shape [records, ...], got {values.shape}; add an axis"
            )
        values = np.ascontiguousarray(values, dtype=np.float32)
        finite = np.isfinite(values).all(axis=tuple(range(1, values.ndim)))
        bad = np.flatnonzero(~finite)
        if bad.size:
            raise DataError(
                f"{bad.size} of {len(values)} records have inputs that are NaN or infinite, first"
                f" at "
                f"index {bad[0]}; remove or impute them before the audit"
            )
        set_fields(self, values=frozen(values))

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape with the number of records first."""
        return self.values.shape

    def gather(self, indices: IntArray) -> NDArray[np.float32]:
        """Return the inputs at these indices."""
        return self.values[indices]

    def digest(self) -> str:
        """Return a digest of all inputs."""
        return digest_arrays({"values": self.values})


@dataclass(frozen=True, kw_only=True)
class ByteSource:
    """Inputs kept as bytes, uint8 `[records, ...]`, and given out divided by `scale`.

    A quarter of the memory of `ArraySource`, for pictures (`scale` 255) and binary tables (1).

    Example:
        >>> ByteSource(values=np.array([[0, 51]], np.uint8)).gather(np.array([0])).tolist()
        [[0.0, 0.20000000298023224]]
    """

    values: NDArray[np.uint8]
    scale: float = 255.0

    def __post_init__(self) -> None:
        values = np.asarray(self.values)
        if values.ndim < 2 or values.dtype != np.uint8:
            raise DataError(
                f"inputs kept as bytes need the shape [records, ...] and the type uint8, got "
                f"{values.dtype} of shape {values.shape}"
            )
        if not (self.scale > 0 and np.isfinite(self.scale)):
            raise DataError(f"scale must be positive and finite, got {self.scale}")
        set_fields(self, values=frozen(values))

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape with the number of records first."""
        return self.values.shape

    def gather(self, indices: IntArray) -> NDArray[np.float32]:
        """Return the inputs at these indices."""
        found: NDArray[np.float32] = self.values[indices].astype(np.float32)
        found /= np.float32(self.scale)
        return found

    def digest(self) -> str:
        """Return a digest of all inputs."""
        return digest_arrays({"values": self.values}, extra=f"bytes / {self.scale:g}")

    def take(self, indices: IntArray) -> ByteSource:
        """Return a source of these records alone, in this order."""
        return ByteSource(values=self.values[indices], scale=self.scale)


@dataclass(frozen=True, kw_only=True)
class PatchedSource:
    """A source of which some records' inputs are others, held in memory.

    Example:
        >>> old = ArraySource(values=np.zeros((3, 1), np.float32))
        >>> new = PatchedSource(base=old, rows=np.array([1]), values=np.ones((1, 1), np.float32))
        >>> new.gather(np.array([1, 2, 1])).tolist()
        [[1.0], [0.0], [1.0]]
    """

    base: Source
    rows: IntArray
    values: NDArray[np.float32]

    def __post_init__(self) -> None:
        rows, n = np.asarray(self.rows), self.base.shape[0]
        if rows.ndim != 1 or len(np.unique(rows)) != len(rows):
            raise DataError(f"rows must be different indices, got {rows.tolist()[:8]}")
        if rows.size and (rows.min() < 0 or rows.max() >= n):
            raise DataError(
                f"rows must be in 0 .. {n - 1}, got {rows.min()} .. {rows.max()}; there are {n} "
                "records"
            )
        values = ArraySource(values=self.values).values if rows.size else self.values
        if values.shape != (len(rows), *self.base.shape[1:]):
            raise DataError(
                f"values need the shape {(len(rows), *self.base.shape[1:])}, got {values.shape}"
            )
        order = np.argsort(rows)
        set_fields(self, rows=frozen(rows[order]), values=frozen(values[order]))

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape with the number of records first."""
        return self.base.shape

    def gather(self, indices: IntArray) -> NDArray[np.float32]:
        """Return the inputs at these indices."""
        where = np.arange(self.shape[0])[indices]
        found = np.array(self.base.gather(where))
        patched, at = self._found(where)
        found[patched] = self.values[at]
        return found

    def digest(self) -> str:
        """Return a digest of all inputs."""
        return digest_arrays(
            {"rows": self.rows.astype(np.int64), "values": self.values}, extra=self.base.digest()
        )

    def take(self, indices: IntArray) -> Source:
        """Return a source of these records alone, in this order."""
        where = np.arange(self.shape[0])[indices]
        if not isinstance(self.base, CompactSource):
            return ArraySource(values=self.gather(where))
        patched, at = self._found(where)
        return PatchedSource(base=self.base.take(where), rows=patched, values=self.values[at])

    def _found(self, where: IntArray) -> tuple[IntArray, IntArray]:
        """Return the places of `where` that are patched, and which patch stands there."""
        patched = np.flatnonzero(np.isin(where, self.rows))
        return patched, np.searchsorted(self.rows, where[patched])
