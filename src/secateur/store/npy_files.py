"""Arrays in npz and npy files, and folders of npy files, that are not trusted."""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from secateur.errors import StoreError
from secateur.store.files import read_bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["array_of", "arrays_of_folder", "arrays_of_npz", "refused"]

WHAT = "signals"
MAGIC = b"\x93NUMPY"
# Read by this pattern and not by numpy, which evaluates the text; it has no place for pickles.
HEAD = re.compile(
    rb"\{'descr': '(\|[biu]1|[<>][iu][248]|[<>]f[248])', 'fortran_order': (True|False), "
    rb"'shape': \(((?:\d{1,12}(?:, \d{1,12})*,?)?)\), *\} *\n"
)
LONGEST_HEAD = 10_000
BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    ValueError,
    TypeError,
    EOFError,
    OSError,
    MemoryError,
    OverflowError,
    IndexError,
    NotImplementedError,
    RuntimeError,
)


def refused(path: str | Path, why: object) -> StoreError:
    """Return the error for a file or folder of signals that cannot be used."""
    return StoreError(f"{path}: {str(why)[:400]}; docs/signals.md shows what is read")


def arrays_of_npz(path: Path) -> dict[str, NDArray[Any]]:
    """Return every array of an npz file, whole."""
    data = read_bytes(path, expected="npz", what=WHAT)
    found = {}
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for name in archive.namelist():
                content = archive.read(name)  # whole, so that its sum is checked
                if content[:6] == MAGIC:
                    found[name.removesuffix(".npy")] = _whole(content)
    except BROKEN as error:
        raise refused(path, f"truncated or damaged ({error})") from error
    return found


def _whole(content: bytes) -> NDArray[Any]:
    shape, fortran, dtype, offset = _head(io.BytesIO(content), len(content))
    flat = np.frombuffer(content, dtype, offset=offset)
    return flat.reshape(shape, order="F" if fortran else "C")


def _head(file: IO[bytes], size: int) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    """Read the head of an npy file; what it promises must be there, and be plain numbers."""
    start = file.read(8)
    width = {b"\x01\x00": 2, b"\x02\x00": 4}.get(start[6:])
    if start[:6] != MAGIC or width is None:
        raise ValueError(f"it begins with {start.hex() or 'nothing'}, not as npy does")
    text = file.read(min(int.from_bytes(file.read(width), "little"), LONGEST_HEAD))
    match = HEAD.fullmatch(text)
    if match is None:
        raise ValueError(
            f"no array of plain numbers, its head is {text[:80]!r}; only numbers are read, never "
            "pickles"
        )
    dtype, fortran = np.dtype(match[1].decode()), match[2] == b"True"
    shape = tuple(int(n) for n in re.findall(rb"\d+", match[3]))
    promised = int(dtype.itemsize)
    for n in shape:
        promised *= n
    offset = file.tell()
    if promised != size - offset:
        raise ValueError(f"its head promises {promised} bytes, it holds {size - offset}")
    return shape, fortran, dtype, offset


def array_of(path: Path) -> NDArray[Any]:
    """Return the array of an npy file, mapped into memory.

    Raises:
        StoreError: missing, no npy file, truncated, damaged, or of something else than numbers.
    """
    try:
        with path.open("rb") as file:
            shape, fortran, dtype, offset = _head(file, path.stat().st_size)
        order = "F" if fortran else "C"
        if 0 in shape:
            return np.zeros(shape, dtype)
        return np.memmap(path, dtype, "r", offset, shape, order)  # type: ignore[call-overload, no-any-return]
    except FileNotFoundError as error:
        raise StoreError(f"there is no {WHAT} file {path}; check the path") from error
    except BROKEN as error:
        raise refused(path, f"cannot be read as an npy file ({error})") from error


def arrays_of_folder(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of a folder, one npy file each, mapped into memory."""
    return {file.stem: array_of(file) for file in sorted(path.glob("*.npy"))}
