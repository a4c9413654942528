"""What teachers said, kept while a run goes on so that several methods can learn from them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from secateur.store.files import damaged, read_bytes, write_bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from secateur.types import FloatArray

__all__ = ["read_lesson", "write_lesson"]

_WHAT = "lesson"


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
