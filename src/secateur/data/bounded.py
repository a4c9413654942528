"""Reading foreign files with bounds: what a small file unpacks to never fills the memory."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from pathlib import Path

from secateur.errors import DataFileError

__all__ = ["refuse_other_content", "unpacked", "unreadable"]

MOST_BYTES = 2**26  # the largest file read here, MNIST's training pictures, unpacks to 47 MB
PACKED = (".gz", ".tgz")


def unreadable(path: Path, error: BaseException, *, what: str = "") -> DataFileError:
    """Return the error of a file that could not be read, with what mends it.

    Args:
        path: the file.
        error: what reading it raised.
        what: what it was read as, such as an npz file.
    """
    read = f"{path} cannot be read{f' as {what}' if what else ''}"
    if isinstance(error, PermissionError):
        return DataFileError(f"{read}: you may not read it ({error.strerror}); ask its owner")
    why = str(error) if not what else f"{type(error).__name__}: {str(error)[:200]}"
    return DataFileError(f"{read} ({why}): it is truncated, damaged or not what its name says")


def unpacked(path: Path, *, most: int = MOST_BYTES) -> bytes:
    """Return a file's content, unpacked when its name ends in `.gz` or `.tgz`.

    Args:
        path: the file.
        most: bytes after which reading stops; no more than this stands in memory.

    Raises:
        DataFileError: not readable, damaged, or longer than `most`.
    """
    try:
        if path.suffix in PACKED:
            with gzip.open(path) as packed:
                data = packed.read(most + 1)
        else:
            with path.open("rb") as plain:
                data = plain.read(most + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise unreadable(path, error) from error
    if len(data) > most:
        raise DataFileError(f"{path} holds more than {most} bytes unpacked: it is another file")
    return data


def refuse_other_content(path: Path, data: bytes, *, sha256: str, what: str) -> None:
    """Refuse content that is not the canonical one, byte for byte.

    Raises:
        DataFileError: the content has another SHA-256; the message shows both.
    """
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise DataFileError(
            f"{path} has the right form, but it is not {what}: its unpacked content has the "
            f"SHA-256 {found}, the canonical one {sha256}; it was altered, or is of another data "
            "set. Results on it would not be comparable: give it another name with "
            "Records.from_arrays"
        )
