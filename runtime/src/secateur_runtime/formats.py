"""What a file is that is no packed one, told from its first bytes."""

from __future__ import annotations

import json

__all__ = ["other_format"]

START = 65_536
"""Bytes that are looked at."""
_MAGIC = (
    (b"\x93NUMPY", "an array of numpy (.npy)"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x1f\x8b", "compressed by gzip"),
    (b"BZh", "compressed by bzip2"),
    (b"\xfd7zXZ", "compressed by xz"),
    (b"\x28\xb5\x2f\xfd", "compressed by Zstandard"),
    (b"GGUF", "a GGUF file"),
    (b"<", "text in HTML or XML, perhaps an error page of a download"),
)


def other_format(data: bytes, ours: str) -> str:
    """Return in words what a file is, or nothing where it may be a packed one, perhaps damaged.

    Args:
        data: its first bytes, `START` of them where it has so many.
        ours: the format that packed files state.

    Example:
        >>> other_format(b'{"layers": []}', "secateur-packed-1")
        'text in JSON'
    """
    if not data:
        return "empty"
    if data[8:9] == b"{" and data[4:8] == bytes(4):
        return _safetensors(data, ours)
    for magic, what in _MAGIC:
        if data.startswith(magic):
            return what
    if data.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _zip(data)
    if data[:1] == b"\x80" and data[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return "a Python pickle, such as torch.save writes"
    if data[:1] == b"\x08" and 0 < data[1] <= 32 and data[2:3] in (b"\x12", b"\x1a", b"\x3a", b"B"):
        return "an ONNX model"
    text = data.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text[:1] in (b"{", b"[") and text[1:8] != bytes(7):
        return "text in JSON"
    # a packed file begins with the length of its header, whose high bytes are zero
    return "text" if min(data[:START]) >= 9 and _is_utf8(data[:START]) else ""


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return error.reason == "unexpected end of data"  # a letter that `START` cut
    return True


def _safetensors(data: bytes, ours: str) -> str:
    """Return what a file with a header of JSON is; one that names our format is no other."""
    header = data[8 : 8 + int.from_bytes(data[:8], "little")]
    if b"secateur-packed" in header[:4096]:
        return ""
    if b'"dtype"' not in header and b"__metadata__" not in header:
        return ""
    try:
        stated = json.loads(header)["__metadata__"]["format"]
    except (ValueError, KeyError, TypeError, RecursionError):
        stated = ""
    if not isinstance(stated, str) or not stated:
        return "a safetensors file of another kind"
    return f"a safetensors file of another kind: its format is {stated[:40]!r}, not {ours!r}"


def _zip(data: bytes) -> str:
    first = data[30 : 30 + int.from_bytes(data[26:28], "little")]
    if first.endswith(b".pkl") or b"/.data/" in first or first.endswith(b"/.format_version"):
        return "a file of PyTorch (torch.save)"
    return "a zip archive of numpy (.npz)" if first.endswith(b".npy") else "a zip archive"
