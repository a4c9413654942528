"""The idx format of MNIST and its kin: arrays of bytes behind a short header."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from secateur.errors import DataFileError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["parse_idx"]


def parse_idx(path: Path, data: bytes, *, dimensions: int) -> NDArray[np.uint8]:
    """Return the array that the content of an idx file holds.

    Args:
        path: named in errors.
        data: the file's content, unpacked.
        dimensions: 1 for labels, 3 for pictures.

    Raises:
        DataFileError: not bytes with so many dimensions, or longer or shorter than the header says.

    Example:
        >>> parse_idx(Path("labels"), bytes([0, 0, 8, 1, 0, 0, 0, 2, 7, 9]), dimensions=1)
        array([7, 9], dtype=uint8)
    """
    head = 4 + 4 * dimensions
    magic = bytes([0, 0, 8, dimensions])
    if len(data) < head or data[:4] != magic:
        raise DataFileError(
            f"{path} is not an idx file of bytes with {dimensions} dimension(s): it begins with "
            f"{data[:4].hex() or 'nothing'} and holds {len(data)} bytes, expected {magic.hex()} "
            f"and at least {head}"
        )
    shape = struct.unpack(f">{dimensions}I", data[4:head])
    size = int(np.prod(shape, dtype=object))
    if len(data) - head != size:
        raise DataFileError(
            f"{path} is truncated or altered: its header promises {shape} = {size} bytes, it holds "
            f"{len(data) - head}"
        )
    return np.frombuffer(data, np.uint8, offset=head).reshape(shape)
