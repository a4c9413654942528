"""The frame of a packed file: safetensors, in one form alone, with a digest of all its bytes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from secateur.packed.form import refuse

__all__ = ["FORMAT", "opened", "sealed"]

FORMAT = "secateur-packed-1"
_DIGEST = "sha256"
_BLANK = "0" * 64
_MAX_FRAME = 4096  # bytes: a few names and sizes


def _frame(metadata: Mapping[str, str], sizes: Mapping[str, int]) -> bytes:
    """Return the one safetensors header of parts of these sizes, its length before it."""
    header: dict[str, object] = {"__metadata__": dict(metadata)}
    start = 0
    for name, size in sizes.items():
        span = [start, start + size]
        header[name] = {"dtype": "U8", "shape": [size], "data_offsets": span}
        start += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def sealed(metadata: Mapping[str, str], parts: Mapping[str, bytes]) -> bytes:
    """Return a safetensors file of these parts, with a SHA-256 of the whole file in it.

    The digest is that of the file with 64 zeros in the digest's place.

    Args:
        metadata: further text about the parts.
        parts: bytes by name.
    """
    sizes = {name: len(part) for name, part in parts.items()}
    body = b"".join(parts.values())
    blank = {"format": FORMAT, **metadata, _DIGEST: _BLANK}
    digest = hashlib.sha256(_frame(blank, sizes) + body).hexdigest()
    return _frame({**blank, _DIGEST: digest}, sizes) + body


def opened(data: bytes) -> tuple[dict[str, str], dict[str, memoryview]]:
    """Return the metadata and the parts of a file that `sealed` made.

    Raises:
        StoreError: any byte of it is another than was written.
    """
    length = int.from_bytes(data[:8], "little")
    if not 2 <= length <= min(_MAX_FRAME, len(data) - 8):
        raise refuse(f"{len(data)} bytes, whose header is said to have {length}")
    try:
        header = json.loads(data[8 : 8 + length])
        metadata = dict(header.pop("__metadata__"))
        sizes = {name: entry["shape"][0] for name, entry in header.items()}
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        raise refuse(f"its header is not readable ({error})") from error
    if metadata.get("format") != FORMAT:
        raise refuse(f"its format is {str(metadata.get('format'))[:40]!r}, not {FORMAT!r}")
    if not all(type(size) is int and size >= 0 for size in sizes.values()):
        raise refuse("its header gives sizes that are none")
    body = data[8 + length :]
    if data[: 8 + length] != _frame(metadata, sizes) or len(body) != sum(sizes.values()):
        raise refuse(f"{len(data)} bytes, which are not those that its header describes")
    stated = metadata.pop(_DIGEST, None)
    blank = _frame({**metadata, _DIGEST: _BLANK}, sizes)
    found = hashlib.sha256(blank + body).hexdigest()
    if found != stated:
        raise refuse(f"it states the digest {str(stated)[:64]!r}, its bytes have {found!r}")
    view, start, parts = memoryview(body), 0, {}
    for name, size in sizes.items():
        parts[name] = view[start : start + size]
        start += size
    return metadata, parts
