"""Large files of strangers as bounded streams: lines of a text, rows of an array.

Nothing is extracted to disk, and some megabytes stand in memory whatever a file claims.
"""

from __future__ import annotations

import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from secateur.data.archives import CHUNK, archived_chunks
from secateur.data.bounded import PACKED
from secateur.errors import DataFileError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["line_blocks", "row_blocks"]

LINES = 2**14  # of a block: many short lines take far more memory parsed than as text
LONGEST = 2**16  # bytes of a line; those of the widest table read here, Texas-100, have 12,338
# The head of a version 1 npy file as numpy.save writes it. Read by this pattern and not by numpy,
# which evaluates the text as Python; the pattern has no place for pickled objects.
NPY_MAGIC = b"\x93NUMPY\x01\x00"
NPY_HEAD = re.compile(
    r"\{'descr': '(\|[biu]1|[<>][iu][248]|[<>]f[248])', 'fortran_order': False, "
    r"'shape': \((\d{1,12}(?:, \d{1,12})*),?\), *\} *\n"
)


def line_blocks(
    path: Path, *, member: str, most: int, longest: int = LONGEST
) -> Iterator[list[bytes]]:
    r"""Yield the lines of a text without their `\n`, about a megabyte of whole lines at a time.

    A gzipped archive is read to its end, since only there its check sum tells damage.

    Args:
        path: the text itself, or a gzipped tar archive (`.tgz` or `.tar.gz`) with it inside.
        member: the text's place in the archive, such as `texas/100/feats`; folders above it may
            stand before.
        most: bytes after which the text is refused.
        longest: bytes without an end of line after which the text is refused.

    Raises:
        DataFileError: not readable, truncated, damaged, too long, or no such member.
    """
    number, rest = 0, b""
    for chunk in _chunks(path, member, most):
        lines = (rest + chunk).split(b"\n")
        rest = lines.pop()
        number += len(lines)
        if len(rest) > longest:
            raise DataFileError(
                f"{path}, line {number + 1}: no end of line after {longest} bytes: it is another "
                "file"
            )
        for first in range(0, len(lines), LINES):
            yield lines[first : first + LINES]
    if rest:
        yield [rest]


def _chunks(path: Path, member: str, most: int) -> Iterator[bytes]:
    try:
        if path.suffix in PACKED:
            for _, chunk in archived_chunks(path, members=(member,), most=most):
                yield chunk
            return
        total = 0
        with path.open("rb") as plain:
            while chunk := plain.read(CHUNK):
                total += len(chunk)
                if total > most:
                    raise DataFileError(f"{path} holds more than {most} bytes: it is another file")
                yield chunk
    except OSError as error:
        raise DataFileError(f"{path} cannot be read ({error})") from error


def row_blocks(
    path: Path, key: str, *, shapes: tuple[tuple[int, ...], ...]
) -> Iterator[NDArray[Any]]:
    """Yield an array of numbers out of an npz file, about a megabyte of whole rows at a time.

    Args:
        path: the npz file.
        key: the array's name in it.
        shapes: the shapes that it may have; another is refused before its content is read.

    Raises:
        DataFileError: not readable, truncated, damaged, no such array, another shape, or an array
            that is not of plain numbers in row order.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if f"{key}.npy" not in archive.namelist():
                found = [name[:40] for name in archive.namelist()[:5]]
                raise DataFileError(f"{path} has no array {key!r}; inside are {found}")
            info = archive.getinfo(f"{key}.npy")
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise DataFileError(
                    f"{path}: {key!r} is packed in a way that numpy does not write (method "
                    f"{info.compress_type}); save it again with numpy.savez_compressed"
                )
            with archive.open(info) as stream:
                yield from _rows(path, key, stream, shapes)
    except DataFileError:
        raise
    except (
        *(OSError, EOFError, ValueError, IndexError, OverflowError, RuntimeError),
        *(NotImplementedError, struct.error, zlib.error, zipfile.BadZipFile),
    ) as error:
        raise DataFileError(
            f"{path} cannot be read ({str(error)[:200]}): it is truncated, damaged or not an npz "
            "file"
        ) from error


def _rows(
    path: Path, key: str, stream: IO[bytes], shapes: tuple[tuple[int, ...], ...]
) -> Iterator[NDArray[Any]]:
    dtype, shape = _npy_head(path, key, stream)
    if shape not in shapes:
        raise DataFileError(
            f"{path}: {key!r} has the shape {shape}, expected {' or '.join(map(str, shapes))}"
        )
    width = dtype.itemsize * int(np.prod(shape[1:]))
    step = max(1, CHUNK // width)
    for first in range(0, shape[0], step):
        n = min(step, shape[0] - first)
        data = stream.read(n * width)
        if len(data) < n * width:
            raise DataFileError(
                f"{path} is truncated: {key!r} ends within record {first + len(data) // width} of "
                f"{shape[0]}"
            )
        yield np.frombuffer(data, dtype).reshape(n, *shape[1:])
    if stream.read(1):
        raise DataFileError(f"{path}: {key!r} goes on after its {shape[0]} records: it is damaged")


def _npy_head(path: Path, key: str, stream: IO[bytes]) -> tuple[np.dtype[Any], tuple[int, ...]]:
    start = stream.read(10)
    length = int.from_bytes(start[8:], "little")
    text = stream.read(length).decode("latin-1")
    match = NPY_HEAD.fullmatch(text)
    if start[:8] != NPY_MAGIC or len(text) != length or match is None:
        raise DataFileError(
            f"{path}: {key!r} is not an array of plain numbers in row order, as numpy.savez writes "
            f"it; its head is {text[:80]!r}"
        )
    return np.dtype(match[1]), tuple(int(n) for n in match[2].split(", "))
