"""A packed file back into tensors, with numpy alone; nothing that it states is believed unread."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secateur.errors import StoreError
from secateur.packed.blocks import decoded_block, streams
from secateur.packed.container import opened
from secateur.packed.entropy import decompressed
from secateur.packed.form import DTYPES, LIMIT, TABLE, Coded, Head, Packed, refuse
from secateur.packed.positions import of_bitmask, of_gaps
from secateur.packed.symbols import decoded

__all__ = ["MAX_HEAD", "head_of", "read", "unpack"]

MAX_HEAD = 4 * 2**20  # bytes of the head once decoded
_HEAD = re.compile(r"([szx]\d{1,12})/(\d{1,7})")
_BYTE = np.dtype(np.uint8)
_PARTS = ("head", "positions", "values")
Array = NDArray[Any]
Segments = dict[str, list[Any]]


def read(path: str | Path, *, limit: int = LIMIT) -> Packed:
    """Read a packed file with numpy and the standard library alone.

    Args:
        path: a file of `pack`.
        limit: bytes of all decoded tensors together; a file that states more is refused.

    Raises:
        StoreError: the file is missing, or as `unpack`.
    """
    try:
        size = Path(path).stat().st_size
        if size > 2 * limit + MAX_HEAD:  # positions and values take no more than twice the tensors
            raise StoreError(
                f"{path} has {size:,} bytes, and tensors of at most {limit:,} are read; where that "
                "is right, give a higher `limit`"
            )
        data = Path(path).read_bytes()
    except OSError as error:
        raise StoreError(
            f"cannot read the packed file {path}: {error.strerror or error}; check the path"
        ) from error
    try:
        return unpack(data, limit=limit)
    except StoreError as error:
        raise StoreError(f"{path}: {error}") from error


def unpack(data: bytes, *, limit: int = LIMIT) -> Packed:
    """Return the tensors of a packed file, and what it says of them.

    Every size is checked against the shapes, and the shapes against `limit`, before memory is
    taken; no segment gives more bytes than they need. While it decodes, a reader holds a few times
    the tensors' bytes.

    Args:
        data: the file.
        limit: bytes of all decoded tensors together.

    Raises:
        StoreError: a byte was altered or is missing, another kind of file, or more than `limit`.

    Example:
        >>> from secateur.packed import pack
        >>> unpack(pack({"bias": np.array([0.5, -0.0])})).tensors["bias"]
        array([ 0.5, -0. ])
    """
    head, segments, parts = _head(data, limit)
    entries = head.entries
    groups = streams(entries)
    at: dict[str, int] = dict.fromkeys(_PARTS, 0)
    found: dict[str, dict[int, Array]] = {}
    for stream, symbols in (("positions", None), ("values", None), ("tables", TABLE)):
        part = "positions" if stream == "positions" else "values"
        if len(segments[stream]) != len(groups[stream]):
            raise refuse(f"its head names {len(segments[stream])} segments of {stream}")
        found[stream] = {}
        for group, names in zip(groups[stream], segments[stream], strict=True):
            numbers, used = _block(stream, entries, group, names, parts[part][at[part] :])
            at[part] += used
            found[stream] |= numbers if symbols is None else _as(numbers, symbols)
    left = {part: len(parts[part]) - at[part] for part in ("positions", "values")}
    if any(left.values()):
        raise refuse(f"bytes are left that no tensor needs: {left}")
    arrays = [_array(entry, i, found) for i, entry in enumerate(entries)]
    n = len(head.tensors)
    return Packed(
        tensors={e.name: a for e, a in zip(head.tensors, arrays[:n], strict=True)},
        surgery={e.name: np.flatnonzero(a) for e, a in zip(head.surgery, arrays[n:], strict=True)},
        head=head,
    )


def head_of(data: bytes, *, limit: int = LIMIT) -> Head:
    """Return what a packed file says of itself, without decoding its tensors.

    Raises:
        StoreError: as `unpack`, as far as that shows without decoding.
    """
    return _head(data, limit)[0]


def _as(numbers: Mapping[int, Array], dtype: np.dtype[Any]) -> dict[int, Array]:
    return {i: a.view(dtype) for i, a in numbers.items()}


def _block(
    stream: str, entries: tuple[Coded, ...], group: list[int], names: Any, data: memoryview
) -> tuple[dict[int, Array], int]:
    """Return the numbers of each tensor of a block, and how many bytes they took."""
    count = {"positions": "n_positions", "values": "stored", "tables": "n_table"}[stream]
    counts = [getattr(entries[i], count) for i in group]
    first = entries[group[0]]
    symbol = {"positions": _BYTE, "values": first.symbol, "tables": np.dtype("<u4")}[stream]
    rotate = stream == "tables" or (stream == "values" and first.rotated)
    numbers, used = decoded_block(names, data, sum(counts), symbol, rotate=rotate)
    ends = np.cumsum(counts)
    return dict(zip(group, np.split(numbers, ends[:-1]), strict=True)), used


def _array(entry: Coded, i: int, found: Mapping[str, Mapping[int, Array]]) -> Array:
    numbers = found["values"].get(i, np.zeros(0, entry.symbol))
    table = found["tables"].get(i, np.zeros(0, TABLE))
    if entry.dtype == "bool" and numbers.size and int(numbers.max()) > 1:
        raise refuse(f"{entry.name[:80]!r} holds bools that are neither 0 nor 1")
    if entry.layout == "dense":
        return decoded(entry, numbers, table, None)
    code = found["positions"].get(i, np.zeros(0, _BYTE)).tobytes()
    places = of_bitmask if entry.layout == "bitmask" else of_gaps
    return decoded(entry, numbers, table, places(code, entry.size, entry.stored))


def _head(data: bytes, limit: int) -> tuple[Head, Segments, dict[str, memoryview]]:
    metadata, parts = opened(data)
    match = _HEAD.fullmatch(str(metadata.get("head")))
    if match is None or tuple(parts) != _PARTS or int(match[2]) > MAX_HEAD:
        raise refuse(f"it has the parts {str(list(parts))[:80]}, and a head {metadata.get('head')}")
    text, used = decompressed(match[1], parts["head"], int(match[2]))
    if used != len(parts["head"]):
        raise refuse("bytes are left behind its head")
    try:
        head = json.loads(text)
        rows = {part: [Coded.of_row(row) for row in head[part]] for part in ("tensors", "surgery")}
        segments = {stream: head["segments"][stream] for stream in streams(())}
        graph = head["graph"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise refuse(f"its head is not readable ({str(error)[:200]})") from error
    if not all(isinstance(found, list) for found in segments.values()):
        raise refuse("its head names segments that are no list")
    n_bytes = {part: len(bytes_) for part, bytes_ in parts.items()}
    made = Head(
        tensors=tuple(rows["tensors"]),
        surgery=tuple(rows["surgery"]),
        graph=graph,
        n_bytes={"frame": len(data) - sum(n_bytes.values()), **n_bytes},
    )
    _check_head(made, limit)
    return made, segments, parts


def _check_head(head: Head, limit: int) -> None:
    """Refuse names that stand twice, surgery that is none, and more bytes than the limit."""
    for entries in (head.tensors, head.surgery):
        if len({entry.name for entry in entries}) != len(entries):
            raise refuse("its head names a tensor twice")
    if not all(entry.dtype == "bool" and len(entry.shape) == 1 for entry in head.surgery):
        raise refuse("its head describes surgery that is no list of rows")
    # an axis of 0 makes no tensor large, but numpy refuses the other axes beside it
    size = sum(
        math.prod(max(1, axis) for axis in entry.shape) * DTYPES[entry.dtype].itemsize
        for entry in head.entries
    )
    if size > limit:
        raise refuse(
            f"its tensors would take {size:,} bytes, more than the limit of {limit:,}; where that "
            "is right, give a higher `limit`"
        )
