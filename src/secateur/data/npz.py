"""Arrays out of an npz file, bounded: nothing is evaluated, and no size is believed unseen."""

from __future__ import annotations

import math
import re
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from secateur.errors import DataFileError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["npz_arrays"]

MAGIC = b"\x93NUMPY\x01\x00"
# The header of a plain array as numpy writes it; object arrays and structured types do not fit
HEADER = re.compile(
    rb"\{'descr': '([<|][a-zA-Z]\d{1,4})', 'fortran_order': False, "
    rb"'shape': \(((?:\d{1,12},? ?){0,8})\), \} *\n"
)


def npz_arrays(
    path: Path, wanted: Mapping[str, tuple[str, tuple[int | None, ...]]], *, most: int
) -> dict[str, NDArray[Any]]:
    """Return the wanted arrays of an npz file; the others in it are not read.

    Args:
        path: the file.
        wanted: for each array its type, such as `uint8`, and its shape; None is any length.
        most: bytes after which any one array, and the file itself, is refused.

    Returns:
        The arrays by name, read-only.

    Raises:
        DataFileError: not an npz file, truncated or damaged, too large, or an array is missing or
            of another type or shape.
    """
    try:
        if path.stat().st_size > most:
            raise DataFileError(
                f"{path} has {path.stat().st_size} bytes, at most {most} are expected: it is "
                "another file"
            )
        with zipfile.ZipFile(path) as archive:
            return {
                name: _array(f"{path}, array {name!r}", _content(path, archive, name, most), form)
                for name, form in wanted.items()
            }
    except DataFileError:
        raise
    except (
        zipfile.BadZipFile,
        OSError,  # also a seek to before the file's beginning
        EOFError,
        zlib.error,
        struct.error,
        ValueError,  # also names that are not UTF-8
        NotImplementedError,  # a kind of packing that no npz has
        RuntimeError,  # encrypted
        OverflowError,
    ) as error:
        raise DataFileError(
            f"{path} cannot be read as an npz file ({type(error).__name__}: {str(error)[:200]}): "
            "it is truncated, damaged or not what its name says"
        ) from error


def _content(path: Path, archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    """Return the content of one member, unpacked."""
    if f"{name}.npy" not in archive.namelist():
        held = ", ".join(n.removesuffix(".npy")[:30] for n in archive.namelist()[:8])
        raise DataFileError(f"{path} has no array {name!r}; it holds {held or 'nothing'}")
    info = archive.getinfo(f"{name}.npy")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise DataFileError(
            f"{path}, array {name!r}: packed by method {info.compress_type}, which numpy does not "
            "write; save it again with numpy.savez"
        )
    if info.file_size > most:
        raise DataFileError(
            f"{path}, array {name!r} claims {info.file_size} bytes, at most {most} are expected: "
            "it is another file"
        )
    with archive.open(info) as stream:
        return stream.read(most)


def _array(what: str, content: bytes, form: tuple[str, tuple[int | None, ...]]) -> NDArray[Any]:
    """Return the array that the content of an npy file holds."""
    start = len(MAGIC) + 2
    if len(content) < start or not content.startswith(MAGIC):
        raise DataFileError(
            f"{what} is not in the npy format 1.0: it begins with {content[:8].hex() or 'nothing'}"
        )
    end = start + struct.unpack("<H", content[len(MAGIC) : start])[0]
    header = HEADER.fullmatch(content[start:end])
    if header is None:
        raise DataFileError(
            f"{what} is not a plain array in C order: its header is {content[start:end][:80]!r}"
        )
    dtype = header[1].decode("ascii")
    shape = tuple(int(n) for n in re.findall(rb"\d+", header[2]))
    kind, lengths = np.dtype(form[0]), form[1]
    fits = len(shape) == len(lengths) and all(
        n is None or n == m for n, m in zip(lengths, shape, strict=True)
    )
    if dtype != kind.str or not fits:
        expected = "x".join("any" if n is None else str(n) for n in lengths)
        raise DataFileError(
            f"{what} has the type {dtype} and the shape {shape}, expected {kind.str} and {expected}"
        )
    if len(content) - end != math.prod(shape) * kind.itemsize:
        raise DataFileError(
            f"{what} is truncated or altered: its header promises {shape} of {dtype}, it holds "
            f"{len(content) - end} bytes"
        )
    return np.frombuffer(content, kind, offset=end).reshape(shape)
