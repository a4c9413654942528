"""Tensors into one packed file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secateur.errors import InputError
from secateur.packed.blocks import coded_block, streams
from secateur.packed.container import sealed
from secateur.packed.entropy import compressed
from secateur.packed.form import DTYPES, Coded, Layout, Values, check_choice
from secateur.packed.positions import bitmask, gaps, shorter
from secateur.packed.reading import MAX_HEAD
from secateur.packed.symbols import codes
from secateur.types.base import canonical_json

__all__ = ["pack", "storable"]

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Part:
    """One tensor's entry in the head, and its three streams."""

    entry: Coded
    positions: Array
    values: Array
    tables: Array


def pack(
    tensors: Mapping[str, Array],
    *,
    values: Values = "float32",
    layout: Layout = "auto",
    surgery: Mapping[str, Array] | None = None,
    graph: Any = None,
) -> bytes:
    """Return tensors as one file that is small where they hold many zeros.

    The file is a safetensors container of three byte arrays: `head` (JSON: what each tensor is
    coded as), `positions` (where the non-zeros stand) and `values`. Positions are bits or the steps
    between non-zeros; values are cut into byte planes; each stream is stored, deflated or coded by
    LZMA, whichever is the shortest. Small tensors are coded together. The file holds a SHA-256 of
    all its bytes. The same tensors give the same bytes, with the same zlib and liblzma.

    Args:
        tensors: native arrays of bool, whole or floating-point numbers, by name.
        values: `float32` keeps every bit of every tensor, whatever its type; a zero with a sign is
            a value (`w * mask` makes them, `w + 0.0` has none). The others are lossy for
            floating-point tensors of two and more axes, and keep the rest as it is: `float16`;
            `int8`, symmetric, with a scale for each row of the first axis; `codebook`, k-means of
            the non-zeros with up to 255 entries for each tensor.
        layout: how positions are coded: `bitmask`, `gaps`, `dense` (zeros are values too), or
            `auto`, the shortest for each tensor. A tensor without zeros is always dense.
        surgery: as `Artifact.surgery`; a reader gives it back.
        graph: plain JSON that is kept with the tensors.

    Returns:
        The file's bytes.

    Raises:
        InputError: an array of another type, values that a lossy coding cannot hold, a graph that
            is no JSON, or a word that is no choice.

    Example:
        >>> from secateur.packed import unpack
        >>> weight = np.zeros((64, 64), np.float32)
        >>> weight[0, 5] = 1.5
        >>> file = pack({"weight": weight})
        >>> (unpack(file).tensors["weight"] == weight).all(), len(file) < weight.nbytes // 10
        (np.True_, True)

    Reference:
        han2016deep. Differs from the paper: deflate or LZMA, not Huffman codes; steps of 8 bits.
    """
    check_choice(values, layout)
    own = [_part(name, a, values, layout) for name, a in tensors.items()]
    cut = [_part(name, _kept(name, r), "float32", layout) for name, r in (surgery or {}).items()]
    return _file(own, cut, _plain(graph))


def storable(name: str, array: Array) -> Array:
    """Return an array in C order, if it is of a type that is stored.

    Raises:
        InputError: it is not.
    """
    if array.dtype.name not in DTYPES or not array.dtype.isnative:
        raise InputError(
            f"{name!r} has the dtype {array.dtype.str}, and only native bool, whole and "
            "floating-point numbers are packed; convert it"
        )
    return np.asarray(array, order="C")


def _plain(graph: Any) -> Any:
    try:
        return json.loads(canonical_json(graph))
    except (TypeError, ValueError) as error:
        raise InputError(f"the graph is not plain JSON: {error}") from error


def _kept(name: str, rows: Array) -> Array:
    """Return the rows that a surgery keeps as a bool for each row up to the last."""
    if rows.ndim != 1 or rows.dtype.kind != "i" or (rows.size and rows[0] < 0):
        raise InputError(f"surgery {name!r} must be ascending indices, got {rows.dtype}")
    if (rows[1:] <= rows[:-1]).any():
        raise InputError(f"surgery {name!r} must be ascending, got {rows[:20].tolist()}")
    kept = np.zeros(int(rows[-1]) + 1 if rows.size else 0, bool)
    kept[rows] = True
    return kept


def _part(name: str, array: Array, values: str, layout: str) -> _Part:
    array = storable(name, array)
    how, numbers, table = codes(name, array, values)
    kept = numbers != 0
    chosen, positions = _placed(numbers, kept, layout)
    stored = numbers if chosen == "dense" else numbers[kept]
    entry = Coded(
        name=name,
        dtype=array.dtype.name,
        shape=array.shape,
        layout=chosen,
        values=how,
        stored=len(stored),
        n_positions=len(positions),
        n_table=len(table),
    )
    return _Part(
        entry=entry, positions=np.frombuffer(positions, np.uint8), values=stored, tables=table
    )


def _placed(numbers: Array, kept: NDArray[np.bool_], layout: str) -> tuple[str, bytes]:
    """Return the layout of a tensor and the bytes of its positions."""
    count = int(np.count_nonzero(kept))
    if layout == "dense" or count == len(kept):
        return "dense", b""
    if layout == "auto":
        shortest, code = shorter(kept)
        if 2 * count > len(kept) and _size(numbers) <= len(code) + _size(numbers[kept]):
            return "dense", b""
        return shortest, code
    return layout, bitmask(kept) if layout == "bitmask" else gaps(kept)


def _size(numbers: Array) -> int:
    return len(coded_block(numbers)[1])


def _file(own: list[_Part], cut: list[_Part], graph: Any) -> bytes:
    parts = [*own, *cut]
    entries = [part.entry for part in parts]
    segments: dict[str, list[list[str]]] = {}
    coded: dict[str, bytes] = {}
    for stream, groups in streams(entries).items():
        segments[stream], code = [], []
        for group in groups:
            numbers = np.concatenate([getattr(parts[i], stream) for i in group])
            first = entries[group[0]]
            if stream == "tables":
                numbers = numbers.view("<u4")
            rotate = stream == "tables" or (stream == "values" and first.rotated)
            names, block = coded_block(numbers, rotate=rotate)
            segments[stream].append(names)
            code.append(block)
        coded[stream] = b"".join(code)
    head = {
        "tensors": [part.entry.row() for part in own],
        "surgery": [part.entry.row() for part in cut],
        "segments": segments,
        "graph": graph,
    }
    text = canonical_json(head).encode()
    if len(text) > MAX_HEAD:
        raise InputError(
            f"{len(entries)} tensors and their graph are described in {len(text):,} bytes, more "
            f"than the {MAX_HEAD:,} that a reader takes; give a shorter graph"
        )
    letter, short = compressed(text)
    return sealed(
        {"head": f"{letter}/{len(text)}"},
        {
            "head": short,
            "positions": coded["positions"],
            "values": coded["values"] + coded["tables"],
        },
    )
