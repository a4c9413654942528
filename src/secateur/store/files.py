"""Bytes on disk: written whole or not at all, and refused by name when they are not ours."""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import re
import stat
import zipfile
from pathlib import Path
from typing import Literal

from secateur.errors import StoreError

__all__ = [
    "Kind",
    "altered",
    "bytes_below",
    "clean_temporaries",
    "damaged",
    "read_bytes",
    "refuse_no_file",
    "write_bytes",
]

Kind = Literal[
    "safetensors", "npz", "json", "npy", "pickle", "torch", "zip", "hdf5", "text", "unknown"
]

_NAMES: dict[Kind, str] = {
    "safetensors": "a safetensors file",
    "npz": "an npz file",
    "json": "a JSON file",
    "npy": "an npy file",
    "pickle": "a Python pickle",
    "torch": "a pickled torch file",
    "zip": "a zip archive",
    "hdf5": "an HDF5 file",
    "text": "a text file",
    "unknown": "a file of an unknown kind",
}
_TEMPORARY = re.compile(r"\..+\.secateur-(\d+)-\d+\.tmp")
_SERIAL = itertools.count()
_MAX_HEADER = 100_000_000  # bytes; the safetensors format allows no longer header


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write a file beside its place and move it there, so that it exists whole or not at all.

    Args:
        path: the file to write; missing folders are made.
        data: its whole content.

    Raises:
        StoreError: the folder cannot be written; nothing is left behind.
    """
    path = Path(path)
    refuse_no_file(path)
    temporary = path.with_name(f".{path.name}.secateur-{os.getpid()}-{next(_SERIAL)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise StoreError(
            f"cannot write {path} ({len(data)} bytes): {error.strerror or error}; check that the "
            "folder may be written, that no folder has this name and that the disk has room, or "
            "choose another folder"
        ) from error
    finally:
        with contextlib.suppress(OSError):  # moved away already, or its folder never existed
            temporary.unlink()


def refuse_no_file(path: Path) -> None:
    """Refuse a place to write that has no name, or is there and is no plain file.

    Raises:
        StoreError: a folder, a device, a pipe; a name that the file system refuses.
    """
    try:
        found: int | None = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        found = None
    except (OSError, ValueError) as error:
        raise StoreError(
            f"cannot write {str(path)[:200]!r}: {getattr(error, 'strerror', None) or error}; "
            "choose another path"
        ) from error
    if not path.name or (found is not None and not stat.S_ISREG(found)):
        kind = "a folder" if not path.name or stat.S_ISDIR(found or 0) else "no plain file"
        raise StoreError(f"{path} is {kind}; give the path of a file to write")


def clean_temporaries(folder: str | Path) -> tuple[Path, ...]:
    """Remove half-written files that processes left behind when they were killed.

    Temporary files of processes that still run are kept.

    Args:
        folder: searched with all folders below it; may be missing.

    Returns:
        The removed files, sorted.

    Raises:
        StoreError: a stale file cannot be removed.
    """
    removed = []
    for path in sorted(Path(folder).rglob(".*.tmp")):
        match = _TEMPORARY.fullmatch(path.name)
        if match is None or _runs(int(match.group(1))):
            continue
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(
                f"cannot remove the half-written file {path}: {error.strerror}; remove it by hand"
            ) from error
        removed.append(path)
    return tuple(removed)


def _runs(pid: int) -> bool:
    if os.name != "posix":  # elsewhere os.kill(pid, 0) is no harmless question
        return True
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def read_bytes(path: str | Path, *, expected: Kind, what: str) -> bytes:
    """Read a file after looking at its first bytes.

    Args:
        path: the file.
        expected: the kind of file that it must be.
        what: what it should hold, for the messages.

    Raises:
        StoreError: missing, a folder, empty, unreadable, or of another kind.
    """
    path = Path(path)
    if path.is_dir():
        raise StoreError(f"{path} is a folder; give the path of one {what} file")
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise StoreError(
            f"there is no {what} file {path}; check the path, or run the step that writes it"
        ) from error
    except OSError as error:
        raise StoreError(
            f"cannot read {path}: {error.strerror}; check that you may read it"
        ) from error
    if not data:
        raise StoreError(
            f"{path} is empty (0 bytes); delete it and run the step that writes it again"
        )
    kind = _kind(data)
    if kind in ("pickle", "torch"):
        raise StoreError(
            f"{path} is {_NAMES[kind]}; pickled files are never loaded, because loading one can "
            "run any program hidden in it; load it yourself where you trust it, and save its "
            "tensors with safetensors"
        )
    if kind != ("unknown" if expected == "text" else expected):
        raise StoreError(
            f"{path} is {_NAMES[kind]} ({len(data)} bytes), but a {what} is {_NAMES[expected]}; "
            "give a file that secateur wrote"
        )
    return data


def _kind(data: bytes) -> Kind:
    # safetensors first: its header's length may by chance begin like a pickle
    if data[8:9] == b"{" and int.from_bytes(data[:8], "little") <= _MAX_HEADER:
        return "safetensors"
    if data[:1] == b"\x80" and data[1:2] in (b"\x01", b"\x02", b"\x03", b"\x04", b"\x05"):
        return "pickle"
    if data[:4] == b"PK\x03\x04":
        return _zip_kind(data)
    if data[:6] == b"\x93NUMPY":
        return "npy"
    if data[:4] == b"\x89HDF":
        return "hdf5"
    return "json" if data.lstrip()[:1] == b"{" else "unknown"


def _zip_kind(data: bytes) -> Kind:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, UnicodeDecodeError):
        # cut off: its list of contents is gone, and the first name tells what it was
        return "torch" if b"data.pkl" in data[:512] else "npz"
    if any(name.endswith(".pkl") for name in names):
        return "torch"
    return "npz" if any(name.endswith(".npy") for name in names) else "zip"


def damaged(path: str | Path, *, what: str, why: object) -> StoreError:
    """Return the error for a file of the right kind that cannot be decoded."""
    return StoreError(
        f"{path} is not a whole {what} file, it was truncated or damaged ({why}); delete it and "
        "run the step that writes it again"
    )


def altered(path: str | Path, *, stated: object, found: str) -> StoreError:
    """Return the error for a file whose content is not what its digest says."""
    return StoreError(
        f"{path} was altered after it was written: it states the digest {stated}, its content has "
        f"{found}; restore it from a copy, or delete it and run the step that writes it again"
    )


def bytes_below(path: str | Path) -> int:
    """Return the bytes of a file, or of all files below a folder; 0 where there is none."""
    place = Path(path)
    if place.is_symlink() or not place.is_dir():
        return place.lstat().st_size if place.is_file() else 0
    return sum(file.lstat().st_size for file in place.rglob("*") if not file.is_dir())
