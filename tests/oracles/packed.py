"""A packed file read slowly: one bit, one byte, one number at a time."""

from __future__ import annotations

import hashlib
import json
import lzma
import math
import struct
import zlib

import numpy as np

_WIDTH = {"bool": 1, "float16": 2, "float32": 4, "float64": 8}
_WIDTH |= {f"{sign}int{8 * n}": n for n in (1, 2, 4, 8) for sign in ("", "u")}
_FLOAT = {2: "<e", 4: "<f", 8: "<d"}


class _Bytes:
    """Bytes that are taken from the front."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def take(self, n: int) -> bytes:
        taken, self.data = self.data[:n], self.data[n:]
        assert len(taken) == n
        return taken


def parts_of(file: bytes) -> tuple[dict, dict[str, bytes]]:
    """Return metadata and parts, after the digest was checked."""
    (length,) = struct.unpack("<Q", file[:8])
    header = json.loads(file[8 : 8 + length])
    metadata = header.pop("__metadata__")
    blank = file[: 8 + length].replace(metadata["sha256"].encode(), b"0" * 64)
    assert hashlib.sha256(blank + file[8 + length :]).hexdigest() == metadata["sha256"]
    body = file[8 + length :]
    return metadata, {k: body[slice(*v["data_offsets"])] for k, v in header.items()}


def _expanded(segment: str, data: _Bytes, size: int) -> bytes:
    code = data.take(int(segment[1:]))
    if segment[0] == "z":
        code = zlib.decompress(code, -15)
    elif segment[0] == "x":
        window = min(max(4096, size), 2**23)
        code = lzma.decompress(
            code, lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA2, "dict_size": window}]
        )
    assert len(code) == size
    return code


def _numbers(segments: list[str], data: _Bytes, count: int, width: int, turned: bool) -> list[int]:
    size = count * width // len(segments)
    planes = b"".join(_expanded(s, data, size) for s in segments)
    found = []
    for i in range(count):
        number = sum(planes[p * count + i] << (8 * p) for p in range(width))
        if turned:
            number = (number >> 1) | ((number & 1) << (8 * width - 1))
        found.append(number)
    return found


def _blocks(kinds: list[str], counts: list[int]) -> list[list[int]]:
    found = [[i] for i, count in enumerate(counts) if count >= 4096]
    small = [i for i, count in enumerate(counts) if 0 < count < 4096]
    for kind in dict.fromkeys(kinds[i] for i in small):
        found.append([i for i in small if kinds[i] == kind])
    return found


def _stream(
    segments: list, data: _Bytes, kinds: list[str], counts: list[int], how: list[tuple[int, bool]]
) -> list[list[int]]:
    """Return each tensor's numbers; `how` says their bytes and whether the sign stands behind."""
    found: list[list[int]] = [[] for _ in kinds]
    groups = _blocks(kinds, counts)
    assert len(groups) == len(segments)
    for group, names in zip(groups, segments, strict=True):
        numbers = _numbers(names, data, sum(counts[i] for i in group), *how[group[0]])
        for i in group:
            found[i], numbers = numbers[: counts[i]], numbers[counts[i] :]
    return found


def _places(layout: str, size: int, code: list[int]) -> list[int]:
    if layout == "dense":
        return list(range(size))
    if layout == "bitmask":
        return [8 * i + b for i, byte in enumerate(code) for b in range(8) if byte >> b & 1]
    found, at = [], 0
    for step in code:
        at += step
        if step != 255:
            found.append(at)
            at += 1
    return found


def _bytes_of(row: list, number: int, table: list[int], at: int) -> bytes:
    """Return one value as the bytes that it has in the tensor."""
    _, dtype, shape, _, values, *_ = row
    width = _WIDTH[dtype]
    if values == "exact":
        return number.to_bytes(width, "little")
    entries = [struct.unpack("<f", struct.pack("<I", entry))[0] for entry in table]
    if values == "float16":
        value = struct.unpack("<e", struct.pack("<H", number))[0]
    elif values == "int8":
        level = number - 256 if number > 127 else number
        value = level * entries[at // (math.prod(shape) // shape[0])]
    else:
        value = entries[number]
    return struct.pack(_FLOAT[width], value)


def unpacked(file: bytes) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return the tensors and the surgery of a packed file."""
    metadata, parts = parts_of(file)
    segment, size = metadata["head"].split("/")
    head = json.loads(_expanded(segment, _Bytes(parts["head"]), int(size)))
    rows = head["tensors"] + head["surgery"]
    exact = [row[4] == "exact" for row in rows]
    floating = [
        row[4] == "float16" or (e and "float" in row[1]) for row, e in zip(rows, exact, strict=True)
    ]
    wide = [
        _WIDTH[row[1]] if e else 2 if row[4] == "float16" else 1
        for row, e in zip(rows, exact, strict=True)
    ]
    kinds = [
        f"{row[1] if e else row[4]}/{'dense' if row[3] == 'dense' else 'sparse'}"
        for row, e in zip(rows, exact, strict=True)
    ]
    named, values = head["segments"], _Bytes(parts["values"])
    codes = _stream(
        named["positions"],
        _Bytes(parts["positions"]),
        [row[3] for row in rows],
        [row[6] for row in rows],
        [(1, False)] * len(rows),
    )
    numbers = _stream(
        named["values"],
        values,
        kinds,
        [row[5] for row in rows],
        list(zip(wide, floating, strict=True)),
    )
    tables = _stream(
        named["tables"],
        values,
        ["table"] * len(rows),
        [row[7] for row in rows],
        [(4, True)] * len(rows),
    )
    assert not values.data
    found = []
    for row, code, own, table in zip(rows, codes, numbers, tables, strict=True):
        size, width = math.prod(row[2]), _WIDTH[row[1]]
        out = bytearray(size * width)
        for at, number in zip(_places(row[3], size, code), own, strict=True):
            out[at * width : (at + 1) * width] = _bytes_of(row, number, table, at)
        found.append((row[0], np.frombuffer(bytes(out), row[1]).reshape(row[2])))
    n = len(head["tensors"])
    return dict(found[:n]), {name: np.flatnonzero(kept) for name, kept in found[n:]}
