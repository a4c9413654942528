"""Data sets, made worlds, and who trains on what."""

from __future__ import annotations

from secateur.data.embedded import digits
from secateur.data.membership import draw, given, restrict, select
from secateur.data.named import DATA_SETS, DataSet, fashion_mnist, load, location30, mnist
from secateur.data.planted import planted_records, planted_world

__all__ = [
    "DATA_SETS",
    "DataSet",
    "digits",
    "draw",
    "fashion_mnist",
    "given",
    "load",
    "location30",
    "mnist",
    "planted_records",
    "planted_world",
    "restrict",
    "select",
]
