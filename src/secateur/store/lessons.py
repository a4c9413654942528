"""What teachers said, and teachers, kept while a run goes on so that methods can share them."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from secateur.errors import StoreError
from secateur.store.files import bytes_below, damaged, read_bytes, write_bytes

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from numpy.typing import NDArray

    from secateur.types import FloatArray

__all__ = [
    "LESSONS",
    "TEACHER",
    "bytes_of_lessons",
    "lesson_folders",
    "read_lesson",
    "read_teacher",
    "remove_lessons",
    "write_lesson",
    "write_teacher",
]

LESSONS = "lessons"
"""The folder of one seed of a sweep in which they lie, a folder for each kind of teachers."""
TEACHER = "teacher-"
"""How the names of teachers' files begin; the others hold what the teachers of a model said."""
_WHAT = "lesson"
_TEACHER = "teacher"
_TENSOR = "tensor/"


def write_lesson(path: str | Path, logits: FloatArray, *, seconds: float) -> None:
    """Write teachers' logits and their CPU time.

    Args:
        path: the file, replaced when it exists.
        logits: `[teachers, records, classes]`.
        seconds: CPU seconds of the teachers.

    Raises:
        StoreError: the folder cannot be written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_lesson(f"{folder}/a.safetensors", np.zeros((2, 3, 4), np.float32), seconds=1)
        ...     read_lesson(f"{folder}/a.safetensors")[0].shape
        (2, 3, 4)
    """
    arrays: dict[str, NDArray[Any]] = {
        "logits": np.ascontiguousarray(logits, np.float32),
        "seconds": np.array([seconds], np.float64),
    }
    write_bytes(path, save(arrays))


def read_lesson(path: str | Path) -> tuple[FloatArray, float]:
    """Return teachers' logits and their CPU time.

    Raises:
        StoreError: no such file, or one that is none.
    """
    data = read_bytes(path, expected="safetensors", what=_WHAT)
    try:
        arrays = load(data)
        logits, seconds = arrays["logits"], float(arrays["seconds"][0])
    except (SafetensorError, KeyError, IndexError, ValueError) as error:
        raise damaged(path, what=_WHAT, why=error) from error
    if logits.ndim != 3 or logits.dtype != np.float32:
        raise damaged(path, what=_WHAT, why=f"logits of shape {logits.shape}, {logits.dtype}")
    return logits, seconds


def write_teacher(path: str | Path, state: Mapping[str, NDArray[Any]], *, seconds: float) -> None:
    """Write a teacher and its CPU time.

    Args:
        path: the file, replaced when it exists.
        state: its arrays by name.
        seconds: CPU seconds of its training.

    Raises:
        StoreError: the folder cannot be written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_teacher(f"{folder}/a.safetensors", {"w": np.ones(2)}, seconds=1)
        ...     read_teacher(f"{folder}/a.safetensors")
        ({'w': array([1., 1.])}, 1.0)
    """
    named = {f"{_TENSOR}{name}": np.asarray(a, order="C") for name, a in state.items()}
    write_bytes(path, save({**named, "seconds": np.array([seconds], np.float64)}))


def read_teacher(path: str | Path) -> tuple[dict[str, NDArray[Any]], float]:
    """Return a teacher's arrays and its CPU time.

    Raises:
        StoreError: no such file, or one that is none.
    """
    data = read_bytes(path, expected="safetensors", what=_TEACHER)
    try:
        found = load(data)
        seconds = float(found.pop("seconds")[0])
    except (SafetensorError, KeyError, IndexError, ValueError) as error:
        raise damaged(path, what=_TEACHER, why=error) from error
    return {name.removeprefix(_TENSOR): value for name, value in found.items()}, seconds


def lesson_folders(sweep: str | Path) -> tuple[Path, ...]:
    """Return the folders below a sweep's in which lessons lie, sorted; those of its seeds.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     (Path(folder) / "seed-0" / LESSONS).mkdir(parents=True)
        ...     [path.parent.name for path in lesson_folders(folder)]
        ['seed-0']
    """
    return tuple(path for path in sorted(Path(sweep).glob(f"seed-*/{LESSONS}")) if path.is_dir())


def remove_lessons(folder: str | Path, *, keep: Collection[str] = ()) -> int:
    """Remove lessons and teachers; return the bytes that this frees.

    Args:
        folder: one of `lesson_folders`; may be missing. It goes too, where nothing is kept.
        keep: names in it that stay.

    Raises:
        StoreError: something cannot be removed: it is a secret, and lies there still.
    """
    place = Path(folder)
    freed = 0
    try:
        for path in sorted(place.iterdir()) if place.is_dir() else ():
            if path.name not in keep:
                freed += bytes_below(path)
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    except OSError as error:
        raise StoreError(
            f"cannot remove {error.filename or place} ({error.strerror or error}), where teachers "
            "and what they said lie, which tells members from others; remove it by hand"
        ) from error
    with contextlib.suppress(OSError):  # something is kept, or it never was
        place.rmdir()
    return freed


def bytes_of_lessons(folder: str | Path) -> tuple[int, int]:
    """Return the bytes of what teachers said, and of teachers; the folder may be missing."""
    files = [file for file in Path(folder).rglob("*") if not file.is_dir()]
    taught = sum(file.lstat().st_size for file in files if file.name.startswith(TEACHER))
    return sum(file.lstat().st_size for file in files) - taught, taught
