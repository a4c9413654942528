"""How short a packed file could be, and how long it is."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secateur.packed.blocks import blocks, planes
from secateur.packed.form import EXACT, Layout, Values, check_choice
from secateur.packed.symbols import codes, rotated
from secateur.packed.writing import pack, storable

__all__ = ["Bound", "Sizes", "entropy_bound", "sizes"]

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Bound:
    """Bytes that an ideal coder needs which knows each tensor's density and each histogram.

    `positions` is the sum of n H(p) over the tensors, n elements of which the share p is kept.
    `values` is the empirical zero-order entropy of the non-zeros' codes: of the byte planes of what
    is kept bit for bit or as float16 (floating point with the sign behind the mantissa), of the
    levels of int8 and of the entries of a codebook. Histograms are those of one tensor from 4,096
    numbers on, and of all smaller ones of a type together. `tables` is the same for scales and
    codebooks. Names, shapes, the container and its digest, and the histograms themselves count
    nothing. A file can be shorter where zeros or values follow a pattern.
    """

    positions: float
    values: float
    tables: float

    @property
    def total(self) -> float:
        """All of it, in bytes."""
        return self.positions + self.values + self.tables


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Bytes of one model: the packed file, its bound, and the dense file as it is and by gzip.

    `n_dense` and `n_gzip` speak of the dense safetensors file of the tensors as they were given,
    the latter at level 6.
    """

    n_packed: int
    bound: Bound
    n_dense: int
    n_gzip: int

    @property
    def over(self) -> float:
        """The packed file's bytes over the bound's; 1.1 is ten percent above it."""
        return self.n_packed / self.bound.total if self.bound.total else float("inf")


def _entropy(share: float) -> float:
    """Return the bits of one place of which this share is kept."""
    if share in (0.0, 1.0):
        return 0.0
    rest = 1.0 - share
    return float(-share * np.log2(share) - rest * np.log2(rest))


def _n_bytes(numbers: Array) -> float:
    """Return the zero-order entropy of the byte planes, in bytes."""
    total = 0.0
    for plane in planes(numbers):
        counts = np.bincount(plane)
        share = counts[counts > 0] / len(plane)
        total -= len(plane) * float((share * np.log2(share)).sum()) / 8
    return total


def entropy_bound(tensors: Mapping[str, Array], *, values: Values = "float32") -> Bound:
    """Return the zero-order bound on a packed file's bytes; `Bound` says what it counts.

    Args:
        tensors: as for `pack`.
        values: as for `pack`.

    Raises:
        InputError: as `pack`.

    Example:
        >>> half = np.arange(64, dtype=np.uint8) % 2
        >>> entropy_bound({"bits": half}).positions
        8.0
    """
    check_choice(values, "auto")
    kinds, numbers, tables, positions = [], [], [], 0.0
    for name, tensor in tensors.items():
        array = storable(name, tensor)
        how, found, table = codes(name, array, values)
        kept = found[found != 0]
        if array.size:
            positions += array.size * _entropy(len(kept) / array.size) / 8
        floating = how == "float16" or (how == EXACT and array.dtype.kind == "f")
        kinds.append(array.dtype.name if how == EXACT else how)
        numbers.append(rotated(kept) if floating else kept)
        tables.append(rotated(table.view("<u4")))
    together = ["table"] * len(tables)
    return Bound(positions=positions, values=_sum(kinds, numbers), tables=_sum(together, tables))


def _sum(kinds: list[str], numbers: list[Array]) -> float:
    groups = blocks(kinds, [len(found) for found in numbers])
    return sum(_n_bytes(np.concatenate([numbers[i] for i in group])) for group in groups)


def sizes(
    tensors: Mapping[str, Array], *, values: Values = "float32", layout: Layout = "auto"
) -> Sizes:
    """Return the bytes of a model packed, at best, dense, and dense by gzip.

    Args:
        tensors: as for `pack`.
        values: as for `pack`.
        layout: as for `pack`.

    Raises:
        InputError: as `pack`.

    Example:
        >>> weight = np.zeros((256, 256), np.float32)
        >>> weight[::16] = np.linspace(1, 2, 256, dtype=np.float32)
        >>> found = sizes({"weight": weight})
        >>> found.n_packed < found.n_gzip < found.n_dense
        True
    """
    from safetensors.numpy import save

    dense = save({name: storable(name, array) for name, array in tensors.items()})
    gzip = zlib.compressobj(6, zlib.DEFLATED, 31)
    return Sizes(
        n_packed=len(pack(tensors, values=values, layout=layout)),
        bound=entropy_bound(tensors, values=values),
        n_dense=len(dense),
        n_gzip=len(gzip.compress(dense) + gzip.flush()),
    )
