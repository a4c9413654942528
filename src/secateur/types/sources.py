"""Where the inputs of records come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from secateur.errors import DataError
from secateur.types.base import IntArray, digest_arrays, frozen, set_fields

__all__ = ["ArraySource", "ByteSource", "CompactSource", "Source"]


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
