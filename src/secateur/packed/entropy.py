"""Entropy coding by the standard library: stored, deflate or LZMA, whichever is the smallest."""

from __future__ import annotations

import lzma
import re
import zlib
from typing import Any

from secateur.packed.form import refuse

__all__ = ["compressed", "decompressed"]

_STORED, _DEFLATE, _LZMA = "s", "z", "x"
_SEGMENT = re.compile(r"([szx])(\d{1,12})")
_WORTH = 0.995  # bytes that deflate cannot make smaller than this share are noise: LZMA neither
_SHORT = 4096  # bytes: below, both are tried


def _filters(size: int) -> list[dict[str, Any]]:
    """Return LZMA2 without a header, for bytes of which none tells the next."""
    window = min(max(4096, size), 2**23)  # bytes that a reader holds
    return [{"id": lzma.FILTER_LZMA2, "dict_size": window, "lc": 0, "lp": 0, "pb": 0}]


def _deflate(data: bytes, strategy: int) -> bytes:
    coder = zlib.compressobj(6, zlib.DEFLATED, -15, 9, strategy)
    return coder.compress(data) + coder.flush()


def compressed(data: bytes) -> tuple[str, bytes]:
    """Return the letter and length of the shortest code of these bytes, and the code.

    Example:
        >>> letter_and_length, code = compressed(bytes(1000))
        >>> decompressed(letter_and_length, code, 1000) == (bytes(1000), len(code))
        True
    """
    codes = [
        (_STORED, data),
        (_DEFLATE, _deflate(data, zlib.Z_DEFAULT_STRATEGY)),
        (_DEFLATE, _deflate(data, zlib.Z_HUFFMAN_ONLY)),
    ]
    shortest = min(len(code) for _, code in codes)
    if data and (len(data) <= _SHORT or shortest < _WORTH * len(data)):
        codes.append((_LZMA, lzma.compress(data, lzma.FORMAT_RAW, filters=_filters(len(data)))))
    letter, code = min(codes, key=lambda one: len(one[1]))
    return f"{letter}{len(code)}", code


def decompressed(segment: Any, data: bytes | memoryview, size: int) -> tuple[bytes, int]:
    """Return the first segment of `data`, decoded, and how many bytes of it that took.

    Args:
        segment: the letter and length that `compressed` returned.
        data: begins with the code.
        size: bytes that it must give; no more are ever made.

    Raises:
        StoreError: the code is damaged, or gives another number of bytes.
    """
    match = _SEGMENT.fullmatch(segment) if isinstance(segment, str) else None
    if match is None or int(match[2]) > len(data):
        raise refuse(f"its head names a segment {str(segment)[:40]!r} of {len(data)} bytes")
    letter, length = match[1], int(match[2])
    code = bytes(data[:length])
    if letter == _STORED:
        found, whole = code, True
    else:
        found, whole = _decoded(letter, code, size)
    if not whole or len(found) != size:
        raise refuse(f"a segment of {length} bytes does not give the {size} that it must")
    return found, length


def _decoded(letter: str, code: bytes, size: int) -> tuple[bytes, bool]:
    try:
        if letter == _DEFLATE:
            inflate = zlib.decompressobj(-15)
            found = inflate.decompress(code, size + 1)
            return found, inflate.eof and not inflate.unused_data
        reader = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=_filters(size))
        found = reader.decompress(code, size + 1)
        return found, reader.eof and not reader.unused_data
    except (zlib.error, lzma.LZMAError, EOFError) as error:
        raise refuse(f"a segment of {len(code)} bytes is damaged ({error})") from error
