"""What teachers said, and teachers, kept while a run goes on so that methods can share them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from secateur.store.files import damaged, read_bytes, write_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from torch import Tensor

    from secateur.types import FloatArray

__all__ = ["read_lesson", "read_teacher", "write_lesson", "write_teacher"]

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


def write_teacher(path: str | Path, tensors: Mapping[str, Tensor], *, seconds: float) -> None:
    """Write a teacher and its CPU time.

    Args:
        path: the file, replaced when it exists.
        tensors: of its state.
        seconds: CPU seconds of its training.

    Raises:
        StoreError: the folder cannot be written.

    Example:
        >>> import tempfile
        >>> import torch
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_teacher(f"{folder}/a.safetensors", {"w": torch.ones(2)}, seconds=1)
        ...     read_teacher(f"{folder}/a.safetensors")
        ({'w': tensor([1., 1.])}, 1.0)
    """
    import torch  # here, since audits of saved files read this module too
    from safetensors.torch import save

    named = {f"{_TENSOR}{n}": v.detach().cpu().contiguous() for n, v in tensors.items()}
    write_bytes(path, save({**named, "seconds": torch.tensor([seconds]).double()}))


def read_teacher(path: str | Path) -> tuple[dict[str, Tensor], float]:
    """Return a teacher's tensors and its CPU time.

    Raises:
        StoreError: no such file, or one that is none.
    """
    from safetensors.torch import load

    data = read_bytes(path, expected="safetensors", what=_TEACHER)
    try:
        found = load(data)
        seconds = float(found.pop("seconds")[0])
    except (SafetensorError, KeyError, IndexError, ValueError) as error:
        raise damaged(path, what=_TEACHER, why=error) from error
    return {name.removeprefix(_TENSOR): value for name, value in found.items()}, seconds
