"""The idx format of MNIST and its kin, read with bounds: gzipped or plain."""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from secateur.errors import DataFileError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["read_idx"]

MOST_BYTES = 2**30  # no file of this family is larger than 47 MB


def read_idx(path: Path, *, dimensions: int) -> NDArray[np.uint8]:
    """Read an idx file of bytes.

    Args:
        path: gzipped when it ends in `.gz`.
        dimensions: 1 for labels, 3 for pictures.

    Raises:
        DataFileError: not an idx file of bytes with so many dimensions, or truncated, or too long.
    """
    data = _content(path)
    head = 4 + 4 * dimensions
    if len(data) < head or data[:4] != bytes([0, 0, 8, dimensions]):
        raise DataFileError(
            f"{path} is not an idx file of bytes with {dimensions} dimension(s): it begins with "
            f"{data[:4].hex() or 'nothing'}, expected {bytes([0, 0, 8, dimensions]).hex()}; get "
            f"the "
            "canonical file again"
        )
    shape = struct.unpack(f">{dimensions}I", data[4:head])
    size = int(np.prod(shape, dtype=object))
    if len(data) - head != size:
        raise DataFileError(
            f"{path} is truncated or altered: its header promises {shape} = {size} bytes, it holds "
            f"{len(data) - head}; get the canonical file again"
        )
    return np.frombuffer(data, np.uint8, offset=head).reshape(shape)


def _content(path: Path) -> bytes:
    try:
        if path.suffix != ".gz":
            with path.open("rb") as plain:
                data = plain.read(MOST_BYTES + 1)
        else:
            with gzip.open(path) as packed:
                data = packed.read(MOST_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataFileError(
            f"{path} cannot be read ({error}); it is truncated, altered or not gzip: get the "
            f"canonical "
            "file again"
        ) from error
    if len(data) > MOST_BYTES:
        raise DataFileError(
            f"{path} unpacks to more than {MOST_BYTES} bytes; it is not the data set"
        )
    return data
