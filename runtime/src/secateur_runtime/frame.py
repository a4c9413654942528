"""The frame of a packed file: a safetensors header in one form alone, parts, and a digest."""

from __future__ import annotations

import hashlib
import json
import lzma
import re
import zlib
from collections.abc import Mapping
from typing import Any

from secateur_runtime.errors import FileError
from secateur_runtime.formats import START, other_format

__all__ = ["MAX_HEAD", "PARTS", "START", "decoded", "opened", "refuse", "refuse_other"]

FORMAT = "secateur-packed-1"
PARTS = ("head", "positions", "values")
MAX_HEAD = 4 * 2**20  # bytes of the head once decoded
_MAX_FRAME = 4096  # bytes of the safetensors header
_MAX_WINDOW = 2**23
_SEGMENT = re.compile(r"([szx])([0-9]{1,12})")
_HEAD = re.compile(r"([szx][0-9]{1,12})/([0-9]{1,7})")


def refuse(why: str) -> FileError:
    """Return the error for a packed file that cannot be decoded."""
    return FileError(
        f"this is no whole packed file, it was truncated or altered: {why}; copy it again, or "
        "export it again from the model that it was made of"
    )


def refuse_other(start: bytes) -> None:
    """Refuse a file of another format by its first bytes.

    Raises:
        FileError: it is one.
    """
    what = other_format(start, FORMAT)
    if what:
        raise FileError(
            f"this is no packed file, it is {what}; `secateur export FLEET --format packed --out "
            "model.packed` writes a packed one of a model in a fleet"
        )


def opened(data: bytes) -> tuple[dict[str, Any], dict[str, memoryview], str]:
    """Return the head of a packed file, the bytes of its parts, and its digest, which is right.

    Raises:
        FileError: a byte is another than was written, or this is another kind of file.
    """
    refuse_other(data[:START])
    length = int.from_bytes(data[:8], "little")
    if not 2 <= length <= min(_MAX_FRAME, len(data) - 8):
        raise refuse(f"{len(data)} bytes, whose header is said to have {length}")
    try:
        header = json.loads(data[8 : 8 + length])
        metadata = {str(k): str(v) for k, v in header.pop("__metadata__").items()}
        sizes = {name: entry["shape"][0] for name, entry in header.items()}
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        raise refuse(f"its header is not readable ({str(error)[:200]})") from error
    if metadata.get("format") != FORMAT:
        raise refuse(f"its format is {metadata.get('format', 'unknown')[:40]!r}, not {FORMAT!r}")
    if tuple(sizes) != PARTS or not all(type(n) is int and n >= 0 for n in sizes.values()):
        raise refuse(f"its header names the parts {str(list(sizes))[:80]}")
    body = memoryview(data)[8 + length :]
    if data[: 8 + length] != _header(metadata, sizes) or len(body) != sum(sizes.values()):
        raise refuse(f"{len(data)} bytes, which are not those that its header describes")
    digest = _checked_digest(metadata, sizes, body)
    start, parts = 0, {}
    for name, size in sizes.items():
        parts[name] = body[start : start + size]
        start += size
    return _head(metadata, parts["head"]), parts, digest


def _header(metadata: Mapping[str, str], sizes: Mapping[str, int]) -> bytes:
    """Return the one header that a file of these parts has, its length before it."""
    header: dict[str, object] = {"__metadata__": dict(metadata)}
    start = 0
    for name, size in sizes.items():
        header[name] = {"dtype": "U8", "shape": [size], "data_offsets": [start, start + size]}
        start += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _checked_digest(metadata: dict[str, str], sizes: Mapping[str, int], body: memoryview) -> str:
    stated = metadata.pop("sha256", None)
    digest = hashlib.sha256(_header({**metadata, "sha256": "0" * 64}, sizes))
    digest.update(body)
    if digest.hexdigest() != stated:
        raise refuse(
            f"it states the digest {str(stated)[:64]!r}, its bytes have {digest.hexdigest()!r}"
        )
    return digest.hexdigest()


def _head(metadata: Mapping[str, str], code: memoryview) -> dict[str, Any]:
    match = _HEAD.fullmatch(metadata.get("head", ""))
    if match is None or int(match[2]) > MAX_HEAD:
        raise refuse(f"its head is said to be {metadata.get('head', '')[:40]!r}")
    text, used = decoded(match[1], code, int(match[2]))
    try:
        head = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise refuse(f"its head is not readable ({str(error)[:200]})") from error
    if used != len(code) or not isinstance(head, dict):
        raise refuse("its head is none, or bytes are left behind it")
    return head


def decoded(segment: Any, data: memoryview, size: int) -> tuple[bytes, int]:
    """Return the first segment of some bytes, decoded, and how many bytes of them it took.

    Args:
        segment: a letter (`s` stored, `z` deflate, `x` LZMA2) and the length of the code.
        data: begins with the code.
        size: bytes that it must give; no more are ever made.

    Raises:
        FileError: the code is damaged, or gives another number of bytes.
    """
    match = _SEGMENT.fullmatch(segment) if isinstance(segment, str) else None
    if match is None or int(match[2]) > len(data):
        raise refuse(f"its head names a segment {str(segment)[:40]!r} of {len(data)} bytes")
    length = int(match[2])
    code = data[:length]
    if match[1] == "s":
        found, whole = (bytes(code), True) if length == size else (b"", False)
    else:
        found, whole = _decompressed(match[1], code, size)
    if not whole or len(found) != size:
        raise refuse(f"a segment of {length} bytes does not give the {size} that it must")
    return found, length


def _decompressed(letter: str, code: memoryview, size: int) -> tuple[bytes, bool]:
    try:
        if letter == "z":
            inflate = zlib.decompressobj(-15)
            found = inflate.decompress(code, size + 1)
            return found, inflate.eof and not inflate.unused_data
        window = min(max(4096, size), _MAX_WINDOW)
        settings = {"id": lzma.FILTER_LZMA2, "dict_size": window, "lc": 0, "lp": 0, "pb": 0}
        reader = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[settings])
        found = reader.decompress(code, size + 1)
        return found, reader.eof and not reader.unused_data
    except (zlib.error, lzma.LZMAError, EOFError) as error:
        raise refuse(f"a segment of {len(code)} bytes is damaged ({error})") from error
