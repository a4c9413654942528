"""A packed file of secateur back into its graph and its tensors, with numpy alone."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secateur_runtime.errors import FileError, LimitError
from secateur_runtime.frame import MAX_HEAD, START, decoded, opened, refuse, refuse_other
from secateur_runtime.room import LIMIT, checked
from secateur_runtime.tensors import TABLE, Entry, Tensor, rotated_back

__all__ = ["LIMIT", "Packed", "read", "unpack"]

_LARGE = 4096  # numbers: what has fewer lies in one block with others of its kind
Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Packed:
    """What a file holds: its graph as plain JSON (or None), tensors by their names, its SHA-256."""

    graph: Any
    tensors: Mapping[str, Tensor]
    digest: str = ""


def read(path: str | Path, *, limit: int = LIMIT) -> Packed:
    """Read a packed file.

    Args:
        path: a file that `secateur export --format packed` or `secateur.packed.pack` wrote.
        limit: bytes of all decoded tensors together; a file that states more is refused.

    Raises:
        FileError: the file is missing, damaged, of another kind, or too large.
    """
    checked(limit)
    try:
        with Path(path).open("rb") as file:
            refuse_other(file.read(START))
            most = 2 * limit + MAX_HEAD  # no part takes more than the tensors do
            size = os.fstat(file.fileno()).st_size
            file.seek(0)
            if size > most:
                raise LimitError(
                    f"it has {size:,} bytes, and tensors of at most {limit:,} are read; where that "
                    "is right, give a higher `limit`"
                )
            data = file.read(size + 1)  # as much is taken at once, so no more than is there
            if len(data) > size:
                raise FileError(
                    f"it has more than the {size:,} bytes that its size says; it is still being "
                    "written, or no plain file"
                )
        return unpack(data, limit=limit)
    except IsADirectoryError as error:
        raise FileError(
            f"{path} is a folder, and a packed file is read; if it is a fleet's, `secateur export "
            f"{path} --format packed --out model.packed` writes the file of one of its models"
        ) from error
    except OSError as error:
        raise FileError(
            f"cannot read the packed file {path}: {error.strerror or error}; check the path"
        ) from error
    except FileError as error:
        raise type(error)(f"{path}: {error}") from error


def unpack(data: bytes, *, limit: int = LIMIT) -> Packed:
    """Return what a packed file holds; sizes are checked before memory is taken.

    Tensors stay as they are coded, without entropy coding; each is decoded when it is asked for.

    Args:
        data: the file.
        limit: bytes of all decoded tensors together.

    Raises:
        FileError: a byte was altered or is missing, another kind of file, or more than `limit`.
    """
    head, parts, digest = opened(data)
    entries, own = _entries(head, limit)
    found = _streams(head, entries, parts)
    made = {}
    for i, entry in enumerate(entries[:own]):
        numbers = found["values"].get(i, np.zeros(0, entry.symbol))
        if entry.dtype == "bool" and numbers.size and int(numbers.max()) > 1:
            raise refuse(f"{entry.name[:80]!r} holds bools that are neither 0 nor 1")
        made[entry.name] = Tensor(
            entry=entry,
            code=found["positions"].get(i, np.zeros(0, np.uint8)),
            numbers=numbers,
            table=found["tables"].get(i, np.zeros(0, "<u4")).view(TABLE),
        )
    return Packed(graph=head.get("graph"), tensors=made, digest=digest)


def _entries(head: Mapping[str, Any], limit: int) -> tuple[list[Entry], int]:
    """Return all that is coded, and how many of them are tensors of the network."""
    rows = [head.get(part) for part in ("tensors", "surgery")]
    if not all(isinstance(row, list) for row in rows) or "graph" not in head:
        raise refuse("its head names no tensors")
    tensors, surgery = ([Entry.of_row(row) for row in part or ()] for part in rows)
    for part in (tensors, surgery):
        if len({entry.name for entry in part}) != len(part):
            raise refuse("its head names a tensor twice")
    if not all(entry.dtype == "bool" and len(entry.shape) == 1 for entry in surgery):
        raise refuse("its head describes surgery that is no list of rows")
    entries = [*tensors, *surgery]
    size = sum(entry.n_bytes for entry in entries)
    if size > limit:
        raise LimitError(
            f"its tensors would take {size:,} bytes, more than the limit of {limit:,}; where that "
            "is right, give a higher `limit`"
        )
    return entries, len(tensors)


def _streams(
    head: Mapping[str, Any], entries: Sequence[Entry], parts: Mapping[str, memoryview]
) -> dict[str, dict[int, Array]]:
    """Return positions, values and tables of each tensor by its index."""
    segments = head.get("segments")
    if not isinstance(segments, dict):
        raise refuse("its head names no segments")
    kinds = {
        "positions": ([e.layout for e in entries], [e.n_positions for e in entries]),
        "values": ([e.kind for e in entries], [e.stored for e in entries]),
        "tables": (["table"] * len(entries), [e.n_table for e in entries]),
    }
    at = {"positions": 0, "values": 0}
    found: dict[str, dict[int, Array]] = {}
    for stream, (kind, counts) in kinds.items():
        blocks, names = _blocks(kind, counts), segments.get(stream)
        if not isinstance(names, list) or len(names) != len(blocks):
            raise refuse(f"its head names other segments of {stream} than its tensors have")
        part = "positions" if stream == "positions" else "values"
        found[stream] = {}
        for block, code in zip(blocks, names, strict=True):
            first = entries[block[0]]
            symbol = {"positions": np.dtype("u1"), "values": first.symbol}.get(stream)
            own = [counts[i] for i in block]
            numbers, used = _numbers(
                code, parts[part][at[part] :], sum(own), symbol or np.dtype("<u4")
            )
            at[part] += used
            if stream == "tables" or (stream == "values" and first.rotated):
                numbers = rotated_back(numbers)
            pieces = np.split(numbers, np.cumsum(own)[:-1])
            found[stream].update(zip(block, pieces, strict=True))
    if any(len(parts[part]) != used for part, used in at.items()):
        raise refuse("bytes are left that no tensor needs")
    return found


def _blocks(kinds: Sequence[str], counts: Sequence[int]) -> list[list[int]]:
    """Return which tensors lie together: large ones alone, the others of a kind in one block."""
    alone: list[list[int]] = []
    pooled: dict[str, list[int]] = {}
    for i, (kind, count) in enumerate(zip(kinds, counts, strict=True)):
        if count >= _LARGE:
            alone.append([i])
        elif count:
            pooled.setdefault(kind, []).append(i)
    return [*alone, *pooled.values()]


def _numbers(
    segments: Any, data: memoryview, count: int, symbol: np.dtype[Any]
) -> tuple[Array, int]:
    """Return a block's numbers from its byte planes, and how many bytes of `data` they took."""
    width = symbol.itemsize
    if not isinstance(segments, list) or len(segments) not in (1, width):
        raise refuse(f"its head names {str(segments)[:40]!r} for numbers of {width} bytes")
    used, planes = 0, []
    for segment in segments:
        plane, length = decoded(segment, data[used:], count * width // len(segments))
        planes.append(plane)
        used += length
    bytes_ = np.frombuffer(b"".join(planes), np.uint8).reshape(width, count)
    return np.ascontiguousarray(bytes_.T).reshape(-1).view(symbol), used
