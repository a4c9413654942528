"""One small file for a network with many zeros; numpy and the standard library alone read it."""

from __future__ import annotations

from secateur.packed.bound import Bound, Sizes, entropy_bound, sizes
from secateur.packed.form import LIMIT, VALUES, Coded, Head, Layout, Packed, Values
from secateur.packed.reading import head_of, read, unpack
from secateur.packed.writing import pack

__all__ = [
    "LIMIT",
    "VALUES",
    "Bound",
    "Coded",
    "Head",
    "Layout",
    "Packed",
    "Sizes",
    "Values",
    "entropy_bound",
    "head_of",
    "pack",
    "read",
    "sizes",
    "unpack",
]
