"""Arrays to PNG, for the few pictures that a page shows on request."""

from __future__ import annotations

import base64
import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np

from secateur.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["png_bytes", "png_uri"]

_KINDS = {1: 0, 3: 2}  # channels: colour type of the format


def png_bytes(pixels: NDArray[np.uint8]) -> bytes:
    """Return a picture as PNG, 8 bits a channel.

    Args:
        pixels: `[height, width, 1 or 3]`, grey or RGB, 0 .. 255.

    Raises:
        InputError: another shape or dtype.

    Source:
        PNG (W3C, third edition), sections 5 and 11.

    Example:
        >>> png_bytes(np.zeros((2, 3, 1), np.uint8))[:8]
        b'\\x89PNG\\r\\n\\x1a\\n'
    """
    if pixels.ndim != 3 or pixels.shape[2] not in _KINDS or pixels.dtype != np.uint8:
        raise InputError(
            f"a picture needs uint8 pixels [height, width, 1 or 3], got {pixels.dtype} of the "
            f"shape {pixels.shape}"
        )
    height, width, channels = pixels.shape
    lines = pixels.reshape(height, width * channels)
    unfiltered = np.hstack([np.zeros((height, 1), np.uint8), lines]).tobytes()
    head = struct.pack(">IIBBBBB", width, height, 8, _KINDS[channels], 0, 0, 0)
    parts = [(b"IHDR", head), (b"IDAT", zlib.compress(unfiltered, 9)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, data) for name, data in parts)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_uri(pixels: NDArray[np.uint8]) -> str:
    """Return a picture as a data URI; arguments and errors as of `png_bytes`."""
    return f"data:image/png;base64,{base64.b64encode(png_bytes(pixels)).decode()}"
