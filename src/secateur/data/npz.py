"""Arrays out of an npz file, bounded: nothing is evaluated, and no size is believed unseen."""

from __future__ import annotations

import math
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from secateur.data.archives import CHUNK
from secateur.data.bounded import unreadable
from secateur.errors import DataFileError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["npz_arrays", "row_blocks"]

MOST_BYTES = 2**32
MOST_ENTRIES = 1_000
END = struct.Struct("<4s4H2LH")  # the end of a zip archive's list of contents
MAGIC = b"\x93NUMPY\x01\x00"
# The head of a plain array as numpy writes it. Read by this pattern and not by numpy, which
# evaluates the text as Python; the pattern has no place for pickled objects and structured types.
HEAD = re.compile(
    rb"\{'descr': '(\|[biu]1|[<>][iu][248]|[<>]f[248]|\|S\d{1,4})', 'fortran_order': False, "
    rb"'shape': \(((?:\d{1,12}(?:, \d{1,12})*,?)?)\), *\} *\n"
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
    with _reading(path):
        found = {name: _whole(path, name, form, most) for name, form in wanted.items()}
    return found


def row_blocks(
    path: Path, key: str, *, shapes: tuple[tuple[int, ...], ...], most: int = MOST_BYTES
) -> Iterator[NDArray[Any]]:
    """Yield an array of numbers out of an npz file, about a megabyte of whole rows at a time.

    Args:
        path: the npz file.
        key: the array's name in it.
        shapes: the shapes that it may have; another is refused before its content is read.
        most: bytes after which the file itself is refused.

    Raises:
        DataFileError: not readable, truncated, damaged, no such array, another shape, or an array
            that is not of plain numbers in row order.
    """
    with _reading(path), _opened(path, key, most=most) as held:
        if held.dtype.kind == "S" or held.shape not in shapes:
            expected = " or ".join(map(str, shapes))
            raise DataFileError(f"{held.what} has {held.form}, expected numbers of {expected}")
        width = held.dtype.itemsize * math.prod(held.shape[1:])
        step = max(1, CHUNK // width)
        for first in range(0, held.shape[0], step):
            n = min(step, held.shape[0] - first)
            data = held.stream.read(n * width)
            if len(data) < n * width:
                raise DataFileError(
                    f"{held.what} is truncated: it ends within record "
                    f"{first + len(data) // width} of {held.shape[0]}"
                )
            yield np.frombuffer(data, held.dtype).reshape(n, *held.shape[1:])
        _end(held)


@dataclass(frozen=True)
class _Held:
    """An array of an npz file whose head was read; the stream stands at its first value."""

    what: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    stream: IO[bytes]
    unpacked: int

    @property
    def form(self) -> str:
        return f"the type {self.dtype.str} and the shape {self.shape}"


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn what zipfile raises on files that are none, or damaged, into the error of a file."""
    try:
        yield
    except DataFileError:
        raise
    except (
        zipfile.BadZipFile,
        OSError,  # also a seek to before the file's beginning
        EOFError,
        zlib.error,
        struct.error,
        ValueError,  # also names that are not UTF-8
        IndexError,
        NotImplementedError,  # a kind of packing that no npz has
        RuntimeError,  # encrypted
        OverflowError,
    ) as error:
        raise unreadable(path, error, what="an npz file") from error


@contextmanager
def _opened(path: Path, name: str, *, most: int) -> Iterator[_Held]:
    """Open one array of the file, its head read; more than `most` bytes are refused."""
    what = f"{path}, array {name!r}"
    size = path.stat().st_size
    if size > most:
        raise DataFileError(
            f"{path} has {size} bytes, at most {most} are expected: it is another file"
        )
    _refuse_many_entries(path)
    with zipfile.ZipFile(path) as archive:
        if f"{name}.npy" not in archive.namelist():
            held = ", ".join(n.removesuffix(".npy")[:40] for n in archive.namelist()[:8])
            raise DataFileError(f"{path} has no array {name!r}; it holds {held or 'nothing'}")
        info = archive.getinfo(f"{name}.npy")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise DataFileError(
                f"{what}: packed by method {info.compress_type}, which numpy does not write; save "
                "it again with numpy.savez_compressed"
            )
        if info.file_size > most:
            raise DataFileError(
                f"{what} claims {info.file_size} bytes, at most {most} are expected: it is another "
                "file"
            )
        with archive.open(info) as stream:
            dtype, shape = _head(what, stream)
            yield _Held(what, dtype, shape, stream, info.file_size)


def _refuse_many_entries(path: Path) -> None:
    """Refuse a list of contents that alone would fill memory; zipfile reads all of it."""
    with path.open("rb") as file:
        length = file.seek(0, 2)
        start = max(0, length - END.size - 2**16)
        file.seek(start)
        tail = file.read()
    at = tail.rfind(b"PK\5\6")
    if at < 0 or len(tail) - at < END.size:
        return  # no archive: zipfile says so
    _, _, _, _, entries, size, _, _ = END.unpack_from(tail, at)
    if entries > MOST_ENTRIES or size > 2**20:
        raise DataFileError(
            f"{path} lists {entries} arrays in {size} bytes, at most {MOST_ENTRIES} are expected: "
            "it is another file"
        )


def _head(what: str, stream: IO[bytes]) -> tuple[np.dtype[Any], tuple[int, ...]]:
    start = stream.read(len(MAGIC) + 2)
    if len(start) < len(MAGIC) + 2 or not start.startswith(MAGIC):
        raise DataFileError(
            f"{what} is not in the npy format 1.0: it begins with {start[:8].hex() or 'nothing'}"
        )
    text = stream.read(struct.unpack("<H", start[-2:])[0])
    match = HEAD.fullmatch(text)
    if match is None:
        raise DataFileError(
            f"{what} is not an array of plain values in row order, as numpy.savez writes it; its "
            f"head is {text[:80]!r}"
        )
    return np.dtype(match[1].decode()), tuple(int(n) for n in re.findall(rb"\d+", match[2]))


def _whole(
    path: Path, name: str, form: tuple[str, tuple[int | None, ...]], most: int
) -> NDArray[Any]:
    kind, lengths = np.dtype(form[0]), form[1]
    with _opened(path, name, most=most) as held:
        fits = len(held.shape) == len(lengths) and all(
            n is None or n == m for n, m in zip(lengths, held.shape, strict=True)
        )
        if held.dtype != kind or not fits:
            expected = "x".join("any" if n is None else str(n) for n in lengths) or "()"
            raise DataFileError(f"{held.what} has {held.form}, expected {kind.str} and {expected}")
        promised = math.prod(held.shape) * kind.itemsize
        content = held.stream.read(min(promised, most))
        if len(content) < promised:
            raise DataFileError(
                f"{held.what} is truncated: its head promises {promised} bytes, it holds "
                f"{len(content)}"
            )
        _end(held)
    return np.frombuffer(content, kind).reshape(held.shape)


def _end(held: _Held) -> None:
    """Refuse an array that goes on; to read past its end also checks its sum."""
    if held.stream.read(1):
        raise DataFileError(
            f"{held.what} goes on after the {held.shape} that its head promises: it is damaged"
        )
